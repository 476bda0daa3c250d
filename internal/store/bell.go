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
	bellChannel = "stagedoor"
	bellLimit   = 5 * time.Second  // limit of connecting
	bellRetry   = 2 * time.Second  // first pause between attempts; it doubles …
	bellRest    = 30 * time.Second // … up to this
	// deafAfter is how many polls in a row may find notices without a notification. A single poll
	// may be faster than its notification.
	deafAfter = 5
)

// A bell listens for notifications of PostgreSQL on a connection of its own. If they do not arrive,
// for example behind a pooler that shares connections by transaction, polling finds the notices.
type bell struct {
	config *pgx.ConnConfig
	log    *slog.Logger

	mu     sync.Mutex
	silent int // consecutive polls that found notices without a notification
	warned bool
}

func newBell(where, direct string, log *slog.Logger) (*bell, error) {
	if direct == "" {
		direct = where
	}
	config, err := pgx.ParseConfig(direct)
	if err != nil {
		return nil, stage.Errorf(stage.ErrInvalid,
			"The direct URL of the database cannot be read; "+
				"it looks like postgres://user:password@host:5432/name.").WithCause(err)
	}
	return &bell{config: config, log: log}, nil
}

// listen sends to rings after each notification, until ctx ends.
func (b *bell) listen(ctx context.Context, rings chan<- struct{}) {
	for pause := bellRetry; ctx.Err() == nil; pause = min(2*pause, bellRest) {
		heard, err := b.connection(ctx, rings)
		if ctx.Err() != nil {
			return
		}
		b.log.Debug("notifications of the database do not arrive; notices are polled", "err", err)
		if heard {
			pause = bellRetry
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// connection listens on one connection until it fails, and reports whether it worked.
func (b *bell) connection(ctx context.Context, rings chan<- struct{}) (worked bool, err error) {
	connecting, cancel := context.WithTimeout(ctx, bellLimit)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, b.config)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(connecting))
	if _, err := conn.Exec(connecting, "LISTEN "+bellChannel); err != nil {
		return false, err
	}
	for {
		// Notices that arrived before this connection listened are read now.
		select {
		case rings <- struct{}{}:
		default:
		}
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return true, err
		}
	}
}

// useful counts consecutive polls that found notices without a notification. After deafAfter of
// them it warns, once.
func (b *bell) useful(rung, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case rung:
		b.silent = 0
	case found:
		b.silent++
	}
	if b.silent >= deafAfter && !b.warned {
		b.warned = true
		b.log.Warn(
			"notifications of the database do not arrive here, so that events of other replicas " +
				"come a little later; behind a connection pooler, name the database itself with " +
				"--database-direct")
	}
}

func (b *bell) pollEvery() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.silent >= deafAfter {
		return pollDeaf
	}
	return pollNotices
}
