// Package ivs accesses AWS stages: tokens, stages, participants and public keys, through the API of
// Amazon IVS real-time. It stays within the quotas of the API, and turns errors of the API into
// sentences. No other package uses the API of Amazon IVS.
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

	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// globalWHIP is the WHIP endpoint that OBS receives for every AWS stage: "Use
// https://global.whip.live-video.net. It returns a 307 Temporary Redirect" to the endpoint of the
// stage (AWS guide, "IVS WHIP Publishing").
const globalWHIP = "https://global.whip.live-video.net"

// Config is what a Service needs. Regions and AWS are required.
type Config struct {
	Regions []string
	AWS     aws.Config // credentials and transport, from Load

	Endpoint    string // URL of the API of an emulator or a proxy; "" for AWS
	KMSEndpoint string // URL of AWS KMS; "" for AWS

	Cache   Cache         // stores stages; nil for a cache in memory
	MaxWait time.Duration // how long a call may wait before it fails with 503; 10 s if zero

	Events func(stage.Event) // receives the events of publishers; must not block. May be nil
	Poll   time.Duration     // interval between two polls of a watched stage; 2 s if zero

	// Barred lists the participants whose tokens this server has issued and revoked, for any
	// reason. Participants of other programs, which may use the same stages, are not in the list.
	// May be nil.
	Barred func(context.Context) ([]stage.Participant, error)

	// Leads reports whether this process polls the stages and bars participants; nil means always.
	// If several processes serve the same stages, one leads. If Pass is set, every process gives
	// the events of EventBridge to Pass, and all processes receive them by Passed. A process that
	// begins to lead must call Recall.
	Leads func() bool
	Pass  func([]byte) error
	// All processes that use the account share Budget; it may be nil.
	Budget Budget
	// Waited receives how long each call waited for its turn; it may be nil.
	Waited func(operation string, d time.Duration)

	Now func() time.Time
	Log *slog.Logger
}

// A Budget limits calls across processes.
type Budget interface {
	// Take counts a call towards a rate of one call per period, and returns the wait until the call
	// is due. If the wait would be longer than `most`, Take returns false and does not count the
	// call.
	Take(ctx context.Context, name string, every, most time.Duration) (wait time.Duration, ok bool,
		err error)
	// Pause blocks all calls of a rate, in every process, for a while.
	Pause(ctx context.Context, name string, d time.Duration) error
}

// Load finds credentials by the default chain of the AWS SDK: in the environment, shared files,
// SSO, the container or the instance.
func Load(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return cfg, stage.Errorf(stage.ErrInvalid, "the AWS configuration cannot be read").
			WithCause(err)
	}
	return cfg, nil
}

// Service gives access to Amazon IVS in some regions of one account. It is safe for concurrent use.
type Service struct {
	cfg     Config
	regions map[string]*ivsrealtime.Client
	limits  *limits
	flights singleflight.Group // at most one GetStage call or poll at a time for each stage
	tracker *tracker
	passed  passedEvents
	seen    bounded.Map[string, struct{}] // IDs of the EventBridge events that were processed

	mu      sync.Mutex
	watches map[stage.ARN]*watch // guarded by mu
	// guarded by mu: participants from Config.Barred; the value is true if AWS has disconnected
	// them
	barred map[stage.ParticipantID]bool
}

var (
	_ stage.Issuer    = (*Service)(nil)
	_ stage.Moderator = (*Service)(nil)
)

// New prepares the clients. It sends no request.
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
		seen:    bounded.Map[string, struct{}]{Max: rememberIDs},
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
		o.APIOptions = append(o.APIOptions, s.limits.middlewareFor(region))
	})
}

// patience returns a retryer for calls that failed because of the network or a server of AWS. It
// does not retry throttled calls, which wait in the queue instead.
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

// serves reports whether the stage is in one of the served regions.
func (s *Service) serves(arn stage.ARN) bool {
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

// WHIPEndpoint returns the endpoint for WHIP clients. AWS has one global endpoint for all stages,
// in the domain of the endpoints of single stages. Other servers, such as the emulator, have their
// global endpoint at /whip.
func WHIPEndpoint(e stage.Endpoints) string {
	own, err := url.Parse(e.WHIP)
	if err != nil || own.Host == "" || strings.HasSuffix(own.Hostname(), ".live-video.net") {
		return globalWHIP
	}
	return own.Scheme + "://" + own.Host + "/whip"
}

func noRegion(name string) error {
	return words.Error(stage.ErrInvalid, "said.invalid.awsRegion", words.Values{
		"region": name, "regions": strings.Join(stage.AWSRegions(), ", "),
	})
}

// limits limits the rate of each operation in each region.
type limits struct {
	budget Budget // may be nil
	waited func(operation string, d time.Duration)
	mu     sync.Mutex
	queues map[string]*queue
}

// perSecond returns the quota of an operation ("Service Quotas: Real-Time Streaming"). AWS raises
// none of these quotas.
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

// Credentials returns an error if there are no credentials for AWS. The SDK caches credentials
// until they expire, so frequent calls cost nothing.
func (s *Service) Credentials(ctx context.Context) error {
	if s.cfg.AWS.Credentials == nil {
		return errors.New("no AWS credentials are configured")
	}
	_, err := s.cfg.AWS.Credentials.Retrieve(ctx)
	return err
}

// middlewareFor returns an option of the SDK for calls to one region. Each attempt of a call, also
// a retry, then waits for its turn in the queue.
func (l *limits) middlewareFor(region string) func(*middleware.Stack) error {
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

// throttleRest is how long all calls pause after AWS has throttled one.
const throttleRest = time.Second / 2

// share waits for a turn among the calls of all processes. Meanwhile, the callers in the queue of
// this process keep their order. If the budget does not answer, only this process's own rate
// applies.
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
		// If the budget does not answer, AWS throttles the other processes, too.
		_ = l.budget.Pause(ctx, name, throttleRest)
	}
}

type callerKey struct{}

// as sets the caller for the fair queue, in which the calls of one caller do not delay those of
// others.
func as(ctx context.Context, caller string) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}

func callerOf(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}

// call calls an operation of the API. When AWS throttles, the call waits in the queue again, until
// ctx ends.
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
			level = slog.LevelInfo // usually a participant who has not been on the stage
		}
		s.cfg.Log.Log(ctx, level, "aws", "err", explained)
		return nil, explained
	}
}

// namedCredentials marks the errors that occur while credentials are obtained.
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
