package store_test

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// During a rolling update, the previous version runs beside this one, on the tables of this one.
// testdata has the statements that it sends to PostgreSQL (docs/decisions/0178):
//
//   - story-22.jsonl: the statements of one test, with their arguments and the number of rows that
//     each found or changed. Olga sets up, Ana signs in, gets tokens, and broadcasts.
//   - statements-22.sql: the statements that the tests of that version run, one on each line, as
//     -record writes them.
const (
	storyBefore      = "testdata/story-22.jsonl"
	statementsBefore = "testdata/statements-22.sql"
)

var record = flag.String("record", "", "file that receives the statements for PostgreSQL")

// keep writes the statements of all tests.
func (r *recorder) keep(path string) error {
	lines := map[string]bool{}
	for text := range r.seen["pgx"] {
		lines[strings.Join(strings.Fields(text), " ")] = true
	}
	text := strings.Join(slices.Sorted(maps.Keys(lines)), "\n") + "\n"
	return os.WriteFile(path, []byte(text), 0o600)
}

// A recorded is a statement of the previous version.
type recorded struct {
	Step  string
	Text  string
	Args  []any
	Rows  int
	Write bool
}

// TestTheVersionBeforeRunsBesideThisOne: both versions sign people in and issue tokens, in turn.
// Each version finds the data of the other.
func TestTheVersionBeforeRunsBesideThisOne(t *testing.T) {
	t.Parallel()
	h := newHarness(t, postgres.Migrated(t))
	before := versionBefore(t, h.where)

	before.run("set up")
	users := must(h.Users(t.Context(), access.CommandLine()))(t)
	if len(users) != 2 || users[0].Name != "Ana" || users[1].Name != "Olga" {
		t.Fatalf("got %+v, want the users that the version before has added", users)
	}
	olga := principal(users[1].User)
	studio := must(h.Stages.List(t.Context(), olga, access.StageFilter{}, access.Page{}))(
		t).Items[0].ARN
	signIn := func() access.Principal {
		t.Helper()
		login, _, err := h.PasswordLogins.LogIn(t.Context(), "Ana", password(goodPassword),
			access.Client{Address: "192.0.2.1", Agent: "OBS-Browser/31"})
		ok(t, err)
		return login
	}
	mine := h.Issued(signIn(), studio)

	h.Clock.Pass(time.Second)
	before.run("sign in")
	before.run("issue")
	ana := signIn()
	h.Issued(ana, studio)
	list := func() []access.Issuance {
		return must(h.ListTokens(t.Context(), ana, access.TokenFilter{}, access.Page{}))(t).Items
	}
	tokens := list()
	if len(tokens) != 4 {
		t.Fatalf("got %d tokens, want two of each version", len(tokens))
	}
	for _, token := range tokens {
		ok(t, h.MayStay(t.Context(),
			stage.Participant{ID: token.ID, Stage: studio, UserID: string(ana.User.ID)}))
	}

	before.run("broadcast")
	must(h.Events.Record(t.Context(), stage.Event{
		Kind: stage.EventPublishing, Stage: studio, Participant: mine.Participant.ID,
		Time: h.Clock.Now(),
	}))(t)
	events := must(h.ListEvents(t.Context(), olga, access.EventFilter{}, access.Page{}))(t).Items
	if len(events) != 3 || events[0].ID != 3 {
		t.Errorf("got the events %+v, want one story of both", events)
	}

	before.run("tidy")
	revoked := slices.DeleteFunc(list(), func(token access.Issuance) bool {
		return token.State(h.Clock.Now()) != access.TokenRevoked
	})
	if len(revoked) != 1 {
		t.Errorf("got %d tokens revoked, want that of the version before", len(revoked))
	}
}

// A previousVersion replays the recorded statements of the previous version.
type previousVersion struct {
	t     *testing.T
	db    *sql.DB
	story []recorded
}

func versionBefore(t *testing.T, where string) *previousVersion {
	t.Helper()
	db, err := sql.Open("pgx", where)
	ok(t, err)
	t.Cleanup(func() { db.Close() })
	text, err := os.ReadFile(storyBefore)
	ok(t, err)
	p := &previousVersion{t: t, db: db}
	in := json.NewDecoder(bytes.NewReader(text))
	in.UseNumber()
	for in.More() {
		var one recorded
		ok(t, in.Decode(&one))
		for i, arg := range one.Args {
			if number, is := arg.(json.Number); is {
				one.Args[i] = must(number.Int64())(t)
			}
		}
		p.story = append(p.story, one)
	}
	return p
}

// run replays one step of the recorded test. A statement that writes must change as many rows as it
// did on the tables of its own version. A statement that reads may find rows that this version has
// added.
func (p *previousVersion) run(step string) {
	p.t.Helper()
	ran := 0
	for _, one := range p.story {
		if one.Step != step {
			continue
		}
		ran++
		rows, err := p.rows(one)
		if err != nil {
			p.t.Fatalf("%s, as the version before does: %v\n    in %s", step, err, one.Text)
		}
		if rows < one.Rows || one.Write && rows != one.Rows {
			p.t.Errorf("%s: %d rows, the version before had %d\n    in %s", step, rows, one.Rows,
				one.Text)
		}
	}
	if ran == 0 {
		p.t.Fatalf("the story has no step %q", step)
	}
}

func (p *previousVersion) rows(one recorded) (n int, err error) {
	if one.Write && !strings.Contains(one.Text, "RETURNING") {
		result, err := p.db.ExecContext(p.t.Context(), one.Text, one.Args...)
		if err != nil {
			return 0, err
		}
		changed, err := result.RowsAffected()
		return int(changed), err
	}
	rows, err := p.db.QueryContext(p.t.Context(), one.Text, one.Args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		n++
	}
	return n, rows.Err()
}

var inserts = regexp.MustCompile(`INSERT INTO (\w+) \(([^)]+)\)`)

// TestEveryStatementOfTheVersionBefore: the tables and columns of every statement still exist, and
// every insert sets all columns that must not be NULL and have no default.
func TestEveryStatementOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	h := newHarness(t, postgres.Migrated(t))
	db, err := sql.Open("pgx", h.where)
	ok(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	needed := neededColumns(t, db)
	file, err := os.Open(statementsBefore)
	ok(t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	seen := 0
	for ; lines.Scan(); seen++ {
		text := lines.Text()
		if _, err := db.Exec("PREPARE before AS " + text); err != nil {
			t.Errorf("%v\n    in %s", err, text)
			continue
		}
		_, err := db.Exec("DEALLOCATE before")
		ok(t, err)
		for _, insert := range inserts.FindAllStringSubmatch(text, -1) {
			given := strings.Split(strings.ReplaceAll(insert[2], " ", ""), ",")
			for _, column := range needed[insert[1]] {
				if !slices.Contains(given, column) {
					t.Errorf("%s.%s needs a default: the version before does not set it", insert[1],
						column)
				}
			}
		}
	}
	ok(t, lines.Err())
	if seen < 100 {
		t.Errorf("got %d statements, want those of all tests", seen)
	}
}

// neededColumns returns the columns without a default that must not be NULL, by table.
func neededColumns(t *testing.T, db *sql.DB) map[string][]string {
	t.Helper()
	rows, err := db.Query(`SELECT table_name, column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND is_nullable = 'NO' AND column_default IS NULL`)
	ok(t, err)
	defer rows.Close()
	needed := map[string][]string{}
	for rows.Next() {
		var table, column string
		ok(t, rows.Scan(&table, &column))
		needed[table] = append(needed[table], column)
	}
	ok(t, rows.Err())
	if len(needed["users"]) == 0 {
		t.Fatalf("got the columns %v, want those of users, too", needed)
	}
	return needed
}
