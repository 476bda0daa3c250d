package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// queries are the statements, wherever they run.
type queries struct{ run runner }

// A row is what is scanned from.
type row interface{ Scan(dest ...any) error }

// list reads all rows.
func list[T any](ctx context.Context, q queries, scan func(row) (T, error), text string, args ...any) ([]T, error) {
	rows, err := q.run.query(ctx, text, args...)
	return collect(rows, err, scan)
}

// change runs a statement that writes, and reads the rows that it returns.
func change[T any](ctx context.Context, q queries, scan func(row) (T, error), text string, args ...any) ([]T, error) {
	rows, err := q.run.change(ctx, text, args...)
	return collect(rows, err, scan)
}

func collect[T any](rows *sql.Rows, err error, scan func(row) (T, error)) ([]T, error) {
	if err != nil {
		return nil, failure(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, failure(err)
		}
		all = append(all, one)
	}
	return all, failure(rows.Err())
}

// first reads one row, or says stage.ErrNotFound.
func first[T any](ctx context.Context, q queries, scan func(row) (T, error), text string, args ...any) (T, error) {
	var got T
	rows, err := q.run.query(ctx, text, args...)
	if err != nil {
		return got, failure(err)
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return got, failure(err)
		}
		return got, failure(sql.ErrNoRows)
	}
	got, err = scan(rows)
	return got, failure(err)
}

// exec runs a statement and says how many rows it reached.
func (q queries) exec(ctx context.Context, text string, args ...any) (int, error) {
	return affected(q.run.exec(ctx, text, args...))
}

func affected(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, failure(err)
	}
	n, err := result.RowsAffected()
	return int(n), failure(err)
}

// do runs a statement that may reach any number of rows.
func (q queries) do(ctx context.Context, text string, args ...any) error {
	_, err := q.exec(ctx, text, args...)
	return err
}

// ms is how a time is kept; zero is NULL.
func ms(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// null is how a reference that may be missing is kept.
func null[S ~string](s S) any {
	if s == "" {
		return nil
	}
	return string(s)
}

// A stamp scans what ms wrote.
type stamp struct{ *time.Time }

func at(t *time.Time) stamp { return stamp{t} }

// Scan implements sql.Scanner.
func (s stamp) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*s.Time = time.Time{}
	case int64:
		*s.Time = time.UnixMilli(v).UTC()
	default:
		return fmt.Errorf("a time is kept as a number, not as %T", value)
	}
	return nil
}

// A span scans milliseconds.
type span struct{ *time.Duration }

// Scan implements sql.Scanner.
func (s span) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*s.Duration = 0
	case int64:
		*s.Duration = time.Duration(v) * time.Millisecond
	default:
		return fmt.Errorf("a duration is kept as a number, not as %T", value)
	}
	return nil
}

// A filter is the conditions that were asked for. Leaving out the others lets both engines use their indexes.
type filter struct {
	parts []string
	args  []any
}

// add takes a condition with %s where the parameter stands.
func (f *filter) add(condition string, values ...any) {
	var places []any
	for _, value := range values {
		f.args = append(f.args, value)
		places = append(places, fmt.Sprint("$", len(f.args)))
	}
	f.parts = append(f.parts, fmt.Sprintf(condition, places...))
}

func (f *filter) equal(column, value string) {
	if value != "" {
		f.add(column+" = %s", value)
	}
}

func (f *filter) where() string {
	if len(f.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.parts, " AND ")
}
