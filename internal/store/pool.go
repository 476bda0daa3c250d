package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// A pool is a set of connections with prepared statements, because SQLite takes longer to parse a
// statement than to run it.
type pool struct {
	db      *sql.DB
	breaker breaker
	plain   bool // behind a pooler, where the next statement may use another connection

	mu       sync.RWMutex
	prepared map[string]*sql.Stmt // by text, which contains no value of a request
}

func newPool(db *sql.DB, connections int) *pool {
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return &pool{db: db, prepared: map[string]*sql.Stmt{}}
}

func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []error
	for _, stmt := range p.prepared {
		all = append(all, stmt.Close())
	}
	return errors.Join(append(all, p.db.Close())...)
}

func (p *pool) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	p.mu.RLock()
	stmt := p.prepared[text]
	p.mu.RUnlock()
	if stmt != nil {
		return stmt, nil
	}
	stmt, err := p.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first := p.prepared[text]; first != nil {
		return first, stmt.Close()
	}
	p.prepared[text] = stmt
	return stmt, nil
}

func (p *pool) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if p.plain {
		return p.db.QueryContext(ctx, text, args...)
	}
	stmt, err := p.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (p *pool) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if p.plain {
		return p.db.ExecContext(ctx, text, args...)
	}
	stmt, err := p.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}
