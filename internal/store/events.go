package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func scanNumber(r row) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

// AddEvent implements access.Store.
func (q queries) AddEvent(ctx context.Context, e access.StoredEvent) (access.StoredEvent, error) {
	stored, err := q.AddEvents(ctx, []access.StoredEvent{e})
	if err != nil {
		return e, err
	}
	return stored[0], nil
}

// AddEvents implements access.Store.
func (q queries) AddEvents(
	ctx context.Context, events []access.StoredEvent,
) ([]access.StoredEvent, error) {
	var all []access.StoredEvent
	for some := range slices.Chunk(events, eventsAtOnce) {
		some = slices.Clone(some)
		err := q.run.together(ctx, func(q queries) error { return q.addSome(ctx, some) })
		if err != nil {
			return all, failure(err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// eventsAtOnce is how many events are stored in one transaction.
const eventsAtOnce = 100

// addSome stores events in a transaction, and sets their IDs.
func (q queries) addSome(ctx context.Context, events []access.StoredEvent) error {
	last, err := q.countEvents(ctx, len(events))
	if err != nil {
		return err
	}
	fresh := make([]access.StoredEvent, 0, len(events))
	for i := range events {
		e := &events[i]
		e.ID = last - int64(len(events)-1-i)
		repeated, err := q.repeats(ctx, e)
		if err != nil {
			return err
		}
		if !repeated {
			fresh = append(fresh, *e)
		}
	}
	if err := q.insertEvents(ctx, fresh); err != nil {
		return err
	}
	return q.keepOpen(ctx, fresh)
}

// countEvents reserves n IDs for new events, and returns the last of them. The row of the counter
// stays locked until the commit: otherwise a reader could see event 7 before event 6.
func (q queries) countEvents(ctx context.Context, n int) (last int64, err error) {
	return first(ctx, q, scanNumber, `
		INSERT INTO counters (name, value) VALUES ('event', $1)
		ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value RETURNING value`,
		int64(n))
}

// eventsCompared is how many recent events of a participant are compared.
const eventsCompared = 50

// repeats reports whether an event of an AWS stage is stored already. If so, it clears the user of
// the new event, so that no page receives the event again. There is one exception: the new event
// says why the session ended, and the stored one does not. Then the new event keeps its user and
// its new ID, and replaces the stored event. With the new ID, it also reaches the pages that have
// received the stored event.
func (q queries) repeats(ctx context.Context, e *access.StoredEvent) (bool, error) {
	if e.Stage.Local() {
		return false, nil
	}
	known, err := list(ctx, q, scanEvent, "SELECT "+eventColumns+` FROM events e
		WHERE e.participant = $1 ORDER BY e.id DESC LIMIT $2`, string(e.Participant), int64(eventsCompared))
	if err != nil {
		return false, err
	}
	same, better, found := access.Repeats(known, e.Event)
	if !found {
		return false, nil
	}
	if !better {
		e.ID, e.User = same.ID, ""
		return true, nil
	}
	return true, q.do(ctx, `UPDATE events SET id = $2, code = $3, detail = $4, by_id = $5,
		by_name = $6, by_role = $7, barred = $8 WHERE id = $1`,
		same.ID, e.ID, e.Code, e.Detail, string(e.By.ID), e.By.Name, string(e.By.Role),
		flag(e.Barred))
}

const insertEvent = `INSERT INTO events (id, user_id, at, kind, stage, participant, code, detail,
	by_id, by_name, by_role, barred) VALUES `

var (
	insertOneEvent   = insertEvent + eventRows(1)
	insertManyEvents = insertEvent + eventRows(eventsAtOnce)
)

// eventRows returns the placeholders for n rows of events.
func eventRows(n int) string {
	var args arguments
	var rows []string
	for range n {
		var row []string
		for range 12 {
			row = append(row, args.place(nil))
		}
		rows = append(rows, "("+strings.Join(row, ", ")+")")
	}
	return strings.Join(rows, ", ")
}

func eventArgs(e access.StoredEvent) []any {
	return []any{
		e.ID, string(e.User), ms(e.Time), string(e.Kind), string(e.Stage), string(e.Participant),
		e.Code, e.Detail, string(e.By.ID), e.By.Name, string(e.By.Role), flag(e.Barred),
	}
}

// insertEvents inserts events one by one, or a full chunk with one statement.
func (q queries) insertEvents(ctx context.Context, events []access.StoredEvent) error {
	if len(events) == eventsAtOnce {
		var args []any
		for _, e := range events {
			args = append(args, eventArgs(e)...)
		}
		return q.do(ctx, insertManyEvents, args...)
	}
	for _, e := range events {
		if err := q.do(ctx, insertOneEvent, eventArgs(e)...); err != nil {
			return err
		}
	}
	return nil
}

// keepOpen updates which participants have an open session after these events.
func (q queries) keepOpen(ctx context.Context, events []access.StoredEvent) error {
	last := map[stage.ParticipantID]access.StoredEvent{}
	for _, e := range events {
		if e.Kind != stage.EventRefused {
			last[e.Participant] = e
		}
	}
	var ended []any
	for id, e := range last {
		if e.Kind == stage.EventEnded {
			ended = append(ended, string(id))
			continue
		}
		err := q.do(ctx, `
			INSERT INTO open_participants (participant, event, user_id, stage, at, peer)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (participant) DO UPDATE
			SET event = excluded.event, at = excluded.at, peer = excluded.peer`,
			string(id), e.ID, string(e.User), string(e.Stage), ms(e.Time), q.peerOf(e.Stage))
		if err != nil {
			return err
		}
	}
	return q.close(ctx, ended)
}

var closeMany = "DELETE FROM open_participants WHERE participant IN (" + places(eventsAtOnce) + ")"

// close records that participants (at most one chunk) have no open session any more.
func (q queries) close(ctx context.Context, participants []any) error {
	switch len(participants) {
	case 0:
		return nil
	case 1:
		return q.do(ctx, "DELETE FROM open_participants WHERE participant = $1", participants[0])
	}
	for len(participants) < eventsAtOnce {
		participants = append(participants, "")
	}
	return q.do(ctx, closeMany, participants...)
}

// TrimRefusals implements access.Store.
func (q queries) TrimRefusals(ctx context.Context, id stage.ParticipantID, keep int) error {
	return q.do(ctx, `
		DELETE FROM events WHERE kind = 'refused' AND participant = $1 AND id <=
			(SELECT id FROM events WHERE kind = 'refused' AND participant = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`, string(id), keep)
}

// NameKicker implements access.Store.
func (q queries) NameKicker(
	ctx context.Context, id stage.ParticipantID, by access.User,
) error {
	return q.do(ctx, `UPDATE events SET by_id = $2, by_name = $3, by_role = $4
		WHERE participant = $1 AND kind = $5 AND code = $6 AND by_role = ''`,
		string(id), string(by.ID), by.Name, string(by.Role), string(stage.EventEnded),
		stage.CodeKicked)
}

const eventColumns = `e.id, e.user_id, e.at, e.kind, e.stage, e.participant, e.code, e.detail,
	e.by_id, e.by_name, e.by_role, e.barred`

func scanEvent(r row) (access.StoredEvent, error) {
	var e access.StoredEvent
	var barred int
	err := r.Scan(&e.ID, &e.User, at(&e.Time), &e.Kind, &e.Stage, &e.Participant, &e.Code,
		&e.Detail, &e.By.ID, &e.By.Name, &e.By.Role, &barred)
	e.Barred = barred != 0
	e.UserID = string(e.User)
	return e, err
}

// Events implements access.Store.
func (q queries) Events(
	ctx context.Context, user access.UserID, after int64, since time.Time, limit int,
) ([]access.StoredEvent, error) {
	return list(ctx, q, scanEvent, "SELECT "+eventColumns+` FROM events e
		WHERE e.user_id = $1 AND e.id > $2 AND e.at >= $3 ORDER BY e.id LIMIT $4`,
		string(user), after, since.UnixMilli(), int64(limit))
}

// LastEvent implements access.Store.
func (q queries) LastEvent(ctx context.Context) (int64, error) {
	return first(ctx, q, scanNumber,
		"SELECT COALESCE(MAX(value), 0) FROM counters WHERE name = 'event'")
}

// EndOpen implements access.Store, with one statement for all rows: on SQLite, a statement for each
// costs twice as much.
func (q queries) EndOpen(
	ctx context.Context, end stage.Event, upTo int64, after stage.ParticipantID, limit int,
) (last stage.ParticipantID, err error) {
	err = q.run.together(ctx, func(q queries) error {
		to, err := first(ctx, q, scanText, `SELECT COALESCE(MAX(participant), '') FROM
			(SELECT participant FROM open_participants WHERE participant > $1
			ORDER BY participant LIMIT $2) AS chunk`, string(after), int64(limit))
		if err != nil || to == "" {
			return err
		}
		last = stage.ParticipantID(to)
		return q.endRange(ctx, end, upTo, string(after), to)
	})
	return last, failure(err)
}

// endRange is EndOpen for a range of IDs, in a transaction.
func (q queries) endRange(
	ctx context.Context, end stage.Event, upTo int64, after, to string,
) error {
	local := string(stage.LocalARN("")) + "%"
	before, err := q.countEvents(ctx, 0)
	if err != nil {
		return err
	}
	n, err := q.exec(ctx, `
		INSERT INTO events (id, user_id, at, kind, stage, participant, code, detail,
			by_id, by_name, by_role, barred)
		SELECT $5 + ROW_NUMBER() OVER (ORDER BY participant), user_id, $6, $7, stage, participant,
			$8, $9, '', '', '', 0
		FROM open_participants
		WHERE participant > $1 AND participant <= $2 AND event <= $3 AND stage LIKE $4`,
		after, to, upTo, local, before, ms(end.Time), string(end.Kind), end.Code, end.Detail)
	if err != nil {
		return err
	}
	if _, err := q.countEvents(ctx, n); err != nil {
		return err
	}
	return q.do(ctx, `DELETE FROM open_participants
		WHERE participant > $1 AND participant <= $2 AND event <= $3 AND stage LIKE $4`,
		after, to, upTo, local)
}

// peerOf returns the server that has a participant's session on a stage. For AWS stages it returns
// none.
func (q queries) peerOf(arn stage.ARN) string {
	if !arn.Local() {
		return ""
	}
	return q.run.actor()
}
