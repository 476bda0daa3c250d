package pg

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooled starts a PgBouncer that shares the server's connections by transaction. It returns a URL
// for a database that Database created, with the address of PgBouncer. PgBouncer ends with the
// test.
func (s *Server) Pooled(t testing.TB, database string) string {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // not in the PATH of most users
	}
	folder, err := os.MkdirTemp("", "pool")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	who, err := unprivileged(folder)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "pgbouncer.ini")
	config := fmt.Sprintf(bouncerConfig, s.folder, superuser, folder)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", untilPipeEnds, "sh", path, file)
	cmd.SysProcAttr = who
	cmd.Dir = folder
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	done, output := make(chan struct{}), []byte(nil)
	go func() {
		defer close(done)
		output, _ = cmd.CombinedOutput()
	}()
	t.Cleanup(func() {
		stdin.Close()
		<-done
	})
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = url.Values{"host": {folder}, "port": {"6432"}}.Encode()
	for deadline := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		conn, err := pgx.Connect(context.Background(), u.String())
		if err == nil {
			conn.Close(context.Background())
			return u.String()
		}
		select {
		case <-done:
			t.Fatalf("PgBouncer ended (`make test` installs it): %s",
				strings.TrimSpace(string(output)))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("PgBouncer does not start: %v", err)
		}
	}
}

// A small pool makes it likely that two transactions of one client use two connections.
const bouncerConfig = `
[databases]
* = host=%[1]s user=%[2]s
[pgbouncer]
pool_mode = transaction
default_pool_size = 8
max_client_conn = 500
auth_type = any
listen_addr =
listen_port = 6432
unix_socket_dir = %[3]s
`
