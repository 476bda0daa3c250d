package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const webhookColumns = "id, url, types, secret, created_at, created_by, disabled_at, " +
	"failed_at, failure"

func scanWebhook(r row) (access.Webhook, error) {
	var w access.Webhook
	var types, secret string
	err := r.Scan(&w.ID, &w.URL, &types, &secret, at(&w.CreatedAt), &w.CreatedBy,
		at(&w.DisabledAt), at(&w.FailedAt), &w.Failure)
	w.Types, w.Secret = strings.Fields(types), stage.NewSecret(secret)
	return w, err
}

// Webhooks implements access.WebhookStore.
func (q queries) Webhooks(ctx context.Context) ([]access.Webhook, error) {
	return list(ctx, q, scanWebhook, "SELECT "+webhookColumns+
		" FROM webhooks ORDER BY created_at, id")
}

// PutWebhook implements access.WebhookStore.
func (q queries) PutWebhook(ctx context.Context, w access.Webhook) error {
	return q.do(ctx, `
		INSERT INTO webhooks (id, url, types, secret, created_at, created_by, disabled_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET url = excluded.url, types = excluded.types,
			disabled_at = excluded.disabled_at`,
		string(w.ID), w.URL, strings.Join(w.Types, " "), w.Secret.Reveal(), ms(w.CreatedAt),
		w.CreatedBy, ms(w.DisabledAt))
}

// DeleteWebhook implements access.WebhookStore.
func (q queries) DeleteWebhook(ctx context.Context, id access.WebhookID) error {
	n, err := q.exec(ctx, "DELETE FROM webhooks WHERE id = $1", string(id))
	if err == nil && n == 0 {
		return stage.ErrNotFound
	}
	return err
}

const deliveryColumns = "id, webhook, type, body, created_at, next_at, attempts, status, " +
	"reason, dead_at"

func scanDelivery(r row) (access.Delivery, error) {
	var d access.Delivery
	var body string
	err := r.Scan(&d.ID, &d.Webhook, &d.Type, &body, at(&d.CreatedAt), at(&d.NextAt),
		&d.Attempts, &d.Status, &d.Reason, at(&d.DeadAt))
	d.Body = []byte(body)
	return d, err
}

// AddDelivery implements access.WebhookStore.
func (q queries) AddDelivery(ctx context.Context, d access.Delivery) error {
	return q.do(ctx, `
		INSERT INTO deliveries (id, webhook, type, body, created_at, next_at, attempts, status, reason, dead_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		d.ID, string(d.Webhook), d.Type, string(d.Body), ms(d.CreatedAt), ms(d.NextAt), d.Attempts,
		d.Status, d.Reason, ms(d.DeadAt))
}

// PutDelivery implements webhook.Outbox. If the webhook was deleted meanwhile, the delivery was
// deleted, too.
func (q queries) PutDelivery(ctx context.Context, d access.Delivery) error {
	return q.do(ctx, `
		UPDATE deliveries SET next_at = $2, attempts = $3, status = $4, reason = $5, dead_at = $6
		WHERE id = $1`,
		d.ID, ms(d.NextAt), d.Attempts, d.Status, d.Reason, ms(d.DeadAt))
}

// NoteAttempt implements webhook.Outbox.
func (q queries) NoteAttempt(
	ctx context.Context, id access.WebhookID, failedAt time.Time, failure string,
) error {
	return q.do(ctx, "UPDATE webhooks SET failed_at = $2, failure = $3 WHERE id = $1", string(id),
		ms(failedAt), failure)
}

// FinishDelivery implements webhook.Outbox.
func (q queries) FinishDelivery(ctx context.Context, id string) error {
	return q.do(ctx, "DELETE FROM deliveries WHERE id = $1", id)
}

// ClaimDeliveries implements webhook.Outbox. The database checks the outer condition again for a
// row that another replica has just claimed.
func (q queries) ClaimDeliveries(
	ctx context.Context, id access.WebhookID, now, until time.Time, limit int,
) ([]access.Delivery, error) {
	claimed, err := change(ctx, q, scanDelivery, `
		UPDATE deliveries SET next_at = $1
		WHERE next_at <= $2 AND dead_at IS NULL AND id IN (
			SELECT id FROM deliveries
			WHERE webhook = $3 AND dead_at IS NULL AND next_at <= $2
			ORDER BY next_at, id LIMIT $4)
		RETURNING `+deliveryColumns, ms(until), ms(now), string(id), limit)
	// Sort the deliveries, because RETURNING has no order. Set NextAt, so that a delivery is due at
	// once if the sender gives it back.
	for i := range claimed {
		claimed[i].NextAt = now
	}
	sortDeliveries(claimed)
	return claimed, err
}

// DeadDeliveries implements access.WebhookStore.
func (q queries) DeadDeliveries(
	ctx context.Context, id access.WebhookID, limit int,
) ([]access.Delivery, error) {
	return list(ctx, q, scanDelivery, "SELECT "+deliveryColumns+` FROM deliveries
		WHERE webhook = $1 AND dead_at IS NOT NULL ORDER BY dead_at DESC, id LIMIT $2`, string(id), limit)
}

// ReplayDeliveries implements access.WebhookStore.
func (q queries) ReplayDeliveries(
	ctx context.Context, id access.WebhookID, delivery string, now time.Time,
) (int, error) {
	text := `UPDATE deliveries SET next_at = $1, attempts = 0, dead_at = NULL
		WHERE webhook = $2 AND dead_at IS NOT NULL`
	if delivery == "" {
		return q.exec(ctx, text, ms(now), string(id))
	}
	return q.exec(ctx, text+" AND id = $3", ms(now), string(id), delivery)
}

// An Outbox contains the counts of deliveries that are not sent yet.
type Outbox struct {
	Waiting int
	Oldest  time.Time // when the oldest waiting delivery was queued; zero if none waits
	Dead    int
}

const outboxCount = 100_000

// Outbox counts waiting and dead deliveries, up to 100,000 each.
func (q queries) Outbox(ctx context.Context) (Outbox, error) {
	return first(ctx, q, func(r row) (Outbox, error) {
		var o Outbox
		err := r.Scan(&o.Waiting, at(&o.Oldest), &o.Dead)
		return o, err
	}, fmt.Sprintf(`SELECT
		(SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE dead_at IS NULL
			ORDER BY created_at LIMIT %[1]d) waiting),
		(SELECT MIN(created_at) FROM deliveries WHERE dead_at IS NULL),
		(SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE dead_at IS NOT NULL
			ORDER BY dead_at LIMIT %[1]d) dead)`, outboxCount))
}

func sortDeliveries(all []access.Delivery) {
	slices.SortFunc(all, func(a, b access.Delivery) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
}
