package access

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// SetGrant gives a user access to a stage, and revokes the open tokens that exceed the new grant.
func (c *Control) SetGrant(ctx context.Context, by Principal, g Grant) error {
	if err := by.Require(ScopeUsers); err != nil {
		return err
	}
	g, err := checkGrant(g)
	if err != nil {
		return err
	}
	var revoked []Issuance
	err = c.cfg.Store.Atomically(ctx, func(tx Store) error {
		revoked, err = c.putGrant(ctx, tx, by, g)
		return err
	})
	if err != nil {
		return err
	}
	c.caches.changed(g.User)
	return c.sessions.end(ctx, revoked, reasonChanged.sentence())
}

// putGrant is SetGrant inside a transaction. It returns the tokens that it revoked.
func (c *Control) putGrant(
	ctx context.Context, tx Store, by Principal, g Grant,
) ([]Issuance, error) {
	account, err := grantee(ctx, tx, g.User, g.Stage)
	if err != nil {
		return nil, err
	}
	if err := tx.PutGrant(ctx, g); err != nil {
		return nil, err
	}
	revoked, err := c.narrow(ctx, tx, account, g.Stage)
	if err != nil {
		return nil, err
	}
	return revoked, c.trail.note(ctx, tx, by, Entry{
		Action: ActionAccessGiven, Target: string(account.ID), TargetName: account.Name,
		Stage: g.Stage, Detail: g.Capabilities.String(),
	})
}

// narrow revokes the open tokens on a stage that exceed the user's access there, in capabilities or
// life. A token that is being issued at the same time is decided again.
func (c *Control) narrow(
	ctx context.Context, tx Store, account Account, arn stage.ARN,
) ([]Issuance, error) {
	if err := tx.Advance(ctx, account.ID); err != nil {
		return nil, err
	}
	permit, err := tx.Permit(ctx, account.ID, arn, Rate{})
	if err != nil {
		return nil, err
	}
	now := effective(account.Role, permit.Grant)
	return c.outbox.revokeOpen(ctx, tx, Revocation{
		User: account.ID, Stage: arn, Beyond: now.Capabilities,
		// Another replica, whose clock may be ahead, may have issued the token.
		BeyondExpiry: c.cfg.Now().Add(now.MaxTTL + clockSkew),
	})
}

func checkGrant(g Grant) (Grant, error) {
	if g.Capabilities == 0 || g.Capabilities&^everything != 0 {
		return g, words.Error(stage.ErrInvalid, "said.invalid.grantCan", nil)
	}
	if g.MaxTTL == 0 {
		g.MaxTTL = stage.DefaultTTL
	}
	return g, stage.CheckTTL(g.MaxTTL)
}

func grantee(ctx context.Context, tx Store, id UserID, arn stage.ARN) (Account, error) {
	account, err := accountOf(ctx, tx, id)
	if err != nil {
		return Account{}, err
	}
	_, err = stageOf(ctx, tx, arn)
	return account, err
}

// RemoveGrant removes a grant and revokes the open tokens that depend on it. Tokens of an operator
// stay valid: they need no grant.
func (c *Control) RemoveGrant(ctx context.Context, by Principal, id UserID, arn stage.ARN) error {
	if err := by.Require(ScopeUsers); err != nil {
		return err
	}
	var revoked []Issuance
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		account, err := grantee(ctx, tx, id, arn)
		if err != nil {
			return err
		}
		if err := tx.DeleteGrant(ctx, id, arn); err != nil {
			return notFoundIs(err, noGrantToRemove(ctx, tx, id, arn))
		}
		if revoked, err = c.narrow(ctx, tx, account, arn); err != nil {
			return err
		}
		return c.trail.note(ctx, tx, by, Entry{
			Action: ActionAccessRemoved, Target: string(id), TargetName: account.Name, Stage: arn,
		})
	})
	if err != nil {
		return err
	}
	c.caches.changed(id)
	return c.sessions.end(ctx, revoked, reasonRemoved.sentence())
}
