// Package webhook sends messages to the HTTP endpoints that an operator registered. It signs them
// as Standard Webhooks specifies (https://www.standardwebhooks.com). Deliveries come from an outbox
// in the database: each is sent at least once, and a receiver that is slow or unreachable delays no
// other.
package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// pollEvery is the interval for deliveries that another replica queued, and for retries.
	pollEvery   = 2 * time.Second
	sendTimeout = 15 * time.Second // limit of one request, including its response
	// A claimed delivery is hidden from other senders for this time. It is longer than a whole
	// batch to a receiver that hangs.
	claimFor  = 5 * time.Minute
	batch     = 16
	maxAnswer = 4 << 10 // bytes of a receiver's response that are read
)

// pauses are the times between attempts. After the last attempt, a delivery is dead until it is
// replayed.
var pauses = []time.Duration{
	5 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// An Outbox stores deliveries until they are sent. It is safe for several replicas.
type Outbox interface {
	Webhooks(ctx context.Context) ([]access.Webhook, error)
	// ClaimDeliveries returns due deliveries of a webhook, oldest first, and hides them from other
	// senders until a certain time.
	ClaimDeliveries(ctx context.Context, id access.WebhookID, now, until time.Time, limit int) (
		[]access.Delivery, error)
	// FinishDelivery removes a delivery that its receiver accepted.
	FinishDelivery(ctx context.Context, id string) error
	// PutDelivery stores the state of a delivery after an attempt.
	PutDelivery(ctx context.Context, d access.Delivery) error
	// NoteAttempt stores when and why the last attempt to reach a webhook failed. The zero time and
	// "" mean that it succeeded.
	NoteAttempt(ctx context.Context, id access.WebhookID, failedAt time.Time, failure string) error
}

// Config is what a Sender needs.
type Config struct {
	Outbox Outbox
	Client *http.Client // see NewClient
	Now    func() time.Time
	Log    *slog.Logger
	// Observe receives the result of each attempt, for metrics; it may be nil.
	Observe func(ok bool)
}

// A Sender sends the deliveries in an outbox.
type Sender struct {
	cfg  Config
	bell chan struct{}
}

// New returns a Sender. Run starts it.
func New(cfg Config) *Sender { return &Sender{cfg: cfg, bell: make(chan struct{}, 1)} }

// Wake makes the sender read the outbox at once. It does not block.
func (s *Sender) Wake() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends. A delivery that is interrupted is sent again later, so a receiver may
// get it twice, with the same ID.
func (s *Sender) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	busy := newSet()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		s.round(ctx, &workers, busy)
		select {
		case <-s.bell:
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// SendDue sends the deliveries that are due, and returns. It is for a program that does not run all
// the time.
func (s *Sender) SendDue(ctx context.Context) {
	var workers sync.WaitGroup
	s.round(ctx, &workers, newSet())
	workers.Wait()
}

// round starts a worker for each webhook that has none.
func (s *Sender) round(ctx context.Context, workers *sync.WaitGroup, busy *set) {
	hooks, err := s.cfg.Outbox.Webhooks(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "the webhooks cannot be read", "err", err)
		}
		return
	}
	for _, hook := range hooks {
		if !hook.DisabledAt.IsZero() || !busy.add(hook.ID) {
			continue
		}
		workers.Go(func() {
			defer busy.remove(hook.ID)
			s.work(ctx, hook)
		})
	}
}

// work sends the due deliveries of one webhook, in order, until none is left or an attempt fails. A
// receiver that fails gets one attempt per round.
func (s *Sender) work(ctx context.Context, hook access.Webhook) {
	for ctx.Err() == nil {
		now := s.cfg.Now()
		due, err := s.cfg.Outbox.ClaimDeliveries(ctx, hook.ID, now, now.Add(claimFor), batch)
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.WarnContext(ctx, "deliveries cannot be read", "webhook", hook.ID, "err", err)
		}
		if len(due) == 0 {
			return
		}
		for i, d := range due {
			if !s.deliver(ctx, hook, d) {
				s.giveBack(ctx, due[i+1:])
				return
			}
		}
	}
}

// giveBack makes claimed deliveries due again.
func (s *Sender) giveBack(ctx context.Context, rest []access.Delivery) {
	for _, d := range rest {
		if err := s.cfg.Outbox.PutDelivery(context.WithoutCancel(ctx), d); err != nil {
			s.cfg.Log.WarnContext(ctx, "a delivery was not released; it is retried later",
				"delivery",
				d.ID, "err", err)
		}
	}
}

// deliver makes one attempt and stores its result.
func (s *Sender) deliver(ctx context.Context, hook access.Webhook, d access.Delivery) bool {
	status, err := s.send(ctx, hook, d)
	if ctx.Err() != nil {
		s.giveBack(ctx, []access.Delivery{d})
		return false
	}
	if s.cfg.Observe != nil {
		s.cfg.Observe(err == nil)
	}
	s.note(ctx, hook, err)
	if err == nil {
		if err := s.cfg.Outbox.FinishDelivery(ctx, d.ID); err != nil {
			s.cfg.Log.WarnContext(ctx, "a delivery that was accepted stays in the outbox",
				"delivery",
				d.ID, "err", err)
			return false
		}
		return true
	}
	d = s.failed(d, status, err)
	if err := s.cfg.Outbox.PutDelivery(ctx, d); err != nil {
		s.cfg.Log.WarnContext(ctx, "the result of a delivery was not stored", "delivery", d.ID,
			"err", err)
	}
	s.cfg.Log.InfoContext(ctx, "a webhook's receiver failed", "webhook", hook.ID, "delivery", d.ID,
		"attempts", d.Attempts, "dead", !d.DeadAt.IsZero(), "reason", d.Reason)
	return false
}

// note stores the result of an attempt with its webhook. It writes nothing if this attempt and the
// previous one succeeded.
func (s *Sender) note(ctx context.Context, hook access.Webhook, cause error) {
	at, failure := time.Time{}, ""
	if cause != nil {
		at, failure = s.cfg.Now(), cause.Error()
	} else if hook.FailedAt.IsZero() {
		return
	}
	if err := s.cfg.Outbox.NoteAttempt(ctx, hook.ID, at, failure); err != nil {
		s.cfg.Log.WarnContext(ctx, "the result of an attempt was not stored with its webhook",
			"webhook", hook.ID,
			"err", err)
	}
}

// failed returns the state of a delivery after a failed attempt. The status 410 (Gone) means that
// the receiver wants no more messages.
func (s *Sender) failed(d access.Delivery, status int, cause error) access.Delivery {
	now := s.cfg.Now()
	d.Attempts++
	d.Status, d.Reason = status, cause.Error()
	if d.Attempts > len(pauses) || status == http.StatusGone {
		d.DeadAt = now
		return d
	}
	pause := pauses[d.Attempts-1]
	// The pause is random, so that many retries are not due at the same moment.
	d.NextAt = now.Add(pause + rand.N(pause/5+1))
	return d
}

// send sends the request. Its error may be shown to operators, since it contains neither the secret
// nor the receiver's response.
func (s *Sender) send(
	ctx context.Context, hook access.Webhook, d access.Delivery,
) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(d.Body))
	if err != nil {
		return 0, err
	}
	if err := sign(q, hook.Secret, d, s.cfg.Now()); err != nil {
		return 0, err
	}
	answer, err := s.cfg.Client.Do(q)
	if err != nil {
		return 0, fmt.Errorf("no answer: %s", reason(err))
	}
	defer answer.Body.Close()
	// Read the rest, so that the connection can be reused.
	io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return answer.StatusCode, fmt.Errorf("the receiver answered %d", answer.StatusCode)
	}
	return answer.StatusCode, nil
}

func sign(q *http.Request, secret stage.Secret, d access.Delivery, now time.Time) error {
	signer, err := standardwebhooks.NewWebhook(secret.Reveal())
	if err != nil {
		return err
	}
	signature, err := signer.Sign(d.ID, now, d.Body)
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", "Stagedoor-Webhook")
	q.Header.Set(standardwebhooks.HeaderWebhookID, d.ID)
	q.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	q.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return nil
}

// reason returns the text of an error without the URL, which may contain a secret of the receiver.
func reason(err error) string {
	text := err.Error()
	if _, cause, ok := strings.Cut(text, `": `); ok {
		return cause
	}
	return text
}

// A set contains the webhooks that have a worker.
type set struct {
	mu sync.Mutex
	m  map[access.WebhookID]bool // guarded by mu
}

func newSet() *set { return &set{m: map[access.WebhookID]bool{}} }

func (s *set) add(id access.WebhookID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[id] {
		return false
	}
	s.m[id] = true
	return true
}

func (s *set) remove(id access.WebhookID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, id)
}
