package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// failure wraps the error of a driver with the kind that access.Store specifies. It does not change
// an error that already has a kind.
func failure(err error) error {
	if err == nil {
		return nil
	}
	_, ours := asError[*stage.Error](err)
	if ours || errors.Is(err, stage.ErrNotFound) || errors.Is(err, stage.ErrConflict) {
		return err
	}
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: %w", stage.ErrNotFound, err)
	}
	for _, known := range []func(error) error{sqliteFailure, postgresFailure, brokenConnection} {
		if e := known(err); e != nil {
			return e
		}
	}
	return fmt.Errorf("database: %w", err)
}

func brokenConnection(err error) error {
	_, network := asError[net.Error](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return unavailable("The database did not answer in time; try again in a moment.", err)
	case network, errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, sql.ErrTxDone), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), pgconn.SafeToRetry(err):
		return unavailable("The database does not answer; try again in a moment.", err)
	}
	return nil
}

func unavailable(detail string, cause error) error {
	return stage.Errorf(stage.ErrUnavailable, "%s", detail).WithRetry(time.Second).WithCause(cause)
}

func asError[E error](err error) (E, bool) {
	var e E
	ok := errors.As(err, &e)
	return e, ok
}
