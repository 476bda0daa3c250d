package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// window is the most rows that a filter reads for one page. namesWindow is the same for users
	// and stages, whose rows are small and few.
	window      = 5000
	namesWindow = 10_000
	// fewUsers is the limit for a search for a name: if at most this many users match, it reads the
	// tokens of each. Otherwise it reads the newest tokens of all users.
	fewUsers = 20
)

// countOf returns SQL that counts grants, up to MaxCount.
func countOf(condition string) string {
	return fmt.Sprintf("(SELECT COUNT(*) FROM (SELECT 1 FROM grants n WHERE %s LIMIT %d) counted)",
		condition, access.MaxCount)
}

// grantOf contains the columns of a grant. The grant may be absent.
const grantOf = "COALESCE(g.capabilities, 0), g.max_ttl"

// scanGrantOf returns the variables for grantOf.
func scanGrantOf(g *access.Grant) []any { return []any{&g.Capabilities, span{&g.MaxTTL}} }

// ListUsers implements access.Store.
func (q queries) ListUsers(
	ctx context.Context, f access.UserFilter, p access.Page,
) (access.PageOf[access.ListedUser], error) {
	w := walk{
		columns: accountColumns + ", " + countOf("n.user_id = u.id AND n.barred_at IS NULL") + ", " + grantOf,
		keys:    []key{{column: "u.name_key"}},
		window:  namesWindow,
	}
	crowded, err := q.crowded(ctx, f.Stage)
	if err != nil {
		return access.PageOf[access.ListedUser]{}, err
	}
	// The join finds no grant if the filter has no stage.
	w.from = "users u LEFT JOIN grants g ON g.user_id = u.id AND g.stage = " +
		w.args.place(string(f.Stage))
	others := &w.narrow
	switch {
	case f.Stage != "" && !crowded:
		// Sorting the few users with a grant costs less than searching for them among all names.
		w.from, w.args = "grants g JOIN users u ON u.id = g.user_id", nil
		w.index.equal("g.stage", string(f.Stage))
		others = &w.index
	case f.Stage != "":
		w.narrow.add("g.stage IS NOT NULL")
	}
	others.equal("u.role", string(f.Role))
	if f.Query != "" {
		others.add(`u.name_key LIKE %s ESCAPE '\'`, like(f.Query))
	}
	return page(ctx, q, w, p, func(r row) (access.ListedUser, error) {
		var a access.Account
		var u access.ListedUser
		err := r.Scan(append(append(accountFields(&a), &u.Stages), scanGrantOf(&u.Grant)...)...)
		u.User = completed(a).User
		if u.Grant.Capabilities != 0 {
			u.Grant.User, u.Grant.Stage = u.ID, f.Stage
		}
		return u, err
	})
}

// crowd is the number of grants on a stage above which its users are read from the list of all
// users. With so many grants, enough rows of that list match to fill a page quickly.
const crowd = 1000

// crowded reports whether a stage has more grants than the constant `crowd`.
func (q queries) crowded(ctx context.Context, arn stage.ARN) (bool, error) {
	if arn == "" {
		return false, nil
	}
	found, err := list(ctx, q, scanText,
		"SELECT g.stage FROM grants g WHERE g.stage = $1 LIMIT 1 OFFSET $2", string(arn), int64(
			crowd))
	return len(found) > 0, err
}

// ListStages implements access.Store.
func (q queries) ListStages(
	ctx context.Context, f access.StageFilter, p access.Page,
) (access.PageOf[access.ListedStage], error) {
	w := walk{
		columns: stageColumns + ", " + countOf("n.stage = s.arn") + ", " + grantOf +
			", COALESCE(g.by_rule, 0), " + ruleGrantOf,
		keys:   []key{{column: "s.sort_key"}, {column: "s.arn"}},
		window: namesWindow,
	}
	w.from = "stages s LEFT JOIN grants g ON g.stage = s.arn AND g.user_id = " +
		w.args.place(string(f.User)) + ruleGrantJoin + w.args.place(string(f.User))
	w.index.add("s.removed_at IS NULL")
	if f.Query != "" {
		w.narrow.add(`s.sort_key LIKE %s ESCAPE '\'`, like(f.Query))
	}
	if f.User != "" {
		w.narrow.add("(g.stage IS NOT NULL OR w.user_id IS NOT NULL)")
	}
	return page(ctx, q, w, p, func(r row) (access.ListedStage, error) {
		var l access.ListedStage
		var byRule int
		byRules := access.Grant{ByRule: true}
		more := append([]any{&l.Users}, scanGrantOf(&l.Grant)...)
		more = append(append(more, &byRule), scanGrantOf(&byRules)...)
		s, err := scanStage(extended{r, more})
		l.StageRecord = s
		l.Grant.ByRule = byRule != 0
		l.Grant = l.Grant.With(byRules)
		if l.Grant.Capabilities != 0 {
			l.Grant.User, l.Grant.Stage = f.User, s.ARN
		}
		return l, err
	})
}

// ListIssuances implements access.Store.
func (q queries) ListIssuances(
	ctx context.Context, f access.TokenFilter, now time.Time, p access.Page,
) (access.PageOf[access.Issuance], error) {
	if f.Query == "" || f.User != "" {
		return page(ctx, q, issuances(f, now), p, scanIssuance)
	}
	named, err := list(ctx, q, scanText, `
		SELECT u.id FROM users u WHERE u.name_key > '' AND u.name_key LIKE $1 ESCAPE '\'
		ORDER BY u.name_key LIMIT $2`, like(f.Query), int64(fewUsers+1))
	switch {
	case err != nil:
		return access.PageOf[access.Issuance]{}, err
	case len(named) > fewUsers:
		return page(ctx, q, issuances(f, now), p, scanIssuance)
	}
	return q.issuancesOfFew(ctx, named, f, now, p)
}

// issuancesOfFew merges the lists of a few users.
func (q queries) issuancesOfFew(
	ctx context.Context, users []string, f access.TokenFilter, now time.Time, p access.Page,
) (access.PageOf[access.Issuance], error) {
	f.Query = ""
	var walks []walk
	for _, u := range filled(users) {
		f.User = access.UserID(u)
		walks = append(walks, issuances(f, now))
	}
	return merged(ctx, q, walks, issuances(f, now), p, scanIssuance)
}

// walksAtOnce limits the parts of a statement. SQLite accepts up to 500. PostgreSQL needs four
// times as long to plan twice as many parts, and on each connection it plans a statement again for
// each of its first five uses.
const walksAtOnce = 32

// merged returns one page of several walks in the same order, newest first: the walks of a few
// users or stages, each by its index. No row is in two walks. The parameter `like` has the fields
// that all the walks share; it may be one of the walks. Rows of the same time are in the order of
// the bytes of their IDs, here and in the database (see key.bytes).
func merged[T any](
	ctx context.Context, q queries, walks []walk, like walk, p access.Page,
	scan func(row) (T, error),
) (access.PageOf[T], error) {
	after, err := like.parse(p.After)
	if err != nil {
		return access.PageOf[T]{}, err
	}
	for i := range walks {
		walks[i] = walks[i].bytewise(q)
	}
	end, err := endOfAll(ctx, q, walks, after)
	if err != nil {
		return access.PageOf[T]{}, err
	}
	var all []marked[T]
	for _, some := range inStatements(walks) {
		found, err := rowsAtOnce(ctx, q, some, after, end, p.Limit, scan)
		if err != nil {
			return access.PageOf[T]{}, err
		}
		all = append(all, found...)
	}
	slices.SortFunc(all, func(a, b marked[T]) int { return newer(a.at, b.at) })
	return pageOf(all, end, p.Limit), nil
}

// filled fills up a list of users or stages to a power of two, with an ID that none of them has, so
// that lists of many lengths share a prepared statement.
func filled[ID ~string](ids []ID) []ID {
	ids = slices.Clone(ids)
	for n := len(ids); n&(n-1) != 0; n++ {
		ids = append(ids, "-")
	}
	return ids
}

// inStatements groups walks by statement. A statement reads only one table, because SQLite does not
// merge parts whose columns have different types.
func inStatements(walks []walk) (statements [][]walk) {
	for len(walks) > 0 {
		n := slices.IndexFunc(walks, func(w walk) bool { return w.from != walks[0].from })
		if n < 0 {
			n = len(walks)
		}
		statements = slices.AppendSeq(statements, slices.Chunk(walks[:n], walksAtOnce))
		walks = walks[n:]
	}
	return statements
}

// endOfAll returns the position at which a page of all walks must end, because their filters may
// read no further rows. It returns nil if the filters reach the end of every list. The walks share
// one window, so that a page of many walks costs no more than a page of one.
func endOfAll(ctx context.Context, q queries, walks []walk, after mark) (end mark, err error) {
	if !slices.ContainsFunc(walks, func(w walk) bool { return len(w.narrow) > 0 }) {
		return nil, nil
	}
	statements := inStatements(walks)
	for _, some := range statements {
		stopped, err := endOfWindowAtOnce(ctx, q, some, after, window/len(statements))
		if err != nil {
			return nil, err
		}
		if stopped != nil && (end == nil || newer(stopped, end) < 0) {
			end = stopped
		}
	}
	return end, nil
}

// newer compares marks, newest first.
func newer(a, b mark) int {
	for i := range a {
		order := 0
		switch value := a[i].(type) {
		case int64:
			order = cmp.Compare(b[i].(int64), value)
		case string:
			order = cmp.Compare(b[i].(string), value)
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

// issuances returns the walk for a filter. It uses the index of the user, of the stage, of revoked
// tokens or of all tokens.
func issuances(f access.TokenFilter, now time.Time) walk {
	w := walk{
		columns: issuanceColumns, from: "issuances", newest: true, window: window,
		keys: []key{{column: "issued_at", number: true}, {column: "id", bytes: true}},
	}
	revoked := f.State == access.TokenRevoked
	switch {
	case f.User != "":
		w.index.equal("user_id", string(f.User))
		w.narrow.equal("stage", string(f.Stage))
	case f.Stage != "":
		w.index.equal("stage", string(f.Stage))
	case revoked:
		w.index.add("revoked_at IS NOT NULL")
		revoked = false
	}
	switch f.State {
	case access.TokenActive:
		w.index.add("issued_at > %s", now.Add(-stage.MaxTTL-time.Minute).UnixMilli())
		w.narrow.add("revoked_at IS NULL AND expires_at > %s", ms(now))
	case access.TokenExpired:
		w.narrow.add("revoked_at IS NULL AND expires_at <= %s", ms(now))
	case access.TokenRevoked:
		if revoked {
			w.narrow.add("revoked_at IS NOT NULL")
		}
	}
	if f.Query != "" {
		// This subquery reads the name row by row. With a join, PostgreSQL would first read all
		// users.
		w.narrow.add(`(SELECT u.name_key FROM users u WHERE u.id = issuances.user_id) LIKE %s ESCAPE '\'`, like(f.Query))
	}
	return w
}

// ListEvents implements access.Store.
func (q queries) ListEvents(
	ctx context.Context, f access.EventFilter, p access.Page,
) (access.PageOf[access.StoredEvent], error) {
	f.Stages = filled(f.Stages)
	if f.Stage != "" || f.Stages == nil || f.Participant != "" || f.User != "" {
		return page(ctx, q, events(f), p, scanEvent)
	}
	var walks []walk
	for _, arn := range f.Stages {
		f.Stage = arn
		walks = append(walks, events(f))
	}
	return merged(ctx, q, walks, events(f), p, scanEvent)
}

// events returns the walk for a filter. It uses the index of the participant, of the user, of the
// stage or of all events. Refusals have indexes of their own, since they are few among all events.
func events(f access.EventFilter) walk {
	w := walk{
		columns: eventColumns, from: "events e", newest: true, window: window,
		keys: []key{{column: "e.id", number: true}},
	}
	refused := f.Kind == stage.EventRefused && f.Participant == "" && f.User == ""
	switch {
	case f.Participant != "":
		w.index.equal("e.participant", string(f.Participant))
		w.narrow.equal("e.user_id", string(f.User))
		w.narrow.equal("e.stage", string(f.Stage))
	case f.User != "":
		w.index.equal("e.user_id", string(f.User))
		w.narrow.equal("e.stage", string(f.Stage))
	case f.Stage != "":
		w.index.equal("e.stage", string(f.Stage))
	}
	if f.Stage == "" && f.Stages != nil {
		w.narrow.in("e.stage", f.Stages)
	}
	if refused {
		w.index.add("e.kind = 'refused'")
	} else {
		w.narrow.equal("e.kind", string(f.Kind))
	}
	w.of(f.Of, "e.stage")
	if f.Query != "" {
		w.narrow.add(`(e.code = %s OR e.detail LIKE %s ESCAPE '\')`, f.Query, like(f.Query))
	}
	return w
}

// ListBars implements access.Store.
func (q queries) ListBars(
	ctx context.Context, f access.BarFilter, p access.Page,
) (access.PageOf[access.Bar], error) {
	if f.Stages == nil {
		return page(ctx, q, bars("", f.Of), p, scanBar)
	}
	var walks []walk
	for _, arn := range filled(f.Stages) {
		walks = append(walks, bars(arn, ""))
	}
	return merged(ctx, q, walks, bars("", ""), p, scanBar)
}

// bars returns the walk over the bars of a stage, or of all stages to which a user has access.
func bars(arn stage.ARN, of access.UserID) walk {
	w := walk{
		columns: "g.user_id, u.name, g.stage, g.barred_at, g.barred_reason, g.barred_by",
		from:    "grants g JOIN users u ON u.id = g.user_id", newest: true, window: window,
		keys: []key{
			{column: "g.barred_at", number: true}, {column: "g.user_id"}, {column: "g.stage"},
		},
	}
	w.index.add("g.barred_at IS NOT NULL")
	w.index.equal("g.stage", string(arn))
	w.narrow.add("u.role <> 'operator'") // operators have access to every stage
	w.of(of, "g.stage")
	return w
}

func scanBar(r row) (access.Bar, error) {
	var b access.Bar
	err := r.Scan(&b.User, &b.Name, &b.Stage, at(&b.At), &b.Reason, &b.By)
	return b, err
}
