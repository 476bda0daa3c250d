// Package realobs runs a real OBS Studio on a virtual screen, for what a fake cannot test. It is
// the OBS 29.0.2 of Debian 12, with obs-websocket 5.1 and without WHIP, so tests cover profiles,
// parameters, outputs and close codes.
package realobs

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/quick"
)

//go:embed testdata/loopback.c
var loopbackSource []byte

//go:embed testdata/loaded.lua
var loadedScript string

// An Install is the configuration of an OBS, which may be started several times.
type Install struct {
	Dir  string // OBS's folder
	Port string // port of its WebSocket server
	home string
	env  []string
}

// An OBS is a running process.
type OBS struct {
	port    string
	home    string
	log     *buffer
	process *os.Process
	ended   <-chan struct{}
	failure *error // failure of the process; read after ended
}

// Start runs an OBS with a fresh configuration and a password until the test ends. It fails the
// test if OBS is not installed; `make test` installs it.
func Start(t testing.TB, password string) *OBS {
	t.Helper()
	// This OBS runs no scripts: Lua's timers crash OBS 29 if a client switches profiles at once.
	i := fresh(t)
	i.WriteIni(
		t, fmt.Sprintf(
			"[OBSWebSocket]\nFirstLoad=false\nServerEnabled=true\nServerPort=%s\nAuthRequired=%t\nServerPassword=%s\n",
			i.Port, password != "", password))
	o := i.launch(t)
	o.Await(t)
	return o
}

// Prepare creates a fresh configuration and a screen, with a script that reports when OBS has
// loaded. The WebSocket server of OBS is off, as in any fresh OBS.
func Prepare(t testing.TB) *Install {
	t.Helper()
	i := fresh(t)
	i.WriteIni(t, "")
	i.Write(t, "../loaded.lua", loadedScript)
	i.AddScripts(t)
	return i
}

func fresh(t testing.TB) *Install {
	t.Helper()
	quick.LeavesOut(t, "OBS")
	home := t.TempDir()
	i := &Install{Dir: filepath.Join(home, "obs-studio"), Port: freePort(t), home: home}
	// OBS has its own D-Bus session and sockets, so that the desktop of the user who runs the test
	// is not affected.
	i.env = []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_RUNTIME_DIR=" + home,
		"DISPLAY=:" + startScreen(t, home),
		"LD_PRELOAD=" + loopbackOnly(t, home), "LIBGL_ALWAYS_SOFTWARE=1", "QT_QPA_PLATFORM=xcb",
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	return i
}

// AddScripts writes a scene collection with these scripts, as Tools → Scripts → + does.
func (i *Install) AddScripts(t testing.TB, paths ...string) {
	t.Helper()
	var tool []map[string]any
	for _, path := range append([]string{filepath.Join(i.home, "loaded.lua")}, paths...) {
		tool = append(tool, map[string]any{"path": path, "settings": map[string]any{}})
	}
	text, err := json.Marshal(map[string]any{
		"name": "Untitled", "modules": map[string]any{"scripts-tool": tool},
	})
	if err != nil {
		t.Fatal(err)
	}
	i.Write(t, "basic/scenes/Untitled.json", string(text))
}

// WriteIni writes global.ini, in which OBS before 30.2 has the WebSocket settings. FirstRun skips
// the wizard.
func (i *Install) WriteIni(t testing.TB, more string) {
	t.Helper()
	i.Write(t, "global.ini", "[General]\nFirstRun=true\n"+more)
}

// Write writes a file in OBS's folder.
func (i *Install) Write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(i.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Stable returns the files in OBS's folder by name, without what OBS changes at each start: logs,
// profiler data, backups, downloaded lists, and in the other files the window positions.
func (i *Install) Stable(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	moving := regexp.MustCompile(`(?m)^(geometry|DockState|LastVersion)=.*$`)
	err := filepath.WalkDir(i.Dir, func(path string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, i.Dir)
		own := slices.ContainsFunc([]string{
			"/logs/", "/profiler_data/", "/plugin_config/rtmp-services/",
		},
			func(dir string) bool { return strings.HasPrefix(name, dir) })
		if err != nil || e.IsDir() || own || strings.HasSuffix(name, ".bak") {
			return err
		}
		text, err := os.ReadFile(path)
		all[name] = moving.ReplaceAllString(string(text), "$1")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Launch starts OBS and returns after it has loaded everything: OBS 29 crashes if it is ended
// earlier.
func (i *Install) Launch(t testing.TB) *OBS {
	t.Helper()
	o := i.launch(t)
	o.until(t, "has loaded", func() bool {
		return strings.Contains(o.Log(), "[Lua: loaded.lua] OBS has loaded")
	})
	return o
}

func (i *Install) launch(t testing.TB) *OBS {
	t.Helper()
	o := &OBS{port: i.Port, home: i.home, log: &buffer{}, failure: new(error)}
	o.run(t, i.home, "obs", []string{"--multi", "--minimize-to-tray"}, i.env...)
	return o
}

// Quit closes OBS's window, and fails the test if OBS does not end cleanly. OBS must have been
// started by Launch, whose script closes the window. SIGINT would end OBS 29 inside the signal
// handler, where it may hang or crash (docs/decisions/0160).
func (o *OBS) Quit(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.home, "close"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-o.ended:
		if *o.failure != nil {
			t.Fatalf("OBS ended with %v; its log:\n%s", *o.failure, o.Log())
		}
	case <-time.After(60 * time.Second):
		t.Fatalf("OBS does not end; its log:\n%s", o.Log())
	}
}

// URL returns the address for clients.
func (o *OBS) URL() string { return "ws://127.0.0.1:" + o.port }

// Log returns the log of OBS so far.
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

// startScreen runs an X server that chooses a free display and reports its number.
func startScreen(t testing.TB, dir string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(t, "Xvfb"), "-displayfd", "3", "-screen", "0", "1280x800x24",
		"-nolisten", "tcp")
	cmd.Dir, cmd.ExtraFiles = dir, []*os.File{w}
	start(t, cmd, new(error))
	_ = w.Close()
	_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
	// Read the whole line. Xvfb writes it in two pieces, and is killed by SIGPIPE if the second is
	// not read.
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
	o.ended = start(t, cmd, o.failure)
	o.process = cmd.Process
}

// start runs a process that ends with the test and with the test binary. When the process has
// ended, failure is set and then the channel is closed. The kernel ties Pdeathsig to the thread
// that started the process, so the goroutine keeps that thread.
func start(t testing.TB, cmd *exec.Cmd, failure *error) <-chan struct{} {
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
			*failure = cmd.Wait()
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

// Await returns when obs-websocket listens. Version 5.1 does so when OBS has finished loading.
func (o *OBS) Await(t testing.TB) {
	t.Helper()
	o.until(t, "listens", func() bool {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+o.port, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	o.mustKeepToLoopback(t)
}

// until returns when the condition holds. It polls, because OBS does not announce its state.
func (o *OBS) until(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick, limit := time.NewTicker(50*time.Millisecond), time.After(60*time.Second)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-o.ended:
			t.Fatalf("OBS ended before it %s; its log:\n%s", what, o.Log())
		case <-limit:
			t.Fatalf("after a minute it is not so that OBS %s; its log:\n%s", what, o.Log())
		}
	}
}

// mustKeepToLoopback fails the test if OBS listens on the port at another address than 127.0.0.1.
// It reads the kernel's tables (proc(5)), which contain address:port in hexadecimal, and 0A for
// LISTEN. The address may be IPv4 or IPv4-mapped IPv6.
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
			if port == fmt.Sprintf("%04X", number) && fields[3] == "0A" &&
				!strings.HasSuffix(local, "0100007F") {
				t.Fatalf("OBS listens on %s in %s, want loopback only", local, table)
			}
		}
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
