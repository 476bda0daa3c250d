package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
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

// wire builds each part from complete parts. One dependency is circular: access.Control issues
// tokens for stages and disconnects participants, and the parts that serve stages need
// access.Control. So access.Control reaches these parts through the registry, which is built first.
func (s *server) wire(ctx context.Context, key *ecdsa.PrivateKey) error {
	keyID, err := token.LocalKeyID(&key.PublicKey)
	if err != nil {
		return err
	}
	s.keyID, s.keyReady = keyID, signs(key)
	if err := s.wireLeaves(); err != nil {
		return err
	}
	passkeys, err := s.passkeys(key)
	if err != nil {
		return err
	}
	endpoints := localOnly(s.endpoints)
	err = s.wireRules(access.Config{
		Issuer:           measured{s.registry, s.metrics},
		Verifier:         verifier(token.Keys{keyID: &key.PublicKey}, endpoints),
		Passkeys:         passkeys,
		OperatorPasskeys: s.settings.OperatorPasskeys,
		Present:          finder{s.known, s.feed.Everywhere(s.registry)}.find,
	})
	if err != nil {
		return err
	}
	s.wireHomes()
	err = s.wireLocal(key, &token.Signer{
		Key: key, KeyID: keyID, Endpoints: endpoints, Now: time.Now, Name: "local key",
	})
	if err != nil {
		return err
	}
	if err := s.wireAWS(ctx, nil); err != nil {
		return err
	}
	s.wireMetrics()
	return s.wireWeb()
}

// wireLeaves builds the parts that do not need access.Control, including the parts to which
// access.Control reports.
func (s *server) wireLeaves() error {
	shared, err := s.store.Shared(s.settings.DatabaseDirect, time.Now, s.log)
	if err != nil {
		return err
	}
	s.registry, s.known = new(registry), new(knownStages)
	s.wireLead()
	s.feed = feed.New(feed.Config{
		Shared: shared, Log: s.log, Now: time.Now, Asks: s.lead.Leads,
	})
	s.docks = feed.NewDocks(s.feed)
	s.guard = httpkit.NewGuard(time.Now, s.log)
	s.webhooks = webhook.New(webhook.Config{
		Outbox: s.store, Client: webhook.NewClient(s.settings.WebhookNetworks),
		Now: time.Now, Log: s.log, Observe: s.metrics.Webhook,
	})
	if len(s.settings.IVSRegion) > 0 {
		s.ownStages = newOwnStages(s.log)
	}
	return nil
}

// wireRules builds the access.Control. The caller sets the fields of `rules` that differ between a
// server and a Lambda function. wireRules sets the others.
func (s *server) wireRules(rules access.Config) (err error) {
	if rules.Brand, err = s.settings.brand(); err != nil {
		return err
	}
	if rules.External, err = s.settings.policy(); err != nil {
		return err
	}
	rules.Store, rules.Passwords, rules.Now, rules.Log = s.store, s.passwords, time.Now, s.log
	rules.Replicated = s.several()
	rules.NoPasswords = !s.settings.Passwords
	rules.TokenLimit, rules.TokenWindow = s.settings.TokenLimit, s.settings.TokenWindow
	rules.AuditRetention = s.settings.AuditRetention
	rules.Changed, rules.Queued = s.feed.AccessChanged, s.webhooks.Wake
	rules.Asked = requestedTokens{s.metrics}.add
	rules.Unreachable = webhook.Unreachable(s.settings.WebhookNetworks)
	rules.Moderator, rules.Removed = s.registry, s.registry.removed
	if s.ownStages != nil {
		rules.StageMaker, rules.Wanted = s.registry, s.ownStages.wake
	}
	s.control = access.New(rules)
	return nil
}

// verifier returns the verifier of the tokens of local stages.
func verifier(keys token.Keys, endpoints endpointsOf) *token.Verifier {
	return &token.Verifier{
		Keys: keys, Endpoints: endpoints, Now: time.Now, Leeway: clockLeeway,
	}
}

// wireLocal builds and connects the parts that serve local stages.
func (s *server) wireLocal(key *ecdsa.PrivateKey, signer *token.Signer) error {
	events := stageEvents{s.metrics, s.feed}.add
	media, err := sfu.New(sfu.Config{
		Listen: s.settings.Media, ListenTCP: s.settings.MediaTCP, Hosts: s.settings.MediaHosts,
		MaxPublishers: s.settings.MaxPublishers,
		Silence:       s.settings.LostAfter, EndAtExpiry: s.settings.CutAtExpiry,
		LimitsFor: limitsFor(s.known, s.settings.EnforceLimits),
		Now:       time.Now, Log: s.log, Events: events,
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
	handler := whip.New(whip.Config{
		Media: media, Tokens: tokens, SessionPrefix: prefix, Log: s.log, Now: time.Now,
		Guard: s.guard, AllowOrigins: s.settings.AllowOrigins, Events: events,
		Address: s.proxies().Client, ICEServers: s.iceServers(),
	})
	socket := signal.New(signal.Config{
		Sessions: handler, Media: media, Origin: s.public.String(), Now: time.Now, Log: s.log,
		Changed: s.feed.StageChanged,
	})
	media.OnChange(socket.MediaChanged)
	proxy, err := s.wireProxy(key, handler, socket)
	if err != nil {
		return err
	}
	s.local = &localStages{
		known: s.known, signer: signer, media: media, whip: handler, signal: socket, proxy: proxy,
		draining: &s.draining, log: s.log,
	}
	s.registry.local.Store(s.local)
	return nil
}

// iceServers returns a function that returns the STUN and TURN servers for a participant, or nil if
// no servers are set.
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

// wireAWS builds and connects the parts that serve AWS stages, if a region is set. The function
// noKey is None of the Router; it may be nil.
func (s *server) wireAWS(
	ctx context.Context, noKey func(arn stage.ARN, where string) string,
) (err error) {
	if len(s.settings.IVSRegion) == 0 {
		return nil
	}
	cfg := ivs.Config{
		Cache: endpointCache{s.control.Stages}, Log: s.log, Barred: s.control.Barred,
		Events: stageEvents{s.metrics, s.feed}.add, Leads: s.lead.Leads,
		Waited: s.metrics.AWSWait,
	}
	if s.several() {
		cfg.Budget = s.store
	}
	if s.lead.Elected() {
		cfg.Pass = passTo(s.feed)
	}
	s.aws, err = openAWS(ctx, s.settings.AWSSettings, s.settings.Data, cfg, noKey)
	if err != nil {
		return err
	}
	s.registry.aws.Store(s.aws)
	return nil
}

// passTo returns a function that sends an event of EventBridge to all servers.
func passTo(f *feed.Feed) func(event []byte) error {
	return func(event []byte) error { return f.Pass(context.Background(), event) }
}

func (s *server) wireWeb() (err error) {
	ways, err := s.wireSignIn()
	if err != nil {
		return err
	}
	ways.Observe = s.metrics.SignIn
	cfg := s.webConfig(ways)
	cfg.WHIP, cfg.Signal = s.local.whip, s.local.signal
	if s.local.proxy != nil {
		cfg.WHIP, cfg.Signal = s.local.proxy, s.local.proxy
	}
	cfg.Checks = append(cfg.Checks,
		web.Check{Name: "media", Run: s.local.ready},
		web.Check{Name: "signing key", Run: s.keyReady},
		web.Check{Name: "running", Run: running(&s.draining)})
	if s.web, err = web.New(cfg); err != nil {
		return err
	}
	var secure *tls.Config
	if s.certs != nil {
		secure = s.certs.TLS()
	}
	s.http = &http.Server{
		TLSConfig:         secure,
		Handler:           httpkit.RequestIDs(s.metrics.HTTP(s.web), s.proxies()),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		// Event streams set their own deadline for each event.
		WriteTimeout:   2 * time.Minute,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 32 << 10,
		ConnState:      s.listen.ConnState,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return nil
}

// webConfig returns the configuration of package web that servers and Lambda functions share.
func (s *server) webConfig(ways web.SignIn) web.Config {
	db := s.store
	cfg := web.Config{
		SignIn:   ways,
		ServerID: func(ctx context.Context) (string, error) { return db.ServerID(ctx, time.Now()) },
		Control:  s.control, Stage: s.feed.Everywhere(s.registry),
		Feed: s.feed, Docks: s.docks, Chat: feed.NewChat(s.feed),
		PublicURL: s.public, PublicURLSet: s.settings.PublicURL != "", Version: version(),
		AllowOrigins: s.settings.AllowOrigins,
		SDK:          web.SDK{URL: s.settings.IVSSDK, Integrity: s.settings.IVSSDKIntegrity},
		Log:          s.log, Now: time.Now,
		Checks:  []web.Check{{Name: "database", Run: db.Ping}},
		Proxies: s.settings.TrustedProxies, Guard: s.guard, About: s.about(),
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

// clockLeeway is how far the clocks of replicas may differ. With it, a new token from a replica
// whose clock is ahead is valid on the other replicas at once.
const clockLeeway = time.Minute + 5*time.Second

// hashes returns a hasher that hashes at most two passwords at a time, because each hash takes
// megabytes of memory.
func (p *process) hashes() *access.Passwords { return access.NewPasswords(p.passwords, 2) }

// An endpointsOf is a function that returns the endpoints that tokens for a stage contain.
type endpointsOf = func(context.Context, stage.ARN) (stage.Endpoints, error)

// localOnly returns a function that returns the endpoints of local stages, and an error for AWS
// stages. All local stages have the same endpoints, because the token names the stage.
func localOnly(endpoints stage.Endpoints) endpointsOf {
	return func(_ context.Context, arn stage.ARN) (stage.Endpoints, error) {
		if !arn.Local() {
			return stage.Endpoints{}, stage.Errorf(stage.ErrNotFound,
				"The stage %s is not served here.", arn)
		}
		return endpoints, nil
	}
}

func localEndpoints(public *url.URL) stage.Endpoints {
	events := *public
	events.Scheme = map[string]string{"http": "ws", "https": "wss"}[public.Scheme]
	return stage.Endpoints{
		WHIP:   public.JoinPath("whip").String(),
		Events: events.JoinPath(signal.Path).String(),
	}
}

// proxies returns the trusted proxies. The method Client of the result finds the address of a
// client behind them.
func (s *server) proxies() httpkit.Proxies { return httpkit.Proxies(s.settings.TrustedProxies) }
