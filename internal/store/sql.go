package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// queries has a method for each operation of the store. The methods run their statements on a
// database or in a transaction.
type queries struct{ run runner }

// A row is a result row that can be scanned.
type row interface{ Scan(dest ...any) error }

// list returns all rows of a statement.
func list[T any](
	ctx context.Context, q queries, scan func(row) (T, error), text string, args ...any,
) ([]T, error) {
	return collect(ctx, q, false, scan, text, args)
}

// change runs a write, and reads the rows that it returns.
func change[T any](
	ctx context.Context, q queries, scan func(row) (T, error), text string, args ...any,
) ([]T, error) {
	return collect(ctx, q, true, scan, text, args)
}

func collect[T any](
	ctx context.Context, q queries, write bool, scan func(row) (T, error), text string, args []any,
) ([]T, error) {
	ctx, end, err := q.run.begin(ctx, write)
	if err != nil {
		return nil, err
	}
	run := q.run.query
	if write {
		run = q.run.change
	}
	rows, err := run(ctx, text, args...)
	if err != nil {
		return nil, failure(end(err))
	}
	all, err := scanAll(rows, scan)
	return all, failure(end(errors.Join(err, rows.Close())))
}

func scanAll[T any](rows *sql.Rows, scan func(row) (T, error)) ([]T, error) {
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// first reads one row, or returns stage.ErrNotFound. Its statement must find few rows.
func first[T any](
	ctx context.Context, q queries, scan func(row) (T, error), text string, args ...any,
) (T, error) {
	all, err := list(ctx, q, scan, text, args...)
	if len(all) == 0 {
		var none T
		return none, failure(cmp.Or(err, sql.ErrNoRows))
	}
	return all[0], nil
}

// exec runs a statement and returns the number of rows that it changed.
func (q queries) exec(ctx context.Context, text string, args ...any) (int, error) {
	ctx, end, err := q.run.begin(ctx, true)
	if err != nil {
		return 0, err
	}
	result, err := q.run.exec(ctx, text, args...)
	return affected(result, end(err))
}

func affected(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, failure(err)
	}
	n, err := result.RowsAffected()
	return int(n), failure(err)
}

// do runs a statement that may change any number of rows.
func (q queries) do(ctx context.Context, text string, args ...any) error {
	_, err := q.exec(ctx, text, args...)
	return err
}

// ms returns a time in its stored form. The zero time becomes NULL.
func ms(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// null returns an optional reference in its stored form, which is NULL if it is empty.
func null[S ~string](s S) any {
	if s == "" {
		return nil
	}
	return string(s)
}

// flag returns a boolean in its stored form.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// A stamp scans a time that ms returned.
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
		return fmt.Errorf("a time must be a number, not %T", value)
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
		return fmt.Errorf("a duration must be a number, not %T", value)
	}
	return nil
}

// arguments are the parameters of a statement.
type arguments []any

// place adds a parameter and returns its placeholder.
func (a *arguments) place(value any) string {
	*a = append(*a, value)
	return "$" + strconv.Itoa(len(*a))
}

// places returns a list of n placeholders, beginning with $1.
func places(n int) string {
	var all arguments
	var list []string
	for range n {
		list = append(list, all.place(nil))
	}
	return strings.Join(list, ", ")
}

// A filter is a list of conditions of a statement. It contains only the requested conditions, so
// that both engines can use their indexes.
type filter []condition

// A condition has %s in the places of its parameters.
type condition struct {
	text   string
	values []any
}

func (f *filter) add(text string, values ...any) { *f = append(*f, condition{text, values}) }

func (f *filter) equal(column, value string) {
	if value != "" {
		f.add(column+" = %s", value)
	}
}

// in adds the condition that a stage is in a list.
func (f *filter) in(column string, stages []stage.ARN) {
	if len(stages) == 0 {
		f.add("FALSE")
		return
	}
	var values []any
	for _, arn := range stages {
		values = append(values, string(arn))
	}
	places := strings.TrimSuffix(strings.Repeat("%s, ", len(values)), ", ")
	f.add(column+" IN ("+places+")", values...)
}

// where returns the WHERE clause, and adds its parameters. Without a condition, the clause is
// empty.
func (f filter) where(args *arguments) string {
	var parts []string
	for _, c := range f {
		var places []any
		for _, value := range c.values {
			places = append(places, args.place(value))
		}
		parts = append(parts, fmt.Sprintf(c.text, places...))
	}
	if len(parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(parts, " AND ")
}
