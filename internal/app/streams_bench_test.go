package app_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// streamsOfLogin is as many as one login may have open.
const streamsOfLogin = 32

// BenchmarkStreams opens event streams of operators in a server process of its own, and measures
// the memory, the goroutines and the CPU time of idle ones, and how long all take to come up at
// once. STREAMS sets how many (2,000). The last ratio compares idle streams that see 1,000 stages
// with those that see one: presence has to cost what changes, not what there is. Aims: 25 KB and
// one goroutine each, a ratio of 1.5 or less.
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
			// An address that does not belong to a proxy may have 2,048 connections open.
			where := filepath.Join(data, "stagedoor.db")
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
			// by then the garbage of opening is collected, and each stream has been authenticated
			// again
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

// metric reads a gauge of a server.
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

// populate makes a database with operators, a login each, and returns their cookies.
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
		_, err := c.AddLocalStage(ctx, access.CommandLine(), fmt.Sprintf("stage %d", i))
		must(err)
	}
	for i := range operators {
		_, code, _, err := c.AddUser(ctx, access.CommandLine(), fmt.Sprintf("operator %d", i),
			access.Operator)
		must(err)
		_, login, err := c.AcceptInvite(ctx, code, stage.NewSecret("correct horse battery"),
			access.Client{})
		must(err)
		logins = append(logins, login)
	}
	return logins
}

// openStreams returns when every stream has received its first picture.
func openStreams(b testing.TB, url string, logins []stage.Secret, n int) []net.Conn {
	b.Helper()
	open := make([]net.Conn, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 200) // connections that are being opened at once
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				b.Error(err)
				return
			}
			open[i] = conn
			fmt.Fprintf(conn, "GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: "+
				"stagedoor_login=%s\r\n\r\n",
				logins[i/streamsOfLogin].Reveal())
			lines := bufio.NewReaderSize(conn, 64<<10)
			if status, _ := lines.ReadString('\n'); !strings.Contains(status,
				http.StatusText(http.StatusOK)) {
				b.Errorf("GET /api/events: got %q", status)
				return
			}
			for {
				line, err := lines.ReadSlice('\n')
				if err != nil && err != bufio.ErrBufferFull {
					b.Errorf("a stream ended: %v", err)
					return
				}
				if strings.HasPrefix(string(line), "event: presences") {
					break
				}
			}
		})
	}
	wg.Wait()
	go drain(open)
	return open
}

// drain reads what keeps the streams alive, one after the other.
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
