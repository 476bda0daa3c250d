package store

import (
	"context"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// ruleGrantJoin joins the RuleGrants of a user for the stage s, by the rule that created the stage.
const ruleGrantJoin = ` LEFT JOIN own_stages o ON o.stage = s.arn
	LEFT JOIN rule_grants w ON w.rule_id = o.rule_id AND w.user_id = `

// ruleGrantOf contains the columns of ruleGrantJoin.
const ruleGrantOf = "COALESCE(w.capabilities, 0), w.max_ttl"

// reaches returns the condition that a user has access to a stage: by a grant without a bar, or by
// access to all stages of the rule that created it. The parameter `column` is the name of the
// column with the stage, including its table.
func reaches(column string) string {
	return `COALESCE(
		(SELECT CASE WHEN g.barred_at IS NULL THEN 1 ELSE 0 END FROM grants g
			WHERE g.user_id = %s AND g.stage = ` + column + `),
		(SELECT 1 FROM own_stages o JOIN rule_grants w ON w.rule_id = o.rule_id AND w.user_id = %s
			WHERE o.stage = ` + column + ` LIMIT 1), 0) = 1`
}

func scanRuleGrant(r row) (access.RuleGrant, error) {
	var g access.RuleGrant
	err := r.Scan(&g.User, &g.Rule, &g.Capabilities, span{&g.MaxTTL})
	return g, err
}

// RuleGrants implements access.RuleGrantStore.
func (q queries) RuleGrants(
	ctx context.Context, user access.UserID,
) ([]access.RuleGrant, error) {
	return list(ctx, q, scanRuleGrant, `SELECT user_id, rule_id, capabilities, max_ttl
		FROM rule_grants WHERE user_id = $1`, string(user))
}

// PutRuleGrant implements access.RuleGrantStore.
func (q queries) PutRuleGrant(ctx context.Context, g access.RuleGrant) error {
	return q.do(ctx, `
		INSERT INTO rule_grants (user_id, rule_id, capabilities, max_ttl) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id, rule_id) DO UPDATE SET capabilities = excluded.capabilities,
			max_ttl = excluded.max_ttl`,
		string(g.User), string(g.Rule), int64(g.Capabilities), g.MaxTTL.Milliseconds())
}

// DeleteRuleGrant implements access.RuleGrantStore.
func (q queries) DeleteRuleGrant(
	ctx context.Context, user access.UserID, rule access.RuleID,
) error {
	return q.do(ctx, "DELETE FROM rule_grants WHERE user_id = $1 AND rule_id = $2", string(user),
		string(rule))
}

// RuleHolders implements access.RuleGrantStore.
func (q queries) RuleHolders(
	ctx context.Context, rule access.RuleID,
) ([]access.UserID, error) {
	scan := func(r row) (id access.UserID, err error) { return id, r.Scan(&id) }
	return list(ctx, q, scan, "SELECT user_id FROM rule_grants WHERE rule_id = $1", string(rule))
}

// GrantsByRules implements access.RuleGrantStore.
func (q queries) GrantsByRules(
	ctx context.Context, user access.UserID,
) ([]access.Grant, error) {
	scan := func(r row) (access.Grant, error) {
		g := access.Grant{User: user, ByRule: true}
		return g, r.Scan(&g.Stage, &g.Capabilities, span{&g.MaxTTL})
	}
	return list(ctx, q, scan, `SELECT o.stage, w.capabilities, w.max_ttl
		FROM rule_grants w JOIN own_stages o ON o.rule_id = w.rule_id WHERE w.user_id = $1`,
		string(user))
}

// RuleOfStage implements access.RuleGrantStore.
func (q queries) RuleOfStage(ctx context.Context, arn stage.ARN) (access.RuleID, error) {
	scan := func(r row) (id access.RuleID, err error) { return id, r.Scan(&id) }
	return first(ctx, q, scan, "SELECT rule_id FROM own_stages WHERE stage = $1", string(arn))
}

// StagesOfTokens implements access.RuleGrantStore.
func (q queries) StagesOfTokens(
	ctx context.Context, user access.UserID, issuedAfter, expireAfter time.Time,
) ([]stage.ARN, error) {
	return list(ctx, q, scanARN, `SELECT DISTINCT stage FROM issuances
		WHERE user_id = $1 AND issued_at > $2 AND expires_at > $3 AND revoked_at IS NULL`,
		string(user), ms(issuedAfter), ms(expireAfter))
}
