package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/access/accesstest"
	"github.com/stagedoor/stagedoor/internal/apptest/migrated"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
)

var postgres = &pg.Server{}

func TestMain(m *testing.M) {
	code := m.Run()
	if *record != "" {
		if err := statements.keep(*record); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	if code == 0 {
		code = statements.check()
	}
	postgres.Stop()
	os.Exit(code)
}

// TestTheRulesOfAccess runs the tests of package accesstest over both engines.
func TestTheRulesOfAccess(t *testing.T) {
	t.Parallel()
	var engines []accesstest.Engine
	for name, where := range databases {
		engines = append(engines,
			accesstest.Engine{Name: name, New: func(t testing.TB) func(testing.TB) access.Store {
				at := where(t)
				return func(t testing.TB) access.Store { return openAt(t, at) }
			}})
	}
	accesstest.Run(t, engines...)
}

// databases contains a function for each engine. Each function creates a database with the schema
// and without data.
var databases = map[string]func(testing.TB) string{
	"SQLite": func(t testing.TB) string {
		t.Helper()
		path := emptyFile(t)
		ok(t, migrated.File(path))
		return path
	},
	"PostgreSQL": func(t testing.TB) string { return postgres.Migrated(t) },
}

// emptyDatabases contains a function for each engine. Each function creates a database that has no
// schema yet.
var emptyDatabases = map[string]func(testing.TB) string{
	"SQLite": emptyFile, "PostgreSQL": func(t testing.TB) string { return postgres.Database(t) },
}

func emptyFile(t testing.TB) string { return filepath.Join(t.TempDir(), "stagedoor.db") }

// onBoth runs a test on each engine.
func onBoth(t *testing.T, story func(t *testing.T, h *harness)) {
	t.Parallel()
	for name, where := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, newHarness(t, where(t)))
		})
	}
}

// onSorted is onBoth with a PostgreSQL database that compares texts by the rules of a language, as
// most databases do. Such a database sorts "a" before "B".
func onSorted(t *testing.T, story func(t *testing.T, h *harness)) {
	t.Parallel()
	for name, where := range databases {
		if name == "PostgreSQL" {
			where = func(t testing.TB) string { return postgres.English(t) }
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, newHarness(t, where(t)))
		})
	}
}

// A harness is an accesstest.Harness with the path or URL of its database.
type harness struct {
	*accesstest.Harness
	t     testing.TB
	where string
	store *store.Store
}

func newHarness(t testing.TB, where string) *harness {
	t.Helper()
	return harnessOf(t, where, accesstest.NewHarness(t, func(t testing.TB) access.Store {
		return openAt(t, where)
	}))
}

func harnessOf(t testing.TB, where string, h *accesstest.Harness) *harness {
	return &harness{Harness: h, t: t, where: where, store: h.Config.Store.(*store.Store)}
}

// openAt opens a database until the test ends.
func openAt(t testing.TB, where string) *store.Store {
	t.Helper()
	s, err := store.OpenSeen(t.Context(), where, slog.New(slog.DiscardHandler),
		statements.of(where))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// replica returns a harness that stands for another process on the same database.
func (h *harness) replica() *harness {
	h.t.Helper()
	return harnessOf(h.t, h.where, h.Harness.Replica())
}

const goodPassword = accesstest.GoodPassword

const awsARN = stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh")

func password(text string) stage.Secret { return stage.NewSecret(text) }

func must[T any](got T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ok(t, err)
		return got
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}

// refused checks the kind and the code of an error, and that its sentence is not empty.
func refused(t testing.TB, err, kind error, code string) *stage.Error {
	t.Helper()
	var e *stage.Error
	if !errors.As(err, &e) || !errors.Is(err, kind) || e.Code != code || e.Detail == "" {
		t.Fatalf("got %v, want kind %q, code %q and a sentence", err, kind, code)
	}
	return e
}

// race starts n calls of the given function at the same moment, and returns the error of each call.
func race(n int, run func(i int) error) []error {
	errs := make([]error, n)
	var done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		done.Go(func() {
			<-start
			errs[i] = run(i)
		})
	}
	close(start)
	done.Wait()
	return errs
}
