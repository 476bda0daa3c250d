package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
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
	hurry    chan struct{}                  // ends the pause of a retry
	refusals bounded.Map[refusal, struct{}] // recent refusals; has a lock of its own

	mu       sync.Mutex
	queued   int           // guarded by mu: events that were ever queued
	finished int           // guarded by mu: events that are stored or given up
	progress chan struct{} // guarded by mu: closed when finished grows; nil if nothing waits
}

func newEvents(s sender, now func() time.Time) *events {
	return &events{
		sender: s, now: now,
		queue:    make(chan stage.Event, queuedEvents),
		hurry:    make(chan struct{}, 1),
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
	if !q.tryEnqueue(e) {
		q.log.Error("an event is lost: the database is too slow",
			"kind", e.Kind, "participant", e.Participant)
	}
}

func (q *events) tryEnqueue(e stage.Event) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case q.queue <- e:
		q.queued++
		return true
	default:
		return false
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
		case <-ctx.Done():
			q.drain(context.WithoutCancel(ctx), record)
			return nil
		}
	}
}

// settle returns when all events that were queued before are stored or given up, or with an error
// when ctx ends. Events that are left stay queued. If `run` waits before a retry, it retries now.
func (q *events) settle(ctx context.Context) error {
	select {
	case q.hurry <- struct{}{}:
	default: // the next retry does not wait anyway
	}
	q.mu.Lock()
	last := q.queued
	q.mu.Unlock()
	for {
		left, progress := q.left(last)
		if left <= 0 {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return fmt.Errorf("%d stage events not stored yet: %w", left, ctx.Err())
		}
	}
}

// left returns how many events are not finished, up to the event `last`, and a channel that is
// closed when the next event is finished.
func (q *events) left(last int) (n int, progress <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.progress == nil {
		q.progress = make(chan struct{})
	}
	return last - q.finished, q.progress
}

// finish counts an event that is stored or given up.
func (q *events) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.finished++
	if q.progress != nil {
		close(q.progress)
		q.progress = nil
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
// until ctx ends.
func (q *events) store(ctx context.Context, record recorder, e stage.Event) {
	defer q.finish()
	var stored access.StoredEvent
	err := q.retry(ctx, func() (err error) {
		stored, err = record(context.WithoutCancel(ctx), e)
		return err
	})
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
	err := q.retry(ctx, func() error { return q.trySend(ctx, n) })
	if err != nil {
		q.log.WarnContext(ctx, "a notice was not sent to the other replicas", "kind", n.Kind,
			"err", err)
	}
}

// retry calls the function `do` until the database is available or ctx ends. The pauses grow, until
// settle ends one.
func (q *events) retry(ctx context.Context, do func() error) error {
	for pause := minRetry; ; {
		err := do()
		if !errors.Is(err, stage.ErrUnavailable) {
			return err
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
			pause = min(2*pause, maxRetry)
		case <-q.hurry:
			pause = minRetry
		case <-ctx.Done():
			return err
		}
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
