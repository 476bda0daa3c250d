package store

import (
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/homes"
	"github.com/stagedoor/stagedoor/internal/stage"
)

var _ homes.Store = (*Store)(nil)

// ActAs sets the replica for which open sessions of local stages are recorded.
func (s *Store) ActAs(peer string) { s.db.peer.Store(&peer) }

// Join implements homes.Store.
func (q queries) Join(ctx context.Context, p homes.Peer) error {
	return q.do(ctx, "INSERT INTO peers (id, url, beat) VALUES ($1, $2, 0)", p.ID, p.URL)
}

// Beat implements homes.Store.
func (q queries) Beat(ctx context.Context, id string, draining bool) error {
	n, err := q.exec(ctx, `UPDATE peers SET beat = beat + 1, draining = $2
		WHERE id = $1 AND buried = 0`, id, flag(draining))
	if err == nil && n == 0 {
		return stage.Errorf(stage.ErrNotFound, "The other replicas marked this replica as dead.")
	}
	return err
}

// Peers implements homes.Store.
func (q queries) Peers(ctx context.Context) ([]homes.Peer, error) {
	scan := func(r row) (p homes.Peer, err error) {
		var draining, buried int64
		err = r.Scan(&p.ID, &p.URL, &p.Beat, &draining, &buried)
		p.Draining, p.Dead = draining == 1, buried == 1
		return p, err
	}
	return list(ctx, q, scan, "SELECT id, url, beat, draining, buried FROM peers")
}

// MarkDead implements homes.Store.
func (q queries) MarkDead(ctx context.Context, id string, beat int64) (bool, error) {
	n := 0
	err := q.run.together(ctx, func(q queries) (err error) {
		n, err = q.exec(
			ctx, "UPDATE peers SET buried = 1 WHERE id = $1 AND beat = $2 AND buried = 0",
			id, beat)
		if err != nil || n == 0 {
			return err
		}
		return q.do(ctx, "DELETE FROM homes WHERE peer = $1", id)
	})
	return n == 1, failure(err)
}

// Forget implements homes.Store.
func (q queries) Forget(ctx context.Context, id string) error {
	return q.do(ctx, "DELETE FROM peers WHERE id = $1 AND buried = 1", id)
}

// Home implements homes.Store.
func (q queries) Home(ctx context.Context, arn stage.ARN) (id string, err error) {
	return first(ctx, q, scanText, "SELECT peer FROM homes WHERE stage = $1", string(arn))
}

// Claim implements homes.Store.
func (q queries) Claim(
	ctx context.Context, arn stage.ARN, id string,
) (home string, term int64, err error) {
	claimed, err := change(ctx, q, scanNumber, `INSERT INTO homes (stage, peer, term)
		SELECT $1, id, 1 FROM peers WHERE id = $2 AND buried = 0
		ON CONFLICT (stage) DO UPDATE SET term = homes.term + 1 WHERE homes.peer = excluded.peer
		RETURNING term`, string(arn), id)
	switch {
	case errors.Is(err, stage.ErrConflict): // another replica deleted this one at the same moment
		return "", 0, stage.ErrNotFound
	case err != nil:
		return "", 0, err
	case len(claimed) == 1:
		return id, claimed[0], nil
	}
	home, err = q.Home(ctx, arn)
	return home, 0, err
}

// LeaveHome implements homes.Store.
func (q queries) LeaveHome(ctx context.Context, arn stage.ARN, id string, term int64) error {
	return q.do(ctx, "DELETE FROM homes WHERE stage = $1 AND peer = $2 AND term = $3",
		string(arn), id, term)
}

// OpenAt implements access.Store.
func (q queries) OpenAt(
	ctx context.Context, peer string, limit int,
) ([]access.StoredEvent, error) {
	return list(ctx, q, scanOpen, `SELECT participant, event, user_id, stage, at FROM open_participants
		WHERE peer = $1 AND peer <> '' ORDER BY participant LIMIT $2`, peer, int64(limit))
}

// CloseAt implements access.Store.
func (q queries) CloseAt(
	ctx context.Context, id stage.ParticipantID, peer string,
) (bool, error) {
	n, err := q.exec(ctx, "DELETE FROM open_participants WHERE participant = $1 AND peer = $2",
		string(id), peer)
	return n == 1, err
}

func scanOpen(r row) (e access.StoredEvent, err error) {
	var when time.Time
	err = r.Scan(&e.Participant, &e.ID, &e.User, &e.Stage, at(&when))
	e.Time, e.UserID = when, string(e.User)
	return e, err
}
