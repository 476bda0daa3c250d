// Package web serves HTTP: the JSON API, the event streams and the pages. It only translates
// between HTTP and package access, which decides who may do what.
//
// The types of JSON bodies are exported because static/types.d.ts and the OpenAPI document take
// their names, and because tests of other packages decode responses into them.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// Config is what a Server needs.
type Config struct {
	Control   *access.Control
	Stage     stage.Moderator // the presence of the stages
	Feed      *feed.Feed
	Docks     *feed.Docks
	Chat      *feed.Chat
	WHIP      http.Handler // serves /whip and /whep
	Signal    http.Handler // serves /stage-events, the stages' events socket
	SignIn    SignIn
	SDK       SDK                       // Amazon's web SDK, for AWS stages
	AWS       AWS                       // AWS stages; nil if none are served
	AWSEvents func(*http.Request) error // receives the events that EventBridge posts; may be nil
	PublicURL *url.URL
	// PublicURLSet reports whether the operator set PublicURL. Otherwise PublicURL is derived from
	// the address on which the server listens.
	PublicURLSet bool
	Version      string
	Log          *slog.Logger
	Now          func() time.Time
	ServerID     func(context.Context) (string, error) // see store.Store.ServerID
	Checks       []Check                               // for /readyz
	// other origins whose pages may call with a participant token; "*" means all
	AllowOrigins []string
	Proxies      httpkit.Proxies // proxies whose forwarding headers are trusted; by default none
	Guard        *httpkit.Guard  // limits wrong bearer tokens; shared with WHIP
	About        About
	Short        ShortStreams // limits the time of event streams; by default they stay open
}

// A Server serves the routes of this package, and those of WHIP, WHEP and the events socket.
type Server struct {
	config  Config
	adapter *adapter
	streams *streams
	assets  assets
	handler http.Handler
}

// New returns a Server.
func New(c Config) (*Server, error) {
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	if c.Guard == nil {
		c.Guard = httpkit.NewGuard(c.Now, c.Log)
	}
	s := &Server{config: c, assets: files, adapter: &adapter{
		authenticator: authenticator{c.Control, c.Proxies, c.Guard, c.Now}, log: c.Log,
		cookies: cookies{secure: c.PublicURL.Scheme == "https", now: c.Now},
		faults:  &bounded.Map[string, struct{}]{Max: 100, Life: time.Second},
	}}
	s.streams = &streams{
		control: c.Control, feed: c.Feed, docks: c.Docks, chat: c.Chat,
		present: s.stages().present, me: s.profiles().ofStream,
		fail: s.adapter.fail, guarded: s.adapter.guarded, log: c.Log, now: c.Now,
		short: c.Short, shared: newCoalescer[sharer, profile](profilesAtOnce),
	}
	s.handler = s.guard(s.mux())
	return s, nil
}

// Stop ends every event stream with a Bye. When ctx ends, it cuts the streams that are still open.
func (s *Server) Stop(ctx context.Context) { s.streams.stop(ctx) }

// ServeHTTP serves a request by the table of routes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) mux() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.table() {
		mux.Handle(r.pattern, r.handler)
	}
	mux.Handle(anything, lost{routes: mux})
	return mux
}

func (s *Server) profiles() profiles {
	p := profiles{control: s.config.Control, version: s.config.Version, signIn: s.config.SignIn}
	if s.config.PublicURLSet {
		p.public = s.config.PublicURL.String()
	}
	return p
}

func (s *Server) stages() *stages {
	c := s.config
	return &stages{control: c.Control, moderator: c.Stage, aws: c.AWS, log: c.Log}
}

// table lists every route except /whip, /whep and /stage-events, which are in `guard`. A test
// compares the table with docs/http.md.
func (s *Server) table() []route {
	c, a := s.config, s.adapter
	stages := s.stages()
	people := &people{c.Control, c.Docks, c.PublicURL}
	tokens := &tokens{c.Control, stages.present, a.client}
	signIns := &signIns{a, s.profiles(), c.SignIn.Observe}
	guests := guestLinks{c.Control, a.client, c.PublicURL}
	health := &health{c.Checks, c.Log}
	api := v1{
		control: c.Control, docks: c.Docks, aws: c.AWS, public: c.PublicURL, now: c.Now,
		people: people, stages: stages, tokens: tokens, guests: guests,
		system: system{
			c.Control.OwnKeys, c.About, c.PublicURL.String(), c.Version, health.checkAll,
		},
	}
	return slices.Concat(
		signIns.routes(),
		(&oidcLogins{signIns, c.SignIn, c.PublicURL}).routes(),
		(&deviceLogins{signIns, c.PublicURL}).routes(),
		(&passkeys{signIns}).routes(),
		(&accessKeys{c.Control.AccessKeys}).routes(a),
		tokens.routes(a),
		(&rehearsals{c.Control, a.client}).routes(a),
		people.routes(a),
		stages.routes(a),
		(&viewKeys{c.Control, c.Feed, c.PublicURL, a.client}).routes(a),
		guests.routes(a),
		(&docks{c.Docks, a.client}).routes(a),
		s.streams.routes(),
		(&chats{c.Control.Chat, c.Chat, stages.present}).routes(a),
		(&scripts{c.Control.Enrolments, c.ServerID, c.PublicURL, c.Now}).routes(a),
		(&awsEvents{c.AWSEvents, a.client, c.Log}).routes(a),
		health.routes(a),
		(&stagePages{c.Control, s.assets, c.SDK, c.AWS != nil, c.Log}).routes(a),
		branding{c.Control.Branding}.routes(a),
		s.assets.routes(),
		api.routes(a),
		[]route{openAPI(api.operations(), c.Version)},
	)
}

// guard wraps every route with the checks and headers that apply to all.
func (s *Server) guard(mux http.Handler) http.Handler {
	// Browsers send the origin of a request. A request from another origin that changes something
	// is refused. WHIP checks origins itself, because it uses bearer tokens and no cookies.
	cross := http.NewCrossOriginProtection()
	// Old browsers, and browsers on plain http, send only an Origin header. Without this trusted
	// origin, that header would be compared with the Host header, which a proxy may have changed.
	if err := cross.AddTrustedOrigin(s.config.PublicURL.Scheme + "://" +
		s.config.PublicURL.Host); err != nil {
		s.config.Log.Warn("the public URL is not an origin", "err", err)
	}
	foreign := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusForbidden, "cross_origin",
			"This request comes from another site's page."))
	})
	cross.SetDenyHandler(foreign)
	changes := cross.Handler(mux)
	own := guests{s.config.PublicURL, s.config.AllowOrigins}.wrap(mux,
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
		h.Set("Referrer-Policy", "no-referrer") // setup and invite links contain a code
		if s.config.PublicURL.Scheme == "https" {
			h.Set("Strict-Transport-Security", "max-age=31536000") // a year
		}
		switch httpkit.FirstSegment(r.URL.Path) {
		case "whip", "whep":
			s.config.WHIP.ServeHTTP(w, r)
		case "stage-events":
			s.config.Signal.ServeHTTP(w, r)
		default:
			h.Set("Content-Security-Policy", contentPolicy)
			h.Set("X-Frame-Options", "DENY")
			own.ServeHTTP(w, r)
		}
	})
}

// readsWithLogin reports whether a request to the API has a login cookie and is not a navigation.
// Browsers also send the cookie with requests of pages on sibling domains, which SameSite does not
// exclude. Such a page cannot read the response, but it could use up the event streams of its
// visitor.
func readsWithLogin(r *http.Request) bool {
	_, err := r.Cookie(cookieName)
	return err == nil && httpkit.FirstSegment(r.URL.Path) == "api" &&
		r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// asPost returns the request as a POST, because http.CrossOriginProtection does not check GET
// requests.
func asPost(r *http.Request) *http.Request {
	r = r.WithContext(r.Context())
	r.Method = http.MethodPost
	return r
}

// recovered logs a panic at a level that operators read; net/http would use a lower level. The log
// has the pattern of the route and not the path, which may contain a session URL.
func (s *Server) recovered(r *http.Request) {
	fault := recover()
	if fault == nil {
		return
	}
	if fault != http.ErrAbortHandler {
		s.config.Log.ErrorContext(r.Context(), "a handler panicked", "method", r.Method, "pattern",
			r.Pattern, "fault", fault, "stack", string(debug.Stack()))
	}
	panic(http.ErrAbortHandler) // ends the connection, because the response may have begun
}
