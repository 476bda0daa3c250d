// Package migrated provides tests with SQLite files that already have the current schema. Copying
// such a file costs much less than migrating an empty one. Package pg does the same for PostgreSQL.
package migrated

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/stagedoor/stagedoor/internal/store"
)

// template returns the content of a migrated file, created once per test process.
var template = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "migrated")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "stagedoor.db")
	s, err := store.Open(context.Background(), path, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil { // moves the write-ahead log into the file
		return nil, err
	}
	return os.ReadFile(path)
})

// File writes a migrated file to the path, unless a file exists there.
func File(path string) error {
	content, err := template()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return err
	}
	return file.Close()
}
