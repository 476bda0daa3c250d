package accesstest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// fakeAWS creates fake stages. If the field `before` is set, EnsureStage returns that error and
// creates no stage. If the field `after` is set, EnsureStage creates the stage and then returns
// that error.
type fakeAWS struct {
	made          map[string]stage.Stage // keyed by the tag of the user
	calls         int
	before, after error
}

func (p *fakeAWS) ServesRegion(region string) bool { return region == "us-west-2" }

func (p *fakeAWS) EnsureStage(
	_ context.Context, region, name string, tags map[string]string, again bool,
) (stage.Stage, error) {
	p.calls++
	if p.before != nil {
		return stage.Stage{}, p.before
	}
	user := tags[access.TagUser]
	if there, ok := p.made[user]; ok && again {
		return there, nil
	} else if ok {
		return stage.Stage{}, fmt.Errorf("a second stage for %s", user)
	}
	s := stage.Stage{
		ARN: stage.ARN(fmt.Sprintf("arn:aws:ivs:%s:123456789012:stage/own%d", region,
			len(p.made))), Name: name,
	}
	p.made[user] = s
	return s, p.after
}

func (on rules) TestAStageOfOnesOwnAtAWS(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		aws := &fakeAWS{made: map[string]stage.Stage{}}
		op := h.Operator()
		rule := access.Rule{
			Claim: access.Claim{Name: "groups", Value: "crew"}, Own: "{name}'s stage",
			Region: "us-west-2", Capabilities: stage.Publish,
		}
		_, err := h.PutRule(t.Context(), op, rule)
		refused(t, err, stage.ErrInvalid, "")
		h.Configure(func(c *access.Config) { c.StageMaker = aws })
		elsewhere := rule
		elsewhere.Region = "mars-north-1"
		_, err = h.PutRule(t.Context(), op, elsewhere)
		refused(t, err, stage.ErrInvalid, "")
		must(h.PutRule(t.Context(), op, rule))(t)

		ben := h.member("1", "Ben", "crew")
		stages := func(who access.Principal) int {
			return len(must(h.Stages.Of(t.Context(), who))(t))
		}
		if n := stages(ben); n != 0 || aws.calls != 0 {
			t.Errorf("before AWS was asked: %d stages, %d calls", n, aws.calls)
		}
		t.Log("AWS refuses, then the server stops between the stage and its record")
		aws.before = errors.New("no quota")
		must(h.MakeOwnStages(t.Context()))(t)
		must(h.MakeOwnStages(t.Context()))(t)
		if aws.calls != 1 {
			t.Errorf("%d calls, want a pause after the first", aws.calls)
		}
		aws.before, aws.after = nil, errors.New("stopped")
		h.Clock.Pass(time.Hour)
		must(h.MakeOwnStages(t.Context()))(t)
		aws.after = nil
		h.Clock.Pass(time.Hour)
		must(h.MakeOwnStages(t.Context()))(t)
		got := must(h.Stages.Of(t.Context(), ben))(t)
		if len(got) != 1 || got[0].Stage.Name != "Ben's stage" || len(aws.made) != 1 {
			t.Errorf("Ben has %+v, AWS %+v", got, aws.made)
		}
		if name := aws.made[string(ben.User.ID)].Name; name != "Ben-s-stage" {
			t.Errorf("AWS calls it %q", name)
		}
		calls := aws.calls
		h.member("1", "Ben", "crew")
		must(h.MakeOwnStages(t.Context()))(t)
		if aws.calls != calls {
			t.Error("the next sign-in asks AWS again")
		}

		t.Log("a user who lost the claim before the stage existed gets no access to it")
		eve := h.member("2", "Eve", "crew")
		h.member("2", "Eve")
		must(h.MakeOwnStages(t.Context()))(t)
		if n := stages(eve); n != 0 {
			t.Errorf("Eve has %d stages", n)
		}
	})
}

// There are several ways in which an account is created. After each of them, AWS is asked for the
// user's own stage at once.
func (on rules) TestTheStageOfANewUserIsAskedForAtOnce(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, asked := h.Operator(), 0
		h.Configure(func(c *access.Config) {
			c.StageMaker, c.Wanted = &fakeAWS{made: map[string]stage.Stage{}}, func() { asked++ }
		})
		must(h.PutRule(t.Context(), op, access.Rule{
			Own: "{name}", Region: "us-west-2", Capabilities: stage.Publish,
		}))(t)
		for way, come := range map[string]func() error{
			"an invite": func() error {
				_, _, _, err := h.AddUser(t.Context(), op, "Ana", access.Broadcaster)
				return err
			},
			"the provider": func() error {
				_, _, err := h.LogInExternal(t.Context(), external("1", "Ben"), home)
				return err
			},
			"a dock link": func() error {
				_, err := h.CreateDockLink(t.Context(), op, access.DockLinkRequest{
					ExternalID: "u-17", Name: "Kim",
				})
				return err
			},
		} {
			before := asked
			ok(t, come())
			if asked == before {
				t.Errorf("a user by %s waits for their stage until the next look", way)
			}
		}
	})
}
