package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// words returns a list of scopes in its stored form.
func words(list []access.Scope) string {
	var b strings.Builder
	for i, word := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(word))
	}
	return b.String()
}

// scopes scans a value that `words` returned.
type scopes struct{ list *[]access.Scope }

// Scan implements sql.Scanner.
func (s scopes) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("scopes must be a text, not %T", value)
	}
	*s.list = nil
	for word := range strings.FieldsSeq(text) {
		*s.list = append(*s.list, access.Scope(word))
	}
	return nil
}

const identityColumns = "issuer, subject, user_id, email, claims, seen_at, scopes"

func scanIdentity(r row) (access.Identity, error) {
	var i access.Identity
	var claims string
	err := r.Scan(&i.Issuer, &i.Subject, &i.User, &i.Email, &claims, at(&i.SeenAt), &i.Scopes)
	if err != nil {
		return i, err
	}
	return i, json.Unmarshal([]byte(claims), &i.Claims)
}

// Identity implements access.IdentityStore.
func (q queries) Identity(ctx context.Context, issuer, subject string) (access.Identity, error) {
	return first(ctx, q, scanIdentity,
		"SELECT "+
			identityColumns+" FROM identities WHERE issuer = $1 AND subject = $2", issuer, subject)
}

// IdentitiesOf implements access.IdentityStore.
func (q queries) IdentitiesOf(
	ctx context.Context, users ...access.UserID,
) ([]access.Identity, error) {
	return ofIDs(ctx, q, users, scanIdentity, identitiesOfOneText, identitiesText)
}

var (
	identitiesOfOneText = "SELECT " + identityColumns +
		" FROM identities WHERE user_id = $1 ORDER BY issuer, subject"
	identitiesText = "SELECT " + identityColumns + " FROM identities WHERE user_id IN (" +
		places(idsAtOnce) + ") ORDER BY user_id, issuer, subject"
)

// PutIdentity implements access.IdentityStore.
func (q queries) PutIdentity(ctx context.Context, i access.Identity) error {
	claims, err := json.Marshal(i.Claims)
	if err != nil {
		return err
	}
	return q.do(ctx, `
		INSERT INTO identities (issuer, subject, user_id, email, claims, seen_at, scopes)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (issuer, subject) DO UPDATE SET email = excluded.email, claims = excluded.claims,
			seen_at = excluded.seen_at, scopes = excluded.scopes`,
		i.Issuer, i.Subject, string(i.User), i.Email, string(claims), ms(i.SeenAt), i.Scopes)
}

const ruleColumns = "id, claim, value, COALESCE(stage, ''), own, region, " +
	"COALESCE(own_of, ''), capabilities, max_ttl, created_at"

func scanRule(r row) (access.Rule, error) {
	var rule access.Rule
	err := r.Scan(&rule.ID, &rule.Claim.Name, &rule.Claim.Value, &rule.Stage,
		&rule.Own, &rule.Region, &rule.OwnOf,
		&rule.Capabilities, span{&rule.MaxTTL}, at(&rule.CreatedAt))
	return rule, err
}

// Rules implements access.RuleStore.
func (q queries) Rules(ctx context.Context) ([]access.Rule, error) {
	return list(ctx, q, scanRule, "SELECT "+ruleColumns+" FROM rules ORDER BY created_at, id")
}

// PutRule implements access.RuleStore.
func (q queries) PutRule(ctx context.Context, r access.Rule) error {
	return q.do(ctx, `
		INSERT INTO rules (id, claim, value, stage, own, region, own_of, capabilities, max_ttl, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET claim = excluded.claim, value = excluded.value, stage = excluded.stage,
			own = excluded.own, region = excluded.region, own_of = excluded.own_of,
			capabilities = excluded.capabilities, max_ttl = excluded.max_ttl`,
		string(r.ID), r.Claim.Name, r.Claim.Value, null(r.Stage), r.Own, r.Region, null(r.OwnOf),
		int64(r.Capabilities), r.MaxTTL.Milliseconds(), ms(r.CreatedAt))
}

// DeleteRule implements access.RuleStore.
func (q queries) DeleteRule(ctx context.Context, id access.RuleID) error {
	n, err := q.exec(ctx, "DELETE FROM rules WHERE id = $1", string(id))
	if err == nil && n == 0 {
		return stage.ErrNotFound
	}
	return err
}

func scanARN(r row) (arn stage.ARN, err error) {
	err = r.Scan(&arn)
	return arn, err
}

// OwnStage implements access.RuleStore.
func (q queries) OwnStage(
	ctx context.Context, rule access.RuleID, user access.UserID,
) (stage.ARN, error) {
	return first(ctx, q, scanARN,
		"SELECT stage FROM own_stages WHERE rule_id = $1 AND user_id = $2", string(
			rule), string(user))
}

// PutOwnStage implements access.RuleStore.
func (q queries) PutOwnStage(
	ctx context.Context, rule access.RuleID, user access.UserID, arn stage.ARN,
) error {
	return q.do(ctx, "INSERT INTO own_stages (rule_id, user_id, stage) VALUES ($1, $2, $3)",
		string(rule), string(user), string(arn))
}

// AccountsAfter implements access.RuleStore.
func (q queries) AccountsAfter(
	ctx context.Context, after access.UserID, limit int,
) ([]access.Account, error) {
	return list(ctx, q, scanAccount,
		"SELECT "+accountColumns+" FROM users u WHERE u.id > $1 ORDER BY u.id LIMIT $2",
		string(after), limit)
}

// PutDevice implements access.DeviceStore. It finds conflicts without an error, which would end a
// transaction of PostgreSQL.
func (q queries) PutDevice(ctx context.Context, c access.Credential, l access.DeviceLimits) error {
	const open = "SELECT COUNT(*) FROM credentials WHERE kind = 'device' AND user_id IS NULL AND " +
		"expires_at > $1"
	for _, limit := range []struct {
		text string
		args []any
		most int
	}{
		{open, []any{ms(l.Now)}, l.All},
		{open + " AND view_name = $2", []any{ms(l.Now), l.Address}, l.Of},
	} {
		n, err := first(ctx, q, scanNumber, limit.text, limit.args...)
		if err != nil {
			return err
		}
		if n >= int64(limit.most) {
			return stage.ErrTooMany
		}
	}
	n, err := q.exec(ctx, `
		INSERT INTO credentials (id, kind, hash, label, view_name, created_at, expires_at, address, agent, scopes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '')
		ON CONFLICT DO NOTHING`,
		c.ID, string(c.Kind), c.Hash, c.Label, c.View, ms(c.CreatedAt), ms(c.ExpiresAt),
		c.Client.Address, c.Client.Agent)
	if err == nil && n == 0 {
		return stage.ErrConflict
	}
	return err
}

// DeviceByCode implements access.DeviceStore.
func (q queries) DeviceByCode(ctx context.Context, userCode string) (access.Credential, error) {
	return first(ctx, q, scanCredential,
		"SELECT "+
			credentialColumns+
			" FROM credentials c WHERE c.kind = 'device' AND c.label = $1", userCode)
}

// GiveDevice implements access.DeviceStore. The column view_name contains the network of a waiting
// dock, whose limit PutDevice checks. An approved dock does not count towards that limit, so
// GiveDevice replaces the network with the label.
func (q queries) GiveDevice(
	ctx context.Context, id string, user access.UserID, label string,
) error {
	n, err := q.exec(ctx,
		"UPDATE credentials SET user_id = $1, view_name = $2 WHERE id = $3 AND kind = 'device' "+
			"AND user_id IS NULL",
		string(user), label, id)
	if err == nil && n == 0 {
		return stage.ErrNotFound
	}
	return err
}
