package feed

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	queuedEvents = 1024
	// While more events than this are queued, refusals are dropped, to leave space for others.
	queuedRefusals = queuedEvents / 4
	refusalPause   = 5 * time.Second // between refusals of one participant for one reason
	maxRefusals    = 4096            // different refusals in that time
	drainLimit     = 5 * time.Second // time to store the queued events when Run ends
	minRetry       = 200 * time.Millisecond
	maxRetry       = 5 * time.Second
)

// A refusal is the key by which repeated refusals are recognized.
type refusal struct {
	stage       stage.ARN
	participant stage.ParticipantID
	code        string
}

// StageEvent queues an event of a participant.
func (f *Feed) StageEvent(e stage.Event) {
	if e.Time.IsZero() {
		e.Time = f.cfg.Now()
	}
	if e.Kind == stage.EventRefused {
		f.takeRefusal(e)
		return
	}
	f.enqueue(e)
	f.StageChanged(e.Stage)
}

func (f *Feed) enqueue(e stage.Event) {
	select {
	case f.queue <- e:
	default:
		f.cfg.Log.Error("an event is lost: the database is too slow",
			"kind", e.Kind, "participant", e.Participant)
	}
}

// takeRefusal drops repeated refusals, and all refusals while the queue is long, since anybody with
// an invalid token can cause any number of them.
func (f *Feed) takeRefusal(e stage.Event) {
	full := len(f.queue) >= queuedRefusals || f.refusals.Len(f.cfg.Now()) >= maxRefusals
	if full {
		f.cfg.Log.Debug("a refusal is dropped: there are too many",
			"participant", e.Participant, "code", e.Code)
		return
	}
	if f.refusals.Add(refusal{e.Stage, e.Participant, e.Code}, struct{}{}, f.cfg.Now()) {
		f.enqueue(e)
	}
}

// runEvents stores events in their order until ctx ends, and then stores those that are still
// queued.
func (f *Feed) runEvents(ctx context.Context, record recorder) error {
	for {
		select {
		case e := <-f.queue:
			f.store(ctx, record, e)
		case stored := <-f.settle:
			f.drain(ctx, record)
			close(stored)
		case <-ctx.Done():
			f.drain(context.WithoutCancel(ctx), record)
			return nil
		}
	}
}

// Settle returns when all events that were queued before the call are stored. It is for a process
// that may be stopped after the call. Run must be running.
func (f *Feed) Settle(ctx context.Context) error {
	stored := make(chan struct{})
	select {
	case f.settle <- stored:
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

func (f *Feed) drain(ctx context.Context, record recorder) {
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	for {
		select {
		case e := <-f.queue:
			f.store(ctx, record, e)
		default:
			return
		}
	}
}

// store stores an event before it sends the event to its user. So every event that a page has
// received is in the database when the page resumes. While the database is unavailable it retries,
// with growing pauses, until ctx ends.
func (f *Feed) store(ctx context.Context, record recorder, e stage.Event) {
	stored, err := record(context.WithoutCancel(ctx), e)
	for pause := minRetry; errors.Is(err, stage.ErrUnavailable) && sleep(ctx, pause); {
		stored, err = record(context.WithoutCancel(ctx), e)
		pause = min(2*pause, maxRetry)
	}
	if err != nil {
		f.cfg.Log.WarnContext(ctx, "an event was not stored",
			"kind", e.Kind, "participant", e.Participant, "err", err)
		return
	}
	if stored.User == "" { // not a token of this server
		return
	}
	f.sendSurely(ctx, noticeOf(stored))
}

// sendSurely sends a notice, and retries while the database does not answer. Otherwise an open page
// would receive the event only when it opens its next event stream.
func (f *Feed) sendSurely(ctx context.Context, n Notice) {
	err := f.trySend(ctx, n)
	for pause := minRetry; errors.Is(err, stage.ErrUnavailable) && sleep(ctx, pause); {
		err = f.trySend(ctx, n)
		pause = min(2*pause, maxRetry)
	}
	if err != nil {
		f.cfg.Log.WarnContext(ctx, "a notice was not sent to the other replicas", "kind", n.Kind,
			"err", err)
	}
}

// Announce sends an event that is already stored to the pages of its user.
func (f *Feed) Announce(e access.StoredEvent) { f.send(noticeOf(e)) }

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

func sleep(ctx context.Context, d time.Duration) bool {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}
