package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/web"
)

// A fleet is several servers on one PostgreSQL behind a plain round-robin nginx. Each server is a
// process of its own.
type fleet struct {
	t        testing.TB
	db       *pg.Server
	database string
	key      string
	url      string // of nginx
	servers  []*member
	flags    []string
	callers  []*caller // with accounts of their own

	mu       sync.Mutex
	troubles []string // guarded by mu: what pages saw
}

func (f *fleet) failed(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.troubles = append(f.troubles, what)
}

func (f *fleet) failures() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.troubles)
}

// A member is a server of a fleet: it keeps its addresses and its folder from run to run.
type member struct {
	fleet    *fleet
	program  string
	database string
	listen   string
	peers    string
	data     string
	out      *lines

	mu      sync.Mutex
	process *os.Process   // guarded by mu: of the present run
	done    chan struct{} // guarded by mu: closed when that has ended
}

// startFleet starts so many servers, and nginx before them.
func startFleet(t testing.TB, n int, flags ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, flags: flags}
	f.prepare(n)
	f.startAll()
	return f
}

// prepare makes everything but the servers.
func (f *fleet) prepare(n int) {
	f.t.Helper()
	f.db, f.key = &pg.Server{}, filepath.Join(f.t.TempDir(), "local-key.pem")
	f.t.Cleanup(f.db.Stop)
	f.database = f.db.Database(f.t)
	f.t.Cleanup(func() { f.db.Thaw() })
	if _, err := token.CreateKey(f.key); err != nil {
		f.t.Fatal(err)
	}
	front := freeAddress(f.t)
	f.url = "http://" + front
	for range n {
		f.add()
	}
	f.nginx(front)
}

func (f *fleet) startAll() {
	f.t.Helper()
	for _, m := range f.servers {
		m.start()
		m.ready()
	}
}

func (f *fleet) add() *member {
	m := &member{
		fleet: f, program: os.Args[0], database: f.database, data: f.t.TempDir(), out: &lines{},
		listen: freeAddress(f.t), peers: freeAddress(f.t),
	}
	f.servers = append(f.servers, m)
	f.t.Cleanup(func() {
		m.kill(syscall.SIGKILL)
		if f.t.Failed() {
			f.t.Logf("server %s said:\n%s", m.listen, m.out)
		}
	})
	return m
}

// start starts the server; ready waits for it.
func (m *member) start(flags ...string) {
	m.fleet.t.Helper()
	args := append([]string{
		"serve", "--data", m.data, "--database", m.database, "--local-key", m.fleet.key,
		"--listen", m.listen, "--public-url", m.fleet.url, "--trusted-proxies", "127.0.0.0/8",
		"--media", "127.0.0.1:0", "--peer-listen", m.peers, "--token-limit=-1", "--log-level", "warn",
	}, m.fleet.flags...)
	cmd := exec.Command(m.program, append(args, flags...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = m.out, m.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		m.fleet.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait()
		close(done)
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.process, m.done = cmd.Process, done
}

// ready waits until the server says that it serves.
func (m *member) ready() {
	m.fleet.t.Helper()
	m.mu.Lock()
	done := m.done
	m.mu.Unlock()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if m.status("/readyz") == http.StatusOK {
			return
		}
		select {
		case <-done:
			m.fleet.t.Fatalf("the server at %s ended: %s", m.listen, m.out)
		default:
		}
	}
	m.fleet.t.Fatalf("the server at %s is not ready: %s", m.listen, m.out)
}

// status asks the server itself.
func (m *member) status(path string) int {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get("http://" + m.listen + path)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// signal sends a signal to the process, which may go on.
func (m *member) signal(sig syscall.Signal) (done <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		m.process.Signal(sig)
	}
	return m.done
}

// kill sends a signal and waits for the end.
func (m *member) kill(sig syscall.Signal) {
	if done := m.signal(sig); done != nil {
		<-done
	}
}

// nginx passes requests on in turn, as in docs/scale.md.
func (f *fleet) nginx(listen string) {
	f.t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		f.t.Fatalf("nginx is not installed; run the tests by `make test`, which installs it")
	}
	dir := f.t.TempDir()
	var upstream strings.Builder
	for _, m := range f.servers {
		fmt.Fprintf(&upstream, "    server %s max_fails=0;\n", m.listen)
	}
	config := fmt.Sprintf(nginxConfig, dir, upstream.String(), listen)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		f.t.Fatal(err)
	}
	var out bytes.Buffer
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
      proxy_next_upstream error timeout http_503;
      proxy_connect_timeout 2s;
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}
`

// givenPorts are those that freeAddress returned: two servers that start at the same time would
// otherwise get one port now and then.
var givenPorts sync.Map

// freeAddress is below the ports that the system hands out: nothing else takes it meanwhile.
func freeAddress(t testing.TB) string {
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

// lines collects what a process writes.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// operator becomes the operator "olga" by the link of the last server that started.
func (f *fleet) operator() *caller {
	f.t.Helper()
	last := f.servers[len(f.servers)-1].out.String()
	_, rest, _ := strings.Cut(last, "/setup#code=")
	code, _, _ := strings.Cut(rest, "\n")
	c := f.caller()
	c.must(http.StatusCreated, "POST", "/api/setup", web.SetUp{
		Code: strings.TrimSpace(code), Name: "olga", Password: apptest.Password,
	}, nil)
	return c
}

// broadcasterOn adds an account with access to a stage.
func (f *fleet) broadcasterOn(olga *caller, name, arn string) {
	f.t.Helper()
	var invited web.Invited
	olga.must(http.StatusCreated, "POST", "/api/users", web.NewUser{Name: name}, &invited)
	grant := "/api/users/" + string(invited.ID) + "/grants/" + url.PathEscape(arn)
	olga.must(http.StatusNoContent, "PUT", grant, web.GrantRequest{Capabilities: []string{"publish", "subscribe"}}, nil)
	c := f.caller()
	c.must(http.StatusCreated, "POST", "/api/invite", web.AcceptInvite{Code: apptest.Code(invited.Invite), Password: apptest.Password}, nil)
	f.callers = append(f.callers, c)
}

// A caller is a client of the fleet with a cookie jar.
type caller struct {
	t    testing.TB
	base string
	http *http.Client
	main string // see stage
}

func (f *fleet) caller() *caller {
	jar, _ := cookiejar.New(nil)
	return &caller{t: f.t, base: f.url, http: &http.Client{Jar: jar, Timeout: 40 * time.Second}}
}

// at is the same caller at one server, past nginx. Cookies are those of any port.
func (c *caller) at(m *member) *caller {
	other := *c
	other.base = "http://" + m.listen
	return &other
}

func (c *caller) do(method, path string, body any) (int, http.Header, []byte, error) {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, nil, err
		}
		payload = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(context.WithoutCancel(c.t.Context()), method, c.base+path, payload)
	if err != nil {
		return 0, nil, nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, text, err
}

func (c *caller) must(status int, method, path string, body, out any) {
	c.t.Helper()
	got, _, text, err := c.do(method, path, body)
	if err != nil || got != status {
		c.t.Fatalf("%s %s: got %d %s %v, want %d", method, path, got, text, err, status)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

// token issues a token for the stage "main".
func (c *caller) token(use string) (token web.Token) {
	c.t.Helper()
	c.must(http.StatusCreated, "POST", "/api/tokens", map[string]any{"stage": c.stage(), "for": use}, &token)
	return token
}

// stage is the ARN of the stage "main".
func (c *caller) stage() string {
	c.t.Helper()
	if c.main != "" {
		return c.main
	}
	var me web.Me
	c.must(http.StatusOK, "GET", "/api/me", nil, &me)
	for _, s := range me.Stages {
		if s.Name == "main" {
			c.main = string(s.ARN)
		}
	}
	return c.main
}

// eventually waits until something holds.
func eventually(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not happen within %v: %s", limit, what)
		}
	}
}
