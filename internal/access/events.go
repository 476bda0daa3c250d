package access

import (
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	eventsListed = 1000
	keepRefusals = 50 // per participant, since a revoked token can be sent any number of times
	keepEvents   = 7 * 24 * time.Hour
	keepChat     = 7 * 24 * time.Hour // a chat room is emptied earlier if its stage session ends
	// The record of a token is kept at least 30 days after the latest possible expiry of the token.
	keepIssuances = 30*24*time.Hour + stage.MaxTTL
	keepOpen      = 2 * stage.MaxSession

	// After a crash, the sessions that were open are recorded as ended: up to endedAtStart of them
	// before the server serves, and the others afterwards, endedAtOnce of them in one transaction.
	endedAtStart, endedAtOnce = 1000, 100
	// batch is how many rows one transaction deletes or revokes, which limits how long other
	// writers wait.
	batch = 200
	// pruneRest is the ratio of Prune's pauses to its work.
	pruneRest = 40
)

// Events stores the events of participants and returns them.
type Events struct {
	*outbox
	outage *Outage
}

// Record stores an event for the user of its token. An event of a token that this server did not
// issue is not stored, and is returned without User.
func (s *Events) Record(ctx context.Context, e stage.Event) (StoredEvent, error) {
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	e.Code, e.Detail = cleanText(e.Code, 64), cleanText(e.Detail, 1024)
	if !stage.ValidID(e.Participant) {
		return StoredEvent{Event: e}, nil
	}
	i, err := s.store.Issuance(ctx, e.Participant)
	if errors.Is(err, stage.ErrNotFound) {
		return StoredEvent{Event: e}, nil
	}
	if err != nil {
		return StoredEvent{}, err
	}
	e.UserID, e.Stage = string(i.User), i.Stage
	event := StoredEvent{User: i.User, Event: e}
	if err := s.endedBy(ctx, &event, i); err != nil {
		return StoredEvent{}, err
	}
	stored, err := s.addEvent(ctx, event)
	if err == nil && e.Kind == stage.EventRefused {
		err = s.store.TrimRefusals(ctx, e.Participant, keepRefusals)
	}
	return stored, err
}

// After lists the events of a user that have an ID above `after` and happened at `since` or later,
// oldest first.
func (s *Events) After(
	ctx context.Context, user UserID, after int64, since time.Time,
) ([]StoredEvent, error) {
	return s.store.Events(ctx, user, after, since, eventsListed)
}

// EndUnfinished records the ends of local sessions that a crash left open. Call it at the start of
// a server that does not share its database. It records the ends of up to a thousand sessions, and
// returns a function that records the others while the server serves: in short transactions with
// pauses, so that requests do not wait for them. After an error, that function can be called again.
func (s *Events) EndUnfinished(
	ctx context.Context,
) (others func(context.Context) error, err error) {
	last, err := s.store.LastEvent(ctx)
	if err != nil {
		return nil, err
	}
	u := &unfinished{store: s.store, now: s.now, upTo: last, end: stage.Event{
		Kind: stage.EventEnded, Time: s.now(),
		Code: "server_stopped", Detail: "The server stopped without warning.",
	}}
	more, err := u.some(ctx, endedAtStart)
	if err != nil || !more {
		return func(context.Context) error { return nil }, err
	}
	return u.others, nil
}

// unfinished are the local sessions that a crash left open.
type unfinished struct {
	store Store
	now   func() time.Time
	end   stage.Event
	upTo  int64               // the last event before the crash; newer sessions stay open
	after stage.ParticipantID // the last participant that was examined
}

func (u *unfinished) some(ctx context.Context, limit int) (more bool, err error) {
	last, err := u.store.EndOpen(ctx, u.end, u.upTo, u.after, limit)
	if err != nil || last == "" {
		return false, err
	}
	u.after = last
	return true, nil
}

func (u *unfinished) others(ctx context.Context) error {
	for {
		start := u.now()
		more, err := u.some(ctx, endedAtOnce)
		if err != nil || !more {
			return err
		}
		if err := rest(ctx, u.now().Sub(start)); err != nil {
			return err
		}
	}
}

// rest pauses for a time unless ctx ends.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// EndSessionsOf records the ends of the local sessions of a dead server. It returns these events,
// and whether there may be more. Several servers may call it at once: each end is recorded once.
func (s *Events) EndSessionsOf(
	ctx context.Context, server string,
) (ended []StoredEvent, more bool, err error) {
	open, err := s.store.OpenAt(ctx, server, batch)
	if err != nil {
		return nil, false, err
	}
	for _, e := range open {
		e.Kind, e.Time = stage.EventEnded, s.now()
		e.Code, e.Detail = "server_lost", "The server that carried this broadcast is gone."
		won := false
		stored, err := s.addEventIf(ctx, e, func(tx Store) (bool, error) {
			var err error
			won, err = tx.CloseAt(ctx, e.Participant, server)
			return won, err
		})
		if err != nil {
			return ended, false, err
		}
		if won {
			ended = append(ended, stored)
		}
	}
	return ended, len(open) == batch, nil
}

// Prune deletes rows that are older than their retention, and finishes interrupted removals of
// stages. It works in batches with pauses, so that requests do not wait for it. Several replicas
// may run it at the same time.
func (c *Control) Prune(ctx context.Context) error {
	closed, err := c.cfg.Store.ClosedStages(ctx)
	if err != nil {
		return err
	}
	for _, arn := range closed {
		revoked, err := c.Stages.clear(ctx, arn)
		if err != nil {
			return err
		}
		if err := c.sessions.end(ctx, revoked, reasonStage.sentence()); err != nil {
			return err
		}
	}
	now := c.cfg.Now()
	old := Retention{
		Now: now, Events: now.Add(-keepEvents),
		// The records of tokens are part of the audit trail.
		Issuances: now.Add(-max(keepIssuances, c.auditRetention())),
		Attempts:  now.Add(-forgetAfter), Known: now.Add(-keepKnown), Open: now.Add(-keepOpen),
		Audit: now.Add(-c.auditRetention()), Dead: now.Add(-keepDead),
		Chat: now.Add(-keepChat),
	}
	for {
		start := c.cfg.Now()
		more, err := c.cfg.Store.Prune(ctx, old, batch)
		if err != nil || !more {
			return err
		}
		if err := rest(ctx, pruneRest*c.cfg.Now().Sub(start)); err != nil {
			return err
		}
	}
}
