package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"

	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// openSQLite opens a file. Its settings are in the DSN, because Exec would apply them to one pooled
// connection only.
func openSQLite(ctx context.Context, path string) (*database, error) {
	if scheme, _, isURL := strings.Cut(path, "://"); isURL {
		return nil, stage.Errorf(stage.ErrInvalid, "A database is a file of SQLite or a URL "+
			"postgres://user:password@host:5432/name; %q is neither.", scheme)
	}
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	write, err := openFile(ctx, path, 1, "synchronous(FULL)")
	if err != nil {
		return nil, fileFailure(path, err)
	}
	// On this connection, only a checkpoint waits for the disk. A checkpoint runs every 4000 pages,
	// which are 16 MB of log.
	quick, err := openFile(ctx, path, 1, "synchronous(NORMAL)", "wal_autocheckpoint(4000)")
	if err != nil {
		return nil, fileFailure(path, err)
	}
	read, err := openFile(ctx, path, max(4, runtime.GOMAXPROCS(0)), "query_only(1)")
	if err != nil {
		return nil, fileFailure(path, err)
	}
	return &database{read: read, write: write, quick: quick, batches: &batcher{pool: quick}}, nil
}

// makePrivate creates the file before SQLite does, because other users could read a file that
// SQLite creates. SQLite gives its additional files the same mode.
func makePrivate(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return stage.Errorf(stage.ErrUnavailable,
			"The database file %s cannot be opened for writing; "+
				"check its folder and permissions.", path).WithCause(err)
	}
	defer file.Close()
	if err := file.Chmod(0o600); err != nil {
		return stage.Errorf(stage.ErrUnavailable,
			"The database file %s cannot be made private (0600); "+
				"it belongs to another user.", path).WithCause(err)
	}
	return nil
}

func openFile(ctx context.Context, path string, connections int, pragmas ...string) (*pool, error) {
	settings := url.Values{
		"_pragma": append([]string{
			"busy_timeout(5000)", "foreign_keys(1)", "journal_mode(WAL)",
		}, pragmas...),
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", fileURL(path, settings))
	if err != nil {
		return nil, err
	}
	return newPool(db, connections), connect(ctx, db)
}

// connect opens the first connection. While another process opens the file, setting the journal
// mode fails at once. SQLite ignores the busy timeout in this case, since waiting could be a
// deadlock.
func connect(ctx context.Context, db *sql.DB) error {
	var err error
	for try := range migrationTries {
		err = db.PingContext(ctx)
		if sqliteCode(err) != sqlite3.SQLITE_BUSY || pause(ctx, try) != nil {
			break
		}
	}
	return err
}

func fileFailure(path string, err error) error {
	if code := sqliteCode(err); code == sqlite3.SQLITE_NOTADB || code == sqlite3.SQLITE_CORRUPT {
		return stage.Errorf(stage.ErrUnavailable,
			"The database file %s is damaged or is no database; "+
				"restore a backup, or move it away to start afresh.", path).
			WithCode("database_damaged").WithCause(err)
	}
	return stage.Errorf(stage.ErrUnavailable, "The database file %s cannot be opened.", path).
		WithCause(err)
}

// sqliteCode returns the primary result code (https://sqlite.org/rescode.html): the low byte.
func sqliteCode(err error) int {
	if e, ok := asError[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

func sqliteFailure(err error) error {
	switch sqliteCode(err) {
	case sqlite3.SQLITE_CONSTRAINT:
		return fmt.Errorf("%w: %w", stage.ErrConflict, err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return unavailable("The database is busy; try again in a moment.", err)
	case sqlite3.SQLITE_FULL:
		return unavailable("The disk of the database is full; the operator has to make room.", err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return stage.Errorf(stage.ErrUnavailable,
			"The database is damaged; the operator has to restore a backup.").
			WithCode("database_damaged").WithCause(err)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return unavailable("The database cannot be used; the operator finds the reason in the log.",
			err)
	}
	return nil
}
