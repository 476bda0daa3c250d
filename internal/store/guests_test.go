package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestTheBearerOfATokenOfAWSIsKnown is about our own doors at a stage of AWS, whose tokens AWS alone can verify.
func TestTheBearerOfATokenOfAWSIsKnown(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		op, ana, local := h.scene()
		ok(t, h.AddStage(t.Context(), op, stage.Stage{ARN: awsARN, Name: "talk"}))
		h.grant(op, ana, awsARN, stage.Publish|stage.Subscribe)
		issue := func(life time.Duration) stage.ParticipantToken {
			return must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: awsARN, TTL: life}))(t)
		}
		token := issue(time.Hour)
		p := must(h.Authenticate(t.Context(), access.Presented{Bearer: token.Secret}))(t)
		if p.CredentialID != string(token.Participant.ID) || p.Stage != awsARN || p.User != (access.User{ID: ana.User.ID, Name: ana.User.Name}) || p.Capabilities != token.Participant.Capabilities {
			t.Errorf("Authenticate: got %+v, want %+v", p, token.Participant)
		}
		must(h.replica().Authenticate(t.Context(), access.Presented{Bearer: token.Secret}))(t)

		t.Log("the ID, which everybody on the stage sees, is no token; nor is anything made up")
		for _, other := range []string{p.CredentialID, "", "token." + p.CredentialID + ".forged"} {
			_, err := h.Authenticate(t.Context(), access.Presented{Bearer: stage.NewSecret(other)})
			if !errors.Is(err, stage.ErrUnauthorized) {
				t.Errorf("%q: got %v, want %v", other, err, stage.ErrUnauthorized)
			}
		}

		t.Log("a local stage's token is known by its signature, and good for that stage alone")
		here := must(h.Authenticate(t.Context(), access.Presented{Bearer: h.issue(ana, local).Secret}))(t)
		must(h.OnStage(t.Context(), here, local))(t)
		_, err := h.OnStage(t.Context(), here, awsARN)
		refused(t, err, stage.ErrDenied, "no_grant")

		t.Log("a viewing key's token is known for what it is")
		_, secret, err := h.CreateViewKey(t.Context(), ana, awsARN, "grid")
		ok(t, err)
		key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		view := must(h.IssueForView(t.Context(), key, ""))(t)
		if p := must(h.Authenticate(t.Context(), access.Presented{Bearer: view.Secret}))(t); p.View != stage.ViewGrid {
			t.Errorf("the token of a viewing key: got %+v, want its view", p)
		}

		t.Log("revoked, expired, without a grant: not known any more")
		revoked, short := issue(time.Hour), issue(time.Minute)
		ok(t, h.Revoke(t.Context(), ana, revoked.Participant.ID))
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: revoked.Secret})
		refused(t, err, stage.ErrDenied, "token_revoked")
		h.clock.pass(time.Minute)
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: short.Secret})
		refused(t, err, stage.ErrUnauthorized, "token_expired")
		h.clock.pass(time.Second)
		ok(t, h.Prune(t.Context()))
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: short.Secret})
		refused(t, err, stage.ErrDenied, "token_revoked")
		ok(t, h.RemoveGrant(t.Context(), op, ana.User.ID, awsARN))
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: token.Secret})
		refused(t, err, stage.ErrDenied, "token_revoked")
	})
}
