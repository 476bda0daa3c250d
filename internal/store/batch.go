package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"runtime"
	"sync"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A batcher commits the writes of callers who come at the same time together: on SQLite the commit costs more than the row.
// There is no goroutine of its own: the first who comes commits for all who have come meanwhile, and hands on to the next.
type batcher struct {
	pool   *pool
	direct direct // of who commits

	mu      sync.Mutex
	busy    bool // somebody commits
	waiting []*write
}

// A write is one caller's statement.
type write struct {
	text string
	args []driver.NamedValue
	// news tells the caller either that it is done, or that it is their turn to commit.
	news chan turnOf
	n    int
	err  error
}

type turnOf int

const (
	done turnOf = iota
	yours
)

const maxBatch = 64

func (b *batcher) close() error { return errors.Join(b.direct.close(b.pool.db), b.pool.close()) }

// run answers when the write is committed: how many rows it reached.
func (b *batcher) run(ctx context.Context, text string, args []any) (int, error) {
	w := &write{text: text, args: named(args), news: make(chan turnOf, 1)}
	if b.join(w) || <-w.news == yours {
		b.lead(ctx)
	}
	return w.n, w.err
}

// join says whether the caller leads.
func (b *batcher) join(w *write) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, w)
	leads := !b.busy
	b.busy = true
	return leads
}

// lead commits a batch with the caller's own write in front, and wakes who is next.
func (b *batcher) lead(ctx context.Context) {
	// Who is ready to run may join before the batch is closed; when nobody is, this costs nothing.
	runtime.Gosched()
	batch := b.take()
	// The caller writes for others, whose requests are not cancelled. It takes microseconds.
	b.commit(context.WithoutCancel(ctx), batch)
	for _, w := range batch[1:] {
		w.news <- done
	}
	b.handOn()
}

func (b *batcher) take() []*write {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), maxBatch)
	batch := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	return batch
}

func (b *batcher) handOn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.busy, b.waiting = false, nil
		return
	}
	b.waiting[0].news <- yours
}

// commit runs the batch, or tells everybody in it what kept it from being written.
func (b *batcher) commit(ctx context.Context, batch []*write) {
	err := b.direct.on(ctx, b.pool.db, func() error {
		if len(batch) == 1 {
			return b.write(ctx, batch[0]) // SQLite commits a single statement by itself
		}
		return b.direct.together(ctx, func() error { return b.writeAll(ctx, batch) })
	})
	if err != nil {
		for _, w := range batch {
			w.n, w.err = 0, failure(err)
		}
	}
}

func (b *batcher) writeAll(ctx context.Context, batch []*write) error {
	for _, w := range batch {
		if err := b.write(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// write runs one statement. A row that cannot be is its writer's matter; everything else is everybody's.
func (b *batcher) write(ctx context.Context, w *write) error {
	w.n, w.err = b.direct.exec(ctx, w.text, w.args...)
	if errors.Is(w.err, stage.ErrConflict) {
		return nil
	}
	return w.err
}
