package web_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/access/accesstest"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
	"github.com/stagedoor/stagedoor/internal/web"
)

// streamServer serves package web alone, and returns the cookie of an operator.
func streamServer(t *testing.T) (*web.Server, *feed.Feed, *httptest.Server, string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "stagedoor.db"), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c := access.New(access.Config{
		Store: db, Passwords: access.NewPasswords(accesstest.CheapPasswords(), 2), Now: time.Now,
	})
	code, err := c.Setup.NewCode(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, login, err := c.Setup.CreateOperator(t.Context(), code, "olga",
		stage.NewSecret(apptest.Password), access.Client{})
	if err != nil {
		t.Fatal(err)
	}
	f := feed.New(feed.Config{Shared: feed.NewMemory(time.Now), Log: log, Now: time.Now})
	s, err := web.New(web.Config{
		Control: c, Feed: f, Docks: feed.NewDocks(f), Chat: feed.NewChat(f), Log: log,
		Now:       time.Now,
		PublicURL: &url.URL{Scheme: "https", Host: "stage.example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return s, f, server, "stagedoor_login=" + login.Reveal()
}

// readUntil reads lines until a line begins with the prefix.
func readUntil(t *testing.T, r *bufio.Reader, prefix string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("waiting for %q: %v", prefix, err)
		}
		if strings.HasPrefix(line, prefix) {
			return
		}
	}
}

// dial opens an event stream over HTTP/1 without http.Client, whose goroutines would disturb the
// count.
func dial(t *testing.T, server *httptest.Server, version, cookie string) (net.Conn, *bufio.Reader) {
	t.Helper()
	trust := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.NextProtos = nil
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), trust)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "GET /api/events HTTP/%s\r\nHost: %s\r\nCookie: %s\r\n\r\n", version,
		server.Listener.Addr(), cookie)
	return conn, bufio.NewReader(conn)
}

// goroutines counts the goroutines that serve event streams, and those in which net/http reads from
// connections.
func goroutines(t *testing.T) (streams, connections int) {
	t.Helper()
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		switch {
		case strings.Contains(stack, "web.(*openStream).serve("):
			streams++
		case strings.Contains(stack, "net/http.(*connReader).backgroundRead("):
			connections++
		}
	}
	return streams, connections
}

// TestAStreamIsOneGoroutine is not parallel, because it counts the goroutines of the whole process.
func TestAStreamIsOneGoroutine(t *testing.T) {
	_, _, server, cookie := streamServer(t)
	const n = 20
	before, reading := goroutines(t)
	var open []net.Conn
	for range n {
		conn, r := dial(t, server, "1.1", cookie)
		readUntil(t, r, "event: presences")
		open = append(open, conn)
	}
	streams, connections := goroutines(t)
	if streams-before != n || connections > reading {
		t.Errorf("%d streams have %d goroutines and %d of net/http, want one each and none", n,
			streams-before, connections-reading)
	}
	t.Log("a page that has gone is noticed at once")
	for _, conn := range open {
		conn.Close()
	}
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if streams, _ := goroutines(t); streams == before {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("streams whose clients have gone are still there")
		}
	}
}

// TestStreamsOverEveryVersion opens streams over every version of HTTP, including HTTP/1.0, which
// nginx uses by default.
func TestStreamsOverEveryVersion(t *testing.T) {
	t.Parallel()
	s, f, server, cookie := streamServer(t)
	t.Run("2", func(t *testing.T) {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api/events", nil)
		r.Header.Set("Cookie", cookie)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.ProtoMajor != 2 {
			t.Errorf("got HTTP/%d, want 2", answer.ProtoMajor)
		}
		lines := bufio.NewReader(answer.Body)
		readUntil(t, lines, "event: presences")
		f.AccessChanged("")
	})
	_, old := dial(t, server, "1.0", cookie)
	_, chunked := dial(t, server, "1.1", cookie)
	readUntil(t, old, "event: presences")
	answer, err := http.ReadResponse(chunked, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bufio.NewReader(answer.Body)
	readUntil(t, body, "event: presences")
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" ||
		len(answer.TransferEncoding) != 1 {
		t.Errorf("got %q, %q, want an event stream in chunks", got, answer.TransferEncoding)
	}
	s.Stop(t.Context())
	for name, r := range map[string]*bufio.Reader{"1.0": old, "1.1": body} {
		rest, err := io.ReadAll(r)
		if err != nil || !strings.Contains(string(rest),
			"event: bye\ndata: {\"reason\":\"stopping\"}\n\n") {
			t.Errorf("HTTP/%s: got %q, %v at the end, want a farewell and an orderly end", name,
				rest, err)
		}
	}
}
