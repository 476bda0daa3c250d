package store_test

import (
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestTheWholeWay(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		_, ana, arn := h.scene()
		token := h.issue(ana, arn)
		ok(t, h.Admit(t.Context(), token.Participant))
		ok(t, h.Revoke(t.Context(), ana.User, token.Participant.ID))
		refused(t, h.Admit(t.Context(), token.Participant), stage.ErrDenied, "token_revoked")
	})
}

func TestOneOfManyBecomesTheOperator(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		other := h.replica()
		code := must(h.NewSetupCode(t.Context()))(t)
		errs := race(8, func(i int) error {
			on := []*house{h, other}[i%2]
			_, _, err := on.SetUp(t.Context(), code, string(rune('A'+i)), password(goodPassword), home)
			return err
		})
		got := tally(errs)
		if got[""] != 1 || got["already_set_up"]+got["bad_code"] != 7 {
			t.Errorf("8 who set up at the same time: got %v, want one success and 7 refusals", got)
		}
		people := must(h.Users(t.Context(), access.CommandLine()))(t)
		if len(people) != 1 || people[0].Role != access.Operator || people[0].Invited {
			t.Errorf("Users: got %+v, want one operator", people)
		}
	})
}

func TestThirtyTokensAndNotOneMore(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		_, ana, arn := h.scene()
		other := h.replica()
		errs := race(45, func(i int) error {
			on := []*house{h, other}[i%2]
			_, err := on.Issue(t.Context(), ana.User, access.IssueRequest{Stage: arn})
			return err
		})
		if got := tally(errs); got[""] != 30 || got["too_many_tokens"] != 15 {
			t.Errorf("45 at the same time: got %v, want 30 tokens and 15 refusals", got)
		}
		h.clock.pass(9*time.Minute + 59*time.Second)
		_, err := h.Issue(t.Context(), ana.User, access.IssueRequest{Stage: arn})
		if e := refused(t, err, stage.ErrTooMany, "too_many_tokens"); e.RetryAfter != time.Second {
			t.Errorf("RetryAfter: got %v, want 1s", e.RetryAfter)
		}
		h.clock.pass(time.Second)
		h.issue(ana, arn)
	})
}
