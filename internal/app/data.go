package app

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
	"github.com/stagedoor/stagedoor/internal/token"
)

// makeDataFolder makes the data folder and finds out at once whether it can be written.
func makeDataFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the data folder %s cannot be made: %w; choose another with --data", dir, reason(err))
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be written: %w; choose another with --data", dir, reason(err))
	}
	probe.Close()
	return os.Remove(probe.Name())
}

// lockDataFolder keeps a second server off the same folder. The system releases the lock when the process ends, however it ends.
func lockDataFolder(dir string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("the data folder %s cannot be locked: %w", dir, reason(err))
	}
	if !held {
		return nil, fmt.Errorf("another stagedoor already serves from %s; stop it, or give this one a folder of its own with --data", dir)
	}
	return lock, nil
}

// localKey loads the key that signs for local stages, and makes it at the first start.
func localKey(dir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, "local-key.pem")
	key, err := token.LoadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return token.CreateKey(path)
	}
	if damaged := (*stage.Error)(nil); errors.As(err, &damaged) && damaged.Code == "key_damaged" {
		return nil, fmt.Errorf("%w; restore it from a backup, or move it away: a new one is made then, and the open tokens of local stages end", err)
	}
	return key, err
}

func openStore(ctx context.Context, s DataSettings, log *slog.Logger) (*store.Store, error) {
	if s.Database != "" {
		return store.Open(ctx, s.Database, log)
	}
	return store.Open(ctx, filepath.Join(s.Data, "stagedoor.db"), log)
}

// reason drops the path from a system error: the sentence around it has named it.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
