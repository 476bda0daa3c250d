package app

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/homes"
	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/web"
	"github.com/stagedoor/stagedoor/internal/webhook"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// wire builds each part on those that it needs. What they report goes to the feed, which comes first.
func (s *server) wire(ctx context.Context, key *ecdsa.PrivateKey) error {
	keyID, err := token.LocalKeyID(&key.PublicKey)
	if err != nil {
		return err
	}
	s.keyID, s.keyReady = keyID, signs(key)
	if err := s.wireRules(token.Keys{keyID: &key.PublicKey}); err != nil {
		return err
	}
	s.wireHomes()
	if err := s.wirePasskeys(key); err != nil {
		return err
	}
	if err := s.wireLocal(); err != nil {
		return err
	}
	if err := s.wireDoor(key); err != nil {
		return err
	}
	if err := s.wireAWS(ctx); err != nil {
		return err
	}
	stages := &both{
		signer: &token.Signer{Key: key, KeyID: keyID, Endpoints: s.endpoints, Now: time.Now, Name: "local key"},
		signal: s.signal, aws: s.aws, door: s.door,
	}
	// The one ring: stages ask the rules who may enter, and the rules disconnect participants.
	s.control.Issuer, s.control.Moderator = measured{stages, s.metrics}, stages
	s.control.Removed = s.closeStage
	s.wireMetrics()
	s.control.Present = s.present
	s.stages = stages
	return s.wireWeb(s.feed.Everywhere(stages))
}

// wireRules makes the rules and what they report to. Tokens of local stages are signed with one of
// the local keys.
func (s *server) wireRules(local token.Keys) error {
	brand, err := s.settings.brand()
	if err != nil {
		return err
	}
	external, err := s.settings.policy()
	if err != nil {
		return err
	}
	shared, err := s.store.Shared(s.settings.DatabaseDirect, time.Now, s.log)
	if err != nil {
		return err
	}
	s.wireLead()
	s.feed = feed.New(feed.Config{
		Shared: shared, Log: s.log, Now: time.Now, Asks: s.lead.Leads, PassedOn: s.passedOn,
	})
	s.docks = feed.NewDocks(s.feed)
	s.guard = httpkit.NewGuard(time.Now, s.log)
	s.webhooks = webhook.New(
		s.store, webhook.NewClient(s.settings.WebhookNetworks), time.Now, s.log)
	s.control = &access.Control{
		Store: s.store, Passwords: newPasswords(), Now: time.Now, Log: s.log,
		Verifier: &token.Verifier{
			Keys: local, Endpoints: s.endpoints, Now: time.Now, Leeway: clockLeeway,
		},
		External: external, NoPasswords: !s.settings.Passwords,
		TokenLimit: s.settings.TokenLimit, TokenWindow: s.settings.TokenWindow,
		Changed: s.feed.AccessChanged, Queued: s.webhooks.Wake,
		AuditRetention: s.settings.AuditRetention, Brand: brand,
	}
	return nil
}

// wireLocal joins what serves local stages.
func (s *server) wireLocal() error {
	var err error
	s.media, err = sfu.New(sfu.Config{
		Listen: s.settings.Media, ListenTCP: s.settings.MediaTCP, Hosts: s.settings.MediaHosts, MaxPublishers: s.settings.MaxPublishers,
		Silence: s.settings.LostAfter, EndAtExpiry: s.settings.CutAtExpiry, LimitsFor: s.limitsFor, Now: time.Now, Log: s.log,
		Events: s.stageEvent,
	})
	if err != nil {
		if errors.Is(err, sfu.ErrTCP) {
			return portError(err, s.settings.MediaTCP+" (TCP)", "--media-tcp")
		}
		return portError(err, s.settings.Media, "--media")
	}
	var tokens whip.Tokens = s.control
	var prefix func() string
	if s.peerListen != nil {
		tokens, prefix = atHome{s.control, s.homes}, s.homes.SessionPrefix
	}
	s.whip = whip.New(whip.Config{
		Media: s.media, Tokens: tokens, SessionPrefix: prefix, Log: s.log, Now: time.Now, Guard: s.guard,
		AllowOrigins: s.settings.AllowOrigins,
		Events:       s.stageEvent,
		Address:      s.address,
		ICEServers:   s.iceServers(),
	})
	s.signal = signal.New(signal.Config{
		Sessions: s.whip, Media: s.media, Origin: s.public.String(), Now: time.Now, Log: s.log,
		Changed: s.feed.StageChanged,
	})
	s.media.OnChange(s.signal.MediaChanged)
	return nil
}

// iceServers is nil where none are named.
func (s *server) iceServers() func(stage.Participant) []whip.ICEServer {
	if len(s.settings.TURN) == 0 {
		return nil
	}
	servers := &whip.ICEServers{
		URLs: s.settings.TURN, Secret: stage.NewSecret(s.settings.TURNSecret),
		User: s.settings.TURNUser, Password: stage.NewSecret(s.settings.TURNPassword),
	}
	return func(p stage.Participant) []whip.ICEServer { return servers.For(p, time.Now()) }
}

// closeStage says goodbye to everybody on a local stage that is removed. A stage of AWS stays there.
func (s *server) closeStage(arn stage.ARN) {
	if !arn.Local() {
		return
	}
	if err := s.signal.CloseStage(context.Background(), arn); err != nil {
		s.log.Warn("a stage that is removed was not closed", "stage", arn, "err", err)
	}
	if s.door == nil {
		return
	}
	err := s.door.Send(context.Background(), homes.Order{Verb: homes.CloseStage, Stage: arn})
	if err != nil && !errors.Is(err, stage.ErrNotFound) {
		s.log.Warn("a stage that is removed was not closed everywhere", "stage", arn, "err", err)
	}
}

// wireAWS joins what serves stages of AWS, where a region is named.
func (s *server) wireAWS(ctx context.Context) (err error) {
	if len(s.settings.IVSRegion) == 0 {
		return nil
	}
	cfg := ivs.Config{
		Cache: endpointCache{s.control}, Log: s.log, Barred: s.control.Barred,
		Events: s.stageEvent, Leads: s.lead.Leads, Pass: s.pass,
		Waited: s.metrics.AWSWait,
	}
	if s.several() {
		cfg.Budget = s.store
	}
	s.aws, err = openAWS(ctx, s.settings.AWSSettings, s.settings.Data, cfg)
	if err != nil {
		return err
	}
	s.ownStages = &ownStages{bell: make(chan struct{}, 1), make: s.control.MakeOwnStages, fail: func(err error) {
		s.log.Warn("stages of one's own cannot be looked up", "err", err)
	}}
	s.control.StageMaker, s.control.Wanted = s.aws, s.ownStages.wake
	return nil
}

func (s *server) wireWeb(stages stage.Moderator) (err error) {
	ways, err := s.wireSignIn()
	if err != nil {
		return err
	}
	ways.Observe = s.metrics.SignIn
	cfg := s.webConfig(ways, stages)
	cfg.WHIP, cfg.Signal = s.whip, s.signal
	cfg.Checks = append(cfg.Checks, web.Check{Name: "media", Run: s.mediaReady}, web.Check{Name: "signing key", Run: s.keyReady}, web.Check{Name: "running", Run: s.stopping})
	if s.door != nil {
		cfg.WHIP, cfg.Signal = s.door, s.door
	}
	if s.web, err = web.New(cfg); err != nil {
		return err
	}
	s.http = &http.Server{
		Handler:           httpkit.RequestIDs(s.metrics.HTTP(s.web), httpkit.Proxies(s.settings.TrustedProxies)),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute, // event streams give themselves a new one with each event
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ConnState:         s.listen.ConnState,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return nil
}

// webConfig is what the HTTP floor needs of a server with or without local stages.
func (s *server) webConfig(ways web.SignIn, stages stage.Moderator) web.Config {
	cfg := web.Config{
		SignIn:   ways,
		ServerID: func(ctx context.Context) (string, error) { return s.store.ServerID(ctx, time.Now()) },
		Control:  s.control, Stage: stages, Feed: s.feed, Docks: s.docks, Chat: feed.NewChat(s.feed), PublicURL: s.public, Version: version(),
		AllowOrigins: s.settings.AllowOrigins,
		SDK:          web.SDK{URL: s.settings.IVSSDK, Integrity: s.settings.IVSSDKIntegrity},
		Log:          s.log, Now: time.Now, Ready: s.store.Ping,
		Checks: []web.Check{{Name: "database", Run: s.store.Ping}}, Proxies: s.settings.TrustedProxies, Guard: s.guard, About: s.about(),
	}
	if s.aws != nil {
		cfg.AWS = s.aws
		cfg.Checks = append(cfg.Checks, web.Check{Name: "aws credentials", Run: s.aws.Credentials})
		if s.settings.IVSEventsSecret != "" {
			cfg.AWSEvents = s.aws.Webhook(stage.NewSecret(s.settings.IVSEventsSecret))
		}
	}
	return cfg
}

// clockLeeway is for replicas whose clocks differ: a token from one with a clock that is ahead is good
// on the others at once.
const clockLeeway = time.Minute + 5*time.Second

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
	return httpkit.Proxies(s.settings.TrustedProxies).Client(r)
}
