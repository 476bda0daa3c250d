package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stagedoor/stagedoor/internal/access"
)

// A walk is a list in the order of an index, limited to the rows that a filter selects. The cost of
// a page does not depend on the size of the table: nothing is sorted or counted without a limit,
// and a filter reads at most one window of rows per page.
type walk struct {
	columns string
	from    string // the table and its joins
	args    arguments
	keys    []key  // the columns of the order; no two rows have the same values in all of them
	newest  bool   // descending
	index   filter // conditions that the index serves
	narrow  filter // other conditions
	window  int    // rows that `narrow` may read for one page
}

// A key is a column of the order.
type key struct {
	column string
	number bool
	bytes  bool // compared by its bytes, as Go does: see indexesByBytes
}

// edge returns a value that is above or below all values of the key.
func (k key) edge(high bool) any {
	switch {
	case k.number && high:
		return int64(math.MaxInt64)
	case k.number:
		return int64(math.MinInt64)
	case high:
		return strings.Repeat("\U0010FFFD", 4)
	}
	return ""
}

// variable returns a pointer to a variable into which the key is scanned.
func (k key) variable() any {
	if k.number {
		return new(int64)
	}
	return new(string)
}

// A mark is a position in the order of a walk: the values of its keys.
type mark []any

// start returns the mark before the first row. With this mark, the first page uses the same
// statement as the other pages, and the database can use the index.
func (w walk) start() mark {
	var m mark
	for _, k := range w.keys {
		m = append(m, k.edge(w.newest))
	}
	return m
}

func (w walk) columnsOfOrder(suffix string) string {
	var columns []string
	for _, k := range w.keys {
		columns = append(columns, k.column+suffix)
	}
	return strings.Join(columns, ", ")
}

func (w walk) order() string { return " ORDER BY " + w.columnsOfOrder(w.direction()) }

func (w walk) direction() string {
	if w.newest {
		return " DESC"
	}
	return ""
}

// stretch returns the conditions for the rows after the mark `after`, up to and including the row
// at the mark `end`. If `end` is nil, there is no end.
func (w walk) stretch(after, end mark) filter {
	onward, until := ">", "<="
	if w.newest {
		onward, until = "<", ">="
	}
	f := append(slices.Clone(w.index), w.compare(onward, after))
	if end != nil {
		f = append(f, w.compare(until, end))
	}
	return f
}

// columnsOfUnion returns the columns of the order with names that all parts of a union share.
func (w walk) columnsOfUnion() string {
	var columns []string
	for i, k := range w.keys {
		columns = append(columns, k.column+" AS "+nameInUnion(i))
	}
	return strings.Join(columns, ", ")
}

func nameInUnion(key int) string { return "key" + strconv.Itoa(key) }

// bytewise returns the walk with the collation of its keys.
func (w walk) bytewise(q queries) walk {
	w.keys = slices.Clone(w.keys)
	for i, k := range w.keys {
		if k.bytes {
			w.keys[i].column += q.run.bytewise()
		}
	}
	return w
}

// compare returns the condition that a row is on a certain side of a mark.
func (w walk) compare(sign string, m mark) condition {
	if len(w.keys) == 1 {
		return condition{w.keys[0].column + " " + sign + " %s", m}
	}
	places := strings.TrimSuffix(strings.Repeat("%s, ", len(m)), ", ")
	return condition{"(" + w.columnsOfOrder("") + ") " + sign + " (" + places + ")", m}
}

// A marked is a row with its position in the order.
type marked[T any] struct {
	item T
	at   mark
}

// An extended is a row with additional columns at the end. A scan function can read it like a row
// without them. The additional columns are scanned into the variables of the field `more`.
type extended struct {
	row
	more []any
}

// Scan implements row.
func (e extended) Scan(dest ...any) error { return e.row.Scan(append(dest, e.more...)...) }

func scanMarked[T any](w walk, scan func(row) (T, error)) func(row) (marked[T], error) {
	return func(r row) (marked[T], error) {
		var at mark
		for _, k := range w.keys {
			at = append(at, k.variable())
		}
		item, err := scan(extended{r, at})
		for i, variable := range at {
			switch v := variable.(type) {
			case *int64:
				at[i] = *v
			case *string:
				at[i] = *v
			}
		}
		return marked[T]{item, at}, err
	}
}

// rows reads a page of a walk after a mark, plus the next row, if it exists. If a filter stops
// before the end of the list, the result `end` is the last row that it has read.
func rows[T any](
	ctx context.Context, q queries, w walk, after mark, limit int, scan func(row) (T, error),
) (found []marked[T], end mark, err error) {
	if len(w.narrow) > 0 {
		if end, err = w.endOfWindow(ctx, q, w.stretch(after, nil)); err != nil {
			return nil, nil, err
		}
	}
	f := append(w.stretch(after, end), w.narrow...)
	args := slices.Clone(w.args)
	text := "SELECT " + w.columns + ", " + w.columnsOfOrder("") + " FROM " + w.from +
		f.where(&args) + w.order() + " LIMIT " + args.place(int64(limit)+1)
	found, err = list(ctx, q, scanMarked(w, scan), text, args...)
	return found, end, err
}

// rowsAtOnce reads a page of several walks in one statement, so that a page for a moderator of many
// stages needs only one round trip. It stops at the mark `end`, unless this is nil. The field
// `args` of the walks must be empty, because it is not read.
func rowsAtOnce[T any](
	ctx context.Context, q queries, walks []walk, after, end mark, limit int,
	scan func(row) (T, error),
) ([]marked[T], error) {
	var args arguments
	var parts []string
	for _, w := range walks {
		f := w.stretch(after, end)
		f = append(f, w.narrow...)
		parts = append(parts, w.part(q, &args, w.columns+", "+w.columnsOfUnion(), f, limit+1))
	}
	text := unionOf(walks, parts) + " LIMIT " + args.place(int64(limit)+1)
	return list(ctx, q, scanMarked(walks[0], scan), text, args...)
}

// endOfWindowAtOnce finds the last row that several walks may read together for a page, or nil if
// their lists end earlier. It reads only the indexes, for one window of rows.
func endOfWindowAtOnce(
	ctx context.Context, q queries, walks []walk, after mark, window int,
) (mark, error) {
	var args arguments
	var parts []string
	for _, w := range walks {
		parts = append(parts,
			w.part(q, &args, w.columnsOfUnion(), w.stretch(after, nil), window))
	}
	text := unionOf(walks, parts) + " LIMIT 1 OFFSET " + args.place(int64(window)-1)
	last, err := list(ctx, q, scanMarked(walks[0], scanNothing), text, args...)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	return last[0].at, nil
}

// part returns the part of a walk in unionOf. On PostgreSQL it has an order and a limit, and on
// SQLite neither. In these forms, each engine reads a part by its index, and reads only as many
// rows as the merged page needs.
func (w walk) part(q queries, args *arguments, columns string, f filter, limit int) string {
	text := "SELECT " + columns + " FROM " + w.from + f.where(args)
	if !q.run.limitsParts() {
		return text
	}
	return "SELECT * FROM (" + text + w.order() + " LIMIT " + args.place(int64(limit)) + ") part"
}

// unionOf returns SQL that merges the parts of the walks, one for each walk, in their common order.
func unionOf(walks []walk, parts []string) string {
	var order []string
	for i := range walks[0].keys {
		order = append(order, nameInUnion(i)+walks[0].direction())
	}
	return "SELECT * FROM (" + strings.Join(parts, " UNION ALL ") + ") several ORDER BY " +
		strings.Join(order, ", ")
}

func scanNothing(r row) (struct{}, error) { return struct{}{}, r.Scan() }

// endOfWindow finds the last row that a page may read, or nil if the list ends earlier.
func (w walk) endOfWindow(ctx context.Context, q queries, f filter) (mark, error) {
	args := slices.Clone(w.args)
	text := "SELECT " + w.columnsOfOrder("") + " FROM " + w.from + f.where(&args) + w.order() +
		" LIMIT 1 OFFSET " + args.place(int64(w.window)-1)
	last, err := list(ctx, q, scanMarked(w, scanNothing), text, args...)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	return last[0].at, nil
}

// page reads one page of a walk.
func page[T any](
	ctx context.Context, q queries, w walk, p access.Page, scan func(row) (T, error),
) (access.PageOf[T], error) {
	after, err := w.parse(p.After)
	if err != nil {
		return access.PageOf[T]{}, err
	}
	found, end, err := rows(ctx, q, w.bytewise(q), after, p.Limit, scan)
	return pageOf(found, end, p.Limit), err
}

// pageOf returns the rows that were read as a page, without the additional one.
func pageOf[T any](found []marked[T], end mark, limit int) access.PageOf[T] {
	var got access.PageOf[T]
	if len(found) > limit {
		found = found[:limit]
		end = found[limit-1].at
	}
	for _, m := range found {
		got.Items = append(got.Items, m.item)
	}
	if end != nil {
		got.Next = end.String()
	}
	return got
}

const markSeparator = "\x00" // occurs in no name and in no ID

// String returns the cursor of a mark. It is opaque to clients.
func (m mark) String() string {
	var parts []string
	for _, value := range m {
		parts = append(parts, fmt.Sprint(value))
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, markSeparator)))
}

// parse parses the cursor of a page.
func (w walk) parse(cursor string) (mark, error) {
	if cursor == "" {
		return w.start(), nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(cursor)
	parts := strings.Split(string(decoded), markSeparator)
	if err != nil || len(parts) != len(w.keys) || !utf8.Valid(decoded) {
		return nil, access.BadCursor()
	}
	var m mark
	for i, part := range parts {
		if !w.keys[i].number {
			m = append(m, part)
			continue
		}
		number, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil, access.BadCursor()
		}
		m = append(m, number)
	}
	return m, nil
}

// like returns the pattern with which LIKE finds a text anywhere. Its escape character is the
// backslash.
func like(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}
