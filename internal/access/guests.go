package access

import (
	"cmp"
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// remember keeps the hash of a token for a stage of AWS, until it expires. By it its bearer is known again at our own
// doors, which AWS does not watch: the chat. A token of a local stage says by its signature whose it is.
func (c *Control) remember(ctx context.Context, permit Permit, token stage.ParticipantToken) error {
	p := token.Participant
	if p.Stage.Local() {
		return nil
	}
	return c.Store.PutCredential(ctx, Credential{
		ID: string(p.ID), Kind: KindToken, Hash: hashOf(token.Secret), User: permit.Account.ID, Label: p.Name(),
		Stage: p.Stage, CreatedAt: c.Now(), ExpiresAt: token.ExpiresAt,
	})
}

// byToken finds the participant of a token. A local stage's token proves itself by its signature; one for AWS, which
// keeps its keys to itself, is known by its hash.
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
		// IVS lets a token have no user id; then the participant stands for the user.
		User:  User{ID: UserID(cmp.Or(p.UserID, string(p.ID))), Name: p.Name()},
		Stage: p.Stage, Capabilities: p.Capabilities, View: p.View, ExpiresAt: p.ExpiresAt,
	}, nil
}

// verifyAWS finds the participant of a token for a stage of AWS that was issued here. For any other it returns unknown.
func (c *Control) verifyAWS(ctx context.Context, secret stage.Secret, unknown error) (stage.Participant, error) {
	cred, account, err := c.Store.Credential(ctx, KindToken, hashOf(secret))
	if err != nil {
		return stage.Participant{}, notFoundIs(err, unknown)
	}
	if !c.Now().Before(cred.ExpiresAt) {
		return stage.Participant{}, stage.Errorf(stage.ErrUnauthorized, "The token has expired: get a new one.").WithCode("token_expired")
	}
	p := stage.Participant{
		ID: stage.ParticipantID(cred.ID), Stage: cred.Stage, UserID: string(account.ID),
		Attributes: map[string]string{"name": cred.Label}, ExpiresAt: cred.ExpiresAt,
	}
	return c.recognize(ctx, p)
}
