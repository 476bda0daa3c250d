package app_test

import (
	"bytes"
	"errors"
	"flag"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// schema22 is the commit of an earlier version, whose database has schema 22.
// internal/store/testdata/story-22.jsonl was recorded with it.
const schema22 = "a9316da00a3493549c50eee43af625d80651d6e2"

var before = flag.String("before", "",
	"commit of which a server runs beside those of this one; by default the previous version, "+
		"and the previous commit")

// TestTheVersionBeforeRunsBeside: a server of an earlier version issues tokens behind nginx. A
// server of the new version starts beside it and migrates the database. Each server reads what the
// other server wrote. Then the old server is replaced. No request fails.
func TestTheVersionBeforeRunsBeside(t *testing.T) {
	t.Parallel()
	commits := []string{schema22, "HEAD^"}
	if *before != "" {
		commits = []string{*before}
	}
	for _, commit := range commits {
		t.Run(commit, func(t *testing.T) {
			t.Parallel()
			runBeside(t, commit)
		})
	}
}

func runBeside(t *testing.T, commit string) {
	f := prepareFleet(t, 2)
	old, next := f.Servers[0], f.Servers[1]
	program := buildCommit(t, commit)
	help, err := exec.Command(program, "serve", "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, help)
	}
	old.Command = func(args ...string) *exec.Cmd {
		cmd := exec.Command(program, knownFlags(string(help), args)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	old.Start()
	old.Ready()
	olga := f.operatorBy(old)
	f.broadcasterOn(olga, "ana", olga.stage())
	ana := f.callers[0]
	var first web.Token
	ana.must(http.StatusCreated, "POST", "/api/tokens", map[string]any{"stage": ana.stage()},
		&first)

	var stop atomic.Bool
	var issued atomic.Int64
	var work sync.WaitGroup
	t.Cleanup(func() {
		stop.Store(true)
		work.Wait()
	})
	for range 2 {
		work.Go(func() { ana.requestTokens(&stop, &issued) })
	}
	t.Log("the new version migrates, and serves beside the old one")
	next.Start()
	next.Ready()
	f.broadcasterOn(olga, "bea", olga.stage()) // nginx sends the requests to both versions in turn
	bea := f.callers[1]
	for _, at := range []*caller{ana.at(old), ana.at(next), bea.at(old), bea.at(next)} {
		var token web.Token
		at.must(http.StatusCreated, "POST", "/api/tokens", map[string]any{"stage": at.stage()},
			&token)
		for _, m := range f.Servers {
			var list web.Tokens
			at.at(m).must(http.StatusOK, "GET", "/api/tokens", nil, &list)
			if !slices.ContainsFunc(list.Tokens, func(i web.IssuedToken) bool {
				return i.ParticipantID == token.ParticipantID
			}) {
				t.Errorf("a server does not list a token of %s", at.base)
			}
		}
	}
	live, err := rtcpeer.Publish(t, rtcpeer.HTTP("http://"+next.Listen+"/whip", first.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatalf("a token of the old version at the new one: %v", err)
	}
	ana.at(old).must(http.StatusNoContent, "DELETE", "/api/tokens/"+string(first.ParticipantID),
		nil, nil)
	select {
	case <-live.Closed():
	case <-time.After(30 * time.Second):
		t.Error("a token that was revoked at the old version is live at the new one")
	}

	t.Log("the old server is replaced")
	old.Kill(syscall.SIGTERM)
	old.Command = nil
	old.Start()
	old.Ready()
	stop.Store(true)
	work.Wait()
	t.Logf("%d tokens were issued meanwhile", issued.Load())
	const others = 5
	want := strconv.FormatInt(issued.Load()+others, 10)
	if got := f.DB.Value(t, f.Database, "SELECT count(*)::text FROM issuances"); got != want {
		t.Errorf("%s tokens are stored, want the %s that were issued", got, want)
	}
}

// operatorBy creates the operator by the setup link of a certain server.
func (f *fleet) operatorBy(m *replicas.Member) *caller {
	f.t.Helper()
	c := f.caller()
	c.must(http.StatusCreated, "POST", "/api/setup", web.SetUp{
		Code: apptest.Code(m.SetupURL()), Name: "olga", Password: apptest.Password,
	}, nil)
	return c
}

// buildCommit builds the program of a commit, and returns its path. If the clone is shallow and
// lacks the commit, the test is skipped. Then the tests of internal/store still replay that
// version's statements.
func buildCommit(t *testing.T, commit string) (program string) {
	t.Helper()
	run := func(dir, name string, args ...string) ([]byte, error) {
		cmd := exec.Command(name, args...)
		var problem bytes.Buffer
		cmd.Dir, cmd.Stderr = dir, &problem
		out, err := cmd.Output()
		if err != nil {
			err = errors.Join(err, errors.New(problem.String()))
		}
		return out, err
	}
	if _, err := run("../..", "git", "cat-file", "-e", commit+"^{commit}"); err != nil {
		if *before == "" {
			t.Skipf("this clone has not the commit %s, so that only its statements are run, in "+
				"internal/store", commit)
		}
		t.Fatalf("there is no commit %s: %v", commit, err)
	}
	dir := t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	for _, step := range [][]string{
		{"../..", "git", "archive", "--output", archive, commit},
		{dir, "tar", "-x", "-f", archive},
		slices.Concat([]string{dir, "go", "build"}, raceFlags(),
			[]string{"-o", "program", "./cmd/stagedoor"}),
	} {
		if _, err := run(step[0], step[1], step[2:]...); err != nil {
			t.Fatalf("%s: %v", strings.Join(step[1:], " "), err)
		}
	}
	return filepath.Join(dir, "program")
}

// raceFlags returns the build flags of this test. With the same flags, the packages that both
// versions import are already compiled.
func raceFlags() (flags []string) {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" || s.Key == "-gcflags" {
			flags = append(flags, s.Key+"="+s.Value)
		}
	}
	return flags
}

// knownFlags drops the flags that the help of a version does not name.
func knownFlags(help string, args []string) (known []string) {
	for i := 0; i < len(args); i++ {
		name, _, whole := strings.Cut(args[i], "=")
		switch {
		case !strings.HasPrefix(name, "--") || strings.Contains(help, name+"=") ||
			strings.Contains(help, name+" "):
			known = append(known, args[i])
		case !whole:
			i++ // skips the value of the flag
		}
	}
	return known
}
