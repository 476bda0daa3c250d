package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/stagedoor/stagedoor/internal/metrics"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// openMetrics opens the port for metrics, if --metrics-listen is set.
func (s *server) openMetrics() error {
	s.metrics = metrics.New(version(), runtime.Version())
	if s.settings.MetricsListen == "" {
		return nil
	}
	l, err := net.Listen("tcp", s.settings.MetricsListen)
	if err != nil {
		return portError(err, s.settings.MetricsListen, "--metrics-listen")
	}
	s.metricsListen = s.listen.Beside(l, false)
	s.closers = append(s.closers, func() error { l.Close(); return nil })
	return nil
}

// wireMetrics adds the metrics that are read at each scrape.
func (s *server) wireMetrics() {
	s.metrics.WatchDatabase(s.store.Ping)
	s.metrics.WatchParticipants(s.local.participants)
	s.metrics.WatchOutbox(time.Now, func(ctx context.Context) (metrics.Outbox, error) {
		there, err := s.store.Outbox(ctx)
		return metrics.Outbox(there), err
	})
	s.metrics.Gauge("stagedoor_event_streams", "Event streams of pages that are open.",
		func() float64 { return float64(s.feed.Streams()) })
	if s.aws != nil {
		s.metrics.Gauge("stagedoor_aws_queue_calls",
			"Calls to Amazon IVS that wait for their turn.",
			func() float64 { return float64(s.aws.Waiting()) })
	}
}

// serveMetrics serves metrics, and with --profiling also profiles, until ctx ends. They have a
// separate port, so that a proxy in front of the public port cannot expose them by mistake.
func (s *server) serveMetrics(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	if s.settings.Profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	}
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, ConnState: s.metricsListen.ConnState,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(s.metricsListen); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// measured is an issuer that measures how long issuing takes.
type measured struct {
	stage.Issuer
	metrics *metrics.Metrics
}

func (m measured) IssueToken(
	ctx context.Context, req stage.TokenRequest,
) (stage.ParticipantToken, error) {
	begin := time.Now()
	token, err := m.Issuer.IssueToken(ctx, req)
	m.metrics.Issuer(wayOf(req.Stage, token), time.Since(begin))
	return token, err
}

// requestedTokens counts the requests for tokens.
type requestedTokens struct{ metrics *metrics.Metrics }

func (r requestedTokens) add(arn stage.ARN, token stage.ParticipantToken, err error) {
	r.metrics.Token(wayOf(arn, token), err)
}

// wayOf returns how a token was signed: with the local key, with an own key, or by the AWS API. If
// issuing a token for an AWS stage failed, it returns "aws".
func wayOf(arn stage.ARN, token stage.ParticipantToken) string {
	switch {
	case arn.Local():
		return "local_key"
	case token.IssuedBy == "AWS API":
		return "aws_api"
	case token.IssuedBy == "":
		return "aws"
	}
	return "own_key"
}

// signs returns a check that a key can sign, and that its public half verifies the signature.
func signs(key *ecdsa.PrivateKey) func(context.Context) error {
	digest := sha256.Sum256([]byte("ready"))
	return func(context.Context) error {
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		if err == nil && !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			err = errors.New("a signature of the local key does not verify with its public half")
		}
		return err
	}
}
