package accesstest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// walked returns all entries of a filter, oldest first, read in pages of two.
func (h *Harness) walked(by access.Principal, f access.AuditFilter) []access.Entry {
	h.t.Helper()
	var all []access.Entry
	for p := (access.Page{Limit: 2}); ; {
		page := must(h.Audit(h.t.Context(), by, f, p))(h.t)
		all = append(all, page.Items...)
		if p.After = page.Next; p.After == "" {
			break
		}
	}
	slices.Reverse(all)
	return all
}

func actionsOf(entries []access.Entry) []access.Action {
	var actions []access.Action
	for _, e := range entries {
		actions = append(actions, e.Action)
	}
	return actions
}

// The history of a person includes entries about other targets that belong to the person: a kick is
// about a participant, and a revocation about a token.
func (on rules) TestTheHistoryOfAPersonHasTheirKicks(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		other := h.NewStage(op, "other")
		h.Grant(op, ana, other, both)
		_, code, _, err := h.AddUser(t.Context(), op, "Mia", access.Moderator)
		ok(t, err)
		mia, _, err := h.Invites.Accept(t.Context(), code, password(goodPassword), home)
		ok(t, err)
		h.Grant(op, mia, arn, stage.Subscribe)
		h.Clock.Pass(time.Minute)
		start := h.Clock.Now()

		ok(t, h.Moderation.Kick(t.Context(), mia, arn, h.Issued(ana, arn).Participant.ID, "Noise."))
		ok(t, h.Revoke(t.Context(), op, h.Issued(ana, other).Participant.ID))
		h.Chat.NoteMuted(t.Context(), access.Principal{User: mia.User, Stage: arn}, ana.User, true)
		barred := h.Issued(ana, arn).Participant.ID
		ok(t, h.Moderation.KickAndBar(t.Context(), mia, arn, barred, "Noise."))
		ok(t, h.Moderation.Unbar(t.Context(), mia, ana.User.ID, arn))
		key, _, err := h.AccessKeys.Create(t.Context(), ana, "kiosk")
		ok(t, err)
		ok(t, h.AccessKeys.Revoke(t.Context(), ana, key.ID))
		link, guest := h.invited(t, op, access.GuestLinkRequest{
			Stage: arn, Role: access.GuestPublishes, Name: "interview", Uses: 2, Life: time.Hour,
			Owner: ana.User.ID,
		})
		t.Log("the guest of Ana's link is not Ana")
		gil := must(h.AdmitGuest(t.Context(), guest, "Gil", ""))(t).Participant.ID
		ok(t, h.Moderation.Kick(t.Context(), mia, arn, gil, "Noise."))
		ok(t, h.GuestLinks.Revoke(t.Context(), op, link.ID))

		about := access.AuditFilter{Target: string(ana.User.ID), Since: start}
		got := h.walked(op, about)
		want := []access.Action{
			access.ActionKicked, access.ActionTokenRevoked, access.ActionMuted,
			access.ActionBarred, access.ActionUnbarred, access.ActionKeyCreated,
			access.ActionKeyRevoked, access.ActionGuestLinkMade, access.ActionGuestLinkEnded,
		}
		if !slices.Equal(actionsOf(got), want) {
			t.Errorf("about Ana: got %v, want %v", actionsOf(got), want)
		}
		kicks := h.walked(op, access.AuditFilter{Target: string(ana.User.ID), Stage: arn,
			Action: access.ActionKicked})
		if len(kicks) != 1 || kicks[0].TargetUser != ana.User.ID || kicks[0].TargetName != "Ana" {
			t.Errorf("Ana's kicks: got %+v, want that by Mia", kicks)
		}
		if guests := h.walked(op, access.AuditFilter{Target: string(gil)}); len(guests) == 0 ||
			guests[0].TargetUser != "" {
			t.Errorf("about the guest: got %+v, want no user", guests)
		}

		t.Log("a moderator sees the entries of the stages that were granted")
		scoped := h.walked(mia, about)
		want = slices.DeleteFunc(want, func(a access.Action) bool {
			return a == access.ActionTokenRevoked || a == access.ActionKeyCreated ||
				a == access.ActionKeyRevoked
		})
		if !slices.Equal(actionsOf(scoped), want) {
			t.Errorf("about Ana, for Mia: got %v, want %v", actionsOf(scoped), want)
		}
	})
}

// The entry about a stage that a rule created for a person is in the history of this person.
func (on rules) TestTheHistoryOfAPersonHasTheirOwnStage(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, _ := h.Scene()
		must(h.PutRule(t.Context(), op, access.Rule{Own: "{name}'s stage", Capabilities: both}))(t)
		made := h.walked(op, access.AuditFilter{
			Target: string(ana.User.ID), Action: access.ActionStageCreated,
		})
		if len(made) != 1 || made[0].TargetName != "Ana's stage" {
			t.Errorf("got %+v, want Ana's stage", made)
		}
	})
}

// Entries of the same millisecond are in the order in which they were made.
func (on rules) TestTheTrailIsInTheOrderOfHappening(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		hall := h.NewStage(op, "hall")
		must(h.PutRule(t.Context(), op, access.Rule{Stage: hall, Capabilities: both}))(t)
		h.Configure(func(c *access.Config) {
			c.External.Moderators = []access.Claim{{Name: "groups", Value: "moderators"}}
		})
		for _, subject := range []string{"1", "2", "3", "4"} {
			mia := h.member(subject, "Mia "+subject, "moderators")
			got := actionsOf(h.walked(op, access.AuditFilter{Target: string(mia.User.ID)}))
			want := []access.Action{
				access.ActionUserCreated, access.ActionUserChanged, access.ActionAccessGiven,
				access.ActionLogin,
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	})
}

// switched is a database whose method Stage, with which each kick begins, can be made to fail.
type switched struct {
	access.Store
	away bool
}

func (s *switched) unavailable() error {
	if s.away {
		return stage.Errorf(stage.ErrUnavailable, "the database does not answer")
	}
	return nil
}

func (s *switched) Issuance(
	ctx context.Context, id stage.ParticipantID,
) (access.Issuance, error) {
	if err := s.unavailable(); err != nil {
		return access.Issuance{}, err
	}
	return s.Store.Issuance(ctx, id)
}

func (s *switched) Stage(ctx context.Context, arn stage.ARN) (access.StageRecord, error) {
	if err := s.unavailable(); err != nil {
		return access.StageRecord{}, err
	}
	return s.Store.Stage(ctx, arn)
}

// Settle stores the revocations that an outage of the database left in memory. While the database
// is away, it ends with its context, and names the participants whose revocations are left.
func (on rules) TestSettleStoresTheRevocationsOfAnOutage(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		database := &switched{Store: h.Config.Store}
		h.Configure(func(c *access.Config) { c.Store = database })
		ok(t, h.Outage.Settle(t.Context())) // nothing is queued
		token := h.Issued(ana, arn).Participant
		h.Fake.enter(token)
		database.away = true
		ok(t, h.Moderation.Kick(t.Context(), op, arn, token.ID, "Noise."))
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			err := h.Outage.Settle(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) ||
				!strings.Contains(err.Error(), string(token.ID)) {
				t.Errorf("while the database is away: got %v, want an error with the participant %s",
					err, token.ID)
			}
		}
		database.away = false
		ok(t, h.Outage.Settle(t.Context()))
		if record := must(h.Token(t.Context(), op, token.ID))(t); record.RevokedAt.IsZero() {
			t.Errorf("when the database is back: got %+v, want that the token is revoked", record)
		}
	})
}

// A kick while the database does not answer is stored later. The end of the session may be stored
// before it, here or by another replica.
func (on rules) TestAKickDuringAnOutageSaysWhoKicked(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		database := &switched{Store: h.Config.Store}
		h.Configure(func(c *access.Config) { c.Store = database })
		home := h.Replica()
		ended := func(at *Harness, id stage.ParticipantID) access.StoredEvent {
			return must(at.Events.Record(t.Context(), stage.Event{
				Kind: stage.EventEnded, Participant: id, Stage: arn, Code: stage.CodeKicked,
			}))(t)
		}
		kicked := func() stage.ParticipantID {
			token := h.Issued(ana, arn).Participant
			h.Fake.enter(token)
			database.away = true
			ok(t, h.Moderation.Kick(t.Context(), op, arn, token.ID, "Noise."))
			database.away = false
			return token.ID
		}
		here, there := kicked(), kicked()
		if e := ended(h, here); e.By.Name != "Olga" || e.By.Role != access.Operator {
			t.Errorf("the end has %+v, want Olga", e.By)
		}
		ended(home, there)
		stopped, stop := context.WithCancel(t.Context())
		stop()
		ok(t, h.Outage.StoreLate(stopped)) // stores the queued kicks
		for _, id := range []stage.ParticipantID{here, there} {
			events := must(h.ListEvents(t.Context(), op,
				access.EventFilter{Participant: id}, access.Page{}))(t).Items
			if len(events) != 1 || events[0].By.ID != op.User.ID ||
				events[0].By.Role != access.Operator {
				t.Errorf("the stored events are %+v, want one end by Olga", events)
			}
		}
		kicks := h.walked(op, access.AuditFilter{Target: string(ana.User.ID),
			Action: access.ActionKicked})
		if len(kicks) != 2 {
			t.Errorf("Ana's kicks: got %+v, want both", kicks)
		}
	})
}
