package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

var _ feed.ChatStore = (*Store)(nil)

func scanMessage(r row) (m feed.ChatMessage, err error) {
	err = r.Scan(&m.ID, at(&m.Time), &m.UserID, &m.Name, &m.Text)
	return m, err
}

// Room implements feed.ChatStore.
func (q queries) Room(ctx context.Context, arn stage.ARN, limit int) (feed.Room, error) {
	lastPost := func(r row) (t time.Time, err error) {
		err = r.Scan(at(&t))
		return t, err
	}
	person := func(r row) (p feed.Person, err error) {
		err = r.Scan(&p.ID, &p.Name)
		return p, err
	}
	var room feed.Room
	var err error
	room.LastPost, err = first(ctx, q, lastPost,
		"SELECT last_post FROM chat_rooms WHERE stage = $1", string(arn))
	if err != nil && !errors.Is(err, stage.ErrNotFound) {
		return feed.Room{}, err
	}
	room.Muted, err = list(ctx, q, person,
		"SELECT user_id, name FROM chat_mutes WHERE stage = $1 ORDER BY user_id", string(arn))
	if err != nil || room.LastPost.IsZero() {
		return room, err
	}
	room.Messages, err = list(ctx, q, scanMessage, `SELECT id, at, user_id, name, text FROM chat_messages
		WHERE stage = $1 ORDER BY n DESC LIMIT $2`, string(arn), int64(limit))
	slices.Reverse(room.Messages)
	return room, err
}

// AddMessage implements feed.ChatStore. It locks the row of the room until the commit, so that
// messages have one order.
func (q queries) AddMessage(
	ctx context.Context, arn stage.ARN, m feed.ChatMessage, keep int,
) error {
	return failure(q.run.together(ctx, func(q queries) error {
		n, err := first(ctx, q, scanNumber, `
			INSERT INTO chat_rooms (stage, messages, last_post) VALUES ($1, 1, $2)
			ON CONFLICT (stage) DO UPDATE SET messages = chat_rooms.messages + 1,
				last_post = excluded.last_post RETURNING messages`, string(arn), ms(m.Time))
		if err != nil {
			return err
		}
		err = q.do(ctx, `INSERT INTO chat_messages (id, stage, n, at, user_id, name, text)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			m.ID, string(arn), n, ms(m.Time), m.UserID, m.Name, m.Text)
		if err != nil {
			return err
		}
		return q.do(ctx, `DELETE FROM chat_messages WHERE stage = $1 AND n <=
			(SELECT n FROM chat_messages WHERE stage = $1 ORDER BY n DESC LIMIT 1 OFFSET $2)`,
			string(arn), int64(keep))
	}))
}

// DeleteMessage implements feed.ChatStore.
func (q queries) DeleteMessage(ctx context.Context, arn stage.ARN, id string) (bool, error) {
	n, err := q.exec(ctx, "DELETE FROM chat_messages WHERE id = $1 AND stage = $2", id, string(arn))
	return n > 0, err
}

// DeleteMessages implements feed.ChatStore.
func (q queries) DeleteMessages(ctx context.Context, arn stage.ARN, upTo time.Time) error {
	return q.do(ctx, "DELETE FROM chat_messages WHERE stage = $1 AND at <= $2",
		string(arn), upTo.UnixMilli())
}

// Mute implements feed.ChatStore.
func (q queries) Mute(ctx context.Context, arn stage.ARN, who feed.Person, on bool) error {
	if !on {
		return q.do(ctx, "DELETE FROM chat_mutes WHERE stage = $1 AND user_id = $2",
			string(arn), string(who.ID))
	}
	return q.do(ctx, `INSERT INTO chat_mutes (stage, user_id, name) VALUES ($1, $2, $3)
		ON CONFLICT (stage, user_id) DO UPDATE SET name = excluded.name`,
		string(arn), string(who.ID), who.Name)
}

// deleteChat deletes the chat room of a removed stage.
func (q queries) deleteChat(ctx context.Context, arn stage.ARN) error {
	for _, text := range []string{
		"DELETE FROM chat_messages WHERE stage = $1",
		"DELETE FROM chat_mutes WHERE stage = $1",
		"DELETE FROM chat_rooms WHERE stage = $1",
	} {
		if err := q.do(ctx, text, string(arn)); err != nil {
			return err
		}
	}
	return nil
}
