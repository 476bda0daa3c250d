package homes

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestOnlyReplicasReachThePeerListener: a client with another secret, without a certificate, or
// without TLS, is refused. The headers by which a client could claim another address are not
// forwarded.
func TestOnlyReplicasReachThePeerListener(t *testing.T) {
	t.Parallel()
	proxy := func(secret string, here http.HandlerFunc) *Proxy {
		d, err := NewProxy(ProxyConfig{
			Homes: New(Config{}), Secret: []byte(secret), Here: here,
			Stage:   func(*http.Request) stage.ARN { return "" },
			Address: func(*http.Request) netip.Addr { return netip.MustParseAddr("203.0.113.9") },
		})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	seen := make(chan *http.Request, 1)
	home := proxy("one secret", func(_ http.ResponseWriter, r *http.Request) { seen <- r })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go home.Serve(l)
	defer home.Close(t.Context())
	peer := Peer{ID: "home", URL: "http://" + l.Addr().String()}

	claim := func() *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/whip", http.NoBody)
		r.Header.Set(clientHeader, "192.0.2.1")
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		r.Header.Set("Forwarded", "for=192.0.2.1")
		r.Header.Set("Cookie", "login=secret")
		return r
	}
	if err := proxy("another secret", nil).pass(httptest.NewRecorder(), claim(), peer); err == nil {
		t.Error("a replica with another secret is served")
	}
	stranger, err := wireTLS([]byte("another secret"))
	if err != nil {
		t.Fatal(err)
	}
	stranger.VerifyConnection = nil // unlike a replica, this client accepts any server
	for name, config := range map[string]*tls.Config{
		"another secret": stranger, "no certificate": {InsecureSkipVerify: true},
	} {
		client := &http.Client{Transport: transport(config)}
		if answer, err := client.Get("https://" + l.Addr().String()); err == nil {
			t.Errorf("a client with %s: got %s, want no connection", name, answer.Status)
		}
	}
	if answer, err := http.Get(peer.URL); err != nil ||
		answer.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP: got %v, %v; want 400", answer, err)
	}
	select {
	case r := <-seen:
		t.Fatalf("a request without the secret was served: %v", r)
	default:
	}
	if err := proxy("one secret", nil).pass(httptest.NewRecorder(), claim(), peer); err != nil {
		t.Fatal(err)
	}
	r := <-seen
	if r.RemoteAddr != "203.0.113.9:0" || r.Header.Get("X-Forwarded-For") != "" ||
		r.Header.Get("Forwarded") != "" || r.Header.Get("Cookie") != "" ||
		r.Header.Get(clientHeader) != "" {
		t.Errorf("got %s %v, want the address that the first replica saw, and no claims",
			r.RemoteAddr, r.Header)
	}
}
