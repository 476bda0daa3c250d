package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// migrationLock is the advisory lock for migrations: "stagedr" in ASCII.
	migrationLock int64 = 0x73746167656472

	serializationFailure = "40001" // https://www.postgresql.org/docs/current/errcodes-appendix.html
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
	foreignKeyViolation  = "23503"
)

func openPostgres(ctx context.Context, where string, log *slog.Logger) (*database, error) {
	config, err := pgx.ParseConfig(where)
	if err != nil {
		// pgx removes the password from its message. This text does not repeat the URL.
		return nil, stage.Errorf(stage.ErrInvalid, "The database URL cannot be read; "+
			"it looks like postgres://user:password@host:5432/name.").WithCause(err)
	}
	pooled, err := isPooled(ctx, config)
	if err != nil {
		return nil, stage.Errorf(stage.ErrUnavailable, "The database at %s:%d %s.",
			config.Host, config.Port, refusal(err)).WithCause(lastTry(err))
	}
	if pooled && !strings.Contains(where, execModeParameter) {
		config.DefaultQueryExecMode = pgx.QueryExecModeExec
		log.InfoContext(ctx,
			"a connection pooler is in front of the database: statements are not prepared")
	}
	p := newPool(stdlib.OpenDB(*config), max(16, 4*runtime.GOMAXPROCS(0)))
	p.plain = config.DefaultQueryExecMode == pgx.QueryExecModeExec ||
		config.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol
	return &database{read: p, write: p, quick: p, postgres: true}, nil
}

// execModeParameter is the parameter of a URL by which an operator decides whether statements are
// prepared: with default_query_exec_mode=cache_statement they are, no matter what isPooled returns.
const execModeParameter = "default_query_exec_mode"

// isPooled connects, and reports whether a pooler such as PgBouncer answers. A pooler gives the
// connection another process ID than PostgreSQL does. Prepared statements do not work behind a
// pooler in transaction mode: they belong to a connection, and every transaction may use another
// one.
func isPooled(ctx context.Context, config *pgx.ConnConfig) (bool, error) {
	once := config.Copy()
	once.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, once)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var process uint32
	err = conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&process)
	return process != conn.PgConn().PID(), err
}

// refusal returns the end of an error message, which says that the database refused the connection
// or could not be reached.
func refusal(err error) string {
	var answer *pgconn.PgError
	var network net.Error
	switch {
	case errors.As(err, &answer):
		return "refuses the user or the password"
	case errors.As(err, &network):
		return "cannot be reached: does it run, and is this its address?"
	}
	return "cannot be used"
}

// lastTry returns the last line of an error of pgx. The error has one line for each attempt. There
// is an attempt for each address, with and without TLS.
func lastTry(err error) error {
	text := err.Error()
	return errors.New(strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:]))
}

// lockMigrations waits until no other replica migrates. It holds the lock until `unlock` is called.
func lockMigrations(ctx context.Context, db *sql.DB) (unlock func() error, err error) {
	// The lock belongs to a transaction. Behind a pooler, a lock of a session would outlive its
	// client, because the pooler keeps the connection open.
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)",
		migrationLock); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for other replicas to migrate: %w", err),
			tx.Rollback())
	}
	return tx.Rollback, nil
}

// alone runs the given function as if no other transaction ran. SQLite has one writer at a time.
// PostgreSQL detects conflicts afterwards, and the transaction must be retried
// (https://www.postgresql.org/docs/current/transaction-iso.html, "Serializable").
func (d *database) alone(ctx context.Context, do func(queries) error) error {
	if !d.postgres {
		return failure(d.inTx(ctx, d.write, nil, do))
	}
	ctx, end, err := d.write.breaker.begin(ctx)
	if err != nil {
		return err
	}
	return failure(end(d.again(ctx, do)))
}

// again retries a transaction until it has no conflict with another one.
func (d *database) again(ctx context.Context, do func(queries) error) error {
	const tries = 100
	for try := range tries {
		err := d.tx(ctx, d.write, &sql.TxOptions{Isolation: sql.LevelSerializable}, do)
		if !collided(err) {
			return err
		}
		if pause(ctx, try) != nil {
			break
		}
	}
	return unavailable("Too many changes to the same thing at this moment; try again.", nil)
}

func collided(err error) bool {
	e, ok := asError[*pgconn.PgError](err)
	return ok && (e.Code == serializationFailure || e.Code == deadlockDetected)
}

// pause waits for a random time of up to 50 ms, so that two transactions do not conflict again.
func pause(ctx context.Context, try int) error {
	select {
	case <-time.After(rand.N(time.Millisecond * time.Duration(min(50, 2*try+1)))):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func postgresFailure(err error) error {
	e, ok := asError[*pgconn.PgError](err)
	if !ok {
		if _, connecting := asError[*pgconn.ConnectError](err); connecting {
			return unavailable("The database does not answer; try again in a moment.", err)
		}
		return nil
	}
	switch {
	case collided(err):
		// The error is not changed, so that collided can recognize it by its type, and the caller
		// can repeat the transaction.
		return err
	case e.Code == uniqueViolation || e.Code == foreignKeyViolation:
		return fmt.Errorf("%w: %w", stage.ErrConflict, err)
	// The cause is the state of the database and not the statement: classes 08 (connection), 53
	// (resources) and 57 (operator intervention), and 25006 (read-only).
	case strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "53"),
		strings.HasPrefix(e.Code, "57"), e.Code == "25006":
		return unavailable("The database does not answer; try again in a moment.", err)
	}
	return nil
}
