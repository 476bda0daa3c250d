package accesstest

import (
	"slices"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// Bars are listed newest first, with who barred whom and why. A moderator sees the bars of the
// stages that they moderate. The bar of a user who became an operator is not in force.
func (on rules) TestWhoIsBarred(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		ben, _ := h.Broadcaster(op, "Ben")
		mia, _ := h.Broadcaster(op, "Mia")
		ok(t, h.UpdateUser(t.Context(), op, mia.User.ID, "", access.Moderator))
		mia.User.Role = access.Moderator
		side, far := h.NewStage(op, "side"), h.NewStage(op, "far")
		for _, s := range []stage.ARN{arn, side} {
			h.Grant(op, mia, s, both)
			h.Grant(op, ben, s, both)
		}
		h.Grant(op, ana, far, both)
		bar := func(who access.Principal, s stage.ARN, by access.Principal, reason string) {
			h.Clock.Pass(time.Second)
			id := h.Issued(who, s).Participant.ID
			ok(t, h.Moderation.KickAndBar(t.Context(), by, s, id, reason))
		}
		listed := func(by access.Principal, s stage.ARN, want ...string) {
			t.Helper()
			var got []string
			for p := (access.Page{Limit: 1}); ; {
				list := must(h.Moderation.Bars(t.Context(), by, s, p))(t)
				for _, b := range list.Items {
					name := must(h.Stages.Get(t.Context(), b.Stage))(t).Name
					got = append(got, b.Name+" from "+name+" by "+b.By+": "+b.Reason)
				}
				if p.After = list.Next; p.After == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s sees %q, want %q", by.User.Name, got, want)
			}
		}
		listed(op, "")
		bar(ana, arn, op, "Noise.")
		bar(ben, side, mia, "Language.")
		bar(ana, far, op, "Late.")
		noise := "Ana from main by Olga: Noise."
		listed(op, "", "Ana from far by Olga: Late.", "Ben from side by Mia: Language.", noise)
		listed(mia, "", "Ben from side by Mia: Language.", noise)
		listed(mia, arn, noise)
		_, err := h.Moderation.Bars(t.Context(), mia, far, access.Page{})
		refused(t, err, stage.ErrDenied, "no_grant")
		_, err = h.Moderation.Bars(t.Context(), ben, "", access.Page{})
		refused(t, err, stage.ErrDenied, "denied")

		ok(t, h.Moderation.Unbar(t.Context(), mia, ben.User.ID, side))
		ok(t, h.UpdateUser(t.Context(), op, ana.User.ID, "", access.Operator))
		listed(op, "")
	})
}
