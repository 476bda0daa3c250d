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
	// Refusals find no place in a queue that is longer: they are the first to be lost.
	queuedRefusals = queuedEvents / 4
	refusalPause   = 5 * time.Second // between refusals of one participant for one reason
	maxRefusals    = 4096            // different ones in that time
	drainLimit     = 5 * time.Second // to store what is queued at the end
	minRetry       = 200 * time.Millisecond
	maxRetry       = 5 * time.Second
)

// A refusal identifies refusals that report nothing new.
type refusal struct {
	stage       stage.ARN
	participant stage.ParticipantID
	code        string
}

// StageEvent takes what happened to a participant.
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

// takeRefusal drops refusals that report nothing new, and all while the queue is long: anybody with
// a dead token can cause as many as they like.
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

// runEvents stores events in their order until ctx ends, and then what is left.
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

// Settle returns when the events that were taken before are stored, for a process that may be
// stopped after it. Run must be running.
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

// store keeps an event and then sends it to its user, so that a page that resumes finds what it was
// sent before. While the database is away it tries again, with growing pauses, until ctx ends.
func (f *Feed) store(ctx context.Context, record recorder, e stage.Event) {
	stored, err := record(context.WithoutCancel(ctx), e)
	for pause := minRetry; errors.Is(err, stage.ErrUnavailable) && sleep(ctx, pause); {
		stored, err = record(context.WithoutCancel(ctx), e)
		pause = min(2*pause, maxRetry)
	}
	if err != nil {
		f.cfg.Log.Warn("an event was not stored",
			"kind", e.Kind, "participant", e.Participant, "err", err)
		return
	}
	if stored.User == "" { // the token is not one of ours
		return
	}
	f.sendSurely(ctx, noticeOf(stored))
}

// sendSurely passes a notice on, also after the database was away: a page that is open would not
// see the event before it resumes.
func (f *Feed) sendSurely(ctx context.Context, n Notice) {
	err := f.trySend(ctx, n)
	for pause := minRetry; errors.Is(err, stage.ErrUnavailable) && sleep(ctx, pause); {
		err = f.trySend(ctx, n)
		pause = min(2*pause, maxRetry)
	}
	if err != nil {
		f.cfg.Log.Warn("replicas do not receive a notice", "kind", n.Kind, "err", err)
	}
}

// Announce sends an event that is stored to the pages of its user.
func (f *Feed) Announce(e access.StoredEvent) { f.send(noticeOf(e)) }

func noticeOf(e access.StoredEvent) Notice {
	return Notice{Kind: KindEvent, User: e.User, Stage: e.Stage, Data: mustJSON(NewStageEvent(e))}
}

// frameOfEvent reads the ID back, which a stream resumes from.
func frameOfEvent(n Notice) Frame {
	var e struct {
		ID int64 `json:"id"`
	}
	json.Unmarshal(n.Data, &e) // the data of another version without an ID is an event all the same
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
