package app_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/access/accesstest"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
)

// streamsOfLogin is how many event streams one login may have open.
const streamsOfLogin = 32

// BenchmarkStreams opens event streams of operators at a server process: 2,000, or STREAMS. It
// measures the time to open all, and the memory, the goroutines and the CPU time of idle streams.
// The last ratio compares the CPU time of idle streams that see 1,000 stages with those that see
// one stage, since only changes should cost time. Aims: 25 KB and one goroutine per stream, a ratio
// of at most 1.5.
func BenchmarkStreams(b *testing.B) {
	streams := 2000
	fmt.Sscan(os.Getenv("STREAMS"), &streams)
	idle := map[int]float64{}
	for _, in := range []struct {
		engine string
		stages int
	}{{"SQLite", 1}, {"SQLite", 1000}, {"PostgreSQL", 1000}} {
		stages := in.stages
		b.Run(fmt.Sprintf("%s/stages=%d", in.engine, stages), func(b *testing.B) {
			data, metrics := b.TempDir(), replicas.FreeAddress(b)
			where := filepath.Join(data, "stagedoor.db")
			// An address that is no proxy may have at most 2,048 connections.
			flags := []string{"--metrics-listen", metrics, "--trusted-proxies", "127.0.0.1"}
			if in.engine == "PostgreSQL" {
				database := &pg.Server{}
				b.Cleanup(database.Stop)
				where = database.Database(b)
				flags = append(flags, "--database", where)
			}
			logins := populate(b, where, stages, (streams+streamsOfLogin-1)/streamsOfLogin)
			p := startProcessIn(b, data, os.Args[0],
				[]string{apptest.AsProgram + "=1",
					apptest.CPUProfileTo + "=" + os.Getenv("STREAMS_PROFILE")}, flags...)
			before, goroutines := residentMB(b, p.pid), metric(b, metrics, "go_goroutines")
			start, cpu := time.Now(), cpuOf(b, p.pid)
			open := openStreams(b, p.url, logins, streams)
			up, used := time.Since(start), cpuOf(b, p.pid)-cpu
			// Wait until the garbage of opening the streams is collected, and until each stream has
			// authenticated again.
			time.Sleep(20 * time.Second)
			const measured = 30 * time.Second
			cpu = cpuOf(b, p.pid)
			time.Sleep(measured)
			idle[stages] = float64(cpuOf(b, p.pid)-cpu) / float64(measured)
			b.ReportMetric((residentMB(b, p.pid)-before)*1024/float64(streams), "KB/stream")
			b.ReportMetric((metric(b, metrics, "go_goroutines")-goroutines)/float64(streams),
				"goroutines/stream")
			b.ReportMetric(100*idle[stages], "%CPU-idle")
			b.ReportMetric(up.Seconds(), "s-to-open-all")
			b.ReportMetric(float64(used.Microseconds())/float64(streams), "CPU-µs/open")
			if idle[1] > 0 && stages > 1 {
				b.ReportMetric(idle[stages]/idle[1], "ratio-to-1-stage")
			}
			b.ReportMetric(0, "ns/op")
			for _, conn := range open {
				conn.Close()
			}
			p.stop(b)
		})
	}
}

// metric returns the value of a metric of a server.
func metric(b testing.TB, address, name string) (value float64) {
	b.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			fmt.Sscan(text, &value)
		}
	}
	return value
}

// populate creates a database with stages, and with operators who have a login each. It returns the
// secrets of the logins.
func populate(b testing.TB, where string, stages, operators int) (logins []stage.Secret) {
	b.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, where, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	c := access.New(access.Config{
		Store: db, Passwords: access.NewPasswords(accesstest.CheapPasswords(), 2), Now: time.Now,
	})
	must := func(err error) {
		if err != nil {
			b.Helper()
			b.Fatal(err)
		}
	}
	for i := range stages {
		_, err := c.Stages.AddLocal(ctx, access.CommandLine(), fmt.Sprintf("stage %d", i))
		must(err)
	}
	for i := range operators {
		_, code, _, err := c.AddUser(ctx, access.CommandLine(), fmt.Sprintf("operator %d", i),
			access.Operator)
		must(err)
		_, login, err := c.Invites.Accept(ctx, code, stage.NewSecret("correct horse battery"),
			access.Client{})
		must(err)
		logins = append(logins, login)
	}
	return logins
}

// openStreams opens n event streams, and returns when each has received the presence of all stages.
// If a request gets 503 or a stream ends, it connects again, as a page does, and reports how often
// that was: on a machine that is too busy, a statement may wait for more than the five seconds of
// store.callLimit, and then other requests are refused for a second.
func openStreams(b testing.TB, url string, logins []stage.Secret, n int) []net.Conn {
	b.Helper()
	open := make([]net.Conn, n)
	var wg sync.WaitGroup
	var refused atomic.Int64
	slots := make(chan struct{}, 200) // limits the streams that are being opened at once
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			for try := 1; ; try++ {
				conn, again, err := openStream(url, logins[i/streamsOfLogin])
				open[i] = conn
				if !again || try == 10 {
					if err != nil {
						b.Error(err)
					}
					return
				}
				conn.Close()
				refused.Add(1)
				// The pauses are those of the function `growing` in events.js.
				time.Sleep(500 * time.Millisecond << min(try-1, 6))
			}
		})
	}
	wg.Wait()
	if n := refused.Load(); n > 0 {
		b.Logf("%d streams got 503 or ended, and were opened again", n)
	}
	go drain(open)
	return open
}

// openStream opens an event stream, and returns when it has received the presence of all stages.
// The second result is true if the server answered 503 or ended the stream.
func openStream(url string, login stage.Secret) (conn net.Conn, again bool, err error) {
	conn, err = net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return nil, false, err
	}
	fmt.Fprintf(conn, "GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: "+
		"stagedoor_login=%s\r\n\r\n", login.Reveal())
	lines := bufio.NewReaderSize(conn, 64<<10)
	status, err := lines.ReadString('\n')
	if !strings.Contains(status, http.StatusText(http.StatusOK)) {
		again = strings.Contains(status, http.StatusText(http.StatusServiceUnavailable))
		return conn, again, errors.Join(err, fmt.Errorf("GET /api/events: got %q", status))
	}
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return conn, true, fmt.Errorf("a stream ended: %w", err)
		}
		if strings.HasPrefix(string(line), "event: presences") {
			return conn, false, nil
		}
	}
}

// drain reads from all streams in turn, so that the server can write its keep-alives.
func drain(open []net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		for _, conn := range open {
			if conn == nil {
				continue
			}
			conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := conn.Read(buffer); err != nil && !os.IsTimeout(err) {
				return
			}
		}
	}
}
