package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// BenchmarkEventLatency measures the time from when one replica reports an event until the stream
// of a page on another replica has it. It reports 100 events a second over PostgreSQL for five
// seconds. Both replicas run in this process and share its cores with the database. Aims: p50 100
// ms, p99 500 ms.
func BenchmarkEventLatency(b *testing.B) {
	const (
		events = 500
		pause  = 10 * time.Millisecond
	)
	for b.Loop() {
		where := postgres.Database(b)
		from, to := benchFeed(b, where), benchFeed(b, where)
		arrived := make(chan time.Time, events)
		listenFor(b, to, "stage", func() { arrived <- time.Now() })
		looked := make(chan struct{}, 1)
		listenFor(b, to, feed.FrameLook, func() {
			select {
			case looked <- struct{}{}:
			default:
			}
		})
		for waiting := true; waiting; { // until the page receives notices
			from.AccessChanged("ana")
			select {
			case <-looked:
				waiting = false
			case <-time.After(50 * time.Millisecond):
			}
		}
		sent := make([]time.Time, events)
		tick := time.NewTicker(pause)
		for i := range events {
			<-tick.C
			sent[i] = time.Now()
			from.StageEvent(stage.Event{
				Kind: stage.EventWarning, Participant: "p", UserID: "ana", Stage: fleetStage,
			})
		}
		tick.Stop()
		var took []time.Duration
		for i := range events { // in the order in which they were sent
			took = append(took, (<-arrived).Sub(sent[i]))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[events/2].Microseconds())/1000, "ms-p50")
		b.ReportMetric(float64(took[events*99/100].Microseconds())/1000, "ms-p99")
		b.ReportMetric(0, "ns/op")
	}
}

func benchFeed(b *testing.B, where string) *feed.Feed {
	b.Helper()
	s := openAt(b, where)
	shared, err := s.Shared("", time.Now, slog.New(slog.DiscardHandler))
	ok(b, err)
	f := feed.New(feed.Config{Shared: shared, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- f.Run(ctx, feed.Sources{
			Record: func(ctx context.Context, e stage.Event) (access.StoredEvent, error) {
				return s.AddEvent(ctx, access.StoredEvent{User: "ana", Event: e})
			},
			Participants: func(context.Context, stage.ARN) ([]stage.Presence, error) {
				return nil, nil
			},
		})
	}()
	b.Cleanup(func() { cancel(); ok(b, <-done) })
	return f
}

// listenFor calls the function `got` for each frame with a certain name that ana's page on a
// replica receives.
func listenFor(b *testing.B, f *feed.Feed, name string, got func()) {
	b.Helper()
	ready := make(chan struct{}, 1)
	s, err := f.Listen(feed.Listener{User: "ana", Ready: func() { ready <- struct{}{} }})
	ok(b, err)
	done := make(chan struct{})
	go func() {
		for {
			for frame, more, _ := s.Take(); more; frame, more, _ = s.Take() {
				if frame.Name == name {
					got()
				}
			}
			select {
			case <-ready:
			case <-done:
				return
			}
		}
	}()
	b.Cleanup(func() { close(done); s.Close() })
}

// BenchmarkFleet issues tokens through one, two and three replicas on one PostgreSQL, each with the
// same number of callers. In the same run it measures the baseline: callers that only insert a row
// of the same size, as pgbench does. Replicas, callers and database share the cores of one machine,
// so only the ratio counts.
func BenchmarkFleet(b *testing.B) {
	const (
		callers = 8 // of each replica
		lasting = 3 * time.Second
	)
	for replicas := 1; replicas <= 3; replicas++ {
		b.Run(fmt.Sprintf("replicas=%d", replicas), func(b *testing.B) {
			for b.Loop() {
				h := newHarness(b, postgres.Database(b))
				_, ana, arn := h.Scene()
				fleet := []*harness{h}
				for len(fleet) < replicas {
					fleet = append(fleet, h.replica())
				}
				for _, r := range fleet {
					r.Configure(func(c *access.Config) { c.TokenLimit = -1 })
				}
				baseline := together(b, callers*replicas, lasting, commits(b, h.where))
				tokens := together(b, callers*replicas, lasting, func(i int) error {
					_, err := fleet[i%replicas].Issue(b.Context(), ana,
						access.IssueRequest{Stage: arn})
					return err
				})
				b.ReportMetric(tokens, "tokens/s")
				b.ReportMetric(baseline, "commits/s")
				b.ReportMetric(tokens/baseline, "ratio")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// commits returns a function that inserts and commits one row.
func commits(b *testing.B, where string) func(int) error {
	b.Helper()
	db, err := sql.Open("pgx", where)
	ok(b, err)
	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	_, err = db.Exec("CREATE TABLE baseline (id BIGINT PRIMARY KEY, filler TEXT NOT NULL)")
	ok(b, err)
	insert, err := db.Prepare("INSERT INTO baseline (id, filler) VALUES ($1, $2)")
	ok(b, err)
	filler := fmt.Sprintf("%200s", "")
	var n atomic.Int64
	return func(int) error {
		_, err := insert.Exec(n.Add(1), filler)
		return err
	}
}

// together lets a number of concurrent callers run the given function for a certain time, and
// returns the runs per second.
func together(b *testing.B, callers int, lasting time.Duration, do func(caller int) error) float64 {
	b.Helper()
	var n atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	for i := range callers {
		all.Go(func() {
			for time.Since(begun) < lasting {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	return float64(n.Load()) / time.Since(begun).Seconds()
}
