package access

import (
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// unvouched is the SeenAt of an identity that the policy refused at its last sign-in.
func unvouched() time.Time { return time.UnixMilli(0) }

func (i Identity) refused() bool { return !i.SeenAt.After(unvouched()) }

// allRefused reports whether the policy refused every identity of a list. For an empty list it
// returns false.
func allRefused(identities []Identity) bool {
	for _, i := range identities {
		if !i.refused() {
			return false
		}
	}
	return len(identities) > 0
}

// withdraw removes what depends on the provider, after the policy has refused a user: logins, the
// role by claims, and access by rules. An account with a password keeps the logins that the
// provider did not create. It also keeps the access that every user gets by a rule. Neither depends
// on the provider.
func (c *Control) withdraw(ctx context.Context, e External, from Client) error {
	if e.Issuer == "" || e.Subject == "" || e.Partial {
		return nil
	}
	var id UserID
	var revoked []Issuance
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		known, err := tx.Identity(ctx, e.Issuer, e.Subject)
		if errors.Is(err, stage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		id, revoked, err = c.withdrawn(ctx, tx, known, from)
		return err
	})
	if err != nil || id == "" {
		return err
	}
	c.caches.changed(id)
	c.sessions.endOrLog(ctx, revoked, reasonNotVouched.sentence())
	return nil
}

func (c *Control) withdrawn(
	ctx context.Context, tx Store, known Identity, from Client,
) (UserID, []Issuance, error) {
	account, err := tx.Account(ctx, known.User)
	if err != nil {
		return "", nil, err
	}
	known.Claims, known.SeenAt = nil, unvouched()
	if err := tx.PutIdentity(ctx, known); err != nil {
		return "", nil, err
	}
	by := Principal{Kind: KindLogin, User: account.User, From: from}
	if err := c.endVouchedLogins(ctx, tx, by, account); err != nil {
		return "", nil, err
	}
	before := account.Role
	if account, err = c.applyRole(ctx, tx, by, account, External{}); err != nil {
		return "", nil, err
	}
	revoked, err := c.roleChanged(ctx, tx, before, account)
	if err != nil {
		return "", nil, err
	}
	orphans, err := c.outbox.revokeOrphans(ctx, tx, account.ID)
	if err != nil {
		return "", nil, err
	}
	rules, err := tx.Rules(ctx)
	if err != nil {
		return "", nil, err
	}
	lost, err := c.applyStored(ctx, tx, ruling{by: by, lost: reasonNotVouched.sentence()},
		rules, account)
	return account.ID, append(append(revoked, orphans...), lost...), err
}

// endVouchedLogins ends the logins that depend on the provider, and all unused codes that would
// sign in a dock of the user.
func (c *Control) endVouchedLogins(
	ctx context.Context, tx Store, by Principal, account Account,
) error {
	logins, err := tx.Credentials(ctx, Match{Kind: KindLogin, User: account.ID})
	if err != nil {
		return err
	}
	ended := 0
	for _, login := range logins {
		if c.signIns.byPassword(account) && !labelOf(login.Label).external {
			continue
		}
		n, err := tx.DeleteCredentials(ctx, Match{
			Kind: KindLogin, ID: login.ID, User: account.ID,
		})
		if err != nil {
			return err
		}
		ended += n
	}
	if err := endDockCodes(ctx, tx, account.ID); err != nil {
		return err
	}
	if ended == 0 {
		return nil
	}
	entry := userEntry(ActionLoginEnded, account)
	entry.Detail = reasonNotVouched.sentence()
	return c.trail.note(ctx, tx, by, entry)
}
