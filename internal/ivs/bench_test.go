package ivs_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/ivsemu"
)

// BenchmarkTokensByAPI lets 200 broadcasters request one token each at the same moment, from an AWS
// with the quota of 50 calls a second. Meanwhile another broadcaster requests 200 tokens, and the
// requests of the others must not wait for these.
func BenchmarkTokensByAPI(b *testing.B) {
	_, base := fakeivs.Serve(b, func(cfg *ivsemu.Config) { cfg.Quotas = true })
	s := service(b, base, func(cfg *ivs.Config) { cfg.MaxWait = 15 * time.Second })
	made := create(b, s, "main")
	var mu sync.Mutex
	var waits []time.Duration
	failed, greedy, rounds := 0, 0, 0
	ask := func(user string, count bool) {
		began := time.Now()
		req := request(made.ARN)
		req.UserID = user
		_, err := s.IssueToken(b.Context(), req)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !count && err == nil:
			greedy++
		case err != nil && count:
			failed++
		case count:
			waits = append(waits, time.Since(began))
		}
	}
	began := time.Now()
	for b.Loop() {
		rounds++
		var g sync.WaitGroup
		for range 200 {
			g.Go(func() { ask("greedy", false) })
		}
		for i := range 200 {
			g.Go(func() { ask(fmt.Sprint("broadcaster-", i), true) })
		}
		g.Wait()
	}
	slices.Sort(waits)
	b.ReportMetric(float64(len(waits)+greedy)/time.Since(began).Seconds(), "tokens/s")
	b.ReportMetric(waits[len(waits)/2].Seconds(), "p50-wait-s")
	b.ReportMetric(waits[len(waits)*99/100].Seconds(), "p99-wait-s")
	b.ReportMetric(float64(failed)/float64(rounds), "starved/round")
}
