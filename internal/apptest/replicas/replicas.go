// Package replicas runs several servers on one PostgreSQL behind nginx with plain round robin, for
// tests. Each server is a process of its own, which can be killed. A package that uses it must call
// apptest.Main in its TestMain.
package replicas

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/token"
)

// A Fleet is several servers on one database behind nginx.
type Fleet struct {
	DB       *pg.Server
	Database string // URL of the database
	Key      string // the file of the local key
	URL      string // URL of nginx
	Servers  []*Member
	Flags    []string // of every server

	t    testing.TB
	keys string // the folder of own keys, which all servers have mounted
}

// A Member is a server of a fleet. It keeps its addresses and its folder between runs.
type Member struct {
	Command  func(args ...string) *exec.Cmd // nil for apptest.Program
	Database string                         // as in Fleet, or another URL for the same database
	Listen   string                         // address for nginx
	Peers    string                         // address for the other servers
	Out      *Lines                         // output of the process

	fleet *Fleet
	data  string

	mu      sync.Mutex
	process *os.Process   // guarded by mu: the current process
	done    chan struct{} // guarded by mu: closed when process has ended
}

// start starts nginx and n servers.
func start(t testing.TB, n int, flags ...string) *Fleet {
	t.Helper()
	f := Prepare(t, n, flags...)
	f.StartAll()
	return f
}

// Prepare prepares everything except the servers.
func Prepare(t testing.TB, n int, flags ...string) *Fleet {
	t.Helper()
	f := &Fleet{
		t: t, DB: &pg.Server{}, Key: filepath.Join(t.TempDir(), "local-key.pem"), Flags: flags,
		keys: t.TempDir(),
	}
	t.Cleanup(f.DB.Stop)
	f.Database = f.DB.Database(t)
	t.Cleanup(func() { f.DB.Thaw() })
	if _, err := token.CreateKey(f.Key); err != nil {
		t.Fatal(err)
	}
	front := FreeAddress(t)
	f.URL = "http://" + front
	for range n {
		f.add()
	}
	f.nginx(front)
	return f
}

// StartAll starts the servers one after the other.
func (f *Fleet) StartAll() {
	f.t.Helper()
	for _, m := range f.Servers {
		m.Start()
		m.Ready()
	}
}

func (f *Fleet) add() {
	m := &Member{
		fleet: f, Database: f.Database, data: f.t.TempDir(), Out: &Lines{},
		Listen: FreeAddress(f.t), Peers: FreeAddress(f.t),
	}
	f.Servers = append(f.Servers, m)
	if err := os.Symlink(f.keys, filepath.Join(m.data, "keys")); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		m.Kill(syscall.SIGKILL)
		if f.t.Failed() {
			f.t.Logf("server %s said:\n%s", m.Listen, m.Out)
		}
	})
}

// Start starts the server. Use Ready to wait for it.
func (m *Member) Start(flags ...string) {
	m.fleet.t.Helper()
	if err := m.launch(flags...); err != nil {
		m.fleet.t.Fatal(err)
	}
}

func (m *Member) launch(flags ...string) error {
	args := append([]string{
		"serve", "--data", m.data, "--database", m.Database, "--local-key", m.fleet.Key,
		"--listen", m.Listen, "--public-url", m.fleet.URL, "--trusted-proxies", "127.0.0.0/8",
		"--media", "127.0.0.1:0", "--peer-listen", m.Peers, "--log-level", "warn",
	}, m.fleet.Flags...)
	command := m.Command
	if command == nil {
		command = apptest.Program
	}
	cmd := command(append(args, flags...)...)
	cmd.Stdout, cmd.Stderr = m.Out, m.Out
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.process, m.done = cmd.Process, done
	return nil
}

// Ready waits until the server reports that it serves.
func (m *Member) Ready() {
	m.fleet.t.Helper()
	if err := m.await(); err != nil {
		m.fleet.t.Fatal(err)
	}
}

func (m *Member) await() error {
	m.mu.Lock()
	done := m.done
	m.mu.Unlock()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(
		20 * time.Millisecond) {
		if m.Status("/readyz") == http.StatusOK {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("the server at %s ended: %s", m.Listen, m.Out)
		default:
		}
	}
	return fmt.Errorf("the server at %s is not ready: %s", m.Listen, m.Out)
}

// Status sends a request directly to the server, and not through nginx. It returns 0 if there is no
// answer.
func (m *Member) Status(path string) int {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get("http://" + m.Listen + path)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// Signal sends a signal to the process. The result `done` is closed when the process ends. Not
// every signal ends the process.
func (m *Member) Signal(sig syscall.Signal) (done <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		m.process.Signal(sig)
	}
	return m.done
}

// Kill sends a signal and waits until the process has ended.
func (m *Member) Kill(sig syscall.Signal) {
	if done := m.Signal(sig); done != nil {
		<-done
	}
}

// Home returns the server that serves the media of a local stage, or nil.
func (f *Fleet) Home(arn string) *Member {
	at := f.DB.Value(f.t, f.Database,
		"SELECT p.url FROM homes h JOIN peers p ON p.id = h.peer WHERE h.stage = '"+arn+"'")
	for _, m := range f.Servers {
		if at == "https://"+m.Peers {
			return m
		}
	}
	return nil
}

var setupLine = regexp.MustCompile(`(http\S+/setup#code=\S+)`)

// SetupURL returns the one-time link that the last server printed: each start creates a new one.
func (f *Fleet) SetupURL() string {
	f.t.Helper()
	return f.Servers[len(f.Servers)-1].SetupURL()
}

// SetupURL returns the one-time link that the server printed last. A server may serve a moment
// before it prints its link.
func (m *Member) SetupURL() string {
	m.fleet.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		links := setupLine.FindAllString(m.Out.String(), -1)
		if len(links) > 0 {
			return links[len(links)-1]
		}
		if time.Now().After(deadline) {
			m.fleet.t.Fatalf("the server at %s printed no link: %s", m.Listen, m.Out)
		}
	}
}

// settled reports whether the first operator exists.
func (f *Fleet) settled() bool {
	return f.DB.Value(f.t, f.Database, "SELECT count(*)::text FROM users") != "0"
}

// killEvery kills the servers one after the other at this interval, until the test ends or the
// result `stop` is called. Each is restarted at once, as a supervisor does. It begins after the
// first operator exists, because a server that starts replaces the setup link. The first interval
// is random, so that a kill can happen at any point of a test.
func (f *Fleet) killEvery(interval time.Duration) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		wait := time.Duration(rand.Int64N(int64(interval)))
		for i := rand.N(len(f.Servers)); ; {
			select {
			case <-over:
				return
			case <-time.After(wait):
			}
			if wait = time.Second; !f.settled() {
				continue
			}
			begun := time.Now()
			m := f.Servers[i%len(f.Servers)]
			i++
			m.Kill(syscall.SIGKILL)
			if err := errors.Join(m.launch(), m.await()); err != nil {
				f.t.Error(err)
				return
			}
			f.t.Logf("server %s was killed at %s, and was back after %v", m.Listen,
				begun.Format("15:04:05.000"), time.Since(begun).Round(time.Millisecond))
			wait = max(0, interval-time.Since(begun))
		}
	}()
	stop = sync.OnceFunc(func() {
		close(over)
		<-ended
	})
	f.t.Cleanup(stop)
	return stop
}

// nginx forwards requests in turn, as in docs/scale.md.
func (f *Fleet) nginx(listen string) {
	f.t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		f.t.Fatalf("nginx is not installed; run the tests by `make test`, which installs it")
	}
	dir := f.t.TempDir()
	var upstream strings.Builder
	for _, m := range f.Servers {
		fmt.Fprintf(&upstream, "    server %s max_fails=0;\n", m.Listen)
	}
	config := fmt.Sprintf(nginxConfig, dir, upstream.String(), listen)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		f.t.Fatal(err)
	}
	var out Lines
	cmd := exec.Command(path, "-p", dir, "-c", file, "-e", "stderr")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", listen)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("nginx does not start: %s", out.String())
		}
	}
}

const nginxConfig = `
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  upstream stagedoor {
%[2]s  }
  server {
    listen %[3]s;
    location / {
      proxy_pass http://stagedoor;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_next_upstream error timeout http_503 non_idempotent;
      proxy_next_upstream_timeout 10s;
      proxy_connect_timeout 2s;
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`

// givenPorts are the ports that FreeAddress has returned. It returns each only once, since two
// servers that start at the same time need different ports.
var givenPorts sync.Map

// FreeAddress returns an address with a free port. The port is below the range that the system
// assigns, so that no other process takes it meanwhile.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := 20_000 + rand.N(12_000)
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

// Lines collects the output of a process.
type Lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String returns the output so far.
func (l *Lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
