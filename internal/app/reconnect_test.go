package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
)

// TestEveryPageComesBack is like BenchmarkReconnect, with fewer pages: after `kill -9` and a
// restart all pages connect again, and /healthz never fails after the restart.
func TestEveryPageComesBack(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "servers that are killed")
	_, failures := comeBack(t, 320, 150)
	if failures > 0 {
		t.Errorf("/healthz failed %d times while the pages came back", failures)
	}
}

// BenchmarkReconnect kills a server with 2,000 event streams (STREAMS) of operators who see 1,000
// stages, and starts it again. It measures the time from this start until every stream has the
// presence of all stages. Aims: 10 s, and no failure of /healthz, requested ten times a second.
func BenchmarkReconnect(b *testing.B) {
	streams := 2000
	fmt.Sscan(os.Getenv("STREAMS"), &streams)
	for b.Loop() {
		took, failures := comeBack(b, streams, 1000)
		b.ReportMetric(took.Seconds(), "s-all-back")
		b.ReportMetric(float64(failures), "healthz-failures")
		b.ReportMetric(0, "ns/op")
	}
}

func comeBack(tb testing.TB, streams, stages int) (took time.Duration, failures int64) {
	tb.Helper()
	data := tb.TempDir()
	logins := populate(tb, filepath.Join(data, "stagedoor.db"), stages,
		(streams+streamsOfLogin-1)/streamsOfLogin)
	env := []string{apptest.AsProgram + "=1"}
	first := startProcessIn(tb, data, os.Args[0], env)
	open := openStreams(tb, first.url, logins, streams)
	first.cmd.Process.Kill()
	first.cmd.Wait()
	for _, conn := range open {
		conn.Close()
	}

	begun := time.Now()
	again := startProcessIn(tb, data, os.Args[0], env)
	over, ended := make(chan struct{}), make(chan struct{})
	var failed atomic.Int64
	go func() {
		defer close(ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			answer, err := http.Get(again.url + "/healthz")
			if err != nil || answer.StatusCode != http.StatusOK {
				failed.Add(1)
			}
			if err == nil {
				answer.Body.Close()
			}
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	}()
	open = openStreams(tb, again.url, logins, streams)
	took = time.Since(begun)
	close(over)
	<-ended
	for _, conn := range open {
		conn.Close()
	}
	return took, failed.Load()
}
