package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest/bigdata"
	"github.com/stagedoor/stagedoor/internal/homes"
	"github.com/stagedoor/stagedoor/internal/lease"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
	"github.com/stagedoor/stagedoor/internal/webhook"
)

// statements contains the statements that ran in any test of this package, by engine. At the end,
// TestMain asks both engines for the plan of each. No plan may read a whole table, or sort a number
// of rows that can become large.
var statements = &recorder{seen: map[string]map[string]bool{"sqlite": {}, "pgx": {}}}

// wholeTable contains the statements that may read a whole table, with the reason.
var wholeTable = map[string]string{
	"FROM stages s WHERE s.removed_at IS NULL ORDER BY s.created_at, s.arn": "the media plane " +
		"keeps the limits of all stages",
	"SELECT DISTINCT whip_endpoint": "the page of a browser source " +
		"may connect to the endpoints of any stage",
	"SELECT user_id, dock FROM docks": "operators see the open docks " +
		"of everybody",
	"FROM deliveries WHERE webhook = $1 AND dead_at IS NOT NULL": "of few webhooks, either " +
		"index will do",
	"SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM deliveries": "metrics count along an index, up " +
		"to a limit",
}

// few lists the tables and indexes with few rows: for replicas, settings of operators, stages that
// are being removed or wait for AWS, and docks that wait for a sign-in.
var few = []string{
	"rules", "webhooks", "users_operators", "stages_removed", "credentials_device",
	"credentials_devices_open",
	"own_wanted", "own_wanted_due", "own_wanted_user", "own_wanted_pkey", "peers", "peers_pkey",
	"posts", "posts_pkey",
}

// smallSorts contains the statements that may sort, each with the reason why it sorts few rows.
var smallSorts = map[string]string{
	"FROM credentials c WHERE":  "a user has 100 keys of a kind at most",
	"FROM stages s WHERE s.rem": "see wholeTable",
	"SELECT DISTINCT whip_e":    "see wholeTable",
	"FROM grants g JOIN users":  "stages with more than a crowd are not read so",
	"FROM identities WHERE":     "a user has a few",
	"FROM rules":                "operators write a few",
	"FROM webhooks":             "operators set up a few",
}

type recorder struct {
	mu   sync.Mutex
	seen map[string]map[string]bool
}

func driverOf(where string) string {
	if strings.HasPrefix(where, "postgres:") {
		return "pgx"
	}
	return "sqlite"
}

func (r *recorder) of(where string) func(string) {
	driver := driverOf(where)
	return func(text string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen[driver][text] = true
	}
}

// check explains every statement, and returns the exit code of the tests.
func (r *recorder) check() int {
	ctx := context.Background()
	var problems []string
	for driver, texts := range r.seen {
		found, err := explainAll(ctx, driver, slices.Sorted(maps.Keys(texts)))
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", driver, err))
		}
		problems = append(problems, found...)
	}
	for _, problem := range problems {
		fmt.Printf("--- FAIL: a plan\n    %s\n", problem)
	}
	return min(1, len(problems))
}

func explainAll(ctx context.Context, driver string, texts []string) (problems []string, err error) {
	if len(texts) == 0 {
		return nil, nil
	}
	where := filepath.Join(os.TempDir(), fmt.Sprintf("stagedoor-plans-%d.db", os.Getpid()))
	drop := func() error { return os.Remove(where) }
	if driver == "pgx" {
		if where, drop, err = postgres.Create(ctx); err != nil {
			return nil, err
		}
	}
	defer drop()
	s, err := store.Open(ctx, where, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	db, err := sql.Open(driver, where)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := bigdata.Fill(ctx, db, bigdata.FewThousand, time.Now()); err != nil {
		return nil, err
	}
	explain := explainSQLite
	if driver == "pgx" {
		explain = explainPostgres
		if err := preferIndexes(ctx, db); err != nil {
			return nil, err
		}
	}
	for _, text := range texts {
		steps, err := explain(ctx, db, text)
		if err != nil {
			return nil, fmt.Errorf("explain %s: %w", text, err)
		}
		for _, step := range steps {
			if !excused(step, text) {
				problems = append(problems,
					fmt.Sprintf("%s: %s\n    in %s", driver, step.why, text))
			}
		}
	}
	return problems, nil
}

// A step is a part of a plan whose cost grows with the table: a full scan or a sort.
type step struct {
	why  string
	sort bool
}

func excused(s step, text string) bool {
	plain := strings.Join(strings.Fields(text), " ")
	excuses := wholeTable
	if s.sort {
		excuses = smallSorts
	}
	for part := range excuses {
		if strings.Contains(plain, part) {
			return true
		}
	}
	return slices.ContainsFunc(few, func(name string) bool {
		return slices.Contains(strings.Fields(s.why), name)
	})
}

var scan = regexp.MustCompile(`^SCAN (\w+)( USING .*)?$`)

// explainSQLite reads EXPLAIN QUERY PLAN (https://sqlite.org/eqp.html).
func explainSQLite(ctx context.Context, db *sql.DB, text string) ([]step, error) {
	arguments := make([]any, parameters(text))
	for i := range arguments {
		arguments[i] = "x" // SQLite's plan may depend on the values
	}
	rows, err := db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+text, arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var steps []step
	sortsLittle := map[int]bool{} // keyed by the parent node
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return nil, err
		}
		// A subquery that counts has a LIMIT and its own plan.
		bounded := []string{"CONSTANT", "counted"}
		if found := scan.FindStringSubmatch(detail); found != nil {
			if slices.Contains(bounded, found[1]) {
				sortsLittle[parent] = true
			} else {
				steps = append(steps, step{why: detail})
			}
		}
		if strings.HasPrefix(detail, "USE TEMP B-TREE FOR ORDER BY") && !sortsLittle[parent] {
			steps = append(steps, step{why: detail, sort: true})
		}
	}
	return steps, rows.Err()
}

var parameter = regexp.MustCompile(`\$(\d+)`)

func parameters(text string) (most int) {
	for _, found := range parameter.FindAllStringSubmatch(text, -1) {
		n := 0
		fmt.Sscan(found[1], &n)
		most = max(most, n)
	}
	return most
}

// preferIndexes makes the planner avoid full scans and sorts if there is any other plan. Otherwise
// the planner would scan all of the few thousand rows of a test. preferIndexes also makes the
// planner ignore the values of arguments.
func preferIndexes(ctx context.Context, db *sql.DB) error {
	for _, setting := range []string{
		"enable_seqscan = off", "enable_sort = off", "enable_hashjoin = off",
		"enable_mergejoin = off",
		"plan_cache_mode = force_generic_plan",
	} {
		if _, err := db.ExecContext(ctx, "SET "+setting); err != nil {
			return err
		}
	}
	return nil
}

// explainPostgres reads the plan for unknown parameters
// (https://www.postgresql.org/docs/current/sql-prepare.html).
func explainPostgres(ctx context.Context, db *sql.DB, text string) ([]step, error) {
	if _, err := db.ExecContext(ctx, "PREPARE explained AS "+text); err != nil {
		return nil, err
	}
	defer db.ExecContext(ctx, "DEALLOCATE explained")
	arguments := ""
	if n := parameters(text); n > 0 {
		arguments = "(" + strings.TrimSuffix(strings.Repeat("NULL, ", n), ", ") + ")"
	}
	var plan []byte
	err := db.QueryRowContext(ctx, "EXPLAIN (FORMAT JSON) EXECUTE explained"+arguments).Scan(&plan)
	if err != nil {
		return nil, err
	}
	var tops []struct{ Plan node }
	if err := json.Unmarshal(plan, &tops); err != nil {
		return nil, err
	}
	var steps []step
	for _, top := range tops {
		steps = top.Plan.costly(steps)
	}
	return steps, nil
}

// A node is a node of a plan of PostgreSQL.
type node struct {
	Type  string `json:"Node Type"`
	Table string `json:"Relation Name"`
	Index string `json:"Index Name"`
	Cond  string `json:"Index Cond"`
	Plans []node
}

func (n node) costly(steps []step) []step {
	switch {
	case n.Type == "Seq Scan":
		steps = append(steps, step{why: "Seq Scan on " + n.Table})
	case strings.Contains(n.Type, "Index") && n.Cond == "":
		steps = append(steps, step{why: n.Type + " of all of " + n.Index})
	case n.Type == "Sort" && !n.sortsLittle(): // an Incremental Sort sorts few rows at a time
		steps = append(steps, step{why: n.Type, sort: true})
	}
	for _, below := range n.Plans {
		steps = below.costly(steps)
	}
	return steps
}

// sortsLittle reports whether a node sorts only the pages of several lists, one page of each list.
func (n node) sortsLittle() bool {
	isPage := func(list node) bool {
		if list.Type == "Subquery Scan" {
			list = list.Plans[0]
		}
		return list.Type == "Limit"
	}
	lists := n.Plans[0]
	return lists.Type == "Append" && !slices.ContainsFunc(lists.Plans,
		func(list node) bool { return !isPage(list) })
}

// A counter is the part of the store that the metrics read.
type counter interface {
	Outbox(context.Context) (store.Outbox, error)
}

// TestEveryMethodOfTheStore calls every method of the store, so that the statements of a new method
// are explained, too.
func TestEveryMethodOfTheStore(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		h.Scene()
		for _, methods := range []reflect.Type{
			reflect.TypeFor[access.Store](), reflect.TypeFor[homes.Store](),
			reflect.TypeFor[lease.Store](),
			reflect.TypeFor[webhook.Outbox](), reflect.TypeFor[counter](),
		} {
			for i := range methods.NumMethod() {
				if method := methods.Method(i); method.Name != "Atomically" {
					h.call(method)
				}
			}
		}
	})
}

// call calls a method of the store with arguments that are not zero.
func (h *harness) call(method reflect.Method) {
	h.t.Helper()
	arguments := []reflect.Value{reflect.ValueOf(h.t.Context())}
	for i := 1; i < method.Type.NumIn(); i++ {
		argument := reflect.New(method.Type.In(i)).Elem()
		set(argument)
		arguments = append(arguments, argument)
	}
	call := reflect.ValueOf(h.store).MethodByName(method.Name)
	do := call.Call
	if method.Type.IsVariadic() {
		do = call.CallSlice
	}
	results := do(arguments)
	err, _ := results[len(results)-1].Interface().(error)
	expected := []error{nil, stage.ErrNotFound, stage.ErrConflict, stage.ErrTooMany,
		stage.ErrInvalid}
	if !slices.ContainsFunc(expected, func(kind error) bool { return errors.Is(err, kind) }) {
		h.t.Errorf("%s: %v", method.Name, err)
	}
}

// set sets a value and all its fields to values that are not zero.
func set(v reflect.Value) {
	switch at, isTime := v.Interface().(time.Time); {
	case isTime && at.IsZero():
		v.Set(reflect.ValueOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.CanInt():
		v.SetInt(1)
	case v.CanUint():
		v.SetUint(1)
	case v.CanFloat():
		v.SetFloat(1)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		set(v.Index(0))
		set(v.Index(1))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				set(v.Field(i))
			}
		}
	}
}
