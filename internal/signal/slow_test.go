package signal_test

import (
	"context"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestLongIDsAreRefused: long IDs in messages are refused, because the response repeats them.
func TestLongIDsAreRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("<", 129)
	for _, message := range []string{
		`{"type":"aws:ivs:SET_STATE","payload":{"requestId":"` + long + `"}}`,
		`{"type":"aws:ivs:SDP_OFFER","payload":{"whipUrl":"/whip/subscribe/obs","requestId":"` + long + `"}}`,
		`{"type":"aws:ivs:EXCHANGE_TOKEN","payload":{"requestId":"r","traceId":"` + long + `"}}`,
	} {
		h := newHarness(t, nil)
		g := h.join(t, "ana.Ana")
		g.tell(message)
		if got := string(g.hears("aws:ivs:JOIN_ERROR")); !strings.Contains(got, `"BAD_REQUEST"`) {
			t.Errorf("got %s, want BAD_REQUEST", got)
		}
		g.isClosed()
	}
}

// TestLongMessagesAreRefused: a message that is longer than an offer or two tokens is refused.
func TestLongMessagesAreRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	g := h.join(t, "ana.Ana")
	g.tell(`{"type":"PING","payload":"` + strings.Repeat("a", 64<<10) + `"}`)
	g.isClosed()
}

// TestAStopDoesNotWaitForWhoDoesNotRead: a client that does not read its last messages does not
// delay the stop of the server.
func TestAStopDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	server := httptest.NewUnstartedServer(h.Server)
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		// small, so that messages wait in the server and not in the kernel
		c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		return ctx
	}
	server.Start()
	t.Cleanup(server.Close)
	h.url = "ws" + strings.TrimPrefix(server.URL, "http")
	bob := h.join(t, "bob.Bob")
	long := strings.Repeat("a", 400<<10)
	h.join(t, "ana."+long)
	bob.conn.SetReadLimit(-1)
	bob.sees("ana:"+long, "bob:Bob") // after this, Ana's socket has a queued state, too
	bob.tell(`{"audioMuted":false,"type":"SET_STATE","version":"0","videoStopped":true}`)
	began := time.Now()
	h.stop()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the stop took %v, want some 3s", took)
	}
}
