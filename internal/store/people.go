package store

import (
	"context"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const accountColumns = `u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at,
	u.suspended_at, u.linked_at`

func scanAccount(r row) (access.Account, error) {
	var a access.Account
	err := r.Scan(accountFields(&a)...)
	return completed(a), err
}

func accountFields(a *access.Account) []any {
	return []any{&a.ID, &a.Name, &a.Key, &a.Role, &a.Password, &a.Revision, at(&a.CreatedAt),
		at(&a.LastSeenAt),
		at(&a.SuspendedAt), at(&a.LinkedAt)}
}

// completed sets the fields that are derived from the columns.
func completed(a access.Account) access.Account {
	a.Invited = a.Password == "" && a.LinkedAt.IsZero()
	return a
}

// Operators implements access.Store.
func (q queries) Operators(ctx context.Context) ([]access.Account, error) {
	return list(ctx, q, scanAccount, "SELECT "+accountColumns+
		" FROM users u WHERE u.role = 'operator' ORDER BY u.id")
}

// Account implements access.Store.
func (q queries) Account(ctx context.Context, id access.UserID) (access.Account, error) {
	return first(ctx, q, scanAccount, "SELECT "+accountColumns+
		" FROM users u WHERE u.id = $1", string(id))
}

// Names implements access.Store.
func (q queries) Names(
	ctx context.Context, ids ...access.UserID,
) (map[access.UserID]string, error) {
	scan := func(r row) (u access.User, err error) { return u, r.Scan(&u.ID, &u.Name) }
	found, err := ofIDs(ctx, q, ids, scan, nameText, namesText)
	names := map[access.UserID]string{}
	for _, u := range found {
		names[u.ID] = u.Name
	}
	return names, err
}

const nameText = "SELECT id, name FROM users WHERE id = $1"

var namesText = "SELECT id, name FROM users WHERE id IN (" + places(idsAtOnce) + ")"

// AccountNamed implements access.Store.
func (q queries) AccountNamed(ctx context.Context, key string) (access.Account, error) {
	return first(ctx, q, scanAccount, "SELECT "+accountColumns+
		" FROM users u WHERE u.name_key = $1", key)
}

// PutAccount implements access.Store.
func (q queries) PutAccount(ctx context.Context, a access.Account) error {
	return q.do(ctx, `
		INSERT INTO users (id, name, name_key, role, password, revision, created_at, suspended_at, linked_at)
		VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_key = excluded.name_key, role = excluded.role,
			password = excluded.password, suspended_at = excluded.suspended_at, linked_at = excluded.linked_at`,
		string(a.ID), a.Name, a.Key, string(a.Role), a.Password, ms(a.CreatedAt), ms(a.SuspendedAt),
		ms(a.LinkedAt))
}

// DeleteAccount implements access.Store.
func (q queries) DeleteAccount(ctx context.Context, id access.UserID) error {
	return q.do(ctx, "DELETE FROM users WHERE id = $1", string(id))
}

// Advance implements access.Store.
func (q queries) Advance(ctx context.Context, user access.UserID) error {
	return q.do(ctx, "UPDATE users SET revision = revision + 1 WHERE id = $1", string(user))
}

const credentialColumns = `c.id, c.kind, c.hash, COALESCE(c.user_id, ''), c.label, COALESCE(c.stage, ''), c.view_name,
	c.created_at, c.expires_at, c.used_at, c.address, c.agent, c.scopes, c.max_uses, c.uses`

func credentialFields(c *access.Credential) []any {
	return []any{
		&c.ID, &c.Kind, &c.Hash, &c.User, &c.Label, &c.Stage, &c.View,
		at(&c.CreatedAt), at(&c.ExpiresAt), at(&c.UsedAt), &c.Client.Address, &c.Client.Agent,
		scopes{&c.Scopes}, &c.MaxUses, &c.Uses,
	}
}

func scanCredential(r row) (access.Credential, error) {
	var c access.Credential
	err := r.Scan(credentialFields(&c)...)
	return c, err
}

// A holding is a credential with its account.
type holding struct {
	credential access.Credential
	account    access.Account
}

func scanHolding(r row) (holding, error) {
	var h holding
	err := r.Scan(append(credentialFields(&h.credential), accountFields(&h.account)...)...)
	h.account = completed(h.account)
	return h, err
}

// Credential implements access.Store.
func (q queries) Credential(
	ctx context.Context, kind access.Kind, hash string,
) (access.Credential, access.Account, error) {
	h, err := first(ctx, q, scanHolding, `
		SELECT `+credentialColumns+`, COALESCE(u.id, ''), COALESCE(u.name, ''), COALESCE(u.name_key, ''), COALESCE(u.role, ''),
			COALESCE(u.password, ''), COALESCE(u.revision, 0), u.created_at, u.seen_at, u.suspended_at, u.linked_at
		FROM credentials c LEFT JOIN users u ON u.id = c.user_id WHERE c.hash = $1 AND c.kind = $2`, hash, string(kind))
	return h.credential, h.account, err
}

func matching(m access.Match) filter {
	var f filter
	f.equal("c.kind", string(m.Kind))
	f.equal("c.id", m.ID)
	f.equal("c.user_id", string(m.User))
	f.equal("c.hash", m.Hash)
	if m.Except != "" {
		f.add("c.id <> %s", m.Except)
	}
	return f
}

// Credentials implements access.Store.
func (q queries) Credentials(ctx context.Context, match access.Match) ([]access.Credential, error) {
	var args arguments
	text := "SELECT " + credentialColumns + " FROM credentials c" + matching(match).where(&args) +
		" ORDER BY c.created_at, c.id"
	return list(ctx, q, scanCredential, text, args...)
}

// PutCredential implements access.Store.
func (q queries) PutCredential(ctx context.Context, c access.Credential) error {
	return q.do(ctx, `
		INSERT INTO credentials (id, kind, hash, user_id, label, stage, view_name, created_at, expires_at, used_at, address, agent, scopes, max_uses)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at, expires_at = excluded.expires_at`,
		c.ID, string(c.Kind), c.Hash, null(c.User), c.Label, null(c.Stage), c.View,
		ms(c.CreatedAt), ms(c.ExpiresAt), ms(c.UsedAt), c.Client.Address, c.Client.Agent,
		words(c.Scopes), c.MaxUses)
}

// GuestLinks implements access.Store.
func (q queries) GuestLinks(
	ctx context.Context, arn stage.ARN, limit int,
) ([]access.Credential, error) {
	return list(ctx, q, scanCredential, "SELECT "+credentialColumns+` FROM credentials c
		WHERE c.kind = 'guest' AND c.stage = $1 ORDER BY c.created_at DESC, c.id DESC LIMIT $2`, string(arn), limit)
}

// UseGuestLink implements access.Store. A condition on the row decides which of two guests gets the
// last use.
func (q queries) UseGuestLink(ctx context.Context, id string, when time.Time) error {
	n, err := q.exec(ctx, `UPDATE credentials SET uses = uses + 1, used_at = $1
		WHERE id = $2 AND kind = 'guest' AND uses < max_uses`, ms(when), id)
	if err == nil && n == 0 {
		return stage.ErrConflict
	}
	return err
}

// ReturnGuestUse implements access.Store.
func (q queries) ReturnGuestUse(ctx context.Context, id string) error {
	return q.do(
		ctx, "UPDATE credentials SET uses = uses - 1 WHERE id = $1 AND kind = 'guest' AND uses > 0",
		id)
}

// DeleteCredentials implements access.Store.
func (q queries) DeleteCredentials(ctx context.Context, match access.Match) (int, error) {
	var args arguments
	return q.exec(ctx, "DELETE FROM credentials AS c"+matching(match).where(&args), args...)
}

// Touch implements access.Store.
func (q queries) Touch(ctx context.Context, c access.Credential) error {
	return failure(q.run.together(ctx, func(q queries) error {
		if err := q.do(ctx, "UPDATE credentials SET used_at = $1, expires_at = $2 WHERE id = $3",
			ms(c.UsedAt), ms(c.ExpiresAt), c.ID); err != nil {
			return err
		}
		return q.do(ctx, "UPDATE users SET seen_at = $1 WHERE id = $2", ms(c.UsedAt),
			string(c.User))
	}))
}

func scanAttempts(r row) (access.Attempts, error) {
	var a access.Attempts
	err := r.Scan(&a.Bucket, &a.User, &a.Failures, at(&a.At))
	return a, err
}

// Attempts implements access.Store.
func (q queries) Attempts(ctx context.Context, bucket string) (access.Attempts, error) {
	return first(ctx, q, scanAttempts,
		"SELECT bucket, COALESCE(user_id, ''), failures, at FROM attempts WHERE bucket = $1",
		bucket)
}

// PutAttempts implements access.Store.
func (q queries) PutAttempts(ctx context.Context, a access.Attempts) error {
	return q.do(ctx, `
		INSERT INTO attempts (bucket, user_id, failures, at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (bucket) DO UPDATE SET failures = excluded.failures, at = excluded.at`,
		a.Bucket, null(a.User), a.Failures, a.At.UnixMilli())
}

// TrimAttempts implements access.Store.
func (q queries) TrimAttempts(ctx context.Context, user access.UserID, keep int) error {
	return q.do(ctx, `
		DELETE FROM attempts WHERE user_id = $1 AND bucket NOT IN
			(SELECT bucket FROM attempts WHERE user_id = $1 ORDER BY at DESC, bucket LIMIT $2)`, string(user), keep)
}

// TrimLogins implements access.Store.
func (q queries) TrimLogins(ctx context.Context, user access.UserID, keep int) (int, error) {
	return q.exec(ctx, `
		DELETE FROM credentials WHERE user_id = $1 AND kind = 'login' AND id NOT IN
			(SELECT id FROM credentials WHERE user_id = $1 AND kind = 'login'
			ORDER BY created_at DESC, id DESC LIMIT $2)`, string(user), keep)
}

// Grants implements access.Store.
func (q queries) Grants(ctx context.Context, users ...access.UserID) ([]access.Grant, error) {
	return ofIDs(ctx, q, users, scanGrant, grantsOfOneText, grantsText)
}

// ofIDs lists the rows of these users or tokens. The parameter `ofOne` is the statement for one ID,
// and ofMany the statement for idsAtOnce IDs.
func ofIDs[ID ~string, T any](
	ctx context.Context, q queries, ids []ID, scan func(row) (T, error), ofOne, ofMany string,
) ([]T, error) {
	var all []T
	for some := range slices.Chunk(ids, idsAtOnce) {
		var args arguments
		for _, id := range some {
			args.place(string(id))
		}
		for len(some) > 1 && len(args) < idsAtOnce {
			args.place("") // fills up the list, so that ofMany fits any number of IDs
		}
		text := ofMany
		if len(args) == 1 {
			text = ofOne
		}
		found, err := list(ctx, q, scan, text, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

const (
	idsAtOnce    = 50
	grantColumns = "user_id, stage, capabilities, max_ttl, by_rule, barred_at, barred_reason, " +
		"barred_by"
)

var (
	grantsOfOneText = "SELECT " + grantColumns + " FROM grants WHERE user_id = $1 ORDER BY stage"
	grantsText      = "SELECT " + grantColumns + " FROM grants WHERE user_id IN (" +
		places(idsAtOnce) + ") ORDER BY user_id, stage"
)

func scanGrant(r row) (access.Grant, error) {
	var g access.Grant
	var byRule int
	err := r.Scan(&g.User, &g.Stage, &g.Capabilities, span{&g.MaxTTL}, &byRule, at(&g.BarredAt),
		&g.BarredReason, &g.BarredBy)
	g.ByRule = byRule != 0
	return g, err
}

// PutGrant implements access.Store.
func (q queries) PutGrant(ctx context.Context, g access.Grant) error {
	return q.do(ctx, `
		INSERT INTO grants (user_id, stage, capabilities, max_ttl, by_rule) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id, stage) DO UPDATE SET capabilities = excluded.capabilities, max_ttl = excluded.max_ttl,
			by_rule = excluded.by_rule`,
		string(g.User), string(g.Stage), int64(g.Capabilities), g.MaxTTL.Milliseconds(),
		flag(g.ByRule))
}

// PutBar implements access.Store.
func (q queries) PutBar(ctx context.Context, b access.Bar) error {
	n, err := q.exec(ctx, `UPDATE grants SET barred_at = $3, barred_reason = $4, barred_by = $5
		WHERE user_id = $1 AND stage = $2`, string(b.User), string(b.Stage), ms(b.At), b.Reason, b.By)
	if err == nil && n == 0 {
		return stage.ErrNotFound
	}
	return err
}

// DeleteGrant implements access.Store.
func (q queries) DeleteGrant(ctx context.Context, user access.UserID, arn stage.ARN) error {
	n, err := q.exec(ctx, "DELETE FROM grants WHERE user_id = $1 AND stage = $2",
		string(user), string(arn))
	if err == nil && n == 0 {
		return stage.ErrNotFound
	}
	return err
}
