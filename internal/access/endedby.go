package access

import (
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// endedBy sets who kicked or barred the participant of an event. The media server and AWS report
// only that a participant was disconnected. The audit trail names the user who did it: Kick and
// KickAndBar add an entry to the trail before they disconnect the participant. During an outage of
// the database, the entry waits in the memory of the replica that was asked to kick. If another
// replica stores the event meanwhile, the event does not name that user at first. The replica with
// the entry adds the name later.
func (s *Events) endedBy(ctx context.Context, e *StoredEvent, i Issuance) error {
	if e.Kind != stage.EventEnded || e.Code != stage.CodeKicked {
		return nil
	}
	if l, found := s.outage.lateOf(i.ID); found && l.entry.Action == ActionKicked {
		by, err := actorOf(ctx, s.store, l.by.User.ID, l.by.User.Name)
		e.By = by
		return err
	}
	kick, err := s.newest(ctx, AuditFilter{Action: ActionKicked, Target: string(i.ID)})
	if err != nil {
		return err
	}
	bar := AuditFilter{
		Action: ActionBarred, Target: string(i.User), Stage: i.Stage, Since: i.IssuedAt,
	}
	if i.guest() {
		bar = AuditFilter{Action: ActionGuestLinkEnded, Target: i.Credential}
	}
	barred, err := s.newest(ctx, bar)
	if err != nil {
		return err
	}
	entry := kick
	if e.Barred = barred.At.After(kick.At); e.Barred {
		entry = barred
	}
	if entry.ID == "" {
		return nil // the access ended, or the token was revoked
	}
	e.By, err = actorOf(ctx, s.store, entry.Actor, entry.ActorName)
	return err
}

// newest returns the newest entry that matches a filter, or an empty entry if none matches.
func (s *Events) newest(ctx context.Context, f AuditFilter) (Entry, error) {
	page, err := s.store.Entries(ctx, f, Page{Limit: 1})
	if err != nil || len(page.Items) == 0 {
		return Entry{}, err
	}
	return page.Items[0], nil
}

// actorOf returns the actor of an entry, with the present role of the account. An actor without an
// account counts as an operator: the command line, an API key, or a deleted account.
func actorOf(ctx context.Context, s Store, id UserID, name string) (User, error) {
	by := User{ID: id, Name: name, Role: Operator}
	if id == "" {
		return by, nil
	}
	account, err := s.Account(ctx, id)
	if errors.Is(err, stage.ErrNotFound) {
		return by, nil
	}
	by.Role = account.Role
	return by, err
}
