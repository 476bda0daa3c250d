package access

import (
	"cmp"
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Verifier verifies the signature and the claims of a token for a local stage. If it returns an
// error, the participant has at most the ID and the stage that the token claims.
type Verifier interface {
	Verify(ctx context.Context, bearer stage.Secret) (stage.Participant, error)
}

// Verify verifies a token for a local stage: its signature, its record, and the access on which it
// depends. It sets the View of a viewing key's token, which the token does not contain. If it
// returns an error, the participant has at most the ID and the stage that the token claims.
func (c *Control) Verify(ctx context.Context, bearer stage.Secret) (stage.Participant, error) {
	p, err := c.cfg.Verifier.Verify(ctx, bearer)
	if err != nil {
		return p, err
	}
	known, err := c.recognize(ctx, p)
	if err != nil {
		return stage.Participant{ID: p.ID, Stage: p.Stage}, err
	}
	return known, nil
}

// recognize checks a participant whose token has a valid signature. This server must have issued
// the token and not revoked it. The user must still have access to the stage, with the capabilities
// of the token.
func (c *Control) recognize(ctx context.Context, p stage.Participant) (stage.Participant, error) {
	if !stage.ValidID(p.ID) || c.Outage.owed(p.ID) {
		return p, tokenRevoked()
	}
	i, err := c.cfg.Store.Issuance(ctx, p.ID)
	if err != nil {
		return p, notFoundIs(err, tokenRevoked())
	}
	if i.guest() && i.Stage.Local() {
		// A moderator may have changed the capabilities since the issue, see SetGuestRole.
		p.Capabilities = i.Capabilities
	}
	if !i.RevokedAt.IsZero() || i.Stage != p.Stage || !i.Capabilities.Has(p.Capabilities) {
		return p, c.whyRevoked(ctx, i)
	}
	// For an AWS stage, the record has the capabilities: the server cannot read them from the
	// token.
	p.Capabilities = cmp.Or(p.Capabilities, i.Capabilities)
	if err := c.restsOnAccess(ctx, p, i); err != nil {
		return p, err
	}
	if i.Credential != "" {
		cred, err := c.holds(ctx, i.User, i.Credential)
		if err != nil {
			return p, notFoundIs(err, tokenRevoked())
		}
		p.View = stage.View(cred.View)
	}
	return p, nil
}

// whyRevoked returns the error for a token that was revoked. While its user is barred, the error
// says so.
func (c *Control) whyRevoked(ctx context.Context, i Issuance) error {
	if i.guest() || i.Stage.Rehearsal() {
		return tokenRevoked()
	}
	permit, err := c.cfg.Store.Permit(ctx, i.User, i.Stage, Rate{})
	if err != nil {
		return notFoundIs(err, tokenRevoked())
	}
	return cmpErr(permit.Grant.barred(), tokenRevoked())
}

// restsOnAccess returns an error if the user of a token has lost the access that it needs.
func (c *Control) restsOnAccess(ctx context.Context, p stage.Participant, i Issuance) error {
	if i.Stage.Rehearsal() {
		return c.stillRehearses(ctx, i)
	}
	permit, err := c.cfg.Store.Permit(ctx, i.User, i.Stage, Rate{})
	if err != nil {
		return notFoundIs(err, tokenRevoked())
	}
	if !permit.Stage || !permit.grant().Capabilities.Has(p.Capabilities) {
		return noGrant()
	}
	return nil
}

// MayStay returns an error if a participant may no longer stay on a local stage.
func (c *Control) MayStay(ctx context.Context, p stage.Participant) error {
	_, err := c.recognize(ctx, p)
	return err
}

// stillHeld returns an error if a new token would end with a credential that has ended already.
func (c *Control) stillHeld(ctx context.Context, rests basis) error {
	if rests.credential == "" {
		return nil
	}
	_, err := c.holds(ctx, rests.user, rests.credential)
	return notFoundIs(err, credentialEnded())
}

// holds reads a credential of a user. For a deleted or expired credential it returns
// stage.ErrNotFound.
func (c *Control) holds(ctx context.Context, user UserID, id string) (Credential, error) {
	found, err := c.cfg.Store.Credentials(ctx, Match{ID: id, User: user})
	if err != nil {
		return Credential{}, err
	}
	if len(found) == 0 || !found[0].ExpiresAt.IsZero() && !c.cfg.Now().Before(found[0].ExpiresAt) {
		return Credential{}, stage.ErrNotFound
	}
	return found[0], nil
}

func credentialEnded() error {
	return stage.Errorf(stage.ErrUnauthorized,
		"This login or key has ended.").WithCode("unauthorized")
}

func tokenRevoked() error {
	return stage.Errorf(stage.ErrDenied,
		"This token was revoked or is unknown; get a new one from the dock.").
		WithCode("token_revoked")
}
