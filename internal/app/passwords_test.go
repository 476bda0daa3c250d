package app_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/store"
)

// TestPasswordsCostWhatOWASPAsks: passwords are hashed with the argon2id parameters that OWASP
// recommends ("Password Storage Cheat Sheet": m=19 MiB, t=2, p=1). Only the test kit uses cheaper
// parameters, by HashPasswordsAt.
func TestPasswordsCostWhatOWASPAsks(t *testing.T) {
	t.Parallel()
	for costs, a := range map[string]*apptest.App{
		"m=19456,t=2,p=1": apptest.StartAsShipped(t), "m=64,t=1,p=1": apptest.Start(t),
	} {
		a.Operator()
		if hash := passwordHash(t, a); !strings.HasPrefix(hash, "$argon2id$v=19$"+costs+"$") {
			t.Errorf("got the hash %s, want one of %s", hash, costs)
		}
	}
}

// passwordHash returns the hash of olga's password in the database of a server.
func passwordHash(t *testing.T, a *apptest.App) string {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(a.Data, "stagedoor.db"),
		slog.New(slog.DiscardHandler))
	must(t, err)
	defer db.Close()
	account, err := db.AccountNamed(t.Context(), "olga")
	must(t, err)
	return account.Password
}
