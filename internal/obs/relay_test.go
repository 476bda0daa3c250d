package obs_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// pretendVersion relays to a real OBS 29.0.2 and changes its version to 30.0.0. Everything else is
// passed on unchanged.
func pretendVersion(t testing.TB, url string) string {
	return relay(t, url, func(s string) string { return s }, func(s string) string {
		return strings.ReplaceAll(s, `"obsVersion":"29.0.2"`, `"obsVersion":"30.0.0"`)
	})
}

// pretendWHIP also renames the custom RTMP service to the WHIP service, so that a set-up can
// succeed on an OBS that has no WHIP.
func pretendWHIP(t testing.TB, url string) string {
	return relay(t, url, func(s string) string { return strings.ReplaceAll(s, `"whip_custom"`, `"rtmp_custom"`) }, func(s string) string {
		return strings.ReplaceAll(strings.ReplaceAll(s, `"rtmp_custom"`, `"whip_custom"`), `"obsVersion":"29.0.2"`, `"obsVersion":"30.0.0"`)
	})
}

// relay passes text messages on. The function `up` changes messages to OBS, and `down` changes
// messages to the client.
func relay(t testing.TB, url string, up, down func(string) string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := websocket.Accept(w, r,
			&websocket.AcceptOptions{Subprotocols: []string{"obswebsocket.json"}})
		if err != nil {
			return
		}
		server, _, err := websocket.Dial(r.Context(), url,
			&websocket.DialOptions{Subprotocols: []string{"obswebsocket.json"}})
		if err != nil {
			_ = client.CloseNow()
			return
		}
		client.SetReadLimit(1 << 20)
		server.SetReadLimit(1 << 20)
		var both sync.WaitGroup
		both.Go(func() { pass(r.Context(), client, server, up) })
		both.Go(func() { pass(r.Context(), server, client, down) })
		both.Wait()
	}))
	t.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http")
}

func pass(ctx context.Context, from, to *websocket.Conn, change func(string) string) {
	for {
		_, text, err := from.Read(ctx)
		if err != nil {
			code := websocket.CloseStatus(err)
			if code < 0 {
				code = websocket.StatusGoingAway
			}
			_ = to.Close(code, "")
			return
		}
		if to.Write(ctx, websocket.MessageText, []byte(change(string(text)))) != nil {
			_ = from.CloseNow()
			return
		}
	}
}
