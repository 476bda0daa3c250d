// Package metrics exports metrics for Prometheus. Labels come from fixed sets, so that users,
// stages and unknown clients cannot increase their number. No metric contains a secret.
package metrics

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Metrics contains the counters of one server.
type Metrics struct {
	registry *prometheus.Registry

	tokens       *prometheus.CounterVec
	tokenSeconds *prometheus.HistogramVec
	signIns      *prometheus.CounterVec
	events       *prometheus.CounterVec
	requests     *prometheus.CounterVec
	requestTime  *prometheus.HistogramVec
	webhooks     *prometheus.CounterVec
	database     prometheus.Histogram
	awsWait      *prometheus.HistogramVec
}

// New returns metrics, which include the versions of the program and of Go.
func New(version, goVersion string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagedoor_tokens_total",
			Help: "Requests for tokens; result is ok for each token that was given.",
		}, []string{"way", "result"}),
		tokenSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "stagedoor_token_seconds", Help: "How long the issuer took.",
			Buckets: []float64{.0005, .001, .005, .025, .1, .25, 1, 5, 20},
		}, []string{"way"}),
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagedoor_sign_ins_total", Help: "Attempts to sign in.",
		}, []string{"way", "result"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagedoor_participant_events_total",
			Help: "What happened to participants; reason is the code of the event.",
		}, []string{"kind", "reason"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagedoor_http_requests_total", Help: "HTTP requests by route and status.",
		}, []string{"route", "status"}),
		requestTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "stagedoor_http_request_seconds",
			Help:    "How long requests took, without event streams.",
			Buckets: []float64{.001, .005, .025, .1, .5, 2, 10},
		}, []string{"route"}),
		webhooks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stagedoor_webhook_attempts_total",
			Help: "Attempts to deliver a message to a webhook.",
		}, []string{"result"}),
		database: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "stagedoor_database_seconds",
			Help:    "How long the database took to answer a ping, at each scrape.",
			Buckets: []float64{.0001, .0005, .002, .01, .05, .25, 1, 2},
		}),
	}
	m.awsWait = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "stagedoor_aws_queue_seconds",
		Help:    "How long calls to Amazon IVS waited for their turn.",
		Buckets: []float64{.001, .02, .2, 1, 5, 20, 60},
	}, []string{"operation"})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "stagedoor_build_info", Help: "The build; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": goVersion},
	})
	build.Set(1)
	m.registry.MustRegister(build, m.tokens, m.tokenSeconds, m.signIns, m.events, m.requests,
		m.requestTime,
		m.webhooks, m.database, m.awsWait, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Gauge adds a value that is read at each scrape.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
		read))
}

// Participants describes the participants on the local stages of one server.
type Participants struct {
	Publishing int
	Viewers    int
	Bitrate    int     // received media in bit/s
	Loss       float64 // the highest share of packets that a publisher loses
	BytesIn    uint64  // media received since the start
	BytesOut   uint64  // media sent since the start
}

// WatchParticipants reads the local stages at each scrape.
func (m *Metrics) WatchParticipants(read func() Participants) {
	m.registry.MustRegister(participants{read: read})
}

type participants struct{ read func() Participants }

var (
	participantsDesc = prometheus.NewDesc("stagedoor_participants",
		"Participants of the local stages.", []string{"role"}, nil)
	bitrateDesc = prometheus.NewDesc("stagedoor_media_received_bits_per_second",
		"Media that publishers of the local stages send.", nil, nil)
	bytesInDesc = prometheus.NewDesc("stagedoor_media_received_bytes_total",
		"Media packets that arrived for the local stages.", nil, nil)
	bytesOutDesc = prometheus.NewDesc("stagedoor_media_sent_bytes_total",
		"Media packets of the local stages that were sent.", nil, nil)
	lossDesc = prometheus.NewDesc("stagedoor_media_worst_loss_ratio",
		"The worst share of lost packets among publishers.", nil, nil)
)

func (participants) Describe(out chan<- *prometheus.Desc) {
	out <- participantsDesc
	out <- bitrateDesc
	out <- bytesInDesc
	out <- bytesOutDesc
	out <- lossDesc
}

func (p participants) Collect(out chan<- prometheus.Metric) {
	now := p.read()
	out <- prometheus.MustNewConstMetric(participantsDesc, prometheus.GaugeValue,
		float64(now.Publishing), "publisher")
	out <- prometheus.MustNewConstMetric(participantsDesc, prometheus.GaugeValue,
		float64(now.Viewers), "viewer")
	out <- prometheus.MustNewConstMetric(bitrateDesc, prometheus.GaugeValue, float64(now.Bitrate))
	out <- prometheus.MustNewConstMetric(bytesInDesc, prometheus.CounterValue,
		float64(now.BytesIn))
	out <- prometheus.MustNewConstMetric(bytesOutDesc, prometheus.CounterValue,
		float64(now.BytesOut))
	out <- prometheus.MustNewConstMetric(lossDesc, prometheus.GaugeValue, now.Loss)
}

// An Outbox describes the deliveries that all servers on the database have queued for webhooks. The
// counts have an upper limit, so that counting takes little time.
type Outbox struct {
	Waiting int
	Oldest  time.Time // when the oldest one was queued; zero if none waits
	Dead    int       // deliveries that are not retried until an operator replays them
}

// WatchOutbox reads the outbox of webhooks at each scrape.
func (m *Metrics) WatchOutbox(now func() time.Time, read func(context.Context) (Outbox, error)) {
	m.registry.MustRegister(outbox{now, read})
}

type outbox struct {
	now  func() time.Time
	read func(context.Context) (Outbox, error)
}

var (
	waitingDesc = prometheus.NewDesc("stagedoor_webhook_queue_messages",
		"Messages that wait to be sent to webhooks, of all servers on the database.", nil, nil)
	oldestDesc = prometheus.NewDesc("stagedoor_webhook_queue_oldest_seconds",
		"How long the oldest message to a webhook has waited.", nil, nil)
	deadDesc = prometheus.NewDesc("stagedoor_webhook_dead_messages",
		"Messages to webhooks that failed and are not retried.", nil, nil)
)

func (outbox) Describe(out chan<- *prometheus.Desc) {
	out <- waitingDesc
	out <- oldestDesc
	out <- deadDesc
}

// Collect implements prometheus.Collector. While the database does not answer, it exports nothing.
// stagedoor_database_up shows the outage.
func (o outbox) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), databasePatience)
	defer cancel()
	there, err := o.read(ctx)
	if err != nil {
		return
	}
	age := 0.0
	if !there.Oldest.IsZero() {
		age = max(0, o.now().Sub(there.Oldest).Seconds())
	}
	gauge := func(d *prometheus.Desc, value float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	gauge(waitingDesc, float64(there.Waiting))
	gauge(oldestDesc, age)
	gauge(deadDesc, float64(there.Dead))
}

// databasePatience limits how long a scrape waits for the database.
const databasePatience = 2 * time.Second

// WatchDatabase pings the database at each scrape: stagedoor_database_up is 1 if it answers.
func (m *Metrics) WatchDatabase(ping func(context.Context) error) {
	m.Gauge("stagedoor_database_up", "Whether the database answers.", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), databasePatience)
		defer cancel()
		begin := time.Now()
		if ping(ctx) != nil {
			return 0
		}
		m.database.Observe(time.Since(begin).Seconds())
		return 1
	})
}

// Token counts a request for a token, and whether it was issued or refused.
func (m *Metrics) Token(way string, err error) {
	m.tokens.WithLabelValues(way, result(err)).Inc()
}

// Issuer records the duration of one attempt of an issuer. A token may need several attempts.
func (m *Metrics) Issuer(way string, took time.Duration) {
	m.tokenSeconds.WithLabelValues(way).Observe(took.Seconds())
}

// AWSWait records how long a call to Amazon IVS waited in the queue for its quota.
func (m *Metrics) AWSWait(operation string, d time.Duration) {
	m.awsWait.WithLabelValues(operation).Observe(d.Seconds())
}

// SignIn counts an attempt to sign in.
func (m *Metrics) SignIn(way string, err error) {
	m.signIns.WithLabelValues(way, result(err)).Inc()
}

// result classifies the result of a request as "ok", "unavailable", "throttled", "refused" (by a
// rule) or "failed".
func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, stage.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, stage.ErrTooMany):
		return "throttled"
	}
	var known *stage.Error
	if errors.As(err, &known) {
		return "refused"
	}
	return "failed"
}

// ReasonBarred is the reason in the metrics if a session ended by a bar. The event itself has the
// code of a kick.
const ReasonBarred = "barred"

// StageEvent counts an event of a participant. On AWS stages, only a kick and a bar are counted by
// their reason: both reasons come from this server, and the codes of Amazon IVS are not a fixed
// set.
func (m *Metrics) StageEvent(e stage.Event) {
	reason := e.Code
	if !e.Stage.Local() && reason != stage.CodeKicked && reason != ReasonBarred {
		reason = ""
	}
	m.events.WithLabelValues(string(e.Kind), reason).Inc()
}

// Webhook counts an attempt to deliver a message.
func (m *Metrics) Webhook(ok bool) {
	text := "failed"
	if ok {
		text = "ok"
	}
	m.webhooks.WithLabelValues(text).Inc()
}

// HTTP counts the requests that the handler `next` serves, by the pattern of their route.
func (m *Metrics) HTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		counted := &statusWriter{ResponseWriter: w}
		defer func() {
			route := r.Pattern
			if route == "" {
				route = "none" // endpoints of stages, and addresses without a route
			}
			m.requests.WithLabelValues(route, strconv.Itoa(counted.status())).Inc()
			if w.Header().Get("Content-Type") != "text/event-stream" {
				m.requestTime.WithLabelValues(route).Observe(time.Since(begin).Seconds())
			}
		}()
		next.ServeHTTP(counted, r)
	})
}

// A statusWriter stores the status that is written.
type statusWriter struct {
	http.ResponseWriter
	written int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.written == 0 {
		w.written = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) status() int {
	if w.written == 0 {
		return http.StatusOK
	}
	return w.written
}

// Unwrap returns the wrapped writer, for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
