package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	keepDead         = 30 * 24 * time.Hour
	maxWebhooks      = 20
	maxWebhookURL    = 2000
	webhookSecretLen = 32 // bytes; Standard Webhooks asks for 24 to 64
)

// A WebhookID identifies a webhook.
type WebhookID string

// A Webhook is an HTTP endpoint that receives messages about events.
type Webhook struct {
	ID         WebhookID
	URL        string
	Types      []string // the message types that it receives; never empty
	Secret     stage.Secret
	CreatedAt  time.Time
	CreatedBy  string    // name of the operator who registered it
	DisabledAt time.Time // zero if it receives messages
	FailedAt   time.Time // when the last attempt failed; zero if it succeeded or there was none
	Failure    string    // why the last attempt failed
}

// A Delivery is one message to one webhook. It is deleted when the receiver has accepted it.
type Delivery struct {
	ID        string // the webhook-id of the message, the same in every attempt
	Webhook   WebhookID
	Type      string
	Body      []byte
	CreatedAt time.Time
	NextAt    time.Time // when the next attempt is due
	Attempts  int
	Status    int       // HTTP status of the last attempt; 0 if there was no answer
	Reason    string    // why the last attempt failed
	DeadAt    time.Time // zero if more attempts follow
}

// A WebhookStore stores webhooks and the deliveries to them.
type WebhookStore interface {
	// Webhooks lists all webhooks, oldest first.
	Webhooks(ctx context.Context) ([]Webhook, error)
	PutWebhook(ctx context.Context, w Webhook) error
	// DeleteWebhook deletes a webhook and its deliveries. It returns stage.ErrNotFound for an
	// unknown ID.
	DeleteWebhook(ctx context.Context, id WebhookID) error

	// AddDelivery queues a message.
	AddDelivery(ctx context.Context, d Delivery) error
	// DeadDeliveries lists the deliveries of a webhook that will not be retried, newest first.
	DeadDeliveries(ctx context.Context, id WebhookID, limit int) ([]Delivery, error)
	// ReplayDeliveries makes a dead delivery of a webhook due again, or all of them for an empty
	// delivery ID. It returns their number.
	ReplayDeliveries(ctx context.Context, id WebhookID, delivery string, at time.Time) (int, error)
}

// CreateWebhook registers an endpoint. Its secret is returned only here.
func (c *Control) CreateWebhook(
	ctx context.Context, by Principal, address string, types []string,
) (Webhook, error) {
	if err := by.Require(ScopeWebhooks); err != nil {
		return Webhook{}, err
	}
	if err := c.checkWebhook(address, types); err != nil {
		return Webhook{}, err
	}
	secret, err := newWebhookSecret()
	if err != nil {
		return Webhook{}, err
	}
	w := Webhook{
		ID: WebhookID(stage.NewID()), URL: address,
		Types:  slices.Compact(slices.Sorted(slices.Values(types))),
		Secret: secret, CreatedAt: c.cfg.Now(), CreatedBy: by.User.Name,
	}
	err = c.cfg.Store.Atomically(ctx, func(tx Store) error {
		there, err := tx.Webhooks(ctx)
		if err != nil {
			return err
		}
		if len(there) >= maxWebhooks {
			return stage.Errorf(stage.ErrConflict,
				"There are %d webhooks already; delete one first.", maxWebhooks)
		}
		if err := tx.PutWebhook(ctx, w); err != nil {
			return err
		}
		return c.note(ctx, tx, by, webhookEntry(ActionWebhookCreated, w))
	})
	return w, err
}

func (c *Control) checkWebhook(address string, types []string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" ||
		len(address) > maxWebhookURL {
		return stage.Errorf(stage.ErrInvalid, "The URL of a webhook must begin with https:// or "+
			"http:// and have at most %d bytes, such as https://example.com/stagedoor.",
			maxWebhookURL)
	}
	if u.User != nil {
		return stage.Errorf(stage.ErrInvalid,
			"The URL of a webhook must not have a user or password; the messages are signed.")
	}
	if c.cfg.Unreachable != nil {
		if err := c.cfg.Unreachable(u.Hostname()); err != nil {
			return err
		}
	}
	if len(types) == 0 {
		return stage.Errorf(stage.ErrInvalid, "A webhook needs one message type or more: %s.",
			typeList())
	}
	for _, t := range types {
		if !slices.Contains(MessageTypes(), t) {
			return stage.Errorf(stage.ErrInvalid, "%q is no message type; there are %s.",
				t, typeList())
		}
	}
	return nil
}

func typeList() string { return strings.Join(MessageTypes(), ", ") }

// newWebhookSecret returns a secret in the format of Standard Webhooks: whsec_ and base64.
func newWebhookSecret() (stage.Secret, error) {
	key := make([]byte, webhookSecretLen)
	if _, err := rand.Read(key); err != nil {
		return stage.Secret{}, err
	}
	return stage.NewSecret("whsec_" + base64.StdEncoding.EncodeToString(key)), nil
}

// Webhooks lists the webhooks, without their secrets.
func (c *Control) Webhooks(ctx context.Context, by Principal) ([]Webhook, error) {
	if err := by.Require(ScopeWebhooks); err != nil {
		return nil, err
	}
	hooks, err := c.cfg.Store.Webhooks(ctx)
	for i := range hooks {
		hooks[i].Secret = stage.Secret{}
	}
	return hooks, err
}

// DeleteWebhook deletes a webhook and its queued deliveries.
func (c *Control) DeleteWebhook(ctx context.Context, by Principal, id WebhookID) error {
	if err := by.Require(ScopeWebhooks); err != nil {
		return err
	}
	return c.onWebhook(ctx, id, func(tx Store, w Webhook) error {
		if err := tx.DeleteWebhook(ctx, id); err != nil {
			return err
		}
		return c.note(ctx, tx, by, webhookEntry(ActionWebhookDeleted, w))
	})
}

// webhookEntry names only the host of a webhook: the rest of its URL may contain a secret of the
// receiver.
func webhookEntry(action Action, w Webhook) Entry {
	e := Entry{Action: action, Target: string(w.ID)}
	if u, err := url.Parse(w.URL); err == nil {
		e.TargetName = cleanText(u.Host, 256)
	}
	if action == ActionWebhookCreated {
		e.Detail = cleanText(strings.Join(w.Types, ", "), 400)
	}
	return e
}

// TestWebhook queues a message of type webhook.test, and returns the ID of its delivery.
func (c *Control) TestWebhook(ctx context.Context, by Principal, id WebhookID) (string, error) {
	if err := by.Require(ScopeWebhooks); err != nil {
		return "", err
	}
	d, err := newDelivery(id, MessageTest, c.cfg.Now(), TestMessage{by.User.Name})
	if err != nil {
		return "", err
	}
	err = c.onWebhook(ctx, id, func(tx Store, w Webhook) error {
		if err := tx.AddDelivery(ctx, d); err != nil {
			return err
		}
		return c.note(ctx, tx, by, webhookEntry(ActionWebhookTested, w))
	})
	if err != nil {
		return "", err
	}
	c.queued()
	return d.ID, nil
}

// onWebhook changes a webhook in one transaction.
func (c *Control) onWebhook(
	ctx context.Context, id WebhookID, act func(tx Store, w Webhook) error,
) error {
	return c.cfg.Store.Atomically(ctx, func(tx Store) error {
		hooks, err := tx.Webhooks(ctx)
		if err != nil {
			return err
		}
		for _, w := range hooks {
			if w.ID == id {
				return act(tx, w)
			}
		}
		return noSuch("webhook")
	})
}

// maxDead is the most dead deliveries in a list.
const maxDead = 200

// DeadDeliveries lists the messages that a receiver did not accept.
func (c *Control) DeadDeliveries(
	ctx context.Context, by Principal, id WebhookID,
) ([]Delivery, error) {
	if err := by.Require(ScopeWebhooks); err != nil {
		return nil, err
	}
	return c.cfg.Store.DeadDeliveries(ctx, id, maxDead)
}

// ReplayDeliveries sends dead deliveries again: one, or all of a webhook for an empty delivery ID.
func (c *Control) ReplayDeliveries(
	ctx context.Context, by Principal, id WebhookID, delivery string,
) (int, error) {
	if err := by.Require(ScopeWebhooks); err != nil {
		return 0, err
	}
	n := 0
	err := c.onWebhook(ctx, id, func(tx Store, w Webhook) (err error) {
		n, err = tx.ReplayDeliveries(ctx, id, delivery, c.cfg.Now())
		if err == nil && n == 0 && delivery != "" {
			err = noSuch("delivery")
		}
		if err != nil {
			return err
		}
		e := webhookEntry(ActionWebhookReplayed, w)
		e.Detail = count(float64(n), "message")
		return c.note(ctx, tx, by, e)
	})
	if err != nil {
		return 0, err
	}
	c.queued()
	return n, nil
}

// queued wakes the sender of webhooks.
func (c *Control) queued() {
	if c.cfg.Queued != nil {
		c.cfg.Queued()
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

// wantedFor is how long the types that webhooks select are cached, so that issuing a token needs no
// statement if no webhook selects its type.
const wantedFor = 2 * time.Second

// A subscription caches which message types the webhooks select.
type subscription struct {
	mu    sync.Mutex
	at    time.Time       // guarded by mu
	types map[string]bool // guarded by mu
}

// subscribed reports whether a webhook selects a type.
func (c *Control) subscribed(ctx context.Context, kind string) bool {
	s, now := &c.subscription, c.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.types != nil && now.Sub(s.at) < wantedFor && !now.Before(s.at) {
		return s.types[kind]
	}
	hooks, err := c.cfg.Store.Webhooks(ctx)
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
func (c *Control) addIssuance(
	ctx context.Context, i Issuance, revision int64, limit Rate,
) error {
	if i.Stage.Rehearsal() || !c.subscribed(ctx, MessageTokenIssued) {
		return c.cfg.Store.AddIssuance(ctx, i, revision, limit)
	}
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		if err := tx.AddIssuance(ctx, i, revision, limit); err != nil {
			return err
		}
		return c.announce(ctx, tx, MessageTokenIssued, tokenMessage(i))
	})
	if err == nil {
		c.queued()
	}
	return err
}

// addEvent stores an event, and queues its message if a webhook selects that type.
func (c *Control) addEvent(ctx context.Context, e StoredEvent) (StoredEvent, error) {
	kind := messageOfEvent(e.Event)
	if kind == "" || !c.subscribed(ctx, kind) {
		return c.cfg.Store.AddEvent(ctx, e)
	}
	return c.addEventIf(ctx, e, func(Store) (bool, error) { return true, nil })
}

// addEventIf stores an event and queues its message, if the given function returns true. The
// function runs in the same transaction.
func (c *Control) addEventIf(
	ctx context.Context, e StoredEvent, may func(tx Store) (bool, error),
) (StoredEvent, error) {
	var stored StoredEvent
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
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
		return c.announce(ctx, tx, kind, participantMessage(e))
	})
	if err == nil {
		c.queued()
	}
	return stored, err
}

// announce queues a message for every webhook that selects its type, inside a transaction: the
// message is sent if and only if the transaction commits.
func (c *Control) announce(ctx context.Context, tx Store, kind string, data ...any) error {
	hooks, err := tx.Webhooks(ctx)
	if err != nil {
		return err
	}
	for _, w := range hooks {
		if !w.DisabledAt.IsZero() || !slices.Contains(w.Types, kind) {
			continue
		}
		for _, one := range data {
			d, err := newDelivery(w.ID, kind, c.cfg.Now(), one)
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
func (c *Control) announceRevoked(ctx context.Context, tx Store, revoked []Issuance) error {
	var data []any
	for _, i := range revoked {
		if !i.Stage.Rehearsal() {
			data = append(data, tokenMessage(i))
		}
	}
	if len(data) == 0 {
		return nil
	}
	return c.announce(ctx, tx, MessageTokenRevoked, data...)
}
