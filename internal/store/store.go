// Package store keeps access.Store in SQLite or in PostgreSQL, with one SQL text for both.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
)

// A Store is a database that is open.
type Store struct {
	queries
	db *database
}

var _ access.Store = (*Store)(nil)

// Open opens the database, makes it if it is a file that is not there, and brings its tables up to date.
// where is the path of an SQLite file or a URL postgres://….
func Open(ctx context.Context, where string, log *slog.Logger) (*Store, error) {
	db, err := openDatabase(ctx, where)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx, log); err != nil {
		return nil, errors.Join(err, db.close())
	}
	return &Store{queries: queries{db}, db: db}, nil
}

func openDatabase(ctx context.Context, where string) (*database, error) {
	if isPostgres(where) {
		return openPostgres(ctx, where)
	}
	return openSQLite(ctx, where)
}

func isPostgres(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// Close ends all connections. What was written is on disk.
func (s *Store) Close() error { return s.db.close() }

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := first(ctx, s.queries, scanNumber, "SELECT 1")
	return err
}

// Atomically implements access.Store.
func (s *Store) Atomically(ctx context.Context, do func(tx access.Store) error) error {
	return s.db.alone(ctx, func(tx *sql.Tx) error { return do(&transaction{queries{&inside{tx, s.db.postgres}}}) })
}

// A transaction is the Store inside Atomically.
type transaction struct{ queries }

// Atomically implements access.Store: it is alone already.
func (t *transaction) Atomically(_ context.Context, do func(tx access.Store) error) error {
	return do(t)
}

// A database is where the statements run. SQLite has one writer at a time: two connections write, so that what must be
// durable waits for the disk and what may be lost by a power cut does not, and others read meanwhile (docs/decisions/0030).
// On PostgreSQL all three are the same.
type database struct {
	read, write, quick *pool
	postgres           bool
	batches            *batcher // of quick, on SQLite
}

func (d *database) close() error {
	err := d.read.close()
	if !d.postgres {
		// The writers last: closing the last connection moves the write-ahead log into the file.
		err = cmp.Or(err, d.batches.close(), d.write.close())
	}
	return err
}

// A runner runs statements: the database, or a transaction in it.
type runner interface {
	query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	exec(ctx context.Context, text string, args ...any) (sql.Result, error)
	change(ctx context.Context, text string, args ...any) (*sql.Rows, error) // a write that returns rows
	// together runs several statements as one, which need not be durable. The rows that they write decide races.
	together(ctx context.Context, do func(queries) error) error
	// await runs a statement that waits for a lock. SQLite has one writer at a time, and nothing to
	// wait for.
	await(ctx context.Context, text string, args ...any) error
	// inTurn runs a write that counts before it inserts, and need not be durable, after its like of the same turn.
	inTurn(ctx context.Context, t turn, text string, args ...any) (int, error)
}

func (d *database) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return d.read.query(ctx, text, args...)
}

func (d *database) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	return d.write.exec(ctx, text, args...)
}

func (d *database) change(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return d.write.query(ctx, text, args...)
}

func (d *database) together(ctx context.Context, do func(queries) error) error {
	return inTx(ctx, d.quick.db, nil, func(tx *sql.Tx) error { return do(queries{&inside{tx, d.postgres}}) })
}

func (d *database) await(ctx context.Context, text string, args ...any) error {
	if !d.postgres {
		return nil
	}
	return queries{d}.do(ctx, text, args...)
}

// A turn is a statement that locks a row: on PostgreSQL two writers would both count before either has inserted.
type turn struct {
	lock string
	args []any
}

func (d *database) inTurn(ctx context.Context, t turn, text string, args ...any) (n int, err error) {
	if !d.postgres {
		// One writer at a time anyhow.
		return d.batches.run(ctx, text, args)
	}
	err = d.together(ctx, func(q queries) error {
		if err := q.do(ctx, t.lock, t.args...); err != nil {
			return err
		}
		n, err = q.exec(ctx, text, args...)
		return err
	})
	return n, err
}

// inside runs statements in a transaction.
type inside struct {
	tx       *sql.Tx
	postgres bool
}

func (i *inside) await(ctx context.Context, text string, args ...any) error {
	if !i.postgres {
		return nil
	}
	return queries{i}.do(ctx, text, args...)
}

func (i *inside) inTurn(ctx context.Context, t turn, text string, args ...any) (int, error) {
	return queries{i}.exec(ctx, text, args...)
}

func (i *inside) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return i.tx.QueryContext(ctx, text, args...)
}

func (i *inside) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	return i.tx.ExecContext(ctx, text, args...)
}

func (i *inside) change(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return i.query(ctx, text, args...)
}

func (i *inside) together(_ context.Context, do func(queries) error) error { return do(queries{i}) }

func inTx(ctx context.Context, db *sql.DB, options *sql.TxOptions, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := do(tx); err != nil {
		// What went wrong is told; the rollback of a broken connection adds nothing.
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}
