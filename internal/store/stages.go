package store

import (
	"context"
	"math"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const stageColumns = `arn, name, COALESCE(name_key, ''), whip_endpoint, events_endpoint, endpoints_at,
	max_height, advised_bitrate, max_bitrate, max_keyframe_interval, created_at`

func scanStage(r row) (access.StageRecord, error) {
	var s access.StageRecord
	var interval int64
	err := r.Scan(&s.ARN, &s.Name, &s.Key, &s.Endpoints.WHIP, &s.Endpoints.Events, at(&s.EndpointsAt),
		&s.Limits.MaxHeight, &s.Limits.AdvisedBitrate, &s.Limits.MaxBitrate, &interval, at(&s.CreatedAt))
	s.Limits.MaxKeyframeInterval = float64(interval) / 1000
	return s, err
}

// Stages implements access.Store.
func (q queries) Stages(ctx context.Context) ([]access.StageRecord, error) {
	return list(ctx, q, scanStage, "SELECT "+stageColumns+" FROM stages ORDER BY created_at, arn")
}

// Stage implements access.Store.
func (q queries) Stage(ctx context.Context, arn stage.ARN) (access.StageRecord, error) {
	return first(ctx, q, scanStage, "SELECT "+stageColumns+" FROM stages WHERE arn = $1", string(arn))
}

// PutStage implements access.Store.
func (q queries) PutStage(ctx context.Context, s access.StageRecord) error {
	return q.do(ctx, `
		INSERT INTO stages (arn, name, name_key, whip_endpoint, events_endpoint, endpoints_at,
			max_height, advised_bitrate, max_bitrate, max_keyframe_interval, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (arn) DO UPDATE SET name = excluded.name, name_key = excluded.name_key,
			whip_endpoint = excluded.whip_endpoint, events_endpoint = excluded.events_endpoint, endpoints_at = excluded.endpoints_at,
			max_height = excluded.max_height, advised_bitrate = excluded.advised_bitrate, max_bitrate = excluded.max_bitrate,
			max_keyframe_interval = excluded.max_keyframe_interval`,
		string(s.ARN), s.Name, null(s.Key), s.Endpoints.WHIP, s.Endpoints.Events, ms(s.EndpointsAt),
		s.Limits.MaxHeight, s.Limits.AdvisedBitrate, s.Limits.MaxBitrate,
		int64(math.Round(s.Limits.MaxKeyframeInterval*1000)), ms(s.CreatedAt))
}

// DeleteStage implements access.Store.
func (q queries) DeleteStage(ctx context.Context, arn stage.ARN) error {
	return q.do(ctx, "DELETE FROM stages WHERE arn = $1", string(arn))
}
