package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/stagedoor/stagedoor/internal/httpkit"
)

// probePause is the time between the two events of a probe. A proxy that buffers delivers both at
// once.
const probePause = time.Second

// A Probe describes a request as the server received it. `stagedoor doctor` compares the
// description with the request that it sent.
type Probe struct {
	Address string `json:"address"` // of the client, as used for rate limits
	// Forwarding is the state of the header in which a proxy names its client: none, used, or
	// ignored because the proxy is not trusted.
	Forwarding string `json:"forwarding"`
	Proxied    bool   `json:"proxied"` // the request came from a trusted proxy
	Host       string `json:"host"`
}

// probe streams two events, with a pause of one second between them. It needs no credential,
// because the response contains only the caller's own request.
func probe(proxies httpkit.Proxies) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no")
		fmt.Fprintf(w, "event: probe\ndata: %s\n\n", mustJSON(seen(proxies, r)))
		control.Flush()
		select {
		case <-time.After(probePause):
		case <-r.Context().Done():
		}
		fmt.Fprint(w, "event: end\ndata: {}\n\n")
	})
}

func seen(proxies httpkit.Proxies, r *http.Request) Probe {
	p := Probe{Address: proxies.Client(r).String(), Forwarding: "none", Host: clip(r.Host, 200)}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	p.Proxied = err == nil && proxies.Contain(peer.Addr().Unmap())
	switch named := r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""; {
	case named && p.Proxied:
		p.Forwarding = "used"
	case named:
		p.Forwarding = "ignored"
	}
	return p
}
