package httpkit_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/httpkit"
)

// lockedBuffer is a log that a test can read while the server writes it.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A limitedServer is an HTTP server with limits. It answers "/" at once, and "/slow" when the
// channel `slow` is closed.
type limitedServer struct {
	address string
	slow    chan struct{}
	log     *lockedBuffer
	idle    chan string // the client's address of each connection that became idle
}

// limited starts a server with limits, which runs until the test ends.
func limited(t *testing.T, limits httpkit.ConnectionLimits) *limitedServer {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &limitedServer{
		address: tcp.Addr().String(), slow: make(chan struct{}),
		log: &lockedBuffer{}, idle: make(chan string, 100),
	}
	l := httpkit.NewListener(tcp, limits, slog.New(slog.NewTextHandler(s.log, nil)))
	server := &http.Server{
		ConnState: func(c net.Conn, state http.ConnState) {
			l.ConnState(c, state)
			if state == http.StateIdle {
				s.idle <- c.RemoteAddr().String()
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				io.WriteString(w, "wait")
				http.NewResponseController(w).Flush()
				<-s.slow
			}
		}),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// dial connects from a certain loopback address, which stands for a network.
func dial(t *testing.T, from, to string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

// get sends a request and reports whether the response began.
func get(c net.Conn, path string) bool {
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		return false
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && strings.Contains(line, "200")
}

// serve sends a request and reports whether there was a response. It waits until the server counts
// the connection as idle, which may be after the client has received the response.
func (s *limitedServer) serve(c net.Conn) bool {
	if !get(c, "/") {
		return false
	}
	for {
		select {
		case address := <-s.idle:
			if address == c.LocalAddr().String() {
				return true
			}
		case <-time.After(time.Minute):
			return false
		}
	}
}

func isClosed(c net.Conn) bool {
	_, err := io.Copy(io.Discard, c)
	var timeout net.Error
	return !(errors.As(err, &timeout) && timeout.Timeout())
}

func TestIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	s := limited(t, httpkit.ConnectionLimits{PerNetwork: 5, Total: 1000})
	var idle []net.Conn
	for range 5 {
		c := dial(t, "127.0.0.1", s.address)
		if !s.serve(c) {
			t.Fatal("a connection within the limit: no response")
		}
		idle = append(idle, c)
	}
	for i := range 20 {
		if !s.serve(dial(t, "127.0.0.1", s.address)) {
			t.Fatalf("connection %d over the limit: no response, want that an idle one makes room",
				i+1)
		}
	}
	for i, c := range idle {
		if !isClosed(c) {
			t.Errorf("idle connection %d is still open", i+1)
		}
	}
}

// TestOneNetworkShutsNobodyOut: while one network has all the connections that it may have, other
// networks can still connect. The test runs with idle, busy and silent connections.
func TestOneNetworkShutsNobodyOut(t *testing.T) {
	t.Parallel()
	limits := httpkit.ConnectionLimits{PerNetwork: 10, Total: 12}
	s := limited(t, limits)
	for range 10 {
		if !get(dial(t, "127.0.0.1", s.address), "/slow") {
			t.Fatal("a busy connection within the limit: no response")
		}
	}
	if c := dial(t, "127.0.0.1", s.address); get(c, "/") {
		t.Error("an 11th connection of the network: got a response, want it refused")
	}
	if !strings.Contains(s.log.String(), "level=WARN") ||
		!strings.Contains(s.log.String(), "network=127.0.0.1/32") {
		t.Errorf("log: got %q, want a warning that names the network", s.log)
	}
	for i := range 10 {
		if !s.serve(dial(t, "127.0.0.2", s.address)) {
			t.Fatalf("another network, connection %d: no response", i+1)
		}
	}
	close(s.slow)
	mute := dial(t, "127.0.0.3", s.address) // sends nothing
	for i := range 30 {
		if !s.serve(dial(t, "127.0.0.3", s.address)) {
			t.Fatalf("a third network, connection %d: no response", i+1)
		}
	}
	if !isClosed(mute) {
		t.Error("a connection that sends nothing is still open")
	}
}

func TestProxiesAreExempt(t *testing.T) {
	t.Parallel()
	proxies := httpkit.Proxies{netip.MustParsePrefix("127.0.0.1/32")}
	s := limited(t, httpkit.ConnectionLimits{
		PerNetwork: 2, Total: 8, Exempt: proxies,
	})
	defer close(s.slow)
	for i := range 8 {
		if !get(dial(t, "127.0.0.1", s.address), "/slow") {
			t.Fatalf("connection %d of a proxy: no response", i+1)
		}
	}
	if get(dial(t, "127.0.0.1", s.address), "/") {
		t.Error("a connection over the total: got a response, want it refused")
	}
}

func TestListenersOfAProcessShareTheLimits(t *testing.T) {
	t.Parallel()
	open := func() net.Listener {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tcp.Close() })
		return tcp
	}
	first := httpkit.NewListener(open(), httpkit.ConnectionLimits{PerNetwork: 2, Total: 3},
		slog.New(slog.DiscardHandler))
	second, peers := first.Beside(open(), false), first.Beside(open(), true)
	accept := func(l *httpkit.Listener) net.Conn {
		dial(t, "127.0.0.1", l.Addr().String())
		ours, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ours.Close() })
		return ours
	}
	isOpen := func(c net.Conn) bool { return c.SetDeadline(time.Time{}) == nil }
	oldest, replica := accept(first), accept(peers)
	accept(second)
	if !isOpen(oldest) {
		t.Error("a replica's connection counts on its network")
	}
	accept(second)
	if isOpen(oldest) {
		t.Error("a third connection of a network, at another port: the first one is still open")
	}
	accept(first)
	if !isOpen(replica) {
		t.Error("a replica's connection made room for one of a full network")
	}
}

// A failing listener returns errors as if the process had too many files open.
type failing struct {
	net.Listener
	left int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left > 0 {
		f.left--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestErrorsOfAcceptAreLogged(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	l := httpkit.NewListener(&failing{tcp, 2}, httpkit.ConnectionLimits{PerNetwork: 1, Total: 1},
		slog.New(slog.NewTextHandler(&log, nil)))
	server := &http.Server{ConnState: l.ConnState}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	c := dial(t, "127.0.0.1", tcp.Addr().String())
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		t.Errorf("after the errors: %v", err)
	}
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	<-served
	if got := strings.Count(log.String(), "too many open files"); got != 2 ||
		strings.Count(log.String(), "level=WARN") != 2 {
		t.Errorf("log: got %q, want both errors as warnings and nothing else", &log)
	}
}
