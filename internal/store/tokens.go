package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// full finds the token at which the rate limit is reached, if any. This is the Limit-th newest
// token of the bucket. It reads only an index: the entries of the user's tokens in the window.
const full = `(SELECT issued_at FROM issuances WHERE user_id = u.id AND bucket = %s AND issued_at > %s AND issued_at <= %s ORDER BY issued_at DESC LIMIT 1 OFFSET %s)`

// rateArgs returns the parameters of `full`. Without a limit it names the empty bucket, which has
// no tokens.
func rateArgs(rate access.Rate) []any {
	if rate.Limit <= 0 {
		return []any{"", int64(0), int64(0), int64(0)}
	}
	return []any{rate.Bucket, rate.Since.UnixMilli(), rate.Until.UnixMilli(), int64(rate.Limit - 1)}
}

var permitText = `SELECT ` + accountColumns + `, s.arn IS NOT NULL, COALESCE(g.capabilities, 0), g.max_ttl, COALESCE(g.by_rule, 0), g.barred_at, COALESCE(g.barred_reason, ''), ` + ruleGrantOf + `, ` + fmt.Sprintf(full, "$3", "$4", "$5", "$6") + `
	FROM users u LEFT JOIN stages s ON s.arn = $2 AND s.removed_at IS NULL
	LEFT JOIN grants g ON g.user_id = u.id AND g.stage = s.arn` + ruleGrantJoin + `u.id WHERE u.id = $1`

func scanPermit(r row) (access.Permit, error) {
	var p access.Permit
	byRules := access.Grant{ByRule: true}
	var byRule int
	err := r.Scan(append(accountFields(&p.Account), &p.Stage,
		&p.Grant.Capabilities, span{&p.Grant.MaxTTL}, &byRule, at(&p.Grant.BarredAt),
		&p.Grant.BarredReason, &byRules.Capabilities, span{&byRules.MaxTTL}, at(&p.Full))...)
	p.Account = completed(p.Account)
	p.Grant.ByRule = byRule != 0
	p.Grant = p.Grant.With(byRules)
	return p, err
}

// Permit implements access.Store.
func (q queries) Permit(
	ctx context.Context, user access.UserID, arn stage.ARN, rate access.Rate,
) (access.Permit, error) {
	p, err := first(ctx, q, scanPermit, permitText,
		append([]any{string(user), string(arn)}, rateArgs(rate)...)...)
	if p.Grant.Capabilities != 0 {
		p.Grant.User, p.Grant.Stage = user, arn
	}
	return p, err
}

// issueText inserts the record of a token. It inserts nothing if the account has another revision,
// the stage is being removed, or the rate limit is reached.
var issueText = `INSERT INTO issuances (id, user_id, user_name, stage, capabilities, issued_by, bucket,
		credential, issued_at, expires_at, address, kind, credential_id)
	SELECT $1, u.id, $3, s.arn, $5, $6, $7, $8, $9, $10, $11, $17, $18 FROM users u
	JOIN stages s ON s.arn = $4 AND s.removed_at IS NULL
	WHERE u.id = $2 AND u.revision = $12 AND ` + fmt.Sprintf(full, "$13", "$14", "$15", "$16") + ` IS NULL`

// issueLock serializes the records of one user's tokens, since each counts the earlier ones. It
// writes the row of the user, so that a concurrent serializable transaction that changes the user
// is retried. It takes a shared lock on the stage, for which CloseStage waits.
const issueLock = `WITH locked AS (SELECT arn FROM stages WHERE arn = $2 FOR KEY SHARE)
	UPDATE users SET revision = revision FROM locked WHERE id = $1`

// rehearseText and rehearseLock are issueText and issueLock for a rehearsal's stage, which has no
// row.
var rehearseText = `INSERT INTO issuances (id, user_id, user_name, stage, capabilities, issued_by, bucket,
		credential, issued_at, expires_at, address, kind, credential_id)
	SELECT $1, u.id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $17, $18 FROM users u
	WHERE u.id = $2 AND u.revision = $12 AND ` + fmt.Sprintf(full, "$13", "$14", "$15", "$16") + ` IS NULL`

const rehearseLock = `UPDATE users SET revision = revision WHERE id = $1`

// AddIssuance implements access.Store.
func (q queries) AddIssuance(
	ctx context.Context, i access.Issuance, revision int64, rate access.Rate,
) error {
	text, lock := issueText, turn{issueLock, []any{string(i.User), string(i.Stage)}}
	if i.Stage.Rehearsal() {
		text, lock = rehearseText, turn{rehearseLock, []any{string(i.User)}}
	}
	args := append([]any{
		string(i.ID), string(i.User), i.UserName, string(i.Stage), int64(i.Capabilities),
		i.IssuedBy, i.Bucket, i.Credential,
		ms(i.IssuedAt), ms(i.ExpiresAt), i.Address, revision,
	}, rateArgs(rate)...)
	args = append(args, string(i.Kind), i.CredentialID)
	n, err := q.run.inTurn(ctx, lock, text, args...)
	if err == nil && n == 0 {
		return stage.ErrConflict
	}
	return failure(err)
}

const issuanceColumns = `id, user_id, user_name, stage, capabilities, issued_by, bucket, credential,
	issued_at, expires_at, revoked_at, address, kind, credential_id`

func scanIssuance(r row) (access.Issuance, error) {
	var i access.Issuance
	err := r.Scan(&i.ID, &i.User, &i.UserName, &i.Stage, &i.Capabilities, &i.IssuedBy, &i.Bucket,
		&i.Credential,
		at(&i.IssuedAt), at(&i.ExpiresAt), at(&i.RevokedAt), &i.Address, &i.Kind,
		&i.CredentialID)
	return i, err
}

// Issuance implements access.Store.
func (q queries) Issuance(ctx context.Context, id stage.ParticipantID) (access.Issuance, error) {
	return first(ctx, q, scanIssuance, issuanceText, string(id))
}

// Issuances implements access.Store.
func (q queries) Issuances(
	ctx context.Context, ids ...stage.ParticipantID,
) ([]access.Issuance, error) {
	return ofIDs(ctx, q, ids, scanIssuance, issuanceText, issuancesText)
}

var (
	issuanceText  = "SELECT " + issuanceColumns + " FROM issuances WHERE id = $1"
	issuancesText = "SELECT " + issuanceColumns + " FROM issuances WHERE id IN (" +
		places(idsAtOnce) + ")"
)

// SetCapabilities implements access.Store.
func (q queries) SetCapabilities(
	ctx context.Context, id stage.ParticipantID, can stage.Capabilities,
) error {
	return q.do(ctx, "UPDATE issuances SET capabilities = $1 WHERE id = $2 AND revoked_at IS NULL",
		int64(can), string(id))
}

// RevokeIssuances implements access.Store.
func (q queries) RevokeIssuances(
	ctx context.Context, match access.Revocation, when time.Time,
) ([]access.Issuance, error) {
	args := arguments{ms(when)}
	text := "UPDATE issuances SET revoked_at = $1"
	if match.Limit == 0 {
		text += revocable(match).where(&args)
	} else {
		text += " WHERE id IN (SELECT id FROM issuances" + revocable(match).where(&args) +
			" LIMIT " + strconv.Itoa(match.Limit) + ")"
	}
	return change(ctx, q, scanIssuance, text+" RETURNING "+issuanceColumns, args...)
}

func revocable(match access.Revocation) filter {
	f := filter{{text: "revoked_at IS NULL"}}
	f.equal("id", string(match.ID))
	f.equal("user_id", string(match.User))
	f.equal("stage", string(match.Stage))
	if match.Orphaned {
		f.add("credential <> '' AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = " +
			"issuances.credential)")
	}
	switch {
	case match.Beyond != 0 && !match.BeyondExpiry.IsZero():
		f.add("((capabilities & %s) <> 0 OR expires_at > %s)", int64(^match.Beyond),
			ms(match.BeyondExpiry))
	case match.Beyond != 0:
		f.add("(capabilities & %s) <> 0", int64(^match.Beyond))
	}
	if !match.ExpiresAfter.IsZero() {
		f.add("expires_at > %s", ms(match.ExpiresAfter))
	}
	if !match.IssuedAfter.IsZero() {
		f.add("issued_at > %s", ms(match.IssuedAfter))
	}
	return f
}

// RevokedAtAWS implements access.Store.
func (q queries) RevokedAtAWS(
	ctx context.Context, expireAfter time.Time,
) ([]access.Issuance, error) {
	text := "SELECT " + issuanceColumns + ` FROM issuances
		WHERE revoked_at IS NOT NULL AND expires_at > $1 AND stage NOT LIKE $2
		ORDER BY expires_at, id`
	return list(ctx, q, scanIssuance, text, ms(expireAfter), "arn:aws:ivs:"+stage.LocalRegion+":%")
}
