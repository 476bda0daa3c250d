package homes

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// clientHeader carries the address of the client between replicas. In requests to the public
	// address it is ignored and not forwarded.
	clientHeader = "Stagedoor-Client"

	// maxBody is one byte more than the largest body that WHIP accepts, so that the home can refuse
	// a larger one.
	maxBody  = 64<<10 + 1
	tryAgain = 150 * time.Millisecond
	// tryFor limits the retries of a request that could not be forwarded. OBS waits 8 seconds for
	// the answer to its offer, and gives up when the first request fails (whip-output.cpp).
	tryFor      = 450 * time.Millisecond
	tryOfferFor = 5 * time.Second
)

// ProxyConfig is what a Proxy needs.
type ProxyConfig struct {
	Homes  *Homes
	Secret []byte // the secret of the replicas

	// Here serves /whip, /whep and /stage-events on this replica.
	Here http.Handler
	// Stage returns the stage that the token of a request claims, or "" if this server has no such
	// stage.
	Stage func(*http.Request) stage.ARN
	// Address returns the address of the client.
	Address func(*http.Request) netip.Addr
	// Refuse responds to a request that cannot be served: its body did not arrive in full, its home
	// cannot be found, or its home does not answer.
	Refuse func(http.ResponseWriter, *http.Request, error)
	// Order carries out an order of another replica.
	Order func(context.Context, Order) error
}

// A Proxy serves requests for local stages on this replica, or forwards them to the home of the
// stage.
type Proxy struct {
	ProxyConfig
	client http.RoundTripper
	server *http.Server
}

// NewProxy returns a Proxy.
func NewProxy(cfg ProxyConfig) (*Proxy, error) {
	config, err := wireTLS(cfg.Secret)
	if err != nil {
		return nil, err
	}
	p := &Proxy{ProxyConfig: cfg, client: transport(config)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+orderPath, p.takeOrder)
	mux.HandleFunc("/", p.serveAtHome)
	p.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: dialLimit,
		// The server gets a clone, because net/http adds HTTP/2 to the TLS configuration of a
		// server, and the client must not offer HTTP/2.
		TLSConfig:    config.Clone(),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		// Do not log the failed handshakes of clients that are not replicas.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return p, nil
}

// Serve serves the other replicas until Close.
func (p *Proxy) Serve(l net.Listener) error {
	if limited, ok := l.(*httpkit.Listener); ok {
		p.server.ConnState = limited.ConnState
	}
	err := p.server.ServeTLS(l, "", "")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close ends Serve. It waits for open requests, until ctx ends.
func (p *Proxy) Close(ctx context.Context) {
	if p.server.Shutdown(ctx) != nil {
		p.server.Close()
	}
}

// ServeHTTP serves a request of the public address.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	find := p.finder(r)
	if find == nil {
		p.Here.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		p.Refuse(w, r, stage.Errorf(stage.ErrInvalid, "The body did not arrive in full.").
			WithCode("bad_body").WithCause(err))
		return
	}
	last := time.Now().Add(patience(r))
	for {
		at, err := find()
		if err != nil {
			p.Refuse(w, r, err)
			return
		}
		if at.here {
			defer at.done()
			p.Here.ServeHTTP(w, withBody(r, body))
			return
		}
		if err = p.pass(w, withBody(r, body), at.peer); err == nil {
			return
		}
		if !time.Now().Before(last) || r.Context().Err() != nil {
			p.Refuse(w, r, errHomeAway(err))
			return
		}
		time.Sleep(tryAgain)
	}
}

func patience(r *http.Request) time.Duration {
	if r.Method == http.MethodPost && httpkit.FirstSegment(r.URL.Path) == "whip" {
		return tryOfferFor
	}
	return tryFor
}

func withBody(r *http.Request, body []byte) *http.Request {
	out := r.Clone(r.Context())
	out.Body, out.ContentLength, out.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(
		len(body)), nil
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	return out
}

// finder returns a function that finds the replica that must serve a request. It returns nil for a
// request that any replica can serve: a preflight, or a request that will be refused.
func (p *Proxy) finder(r *http.Request) func() (place, error) {
	if r.Method == http.MethodOptions {
		return nil
	}
	if id, ok := replicaOf(r); ok {
		return func() (place, error) {
			if peer, ok := p.Homes.lookUp(r.Context(), id); ok {
				return place{peer: peer}, nil
			}
			return place{here: true, done: func() {}}, nil
		}
	}
	arn := p.Stage(r)
	if arn == "" {
		return nil
	}
	first := true
	return func() (place, error) {
		if !first {
			p.Homes.mistaken(arn)
		}
		first = false
		return p.Homes.find(r.Context(), arn, false)
	}
}

// replicaOf returns the replica that the URL of a session names.
func replicaOf(r *http.Request) (id string, ok bool) {
	path := httpkit.Segments(r.URL.Path)
	if len(path) < 3 || path[0] != "whip" || path[1] != "s" {
		return "", false
	}
	id, _, ok = strings.Cut(path[2], "-")
	return id, ok
}

// SessionPrefix is the prefix of the secrets in session URLs.
func (h *Homes) SessionPrefix() string { return h.ID() + "-" }

var errNotHome = errors.New("this replica is not the home of the stage")

// pass forwards a request. If it returns an error, nothing was sent to the client.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, to Peer) (failed error) {
	target, err := address(to, "/")
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Transport: p.client,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.Scheme, pr.Out.URL.Host = target.Scheme, target.Host
			pr.Out.Host = pr.In.Host
			for _, name := range []string{"Cookie", clientHeader} {
				pr.Out.Header.Del(name)
			}
			pr.Out.Header.Set(clientHeader, p.Address(pr.In).String())
		},
		ModifyResponse: func(answer *http.Response) error {
			if answer.StatusCode == http.StatusMisdirectedRequest {
				return errNotHome
			}
			for name := range answer.Header {
				if w.Header().Get(name) != "" { // this replica has set the same header
					answer.Header.Del(name)
				}
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	proxy.ServeHTTP(w, r)
	return failed
}

// serveAtHome serves a request that another replica forwarded.
func (p *Proxy) serveAtHome(w http.ResponseWriter, r *http.Request) {
	client := r.Header.Get(clientHeader)
	for _, name := range []string{clientHeader, "X-Forwarded-For", "Forwarded"} {
		r.Header.Del(name)
	}
	r.RemoteAddr = net.JoinHostPort(client, "0")
	if _, ok := replicaOf(r); ok {
		p.Here.ServeHTTP(w, r)
		return
	}
	arn := p.Stage(r)
	if arn == "" {
		p.Here.ServeHTTP(w, r)
		return
	}
	at, err := p.Homes.find(r.Context(), arn, true)
	if err != nil || !at.here {
		w.WriteHeader(http.StatusMisdirectedRequest)
		return
	}
	defer at.done()
	p.Here.ServeHTTP(w, r)
}

func errHomeAway(cause error) error {
	return stage.Errorf(stage.ErrUnavailable,
		"The server that carries this stage does not answer: try again in a moment.").
		WithCode("home_away").WithRetry(retry).WithCause(cause)
}
