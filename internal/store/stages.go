package store

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const stageColumns = `s.arn, s.name, COALESCE(s.name_key, ''), s.whip_endpoint,
	s.events_endpoint, s.endpoints_at, s.max_height, s.advised_bitrate, s.max_bitrate,
	s.max_keyframe_interval, s.created_at`

func scanStage(r row) (access.StageRecord, error) {
	var s access.StageRecord
	var interval int64
	err := r.Scan(&s.ARN, &s.Name, &s.Key, &s.Endpoints.WHIP, &s.Endpoints.Events,
		at(&s.EndpointsAt), &s.Limits.MaxHeight, &s.Limits.AdvisedBitrate, &s.Limits.MaxBitrate,
		&interval, at(&s.CreatedAt))
	s.Limits.MaxKeyframeInterval = float64(interval) / 1000
	return s, err
}

// Stages implements access.Store.
func (q queries) Stages(ctx context.Context) ([]access.StageRecord, error) {
	return list(ctx, q, scanStage, "SELECT "+stageColumns+
		" FROM stages s WHERE s.removed_at IS NULL ORDER BY s.created_at, s.arn")
}

// Stage implements access.Store.
func (q queries) Stage(ctx context.Context, arn stage.ARN) (access.StageRecord, error) {
	return first(ctx, q, scanStage, "SELECT "+stageColumns+
		" FROM stages s WHERE s.arn = $1 AND s.removed_at IS NULL", string(arn))
}

// StageNamed implements access.Store.
func (q queries) StageNamed(ctx context.Context, key string) (access.StageRecord, error) {
	return first(ctx, q, scanStage, "SELECT "+stageColumns+
		" FROM stages s WHERE s.name_key = $1", key)
}

// Endpoints implements access.Store.
func (q queries) Endpoints(ctx context.Context) ([]stage.Endpoints, error) {
	scan := func(r row) (e stage.Endpoints, err error) { return e, r.Scan(&e.WHIP, &e.Events) }
	return list(ctx, q, scan, `SELECT DISTINCT whip_endpoint, events_endpoint FROM stages
		WHERE removed_at IS NULL ORDER BY whip_endpoint, events_endpoint`)
}

// PutStage implements access.Store.
func (q queries) PutStage(ctx context.Context, s access.StageRecord) error {
	return q.do(ctx, `
		INSERT INTO stages (arn, name, name_key, sort_key, whip_endpoint, events_endpoint, endpoints_at,
			max_height, advised_bitrate, max_bitrate, max_keyframe_interval, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (arn) DO UPDATE SET name = excluded.name, name_key = excluded.name_key,
			sort_key = excluded.sort_key, whip_endpoint = excluded.whip_endpoint,
			events_endpoint = excluded.events_endpoint, endpoints_at = excluded.endpoints_at,
			max_height = excluded.max_height, advised_bitrate = excluded.advised_bitrate,
			max_bitrate = excluded.max_bitrate, max_keyframe_interval = excluded.max_keyframe_interval,
			removed_at = NULL`,
		string(s.ARN), s.Name, null(s.Key), s.SortKey(), s.Endpoints.WHIP, s.Endpoints.Events,
		ms(s.EndpointsAt), s.Limits.MaxHeight, s.Limits.AdvisedBitrate, s.Limits.MaxBitrate,
		int64(math.Round(s.Limits.MaxKeyframeInterval*1000)), ms(s.CreatedAt))
}

// CloseStage implements access.Store.
func (q queries) CloseStage(ctx context.Context, arn stage.ARN, at time.Time) error {
	// The name can be used again at once. This statement changes no key column to which other
	// tables refer, so it does not wait for tokens that are being recorded.
	n, err := q.exec(ctx, `UPDATE stages SET removed_at = $2, name_key = NULL
		WHERE arn = $1 AND removed_at IS NULL`, string(arn), ms(at))
	if err != nil || n == 0 {
		return cmp.Or(err, error(stage.ErrNotFound))
	}
	return q.run.await(ctx, "SELECT arn FROM stages WHERE arn = $1 FOR UPDATE", string(arn))
}

// ClosedStages implements access.Store.
func (q queries) ClosedStages(ctx context.Context) ([]stage.ARN, error) {
	scan := func(r row) (arn stage.ARN, err error) { return arn, r.Scan(&arn) }
	return list(ctx, q, scan, "SELECT arn FROM stages WHERE removed_at IS NOT NULL")
}

// ClearStage implements access.Store.
func (q queries) ClearStage(ctx context.Context, arn stage.ARN, limit int) (more bool, err error) {
	for _, text := range []string{
		`DELETE FROM grants WHERE stage = $1 AND user_id IN
			(SELECT user_id FROM grants WHERE stage = $1 LIMIT %d)`,
		`DELETE FROM credentials WHERE id IN (SELECT id FROM credentials WHERE stage = $1 LIMIT %d)`,
	} {
		n, err := q.exec(ctx, fmt.Sprintf(text, limit), string(arn))
		if err != nil {
			return false, err
		}
		more = more || n == limit
	}
	return more, nil
}

// DeleteStage implements access.Store.
func (q queries) DeleteStage(ctx context.Context, arn stage.ARN) error {
	if err := q.deleteChat(ctx, arn); err != nil {
		return err
	}
	return q.do(ctx, "DELETE FROM stages WHERE arn = $1 AND removed_at IS NOT NULL", string(arn))
}
