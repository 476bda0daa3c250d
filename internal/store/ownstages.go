package store

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

func scanWanted(r row) (access.OwnWanted, error) {
	var w access.OwnWanted
	err := r.Scan(&w.Rule, &w.User, &w.Tries)
	return w, err
}

// WantOwnStage implements access.RuleStore.
func (q queries) WantOwnStage(
	ctx context.Context, rule access.RuleID, user access.UserID, now time.Time,
) error {
	return q.do(ctx, `INSERT INTO own_wanted (rule_id, user_id, due_at, tries) VALUES ($1, $2, $3, 0)
		ON CONFLICT DO NOTHING`, string(rule), string(user), ms(now))
}

// ClaimOwnStages implements access.RuleStore.
func (q queries) ClaimOwnStages(
	ctx context.Context, now, until time.Time, limit int,
) ([]access.OwnWanted, error) {
	return change(ctx, q, scanWanted, `
		UPDATE own_wanted SET due_at = $1, tries = tries + 1
		WHERE due_at <= $2 AND (rule_id, user_id) IN (
			SELECT rule_id, user_id FROM own_wanted WHERE due_at <= $2 ORDER BY due_at, rule_id, user_id LIMIT $3)
		RETURNING rule_id, user_id, tries`, ms(until), ms(now), limit)
}

// PostponeOwnStage implements access.RuleStore.
func (q queries) PostponeOwnStage(ctx context.Context, w access.OwnWanted, until time.Time) error {
	return q.do(ctx, "UPDATE own_wanted SET due_at = $1 WHERE rule_id = $2 AND user_id = $3",
		ms(until), string(w.Rule), string(w.User))
}

// DropOwnStage implements access.RuleStore.
func (q queries) DropOwnStage(ctx context.Context, w access.OwnWanted) error {
	return q.do(ctx, "DELETE FROM own_wanted WHERE rule_id = $1 AND user_id = $2", string(w.Rule),
		string(w.User))
}
