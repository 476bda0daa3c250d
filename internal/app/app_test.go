package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/app"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
)

// run runs a command line to its end.
func run(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var b bytes.Buffer
	err = app.Run(t.Context(), args, nil, strings.NewReader(""), &b, &b)
	return b.String(), err
}

// refused runs `serve` with arguments that it must refuse, and returns the error message.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t, append(
		[]string{"serve", "--listen", "127.0.0.1:0", "--media", "127.0.0.1:0"}, args...)...)
	if err == nil {
		t.Fatalf("serve %v: got no error; it wrote %s", args, out)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("serve %v: got %q, want one sentence", args, err)
	}
	return err.Error()
}

func TestRefusalsAtStart(t *testing.T) {
	t.Parallel()
	running := apptest.Start(t)
	if got := refused(t, "--data", running.Data); !strings.Contains(got,
		"another stagedoor already serves") {
		t.Errorf("a second start on the same folder: got %q, want that it is served", got)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if got := refused(t, "--data", t.TempDir(), "--listen",
		taken.Addr().String()); !strings.Contains(got, "is taken by another program") {
		t.Errorf("a taken port: got %q, want that it is taken", got)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if got := refused(t, "--data", t.TempDir(), "--media",
		udp.LocalAddr().String()); !strings.Contains(got, "is taken") {
		t.Errorf("a taken media port: got %q, want that it is taken", got)
	}

	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if got := refused(t, "--data", filepath.Join(file, "data")); !strings.Contains(got, "--data") {
		t.Errorf("a data folder below a file: got %q, want --data named", got)
	}

	damaged := t.TempDir()
	os.WriteFile(filepath.Join(damaged, "local-key.pem"),
		[]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0o600)
	if got := refused(t, "--data", damaged); !strings.Contains(got, "local-key.pem") {
		t.Errorf("a damaged key: got %q, want its file named", got)
	}

	folder := t.TempDir()
	os.Mkdir(filepath.Join(folder, "local-key.pem"), 0o700)
	if got := refused(t, "--data", folder); !strings.Contains(got, "is a folder") {
		t.Errorf("a folder in the place of the key: got %q", got)
	}
	if got := refused(t, "--data", t.TempDir(), "--database",
		"postgres://"+closedPort(t)+"/stagedoor"); !strings.Contains(got, "cannot be reached") {
		t.Errorf("a PostgreSQL that does not run: got %q", got)
	}

	for _, bad := range []string{"stage.example.com", "ftp://stage.example.com",
		"https://stage.example.com/path", "https://user@stage.example.com"} {
		if got := refused(t, "--data", t.TempDir(), "--public-url", bad); !strings.Contains(got,
			"--public-url") {
			t.Errorf("--public-url %s: got %q, want the flag named", bad, got)
		}
	}
}

// closedPort returns an address on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestUsersCommandsWithoutADatabase(t *testing.T) {
	t.Parallel()
	nowhere := filepath.Join(t.TempDir(), "typo")
	for _, args := range [][]string{{"users", "list"}, {"users", "remove", "ana"}} {
		if _, err := run(t, append(args, "--data", nowhere)...); err == nil ||
			!strings.Contains(err.Error(), "there is no database in "+nowhere) {
			t.Errorf("%v: got %v, want that there is no database", args, err)
		}
	}
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("the folder was made")
	}
}

func TestDataFolderIsPrivateAndLasts(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "new", "data")
	first := apptest.StartIn(t, data)
	olga := first.Operator()
	arn := olga.MainStage()
	first.Stop()
	err := filepath.WalkDir(filepath.Dir(data),
		func(path string, entry os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if want := os.FileMode(map[bool]int{true: 0o700,
				false: 0o600}[entry.IsDir()]); info.Mode().Perm() != want {
				t.Errorf("%s: got mode %v, want %v", path, info.Mode().Perm(), want)
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}

	t.Log("the next start has no setup link, knows olga's stage, and lets her in")
	second := apptest.StartIn(t, data)
	if second.SetupURL != "" {
		t.Errorf("the second start printed %s", second.SetupURL)
	}
	again := second.Browser()
	again.Must(200, "POST", "/api/login",
		map[string]string{"name": "olga", "password": apptest.Password}, nil)
	if got := again.MainStage(); got != arn {
		t.Errorf("the stage: got %s, want %s", got, arn)
	}
}

func TestUsersFromTheTerminal(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	a.Operator()

	t.Log("ana is added while the server runs, and accepts by the printed link")
	out, err := run(t, "users", "add", "ana", "--data", a.Data, "--stage", "main", "--public-url",
		a.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, code, ok := strings.Cut(out, "/invite#code=")
	if !ok {
		t.Fatalf("users add printed %s", out)
	}
	code, _, _ = strings.Cut(code, "\n")
	ana := a.Browser()
	ana.Must(201, "POST", "/api/invite",
		map[string]string{"code": code, "password": apptest.Password}, nil)
	arn := ana.Token("publish").Stage

	if out, err := run(t, "users", "list", "--data", a.Data); err != nil ||
		!strings.Contains(out, "ana") || !strings.Contains(out, "operator") ||
		!strings.Contains(out, "main (publish") {
		t.Errorf("users list: got %v %s, want ana with access to main, and the operator", err, out)
	}
	if _, err := run(t, "users", "add", "Ana", "--data", a.Data); err == nil {
		t.Error("a second ana was added")
	}
	if _, err := run(t, "users", "add", "cleo", "--data", a.Data, "--stage", "main", "--max-ttl",
		"1s"); err == nil {
		t.Error("a grant that cannot be: got no error")
	}
	if list, err := run(t, "users", "list", "--data", a.Data); err != nil ||
		strings.Contains(list, "cleo") {
		t.Errorf("after a grant that could not be: got %q, %v; want that nobody was added", list,
			err)
	}
	if _, err := run(t, "users", "add", "ben", "--data", a.Data, "--stage",
		"nowhere"); err == nil || !strings.Contains(err.Error(), "main") {
		t.Errorf("a stage that is not there: got %v, want the names of those that are", err)
	}
	if _, err := run(t, "users", "remove", "ana", "--data", a.Data); err != nil {
		t.Fatal(err)
	}
	ana.Refused(401, "unauthorized", "POST", "/api/tokens", map[string]any{"stage": arn})
	if _, err := run(t, "users", "remove", "nobody", "--data", a.Data); err == nil {
		t.Error("nobody was removed")
	}
}

func TestTheHelpNamesEveryScope(t *testing.T) {
	t.Parallel()
	text, err := run(t, "api-keys", "create", "--help")
	for _, scope := range access.APIKeyScopes() {
		if err != nil || !strings.Contains(text, string(scope)) {
			t.Errorf("the help lacks the scope %q: %v", scope, err)
		}
	}
}

func TestHelpAndUsage(t *testing.T) {
	t.Parallel()
	if out, err := run(t, "serve", "--help"); err != nil ||
		!strings.Contains(out, "STAGEDOOR_LISTEN") {
		t.Errorf("serve --help: got %v %s, want the variables", err, out)
	}
	if out, err := run(t); err != nil || !strings.Contains(out, "serve") {
		t.Errorf("no command: got %v %s, want the help", err, out)
	}
	for _, args := range [][]string{{"fly"}, {"serve", "--fly"},
		{"serve", "--trusted-proxies", "everybody"}, {"serve", "--token-limit", "many"}} {
		var usage app.UsageError
		if _, err := run(t, args...); !asUsage(err, &usage) {
			t.Errorf("%v: got %v, want a usage error", args, err)
		}
	}

	t.Log("a variable does what its flag does, and the flag wins")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &stopper{cancel: cancel}
	env := []string{"STAGEDOOR_LISTEN=999.0.0.1:1", "STAGEDOOR_DATA=" + t.TempDir(),
		"STAGEDOOR_MEDIA=127.0.0.1:0"}
	if err := app.Run(ctx, []string{"serve"}, env, nil, out, out); err == nil ||
		!strings.Contains(err.Error(), "999.0.0.1:1") {
		t.Errorf("STAGEDOOR_LISTEN: got %v", err)
	}
	if err := app.Run(ctx, []string{"serve", "--listen", "127.0.0.1:0"}, env, nil, out,
		out); err != nil || ctx.Err() == nil {
		t.Errorf("--listen over STAGEDOOR_LISTEN: got %v", err)
	}
}

// A stopper is the output of a server, and stops the server as soon as it serves.
type stopper struct{ cancel context.CancelFunc }

func (s *stopper) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("Stop with")) {
		s.cancel()
	}
	return len(b), nil
}

func asUsage(err error, target *app.UsageError) bool { return errors.As(err, target) }

// TestOBSFailsInOneSentence: the obs commands report a failure in one sentence, with --json as
// JSON.
func TestOBSFailsInOneSentence(t *testing.T) {
	t.Parallel()
	out, err := run(t, "obs", "status", "--obs", "127.0.0.1:1", "--json")
	var told struct{ Error struct{ Code, Detail string } }
	if json.Unmarshal([]byte(out), &told) != nil || err == nil ||
		told.Error.Code != "obs_unreachable" || told.Error.Detail != err.Error() ||
		strings.Contains(err.Error(), "dial") {
		t.Errorf("obs status --json: got %q and %v, want the error in the JSON", out, err)
	}
}

// TestNamesOfOBSDoNotControlTheTerminal: the names in a scene collection, which may come from a
// stranger, are printed without control characters.
func TestNamesOfOBSDoNotControlTheTerminal(t *testing.T) {
	t.Parallel()
	const name = "Show\x1b]0;owned\a\u202e"
	o := fakeobs.Start(t, fakeobs.Options{Profile: name})
	for _, form := range []string{"--json", "text"} {
		args := []string{"obs", "status", "--obs", o.URL(), "--server", "http://127.0.0.1:1"}
		if form == "--json" {
			args = append(args, form)
		}
		out, err := run(t, args...)
		if err != nil {
			out += app.Printable(err.Error())
		}
		if strings.ContainsAny(out, "\x1b\a\u202e") || !strings.Contains(out, `\u202e`) {
			t.Errorf("%s: got %q, want the name with its control characters escaped", form, out)
		}
	}
}
