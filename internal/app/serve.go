package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/homes"
	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/lease"
	"github.com/stagedoor/stagedoor/internal/metrics"
	"github.com/stagedoor/stagedoor/internal/oidc"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
	"github.com/stagedoor/stagedoor/internal/web"
	"github.com/stagedoor/stagedoor/internal/webhook"
)

const (
	stopLimit = 10 * time.Second // for open requests when the server stops
	// farewellLimit limits how long the stop waits for event streams to end, since some clients do
	// not read. It also limits the removal of this replica from the database.
	farewellLimit = 3 * time.Second
	// sweepEvery is the longest time until a revocation by another process ends a live session.
	sweepEvery = 5 * time.Second
	pruneEvery = time.Hour
)

// ServeCommand is `stagedoor serve`.
type ServeCommand struct{ ServeSettings }

// Run serves until ctx ends.
func (cmd *ServeCommand) Run(ctx context.Context, k *kong.Context, p *process) error {
	cmd.derive(p.sources.byDefault(k))
	defer collectSeldom()()
	s, err := cmd.open(ctx, p, p.sources.inForce(k))
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.checkWayIn(ctx); err != nil {
		return err
	}
	if err := s.control.Stages.AddFirst(ctx, "main"); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.publish(); err != nil {
		return err
	}
	if err := s.greet(ctx, p); err != nil {
		return err
	}
	if !p.keepMemory {
		debug.FreeOSMemory() // returns the memory that only the start needed
	}
	return s.run(ctx)
}

// collectSeldom lets about 10 MB of garbage accumulate between two garbage collections. Otherwise,
// since the heap of an idle server is small, a collection would run every hundred tokens. If the
// operator has set GOGC, collectSeldom changes nothing. The result `undo` is a function that
// restores the earlier value.
func collectSeldom() (undo func()) {
	before := debug.SetGCPercent(smallHeapPercent)
	if before != defaultPercent {
		debug.SetGCPercent(before)
	}
	return func() { debug.SetGCPercent(before) }
}

const (
	defaultPercent   = 100
	smallHeapPercent = 300
)

// A server is a running `stagedoor serve`. The method `wire` builds its parts in the order of their
// dependencies.
type server struct {
	settings ServeSettings
	inForce  []settingInForce // the settings, with secrets masked
	keyID    string           // ID of the local key
	log      *slog.Logger
	closers  []func() error

	lead      *lease.Lead // elects the server that does work for all servers
	store     *store.Store
	passwords *access.Passwords
	registry  *registry // finds the part that serves a stage
	known     *knownStages
	control   *access.Control
	// limits wrong credentials, at every endpoint that accepts bearer tokens
	guard         *httpkit.Guard
	keyReady      func(context.Context) error // checks the local key
	local         *localStages                // nil in a Lambda function
	aws           *aws                        // nil if no AWS region is served
	ownStages     *ownStages                  // nil if no AWS region is served
	swept         uint64                      // hash of the stages at the last sweep
	endOthers     func(context.Context) error // see settleOthers; nil on PostgreSQL
	feed          *feed.Feed
	docks         *feed.Docks
	web           *web.Server
	provider      *oidc.Provider // nil if there is no provider
	webhooks      *webhook.Sender
	metrics       *metrics.Metrics
	homes         *homes.Homes      // nil on SQLite, where this server is the only one
	peerListen    *httpkit.Listener // for other replicas; nil without --peer-listen
	draining      atomic.Bool       // the server was asked to stop
	metricsListen *httpkit.Listener // nil if no metrics are served
	listen        *httpkit.Listener
	http          *http.Server
	certs         certSource        // nil for plain HTTP
	plain         *httpkit.Listener // redirects browsers to HTTPS; may be nil
	public        *url.URL
	endpoints     stage.Endpoints // written into the tokens of all local stages
}

// open opens what the server needs to start: data folder, lock, key, database, ports. After a
// failure it closes what it has opened.
func (cmd *ServeCommand) open(
	ctx context.Context, p *process, inForce []settingInForce,
) (_ *server, err error) {
	s := &server{
		settings: cmd.ServeSettings, log: newLog(cmd.LogSettings, p.err), inForce: inForce,
		passwords: p.hashes(),
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := s.openData(ctx); err != nil {
		return nil, err
	}
	s.warnOfExposure(p.sources.configWithSecrets())
	key, err := s.localKey(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.openPorts(); err != nil {
		return nil, err
	}
	if err := s.openPeers(); err != nil {
		return nil, err
	}
	if err := s.openMetrics(); err != nil {
		return nil, err
	}
	return s, s.wire(ctx, key)
}

// check validates the settings. It opens and creates nothing.
func (s *server) check() (err error) {
	if s.certs, err = s.settings.checkTLS(s.log); err != nil {
		return err
	}
	for _, check := range []func() error{
		s.settings.checkNumbers, s.settings.checkAddresses, s.settings.checkPeers,
		s.settings.AWSSettings.check, s.settings.SignInSettings.check,
		s.settings.BrandSettings.check,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := checkOrigins(s.settings.AllowOrigins); err != nil || s.settings.PublicURL == "" {
		return err
	}
	s.public, err = parsePublicURL(s.settings.PublicURL)
	return err
}

func (s *server) openData(ctx context.Context) error {
	if err := makeDataFolder(s.settings.Data); err != nil {
		return err
	}
	lock, err := lockDataFolder(s.settings.Data)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, lock.Unlock)
	if s.store, err = openStore(ctx, s.settings.DataSettings, s.log); err != nil {
		return err
	}
	s.closers = append(s.closers, s.store.Close)
	return nil
}

func (s *server) openPorts() error {
	tcp, err := net.Listen("tcp", s.settings.Listen)
	if err != nil {
		return bothPorts(portError(err, s.settings.Listen, "--listen"), s.settings.Media)
	}
	limits := connectionLimits(openFiles(), s.settings.TrustedProxies)
	s.listen = httpkit.NewListener(tcp, limits, s.log)
	s.closers = append(s.closers, func() error { s.listen.Close(); return nil })
	if s.public == nil {
		s.public = s.settings.ownPublicURL(s.listen.Addr().(*net.TCPAddr))
	}
	s.endpoints = localEndpoints(s.public)
	return s.openTLS()
}

// bothPorts adds an error of the media port to the error of the HTTP port, so that the operator can
// fix both at once.
func bothPorts(complaint error, media string) error {
	probe, err := net.ListenPacket("udp", media)
	if err != nil {
		return fmt.Errorf("%w; and %w", complaint, portError(err, media+" (UDP)", "--media"))
	}
	probe.Close()
	return complaint
}

func portError(err error, address, flag string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is taken by another program; stop it, or choose another port with %s",
			address, flag)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s may not be used by this user; choose a port above 1023 with %s",
			address, flag)
	default:
		return fmt.Errorf("the server cannot listen on %s (%w): choose another address with %s",
			address, reason(err), flag)
	}
}

// run serves until the context `asked` ends or a part fails. After `asked` has ended, it drains. It
// ends the sessions before it stops the parts that store events, so that the last events of the
// sessions are stored.
func (s *server) run(asked context.Context) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(asked))
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		select {
		case <-asked.Done():
			s.drain(ctx)
			stop()
		case <-ctx.Done():
		}
		return nil
	})
	late, over := context.WithCancel(context.WithoutCancel(ctx))
	var told errgroup.Group
	told.Go(func() error {
		return s.feed.Run(late, s.sources())
	})
	told.Go(func() error { return s.docks.Run(late) })
	told.Go(func() error { return s.control.Outage.StoreLate(late) })

	g.Go(s.serveHTTP)
	s.runTLS(ctx, g)
	s.runProvider(ctx, g)
	g.Go(func() error { return s.local.media.Run(ctx) })
	g.Go(func() error { return s.local.signal.Run(ctx) })
	s.runLead(ctx, g)
	if s.ownStages != nil {
		g.Go(func() error { return s.ownStages.run(ctx, s.control.MakeOwnStages) })
	}
	s.runHomes(late, g, &told)
	g.Go(func() error { return s.webhooks.Run(ctx) })
	if s.metricsListen != nil {
		g.Go(func() error { return s.serveMetrics(ctx) })
	}
	g.Go(func() error { return s.settleOthers(ctx) })
	g.Go(func() error {
		return s.every(ctx, sweepEvery, "changes by other processes cannot be applied", s.sweep)
	})
	g.Go(func() error {
		return s.every(ctx, giveBackEvery, "memory cannot be given back", s.giveBackMemory())
	})
	g.Go(func() error {
		<-ctx.Done()
		return s.stopHTTP(context.WithoutCancel(ctx))
	})
	err := g.Wait()
	over()
	err = errors.Join(err, told.Wait())
	if s.homes != nil { // the ends of this server's sessions are stored now
		leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellLimit)
		s.homes.Leave(leave)
		cancel()
	}
	return err
}

func (s *server) serveHTTP() error {
	serve := s.http.Serve
	if s.certs != nil {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	err := serve(s.listen)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *server) stopHTTP(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	farewell, over := context.WithTimeout(ctx, farewellLimit)
	s.web.Stop(farewell)
	over()
	err := s.local.whip.Shutdown(ctx)
	if s.local.proxy != nil {
		s.local.proxy.Close(ctx)
	}
	if slow := s.http.Shutdown(ctx); slow != nil {
		s.log.WarnContext(ctx, "requests that did not end in time were cut off", "err", slow)
		s.http.Close()
	}
	return err
}

// close closes what `open` has opened, in reverse order.
func (s *server) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); err != nil {
			s.log.Warn("a part of the server did not close", "err", err)
		}
	}
	s.closers = nil
}
