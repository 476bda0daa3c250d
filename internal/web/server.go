// Package web is the HTTP floor: the JSON API, the event stream and the pages. It translates and decides nothing;
// the rules are in package access.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// Config is what the HTTP floor stands on.
type Config struct {
	Control   *access.Control
	Stage     stage.Moderator // who is on the stages
	WHIP      http.Handler    // serves /whip and /whep
	Signal    http.Handler    // serves the stages' events sockets
	Tokens    Verifier        // checks the participant tokens of guests
	SDK       SDK             // Amazon's web SDK, for stages of AWS
	AWS       AWS             // stages of AWS; nil where none are served
	AWSEvents http.Handler    // takes what EventBridge posts; may be nil
	PublicURL *url.URL
	Version   string
	Log       *slog.Logger
	Now       func() time.Time
	Ready     func(context.Context) error // for /healthz
	// Proxies are the addresses whose X-Forwarded-For is believed. By default nobody's is.
	Proxies []netip.Prefix
}

// A Verifier checks participant tokens; token.Verifier does.
type Verifier interface {
	Verify(ctx context.Context, bearer stage.Secret) (stage.Participant, error)
}

// A Server answers HTTP.
type Server struct {
	Config
	hub    *hub
	chat   *chat
	assets assets
	routes http.Handler
}

// New makes a server. Run carries its events.
func New(c Config) (*Server, error) {
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	s := &Server{Config: c, assets: files, hub: newHub(c.Control, c.Stage, c.Log, c.Now)}
	s.chat = newChat(c.Now, s.hub.tellStage)
	s.routes = s.guard(s.mux())
	return s, nil
}

// Run carries events until ctx ends.
func (s *Server) Run(ctx context.Context) error { return s.hub.run(ctx) }

// Stop tells every open page that the server goes, so that their streams do not hold it back.
func (s *Server) Stop() { s.hub.stop() }

// StageEvent takes what happened to a participant. It does not block.
func (s *Server) StageEvent(e stage.Event) { s.hub.tell(e) }

// StageChanged takes that somebody came, went or changed. It does not block.
func (s *Server) StageChanged(arn stage.ARN) { s.hub.stageChanged(arn) }

// AccessChanged takes whose logins, grants or stages changed; "" stands for everybody.
func (s *Server) AccessChanged(id access.UserID) { s.hub.recheck(id) }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.routes.ServeHTTP(w, r) }

func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /api/setup", s.open(s.setUp))
	mux.Handle("POST /api/login", s.open(s.logIn))
	mux.Handle("DELETE /api/login", s.api(s.logOut))
	mux.Handle("GET /api/me", s.issuing(s.me))
	mux.Handle("POST /api/password", s.api(s.changePassword))
	mux.Handle("POST /api/invite/name", s.open(s.inviteName))
	mux.Handle("POST /api/invite", s.open(s.acceptInvite))
	mux.Handle("GET /api/keys", s.api(s.accessKeys))
	mux.Handle("POST /api/keys", s.api(s.createAccessKey))
	mux.Handle("DELETE /api/keys/{id}", s.api(s.revokeAccessKey))

	mux.Handle("POST /api/tokens", s.issuing(s.issueToken))
	mux.Handle("GET /api/tokens", s.api(s.listTokens))
	mux.Handle("GET /api/tokens/{participant}", s.issuing(s.tokenState))
	mux.Handle("DELETE /api/tokens/{participant}", s.issuing(s.revokeToken))

	mux.HandleFunc("GET /api/events", s.streamEvents)
	mux.Handle("PUT /api/docks/{dock}", s.api(s.putDock))
	mux.Handle("DELETE /api/docks/{dock}", s.api(s.removeDock))

	mux.Handle("GET /api/users", s.api(s.listUsers))
	mux.Handle("POST /api/users", s.api(s.addUser))
	mux.Handle("DELETE /api/users/{id}", s.api(s.removeUser))
	mux.Handle("POST /api/users/{id}/invite", s.api(s.reinvite))
	mux.Handle("DELETE /api/users/{id}/logins", s.api(s.endLogins))
	mux.Handle("PUT /api/users/{id}/grants/{arn}", s.api(s.setGrant))
	mux.Handle("DELETE /api/users/{id}/grants/{arn}", s.api(s.removeGrant))
	mux.Handle("GET /api/stages", s.api(s.listStages))
	mux.Handle("POST /api/stages", s.api(s.addStage))
	mux.Handle("PATCH /api/stages/{arn}", s.api(s.changeStage))
	mux.Handle("DELETE /api/stages/{arn}", s.api(s.removeStage))
	mux.Handle("DELETE /api/stages/{arn}/participants/{participant}", s.api(s.kick))

	mux.Handle("GET /api/views", s.api(s.listViews))
	mux.Handle("POST /api/views", s.api(s.createView))
	mux.Handle("DELETE /api/views/{id}", s.api(s.revokeView))
	mux.Handle("GET /api/view", s.open(s.thisView))
	mux.Handle("POST /api/views/token", s.open(s.issueViewToken))
	mux.Handle("GET /api/ivs", s.open(s.ivsSDK))
	mux.HandleFunc("GET /api/stages/{arn}/events", s.streamStage)
	mux.Handle("POST /api/stages/{arn}/chat", s.visiting(s.postMessage))
	mux.Handle("DELETE /api/stages/{arn}/chat/{message}", s.visiting(s.removeMessage))
	mux.Handle("PUT /api/stages/{arn}/chat/muted/{user}", s.visiting(s.mutePerson))
	mux.Handle("DELETE /api/stages/{arn}/chat/muted/{user}", s.visiting(s.mutePerson))

	mux.Handle("GET /api/aws/stages", s.api(s.listAWS))
	if s.AWSEvents != nil {
		mux.Handle("/api/aws/events", s.AWSEvents)
	}

	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /static/{path...}", s.assets.serve)
	s.pages(mux)
	return mux
}

func (s *Server) pages(mux *http.ServeMux) {
	for address, name := range map[string]string{
		"/{$}": "index.html", "/dock": "dock/index.html", "/watch": "watch/index.html", "/setup": "setup/index.html",
		"/invite": "invite/index.html", "/account": "account/index.html", "/operator": "operator/index.html",
	} {
		mux.Handle("GET "+address, s.assets.page(name))
	}
	mux.Handle("GET /dock/stage", s.stagePage("stage/index.html"))
	mux.Handle("GET /source", s.stagePage("source/index.html"))
}

// guard puts in front of every route what holds for all of them.
func (s *Server) guard(mux http.Handler) http.Handler {
	// Browsers say where a request comes from; one that changes something and comes from elsewhere is refused.
	// WHIP carries a bearer and no cookie, so it has its own rule for origins.
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusForbidden, "cross_origin", "This request comes from another site's page."))
	}))
	own := cross.Handler(problems(mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer") // setup and invite links hold a code
		switch {
		case under(r.URL.Path, "/whip"), under(r.URL.Path, "/whep"):
			s.WHIP.ServeHTTP(w, r)
		case s.Signal != nil && under(r.URL.Path, "/stage-events"):
			s.Signal.ServeHTTP(w, r)
		default:
			h.Set("Content-Security-Policy", contentPolicy)
			h.Set("X-Frame-Options", "DENY")
			own.ServeHTTP(w, r)
		}
	})
}

// contentPolicy lets pages run our own modules alone; the two other addresses are OBS's WebSocket server on this computer.
const contentPolicy = "default-src 'self'; connect-src 'self' ws://127.0.0.1:* ws://localhost:*; img-src 'self' data:; media-src 'self' blob:; " +
	"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func under(path, root string) bool {
	return path == root || strings.HasPrefix(path, root+"/")
}

// health says whether the server can do its work.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		s.Log.Error("not healthy", "err", err)
		writeProblem(w, problem(http.StatusServiceUnavailable, "unavailable", "The database does not answer."))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte("ok\n"))
}

// problems turns the plain 404 and 405 of the mux into problems like all others.
func problems(mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(&muxWriter{ResponseWriter: w}, r)
	})
}

// muxWriter sees an error page of the mux by its media type: nothing of ours writes text/plain with an error status.
type muxWriter struct {
	http.ResponseWriter
	swallow bool
}

func (w *muxWriter) WriteHeader(status int) {
	h := w.Header()
	if status < 400 || !strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.swallow = true
	p := problem(status, "not_found", "There is nothing at this address.")
	if status == http.StatusMethodNotAllowed {
		p = problem(status, "method_not_allowed", "This address takes "+h.Get("Allow")+".")
	}
	writeProblem(w.ResponseWriter, p)
}

func (w *muxWriter) Write(b []byte) (int, error) {
	if w.swallow {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController the connection.
func (w *muxWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// client says where a request comes from.
func (s *Server) client(r *http.Request) access.Client {
	return access.Client{Address: ClientAddress(r, s.Proxies), Agent: clip(r.UserAgent(), 200)}
}

// ClientAddress is the address of the peer, or the last one in X-Forwarded-For that is not a trusted proxy's own.
func ClientAddress(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	address := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && contains(trusted, address); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = hop.Unmap()
	}
	return address.String()
}

func contains(list []netip.Prefix, address netip.Addr) bool {
	for _, p := range list {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}
