package store

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const passkeyColumns = "id, user_id, key_id, name, record, created_at, used_at"

func scanPasskey(r row) (access.Passkey, error) {
	var k access.Passkey
	err := r.Scan(&k.ID, &k.User, &k.KeyID, &k.Name, &k.Record, at(&k.CreatedAt), at(&k.UsedAt))
	return k, err
}

// Passkeys implements access.PasskeyStore.
func (q queries) Passkeys(ctx context.Context, user access.UserID) ([]access.Passkey, error) {
	return list(ctx, q, scanPasskey,
		"SELECT "+
			passkeyColumns+" FROM passkeys WHERE user_id = $1 ORDER BY created_at, id", string(
			user))
}

// PasskeyByKey implements access.PasskeyStore.
func (q queries) PasskeyByKey(ctx context.Context, keyID string) (access.Passkey, error) {
	return first(ctx, q, scanPasskey, "SELECT "+passkeyColumns+
		" FROM passkeys WHERE key_id = $1", keyID)
}

// PutPasskey implements access.PasskeyStore. It finds conflicts without an error, which would end a
// transaction of PostgreSQL.
func (q queries) PutPasskey(ctx context.Context, k access.Passkey) error {
	n, err := q.exec(ctx, `
		INSERT INTO passkeys (id, user_id, key_id, name, record, created_at, used_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (key_id) DO UPDATE SET name = excluded.name, record = excluded.record, used_at = excluded.used_at
			WHERE passkeys.id = excluded.id`,
		k.ID, string(k.User), k.KeyID, k.Name, k.Record, ms(k.CreatedAt), ms(k.UsedAt))
	if err == nil && n == 0 {
		return stage.ErrConflict
	}
	return err
}

// DeletePasskeys implements access.PasskeyStore.
func (q queries) DeletePasskeys(ctx context.Context, user access.UserID, id string) (int, error) {
	if id == "" {
		return q.exec(ctx, "DELETE FROM passkeys WHERE user_id = $1", string(user))
	}
	return q.exec(ctx, "DELETE FROM passkeys WHERE user_id = $1 AND id = $2", string(user), id)
}

// UseOnce implements access.PasskeyStore.
func (q queries) UseOnce(ctx context.Context, c access.Credential) error {
	n, err := q.exec(ctx, `
		INSERT INTO credentials (id, kind, hash, label, view_name, created_at, expires_at, address, agent, scopes)
		VALUES ($1, $2, $3, '', '', $4, $5, '', '', '')
		ON CONFLICT DO NOTHING`,
		c.ID, string(c.Kind), c.Hash, ms(c.CreatedAt), ms(c.ExpiresAt))
	if err == nil && n == 0 {
		return stage.ErrConflict
	}
	return err
}
