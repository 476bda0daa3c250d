package store

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A batcher commits concurrent writes together, because on SQLite a commit costs more than a row.
// It has no goroutine of its own. One caller commits the writes of all. Callers that arrive
// meanwhile form the next batch, which the first of them commits.
type batcher struct {
	pool *pool

	mu      sync.Mutex
	busy    bool // a caller commits
	waiting []*write
}

// A write is the statement of one caller.
type write struct {
	text string
	args []any
	// news receives the constant "done" after the write was committed, or the constant "yours" if
	// the caller of this write must commit the next batch.
	news chan turnOf
	stmt *sql.Stmt
	n    int
	err  error
}

type turnOf int

const (
	done turnOf = iota
	yours
)

const maxBatch = 64

// run returns after the write is committed, with the number of rows that it changed.
func (b *batcher) run(ctx context.Context, text string, args []any) (int, error) {
	w := &write{text: text, args: args, news: make(chan turnOf, 1)}
	if b.join(w) || <-w.news == yours {
		b.lead(ctx)
	}
	return w.n, w.err
}

// join queues a write, and reports whether its caller must commit.
func (b *batcher) join(w *write) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = append(b.waiting, w)
	leads := !b.busy
	b.busy = true
	return leads
}

// lead commits a batch that begins with the caller's own write, and wakes the next caller.
func (b *batcher) lead(ctx context.Context) {
	// Let callers that are ready to run join the batch before it is closed. If there are none, this
	// costs nothing.
	runtime.Gosched()
	batch := b.take()
	// The batch contains writes of other requests, which must not be cancelled together with this
	// request.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
	defer cancel()
	b.commit(bounded, batch)
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

// commit runs the batch. If it fails, every writer in it gets the error.
func (b *batcher) commit(ctx context.Context, batch []*write) {
	var err error
	if len(batch) == 1 {
		w := batch[0] // SQLite commits a single statement without a transaction
		w.n, w.err = affected(b.pool.exec(ctx, w.text, w.args...))
		return
	}
	if err = b.prepare(ctx, batch); err == nil {
		err = inTx(ctx, b.pool.db, nil, func(tx *sql.Tx) error {
			return b.writeAll(ctx, tx, batch)
		})
	}
	if err != nil {
		for _, w := range batch {
			w.n, w.err = 0, failure(err)
		}
	}
}

// prepare parses the texts before the transaction takes the only connection.
func (b *batcher) prepare(ctx context.Context, batch []*write) error {
	for _, w := range batch {
		var err error
		if w.stmt, err = b.pool.statement(ctx, w.text); err != nil {
			return err
		}
	}
	return nil
}

// writeAll runs the statements of a batch. A conflict concerns only the writer of the statement.
// Any other error concerns all writers.
//
// The transaction already has the lock of the file, so a statement waits for nothing. It runs
// without a time limit, because the driver starts a goroutine for each statement that has a time
// limit.
func (b *batcher) writeAll(ctx context.Context, tx *sql.Tx, batch []*write) error {
	ctx = context.WithoutCancel(ctx)
	for _, w := range batch {
		w.n, w.err = affected(tx.StmtContext(ctx, w.stmt).ExecContext(ctx, w.args...))
		if w.err != nil && !errors.Is(w.err, stage.ErrConflict) {
			return w.err
		}
	}
	return nil
}
