package access

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// An outbox queues the messages for webhooks, in the same transaction as the change that they
// report. It also revokes tokens, because each revocation is reported.
type outbox struct {
	store        Store
	now          func() time.Time
	wake         func() // see Config.Queued; may be nil
	subscription subscription
}

// queued wakes the sender of webhooks.
func (o *outbox) queued() {
	if o.wake != nil {
		o.wake()
	}
}

func newDelivery(id WebhookID, kind string, at time.Time, data any) (Delivery, error) {
	body, err := json.Marshal(Message{kind, at.UTC(), data})
	if err != nil {
		return Delivery{}, err
	}
	return Delivery{ID: "msg_" + stage.NewID(), Webhook: id, Type: kind, Body: body, CreatedAt: at,
		NextAt: at}, nil
}

// wantedFor is how long the message types that webhooks select are cached. So if no webhook selects
// messages about tokens, a token costs no additional statement.
const wantedFor = 2 * time.Second

// A subscription caches which message types the webhooks select.
type subscription struct {
	mu    sync.Mutex
	at    time.Time       // guarded by mu
	types map[string]bool // guarded by mu
}

// subscribed reports whether a webhook selects a type.
func (o *outbox) subscribed(ctx context.Context, kind string) bool {
	s, now := &o.subscription, o.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.types != nil && now.Sub(s.at) < wantedFor && !now.Before(s.at) {
		return s.types[kind]
	}
	hooks, err := o.store.Webhooks(ctx)
	if err != nil {
		return s.types[kind]
	}
	s.at, s.types = now, map[string]bool{}
	for _, w := range hooks {
		for _, t := range w.Types {
			s.types[t] = s.types[t] || w.DisabledAt.IsZero()
		}
	}
	return s.types[kind]
}

// addIssuance records a token, and queues its message if a webhook selects that type. The record
// and the message are stored together: there is no token without its message.
func (o *outbox) addIssuance(
	ctx context.Context, i Issuance, revision int64, limit Rate,
) error {
	if i.Stage.Rehearsal() || !o.subscribed(ctx, MessageTokenIssued) {
		return o.store.AddIssuance(ctx, i, revision, limit)
	}
	err := o.store.Atomically(ctx, func(tx Store) error {
		if err := tx.AddIssuance(ctx, i, revision, limit); err != nil {
			return err
		}
		return o.announce(ctx, tx, MessageTokenIssued, tokenMessage(i))
	})
	if err == nil {
		o.queued()
	}
	return err
}

// addEvent stores an event, and queues its message if a webhook selects that type.
func (o *outbox) addEvent(ctx context.Context, e StoredEvent) (StoredEvent, error) {
	kind := messageOfEvent(e.Event)
	if kind == "" || !o.subscribed(ctx, kind) {
		return o.store.AddEvent(ctx, e)
	}
	return o.addEventIf(ctx, e, func(Store) (bool, error) { return true, nil })
}

// addEventIf stores an event and queues its message, if the given function returns true. The
// function runs in the same transaction.
func (o *outbox) addEventIf(
	ctx context.Context, e StoredEvent, may func(tx Store) (bool, error),
) (StoredEvent, error) {
	var stored StoredEvent
	err := o.store.Atomically(ctx, func(tx Store) error {
		if ok, err := may(tx); err != nil || !ok {
			return err
		}
		var err error
		if stored, err = tx.AddEvent(ctx, e); err != nil {
			return err
		}
		kind := messageOfEvent(e.Event)
		if kind == "" || stored.User == "" { // another server has stored it
			return nil
		}
		return o.announce(ctx, tx, kind, participantMessage(e))
	})
	if err == nil && stored.User != "" {
		o.queued()
	}
	return stored, err
}

// announce queues a message for every webhook that selects its type, inside a transaction: the
// message is sent if and only if the transaction commits.
func (o *outbox) announce(ctx context.Context, tx Store, kind string, data ...any) error {
	hooks, err := tx.Webhooks(ctx)
	if err != nil {
		return err
	}
	for _, w := range hooks {
		if !w.DisabledAt.IsZero() || !slices.Contains(w.Types, kind) {
			continue
		}
		for _, one := range data {
			d, err := newDelivery(w.ID, kind, o.now(), one)
			if err != nil {
				return err
			}
			if err := tx.AddDelivery(ctx, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// announceRevoked queues the messages about tokens that were revoked together.
func (o *outbox) announceRevoked(ctx context.Context, tx Store, revoked []Issuance) error {
	var data []any
	for _, i := range revoked {
		if !i.Stage.Rehearsal() {
			data = append(data, tokenMessage(i))
		}
	}
	if len(data) == 0 {
		return nil
	}
	return o.announce(ctx, tx, MessageTokenRevoked, data...)
}

// revokeOpen revokes the matching tokens that are valid or whose session may still run: a session
// outlives its token by at most stage.MaxSession. It queues a webhook message for each token.
func (o *outbox) revokeOpen(
	ctx context.Context, tx Store, match Revocation,
) ([]Issuance, error) {
	now := o.now()
	match.ExpiresAfter = now.Add(-stage.MaxSession)
	match.IssuedAfter = match.ExpiresAfter.Add(-stage.MaxTTL - clockSkew)
	revoked, err := tx.RevokeIssuances(ctx, match, now)
	if err != nil {
		return nil, err
	}
	return revoked, o.announceRevoked(ctx, tx, revoked)
}

// revokeOrphans revokes those tokens of a user that end with a login, a viewing key or a guest link
// that no longer exists. A token that is being issued at the same time is decided again.
func (o *outbox) revokeOrphans(ctx context.Context, tx Store, id UserID) ([]Issuance, error) {
	if err := tx.Advance(ctx, id); err != nil {
		return nil, err
	}
	return o.revokeOpen(ctx, tx, Revocation{User: id, Orphaned: true})
}
