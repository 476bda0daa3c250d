package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/stagedoor/stagedoor/internal/store"
)

// makeDataFolder creates the data folder and checks that it can be written.
func makeDataFolder(dir string) error {
	if dir == "" {
		return errors.New("--data names a folder; leave it out for the usual one")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the data folder %s cannot be made: %w; choose another with --data",
			dir, reason(err))
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be written: %w; choose another with --data",
			dir, reason(err))
	}
	probe.Close()
	return os.Remove(probe.Name())
}

// lockDataFolder prevents a second server on the same folder. The operating system releases the
// lock when the process ends, even after a crash.
func lockDataFolder(dir string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("the data folder %s cannot be locked: %w", dir, reason(err))
	}
	if !held {
		return nil, fmt.Errorf(
			"another stagedoor already serves from %s; stop it, or give this one a folder of its "+
				"own with --data", dir)
	}
	return lock, nil
}

// checkDatabase returns an error if the SQLite file does not exist, so that a command with a wrong
// --data does not create a database.
func checkDatabase(s DataSettings) error {
	if s.Database != "" {
		return nil
	}
	if s.Data == "" {
		return makeDataFolder(s.Data)
	}
	_, err := os.Stat(databaseFile(s))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf(
			"there is no database in %s: name the data folder of the server with --data, or its "+
				"PostgreSQL with --database; `stagedoor serve` makes a new one", s.Data)
	case err != nil:
		return fmt.Errorf("the data folder %s cannot be read: %w", s.Data, reason(err))
	}
	return nil
}

func databaseFile(s DataSettings) string { return filepath.Join(s.Data, "stagedoor.db") }

func openStore(ctx context.Context, s DataSettings, log *slog.Logger) (*store.Store, error) {
	if s.Database != "" {
		return store.Open(ctx, s.Database, log)
	}
	return store.Open(ctx, databaseFile(s), log)
}

// reason returns a system error without its path or address, because the caller's sentence already
// contains that path or address.
func reason(err error) error {
	var network *net.OpError
	if errors.As(err, &network) {
		return network.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
