// Package realobs runs a real OBS Studio on a virtual screen, for what a fake cannot promise. Debian 12's is 29.0.2 with
// obs-websocket 5.1: profiles, parameters, outputs and close codes are real there, and it has no WHIP.
package realobs

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

//go:embed testdata/loopback.c
var loopbackSource []byte

// An OBS is a running process with a configuration of its own.
type OBS struct {
	port  string
	log   *buffer
	ended <-chan struct{}
}

// Start runs an OBS with a fresh configuration and that password until the test ends. It fails the test where OBS is not
// installed: `make test` installs it.
func Start(t testing.TB, password string) *OBS {
	t.Helper()
	if testing.Short() {
		t.Skip("make quick leaves OBS out")
	}
	home := t.TempDir()
	o := &OBS{port: freePort(t), log: &buffer{}}
	configure(t, home, o.port, password)
	display := startScreen(t, home)
	// A session of its own for D-Bus and sockets: nothing of the desktop that runs the test is touched.
	o.run(t, home, "obs", []string{"--multi", "--minimize-to-tray"},
		"HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_RUNTIME_DIR="+home, "DISPLAY=:"+display,
		"LD_PRELOAD="+loopbackOnly(t, home), "LIBGL_ALWAYS_SOFTWARE=1", "QT_QPA_PLATFORM=xcb", "PATH="+os.Getenv("PATH"), "LC_ALL=C.UTF-8")
	o.await(t)
	return o
}

// URL is the address for a client.
func (o *OBS) URL() string { return "ws://127.0.0.1:" + o.port }

// Log is what OBS has logged so far.
func (o *OBS) Log() string { return o.log.String() }

func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed: run `make test`, which installs it", name)
	}
	return path
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// loopbackOnly compiles the library that keeps OBS from listening on every address.
func loopbackOnly(t testing.TB, dir string) string {
	t.Helper()
	library := filepath.Join(dir, "loopback.so")
	cmd := exec.Command(program(t, "gcc"), "-shared", "-fPIC", "-O1", "-o", library, "-x", "c", "-")
	cmd.Stdin = bytes.NewReader(loopbackSource)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile loopback.c: %v\n%s", err, out)
	}
	return library
}

// configure writes global.ini, where the WebSocket settings were before OBS 30.2. FirstRun skips the wizard.
func configure(t testing.TB, home, port, password string) {
	t.Helper()
	dir := filepath.Join(home, "obs-studio")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("[General]\nFirstRun=true\n[OBSWebSocket]\nFirstLoad=false\nServerEnabled=true\nServerPort=%s\nAuthRequired=%t\nServerPassword=%s\n",
		port, password != "", password)
	if err := os.WriteFile(filepath.Join(dir, "global.ini"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startScreen runs an X server that chooses a free display itself and says which.
func startScreen(t testing.TB, dir string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(t, "Xvfb"), "-displayfd", "3", "-screen", "0", "1280x800x24", "-nolisten", "tcp")
	cmd.Dir, cmd.ExtraFiles = dir, []*os.File{w}
	start(t, cmd)
	_ = w.Close()
	_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
	// The whole line: Xvfb writes it in two pieces, and dies of SIGPIPE where nobody reads the second.
	line, err := bufio.NewReader(r).ReadString('\n')
	_ = r.Close()
	if err != nil {
		t.Fatalf("Xvfb did not start: %v", err)
	}
	return strings.TrimSpace(line)
}

func (o *OBS) run(t testing.TB, dir, name string, args []string, env ...string) {
	t.Helper()
	cmd := exec.Command(program(t, name), args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, o.log, o.log
	o.ended = start(t, cmd)
}

// start runs a process that does not outlive the test, nor the test binary; the channel is closed when it has ended. The kernel
// ties Pdeathsig to the thread that started the process, so that thread stays for as long.
func start(t testing.TB, cmd *exec.Cmd) <-chan struct{} {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("%s: %v", cmd.Path, err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	return ended
}

// await returns when obs-websocket listens: 5.1 does that when OBS has finished loading.
func (o *OBS) await(t testing.TB) {
	t.Helper()
	tick, limit := time.NewTicker(50*time.Millisecond), time.After(60*time.Second)
	defer tick.Stop()
	for {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+o.port, time.Second)
		if err == nil {
			_ = conn.Close()
			o.mustKeepToLoopback(t)
			return
		}
		select {
		case <-tick.C: // a process tells nobody that it listens
		case <-o.ended:
			t.Fatalf("OBS ended at once; its log:\n%s", o.Log())
		case <-limit:
			t.Fatalf("OBS did not listen within a minute; its log:\n%s", o.Log())
		}
	}
}

// mustKeepToLoopback fails the test when the kernel's tables (proc(5): address:port in hexadecimal, 0A is LISTEN) have another
// address for the port than 127.0.0.1, as IPv4 or mapped into IPv6.
func (o *OBS) mustKeepToLoopback(t testing.TB) {
	t.Helper()
	number, _ := strconv.Atoi(o.port)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // a kernel without IPv6
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			local, port, _ := strings.Cut(fields[1], ":")
			if port == fmt.Sprintf("%04X", number) && fields[3] == "0A" && !strings.HasSuffix(local, "0100007F") {
				t.Fatalf("OBS listens on %s in %s, want loopback only", local, table)
			}
		}
	}
}

// Ended says whether OBS has crashed, or was closed.
func (o *OBS) Ended() bool {
	select {
	case <-o.ended:
		return true
	default:
		return false
	}
}

// A buffer is written by a process and read by a test.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
