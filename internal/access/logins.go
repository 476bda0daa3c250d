package access

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Login is a signed-in browser, as its user sees it.
type Login struct {
	ID         string
	Agent      string // the User-Agent
	Address    string // from which it signed in
	CreatedAt  time.Time
	LastUsedAt time.Time // rounded to a minute
	Current    bool      // the login of the caller
}

// Logins lists the logins of a user, the latest used first: of the caller, or of any user for an
// operator.
func (c *Control) Logins(ctx context.Context, by Principal, id UserID) ([]Login, error) {
	if err := mayEndLogins(by, id); err != nil {
		return nil, err
	}
	creds, err := c.cfg.Store.Credentials(ctx, Match{Kind: KindLogin, User: id})
	if err != nil {
		return nil, err
	}
	logins := []Login{}
	for _, cred := range creds {
		if !c.cfg.Now().Before(cred.ExpiresAt) {
			continue
		}
		logins = append(logins, Login{
			ID: cred.ID, Agent: cred.Client.Agent, Address: cred.Client.Address,
			CreatedAt: cred.CreatedAt, LastUsedAt: cred.UsedAt, Current: cred.ID == by.CredentialID,
		})
	}
	slices.SortStableFunc(logins, func(a, b Login) int {
		return cmp.Or(b.LastUsedAt.Compare(a.LastUsedAt), b.CreatedAt.Compare(a.CreatedAt))
	})
	return logins, nil
}

// EndLogin signs out one browser of a user: of the caller, or of any user for an operator. Its view
// tokens end; its broadcasts go on.
func (c *Control) EndLogin(ctx context.Context, by Principal, id UserID, login string) error {
	if err := mayEndLogins(by, id); err != nil {
		return err
	}
	if by.Key != "" && login != by.CredentialID {
		return signInYourself()
	}
	if !stage.ValidID(login) || id == "" {
		return noSuch("login")
	}
	var revoked []Issuance
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		account, err := accountOf(ctx, tx, id)
		if err != nil {
			return err
		}
		n, err := tx.DeleteCredentials(ctx, Match{Kind: KindLogin, ID: login, User: id})
		if err != nil || n == 0 {
			return cmpErr(err, noSuch("login"))
		}
		if revoked, err = c.outbox.revokeOrphans(ctx, tx, id); err != nil {
			return err
		}
		return c.trail.note(ctx, tx, by, userEntry(ActionLoginEnded, account))
	})
	if err != nil {
		return err
	}
	c.caches.changed(id)
	c.sessions.endOrLog(ctx, revoked, reasonLogin.sentence())
	return nil
}

// mayEndLogins returns an error unless the logins are the caller's own, or the caller is an
// operator.
func mayEndLogins(by Principal, id UserID) error {
	if by.User.ID == id {
		return by.Require(ScopeAccount)
	}
	return by.Require(ScopeUsers)
}
