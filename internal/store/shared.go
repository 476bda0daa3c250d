package store

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// Shared returns the state that the replicas on this database share. On SQLite there is only one
// process, so only the chat is stored. The parameter `direct` is a URL of the same PostgreSQL
// without a pooler, because a pooler does not pass on notifications; it may be empty.
func (s *Store) Shared(direct string, now func() time.Time, log *slog.Logger) (feed.Shared, error) {
	if !s.db.postgres {
		return inProcess{feed.NewMemory(now), s}, nil
	}
	listener, err := newListener(s.where, direct, log)
	if err != nil {
		return nil, err
	}
	return &shared{
		queries: s.queries, relay: &relay{q: s.queries, listener: listener, log: log,
			turn: make(chan struct{}, 1)},
	}, nil
}

// inProcess is a feed.Memory whose chat is in the database.
type inProcess struct {
	memory
	feed.ChatStore
}

type memory interface {
	feed.Relay
	feed.Board
	feed.DockStore
}

// A shared implements feed.Shared on PostgreSQL.
type shared struct {
	queries // implements the chat
	*relay

	mu     sync.Mutex
	posted string // JSON of the last post
}

var _ feed.Shared = (*shared)(nil)

// Post implements feed.Board. It renews the time of an unchanged post without writing its text
// again.
func (s *shared) Post(
	ctx context.Context, replica string, present map[stage.ARN][]stage.Presence,
) error {
	if len(present) == 0 {
		s.remember("")
		return s.do(ctx, "DELETE FROM posts WHERE replica = $1", replica)
	}
	text, err := json.Marshal(present)
	if err != nil {
		return err
	}
	if s.remember(string(text)) {
		n, err := s.exec(ctx, "UPDATE posts SET at = "+s.run.clock()+" WHERE replica = $1", replica)
		if err != nil || n > 0 {
			return err
		}
	}
	err = s.do(ctx, "INSERT INTO posts (replica, at, present) VALUES ($1, "+s.run.clock()+`, $2)
		ON CONFLICT (replica) DO UPDATE SET at = excluded.at, present = excluded.present`,
		replica, string(text))
	if err != nil {
		s.remember("")
	}
	return err
}

// remember keeps the text of a post, and reports whether it equals the previous text.
func (s *shared) remember(text string) (same bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same = s.posted == text
	s.posted = text
	return same
}

// Posts implements feed.Board.
func (s *shared) Posts(
	ctx context.Context, except string,
) (map[stage.ARN][]stage.Presence, error) {
	posts, err := list(ctx, s.queries, scanJSON[map[stage.ARN][]stage.Presence],
		"SELECT present FROM posts WHERE at >= "+s.run.clock()+" - $1 AND replica <> $2",
		(3 * feed.PostEvery).Milliseconds(), except)
	all := map[stage.ARN][]stage.Presence{}
	for _, post := range posts {
		for arn, present := range post {
			all[arn] = append(all[arn], present...)
		}
	}
	return all, err
}

func scanJSON[T any](r row) (value T, err error) {
	var text string
	if err = r.Scan(&text); err != nil {
		return value, err
	}
	err = json.Unmarshal([]byte(text), &value)
	return value, err
}

// PutDock implements feed.DockStore.
func (s *shared) PutDock(
	ctx context.Context, user access.UserID, d feed.Dock, seen time.Time,
) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return s.do(ctx, `INSERT INTO docks (user_id, id, seen_at, dock) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id, id) DO UPDATE SET seen_at = excluded.seen_at, dock = excluded.dock`,
		string(user), d.ID, ms(seen), string(text))
}

// DeleteDock implements feed.DockStore.
func (s *shared) DeleteDock(ctx context.Context, user access.UserID, id string) (bool, error) {
	n, err := s.exec(ctx, "DELETE FROM docks WHERE user_id = $1 AND id = $2", string(user), id)
	return n > 0, err
}

// Docks implements feed.DockStore.
func (s *shared) Docks(
	ctx context.Context, user access.UserID,
) (map[access.UserID][]feed.Dock, error) {
	type owned struct {
		user access.UserID
		dock feed.Dock
	}
	scan := func(r row) (o owned, err error) {
		var text string
		if err = r.Scan(&o.user, &text); err != nil {
			return o, err
		}
		err = json.Unmarshal([]byte(text), &o.dock)
		return o, err
	}
	text, args := "SELECT user_id, dock FROM docks", []any(nil)
	if user != "" {
		text, args = text+" WHERE user_id = $1", []any{string(user)}
	}
	found, err := list(ctx, s.queries, scan, text, args...)
	all := map[access.UserID][]feed.Dock{}
	for _, o := range found {
		all[o.user] = append(all[o.user], o.dock)
	}
	return all, err
}

// ExpireDocks implements feed.DockStore. If several replicas call it, only one of them deletes and
// reports a dock.
func (s *shared) ExpireDocks(ctx context.Context, before time.Time) ([]access.UserID, error) {
	scan := func(r row) (id access.UserID, err error) {
		err = r.Scan(&id)
		return id, err
	}
	users, err := change(ctx, s.queries, scan,
		"DELETE FROM docks WHERE seen_at < $1 RETURNING user_id", before.UnixMilli())
	return unique(users), err
}

func unique[T comparable](list []T) (once []T) {
	seen := map[T]bool{}
	for _, one := range list {
		if !seen[one] {
			seen[one] = true
			once = append(once, one)
		}
	}
	return once
}
