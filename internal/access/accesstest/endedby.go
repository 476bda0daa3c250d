package accesstest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// ended records that a participant was disconnected, as a media server reports it. It returns the
// event, and the data of its message to a webhook.
func (h *Harness) ended(
	hook access.WebhookID, id stage.ParticipantID, arn stage.ARN,
) (access.StoredEvent, access.ParticipantMessage) {
	h.t.Helper()
	e := must(h.Events.Record(h.t.Context(), stage.Event{
		Kind: stage.EventEnded, Participant: id, Stage: arn, Code: stage.CodeKicked,
		Detail: "Noise.",
	}))(h.t)
	now := h.Clock.Now()
	due := must(h.outbox().ClaimDeliveries(h.t.Context(), hook, now, now.Add(time.Hour), 10))(h.t)
	if len(due) != 1 {
		h.t.Fatalf("the end queued %d messages, want 1", len(due))
	}
	var message struct{ Data access.ParticipantMessage }
	ok(h.t, json.Unmarshal(due[0].Body, &message))
	return e, message.Data
}

// A kick, a bar, or the removal of access disconnects a participant. After a kick or a bar, the
// event and its message name the user who did it, and say whether it was a bar. After the removal
// of access, they contain no user.
func (on rules) TestAnEndSaysWhoEndedIt(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		hook := must(h.Webhooks.Create(t.Context(), op, "https://hooks.example/in",
			[]string{access.MessageParticipantEnded}))(t)
		h.Clock.Pass(5 * time.Second) // the cache of webhooks' message types expires
		h.Configure(func(c *access.Config) {
			c.External.Moderators = []access.Claim{{Name: "groups", Value: "moderators"}}
		})
		mia := h.member("1", "Mia", "moderators")
		h.Grant(op, mia, arn, stage.Subscribe)
		check := func(id stage.ParticipantID, by string, role access.Role, barred bool) {
			t.Helper()
			e, data := h.ended(hook.ID, id, arn)
			if e.By.Name != by || e.By.Role != role || e.Barred != barred {
				t.Errorf("the event has %+v, barred %v", e.By, e.Barred)
			}
			stored := must(h.ListEvents(t.Context(), op,
				access.EventFilter{Participant: id}, access.Page{}))(t).Items
			if len(stored) != 1 || stored[0].By != e.By || stored[0].Barred != barred {
				t.Errorf("the stored events are %+v", stored)
			}
			if data.Barred != barred || (data.By == nil) != (by == "") ||
				data.By != nil && (data.By.Name != by || data.By.Role != role) {
				t.Errorf("the message has %+v, barred %v", data.By, data.Barred)
			}
		}
		token := func(who access.Principal) stage.ParticipantID {
			h.Clock.Pass(time.Minute)
			return h.Issued(who, arn).Participant.ID
		}

		kicked := token(ana)
		ok(t, h.Moderation.Kick(t.Context(), mia, arn, kicked, "Noise."))
		check(kicked, "Mia", access.Moderator, false)

		t.Log("the user's access is removed and given again")
		removed := token(ana)
		ok(t, h.RemoveGrant(t.Context(), op, ana.User.ID, arn))
		check(removed, "", "", false)
		h.Grant(op, ana, arn, both)

		t.Log("a bar ends every session of the user, and not only the one that was kicked")
		first, second := token(ana), token(ana)
		parting := h.Issued(ana, arn)
		ok(t, h.Moderation.KickAndBar(t.Context(), op, arn, first, "Noise."))
		_, err := h.Verify(t.Context(), parting.Secret)
		if refused(t, err, stage.ErrDenied, "barred"); !strings.Contains(err.Error(), "Noise.") {
			t.Errorf("the revoked token is refused with %v, want the reason of the bar", err)
		}
		check(first, "Olga", access.Operator, true)
		check(second, "Olga", access.Operator, true)

		t.Log("after the end of the bar, an end by a kick has no bar again")
		ok(t, h.Moderation.Unbar(t.Context(), op, ana.User.ID, arn))
		_, err = h.Verify(t.Context(), parting.Secret)
		refused(t, err, stage.ErrDenied, "token_revoked")
		after := token(ana)
		ok(t, h.Moderation.Kick(t.Context(), mia, arn, after, ""))
		if e := h.trail(op, access.ActionKicked)[0]; e.Detail != "Removed by a moderator." {
			t.Errorf("without a reason the trail has %q", e.Detail)
		}
		check(after, "Mia", access.Moderator, false)

		t.Log("a guest is barred by the end of the link")
		_, guest := h.invited(t, op, access.GuestLinkRequest{
			Stage: arn, Role: access.GuestPublishes, Name: "interview", Uses: 2, Life: time.Hour,
		})
		gil := must(h.AdmitGuest(t.Context(), guest, "Gil", ""))(t).Participant.ID
		h.Clock.Pass(time.Second)
		ok(t, h.Moderation.KickAndBar(t.Context(), mia, arn, gil, "Noise."))
		check(gil, "Mia", access.Moderator, true)
	})
}
