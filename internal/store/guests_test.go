package store_test

import (
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestTheBearerOfATokenOfAWSIsKnown is about our own doors at a stage of AWS, whose tokens AWS alone can verify.
func TestTheBearerOfATokenOfAWSIsKnown(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		op, ana, local := h.scene()
		ok(t, h.AddStage(t.Context(), op.User, stage.Stage{ARN: awsARN, Name: "talk"}))
		h.grant(op, ana.User, awsARN, stage.Publish|stage.Subscribe)
		issue := func(life time.Duration) stage.ParticipantToken {
			return must(h.Issue(t.Context(), ana.User, access.IssueRequest{Stage: awsARN, TTL: life}))(t)
		}
		token := issue(time.Hour)
		p := must(h.AuthenticateToken(t.Context(), token.Secret))(t)
		if p.ID != token.Participant.ID || p.Stage != awsARN || p.UserID != string(ana.User.ID) || p.Name() != ana.User.Name {
			t.Errorf("AuthenticateToken: got %+v, want %+v", p, token.Participant)
		}
		must(h.replica().AuthenticateToken(t.Context(), token.Secret))(t)

		t.Log("the ID, which everybody on the stage sees, is no token; nor is a token of a local stage, which says itself whose it is")
		for _, other := range []stage.Secret{stage.NewSecret(string(p.ID)), stage.NewSecret(""), h.issue(ana, local).Secret} {
			_, err := h.AuthenticateToken(t.Context(), other)
			refused(t, err, stage.ErrDenied, "token_revoked")
		}

		t.Log("a viewing key's token is known for what it is")
		key, _, err := h.CreateViewKey(t.Context(), ana.User, awsARN, "grid")
		ok(t, err)
		view := must(h.IssueForView(t.Context(), key, ""))(t)
		if p := must(h.AuthenticateToken(t.Context(), view.Secret))(t); p.View != stage.ViewGrid {
			t.Errorf("the token of a viewing key: got %+v, want its view", p)
		}

		t.Log("revoked, expired, without a grant: not known any more")
		revoked, short := issue(time.Hour), issue(time.Minute)
		ok(t, h.Revoke(t.Context(), ana.User, revoked.Participant.ID))
		_, err = h.AuthenticateToken(t.Context(), revoked.Secret)
		refused(t, err, stage.ErrDenied, "token_revoked")
		h.clock.pass(time.Minute)
		_, err = h.AuthenticateToken(t.Context(), short.Secret)
		refused(t, err, stage.ErrUnauthorized, "token_expired")
		h.clock.pass(time.Second)
		ok(t, h.Prune(t.Context()))
		_, err = h.AuthenticateToken(t.Context(), short.Secret)
		refused(t, err, stage.ErrDenied, "token_revoked")
		ok(t, h.RemoveGrant(t.Context(), op.User, ana.User.ID, awsARN))
		_, err = h.AuthenticateToken(t.Context(), token.Secret)
		refused(t, err, stage.ErrDenied, "token_revoked")
	})
}
