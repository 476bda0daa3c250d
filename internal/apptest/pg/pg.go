// Package pg gives tests a real PostgreSQL: a private server from the system's binaries, on a
// socket in a temporary folder.
package pg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/store"
)

const (
	superuser  = "stagedoor"
	startLimit = time.Minute
)

// A Server starts with the first Database and runs until Stop. Its zero value is ready.
type Server struct {
	once   sync.Once
	folder string
	err    error
	stdin  io.Closer // the server runs while this pipe is open
	done   chan struct{}
	output []byte // valid after done

	mu        sync.Mutex
	databases int

	template    sync.Once // guards the database migratedName
	templateErr error
}

// Database creates an empty database and returns its URL. The database is dropped after the test.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return databaseOf(t, s.Create)
}

// English is Database with the collation of English, which sorts a before B.
func (s *Server) English(t testing.TB) string {
	t.Helper()
	return databaseOf(t, func(ctx context.Context) (string, func() error, error) {
		if err := s.begin(); err != nil {
			return "", nil, err
		}
		return s.create(ctx, " TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'")
	})
}

// Migrated is Database with the current schema: copying it costs much less than migrating.
func (s *Server) Migrated(t testing.TB) string {
	t.Helper()
	return databaseOf(t, func(ctx context.Context) (string, func() error, error) {
		if err := s.begin(); err != nil {
			return "", nil, err
		}
		s.template.Do(func() { s.templateErr = s.migrate(ctx) })
		if s.templateErr != nil {
			return "", nil, s.templateErr
		}
		return s.create(ctx, " TEMPLATE "+migratedName)
	})
}

// migratedName is the database that Migrated copies.
const migratedName = "migrated"

func (s *Server) migrate(ctx context.Context) error {
	if err := s.run(ctx, "CREATE DATABASE "+migratedName); err != nil {
		return err
	}
	db, err := store.Open(ctx, s.url(migratedName), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return db.Close()
}

func databaseOf(
	t testing.TB, create func(context.Context) (url string, drop func() error, err error),
) string {
	t.Helper()
	quick.LeavesOut(t, "PostgreSQL")
	where, drop, err := create(context.Background())
	if err != nil {
		t.Fatalf("a PostgreSQL database: %v", err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return where
}

// Create creates an empty database outside of a test.
func (s *Server) Create(ctx context.Context) (url string, drop func() error, err error) {
	if err := s.begin(); err != nil {
		return "", nil, err
	}
	return s.create(ctx, "")
}

// begin starts the server at its first call.
func (s *Server) begin() error {
	s.once.Do(func() { s.err = s.start() })
	return s.err
}

func (s *Server) create(
	ctx context.Context, like string,
) (url string, drop func() error, err error) {
	s.mu.Lock()
	s.databases++
	name := fmt.Sprintf("test%d", s.databases)
	s.mu.Unlock()
	if err := s.run(ctx, "CREATE DATABASE "+name+like); err != nil {
		return "", nil, err
	}
	return s.url(name), func() error {
		return s.run(context.WithoutCancel(ctx), "DROP DATABASE "+name+" WITH (FORCE)")
	}, nil
}

// Value reads one value from a database.
func (s *Server) Value(t testing.TB, database, query string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(t.Context()), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	err = conn.QueryRow(context.WithoutCancel(t.Context()), query).Scan(&value)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func (s *Server) run(ctx context.Context, text string) error {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, text)
	return errors.Join(err, conn.Close(ctx))
}

func (s *Server) url(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(superuser), Path: "/" + database,
		RawQuery: url.Values{"host": {s.folder}}.Encode(),
	}
	return u.String()
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() {
	if s.stdin != nil {
		s.stdin.Close()
		<-s.done
	}
	if s.folder != "" {
		os.RemoveAll(s.folder)
	}
}

// Freeze suspends all processes of the server until Thaw, as on a machine that swaps.
func (s *Server) Freeze() error { return s.signal(syscall.SIGSTOP) }

// Crash kills one process of the server. Then PostgreSQL ends all connections and recovers from its
// log, as after a power failure.
func (s *Server) Crash() error {
	main, err := s.main()
	if err != nil {
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", main, main))
	if err != nil {
		return err
	}
	for _, child := range strings.Fields(string(children)) {
		name, err := os.ReadFile("/proc/" + child + "/cmdline")
		if err != nil || !bytes.Contains(name, []byte(superuser)) {
			continue // not a backend process
		}
		id, err := strconv.Atoi(child)
		if err != nil {
			return err
		}
		return syscall.Kill(id, syscall.SIGKILL)
	}
	return errors.New("PostgreSQL has no connection to kill")
}

// Socket returns the path of the server's socket.
func (s *Server) Socket() string { return filepath.Join(s.folder, ".s.PGSQL.5432") }

// Thaw continues the server after Freeze.
func (s *Server) Thaw() error { return s.signal(syscall.SIGCONT) }

// main returns the ID of the main process.
func (s *Server) main() (int, error) {
	content, err := os.ReadFile(filepath.Join(s.folder, "data", "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(content), "\n")
	return strconv.Atoi(first)
}

func (s *Server) signal(sig syscall.Signal) error {
	main, err := s.main()
	if err != nil {
		return err
	}
	// Signal the main process first, so that it starts no other process.
	if err := syscall.Kill(main, sig); err != nil {
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", main, main))
	if err != nil {
		return err
	}
	for _, child := range strings.Fields(string(children)) {
		id, err := strconv.Atoi(child)
		if err != nil {
			return err
		}
		if err := syscall.Kill(id, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

func (s *Server) start() error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	if s.folder, err = os.MkdirTemp("", "pg"); err != nil {
		return err
	}
	who, err := unprivileged(s.folder)
	if err != nil {
		return err
	}
	data := filepath.Join(s.folder, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", superuser, "-A", "trust",
		"-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.SysProcAttr = who
	initdb.Dir = s.folder
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	if err := s.launch(bin, data, who); err != nil {
		return err
	}
	return s.await()
}

// untilPipeEnds makes the server stop when the pipe closes, which happens even if the test binary
// is killed.
const untilPipeEnds = `"$@" & server=$!; cat >/dev/null; kill -INT $server; wait $server`

func (s *Server) launch(bin, data string, who *syscall.SysProcAttr) error {
	cmd := exec.Command("sh", "-c", untilPipeEnds, "sh", filepath.Join(bin, "postgres"), "-D", data,
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+s.folder,
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=500", "-c",
		"shared_buffers=32MB")
	cmd.SysProcAttr = who
	cmd.Dir = s.folder
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	s.stdin, s.done = stdin, make(chan struct{})
	go func() {
		defer close(s.done)
		s.output, _ = cmd.CombinedOutput()
	}()
	return nil
}

func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		err := s.run(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("it ended: %s", s.output)
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// binaries finds the folder of initdb and postgres. Debian keeps them outside of PATH, by version.
func binaries() (string, error) {
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	newest, best := "", -1
	for _, folder := range folders {
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		if err == nil && version > best {
			newest, best = folder, version
		}
	}
	if newest != "" {
		return newest, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("it is not installed; run the tests by `make test`, which installs it")
}

// unprivileged returns the attributes of a process that must not run as root, such as PostgreSQL.
// If root runs the tests, the process runs as another user, who from now on owns the folder.
func unprivileged(folder string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(folder, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid),
		Gid: uint32(gid)}}, nil
}
