package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/web"
	"github.com/stagedoor/stagedoor/internal/whip"
)

const (
	stopLimit  = 10 * time.Second // for requests under way when the server stops
	sweepEvery = 5 * time.Second  // how soon a revocation made elsewhere ends a live session
	pruneEvery = time.Hour
)

// ServeCommand is `stagedoor serve`.
type ServeCommand struct{ ServeSettings }

// Run serves until ctx ends.
func (cmd *ServeCommand) Run(ctx context.Context, p *process) error {
	s, err := cmd.open(ctx, p)
	if err != nil {
		return err
	}
	defer s.close()
	if err := firstStage(ctx, s.control); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	if err := s.greet(ctx, p); err != nil {
		return err
	}
	debug.FreeOSMemory() // of what only the start needed
	return s.run(ctx)
}

// A server is the house, wired.
type server struct {
	settings ServeSettings
	log      *slog.Logger
	closers  []func() error

	store   *store.Store
	control *access.Control
	media   *sfu.SFU
	tokens  *token.Verifier // of the local stages
	whip    *whip.Handler
	signal  *signal.Server
	limits  atomic.Pointer[map[stage.ARN]access.Limits] // of all stages, as of the last sweep
	aws     *aws                                        // nil where no region of AWS is served
	web     *web.Server
	listen  net.Listener
	http    *http.Server
	tls     *tls.Config // nil: plain HTTP
	public  *url.URL
	local   stage.Endpoints // of all local stages, which share them: the token names the stage
}

// open takes everything that can refuse: folder, lock, key, database, ports. What was taken is given back on failure.
func (cmd *ServeCommand) open(ctx context.Context, p *process) (_ *server, err error) {
	s := &server{settings: cmd.ServeSettings, log: newLog(cmd.LogSettings, p.err)}
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
	key, err := localKey(s.settings.Data)
	if err != nil {
		return nil, err
	}
	if err := s.openPorts(); err != nil {
		return nil, err
	}
	return s, s.wire(ctx, key)
}

// check reads the settings that can be wrong by themselves, before anything is taken or made.
func (s *server) check() (err error) {
	if s.tls, err = loadTLS(s.settings.TLSCert, s.settings.TLSKey); err != nil {
		return err
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
	var err error
	if s.listen, err = net.Listen("tcp", s.settings.Listen); err != nil {
		return portError(err, s.settings.Listen, "--listen")
	}
	s.closers = append(s.closers, func() error { s.listen.Close(); return nil })
	if s.public == nil {
		s.public = ownURL(s.listen.Addr().(*net.TCPAddr), s.tls != nil)
	}
	s.local = localEndpoints(s.public)
	return nil
}

func portError(err error, address, flag string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is taken by another program; stop it, or choose another port with %s", address, flag)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s may not be used by this user; choose a port above 1023 with %s", address, flag)
	default:
		return fmt.Errorf("%s cannot be listened on: %w; say HOST:PORT with %s", address, err, flag)
	}
}

// wire joins the floors.
func (s *server) wire(ctx context.Context, key *ecdsa.PrivateKey) error {
	keyID, err := token.LocalKeyID(&key.PublicKey)
	if err != nil {
		return err
	}
	s.control = &access.Control{
		Store: s.store, Passwords: newPasswords(), Now: time.Now,
		TokenLimit: s.settings.TokenLimit, TokenWindow: s.settings.TokenWindow,
		Changed: func(id access.UserID) { s.web.AccessChanged(id) },
	}
	if err := s.wireLocal(keyID, key); err != nil {
		return err
	}
	if err := s.wireAWS(ctx); err != nil {
		return err
	}
	stages := &both{
		signer: &token.Signer{Key: key, KeyID: keyID, Endpoints: s.endpoints, Now: time.Now, Name: "local key"},
		signal: s.signal, aws: s.aws,
	}
	s.control.Issuer, s.control.Moderator = stages, stages
	return s.wireWeb(stages)
}

// wireLocal joins what serves local stages.
func (s *server) wireLocal(keyID string, key *ecdsa.PrivateKey) error {
	var err error
	s.media, err = sfu.New(sfu.Config{
		Listen: s.settings.Media, Hosts: s.settings.MediaHosts, MaxPublishers: s.settings.MaxPublishers,
		Silence: s.settings.LostAfter, EndAtExpiry: s.settings.CutAtExpiry, LimitsFor: s.limitsFor, Now: time.Now, Log: s.log,
		Events:  func(e stage.Event) { s.web.StageEvent(e) },
		Changed: func(arn stage.ARN) { s.signal.MediaChanged(arn) },
	})
	if err != nil {
		return portError(err, s.settings.Media, "--media")
	}
	s.tokens = &token.Verifier{
		Keys: token.Keys{keyID: &key.PublicKey}, Endpoints: s.endpoints, Now: time.Now, Leeway: clockLeeway, Admit: s.control.Admit,
	}
	s.whip = &whip.Handler{
		Media: s.media, Tokens: s.tokens, Log: s.log, Now: time.Now, AllowOrigins: s.settings.AllowOrigins,
		Events:  func(e stage.Event) { s.web.StageEvent(e) },
		Logins:  logins{s},
		Address: s.address,
	}
	s.signal = signal.New(signal.Config{
		Doors: s.whip, Media: s.media, Origin: s.public.String(), Now: time.Now, Log: s.log,
		Changed: func(arn stage.ARN) { s.web.StageChanged(arn) },
	})
	return nil
}

// wireAWS joins what serves stages of AWS, where a region is named.
func (s *server) wireAWS(ctx context.Context) (err error) {
	if len(s.settings.IVSRegion) == 0 {
		return nil
	}
	s.aws, err = openAWS(ctx, s.settings.AWSSettings, s.settings.Data, ivs.Config{
		Cache: endpointCache{s.control}, Log: s.log, Barred: s.control.Barred,
		Events: func(e stage.Event) { s.web.StageEvent(e) },
	})
	return err
}

func (s *server) wireWeb(stages stage.Moderator) (err error) {
	cfg := web.Config{
		Control: s.control, Stage: stages, WHIP: s.whip, Signal: s.signal, Tokens: s.tokens, PublicURL: s.public, Version: version(),
		AllowOrigins: s.settings.AllowOrigins,
		SDK:          web.SDK{URL: s.settings.IVSSDK, Integrity: s.settings.IVSSDKIntegrity},
		Log:          s.log, Now: time.Now, Ready: s.store.Ping, Proxies: s.settings.TrustedProxies,
	}
	if s.aws != nil {
		cfg.AWS = s.aws
		if s.settings.IVSEventsSecret != "" {
			cfg.AWSEvents = s.aws.Webhook(stage.NewSecret(s.settings.IVSEventsSecret))
		}
	}
	if s.web, err = web.New(cfg); err != nil {
		return err
	}
	s.http = &http.Server{
		Handler:           s.web,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute, // event streams give themselves a new one with each event
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		TLSConfig:         s.tls,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return nil
}

// clockLeeway is for machines whose clocks differ a little.
const clockLeeway = 5 * time.Second

// newPasswords hashes at most two passwords at a time, so that a crowd at the door does not eat the memory.
func newPasswords() *access.Passwords {
	return access.NewPasswords(access.DefaultPasswordParams(), 2)
}

// endpoints are the claims of tokens for the stages served here.
func (s *server) endpoints(_ context.Context, arn stage.ARN) (stage.Endpoints, error) {
	if !arn.Local() {
		return stage.Endpoints{}, stage.Errorf(stage.ErrNotFound, "The stage %s is not served here.", arn)
	}
	return s.local, nil
}

func localEndpoints(public *url.URL) stage.Endpoints {
	events := *public
	events.Scheme = map[string]string{"http": "ws", "https": "wss"}[public.Scheme]
	return stage.Endpoints{WHIP: public.JoinPath("whip").String(), Events: events.JoinPath("stage-events").String()}
}

func (s *server) address(r *http.Request) netip.Addr {
	address, _ := netip.ParseAddr(web.ClientAddress(r, s.settings.TrustedProxies))
	return address
}

// logins lets signed-in people watch by their cookie.
type logins struct{ *server }

func (l logins) Login(r *http.Request) string { return l.web.LoginID(r) }

func (l logins) Viewer(r *http.Request, publisher stage.ParticipantID) (stage.Participant, error) {
	return l.web.Viewer(r, publisher)
}

// greet prints where everything is.
func (s *server) greet(ctx context.Context, p *process) error {
	fmt.Fprintf(p.out, "Stagedoor serves on %s (HTTP %s, media %s)\n", s.public, s.listen.Addr(), s.media.Addr())
	fmt.Fprintf(p.out, "Dock:  %s   (in OBS: Docks → Custom Browser Docks…)\n", s.public.JoinPath("dock"))
	code, err := s.control.NewSetupCode(ctx)
	switch {
	case err == nil:
		fmt.Fprintf(p.out, "Setup: %s\n       There is no operator yet: open this link once to become it.\n", web.SetupURL(s.public, code))
	case !errors.Is(err, stage.ErrConflict):
		return err
	}
	fmt.Fprintln(p.out, "Stop with Ctrl+C.")
	return nil
}

// firstStage gives a new database its stage "main".
func firstStage(ctx context.Context, c *access.Control) error {
	known, err := c.Stages(ctx, access.CommandLine())
	if err != nil || len(known) > 0 {
		return err
	}
	if _, err = c.AddLocalStage(ctx, access.CommandLine(), "main"); errors.Is(err, stage.ErrConflict) {
		return nil // another replica was faster
	}
	return err
}

// run serves until ctx ends or a part fails. Sessions end first, so that their last events are still stored.
func (s *server) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	late, over := context.WithCancel(context.WithoutCancel(ctx))
	var told errgroup.Group
	told.Go(func() error { return s.web.Run(late) })

	g.Go(s.serveHTTP)
	g.Go(func() error { return s.media.Run(ctx) })
	g.Go(func() error { return s.signal.Run(ctx) })
	if s.aws != nil {
		g.Go(func() error { return s.aws.Run(ctx) })
		g.Go(func() error { return s.aws.keys.Run(ctx) })
	}
	g.Go(func() error { return s.every(ctx, sweepEvery, s.sweep) })
	g.Go(func() error { return s.every(ctx, pruneEvery, s.control.Prune) })
	g.Go(func() error {
		<-ctx.Done()
		return s.stopHTTP(context.WithoutCancel(ctx))
	})
	err := g.Wait()
	over()
	return errors.Join(err, told.Wait())
}

func (s *server) serveHTTP() error {
	serve := s.http.Serve
	if s.tls != nil {
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
	s.web.Stop()
	err := s.whip.Shutdown(ctx)
	if slow := s.http.Shutdown(ctx); slow != nil {
		s.log.Warn("requests that would not end were cut off", "err", slow)
		s.http.Close()
	}
	return err
}

// sweep takes over what another process changed, another replica or `stagedoor users remove`: the limits of stages, and
// revocations, which end live sessions.
func (s *server) sweep(ctx context.Context) error {
	stages, err := s.control.Stages(ctx, access.CommandLine())
	if err != nil {
		return err
	}
	limits := map[stage.ARN]access.Limits{}
	for _, a := range stages {
		limits[a.Stage.ARN] = a.Limits
	}
	s.limits.Store(&limits)
	for _, a := range stages {
		if a.Stage.ARN.Local() {
			err = errors.Join(err, s.sweepStage(ctx, a.Stage.ARN))
		}
	}
	return err
}

// settle puts in order what an earlier run left behind. With PostgreSQL another server may be at work: what is open is its own.
func (s *server) settle(ctx context.Context) error {
	if s.settings.Database == "" {
		if err := s.control.EndUnfinished(ctx); err != nil {
			return err
		}
	}
	return s.sweep(ctx)
}

// limitsFor serves the media plane, which asks often and must not wait for the database.
func (s *server) limitsFor(arn stage.ARN) sfu.Limits {
	limits := access.DefaultLimits()
	if known := s.limits.Load(); known != nil {
		if set, ok := (*known)[arn]; ok {
			limits = set
		}
	}
	return sfu.Limits{
		MaxHeight: limits.MaxHeight, AdvisedBitrate: limits.AdvisedBitrate, MaxBitrate: limits.MaxBitrate,
		MaxKeyframeInterval: limits.MaxKeyframeInterval, NoBFrames: true, Enforce: s.settings.EnforceLimits,
	}
}

func (s *server) sweepStage(ctx context.Context, arn stage.ARN) error {
	present, err := s.signal.Participants(ctx, arn)
	for _, p := range present {
		if err := s.mayStay(ctx, p.Participant); errors.Is(err, stage.ErrDenied) || errors.Is(err, stage.ErrUnauthorized) {
			s.sendAway(ctx, p.Participant, "token_revoked", "The token was revoked, or the access to this stage was taken back.")
		}
	}
	return err
}

func (s *server) mayStay(ctx context.Context, p stage.Participant) error {
	if p.ExpiresAt.IsZero() { // watches by a login, without a token
		return s.control.MayWatch(ctx, access.UserID(p.UserID), p.Stage)
	}
	return s.control.Admit(ctx, p)
}

// sendAway ends everything of a participant: the sessions, with a code that says why, and the place on the events socket.
func (s *server) sendAway(ctx context.Context, p stage.Participant, code, detail string) {
	s.whip.Close(p.ID, code, detail)
	if err := s.signal.Disconnect(ctx, p.Stage, p.ID, detail); err != nil && !errors.Is(err, stage.ErrNotFound) {
		s.log.Warn("a participant was not sent away", "participant", p.ID, "err", err)
	}
}

// every does a piece of housekeeping until ctx ends. A failure is not the end: the next round tries again.
func (s *server) every(ctx context.Context, pause time.Duration, do func(context.Context) error) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := do(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("housekeeping failed", "err", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// close gives back what open took, last first.
func (s *server) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); err != nil {
			s.log.Warn("closing", "err", err)
		}
	}
	s.closers = nil
}
