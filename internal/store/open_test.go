package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
)

func open(t *testing.T, where string) (*store.Store, error) {
	t.Helper()
	return store.Open(t.Context(), where, slog.New(slog.DiscardHandler))
}

func TestADatabaseIsThereAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		_, ana, arn := h.Scene()
		token := h.Issued(ana, arn)
		again := h.replica()
		ok(t, again.store.Ping(t.Context()))
		ok(t, again.MayStay(t.Context(), token.Participant))
		_, _, err := again.PasswordLogins.LogIn(t.Context(), "Ana", password(goodPassword),
			access.Client{Address: "192.0.2.1"})
		ok(t, err)
	})
}

func TestReplicasStartTogether(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]func(t *testing.T) string{
		"SQLite": func(t *testing.T) string {
			return filepath.Join(t.TempDir(), "a folder?#%", "stagedoor.db")
		},
		"PostgreSQL": func(t *testing.T) string { return postgres.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := where(t)
			if name == "SQLite" {
				ok(t, os.Mkdir(filepath.Dir(where), 0o700))
			}
			for i, err := range race(6, func(int) error {
				s, err := open(t, where)
				if err != nil {
					return err
				}
				defer s.Close()
				_, err = s.Operators(t.Context())
				return err
			}) {
				if err != nil {
					t.Errorf("replica %d: got %v, want none", i, err)
				}
			}
		})
	}
}

func TestADatabaseOfANewerVersion(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		driver := "sqlite"
		if strings.HasPrefix(h.where, "postgres:") {
			driver = "pgx"
		}
		db, err := sql.Open(driver, h.where)
		ok(t, err)
		_, err = db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, $1)",
			true)
		ok(t, err)
		ok(t, db.Close())
		_, err = open(t, h.where)
		if e := refused(t, err, stage.ErrConflict, "database_newer"); !strings.Contains(e.Detail,
			"9999") {
			t.Errorf("got %q, want the version named", e.Detail)
		}
	})
}

func TestAFileThatIsNoDatabase(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	damaged := filepath.Join(folder, "damaged.db")
	ok(t, os.WriteFile(damaged, []byte(strings.Repeat("not a database ", 1000)), 0o600))
	_, err := open(t, damaged)
	if e := refused(t, err, stage.ErrUnavailable, "database_damaged"); !strings.Contains(e.Detail,
		damaged) {
		t.Errorf("got %q, want the file named", e.Detail)
	}
	_, err = open(t, filepath.Join(folder, "missing", "stagedoor.db"))
	refused(t, err, stage.ErrUnavailable, "")
	_, err = open(t, folder)
	refused(t, err, stage.ErrUnavailable, "")
	_, err = open(t, "mysql://ana:topsecret@127.0.0.1/stagedoor")
	if e := refused(t, err, stage.ErrInvalid, ""); !strings.Contains(e.Detail, "postgres://") ||
		strings.Contains(e.Detail, "topsecret") {
		t.Errorf("got %q, want what is possible, and no password", e.Detail)
	}
}

func TestADamagedDatabase(t *testing.T) {
	t.Parallel()
	h := newHarness(t, databases["SQLite"](t))
	h.Operator()
	ok(t, h.store.Close())
	content, err := os.ReadFile(h.where)
	ok(t, err)
	for i := 4096; i < len(content); i++ {
		content[i] = 0xA5
	}
	ok(t, os.WriteFile(h.where, content, 0o600))
	s, err := open(t, h.where)
	if err == nil {
		_, err = s.Operators(t.Context())
		ok(t, s.Close())
	}
	refused(t, err, stage.ErrUnavailable, "database_damaged")
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	where := filepath.Join(t.TempDir(), "stagedoor.db")
	ok(t, os.WriteFile(where, nil, 0o644))
	h := newHarness(t, where)
	h.Operator()
	files, err := filepath.Glob(where + "*")
	ok(t, err)
	if len(files) < 3 {
		t.Errorf("got files %q, want the database and its log", files)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		ok(t, err)
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s: got mode %o, want 600", filepath.Base(file), mode)
		}
	}
}

func TestPostgreSQLThatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, where := range []string{
		"postgres://ana:topsecret@127.0.0.1:1/stagedoor?connect_timeout=2",
		"postgres://ana:topsecret@127.0.0.1:notaport/stagedoor",
	} {
		_, err := open(t, where)
		if err == nil || strings.Contains(err.Error(), "topsecret") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("Open: got %v, want an error of one line without the password", err)
		}
	}
}

func TestADatabaseThatGoesAway(t *testing.T) {
	t.Parallel()
	h := newHarness(t, postgres.Migrated(t))
	_, ana, arn := h.Scene()
	db, err := sql.Open("pgx", h.where)
	ok(t, err)
	defer db.Close()
	_, err = db.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = " +
		"current_database() AND pid <> pg_backend_pid()")
	ok(t, err)
	// Only calls on connections that were already open fail. Later calls succeed.
	var last error
	for range 20 {
		if _, last = h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn}); last == nil {
			return
		}
		refused(t, last, stage.ErrUnavailable, "")
	}
	t.Errorf("after the connections were cut: still %v", last)
}

// TestManyWriters: two stores on one database write at the same time. Some of the writes wait for
// the disk, and others do not. The writers wait for each other, and no caller gets the error "The
// database is busy".
func TestManyWriters(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		op, ana, arn := h.Scene()
		h.Configure(func(c *access.Config) { c.TokenLimit = -1 })
		other := h.replica()
		other.Configure(func(c *access.Config) { c.TokenLimit = -1 })
		token := h.Issued(ana, arn)
		errs := race(16, func(i int) error {
			on := []*harness{h, other}[i%2]
			for n := range 12 {
				var err error
				switch i % 8 {
				case 0, 1:
					_, _, _, err = on.AddUser(t.Context(), op, fmt.Sprint("user ", i, " ", n),
						access.Broadcaster)
				case 2, 3:
					_, err = on.Events.Record(t.Context(),
						stage.Event{Kind: stage.EventWarning, Participant: token.Participant.ID})
				default:
					_, err = on.Issue(t.Context(), ana, access.IssueRequest{Stage: arn})
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(errs...); err != nil {
			t.Errorf("16 writers: got %v, want all to succeed", err)
		}
		if got := len(must(h.Tokens(t.Context(), ana, false))(t)); got != 8*12+1 {
			t.Errorf("records: got %d, want %d", got, 8*12+1)
		}
	})
}

func TestNoSecretIsStored(t *testing.T) {
	t.Parallel()
	h := newHarness(t, databases["SQLite"](t))
	_, ana, arn := h.Scene()
	token := h.Issued(ana, arn)
	_, key, err := h.AccessKeys.Create(t.Context(), ana, "kiosk")
	ok(t, err)
	for _, file := range []string{h.where, h.where + "-wal"} {
		content, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, secret := range []string{token.Secret.Reveal(), key.Reveal(), goodPassword} {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s holds %q", file, secret)
			}
		}
	}
}
