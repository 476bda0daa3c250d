package accesstest

import (
	"errors"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestTheBearerOfATokenOfAWSIsKnown checks that tokens for an AWS stage are recognized, although
// only AWS can verify them.
func (on rules) TestTheBearerOfATokenOfAWSIsKnown(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, local := h.Scene()
		ok(t, h.Stages.AddAWS(t.Context(), op, stage.Stage{ARN: awsARN, Name: "talk"}))
		h.Grant(op, ana, awsARN, stage.Publish|stage.Subscribe)
		issue := func(life time.Duration) stage.ParticipantToken {
			return must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: awsARN, TTL: life}))(t)
		}
		token := issue(time.Hour)
		p := must(h.Authenticate(t.Context(), access.Presented{Bearer: token.Secret}))(t)
		if p.CredentialID != string(token.Participant.ID) || p.Stage != awsARN ||
			p.User != (access.User{ID: ana.User.ID, Name: ana.User.Name}) ||
			p.Capabilities != token.Participant.Capabilities {
			t.Errorf("Authenticate: got %+v, want %+v", p, token.Participant)
		}
		must(h.Replica().Authenticate(t.Context(), access.Presented{Bearer: token.Secret}))(t)

		t.Log("neither a participant ID, which everybody on the stage sees, nor a made-up text " +
			"is a token")
		for _, other := range []string{p.CredentialID, "", "token." + p.CredentialID + ".forged"} {
			_, err := h.Authenticate(t.Context(), access.Presented{Bearer: stage.NewSecret(other)})
			if !errors.Is(err, stage.ErrUnauthorized) {
				t.Errorf("%q: got %v, want %v", other, err, stage.ErrUnauthorized)
			}
		}

		t.Log("a local stage's token is known by its signature, and good for that stage alone")
		here := must(h.Authenticate(t.Context(),
			access.Presented{Bearer: h.Issued(ana, local).Secret}))(t)
		must(h.OnStage(t.Context(), here, local))(t)
		_, err := h.OnStage(t.Context(), here, awsARN)
		refused(t, err, stage.ErrDenied, "no_grant")

		t.Log("the token of a viewing key is recognized as such")
		_, secret, err := h.ViewKeys.Create(t.Context(), ana, awsARN, "grid")
		ok(t, err)
		key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		view := must(h.IssueForView(t.Context(), key, ""))(t)
		if p := must(h.Authenticate(t.Context(), access.Presented{Bearer: view.Secret}))(
			t); p.View != stage.ViewGrid {
			t.Errorf("the token of a viewing key: got %+v, want its view", p)
		}

		t.Log("tokens that were revoked, have expired or lost their grant are refused")
		revoked, short := issue(time.Hour), issue(time.Minute)
		ok(t, h.Revoke(t.Context(), ana, revoked.Participant.ID))
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: revoked.Secret})
		refused(t, err, stage.ErrDenied, "token_revoked")
		h.Clock.Pass(time.Minute)
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: short.Secret})
		refused(t, err, stage.ErrUnauthorized, "token_expired")
		h.Clock.Pass(time.Second)
		ok(t, h.Prune(t.Context()))
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: short.Secret})
		refused(t, err, stage.ErrDenied, "token_revoked")
		ok(t, h.RemoveGrant(t.Context(), op, ana.User.ID, awsARN))
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: token.Secret})
		refused(t, err, stage.ErrDenied, "token_revoked")
	})
}
