package access

import (
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	eventsListed  = 1000
	keepRefusals  = 50 // of a participant: whoever has a dead token can knock for ever
	keepEvents    = 7 * 24 * time.Hour
	keepIssuances = 30 * 24 * time.Hour // after they expired
)

// RecordEvent keeps an event for the person whose token it is about. Of a token that we did not issue nothing is kept, and
// the answer has no User.
func (c *Control) RecordEvent(ctx context.Context, e stage.Event) (StoredEvent, error) {
	if e.Time.IsZero() {
		e.Time = c.Now()
	}
	e.Code, e.Detail = cleanText(e.Code, 64), cleanText(e.Detail, 1024)
	if !plainID(e.Participant) {
		return StoredEvent{Event: e}, nil
	}
	i, err := c.Store.Issuance(ctx, e.Participant)
	if errors.Is(err, stage.ErrNotFound) {
		return StoredEvent{Event: e}, nil
	}
	if err != nil {
		return StoredEvent{}, err
	}
	e.UserID, e.Stage = string(i.User), i.Stage
	stored, err := c.Store.AddEvent(ctx, StoredEvent{User: i.User, Event: e})
	if err == nil && e.Kind == stage.EventRefused {
		err = c.Store.TrimRefusals(ctx, e.Participant, keepRefusals)
	}
	return stored, err
}

// EventsAfter lists a person's events with a greater ID that are not older than since, oldest first.
func (c *Control) EventsAfter(ctx context.Context, user UserID, after int64, since time.Time) ([]StoredEvent, error) {
	return c.Store.Events(ctx, user, after, since, eventsListed)
}

// EndUnfinished writes down the end of the local sessions that a crash cut off: nobody else is left to tell of it. It is for
// the start of the only server on a database.
func (c *Control) EndUnfinished(ctx context.Context) error {
	open, err := c.Store.Unfinished(ctx, c.Now().Add(-stage.MaxSession))
	if err != nil {
		return err
	}
	for _, e := range open {
		if !e.Stage.Local() {
			continue
		}
		e.Kind, e.Time, e.Code, e.Detail = stage.EventEnded, c.Now(), "server_stopped", "The server stopped without warning."
		if _, err := c.Store.AddEvent(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// Prune forgets what nobody needs any more. Run it now and then; several replicas may do so at the same time.
func (c *Control) Prune(ctx context.Context) error {
	now := c.Now()
	return c.Store.Prune(ctx, Retention{
		Now: now, Events: now.Add(-keepEvents), Issuances: now.Add(-keepIssuances),
		Attempts: now.Add(-forgetAfter), Known: now.Add(-keepKnown),
	})
}
