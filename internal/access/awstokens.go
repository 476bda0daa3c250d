package access

import (
	"cmp"
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// keepHash stores the hash of a token for an AWS stage until the token expires. The chat and the
// events of the stage recognize the token by its hash, since only AWS can verify it. Tokens of
// local stages are verified by their signature.
func (c *Control) keepHash(ctx context.Context, permit Permit, token stage.ParticipantToken) error {
	p := token.Participant
	if p.Stage.Local() {
		return nil
	}
	return c.cfg.Store.PutCredential(ctx, Credential{
		ID: string(p.ID), Kind: KindToken, Hash: hashOf(token.Secret), User: permit.Account.ID,
		Label: p.Name(), View: guestID(p), Stage: p.Stage, CreatedAt: c.cfg.Now(),
		ExpiresAt: token.ExpiresAt,
	})
}

// byToken returns the participant of a token. It verifies the signature of a token for a local
// stage, and looks up the hash of a token for an AWS stage.
func (c *Control) byToken(ctx context.Context, secret stage.Secret) (Principal, error) {
	p, err := c.Verify(ctx, secret)
	if errors.Is(err, stage.ErrUnauthorized) && !p.Stage.Local() {
		if p.Stage != "" {
			err = tokenRevoked()
		}
		p, err = c.verifyAWS(ctx, secret, err)
	}
	if err != nil {
		return Principal{}, err
	}
	return Principal{
		Kind: KindToken, CredentialID: string(p.ID),
		// A token of IVS may have no user ID. Then the participant ID is used.
		User:  User{ID: UserID(cmp.Or(p.UserID, string(p.ID))), Name: p.Name()},
		Stage: p.Stage, Capabilities: p.Capabilities, View: p.View, ExpiresAt: p.ExpiresAt,
	}, nil
}

// verifyAWS returns the participant of a token that this server issued for an AWS stage. For any
// other token it returns the error in the parameter `unknown`.
func (c *Control) verifyAWS(
	ctx context.Context, secret stage.Secret, unknown error,
) (stage.Participant, error) {
	cred, account, err := c.cfg.Store.Credential(ctx, KindToken, hashOf(secret))
	if err != nil {
		return stage.Participant{}, notFoundIs(err, unknown)
	}
	if !c.cfg.Now().Before(cred.ExpiresAt) {
		return stage.Participant{}, stage.Errorf(stage.ErrUnauthorized,
			"The token has expired: get a new one.").WithCode("token_expired")
	}
	p := stage.Participant{
		ID: stage.ParticipantID(cred.ID), Stage: cred.Stage,
		UserID:     cmp.Or(cred.View, string(account.ID)),
		Attributes: map[string]string{"name": cred.Label}, ExpiresAt: cred.ExpiresAt,
	}
	return c.recognize(ctx, p)
}

// Barred lists the participants on AWS stages whose token was revoked, while AWS may still accept
// the token or keep its session open. (Local stages refuse such tokens themselves.) Each replica
// gets the whole list, because a token may have been revoked by the command line, by another
// replica, or in an earlier run. The participants must be disconnected at AWS. Their users need not
// be barred.
func (c *Control) Barred(ctx context.Context) ([]stage.Participant, error) {
	revoked, err := c.cfg.Store.RevokedAtAWS(ctx, c.cfg.Now().Add(-stage.MaxSession))
	if err != nil {
		return nil, err
	}
	barred := make([]stage.Participant, 0, len(revoked))
	for _, i := range revoked {
		barred = append(barred, stage.Participant{
			ID: i.ID, Stage: i.Stage, UserID: string(i.User), ExpiresAt: i.ExpiresAt,
		})
	}
	return barred, nil
}
