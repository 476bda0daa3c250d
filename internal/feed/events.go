package feed

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	queuedEvents = 1024
	// While this many events are queued, or more, refusals are dropped, to leave space for other
	// events.
	queuedRefusals = queuedEvents / 4
	refusalPause   = 5 * time.Second // between refusals of one participant for one reason
	maxRefusals    = 4096            // different refusals in that time
	drainLimit     = 5 * time.Second // time to store the queued events, for Settle or when Run ends
	minRetry       = 200 * time.Millisecond
	maxRetry       = 5 * time.Second
)

// A refusal is the key by which repeated refusals are recognized.
type refusal struct {
	stage       stage.ARN
	participant stage.ParticipantID
	code        string
}

// events stores events in their order, and sends each to the pages of its user. Its methods are
// safe for concurrent use.
type events struct {
	sender
	now      func() time.Time
	queue    chan stage.Event
	settling chan chan<- struct{}           // requests of settle
	refusals bounded.Map[refusal, struct{}] // recent refusals; has a lock of its own
}

func newEvents(s sender, now func() time.Time) *events {
	return &events{
		sender: s, now: now,
		queue:    make(chan stage.Event, queuedEvents),
		settling: make(chan chan<- struct{}),
		refusals: bounded.Map[refusal, struct{}]{Max: maxRefusals, Life: refusalPause},
	}
}

// add queues an event. It does not block.
func (q *events) add(e stage.Event) {
	if e.Time.IsZero() {
		e.Time = q.now()
	}
	if e.Kind == stage.EventRefused {
		q.takeRefusal(e)
		return
	}
	q.enqueue(e)
}

func (q *events) enqueue(e stage.Event) {
	select {
	case q.queue <- e:
	default:
		q.log.Error("an event is lost: the database is too slow",
			"kind", e.Kind, "participant", e.Participant)
	}
}

// takeRefusal drops repeated refusals, and all refusals while the queue is long, since anybody with
// an invalid token can cause any number of them.
func (q *events) takeRefusal(e stage.Event) {
	full := len(q.queue) >= queuedRefusals || q.refusals.Len(q.now()) >= maxRefusals
	if full {
		q.log.Debug("a refusal is dropped: there are too many",
			"participant", e.Participant, "code", e.Code)
		return
	}
	if q.refusals.Add(refusal{e.Stage, e.Participant, e.Code}, struct{}{}, q.now()) {
		q.enqueue(e)
	}
}

// run stores events until ctx ends, and then stores those that are still queued.
func (q *events) run(ctx context.Context, record recorder) error {
	for {
		select {
		case e := <-q.queue:
			q.store(ctx, record, e)
		case stored := <-q.settling:
			q.drain(ctx, record)
			close(stored)
		case <-ctx.Done():
			q.drain(context.WithoutCancel(ctx), record)
			return nil
		}
	}
}

// settle returns when all events that were queued before are stored. The method `run` must be
// running.
func (q *events) settle(ctx context.Context) error {
	stored := make(chan struct{})
	select {
	case q.settling <- stored:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-stored:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type recorder = func(context.Context, stage.Event) (access.StoredEvent, error)

func (q *events) drain(ctx context.Context, record recorder) {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	for {
		select {
		case e := <-q.queue:
			q.store(ctx, record, e)
		default:
			return
		}
	}
}

// store stores an event before it sends the event to its user. So every event that a page has
// received is in the database when the page resumes. While the database is unavailable it retries,
// with growing pauses, until ctx ends.
func (q *events) store(ctx context.Context, record recorder, e stage.Event) {
	stored, err := record(context.WithoutCancel(ctx), e)
	for pause := minRetry; errors.Is(err, stage.ErrUnavailable) && sleep(ctx, pause); {
		stored, err = record(context.WithoutCancel(ctx), e)
		pause = min(2*pause, maxRetry)
	}
	if err != nil {
		q.log.WarnContext(ctx, "an event was not stored",
			"kind", e.Kind, "participant", e.Participant, "err", err)
		return
	}
	if stored.User == "" { // not stored: no token of this server, or a repeated event
		return
	}
	q.sendSurely(ctx, noticeOf(stored))
}

// sendSurely sends a notice, and retries while the database does not answer. Otherwise an open page
// would receive the event only when it opens its next event stream.
func (q *events) sendSurely(ctx context.Context, n Notice) {
	err := q.trySend(ctx, n)
	for pause := minRetry; errors.Is(err, stage.ErrUnavailable) && sleep(ctx, pause); {
		err = q.trySend(ctx, n)
		pause = min(2*pause, maxRetry)
	}
	if err != nil {
		q.log.WarnContext(ctx, "a notice was not sent to the other replicas", "kind", n.Kind,
			"err", err)
	}
}

func noticeOf(e access.StoredEvent) Notice {
	return Notice{Kind: KindEvent, User: e.User, Stage: e.Stage, Data: mustJSON(NewStageEvent(e))}
}

// frameOfEvent makes a frame of a notice. It parses the event's ID, from which a stream resumes.
func frameOfEvent(n Notice) Frame {
	var e struct {
		ID int64 `json:"id"`
	}
	// A notice of another version may have no ID. Its event is sent nevertheless.
	json.Unmarshal(n.Data, &e)
	return Frame{Name: "stage", ID: e.ID, Data: n.Data}
}
