package app

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/homes"
	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// PeerSettings are for several replicas on one database.
type PeerSettings struct {
	PeerListen string        `help:"Address at which the other replicas on the same database reach this one, to pass on requests for its local stages. By default, the server works alone." placeholder:"HOST:PORT"`
	PeerURL    string        `help:"URL under which the other replicas reach that address; by default derived from the address." placeholder:"URL" name:"peer-url"`
	PeerSecret string        `help:"Secret by which the replicas recognize each other, of 16 characters or more; by default derived from the local key." secret:"all"`
	Drain      time.Duration `help:"How long broadcasts on local stages may go on after the server was asked to stop." default:"0s"`
}

func (s *ServeSettings) checkPeers() error {
	switch {
	case s.Drain < 0:
		return fmt.Errorf("--drain must be 0s or more, not %v", s.Drain)
	case s.PeerSecret != "" && len(s.PeerSecret) < leastSecret:
		return fmt.Errorf(
			"--peer-secret must have at least %d characters; `openssl rand -hex 16` makes one",
			leastSecret)
	case s.PeerListen == "" && (s.PeerURL != "" || s.PeerSecret != ""):
		return errors.New("--peer-url and --peer-secret need --peer-listen")
	case s.PeerListen == "":
		return nil
	case s.Database == "":
		return errors.New("--peer-listen is for several replicas on one PostgreSQL: add --database")
	}
	if u, err := url.Parse(s.PeerURL); s.PeerURL != "" &&
		(err != nil || u.Port() == "" || u.Hostname() == "") {
		return fmt.Errorf("--peer-url must be a URL with a port like https://10.0.0.2:8444, not %q",
			s.PeerURL)
	}
	return checkAddress("--peer-listen", s.PeerListen)
}

// openPeers opens the port for the other replicas.
func (s *server) openPeers() error {
	if s.settings.PeerListen == "" {
		return nil
	}
	l, err := net.Listen("tcp", s.settings.PeerListen)
	if err != nil {
		return portError(err, s.settings.PeerListen, "--peer-listen")
	}
	s.peerListen = s.listen.Beside(l, true)
	s.closers = append(s.closers, func() error { l.Close(); return nil })
	if s.settings.PeerURL != "" {
		return nil
	}
	at := l.Addr().(*net.TCPAddr)
	if at.IP.IsUnspecified() {
		return fmt.Errorf("--peer-listen %s is every address of this machine: say with --peer-url "+
			"where the other replicas reach it", s.settings.PeerListen)
	}
	s.settings.PeerURL = "https://" + at.String()
	return nil
}

// wireHomes prepares this replica to be the home of some local stages, beside other replicas on the
// same database. On SQLite there are no other replicas.
func (s *server) wireHomes() {
	if s.settings.Database == "" {
		return
	}
	runs := runs{filepath.Join(s.settings.Data, "replica"), s.store, s.log}
	s.homes = homes.New(homes.Config{
		Store: s.store, URL: s.settings.PeerURL, Log: s.log,
		Before: runs.before(), Joined: runs.joined,
		End:  sessionEnds{s.control.Events, s.feed}.record,
		Lost: s.registry.lost, Idle: s.registry.idle, Left: s.registry.left,
	})
}

// runs stores the ID of the current run in the data folder. At the next start, the new run reads
// this ID. By then it holds the lock of the data folder, so the run with this ID has certainly
// ended.
type runs struct {
	file  string
	store *store.Store
	log   *slog.Logger
}

// before returns the ID of the previous run, or "".
func (r runs) before() string {
	id, _ := os.ReadFile(r.file) // without the file there was no previous run
	return strings.TrimSpace(string(id))
}

func (r runs) joined(id string) {
	r.store.ActAs(id)
	if err := os.WriteFile(r.file, []byte(id+"\n"), 0o600); err != nil {
		r.log.Warn("after a crash, the other replicas cannot take over at once: the replica's ID "+
			"is "+
			"not kept",
			"err", err)
	}
}

// sessionEnds records the ends of the sessions of a replica that has crashed.
type sessionEnds struct {
	events *access.Events
	feed   *feed.Feed
}

func (e sessionEnds) record(ctx context.Context, replica string) (more bool, err error) {
	ended, more, err := e.events.EndSessionsOf(ctx, replica)
	for _, event := range ended {
		e.feed.Announce(event)
	}
	return more, err
}

// wireProxy returns the proxy that forwards requests to other replicas, or nil if --peer-listen is
// not set.
func (s *server) wireProxy(
	key *ecdsa.PrivateKey, media *whip.Handler, events *signal.Server,
) (*homes.Proxy, error) {
	if s.peerListen == nil {
		return nil, nil
	}
	secret := []byte(s.settings.PeerSecret)
	if len(secret) == 0 {
		var err error
		if secret, err = key.Bytes(); err != nil {
			return nil, err
		}
	}
	return homes.NewProxy(homes.ProxyConfig{
		Homes: s.homes, Secret: secret, Here: mediaEndpoints{media, events},
		Stage: claims{s.known, s.control}.stage, Address: s.proxies().Client,
		Refuse: media.Fail, Order: orders{events}.carryOut,
	})
}

// mediaEndpoints serve /whip, /whep and /stage-events on this replica.
type mediaEndpoints struct {
	media  *whip.Handler
	events *signal.Server
}

func (m mediaEndpoints) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if httpkit.FirstSegment(r.URL.Path) == signal.Path {
		m.events.ServeHTTP(w, r)
		return
	}
	m.media.ServeHTTP(w, r)
}

// claims finds the stage for which a token was issued.
type claims struct {
	known   *knownStages
	control *access.Control
}

// stage returns the local stage in the claims of a request's token. It does not verify the token,
// because the claim only selects the replica that verifies it.
func (c claims) stage(r *http.Request) stage.ARN {
	bearer := httpkit.Bearer(r)
	if httpkit.FirstSegment(r.URL.Path) == signal.Path {
		bearer = signal.Bearer(r)
	}
	arn := token.ClaimedStage(bearer)
	if !arn.Local() {
		return ""
	}
	if _, known := c.known.find(arn); known {
		return arn
	}
	if c.control.Stages.Served(r.Context(), arn) != nil {
		return ""
	}
	return arn
}

// orders carries out orders of other replicas on the sessions of this replica.
type orders struct{ events *signal.Server }

func (o orders) carryOut(ctx context.Context, order homes.Order) error {
	switch order.Verb {
	case homes.Disconnect:
		return o.events.Disconnect(ctx, order.Stage, order.Participant, order.Reason)
	case homes.CloseStage:
		return o.events.CloseStage(ctx, order.Stage)
	}
	return stage.Errorf(stage.ErrInvalid, "This server does not know this order of another "+
		"replica.")
}

// atHome verifies tokens. It refuses tokens of stages whose home is another replica.
type atHome struct {
	whip.Tokens
	homes *homes.Homes
}

// Verify implements whip.Tokens.
func (a atHome) Verify(ctx context.Context, bearer stage.Secret) (stage.Participant, error) {
	p, err := a.Tokens.Verify(ctx, bearer)
	if err == nil && !a.homes.Holds(p.Stage) {
		return p, stage.Errorf(stage.ErrUnavailable,
			"This stage is moving to another server: try again in a moment.").
			WithCode("stage_moving").WithRetry(2 * time.Second)
	}
	return p, err
}

// runHomes renews the membership of this replica until its last events are stored. If the
// membership expired earlier, other replicas would record the ends of this replica's sessions.
func (s *server) runHomes(late context.Context, g, told *errgroup.Group) {
	if s.homes == nil {
		return
	}
	told.Go(func() error { return s.homes.Run(late) })
	if s.local.proxy == nil {
		return
	}
	g.Go(func() error { return s.local.proxy.Serve(s.peerListen) })
}
