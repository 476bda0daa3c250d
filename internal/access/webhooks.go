package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
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

// Webhooks registers the endpoints that receive messages, and sends messages again. Only operators,
// and API keys with ScopeWebhooks, may use it.
type Webhooks struct {
	*trail
	unreachable func(host string) error // see Config.Unreachable
}

// Create registers an endpoint. Its secret is returned only here.
func (h *Webhooks) Create(
	ctx context.Context, by Principal, address string, types []string,
) (Webhook, error) {
	if err := by.Require(ScopeWebhooks); err != nil {
		return Webhook{}, err
	}
	if err := h.check(address, types); err != nil {
		return Webhook{}, err
	}
	secret, err := newWebhookSecret()
	if err != nil {
		return Webhook{}, err
	}
	w := Webhook{
		ID: WebhookID(stage.NewID()), URL: address,
		Types:  slices.Compact(slices.Sorted(slices.Values(types))),
		Secret: secret, CreatedAt: h.now(), CreatedBy: by.User.Name,
	}
	err = h.store.Atomically(ctx, func(tx Store) error {
		there, err := tx.Webhooks(ctx)
		if err != nil {
			return err
		}
		if len(there) >= maxWebhooks {
			return words.Error(stage.ErrConflict, "said.conflict.webhooks",
				words.Values{"n": maxWebhooks})
		}
		if err := tx.PutWebhook(ctx, w); err != nil {
			return err
		}
		return h.note(ctx, tx, by, webhookEntry(ActionWebhookCreated, w))
	})
	return w, err
}

func (h *Webhooks) check(address string, types []string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" ||
		len(address) > maxWebhookURL {
		return words.Error(stage.ErrInvalid, "said.invalid.webhookURL",
			words.Values{"n": maxWebhookURL})
	}
	if u.User != nil {
		return words.Error(stage.ErrInvalid, "said.invalid.webhookUser", nil)
	}
	if h.unreachable != nil {
		if err := h.unreachable(u.Hostname()); err != nil {
			return err
		}
	}
	if len(types) == 0 {
		return words.Error(stage.ErrInvalid, "said.invalid.webhookTypes",
			words.Values{"types": typeList()})
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

// List lists the webhooks, without their secrets.
func (h *Webhooks) List(ctx context.Context, by Principal) ([]Webhook, error) {
	if err := by.Require(ScopeWebhooks); err != nil {
		return nil, err
	}
	hooks, err := h.store.Webhooks(ctx)
	for i := range hooks {
		hooks[i].Secret = stage.Secret{}
	}
	return hooks, err
}

// Delete deletes a webhook and its queued deliveries.
func (h *Webhooks) Delete(ctx context.Context, by Principal, id WebhookID) error {
	if err := by.Require(ScopeWebhooks); err != nil {
		return err
	}
	return h.on(ctx, id, func(tx Store, w Webhook) error {
		if err := tx.DeleteWebhook(ctx, id); err != nil {
			return err
		}
		return h.note(ctx, tx, by, webhookEntry(ActionWebhookDeleted, w))
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

// Test queues a message of type webhook.test, and returns the ID of its delivery.
func (h *Webhooks) Test(ctx context.Context, by Principal, id WebhookID) (string, error) {
	if err := by.Require(ScopeWebhooks); err != nil {
		return "", err
	}
	d, err := newDelivery(id, MessageTest, h.now(), TestMessage{by.User.Name})
	if err != nil {
		return "", err
	}
	err = h.on(ctx, id, func(tx Store, w Webhook) error {
		if err := tx.AddDelivery(ctx, d); err != nil {
			return err
		}
		return h.note(ctx, tx, by, webhookEntry(ActionWebhookTested, w))
	})
	if err != nil {
		return "", err
	}
	h.outbox.queued()
	return d.ID, nil
}

// on changes a webhook in one transaction.
func (h *Webhooks) on(
	ctx context.Context, id WebhookID, act func(tx Store, w Webhook) error,
) error {
	return h.store.Atomically(ctx, func(tx Store) error {
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

// Dead lists the messages that a receiver did not accept, and that are not sent again unless Replay
// is called.
func (h *Webhooks) Dead(
	ctx context.Context, by Principal, id WebhookID,
) ([]Delivery, error) {
	if err := by.Require(ScopeWebhooks); err != nil {
		return nil, err
	}
	return h.store.DeadDeliveries(ctx, id, maxDead)
}

// Replay sends dead deliveries again: one, or all of a webhook for an empty delivery ID.
func (h *Webhooks) Replay(
	ctx context.Context, by Principal, id WebhookID, delivery string,
) (int, error) {
	if err := by.Require(ScopeWebhooks); err != nil {
		return 0, err
	}
	n := 0
	err := h.on(ctx, id, func(tx Store, w Webhook) (err error) {
		n, err = tx.ReplayDeliveries(ctx, id, delivery, h.now())
		if err == nil && n == 0 && delivery != "" {
			err = noSuch("delivery")
		}
		if err != nil {
			return err
		}
		e := webhookEntry(ActionWebhookReplayed, w)
		e.Detail = count(float64(n), "message")
		return h.note(ctx, tx, by, e)
	})
	if err != nil {
		return 0, err
	}
	h.outbox.queued()
	return n, nil
}
