// Package store implements access.Store on SQLite and on PostgreSQL, with the same SQL for both.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// A Store is an open database.
type Store struct {
	queries
	db    *database
	where string
}

var _ access.Store = (*Store)(nil)

// Open opens the database and migrates it. It creates an SQLite file that does not exist. The
// parameter `where` is the path of an SQLite file or a URL postgres://….
func Open(ctx context.Context, where string, log *slog.Logger) (*Store, error) {
	return open(ctx, where, log, func(string) {})
}

// open is Open with a function that receives the text of every statement.
func open(ctx context.Context, where string, log *slog.Logger, seen func(string)) (*Store, error) {
	db, err := openDatabase(ctx, where, log)
	if err != nil {
		return nil, err
	}
	db.seen = seen
	if err := db.migrate(ctx, log); err != nil {
		return nil, errors.Join(err, db.close())
	}
	return &Store{queries: queries{db}, db: db, where: where}, nil
}

func openDatabase(ctx context.Context, where string, log *slog.Logger) (*database, error) {
	if isPostgres(where) {
		return openPostgres(ctx, where, log)
	}
	return openSQLite(ctx, where)
}

func isPostgres(where string) bool {
	return strings.HasPrefix(where, "postgres://") || strings.HasPrefix(where, "postgresql://")
}

// Close ends all connections.
func (s *Store) Close() error { return s.db.close() }

// Ping returns an error if the database does not answer.
func (s *Store) Ping(ctx context.Context) error {
	_, err := first(ctx, s.queries, scanNumber, "SELECT 1")
	return err
}

// Atomically implements access.Store.
func (s *Store) Atomically(ctx context.Context, do func(tx access.Store) error) error {
	return s.db.alone(ctx, func(q queries) error { return do(&transaction{q}) })
}

// A transaction is the Store inside Atomically.
type transaction struct{ queries }

// Atomically implements access.Store. It calls the given function directly, since the transaction
// already runs.
func (t *transaction) Atomically(_ context.Context, do func(tx access.Store) error) error {
	return do(t)
}

// A database is where the statements run. SQLite has one writer at a time. It has two connections
// for writing. The connection `write` waits for the disk at each commit. The connection `quick`
// does not, and may lose its last commits at a power failure. Reads run meanwhile
// (docs/decisions/0030). On PostgreSQL all three pools are the same.
type database struct {
	read, write, quick *pool
	postgres           bool
	batches            *batcher // batches the writes of `quick`, on SQLite
	seen               func(text string)
	peer               atomic.Pointer[string] // see Store.ActAs
}

func (d *database) actor() string {
	if peer := d.peer.Load(); peer != nil {
		return *peer
	}
	return ""
}

func (i *inside) actor() string { return i.db.actor() }

// bytewise implements runner. PostgreSQL compares texts by the rules of a language, and with the
// collation C by bytes, as SQLite does.
func (d *database) bytewise() string {
	if d.postgres {
		return ` COLLATE "C"`
	}
	return ""
}

func (i *inside) bytewise() string { return i.db.bytewise() }

// limitsParts implements runner.
func (d *database) limitsParts() bool { return d.postgres }

func (i *inside) limitsParts() bool { return i.db.limitsParts() }

func (d *database) close() error {
	err := d.read.close()
	if !d.postgres {
		// The writing connections close last, since closing the last connection moves the
		// write-ahead log into the file.
		err = errors.Join(err, d.quick.close(), d.write.close())
	}
	return err
}

// A runner runs statements: the database, or a transaction in it.
type runner interface {
	// begin limits the time of a call. When the call is over, the caller passes the error of the
	// call to `end`.
	begin(ctx context.Context, write bool) (bounded context.Context,
		end func(error) error, err error)

	query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	exec(ctx context.Context, text string, args ...any) (sql.Result, error)
	// change runs a write that returns rows.
	change(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	// together runs several statements in a transaction that need not be durable. Conditions on the
	// rows decide races.
	together(ctx context.Context, do func(queries) error) error
	// await runs a statement that waits for a lock. On SQLite it need not wait, since there is one
	// writer at a time.
	await(ctx context.Context, text string, args ...any) error
	// clock returns SQL for the time of the database in unix milliseconds.
	clock() string
	// bytewise returns the SQL to append to a column, so that the database compares its texts by
	// their bytes, as Go does.
	bytewise() string
	// limitsParts reports whether each part of a union needs a limit, see walk.part.
	limitsParts() bool
	// inTurn runs a write that counts rows before it inserts. It first waits for other writes of
	// the same turn. The write need not be durable.
	inTurn(ctx context.Context, t turn, text string, args ...any) (int, error)
	// actor returns the server that ActAs has set.
	actor() string
}

func (d *database) begin(
	ctx context.Context, write bool,
) (context.Context, func(error) error, error) {
	if write {
		return d.write.breaker.begin(ctx)
	}
	return d.read.breaker.begin(ctx)
}

func (d *database) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	d.seen(text)
	return d.read.query(ctx, text, args...)
}

func (d *database) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	d.seen(text)
	return d.write.exec(ctx, text, args...)
}

func (d *database) change(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	d.seen(text)
	return d.write.query(ctx, text, args...)
}

func (d *database) together(ctx context.Context, do func(queries) error) error {
	return d.inTx(ctx, d.quick, nil, do)
}

func (d *database) await(ctx context.Context, text string, args ...any) error {
	if !d.postgres {
		return nil
	}
	return queries{d}.do(ctx, text, args...)
}

// A turn is a statement that locks a row. Without it, two writers on PostgreSQL could both count
// rows before either has inserted one.
type turn struct {
	lock string
	args []any
}

func (d *database) inTurn(
	ctx context.Context, t turn, text string, args ...any,
) (n int, err error) {
	if !d.postgres {
		d.seen(text)
		return d.inBatch(ctx, text, args)
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

// inBatch has no time limit of its own, because each batch has one.
func (d *database) inBatch(ctx context.Context, text string, args []any) (int, error) {
	tries, err := d.quick.breaker.enter()
	if err != nil {
		return 0, err
	}
	n, err := d.batches.run(ctx, text, args)
	d.quick.breaker.leave(tries, errors.Is(err, context.DeadlineExceeded), false)
	return n, err
}

// inTx runs the given function in a transaction.
func (d *database) inTx(
	ctx context.Context, on *pool, options *sql.TxOptions, do func(queries) error,
) error {
	ctx, end, err := on.breaker.begin(ctx)
	if err != nil {
		return err
	}
	return end(d.tx(ctx, on, options, do))
}

// tx is inTx for a call that already has a time limit.
func (d *database) tx(
	ctx context.Context, on *pool, options *sql.TxOptions, do func(queries) error,
) error {
	deadline, _ := ctx.Deadline()
	return inTx(ctx, on.db, options, func(tx *sql.Tx) error {
		return do(queries{&inside{tx, deadline, d}})
	})
}

// inside runs statements in a transaction.
type inside struct {
	tx       *sql.Tx
	deadline time.Time // when the transaction must have ended
	db       *database
}

func (i *inside) begin(
	ctx context.Context, _ bool,
) (context.Context, func(error) error, error) {
	bounded, cancel := context.WithDeadline(ctx, i.deadline)
	return bounded, func(err error) error { cancel(); return err }, nil
}

func (i *inside) await(ctx context.Context, text string, args ...any) error {
	if !i.db.postgres {
		return nil
	}
	return queries{i}.do(ctx, text, args...)
}

func (i *inside) inTurn(ctx context.Context, _ turn, text string, args ...any) (int, error) {
	return queries{i}.exec(ctx, text, args...)
}

func (i *inside) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	i.db.seen(text)
	return i.tx.QueryContext(ctx, text, args...)
}

func (i *inside) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	i.db.seen(text)
	return i.tx.ExecContext(ctx, text, args...)
}

func (i *inside) change(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return i.query(ctx, text, args...)
}

func (i *inside) together(_ context.Context, do func(queries) error) error { return do(queries{i}) }

func inTx(
	ctx context.Context, db *sql.DB, options *sql.TxOptions, do func(*sql.Tx) error,
) error {
	tx, err := db.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := do(tx); err != nil {
		// Ignore the error of the rollback: if the connection is broken, it repeats the first
		// error.
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}
