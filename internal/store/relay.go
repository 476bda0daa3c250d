package store

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	noticesAtOnce = 500
	sendsAtOnce   = 100 // calls of Send that share a transaction
	pollNotices   = time.Second
	// pollUnnotified is the poll interval of a replica that receives no notifications.
	pollUnnotified = pollNotices / 4
	noticeMemory   = 10 * time.Minute // a replica that was unreachable for longer receives KindGap
	tidyNotices    = time.Minute
	deadPost       = time.Minute
)

// A relay implements feed.Relay on PostgreSQL. Notices are rows with consecutive numbers. The row
// of the counter stays locked until the commit, since otherwise a reader could see notice 7 before
// notice 6. A notification only wakes the readers. They also poll once a second, or more often if
// they receive no notifications (docs/decisions/0171).
type relay struct {
	q        queries
	listener *listener
	log      *slog.Logger
	turn     chan struct{} // held by the call that writes the notices of all callers

	mu      sync.Mutex
	waiting []*sending
}

type sending struct {
	notices []string
	done    chan error // has room for the error, so that the writer does not wait
}

// A sentNotice is the JSON of a notice. The names of its members are short. They must not change,
// since servers of the previous version also read it.
type sentNotice struct {
	Kind  feed.Kind       `json:"k"`
	User  access.UserID   `json:"u,omitempty"`
	Stage stage.ARN       `json:"s,omitempty"`
	Data  json.RawMessage `json:"d,omitempty"`
}

// Send implements feed.Relay. Concurrent calls share a transaction and a notification.
func (r *relay) Send(ctx context.Context, notices ...feed.Notice) error {
	s := &sending{done: make(chan error, 1)}
	for _, n := range notices {
		text, err := json.Marshal(sentNotice(n))
		if err != nil {
			return err
		}
		s.notices = append(s.notices, string(text))
	}
	r.mu.Lock()
	r.waiting = append(r.waiting, s)
	r.mu.Unlock()
	for {
		select {
		case err := <-s.done:
			return err
		case <-ctx.Done():
			return unavailable("The database did not answer in time; try again in a moment.",
				ctx.Err())
		case r.turn <- struct{}{}:
			r.writeAll(context.WithoutCancel(ctx))
			<-r.turn
		}
	}
}

// writeAll writes the queued notices, for all callers that wait.
func (r *relay) writeAll(ctx context.Context) {
	r.mu.Lock()
	n := min(len(r.waiting), sendsAtOnce)
	batch := r.waiting[:n:n]
	r.waiting = r.waiting[n:]
	r.mu.Unlock()
	var texts []string
	for _, s := range batch {
		texts = append(texts, s.notices...)
	}
	var err error
	if len(texts) > 0 {
		err = r.write(ctx, texts)
	}
	for _, s := range batch {
		s.done <- err
	}
}

func (r *relay) write(ctx context.Context, texts []string) error {
	return r.q.do(ctx, `
		WITH last AS (
			INSERT INTO counters (name, value) VALUES ('notice', $2)
			ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value RETURNING value
		), written AS (
			INSERT INTO notices (id, at, notice)
			SELECT last.value - $2 + sent.n, `+r.q.run.clock()+`, sent.notice
			FROM last, unnest(CAST($1 AS TEXT[])) WITH ORDINALITY AS sent (notice, n)
		)
		SELECT pg_notify('`+notifyChannel+`', CAST(value AS TEXT)) FROM last`, texts, int64(len(texts)))
}

// Receive implements feed.Relay.
func (r *relay) Receive(ctx context.Context, deliver func(feed.Notice)) error {
	notifications := make(chan struct{}, 1)
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { r.listener.listen(ctx, notifications) })

	reader := &noticeReader{relay: r, deliver: deliver}
	tidy := time.NewTicker(tidyNotices)
	defer tidy.Stop()
	poll := time.NewTimer(0)
	defer poll.Stop()
	for {
		notified := false
		select {
		case <-ctx.Done():
			return nil
		case <-tidy.C:
			r.tidy(ctx)
			continue
		case <-notifications:
			notified = true
		case <-poll.C:
		}
		found, err := reader.read(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.DebugContext(ctx, "notices of other replicas cannot be read", "err", err)
		}
		r.listener.polled(notified, found)
		poll.Reset(r.listener.pollEvery())
	}
}

// A noticeReader delivers new notices in the order of their numbers. The field `last` is the number
// of the newest notice that it has read.
type noticeReader struct {
	*relay
	deliver func(feed.Notice)
	began   bool
	missed  bool // whether the first attempt to start failed
	last    int64
}

// read delivers new notices, and reports whether there were any.
func (r *noticeReader) read(ctx context.Context) (found bool, err error) {
	newest, err := first(ctx, r.q, scanNumber, "SELECT value FROM counters WHERE name = 'notice'")
	if err != nil && !errors.Is(err, stage.ErrNotFound) {
		r.missed = r.missed || !r.began
		return false, err
	}
	switch {
	case !r.began:
		r.began, r.last = true, newest
		if r.missed {
			r.gap()
		}
		return false, nil
	case newest < r.last: // the database was restored to an older state
		r.last = newest
		r.gap()
		return false, nil
	}
	for found = newest > r.last; r.last < newest; {
		if err := r.readSome(ctx, newest); err != nil {
			return found, err
		}
	}
	return found, nil
}

type numbered struct {
	id     int64
	notice feed.Notice
}

func scanNotice(r row) (n numbered, err error) {
	var text string
	if err = r.Scan(&n.id, &text); err != nil {
		return n, err
	}
	var sent sentNotice
	err = json.Unmarshal([]byte(text), &sent)
	n.notice = feed.Notice(sent)
	return n, err
}

// readSome delivers the next notices, at most noticesAtOnce. A number that is missing was deleted
// before this replica read it.
func (r *noticeReader) readSome(ctx context.Context, newest int64) error {
	next, err := list(ctx, r.q, scanNotice,
		"SELECT id, notice FROM notices WHERE id > $1 ORDER BY id LIMIT $2", r.last,
		int64(noticesAtOnce))
	if err != nil {
		return err
	}
	if len(next) == 0 {
		r.last = newest
		r.gap()
		return nil
	}
	if next[0].id != r.last+1 {
		r.gap()
	}
	for _, n := range next {
		r.last = n.id
		r.deliver(n.notice)
	}
	return nil
}

func (r *noticeReader) gap() { r.deliver(feed.Notice{Kind: feed.KindGap}) }

// tidy deletes old notices, and the posts of dead replicas. The number of the newest notice stays
// in the counter.
func (r *relay) tidy(ctx context.Context) {
	for n := noticesAtOnce; n == noticesAtOnce && ctx.Err() == nil; {
		var err error
		n, err = r.q.exec(ctx, `DELETE FROM notices WHERE id IN (SELECT id FROM notices
			WHERE at < `+r.q.run.clock()+" - $1 ORDER BY at LIMIT 500)", noticeMemory.Milliseconds())
		if err != nil {
			return // tidy retries in the next minute
		}
	}
	_ = r.q.do(ctx, "DELETE FROM posts WHERE at < "+r.q.run.clock()+" - $1",
		deadPost.Milliseconds())
}
