package access

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// active returns an error if an account may not be used now.
func (a Account) active() error {
	if a.SuspendedAt.IsZero() {
		return nil
	}
	return stage.Errorf(stage.ErrDenied, "This account is suspended; ask the operator.").
		WithCode("suspended")
}

// SuspendUser suspends an account without removing it: its logins and codes end, its open tokens
// are revoked, its sessions end, and its keys are refused until RestoreUser.
func (c *Control) SuspendUser(ctx context.Context, by Principal, id UserID, reason string) error {
	if err := by.Require(ScopeUsers); err != nil {
		return err
	}
	if by.User.ID == id && id != "" {
		return stage.Errorf(stage.ErrInvalid, "You cannot suspend yourself.")
	}
	var revoked []Issuance
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		account, err := accountOf(ctx, tx, id)
		if err != nil || !account.SuspendedAt.IsZero() {
			return err
		}
		if err := spareLastOperator(ctx, tx, account); err != nil {
			return err
		}
		account.SuspendedAt = c.cfg.Now()
		if err := tx.PutAccount(ctx, account); err != nil {
			return err
		}
		if err := endLoginsAndCodes(ctx, tx, id); err != nil {
			return err
		}
		if err := tx.Advance(ctx, id); err != nil {
			return err
		}
		if revoked, err = c.outbox.revokeOpen(ctx, tx, Revocation{User: id}); err != nil {
			return err
		}
		return c.trail.note(ctx, tx, by, Entry{
			Action: ActionUserSuspended, Target: string(id), TargetName: account.Name,
			Detail: cleanText(reason, 200),
		})
	})
	if err != nil {
		return err
	}
	c.caches.changed(id)
	return c.sessions.end(ctx, revoked, reasonSuspended.sentence())
}

// endLoginsAndCodes ends all logins and codes of a user, but not the keys.
func endLoginsAndCodes(ctx context.Context, tx Store, id UserID) error {
	for _, kind := range append(dockCodes(), KindLogin, kindInvite) {
		if _, err := tx.DeleteCredentials(ctx, Match{Kind: kind, User: id}); err != nil {
			return err
		}
	}
	return nil
}

// RestoreUser restores a suspended account. Its keys work again; its tokens stay revoked.
func (c *Control) RestoreUser(ctx context.Context, by Principal, id UserID) error {
	if err := by.Require(ScopeUsers); err != nil {
		return err
	}
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		account, err := accountOf(ctx, tx, id)
		if err != nil || account.SuspendedAt.IsZero() {
			return err
		}
		account.SuspendedAt = time.Time{}
		if err := tx.PutAccount(ctx, account); err != nil {
			return err
		}
		if err := tx.Advance(ctx, id); err != nil {
			return err
		}
		return c.trail.note(ctx, tx, by, Entry{
			Action: ActionUserRestored, Target: string(id), TargetName: account.Name,
		})
	})
	if err != nil {
		return err
	}
	c.caches.changed(id)
	return nil
}
