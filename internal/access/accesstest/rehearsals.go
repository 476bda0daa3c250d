package accesstest

import (
	"slices"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// rehearsed returns the tokens of a new rehearsal.
func (h *Harness) rehearsed(t *testing.T, who access.Principal) access.Rehearsal {
	t.Helper()
	return must(h.Rehearse(t.Context(), who, "192.0.2.7"))(t)
}

func (on rules) TestARehearsalIsPrivateAndShort(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		ctx := t.Context()
		made := h.rehearsed(t, ana)
		own := stage.RehearsalARN(string(ana.User.ID))

		t.Log("one token publishes, the other one views, and both are for the user's private stage")
		publish := must(h.Verify(ctx, made.Publish.Secret))(t)
		view := must(h.Verify(ctx, made.View.Secret))(t)
		if publish.Stage != own || publish.Capabilities != stage.Publish ||
			view.Stage != own || view.Capabilities != stage.Subscribe {
			t.Errorf("the tokens: got %+v and %+v, want one to publish and one to view",
				publish, view)
		}
		if life := made.Publish.ExpiresAt.Sub(h.Clock.Now()); life > 2*time.Minute {
			t.Errorf("a rehearsal may last %v", life)
		}

		t.Log("nobody can request a token for the private stage, and no list contains it")
		for _, who := range []access.Principal{op, ana} {
			_, err := h.Issue(ctx, who, access.IssueRequest{Stage: own, For: "view"})
			if err == nil {
				t.Errorf("%s has a token for a rehearsal", who.User.Name)
			}
			if _, err := h.OnStage(ctx, who, own); err == nil {
				t.Errorf("%s watches who is at a rehearsal", who.User.Name)
			}
			for _, s := range must(h.Stages.Of(ctx, who))(t) {
				if s.Stage.ARN == own {
					t.Errorf("%s has a rehearsal in the list of stages", who.User.Name)
				}
			}
		}
		_, err := h.Token(ctx, op, publish.ID)
		refused(t, err, stage.ErrNotFound, "")
		if i := must(h.Token(ctx, ana, publish.ID))(t); i.Stage != own {
			t.Errorf("the user's own record: got %+v, want the private stage", i)
		}

		t.Log("the audit trail has the rehearsal")
		filter := access.AuditFilter{Action: access.ActionRehearsed}
		trail := must(h.Audit(ctx, op, filter, access.Page{}))(t)
		if len(trail.Items) != 1 || trail.Items[0].ActorName != "Ana" {
			t.Errorf("the trail: got %+v, want one entry by Ana", trail.Items)
		}

		t.Log("after the rehearsal's time, its tokens are refused, despite the leeway for clocks")
		h.Clock.Pass(made.Publish.ExpiresAt.Sub(h.Clock.Now()))
		for _, p := range []stage.Participant{publish, view} {
			refused(t, h.MayStay(ctx, p), stage.ErrDenied, "rehearsal_over")
		}

		t.Log("a rehearsal ends with the access of its user")
		p := must(h.Verify(ctx, h.rehearsed(t, ana).Publish.Secret))(t)
		ok(t, h.RemoveGrant(ctx, op, ana.User.ID, arn))
		refused(t, h.MayStay(ctx, p), stage.ErrDenied, "no_grant")
		_, err = h.Rehearse(ctx, ana, "")
		refused(t, err, stage.ErrDenied, "no_grant")
	})
}

func (on rules) TestARehearsalEndsWithItsLogin(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, _ := h.Scene()
		p := must(h.Verify(t.Context(), h.rehearsed(t, ana).Publish.Secret))(t)
		h.Fake.enter(p)
		ok(t, h.Logins.LogOut(t.Context(), ana))
		refused(t, h.MayStay(t.Context(), p), stage.ErrDenied, "token_revoked")
		if !slices.Contains(h.Fake.sentAway(), p.ID) {
			t.Error("the session of a rehearsal outlives the login")
		}
	})
}

func (on rules) TestRehearsalsAreLimited(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		for range 10 {
			h.rehearsed(t, ana)
			h.Clock.Pass(time.Second)
		}
		_, err := h.Rehearse(t.Context(), ana, "")
		refused(t, err, stage.ErrTooMany, "too_many_tokens")
		// The limit of rehearsals does not apply to other tokens.
		must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn}))(t)
		h.rehearsed(t, op)
		h.Clock.Pass(11 * time.Minute)
		h.rehearsed(t, ana)
	})
}

func (on rules) TestWithoutALocalStageNobodyRehearses(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, _ := h.Scene()
		h.Configure(func(cfg *access.Config) { cfg.NoLocalStages = true })
		_, err := h.Rehearse(t.Context(), ana, "")
		refused(t, err, stage.ErrConflict, "no_rehearsal")
	})
}
