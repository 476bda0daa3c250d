package store_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// all reads a list to its end, in pages of at most `limit` items.
func all[T any](
	t testing.TB, limit int, read func(p access.Page) (access.PageOf[T], error),
) (items []T, pages int) {
	t.Helper()
	for p := (access.Page{Limit: limit}); ; {
		got := must(read(p))(t)
		if len(got.Items) > limit {
			t.Fatalf("a page of %d: got %d items", limit, len(got.Items))
		}
		items = append(items, got.Items...)
		pages++
		if p.After = got.Next; p.After == "" {
			return items, pages
		}
		if pages > 1000 {
			t.Fatal("the list has no end")
		}
	}
}

// eventsOf records events of a participant, a second apart.
func (h *harness) eventsOf(id stage.ParticipantID, kinds ...stage.EventKind) {
	h.t.Helper()
	for _, kind := range kinds {
		h.Clock.Pass(time.Second)
		e := stage.Event{Kind: kind, Participant: id, Code: "c"}
		must(h.Events.Record(h.t.Context(), e))(h.t)
	}
}

func TestListOfUsers(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		op, ana, arn := h.Scene()
		for i := range 23 {
			_, _, _, err := h.AddUser(t.Context(), op, fmt.Sprintf("Guest %02d", i),
				access.Broadcaster)
			ok(t, err)
		}
		must2 := func(name string) access.User {
			u, _, _, err := h.AddUser(t.Context(), op, name, access.Broadcaster)
			ok(t, err)
			return u
		}
		odd := must2(`100 % _ \ Ünal`)
		h.Grant(op, access.Principal{User: odd}, arn, stage.Subscribe)
		names := func(f access.UserFilter, limit int) []string {
			users, _ := all(t, limit,
				func(p access.Page) (access.PageOf[access.ListedUser], error) {
					return h.ListUsers(t.Context(), op, f, p)
				})
			var names []string
			for _, u := range users {
				names = append(names, u.Name)
			}
			return names
		}
		everybody := names(access.UserFilter{}, 500)
		if len(everybody) != 26 || !slices.Equal(everybody, names(access.UserFilter{}, 7)) ||
			everybody[0] != odd.Name || everybody[1] != "Ana" || everybody[25] != "Olga" {
			t.Errorf("all users: got %q, and in pages of 7 %q", everybody,
				names(access.UserFilter{}, 7))
		}
		for _, test := range []struct {
			filter access.UserFilter
			want   []string
		}{
			{access.UserFilter{Query: "uEST 1"}, everybody[12:22]},
			{access.UserFilter{Query: "ünal"}, []string{odd.Name}},
			{access.UserFilter{Query: "%"}, []string{odd.Name}},
			{access.UserFilter{Query: `\`}, []string{odd.Name}},
			{access.UserFilter{Query: "nobody"}, nil},
			{access.UserFilter{Role: access.Operator}, []string{"Olga"}},
			{access.UserFilter{Stage: arn}, []string{odd.Name, "Ana"}},
			{access.UserFilter{Stage: arn, Query: "a", Role: access.Broadcaster},
				[]string{odd.Name, "Ana"}},
		} {
			if got := names(test.filter, 4); !slices.Equal(got, test.want) {
				t.Errorf("%+v: got %q, want %q", test.filter, got, test.want)
			}
		}

		list := must(h.ListUsers(t.Context(), op, access.UserFilter{Stage: arn}, access.Page{}))(t)
		if u := list.Items[1]; u.ID != ana.User.ID || u.Stages != 1 || u.Invited ||
			u.Grant.Capabilities != stage.Publish|stage.Subscribe || u.Grant.User != u.ID ||
			u.Grant.Stage != arn {
			t.Errorf("a user in the list of a stage: got %+v, want Ana with her grant", u)
		}
		if u := list.Items[0]; !u.Invited || u.Grant.Capabilities != stage.Subscribe {
			t.Errorf("an invited user in the list of a stage: got %+v", u)
		}

		t.Log("a user who is added while the list is read moves no other user")
		first := must(h.ListUsers(t.Context(), op, access.UserFilter{}, access.Page{Limit: 3}))(t)
		must2("A new one in front")
		second := must(h.ListUsers(t.Context(), op, access.UserFilter{},
			access.Page{Limit: 3, After: first.Next}))(t)
		if second.Items[0].Name != everybody[3] {
			t.Errorf("second page: got %q first, want %q", second.Items[0].Name, everybody[3])
		}
	})
}

func TestListOfStages(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		op, ana, arn := h.Scene()
		for _, name := range []string{"Über", "north", "South", "east"} {
			h.NewStage(op, name)
		}
		ok(t, h.Stages.AddAWS(t.Context(), op, stage.Stage{ARN: awsARN, Name: "North"}))
		names := func(who access.Principal, f access.StageFilter) []string {
			stages, _ := all(t, 2, func(p access.Page) (access.PageOf[access.ListedStage], error) {
				return h.Stages.List(t.Context(), who, f, p)
			})
			var names []string
			for _, s := range stages {
				names = append(names, s.Name)
			}
			return names
		}
		if got := names(op, access.StageFilter{}); !slices.Equal(got,
			[]string{"east", "main", "North", "north", "South", "Über"}) &&
			!slices.Equal(got, []string{"east", "main", "north", "North", "South", "Über"}) {
			t.Errorf("all stages: got %q, want them sorted without regard to case", got)
		}
		if got := names(op, access.StageFilter{Query: "ORTH"}); len(got) != 2 {
			t.Errorf("stages with orth: got %q, want two", got)
		}
		for _, who := range []access.Principal{ana, op} {
			if got := names(who, access.StageFilter{User: ana.User.ID}); !slices.Equal(got,
				[]string{"main"}) {
				t.Errorf("%s reads Ana's stages: got %q, want main", who.User.Name, got)
			}
		}
		if got := names(ana, access.StageFilter{}); !slices.Equal(got, []string{"main"}) {
			t.Errorf("Ana's own stages: got %q, want main", got)
		}
		list := must(h.Stages.List(t.Context(), op, access.StageFilter{Query: "main"},
			access.Page{}))(t)
		if s := list.Items[0]; s.ARN != arn || s.Users != 1 || s.Limits != stage.DefaultLimits() {
			t.Errorf("a stage in the list: got %+v", s)
		}
		own := must(h.Stages.List(t.Context(), ana, access.StageFilter{}, access.Page{}))(t)
		if s := own.Items[0]; s.Users != 0 ||
			s.Grant.Capabilities != stage.Publish|stage.Subscribe {
			t.Errorf("a stage in a broadcaster's list: got %+v, want the own grant and no count", s)
		}
	})
}

func TestListOfTokens(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		op, ana, arn := h.Scene()
		other := h.NewStage(op, "other")
		bob, _ := h.Broadcaster(op, "Bob")
		h.Grant(op, bob, other, stage.Publish)
		issue := func(who access.Principal, arn stage.ARN, life time.Duration) stage.ParticipantID {
			token := must(h.Issue(t.Context(), who, access.IssueRequest{Stage: arn, TTL: life}))(t)
			return token.Participant.ID
		}
		short := issue(ana, arn, time.Minute)
		h.Clock.Pass(2 * time.Minute)
		revoked := issue(ana, arn, time.Hour)
		ok(t, h.Revoke(t.Context(), ana, revoked))
		// Tokens that were issued in the same millisecond also have an order, and pages neither
		// repeat nor skip any.
		var same []stage.ParticipantID
		for range 5 {
			same = append(same, issue(bob, other, time.Hour))
		}
		slices.SortFunc(same, func(a, b stage.ParticipantID) int {
			return strings.Compare(string(b), string(a))
		})
		h.Clock.Pass(time.Second)
		last := issue(op, arn, time.Hour)

		every := append([]stage.ParticipantID{last}, append(same, revoked, short)...)
		// The tokens with the same time are Bob's and the revoked one. They are in the order of
		// their IDs.
		slices.SortFunc(every[1:7], func(a, b stage.ParticipantID) int {
			return strings.Compare(string(b), string(a))
		})
		ids := func(who access.Principal, f access.TokenFilter) []stage.ParticipantID {
			tokens, _ := all(t, 2, func(p access.Page) (access.PageOf[access.Issuance], error) {
				return h.ListTokens(t.Context(), who, f, p)
			})
			var ids []stage.ParticipantID
			for _, i := range tokens {
				ids = append(ids, i.ID)
			}
			return ids
		}
		without := func(list []stage.ParticipantID,
			ids ...stage.ParticipantID) []stage.ParticipantID {
			return slices.DeleteFunc(slices.Clone(list), func(id stage.ParticipantID) bool {
				return slices.Contains(ids, id)
			})
		}
		for _, test := range []struct {
			filter access.TokenFilter
			want   []stage.ParticipantID
		}{
			{access.TokenFilter{}, every},
			{access.TokenFilter{User: bob.User.ID}, same},
			{access.TokenFilter{Stage: other}, same},
			{access.TokenFilter{Stage: arn}, without(every, same...)},
			{access.TokenFilter{User: ana.User.ID, Stage: other}, nil},
			{access.TokenFilter{State: access.TokenActive}, without(every, short, revoked)},
			{access.TokenFilter{State: access.TokenExpired}, []stage.ParticipantID{short}},
			{access.TokenFilter{State: access.TokenRevoked}, []stage.ParticipantID{revoked}},
			{access.TokenFilter{State: access.TokenRevoked, Stage: arn},
				[]stage.ParticipantID{revoked}},
			{access.TokenFilter{State: access.TokenRevoked, User: bob.User.ID}, nil},
			{access.TokenFilter{Query: string(revoked)}, []stage.ParticipantID{revoked}},
			{access.TokenFilter{Query: string(revoked), Stage: other}, nil},
			{access.TokenFilter{Query: "BO"}, same},
			{access.TokenFilter{Query: "a", State: access.TokenActive},
				[]stage.ParticipantID{last}},
			{access.TokenFilter{Query: "a"}, without(every, same...)},
			{access.TokenFilter{Query: "ana", User: bob.User.ID}, nil},
			{access.TokenFilter{Query: "bob", User: bob.User.ID}, same},
		} {
			if got := ids(op, test.filter); !slices.Equal(got, test.want) {
				t.Errorf("%+v: got %v, want %v", test.filter, got, test.want)
			}
		}
		if got := ids(bob, access.TokenFilter{}); !slices.Equal(got, same) {
			t.Errorf("Bob's own: got %v, want %v", got, same)
		}
		if got := ids(bob, access.TokenFilter{Query: string(last)}); got != nil {
			t.Errorf("Bob looks for another's token: got %v, want none", got)
		}

		t.Log("a name that many have is looked for among the newest tokens")
		for i := range 25 {
			guest, _ := h.Broadcaster(op, fmt.Sprint("Guest ", i))
			h.Grant(op, guest, arn, stage.Publish)
			h.Clock.Pass(time.Second)
			issue(guest, arn, time.Minute)
		}
		if got := ids(op, access.TokenFilter{Query: "guest"}); len(got) != 25 {
			t.Errorf("tokens of guests: got %d, want 25", len(got))
		}
	})
}

func TestListOfEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		op, ana, arn := h.Scene()
		a, b := h.Issued(ana, arn).Participant.ID, h.Issued(op, arn).Participant.ID
		h.eventsOf(a, stage.EventConnected, stage.EventPublishing, stage.EventEnded)
		h.eventsOf(b, stage.EventConnected)
		must(h.Events.Record(t.Context(), stage.Event{
			Kind: stage.EventRefused, Participant: b, Code: "no_h264",
			Detail: "The offer has no H.264.",
		}))(t)
		count := func(who access.Principal, f access.EventFilter) int {
			events, _ := all(t, 2, func(p access.Page) (access.PageOf[access.StoredEvent], error) {
				return h.ListEvents(t.Context(), who, f, p)
			})
			if !slices.IsSortedFunc(events, func(a, b access.StoredEvent) int {
				return int(b.ID - a.ID)
			}) {
				t.Errorf("%+v: got %+v, want the newest first", f, events)
			}
			return len(events)
		}
		for _, test := range []struct {
			filter access.EventFilter
			want   int
		}{
			{access.EventFilter{}, 5},
			{access.EventFilter{User: ana.User.ID}, 3},
			{access.EventFilter{Stage: arn, Kind: stage.EventConnected}, 2},
			{access.EventFilter{Participant: b}, 2},
			{access.EventFilter{Participant: b, User: ana.User.ID}, 0},
			{access.EventFilter{Kind: stage.EventRefused}, 1},
			{access.EventFilter{Query: "no_h264"}, 1},
			{access.EventFilter{Query: "H.264"}, 1},
			{access.EventFilter{Query: "nothing"}, 0},
		} {
			if got := count(op, test.filter); got != test.want {
				t.Errorf("%+v: got %d, want %d", test.filter, got, test.want)
			}
		}
		if got := count(ana, access.EventFilter{}); got != 3 {
			t.Errorf("Ana's own events: got %d, want 3", got)
		}
	})
}

func TestListsCheckTheirRequests(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		op, ana, arn := h.Scene()
		ctx := t.Context()
		lists := map[string]func(context.Context, access.Principal, string, access.Page) error{
			"users": func(ctx context.Context, who access.Principal, q string,
				p access.Page) error {
				_, err := h.ListUsers(ctx, who, access.UserFilter{Query: q}, p)
				return err
			},
			"stages": func(ctx context.Context, who access.Principal, q string,
				p access.Page) error {
				_, err := h.Stages.List(ctx, who, access.StageFilter{Query: q}, p)
				return err
			},
			"tokens": func(ctx context.Context, who access.Principal, q string,
				p access.Page) error {
				_, err := h.ListTokens(ctx, who, access.TokenFilter{Query: q}, p)
				return err
			},
			"events": func(ctx context.Context, who access.Principal, q string,
				p access.Page) error {
				_, err := h.ListEvents(ctx, who, access.EventFilter{Query: q}, p)
				return err
			},
		}
		for name, list := range lists {
			t.Log(name)
			for _, p := range []access.Page{{Limit: -1}, {Limit: 501}} {
				refused(t, list(ctx, op, "", p), stage.ErrInvalid, "")
			}
			for _, after := range []string{"no cursor", "bm8gY3Vyc29y" + strings.Repeat("A", 8),
				"AP__", strings.Repeat("A", 2000)} {
				refused(t, list(ctx, op, "", access.Page{After: after}), stage.ErrInvalid,
					"bad_cursor")
			}
			for _, q := range []string{"\x00", "\xff", strings.Repeat("q", 200)} {
				refused(t, list(ctx, op, q, access.Page{}), stage.ErrInvalid, "")
			}
			key := access.Principal{Kind: access.KindAccessKey, User: op.User}
			if name == "users" {
				refused(t, list(ctx, ana, "", access.Page{}), stage.ErrDenied, "denied")
				refused(t, list(ctx, key, "", access.Page{}), stage.ErrUnauthorized, "")
			} else {
				ok(t, list(ctx, ana, "", access.Page{}))
				refused(t, list(ctx, access.Principal{}, "", access.Page{}), stage.ErrUnauthorized,
					"")
			}
		}
		for what, err := range map[string]error{
			"tokens": second(h.ListTokens(ctx, ana, access.TokenFilter{User: op.User.ID},
				access.Page{})),
			"stages": second(h.Stages.List(ctx, ana, access.StageFilter{User: op.User.ID},
				access.Page{})),
			"events": second(h.ListEvents(ctx, ana, access.EventFilter{User: op.User.ID},
				access.Page{})),
		} {
			t.Log("another's", what)
			refused(t, err, stage.ErrDenied, "denied")
		}
		refused(t, second(h.ListTokens(ctx, op, access.TokenFilter{State: "odd"}, access.Page{})),
			stage.ErrInvalid, "")
		refused(t, second(h.ListTokens(ctx, op, access.TokenFilter{Stage: "odd"}, access.Page{})),
			stage.ErrInvalid, "")
		refused(t, second(h.ListUsers(ctx, op, access.UserFilter{Role: "odd"}, access.Page{})),
			stage.ErrInvalid, "")
		refused(t, second(h.ListEvents(ctx, op, access.EventFilter{Stage: arn, Kind: "\xff"},
			access.Page{})), stage.ErrInvalid, "")
	})
}

func second[T any](_ T, err error) error { return err }

// TestRecordsOfManyStages reads the records for a moderator of more stages than one statement can
// read. Several entries have the same time. The result contains the records of each stage's list,
// in the same order, even if the database compares IDs by the rules of a language.
func TestRecordsOfManyStages(t *testing.T) {
	quick.LeavesOut(t, "thousands of queries")
	onSorted(t, func(t *testing.T, h *harness) {
		op, ana, main := h.Scene()
		stages := []stage.ARN{main}
		for range 70 {
			stages = append(stages, stage.LocalARN(stage.NewID()))
		}
		moment := h.Clock.Now()
		for i := range 4 * len(stages) {
			at, arn := moment.Add(time.Duration(i%3)*time.Millisecond), stages[i%len(stages)]
			ok(t, h.Config.Store.AddEntry(t.Context(), access.Entry{
				ID: stage.NewID(), At: at, Action: access.ActionKicked, Stage: arn,
				Actor: op.User.ID, Target: "ana",
			}))
			must(h.Config.Store.AddEvent(t.Context(), access.StoredEvent{
				User: ana.User.ID, Event: stage.Event{
					Time: at, Kind: stage.EventPublishing, Stage: arn, Detail: "on air",
					Participant: stage.ParticipantID(stage.NewID()),
				},
			}))(t)
		}
		for range 5 {
			h.Issued(op, main)
		}

		for name, f := range map[string]access.AuditFilter{
			"all": {}, "an action": {Action: access.ActionKicked},
			"a person": {Actor: op.User.ID}, "a target": {Target: "ana"},
		} {
			var want []access.Entry
			for _, f.Stage = range stages {
				want = append(want, h.entries(f, 500)...)
			}
			f.Stage = ""
			slices.SortFunc(want, func(a, b access.Entry) int {
				return cmp.Or(b.At.Compare(a.At), strings.Compare(b.ID, a.ID))
			})
			f.Stages = stages
			got := h.entries(f, 3)
			if len(want) < 4*len(stages) || !slices.Equal(got, want) {
				t.Errorf("%s: got %d entries in pages of 3, want %d in order",
					name, len(got), len(want))
			}
		}
		whole := h.entries(access.AuditFilter{}, 500)
		if got := h.entries(access.AuditFilter{}, 3); !slices.Equal(got, whole) {
			t.Errorf("the whole trail: %d entries in pages of 3, want %d", len(got), len(whole))
		}

		for name, f := range map[string]access.EventFilter{
			"all": {}, "a kind": {Kind: stage.EventPublishing}, "a text": {Query: "air"},
			"a user": {User: ana.User.ID},
		} {
			var want []access.StoredEvent
			for _, f.Stage = range stages {
				want = append(want, h.events(f, 500)...)
			}
			f.Stage = ""
			slices.SortFunc(want, func(a, b access.StoredEvent) int {
				return cmp.Compare(b.ID, a.ID)
			})
			f.Stages = stages
			got := h.events(f, 3)
			if len(want) < 4*len(stages) || !slices.Equal(got, want) {
				t.Errorf("events, %s: got %d in pages of 3, want %d in order",
					name, len(got), len(want))
			}
		}
	})
}

// TestAFilterOfManyStagesGoesOn: one of many stages has nearly all events, and the filter selects
// few of them. A page still reads a whole window of rows, and not only the part of the window for
// one stage.
func TestAFilterOfManyStagesGoesOn(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		_, _, busy := h.Scene()
		stages := []stage.ARN{busy}
		for range 70 {
			stages = append(stages, stage.LocalARN(stage.NewID()))
		}
		const many = 12_000
		h.fillEvents(t, many, func(i int) stage.ARN {
			if i%1000 == 0 {
				return stages[1+i/1000]
			}
			return busy
		})
		for _, f := range []access.EventFilter{{Query: "rare"}, {Kind: stage.EventWarning}} {
			f.Stages = stages
			events, pages := all(t, 3,
				func(p access.Page) (access.PageOf[access.StoredEvent], error) {
					return h.Config.Store.ListEvents(t.Context(), f, p)
				})
			var got []int64
			for _, e := range events {
				got = append(got, e.ID)
			}
			if want := []int64{12_000, 10_500, 9000, 7500, 6000, 4500, 3000, 1500}; !slices.Equal(
				got, want) {
				t.Errorf("%+v: got the events %v, want %v", f, got, want)
			}
			if pages > 10 {
				t.Errorf("%+v: got %d pages, want few more than the events fill", f, pages)
			}
		}
	})
}

// fillEvents adds events numbered from 1. Every 1500th is a warning whose detail is "rare".
func (h *harness) fillEvents(t *testing.T, many int, of func(i int) stage.ARN) {
	t.Helper()
	db, err := sql.Open(driverOf(h.where), h.where)
	ok(t, err)
	defer db.Close()
	tx, err := db.Begin()
	ok(t, err)
	defer tx.Rollback()
	for i := 1; i <= many; i++ {
		kind, detail := stage.EventPublishing, "usual"
		if i%1500 == 0 {
			kind, detail = stage.EventWarning, "rare"
		}
		_, err := tx.Exec(`INSERT INTO events (id, user_id, at, kind, stage, participant, code,
			detail) VALUES ($1, '', $2, $3, $4, '', '', $5)`,
			i, h.Clock.Now().UnixMilli(), string(kind), string(of(i)), detail)
		ok(t, err)
	}
	ok(t, tx.Commit())
}

func (h *harness) entries(f access.AuditFilter, limit int) []access.Entry {
	h.t.Helper()
	entries, _ := all(h.t, limit, func(p access.Page) (access.PageOf[access.Entry], error) {
		return h.Config.Store.Entries(h.t.Context(), f, p)
	})
	return entries
}

func (h *harness) events(f access.EventFilter, limit int) []access.StoredEvent {
	h.t.Helper()
	events, _ := all(h.t, limit, func(p access.Page) (access.PageOf[access.StoredEvent], error) {
		return h.Config.Store.ListEvents(h.t.Context(), f, p)
	})
	return events
}
