package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Snapshot copies the SQLite file at path to a new file. The copy has the state of one moment, even
// if other processes write meanwhile (https://sqlite.org/lang_vacuum.html, "VACUUM INTO").
func Snapshot(ctx context.Context, path, to string) error {
	if _, err := os.Stat(path); err != nil {
		return fileFailure(path, err)
	}
	db, err := sql.Open("sqlite", fileURL(path, url.Values{
		"_pragma": {"busy_timeout(5000)", "query_only(0)"},
	}))
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", to); err != nil {
		return fileFailure(path, err)
	}
	return os.Chmod(to, 0o600)
}

// Verify reads a whole SQLite file. It returns an error if the file is damaged or not a database of
// Stagedoor.
func Verify(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", fileURL(path, url.Values{"mode": {"ro"}}))
	if err != nil {
		return err
	}
	defer db.Close()
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return fileFailure(path, err)
	}
	if found != "ok" {
		return stage.Errorf(stage.ErrUnavailable, "The database file %s is damaged.", path).
			WithCode("database_damaged").WithCause(errors.New(found))
	}
	var version int64
	err = db.QueryRowContext(ctx, "SELECT MAX(version_id) FROM goose_db_version").Scan(&version)
	if err != nil {
		return fileFailure(path, err)
	}
	return nil
}

func fileURL(path string, settings url.Values) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		absolute = path
	}
	dsn := url.URL{Scheme: "file", Path: absolute, RawQuery: settings.Encode()}
	return dsn.String()
}
