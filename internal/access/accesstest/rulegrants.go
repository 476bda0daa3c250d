package accesstest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// crews creates a rule that gives each streamer a stage, and a rule that gives moderators access to
// all these stages.
func (h *Harness) crews(op access.Principal) (makes, moderates access.Rule) {
	h.t.Helper()
	h.Configure(func(c *access.Config) {
		c.External.Moderators = []access.Claim{{Name: "groups", Value: "moderators"}}
	})
	makes = must(h.PutRule(h.t.Context(), op, access.Rule{
		Claim: access.Claim{Name: "groups", Value: "streamers"}, Own: "{name}'s stage",
		Capabilities: both,
	}))(h.t)
	moderates = must(h.PutRule(h.t.Context(), op, access.Rule{
		Claim: access.Claim{Name: "groups", Value: "moderators"}, OwnOf: makes.ID,
		Capabilities: stage.Subscribe,
	}))(h.t)
	return makes, moderates
}

// names returns the names of the stages to which a user has access, with the capabilities.
func (h *Harness) names(who access.Principal) []string {
	h.t.Helper()
	names := []string{}
	for _, s := range must(h.Stages.Of(h.t.Context(), who))(h.t) {
		names = append(names, s.Stage.Name+" "+s.Capabilities.String())
	}
	return names
}

func (h *Harness) reaches(who access.Principal, want ...string) {
	h.t.Helper()
	if got := h.names(who); !slices.Equal(got, want) {
		h.t.Errorf("%s reaches %q, want %q", who.User.Name, got, want)
	}
}

func (on rules) TestARuleGivesAllStagesOfAnother(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		h.crews(op)
		ana := h.member("1", "Ana", "streamers")
		mia := h.member("2", "Mia", "moderators")
		h.reaches(mia, "Ana's stage subscribe")
		var told []access.UserID
		h.Configure(func(c *access.Config) {
			c.Changed = func(id access.UserID) { told = append(told, id) }
		})
		ben := h.member("3", "Ben", "streamers")
		h.reaches(mia, "Ana's stage subscribe", "Ben's stage subscribe")
		h.reaches(ben, "Ben's stage publish,subscribe")
		if !slices.Contains(told, mia.User.ID) {
			t.Errorf("told of Ben's stage: %v, want the moderator, too", told)
		}
		arn := must(h.Stages.Of(t.Context(), ana))(t)[0].Stage.ARN
		alone := must(h.ListUsers(t.Context(), op, access.UserFilter{Stage: arn},
			access.Page{}))(t).Items
		if len(alone) != 1 || alone[0].ID != ana.User.ID {
			t.Errorf("with access to Ana's stage alone: %+v, want Ana", alone)
		}
		on := must(h.OnStage(t.Context(), mia, arn))(t)
		if on.Capabilities != stage.Subscribe {
			t.Errorf("on one stage the moderator has %v", on.Capabilities)
		}
		page := access.Page{Limit: 10}
		list := must(h.Stages.List(t.Context(), mia, access.StageFilter{}, page))(t)
		if len(list.Items) != 2 || list.Items[0].Grant.Capabilities != stage.Subscribe {
			t.Errorf("the moderator's list has %+v", list.Items)
		}
		_, err := h.Issue(t.Context(), mia, access.IssueRequest{Stage: arn, For: "publish"})
		refused(t, err, stage.ErrDenied, "no_capability")
		watching := h.Issued(mia, arn)
		ok(t, h.Moderation.Kick(t.Context(), mia, arn, h.Issued(ana, arn).Participant.ID, "Pause."))

		t.Log("the rule does not change access that an operator gave")
		h.Grant(op, mia, arn, both)
		h.reaches(mia, "Ana's stage publish,subscribe", "Ben's stage subscribe")
		ok(t, h.RemoveGrant(t.Context(), op, mia.User.ID, arn))
		h.reaches(mia, "Ana's stage subscribe", "Ben's stage subscribe")
		refused(t, h.RemoveGrant(t.Context(), op, mia.User.ID, arn), stage.ErrConflict, "")
		ok(t, h.MayStay(t.Context(), watching.Participant))

		t.Log("without the claim, the access is gone")
		mia = h.member("2", "Mia")
		h.reaches(mia)
		refused(t, h.MayStay(t.Context(), watching.Participant), stage.ErrDenied, "token_revoked")
		if taken := h.trail(op, access.ActionAccessRemoved); !slices.ContainsFunc(taken,
			func(e access.Entry) bool {
				return e.Detail == `all stages "{name}'s stage": by rule`
			}) {
			t.Errorf("the trail has %+v", taken)
		}
	})
}

func (on rules) TestRulesOfAllStagesStandOnAnother(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		h.member("1", "Ana", "streamers")
		mia := h.member("2", "Mia", "moderators")
		makes, moderates := h.crews(op)
		h.reaches(mia, "Ana's stage subscribe")
		err := h.RemoveRule(t.Context(), op, makes.ID)
		refused(t, err, stage.ErrConflict, "")
		if says := "groups=moderators → all stages \"{name}'s stage\" (subscribe, tokens up to " +
			"12 hours)"; !strings.Contains(err.Error(), says) {
			t.Errorf("the refusal is %q, want it to say %s", err, says)
		}
		other := makes
		other.Own, other.Stage = "", h.NewStage(op, "main")
		_, err = h.PutRule(t.Context(), op, other)
		refused(t, err, stage.ErrConflict, "")
		for _, bad := range []access.Rule{
			{OwnOf: "nothing", Capabilities: both}, {OwnOf: moderates.ID, Capabilities: both},
			{OwnOf: makes.ID, Own: "{name}", Capabilities: both},
			{OwnOf: makes.ID, Region: "us-west-2", Capabilities: both},
		} {
			_, err := h.PutRule(t.Context(), op, bad)
			refused(t, err, stage.ErrInvalid, "")
		}
		token := h.Issued(mia, must(h.Stages.Of(t.Context(), mia))(t)[0].Stage.ARN)
		more := moderates
		more.Capabilities = both
		if e := must(h.RuleEffect(t.Context(), op, more))(t); e.Change != 1 || e.Lose+e.Gain != 0 {
			t.Errorf("the effect of more capabilities is %+v", e)
		}
		must(h.PutRule(t.Context(), op, more))(t)
		h.reaches(mia, "Ana's stage publish,subscribe")
		more.Capabilities = stage.Publish
		must(h.PutRule(t.Context(), op, more))(t)
		refused(t, h.MayStay(t.Context(), token.Participant), stage.ErrDenied, "token_revoked")
		ok(t, h.RemoveRule(t.Context(), op, moderates.ID))
		h.reaches(mia)
		ok(t, h.RemoveRule(t.Context(), op, makes.ID))
	})
}

// A moderator of all stages can be barred from one of them. The next sign-in does not end the bar.
func (on rules) TestABarFromOneOfAllStages(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		h.crews(op)
		ana := h.member("1", "Ana", "streamers")
		h.member("2", "Ben", "streamers")
		mia := h.member("3", "Mia", "moderators")
		arn := must(h.Stages.Of(t.Context(), ana))(t)[0].Stage.ARN
		mias := h.Issued(mia, arn).Participant.ID
		ok(t, h.Moderation.KickAndBar(t.Context(), op, arn, mias, "Noise."))
		for range 2 {
			h.reaches(mia, "Ben's stage subscribe")
			bars := must(h.Stages.Reach(t.Context(), mia))(t).Bars
			if len(bars) != 1 || bars[0].Stage.ARN != arn || bars[0].Reason != "Noise." ||
				!bars[0].At.Equal(h.Clock.Now()) {
				t.Errorf("the moderator is barred from %+v", bars)
			}
			_, err := h.Issue(t.Context(), mia, access.IssueRequest{Stage: arn})
			refused(t, err, stage.ErrDenied, "barred")
			mia = h.member("3", "Mia", "moderators")
		}
		ok(t, h.Moderation.Unbar(t.Context(), op, mia.User.ID, arn))
		h.reaches(mia, "Ana's stage subscribe", "Ben's stage subscribe")
		mia = h.member("3", "Mia", "moderators")
		h.reaches(mia, "Ana's stage subscribe", "Ben's stage subscribe")

		t.Log("a bar of access by rule survives a sign-in, too, and is noted once")
		given := len(h.trail(op, access.ActionAccessGiven))
		anas := h.Issued(ana, arn).Participant.ID
		ok(t, h.Moderation.KickAndBar(t.Context(), op, arn, anas, "Noise."))
		ana = h.member("1", "Ana", "streamers")
		if bars := must(h.Stages.Reach(t.Context(), ana))(t).Bars; len(bars) != 1 {
			t.Errorf("after a sign-in: got the bars %+v, want one", bars)
		}
		if again := len(h.trail(op, access.ActionAccessGiven)) - given; again != 0 {
			t.Errorf("the sign-in noted %d times that access was given", again)
		}
	})
}

// A moderator may have more stages than a page merges lists (maxModerated in package access). Lists
// for such a moderator read the records of all stages and filter them.
func (on rules) TestRecordsOfManyStages(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		h.crews(op)
		const stages = 103
		var arns []stage.ARN
		for i := range stages {
			who := h.member(fmt.Sprint(i), fmt.Sprintf("Streamer %d", i), "streamers")
			arns = append(arns, must(h.Stages.Of(t.Context(), who))(t)[0].Stage.ARN)
		}
		mia := h.member("mia", "Mia", "moderators")
		foreign := h.NewStage(op, "elsewhere")
		at := h.Clock.Now()
		for i, arn := range append(arns, foreign) {
			must(h.Config.Store.AddEvent(t.Context(), access.StoredEvent{
				User: op.User.ID, Event: stage.Event{
					Participant: stage.ParticipantID(fmt.Sprintf("p%d", i)), Stage: arn, Time: at,
					Kind: stage.EventRefused, Code: "expired",
				},
			}))(t)
		}
		refusals := must(h.Moderation.Refusals(t.Context(), mia, "", access.Page{Limit: 500}))(t)
		if len(refusals.Items) != stages {
			t.Errorf("the moderator sees %d refusals, want %d", len(refusals.Items), stages)
		}
		trail := must(h.Audit(t.Context(), mia, access.AuditFilter{
			Action: access.ActionStageCreated, Since: at.Add(-time.Hour),
		}, access.Page{Limit: 500}))(t)
		if len(trail.Items) != stages {
			t.Errorf("the trail shows %d stages, want %d", len(trail.Items), stages)
		}
		// Each of the last two streamers is barred from one stage. One of these stages is not among
		// the moderator's.
		for i, arn := range []stage.ARN{arns[0], foreign} {
			n := stages - 1 - i
			who := h.member(fmt.Sprint(n), fmt.Sprintf("Streamer %d", n), "streamers")
			h.Grant(op, who, arn, both)
			id := h.Issued(who, arn).Participant.ID
			ok(t, h.Moderation.KickAndBar(t.Context(), op, arn, id, "Noise."))
		}
		bars := must(h.Moderation.Bars(t.Context(), mia, "", access.Page{}))(t).Items
		if len(bars) != 1 || bars[0].Stage != arns[0] {
			t.Errorf("the moderator sees the bars %+v, want one from %s", bars, arns[0])
		}
		moderated := must(h.Moderation.Stages(t.Context(), mia, ""))(t)
		if len(moderated) != stages {
			t.Errorf("the moderator moderates %d stages, want %d", len(moderated), stages)
		}
	})
}
