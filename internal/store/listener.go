package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	notifyChannel = "stagedoor"
	bellLimit     = 5 * time.Second  // limit of connecting
	listenRetry   = 2 * time.Second  // first pause between attempts, which doubles …
	listenRest    = 30 * time.Second // … up to this
	// missedPolls is how many consecutive polls may find notices without a notification. A single
	// poll may be faster than the notification.
	missedPolls = 5
)

// A listener listens for notifications of PostgreSQL on a connection of its own. If they do not
// arrive, for example behind a pooler that shares connections by transaction, polling finds the
// notices.
type listener struct {
	config *pgx.ConnConfig
	log    *slog.Logger

	mu     sync.Mutex
	silent int // consecutive polls that found notices without a notification
	warned bool
}

func newListener(where, direct string, log *slog.Logger) (*listener, error) {
	if direct == "" {
		direct = where
	}
	config, err := pgx.ParseConfig(direct)
	if err != nil {
		return nil, stage.Errorf(stage.ErrInvalid,
			"The direct URL of the database cannot be read; "+
				"it looks like postgres://user:password@host:5432/name.").WithCause(err)
	}
	return &listener{config: config, log: log}, nil
}

// listen sends to the channel `notifications` after each notification of PostgreSQL, until ctx
// ends.
func (l *listener) listen(ctx context.Context, notifications chan<- struct{}) {
	for pause := listenRetry; ctx.Err() == nil; pause = min(2*pause, listenRest) {
		heard, err := l.connection(ctx, notifications)
		if ctx.Err() != nil {
			return
		}
		l.log.DebugContext(ctx, "notifications of the database do not arrive; notices are polled",
			"err", err)
		if heard {
			pause = listenRetry
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// connection listens on one connection until it fails, and reports whether it worked.
func (l *listener) connection(
	ctx context.Context, notifications chan<- struct{},
) (worked bool, err error) {
	connecting, cancel := context.WithTimeout(ctx, bellLimit)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, l.config)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(connecting))
	if _, err := conn.Exec(connecting, "LISTEN "+notifyChannel); err != nil {
		return false, err
	}
	for {
		// Also send before the first notification, for notices that were written before this
		// connection listened.
		select {
		case notifications <- struct{}{}:
		default:
		}
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return true, err
		}
	}
}

// polled counts consecutive polls that found notices without a notification. After missedPolls of
// them it warns, once.
func (l *listener) polled(notified, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case notified:
		l.silent = 0
	case found:
		l.silent++
	}
	if l.silent >= missedPolls && !l.warned {
		l.warned = true
		l.log.Warn(
			"notifications of the database do not arrive here, so that events of other replicas " +
				"come a little later; behind a connection pooler, name the database itself with " +
				"--database-direct")
	}
}

func (l *listener) pollEvery() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent >= missedPolls {
		return pollUnnotified
	}
	return pollNotices
}
