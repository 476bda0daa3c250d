// Package web is the HTTP floor: the JSON API, the event stream and the pages. It translates and decides nothing;
// the rules are in package access.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// Config is what the HTTP floor stands on.
type Config struct {
	Control      *access.Control
	Stage        stage.Moderator // who is on the stages
	Feed         *feed.Feed
	Docks        *feed.Docks
	Chat         *feed.Chat
	WHIP         http.Handler // serves /whip and /whep
	Signal       http.Handler // serves /stage-events, the stages' events socket
	SignIn       SignIn
	SDK          SDK                       // Amazon's web SDK, for stages of AWS
	AWS          AWS                       // stages of AWS; nil where none are served
	AWSEvents    func(*http.Request) error // takes what EventBridge posts; may be nil
	PublicURL    *url.URL
	Version      string
	Log          *slog.Logger
	Now          func() time.Time
	Ready        func(context.Context) error           // for /healthz
	ServerID     func(context.Context) (string, error) // see store.Store.ServerID
	Checks       []Check                               // for /readyz
	AllowOrigins []string                              // whose pages may come with a participant token beside our own; "*" for all
	Proxies      httpkit.Proxies                       // whose forwarding headers are believed; by default none
	Guard        *httpkit.Guard                        // against wrong bearers; shared with WHIP
	About        About
	Short        ShortStreams // of event streams; by default they stay open
}

// A Server answers HTTP.
type Server struct {
	Config
	streams *streams
	assets  assets
	routes  http.Handler
	faults  *httpkit.Map[string, struct{}] // that are in the log: each once a second
}

// New makes a server.
func New(c Config) (*Server, error) {
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	if c.Guard == nil {
		c.Guard = httpkit.NewGuard(c.Now, c.Log)
	}
	s := &Server{
		Config: c, assets: files, faults: &httpkit.Map[string, struct{}]{Max: 100, Life: time.Second},
	}
	s.streams = &streams{
		control: c.Control, feed: c.Feed, docks: c.Docks, chat: c.Chat, present: s.present, me: s.meOf,
		fail: s.fail, guarded: s.guarded, log: c.Log, now: c.Now, short: c.Short,
	}
	s.routes = s.guard(s.mux())
	return s, nil
}

// Stop ends every event stream with a farewell. Those that have not ended when ctx does are cut.
func (s *Server) Stop(ctx context.Context) { s.streams.stop(ctx) }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.routes.ServeHTTP(w, r) }

// A route is a pattern of http.ServeMux and what serves it.
type route struct {
	pattern string
	handler http.Handler
}

func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.table() {
		mux.Handle(r.pattern, r.handler)
	}
	mux.Handle(anything, lost{routes: mux, page: s.assets["lost/index.html"].wire().plain})
	return mux
}

// anything is the pattern of what no route matches.
const anything = "/"

// table is every address but those of the stages themselves, which are in guard. docs/http.md describes them; a test holds it to that.
func (s *Server) table() []route {
	api := v1{s}
	return slices.Concat(s.pages(), s.identityRoutes(), api.routes(),
		[]route{openAPI(api.operations(), s.Version)})
}

// pages are the routes that the pages use, and the pages themselves.
func (s *Server) pages() []route {
	docks := docks{open: s.Docks, client: s.client}
	brand := branding{s.Control}
	logins := logins{control: s.Control, forget: s.forget}
	chats := chats{control: s.Control, chat: s.Chat, present: s.present}
	return []route{
		{"POST /api/setup", s.open(s.setUp)},
		{"POST /api/login", s.open(s.logIn)},
		{"DELETE /api/login", s.api(access.ScopeAccount, s.logOut)},
		{"DELETE /api/logins", s.api(access.ScopeAccount, s.logOutEverywhere)},
		{"GET /api/logins", s.api(access.ScopeAccount, logins.list)},
		{"DELETE /api/logins/{id}", s.api(access.ScopeAccount, logins.end)},
		{"GET /api/me", s.api(access.ScopeSelf, s.me)},
		{"POST /api/password", s.api(access.ScopeAccount, s.changePassword)},
		{"POST /api/invite/name", s.open(s.inviteName)},
		{"POST /api/invite", s.open(s.acceptInvite)},
		{"GET /api/keys", s.api(access.ScopeAccount, s.accessKeys)},
		{"POST /api/keys", s.api(access.ScopeAccount, s.createAccessKey)},
		{"DELETE /api/keys/{id}", s.api(access.ScopeAccount, s.revokeAccessKey)},

		{"POST /api/tokens", s.api(access.ScopeTokens, s.issueToken)},
		{"GET /api/tokens", s.api(access.ScopeAccount, s.listTokens)},
		{"GET /api/tokens/{participant}", s.api(access.ScopeTokens, s.tokenState)},
		{"DELETE /api/tokens/{participant}", s.api(access.ScopeTokens, s.revokeToken)},

		{"GET /api/events", http.HandlerFunc(s.streams.account)},
		{"PUT /api/docks/{dock}", s.api(access.ScopeAccount, docks.put)},
		{"DELETE /api/docks/{dock}", s.api(access.ScopeAccount, docks.remove)},

		{"GET /api/users", s.api(access.ScopeUsers, s.listUsers)},
		{"POST /api/users", s.api(access.ScopeUsers, s.addUser)},
		{"DELETE /api/users/{id}", s.api(access.ScopeUsers, s.removeUser)},
		{"POST /api/users/{id}/invite", s.api(access.ScopeUsers, s.reinvite)},
		{"DELETE /api/users/{id}/logins", s.api(access.ScopeUsers, s.endLogins)},
		{"PUT /api/users/{id}/grants/{arn}", s.api(access.ScopeUsers, s.setGrant)},
		{"DELETE /api/users/{id}/grants/{arn}", s.api(access.ScopeUsers, s.removeGrant)},
		{"GET /api/stages", s.api(access.ScopeStages, s.listStages)},
		{"POST /api/stages", s.api(access.ScopeStages, s.addStage)},
		{"PATCH /api/stages/{arn}", s.api(access.ScopeStages, s.changeStage)},
		{"DELETE /api/stages/{arn}", s.api(access.ScopeStages, s.removeStage)},
		{"GET /api/stages/{arn}/sessions", s.api(access.ScopeStages, s.listSessions)},
		{"DELETE /api/stages/{arn}/participants/{participant}", s.api(access.ScopeModerate, moderation{s.Control}.kick)},

		{"GET /api/views", s.api(access.ScopeAccount, s.listViews)},
		{"POST /api/views", s.api(access.ScopeAccount, s.createView)},
		{"DELETE /api/views/{id}", s.api(access.ScopeAccount, s.revokeView)},
		{"GET /api/view", s.api(access.ScopeView, s.thisView)},
		{"POST /api/views/token", s.api(access.ScopeView, s.issueViewToken)},
		{"GET /api/ivs", s.open(s.ivsSDK)},
		{"GET /api/stages/{arn}/events", http.HandlerFunc(s.streams.page)},
		{"POST /api/stages/{arn}/chat", s.visiting(chats.post)},
		{"DELETE /api/stages/{arn}/chat/{message}", s.visiting(chats.remove)},
		{"PUT /api/stages/{arn}/chat/muted/{user}", s.visiting(chats.mute)},
		{"DELETE /api/stages/{arn}/chat/muted/{user}", s.visiting(chats.mute)},

		{"GET /api/obs/script", s.api(access.ScopeTokens, s.obsScript)},

		{"GET /api/aws/stages", s.api(access.ScopeStages, s.listAWS)},
		{"POST /api/aws/events", s.open(s.takeAWSEvent)},

		{"GET /api/branding", s.open(brand.get)},
		{"GET /api/branding/logo", s.open(brand.logo)},

		{"GET /healthz", http.HandlerFunc(s.health)},
		{"GET /readyz", s.open(s.readiness)},
		{"GET /static/{path...}", http.HandlerFunc(s.assets.serve)},

		{"GET /favicon.ico", s.assets.page("favicon.ico")},
		{"GET /{$}", s.assets.page("index.html")},
		{"GET /dock", s.stagePage("dock/index.html")}, // its tab People joins stages
		{"GET /dock/stage", s.stagePage("stage/index.html")},
		{"GET /source", s.stagePage("source/index.html")},
		{"GET /watch", s.stagePage("watch/index.html")},
		{"GET /setup", s.assets.page("setup/index.html")},
		{"GET /invite", s.assets.page("invite/index.html")},
		{"GET /account", s.assets.page("account/index.html")},
		{"GET /operator", s.assets.page("operator/index.html")},
		{"GET /operator/{page}", s.assets.page("operator/page.html")},
		{"GET /device", s.assets.page("device/index.html")},
	}
}

// guard puts in front of every route what holds for all of them.
func (s *Server) guard(mux http.Handler) http.Handler {
	// Browsers say where a request comes from; one that changes something and comes from elsewhere is refused.
	// WHIP carries a bearer and no cookie, so it has its own rule for origins.
	cross := http.NewCrossOriginProtection()
	// Old browsers on plain http say their Origin alone, and a proxy may have changed the Host that it would be compared with.
	if err := cross.AddTrustedOrigin(s.PublicURL.Scheme + "://" + s.PublicURL.Host); err != nil {
		s.Log.Warn("the public URL is not an origin", "err", err)
	}
	foreign := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusForbidden, "cross_origin", "This request comes from another site's page."))
	})
	cross.SetDenyHandler(foreign)
	changes := cross.Handler(mux)
	own := s.guests(mux, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if readsWithLogin(r) && cross.Check(asPost(r)) != nil {
			foreign.ServeHTTP(w, r)
			return
		}
		changes.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recovered(r)
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer") // setup and invite links hold a code
		if s.PublicURL.Scheme == "https" {
			h.Set("Strict-Transport-Security", "max-age=31536000") // a year
		}
		switch httpkit.FirstSegment(r.URL.Path) {
		case "whip", "whep":
			s.WHIP.ServeHTTP(w, r)
		case "stage-events":
			s.Signal.ServeHTTP(w, r)
		default:
			h.Set("Content-Security-Policy", contentPolicy)
			h.Set("X-Frame-Options", "DENY")
			own.ServeHTTP(w, r)
		}
	})
}

// readsWithLogin reports a request to the API that a login cookie identifies, and that is not the
// address bar. A page of a sibling domain gets the cookie sent (SameSite is about sites), and although
// it cannot read the response, it could use up the event streams of its visitor.
func readsWithLogin(r *http.Request) bool {
	_, err := r.Cookie(cookieName)
	return err == nil && httpkit.FirstSegment(r.URL.Path) == "api" &&
		r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// asPost is the request with a method for which http.CrossOriginProtection looks at the origin.
func asPost(r *http.Request) *http.Request {
	r = r.WithContext(r.Context())
	r.Method = http.MethodPost
	return r
}

// contentPolicy lets pages run our own modules alone; the two other addresses are OBS's WebSocket server on this computer.
const contentPolicy = "default-src 'self'; connect-src 'self' ws://127.0.0.1:* ws://localhost:*; img-src 'self' data:; media-src 'self' blob:; " +
	"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// recovered writes a fault of ours to the log, which net/http does not do at a level that operators read. The path may
// hold the secret of a session; the pattern does not.
func (s *Server) recovered(r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault != http.ErrAbortHandler {
		s.Log.Error("a fault of ours", "method", r.Method, "pattern", r.Pattern, "fault", fault, "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler) // the answer may have begun
}

// takeAWSEvent passes on what EventBridge posts.
func (s *Server) takeAWSEvent(r *http.Request, _ access.Principal) (any, error) {
	if s.AWSEvents == nil {
		return nil, stage.Errorf(stage.ErrNotFound, "Events of AWS are not taken here: start Stagedoor with --ivs-region and --ivs-events-secret.")
	}
	err := s.AWSEvents(r)
	if errors.Is(err, stage.ErrUnauthorized) {
		s.Log.Warn("event of AWS refused: wrong secret", "from", s.client(r).Address)
	}
	return nil, err
}

// health says whether the server can do its work.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.Ready(ctx); err != nil {
		s.Log.Error("not healthy", "err", err)
		w.Header().Set("Retry-After", "1")
		writeProblem(w, problem(http.StatusServiceUnavailable, "unavailable", "The database does not answer."))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte("ok\n"))
}

// client says where a request comes from.
func (s *Server) client(r *http.Request) access.Client {
	return access.Client{Address: s.Proxies.Client(r).String(), Agent: clip(r.UserAgent(), 200)}
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}
