package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// A direct is the driver's own connection with prepared statements. database/sql guards every statement for users of any
// kind, and a transaction by a goroutine and two statements that are parsed each time: that cost as much as the row of a
// token. It is for one caller at a time.
type direct struct {
	conn     driver.Conn
	prepared map[string]directStmt // by text; the texts are constants of this package
}

type directStmt interface {
	driver.Stmt
	driver.StmtExecContext
}

// on lends the pool's connection to do, and keeps its statements for the next time.
func (d *direct) on(ctx context.Context, db *sql.DB, do func() error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(raw any) error {
		if raw != d.conn { // a pool may replace a connection; the statements went with it
			*d = direct{conn: raw.(driver.Conn), prepared: map[string]directStmt{}}
		}
		return do()
	})
}

func (d *direct) exec(ctx context.Context, text string, args ...driver.NamedValue) (int, error) {
	stmt, err := d.statement(ctx, text)
	if err != nil {
		return 0, failure(err)
	}
	return affected(stmt.ExecContext(ctx, args))
}

func (d *direct) statement(ctx context.Context, text string) (directStmt, error) {
	if stmt := d.prepared[text]; stmt != nil {
		return stmt, nil
	}
	made, err := d.conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	d.prepared[text] = made.(directStmt)
	return d.prepared[text], nil
}

// together runs do in one transaction, which takes the one place of a writer at once.
func (d *direct) together(ctx context.Context, do func() error) error {
	if _, err := d.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		_, err = d.exec(ctx, "COMMIT")
	}
	if err != nil {
		// What went wrong is told. SQLite may have rolled back by itself (https://sqlite.org/lang_transaction.html, 3.1).
		_, _ = d.exec(ctx, "ROLLBACK")
	}
	return err
}

// close ends the statements: SQLite keeps a connection open as long as it has one.
func (d *direct) close(db *sql.DB) error {
	if d.conn == nil {
		return nil // nothing was written, or it is closed already
	}
	return d.on(context.Background(), db, func() error {
		var all []error
		for _, stmt := range d.prepared {
			all = append(all, stmt.Close())
		}
		*d = direct{}
		return errors.Join(all...)
	})
}

// named are arguments as drivers take them: strings, int64 and nil need no conversion.
func named(args []any) []driver.NamedValue {
	values := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	return values
}
