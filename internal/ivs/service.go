// Package ivs is the real service behind the AWS stages: tokens, stages, participants and public
// keys through the API of Amazon IVS real-time, within its quotas, with its errors turned into
// sentences. AWS is known here and nowhere else.
package ivs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/sync/singleflight"

	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// GlobalWHIP is what OBS is given for every AWS stage: "Use https://global.whip.live-video.net.
// It returns a 307 Temporary Redirect" to the stage's own (AWS guide, "IVS WHIP Publishing").
const GlobalWHIP = "https://global.whip.live-video.net"

// Config is what a Service needs. Regions and AWS are needed.
type Config struct {
	Regions []string
	AWS     aws.Config // credentials and transport, of Load

	Endpoint     string // of the API, if it is an emulator or a proxy; "": AWS
	WHIPEndpoint string // for WHIP clients; "": derived from the stage's endpoints
	KMSEndpoint  string // of AWS KMS; "": AWS

	Cache   Cache         // remembers stages; nil: in memory
	MaxWait time.Duration // a token waits so long for its turn, then 503; 10 s

	Events func(stage.Event) // what happens to publishers; must not block. May be nil
	Poll   time.Duration     // between two looks at a watched stage; 2 s

	// Barred lists those whose token was issued here and revoked since, wherever that was done. Who
	// was not issued here is no matter of ours: other programs of the account put people on its
	// stages, too. May be nil.
	Barred func(context.Context) ([]stage.Participant, error)

	// Of several processes that serve the same stages, Leads reports whether this is the one that
	// polls them and keeps out who is barred; nil is always. Each gives the events of EventBridge
	// to Pass, if there is one; its data comes to Passed, at all of them. One that begins to lead
	// is made to Recall.
	Leads func() bool
	Pass  func([]byte) error
	// Budget is shared by all processes that use the account; it may be nil.
	Budget Budget
	// Waited receives how long each call waited for its turn; it may be nil.
	Waited func(operation string, d time.Duration)

	Now func() time.Time
	Log *slog.Logger
}

// A Budget limits calls over several processes.
type Budget interface {
	// Take takes a call from a rate of one per every, and returns how long to wait until it is due.
	// ok is false, and nothing taken, when that is longer than most.
	Take(ctx context.Context, name string, every, most time.Duration) (wait time.Duration, ok bool,
		err error)
	// Pause keeps every process from a rate for a while.
	Pause(ctx context.Context, name string, d time.Duration) error
}

// Load finds credentials as every AWS program does: environment, shared files, SSO, container,
// instance.
func Load(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return cfg, stage.Errorf(stage.ErrInvalid, "the AWS configuration cannot be read").
			WithCause(err)
	}
	return cfg, nil
}

// Service is Amazon IVS in some regions of one account. It is safe for concurrent use.
type Service struct {
	cfg     Config
	regions map[string]*ivsrealtime.Client
	limits  *limits
	flights singleflight.Group // one GetStage or look at a time for a stage
	tracker *tracker
	passed  passedEvents
	seen    httpkit.Map[string, struct{}] // IDs of events of EventBridge that were added

	mu      sync.Mutex
	watches map[stage.ARN]*watch // guarded by mu
	// guarded by mu: of Config.Barred; true: AWS has disconnected them
	barred map[stage.ParticipantID]bool
}

var (
	_ stage.Issuer    = (*Service)(nil)
	_ stage.Moderator = (*Service)(nil)
)

// New prepares the clients; nothing is called yet.
func New(cfg Config) (*Service, error) {
	cfg.setDefaults()
	if len(cfg.Regions) == 0 {
		return nil, stage.Errorf(stage.ErrInvalid,
			"name at least one AWS region, such as us-west-2")
	}
	s := &Service{
		cfg:     cfg,
		regions: map[string]*ivsrealtime.Client{},
		limits:  &limits{budget: cfg.Budget, waited: cfg.Waited, queues: map[string]*queue{}},
		tracker: newTracker(cfg.Events, cfg.Now),
		seen:    httpkit.Map[string, struct{}]{Max: rememberIDs},
		watches: map[stage.ARN]*watch{},
	}
	for _, region := range cfg.Regions {
		if !slices.Contains(stage.AWSRegions(), region) {
			return nil, noRegion(region)
		}
		s.regions[region] = s.client(region)
	}
	return s, nil
}

func (cfg *Config) setDefaults() {
	cfg.MaxWait = cmp.Or(cfg.MaxWait, 10*time.Second)
	cfg.Poll = cmp.Or(cfg.Poll, 2*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Cache == nil {
		cfg.Cache = &memory{stages: map[stage.ARN]kept{}}
	}
	if cfg.Events == nil {
		cfg.Events = func(stage.Event) {}
	}
	if cfg.Leads == nil {
		cfg.Leads = func() bool { return true }
	}
}

func (s *Service) client(region string) *ivsrealtime.Client {
	return ivsrealtime.NewFromConfig(s.cfg.AWS, func(o *ivsrealtime.Options) {
		o.Region = region
		if s.cfg.Endpoint != "" {
			o.BaseEndpoint = &s.cfg.Endpoint
		}
		o.Credentials = namedCredentials{s.cfg.AWS.Credentials}
		o.Retryer = patience()
		o.APIOptions = append(o.APIOptions, s.limits.to(region))
	})
}

// patience retries what the network or a server of AWS broke. Throttling is not for it: that waits
// in the queue.
func patience() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 3
		o.MaxBackoff = 300 * time.Millisecond
		o.RateLimiter = ratelimit.None
		o.Retryables = []retry.IsErrorRetryable{
			retry.NoRetryCanceledError{},
			retry.RetryableError{},
			retry.RetryableConnectionError{},
			retry.RetryableHTTPStatusCode{Codes: retry.DefaultRetryableHTTPStatusCodes},
			retry.RetryableErrorCode{Codes: retry.DefaultRetryableErrorCodes},
		}
	})
}

// Serves reports whether the stage is in one of our regions.
func (s *Service) Serves(arn stage.ARN) bool {
	return !arn.Local() && s.regions[arn.Region()] != nil
}

func (s *Service) region(name string) (*ivsrealtime.Client, error) {
	if client := s.regions[name]; client != nil {
		return client, nil
	}
	if !slices.Contains(stage.AWSRegions(), name) {
		return nil, noRegion(name)
	}
	return nil, stage.Errorf(stage.ErrUnavailable,
		"Stages of the AWS region %s are not served here: the operator adds --ivs-region %s.", name,
		name).WithCode("aws_region")
}

// whipEndpoint is what a WHIP client is given. AWS has one global endpoint for all stages, in the
// domain of every stage's own; a server of other stages, as the emulator is, has it at
// /whip.
func (s *Service) whipEndpoint(e stage.Endpoints) string {
	if s.cfg.WHIPEndpoint != "" {
		return s.cfg.WHIPEndpoint
	}
	own, err := url.Parse(e.WHIP)
	if err != nil || own.Host == "" || strings.HasSuffix(own.Hostname(), ".live-video.net") {
		return GlobalWHIP
	}
	return own.Scheme + "://" + own.Host + "/whip"
}

// WHIPEndpoint serves token.Signer, which signs for AWS stages.
func (s *Service) WHIPEndpoint(e stage.Endpoints) string { return s.whipEndpoint(e) }

func noRegion(name string) error {
	return stage.Errorf(stage.ErrInvalid,
		"Amazon IVS has no real-time stages in %q; its regions are %s.", name,
		strings.Join(stage.AWSRegions(), ", "))
}

// limits keeps every operation within its rate, in each region.
type limits struct {
	budget Budget // may be nil
	waited func(operation string, d time.Duration)
	mu     sync.Mutex
	queues map[string]*queue
}

// perSecond is the quota of an operation ("Service Quotas: Real-Time Streaming"); none can be
// raised.
func perSecond(operation string) int {
	switch {
	case operation == "CreateParticipantToken":
		return 50
	case strings.Contains(operation, "PublicKey"):
		return 3
	}
	return 5
}

func (l *limits) queue(region, operation string) *queue {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := region + "/" + operation
	if l.queues[key] == nil {
		l.queues[key] = newQueue(perSecond(operation))
	}
	return l.queues[key]
}

// Waiting returns how many calls wait for their turn.
func (s *Service) Waiting() (n int) {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	for _, q := range s.limits.queues {
		n += q.length()
	}
	return n
}

// Credentials returns why there are none to call AWS with, or nil. The SDK keeps them until they
// expire: asking often costs nothing.
func (s *Service) Credentials(ctx context.Context) error {
	if s.cfg.AWS.Credentials == nil {
		return errors.New("no AWS credentials are configured")
	}
	_, err := s.cfg.AWS.Credentials.Retrieve(ctx)
	return err
}

// to puts the queue where every attempt passes, retries included.
func (l *limits) to(region string) func(*middleware.Stack) error {
	wait := func(ctx context.Context, in middleware.FinalizeInput,
		next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		operation := middleware.GetOperationName(ctx)
		q := l.queue(region, operation)
		begin := time.Now()
		err := q.wait(ctx, callerOf(ctx))
		if l.waited != nil {
			l.waited(operation, time.Since(begin))
		}
		if err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, err
		}
		name := "aws " + region + " " + operation
		if err := l.share(ctx, q, name); err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, err
		}
		out, meta, err := next.HandleFinalize(ctx, in)
		if throttled(err) {
			q.pause(throttleRest)
			l.pauseAll(ctx, name)
		}
		return out, meta, err
	}
	return func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("StagedoorQueue", wait),
			"Retry", middleware.After)
	}
}

// throttleRest is the pause of all calls after AWS has throttled.
const throttleRest = time.Second / 2

// share waits for a place in what all processes call together. Those who queue here meanwhile wait
// in their own order. Without an answer of the budget this process keeps to its own rate.
func (l *limits) share(ctx context.Context, q *queue, name string) error {
	if l.budget == nil {
		return nil
	}
	burst := time.Duration(q.burst-1) * q.every
	most := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		most = time.Until(deadline)
	}
	wait, ok, err := l.budget.Take(ctx, name, q.every, most+burst)
	switch {
	case err != nil:
		return nil
	case !ok:
		return busy(most)
	case wait <= burst:
		return nil
	}
	q.pause(wait - burst)
	select {
	case <-time.After(wait - burst):
		return nil
	case <-ctx.Done():
		return busy(q.every)
	}
}

func (l *limits) pauseAll(ctx context.Context, name string) {
	if l.budget != nil {
		// Without an answer, each process learns it from AWS by itself.
		_ = l.budget.Pause(ctx, name, throttleRest)
	}
}

type callerKey struct{}

// as names the user of a call, for the fair queue: no user's calls delay those of all others.
func as(ctx context.Context, caller string) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

func callerOf(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}

// call calls an operation; when AWS throttles it queues again, as long as ctx lasts.
func call[In, Out any](ctx context.Context, s *Service, subject string,
	do func(context.Context, *In, ...func(*ivsrealtime.Options)) (*Out, error), in *In) (*Out,
	error) {
	for {
		out, err := do(ctx, in)
		if err == nil {
			return out, nil
		}
		if throttled(err) && ctx.Err() == nil {
			continue
		}
		explained := explain(err, subject)
		level := slog.LevelWarn
		if errors.Is(explained, stage.ErrNotFound) {
			level = slog.LevelInfo // who was not on the stage yet, mostly
		}
		s.cfg.Log.Log(ctx, level, "aws", "err", explained)
		return nil, explained
	}
}

// namedCredentials marks an error as one of getting credentials.
type namedCredentials struct{ aws.CredentialsProvider }

func (c namedCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if c.CredentialsProvider == nil {
		return aws.Credentials{}, noCredentials{fmt.Errorf("no credentials provider")}
	}
	found, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return found, noCredentials{err}
	}
	return found, nil
}

type noCredentials struct{ error }

func (e noCredentials) Unwrap() error { return e.error }
