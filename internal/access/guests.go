package access

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// kindToken is a participant token that this server cannot verify by itself: AWS signed it, or will verify it.
const kindToken Kind = "token"

// remember keeps the hash of a token for a stage of AWS, until it expires. By it its bearer is known again at our own
// doors, which AWS does not watch: the chat. A token of a local stage says by its signature whose it is.
func (c *Control) remember(ctx context.Context, permit Permit, token stage.ParticipantToken) error {
	p := token.Participant
	if p.Stage.Local() {
		return nil
	}
	return c.Store.PutCredential(ctx, Credential{
		ID: string(p.ID), Kind: kindToken, Hash: hashOf(token.Secret), User: permit.Account.ID, Label: p.Name(),
		Stage: p.Stage, CreatedAt: c.Now(), ExpiresAt: token.ExpiresAt,
	})
}

// AuthenticateToken finds whom a token for a stage of AWS was issued for here. It was not revoked and has not expired.
func (c *Control) AuthenticateToken(ctx context.Context, secret stage.Secret) (stage.Participant, error) {
	cred, account, err := c.Store.Credential(ctx, kindToken, hashOf(secret))
	if err != nil {
		return stage.Participant{}, notFoundIs(err, tokenRevoked())
	}
	if !c.Now().Before(cred.ExpiresAt) {
		return stage.Participant{}, stage.Errorf(stage.ErrUnauthorized, "The token has expired: get a new one.").WithCode("token_expired")
	}
	p := stage.Participant{
		ID: stage.ParticipantID(cred.ID), Stage: cred.Stage, UserID: string(account.ID),
		Attributes: map[string]string{"name": cred.Label}, ExpiresAt: cred.ExpiresAt,
	}
	return c.Recognize(ctx, p)
}
