package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"
)

const localKeyFact = "local key"

func scanText(r row) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}

// LocalKey returns the ID of the key that signs the tokens of local stages, or stage.ErrNotFound.
func (s *Store) LocalKey(ctx context.Context) (keyID string, err error) {
	return first(ctx, s.queries, scanText, "SELECT value FROM facts WHERE name = $1", localKeyFact)
}

// RegisterLocalKey stores the ID of the local key unless one is stored already, and returns the
// stored ID. If several servers start together, the first one wins. With replace it always stores
// the given ID.
func (s *Store) RegisterLocalKey(
	ctx context.Context, keyID string, now time.Time, replace bool,
) (registered string, err error) {
	text := "INSERT INTO facts (name, value, at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING"
	if replace {
		text = `INSERT INTO facts (name, value, at) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at`
	}
	if err := s.do(ctx, text, localKeyFact, keyID, ms(now)); err != nil {
		return "", err
	}
	return s.LocalKey(ctx)
}

// Issued reports whether there is the record of any token. Prune deletes old records.
func (s *Store) Issued(ctx context.Context) (bool, error) {
	issued, err := first(ctx, s.queries, scanNumber,
		"SELECT CASE WHEN EXISTS (SELECT 1 FROM issuances LIMIT 1) THEN 1 ELSE 0 END")
	return issued == 1, err
}

const serverFact = "server"

// ServerID returns the ID of this Stagedoor, which does not change with its address. All servers on
// a database have the same ID, which the first server creates when it needs the ID.
func (s *Store) ServerID(ctx context.Context, now time.Time) (string, error) {
	id := make([]byte, 16)
	rand.Read(id)
	err := s.do(
		ctx, "INSERT INTO facts (name, value, at) VALUES ($1, $2, $3) ON CONFLICT (name) DO "+
			"NOTHING",
		serverFact, hex.EncodeToString(id), ms(now))
	if err != nil {
		return "", err
	}
	return first(ctx, s.queries, scanText, "SELECT value FROM facts WHERE name = $1", serverFact)
}
