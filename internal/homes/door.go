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
	// clientHeader has the address of the client, from replica to replica. The public address
	// neither reads it nor passes it on.
	clientHeader = "Stagedoor-Client"

	maxBody  = 64<<10 + 1 // the largest that WHIP reads, and one byte with which it is refused
	tryAgain = 150 * time.Millisecond
	// tryFor is how long a request that was not passed on is tried again. OBS waits 8 seconds for
	// the answer to its offer, and gives up when the first one fails (whip-output.cpp).
	tryFor      = 450 * time.Millisecond
	tryOfferFor = 5 * time.Second
)

// DoorConfig is what a Door needs.
type DoorConfig struct {
	Homes  *Homes
	Secret []byte // shared by the replicas

	// Here serves /whip, /whep and /stage-events on this replica.
	Here http.Handler
	// Stage returns the stage that the token of a request claims, if it is one of those served.
	Stage func(*http.Request) stage.ARN
	// Address returns the address of a client.
	Address func(*http.Request) netip.Addr
	// Refuse responds to a request that finds no home.
	Refuse func(http.ResponseWriter, *http.Request, error)
	// Order carries out an order of another replica.
	Order func(context.Context, Order) error
}

// A Door serves what is for a local stage, here or by its home.
type Door struct {
	DoorConfig
	client http.RoundTripper
	server *http.Server
}

// NewDoor returns a Door.
func NewDoor(cfg DoorConfig) (*Door, error) {
	config, err := wireTLS(cfg.Secret)
	if err != nil {
		return nil, err
	}
	d := &Door{DoorConfig: cfg, client: transport(config)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+orderPath, d.takeOrder)
	mux.HandleFunc("/", d.serveAtHome)
	d.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: dialLimit,
		// net/http adds HTTP/2 to the configuration of its server, which the client must not offer.
		TLSConfig:    config.Clone(),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		// failed handshakes of clients that are no replicas
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return d, nil
}

// Serve serves the other replicas until Close.
func (d *Door) Serve(l net.Listener) error {
	if limited, ok := l.(*httpkit.Listener); ok {
		d.server.ConnState = limited.ConnState
	}
	err := d.server.ServeTLS(l, "", "")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close ends Serve, and waits for requests that are under way until ctx ends.
func (d *Door) Close(ctx context.Context) {
	if d.server.Shutdown(ctx) != nil {
		d.server.Close()
	}
}

// ServeHTTP serves a request of the public address.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	find := d.finder(r)
	if find == nil {
		d.Here.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		d.Refuse(w, r, stage.Errorf(stage.ErrInvalid, "The body did not arrive in full.").
			WithCode("bad_body").WithCause(err))
		return
	}
	last := time.Now().Add(patience(r))
	for {
		at, err := find()
		if err != nil {
			d.Refuse(w, r, err)
			return
		}
		if at.here {
			defer at.done()
			d.Here.ServeHTTP(w, withBody(r, body))
			return
		}
		if err = d.pass(w, withBody(r, body), at.peer); err == nil {
			return
		}
		if !time.Now().Before(last) || r.Context().Err() != nil {
			d.Refuse(w, r, errHomeAway(err))
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

// finder returns what finds the home of a request, or nil if it can be served anywhere: a
// preflight, or one that will be refused.
func (d *Door) finder(r *http.Request) func() (place, error) {
	if r.Method == http.MethodOptions {
		return nil
	}
	if id, ok := replicaOf(r); ok {
		return func() (place, error) {
			if peer, ok := d.Homes.lookUp(r.Context(), id); ok {
				return place{peer: peer}, nil
			}
			return place{here: true, done: func() {}}, nil
		}
	}
	arn := d.Stage(r)
	if arn == "" {
		return nil
	}
	first := true
	return func() (place, error) {
		if !first {
			d.Homes.mistaken(arn)
		}
		first = false
		return d.Homes.find(r.Context(), arn, false)
	}
}

// replicaOf returns the replica that is named in the URL of a session.
func replicaOf(r *http.Request) (id string, ok bool) {
	path := httpkit.Segments(r.URL.Path)
	if len(path) < 3 || path[0] != "whip" || path[1] != "s" {
		return "", false
	}
	id, _, ok = strings.Cut(path[2], "-")
	return id, ok
}

// SessionPrefix is what the secrets in the URLs of sessions begin with.
func (h *Homes) SessionPrefix() string { return h.ID() + "-" }

// errNotHome is the answer of a replica that is not the home of a stage.
var errNotHome = errors.New("it is not the home of this stage")

// pass passes a request on. With an error, nothing was sent to the client.
func (d *Door) pass(w http.ResponseWriter, r *http.Request, to Peer) (failed error) {
	target, err := address(to, "/")
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Transport: d.client,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = target.Scheme, target.Host
			p.Out.Host = p.In.Host
			for _, name := range []string{"Cookie", clientHeader} {
				p.Out.Header.Del(name)
			}
			p.Out.Header.Set(clientHeader, d.Address(p.In).String())
		},
		ModifyResponse: func(answer *http.Response) error {
			if answer.StatusCode == http.StatusMisdirectedRequest {
				return errNotHome
			}
			for name := range answer.Header {
				if w.Header().Get(name) != "" { // of this replica, which says the same
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

// serveAtHome serves what another replica passed on.
func (d *Door) serveAtHome(w http.ResponseWriter, r *http.Request) {
	client := r.Header.Get(clientHeader)
	for _, name := range []string{clientHeader, "X-Forwarded-For", "Forwarded"} {
		r.Header.Del(name)
	}
	r.RemoteAddr = net.JoinHostPort(client, "0")
	if _, ok := replicaOf(r); ok {
		d.Here.ServeHTTP(w, r)
		return
	}
	arn := d.Stage(r)
	if arn == "" {
		d.Here.ServeHTTP(w, r)
		return
	}
	at, err := d.Homes.find(r.Context(), arn, true)
	if err != nil || !at.here {
		w.WriteHeader(http.StatusMisdirectedRequest)
		return
	}
	defer at.done()
	d.Here.ServeHTTP(w, r)
}

func errHomeAway(cause error) error {
	return stage.Errorf(stage.ErrUnavailable,
		"The server that carries this stage does not answer: try again in a moment.").
		WithCode("home_away").WithRetry(retry).WithCause(cause)
}
