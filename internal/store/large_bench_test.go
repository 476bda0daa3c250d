package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest/bigdata"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
)

// BenchmarkMuchData measures a database of 10,000 users, 1,000 stages, 1,000,000 issuances and
// 500,000 events. It measures every list and deletion (p50, p99 and the longest), a start with
// 10,000 open sessions, and the issue of tokens during the pruning. It takes minutes, and needs 2
// GB of disk; `make bench` runs it.
func BenchmarkMuchData(b *testing.B) {
	for _, engine := range engines() {
		b.Run(engine.name, func(b *testing.B) {
			where := engine.where(b)
			now := time.Now()
			h := newHarness(b, where)
			h.Configure(func(c *access.Config) { c.TokenLimit = -1 })
			h.Clock.Pass(now.Sub(h.Clock.Now()))
			op, ana, arn := h.Scene()
			load(b, where, bigdata.AMillion, now)
			if engine.name == "SQLite" {
				info, err := os.Stat(where)
				ok(b, err)
				b.ReportMetric(float64(info.Size())/1e6, "MB")
			}
			b.Run("lists of users and stages", func(b *testing.B) { benchNames(b, h, op) })
			b.Run("lists of tokens", func(b *testing.B) { benchTokens(b, h, op) })
			b.Run("lists of events", func(b *testing.B) { benchEvents(b, h, op) })
			b.Run("records of a moderator", func(b *testing.B) { benchModerated(b, h) })
			b.Run("deletions", func(b *testing.B) { benchDeletions(b, h, op) })
			b.Run("start", func(b *testing.B) { benchStart(b, where, h) })
			b.Run("prune", func(b *testing.B) { benchPrune(b, h, ana, arn) })
			b.Run("remove a stage", func(b *testing.B) { benchRemoval(b, h, op, ana, arn) })
		})
	}
}

func load(b *testing.B, where string, s bigdata.Size, now time.Time) {
	b.Helper()
	db, err := sql.Open(driverOf(where), where)
	ok(b, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	ok(b, bigdata.Fill(b.Context(), db, s, now))
}

// spread reports the median, the 99th percentile and the maximum of some durations.
func spread(b *testing.B, name string, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[min(len(took)-1, int(share*float64(len(took))))]
	}
	b.Logf("%-45s n=%-5d p50 %-10v p99 %-10v longest %v", name, len(took),
		at(0.5).Round(10*time.Microsecond), at(0.99).Round(10*time.Microsecond),
		took[len(took)-1].Round(10*time.Microsecond))
}

func timed[T any](
	b *testing.B, pages int, read func(access.Page) (access.PageOf[T], error),
) []time.Duration {
	b.Helper()
	var took []time.Duration
	page := access.Page{Limit: 50}
	for range pages {
		start := time.Now()
		got, err := read(page)
		took = append(took, time.Since(start))
		ok(b, err)
		page.After = got.Next // after the last page, the first one again
	}
	return took
}

const (
	pages   = 200
	oneUser = access.UserID("user-100007")
)

var oneStage = stage.LocalARN("100007")

func benchNames(b *testing.B, h *harness, op access.Principal) {
	for name, f := range map[string]access.UserFilter{
		"users": {}, "users, a name": {Query: "son 1077"}, "users, no name": {Query: "nobody"},
		"users of a stage": {Stage: oneStage},
	} {
		spread(b, name, timed(b, pages,
			func(p access.Page) (access.PageOf[access.ListedUser], error) {
				return h.ListUsers(b.Context(), op, f, p)
			}))
	}
	for name, f := range map[string]access.StageFilter{"stages": {},
		"stages, a name": {Query: "77"}, "stages of a user": {User: oneUser}} {
		spread(b, name, timed(b, pages,
			func(p access.Page) (access.PageOf[access.ListedStage], error) {
				return h.Stages.List(b.Context(), op, f, p)
			}))
	}
	b.ReportMetric(0, "ns/op")
}

// benchModerated reads what a moderator of 100 stages sees on the Records page.
func benchModerated(b *testing.B, h *harness) {
	var stages []stage.ARN
	for i := range 100 {
		stages = append(stages, stage.LocalARN(fmt.Sprint(100_000+i)))
	}
	for name, f := range map[string]access.AuditFilter{
		"": {}, ", an action": {Action: access.ActionTokenRevoked},
		", tokens": {Action: access.ActionTokenIssued}, ", a person": {Actor: oneUser},
	} {
		f.Stages = stages
		spread(b, "audit trail of 100 stages"+name, timed(b, pages,
			func(p access.Page) (access.PageOf[access.Entry], error) {
				return h.Config.Store.Entries(b.Context(), f, p)
			}))
	}
	for name, f := range map[string]access.EventFilter{
		"": {}, ", a kind": {Kind: stage.EventPublishing}, ", refused": {Kind: stage.EventRefused},
		", a text": {Query: "nothing"},
	} {
		f.Stages = stages
		spread(b, "events of 100 stages"+name, timed(b, pages,
			func(p access.Page) (access.PageOf[access.StoredEvent], error) {
				return h.Config.Store.ListEvents(b.Context(), f, p)
			}))
	}
	b.ReportMetric(0, "ns/op")
}

func benchTokens(b *testing.B, h *harness, op access.Principal) {
	for name, f := range map[string]access.TokenFilter{
		"tokens": {}, "tokens of a user": {User: oneUser}, "tokens of a stage": {Stage: oneStage},
		"tokens, active":              {State: access.TokenActive},
		"tokens, expired":             {State: access.TokenExpired},
		"tokens, revoked":             {State: access.TokenRevoked},
		"tokens, revoked, of a stage": {State: access.TokenRevoked, Stage: oneStage},
		"tokens, active, of a user":   {State: access.TokenActive, User: oneUser},
		"tokens, a rare name":         {Query: "person 107777"},
		"tokens, a common name":       {Query: "person 1"}, "tokens, no name": {Query: "nobody"},
	} {
		spread(b, name, timed(b, pages,
			func(p access.Page) (access.PageOf[access.Issuance], error) {
				return h.ListTokens(b.Context(), op, f, p)
			}))
	}
	b.ReportMetric(0, "ns/op")
}

func benchEvents(b *testing.B, h *harness, op access.Principal) {
	for name, f := range map[string]access.EventFilter{
		"events": {}, "events of a user": {User: oneUser}, "events of a stage": {Stage: oneStage},
		"events, refusals": {Kind: stage.EventRefused}, "events, a text": {Query: "nothing"},
	} {
		spread(b, name, timed(b, pages,
			func(p access.Page) (access.PageOf[access.StoredEvent], error) {
				return h.ListEvents(b.Context(), op, f, p)
			}))
	}
	b.ReportMetric(0, "ns/op")
}

func benchDeletions(b *testing.B, h *harness, op access.Principal) {
	var took []time.Duration
	for i := range pages {
		start := time.Now()
		ok(b, h.Revoke(b.Context(), op,
			stage.ParticipantID(fmt.Sprint("token-", 10_000_000+997*(i+1)))))
		took = append(took, time.Since(start))
	}
	spread(b, "revoke a token", took)
	took = nil
	for i := range 50 {
		start := time.Now()
		ok(b, h.RemoveUser(b.Context(), op, access.UserID(fmt.Sprint("user-", 105_000+i))))
		took = append(took, time.Since(start))
	}
	spread(b, "remove a user", took)
	took = nil
	for i := range 20 {
		start := time.Now()
		ok(b, h.Stages.Remove(b.Context(), op, stage.LocalARN(fmt.Sprint(100_500+i))))
		took = append(took, time.Since(start))
	}
	spread(b, "remove a stage", took)
	b.ReportMetric(0, "ns/op")
}

// benchStart opens the database as a server does after a crash. A server begins to serve before
// most of the ends of sessions are recorded. On PostgreSQL, it begins before any of them is
// recorded.
func benchStart(b *testing.B, where string, h *harness) {
	start, busy := time.Now(), processorTime(b)
	s, err := store.Open(b.Context(), where, slog.New(slog.DiscardHandler))
	ok(b, err)
	defer s.Close()
	control := access.New(access.Config{Store: s, Now: h.Clock.Now})
	ok(b, control.Stages.AddFirst(b.Context(), "main"))
	others := must(control.Events.EndUnfinished(b.Context()))(b)
	must(control.Stages.Of(b.Context(), access.CommandLine()))(b)
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms")
	b.ReportMetric(float64(processorTime(b)-busy)/1e6, "cpu-ms")
	ok(b, others(b.Context()))
	b.ReportMetric(time.Since(start).Seconds(), "s-to-all-ends")
	b.ReportMetric(0, "ns/op")
	if open := must(s.Unfinished(b.Context(), 10))(b); len(open) != 0 {
		b.Errorf("still open after the start: %+v", open)
	}
}

// issuing issues tokens from two callers for a while. It returns the number of tokens, and how long
// each token took.
func issuing(
	b *testing.B, h *harness, who access.Principal, arn stage.ARN, long time.Duration,
) (int, []time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), long)
	defer cancel()
	var mu sync.Mutex
	var took []time.Duration
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				if _, err := h.Issue(b.Context(), who,
					access.IssueRequest{Stage: arn}); err != nil {
					b.Errorf("Issue: %v", err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(start))
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	return len(took), took
}

// benchPrune lets the data of the first 22 days become old. Then it issues tokens in alternating
// turns: a turn without pruning, and a turn during the deletion of that data.
func benchPrune(b *testing.B, h *harness, who access.Principal, arn stage.ARN) {
	const turn = 3 * time.Second
	h.Clock.Pass(22 * 24 * time.Hour)
	// The length of the pauses in Prune depends on the clock of the Control. The clock of the
	// harness stands still, so this Control adds the time that has really passed.
	started := time.Now()
	pruning := access.New(access.Config{
		Store: h.store, Moderator: h.Fake,
		Now: func() time.Time { return h.Clock.Now().Add(time.Since(started)) },
	})
	var alone, beside int
	var waits, without []time.Duration
	for range 4 {
		n, took := issuing(b, h, who, arn, turn)
		alone, without = alone+n, append(without, took...)
		ctx, stop := context.WithCancel(b.Context())
		var done atomic.Bool
		var pruned sync.WaitGroup
		pruned.Go(func() {
			if err := pruning.Prune(ctx); err == nil {
				done.Store(true)
			}
		})
		n, took = issuing(b, h, who, arn, turn)
		beside, waits = beside+n, append(waits, took...)
		if done.Load() {
			b.Error("the pruning ended within the measurement: it measures nothing")
		}
		stop()
		pruned.Wait()
	}
	spread(b, "a token without pruning", without)
	spread(b, "a token beside pruning", waits)
	b.ReportMetric(float64(beside)/float64(alone), "ratio")
	b.ReportMetric(0, "ns/op")
}

// benchRemoval removes a stage with many tokens while tokens for another stage are issued.
func benchRemoval(b *testing.B, h *harness, op, who access.Principal, busy stage.ARN) {
	arn := stage.LocalARN("100001")
	var took []time.Duration
	var tokens sync.WaitGroup
	tokens.Go(func() { _, took = issuing(b, h, who, busy, 3*time.Second) })
	time.Sleep(time.Second)
	start := time.Now()
	ok(b, h.Stages.Remove(b.Context(), op, arn))
	removal := time.Since(start)
	tokens.Wait()
	spread(b, "a token beside the removal of a stage", took)
	b.ReportMetric(float64(removal.Milliseconds()), "ms")
	b.ReportMetric(0, "ns/op")
}
