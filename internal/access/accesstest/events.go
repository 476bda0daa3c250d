package accesstest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func (on rules) TestEventsAreTheirOwners(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		token := h.Issued(ana, arn)
		refusal := stage.Event{
			Kind: stage.EventRefused, Stage: arn, Participant: token.Participant.ID,
			Code: "no_h264", Detail: "The offer has no H.264.\x00",
		}
		first := must(h.Events.Record(t.Context(), refusal))(t)
		if first.User != ana.User.ID || first.ID == 0 || !first.Time.Equal(h.Clock.Now()) {
			t.Errorf("Record: got %+v, want Ana's, of now, with an ID", first)
		}
		h.Clock.Pass(time.Minute)
		second := must(h.Events.Record(t.Context(), stage.Event{Kind: stage.EventConnected,
			Participant: token.Participant.ID}))(t)
		for _, id := range []stage.ParticipantID{"unknown", "", "\x00\xff"} {
			stored := must(h.Events.Record(t.Context(),
				stage.Event{Kind: stage.EventRefused, Participant: id}))(t)
			if stored.User != "" || stored.ID != 0 {
				t.Errorf("an event of nobody we know: got %+v, want it not stored", stored)
			}
		}
		list := func(after int64, since time.Duration) []access.StoredEvent {
			return must(h.Events.After(t.Context(), ana.User.ID, after, h.Clock.Now().Add(-since)))(
				t)
		}
		all := list(0, time.Hour)
		if len(all) != 2 || all[0] != first || all[1] != second {
			t.Errorf("After 0: got %+v, want %+v, %+v", all, first, second)
		}
		if all[0].Detail != "The offer has no H.264." || all[1].Stage != arn ||
			all[1].UserID != string(ana.User.ID) {
			t.Errorf("After 0: got %+v", all)
		}
		if got := list(first.ID, time.Hour); len(got) != 1 || got[0] != second {
			t.Errorf("After the first: got %+v, want the second", got)
		}
		if got := list(0, 10*time.Second); len(got) != 1 || got[0] != second {
			t.Errorf("After 0 of 10s: got %+v, want the second", got)
		}
		if got := must(h.Events.After(t.Context(), "unknown", 0, time.Time{}))(t); len(got) != 0 {
			t.Errorf("the events of a user without any: got %+v, want none", got)
		}
	})
}

// Events appear in the order of their IDs on every replica, so that a reader that resumes after an
// ID misses none.
func (on rules) TestEventsAppearInOrder(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		other := h.Replica()
		token := h.Issued(ana, arn)
		const writers, each = 4, 25
		done := make(chan []error, 1)
		go func() {
			done <- race(writers, func(i int) error {
				for range each {
					on := []*Harness{h, other}[i%2]
					_, err := on.Events.Record(t.Context(), stage.Event{
						Kind: stage.EventWarning, Participant: token.Participant.ID,
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
		}()
		var last int64
		seen := 0
		for deadline := time.Now().Add(time.Minute); seen < writers*each &&
			time.Now().Before(deadline); {
			for _, e := range must(h.Events.After(t.Context(), ana.User.ID, last, time.Time{}))(t) {
				last = e.ID
				seen++
			}
		}
		for _, err := range <-done {
			ok(t, err)
		}
		if seen != writers*each {
			t.Errorf("followed by the last ID: got %d of %d events", seen, writers*each)
		}
	})
}

func (on rules) TestPruning(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		// The records of tokens are kept at least as long as the audit trail, whose default is a
		// year. With an hour, the records' own retention of 44 days applies.
		h.Configure(func(c *access.Config) { c.AuditRetention = time.Hour })
		token := must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn, TTL: time.Hour}))(t)
		must(h.Events.Record(t.Context(), stage.Event{Kind: stage.EventEnded,
			Participant: token.Participant.ID}))(t)
		h.guess("nobody", from("198.51.100.7"))
		rest := func() (events, tokens int) {
			ok(t, h.Prune(t.Context()))
			_, err := h.Token(t.Context(), op, token.Participant.ID)
			if err == nil {
				tokens = 1
			}
			return len(must(h.Events.After(t.Context(), ana.User.ID, 0, time.Time{}))(t)), tokens
		}
		h.Clock.Pass(7*24*time.Hour - time.Minute)
		if events, tokens := rest(); events != 1 || tokens != 1 {
			t.Errorf("within 7 days: got %d events, %d tokens, want both kept", events, tokens)
		}
		h.Clock.Pass(2 * time.Minute)
		if events, tokens := rest(); events != 0 || tokens != 1 {
			t.Errorf("after 7 days: got %d events, %d tokens, want the token only", events, tokens)
		}
		h.Clock.Pass(37*24*time.Hour - 2*time.Minute)
		if _, tokens := rest(); tokens != 1 {
			t.Error("the token's record is gone before 44 days")
		}
		h.Clock.Pass(2 * time.Minute)
		if _, tokens := rest(); tokens != 0 {
			t.Error("the token's record is kept after 44 days")
		}
		// Many wrong guesses do not slow down the address from which Ana has signed in before.
		for range 12 {
			h.guess("ana", from("198.51.100.7"))
		}
		_, _, err := h.PasswordLogins.LogIn(t.Context(), "ana", password(goodPassword), home)
		ok(t, err)
	})
}

func (on rules) TestACrashIsWrittenDown(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		tell := func(id stage.ParticipantID, kinds ...stage.EventKind) {
			for _, kind := range kinds {
				h.Clock.Pass(time.Second)
				must(h.Events.Record(t.Context(), stage.Event{Kind: kind, Participant: id}))(t)
			}
		}
		cut, over, turnedAway := h.Issued(ana, arn).Participant.ID, h.Issued(ana, arn).
			Participant.ID, h.Issued(ana, arn).Participant.ID
		tell(cut, stage.EventConnected, stage.EventPublishing, stage.EventWarning,
			stage.EventRefused)
		tell(over, stage.EventConnected, stage.EventPublishing, stage.EventEnded)
		tell(turnedAway, stage.EventRefused)

		for range 2 { // the second start finds nothing to do
			must(h.Events.EndUnfinished(t.Context()))(t)
		}
		ends := map[stage.ParticipantID]int{}
		for _, e := range must(h.Events.After(t.Context(), ana.User.ID, 0, time.Time{}))(t) {
			if e.Kind == stage.EventEnded {
				ends[e.Participant]++
			}
		}
		if len(ends) != 2 || ends[cut] != 1 || ends[over] != 1 {
			t.Errorf(
				"ends: got %v, want one of the broadcast that was cut and the one that was there",
				ends)
		}
	})
}

// TestACrashWithManySessions: the ends of many sessions are stored while the server serves. No end
// is stored for a session that begins meanwhile, and none for a session on an AWS stage.
func (on rules) TestACrashWithManySessions(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		const sessions = 1250
		connected := func(i int, arn stage.ARN) access.StoredEvent {
			return access.StoredEvent{User: ana.User.ID, Event: stage.Event{
				Kind: stage.EventConnected, Time: h.Clock.Now(), Stage: arn,
				Participant: stage.ParticipantID(fmt.Sprintf("participant-%04d", i)),
			}}
		}
		begin := []access.StoredEvent{connected(sessions, awsARN)}
		for i := range sessions {
			begin = append(begin, connected(i, arn))
		}
		must(h.Config.Store.AddEvents(t.Context(), begin))(t)

		others := must(h.Events.EndUnfinished(t.Context()))(t)
		back := connected(sessions-1, arn)
		must(h.Config.Store.AddEvent(t.Context(), back))(t)
		ok(t, others(t.Context()))

		ends := map[stage.ParticipantID]int{}
		last := int64(0)
		for {
			events := must(h.Events.After(t.Context(), ana.User.ID, last, time.Time{}))(t)
			if len(events) == 0 {
				break
			}
			for _, e := range events {
				last = e.ID
				if e.Kind == stage.EventEnded {
					ends[e.Participant]++
				}
			}
		}
		if len(ends) != sessions-1 || ends[back.Participant] != 0 {
			t.Errorf("ended: got %d sessions, and %d times the participant that is back; want %d "+
				"and 0", len(ends), ends[back.Participant], sessions-1)
		}
		if next := must(h.Config.Store.AddEvent(t.Context(), back))(t).ID; next <= last {
			t.Errorf("the next event: got ID %d, want more than %d", next, last)
		}
	})
}

func (on rules) TestRefusalsOfAParticipantAreBounded(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		dead, other := h.Issued(ana, arn).Participant.ID, h.Issued(ana, arn).Participant.ID
		must(h.Events.Record(t.Context(), stage.Event{Kind: stage.EventConnected,
			Participant: dead}))(t)
		refused := stage.Event{Kind: stage.EventRefused, Participant: other}
		must(h.Events.Record(t.Context(), refused))(t)
		var last access.StoredEvent
		for range 60 {
			last = must(h.Events.Record(t.Context(),
				stage.Event{Kind: stage.EventRefused, Participant: dead}))(t)
		}
		all := must(h.Events.After(t.Context(), ana.User.ID, 0, h.Clock.Now().Add(-time.Hour)))(t)
		if len(all) != 52 || all[0].Kind != stage.EventConnected || all[len(all)-1] != last {
			t.Errorf("got %d events, want what happened, the other's refusal, and the newest 50",
				len(all))
		}
	})
}

// The list contains the refusals of the last hour, and no older ones.
func (on rules) TestRefusalsAreOfTheLastHour(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		token := h.Issued(ana, arn).Participant
		for range 3 {
			must(h.Events.Record(t.Context(), stage.Event{
				Kind: stage.EventRefused, Participant: token.ID, Code: "token_expired",
			}))(t)
			h.Clock.Pass(40 * time.Minute)
		}
		listed := func(limit int) int {
			t.Helper()
			page := must(h.Moderation.Refusals(t.Context(), op, "", access.Page{Limit: limit}))(t)
			if page.Next != "" {
				t.Errorf("%d per page: there is another page", limit)
			}
			return len(page.Items)
		}
		if got := listed(10); got != 1 {
			t.Errorf("40, 80 and 120 minutes ago: got %d refusals, want 1", got)
		}
		if got := listed(2); got != 1 {
			t.Errorf("in pages of two: got %d refusals, want 1", got)
		}
		h.Clock.Pass(time.Hour)
		if got := listed(10); got != 0 {
			t.Errorf("after the hour: got %d refusals, want none", got)
		}
	})
}
