package app_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
)

// A block is a fenced code block of a document. Its first line has the language and a mark, which
// readers do not see. A block `sh run` must succeed. A block `sh serve` runs until the end of the
// document. A block `yaml config` must be a valid config file.
type block struct{ language, mark, text string }

var fenced = regexp.MustCompile("(?ms)^ *```([a-z]+) ([a-z]+)\n(.*?)^ *```$")

// TestTheCommandsOfTheDocuments runs the marked blocks of each document in order, in an empty home
// folder.
func TestTheCommandsOfTheDocuments(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "the commands of the documents")
	marked := 0
	err := filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := os.ReadFile(path)
		var blocks []block
		for _, match := range fenced.FindAllStringSubmatch(string(text), -1) {
			blocks = append(blocks, block{match[1], match[2], match[3]})
		}
		if len(blocks) > 0 {
			marked++
			t.Run(filepath.Base(path), func(t *testing.T) {
				t.Parallel()
				follow(t, blocks)
			})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if marked < 3 {
		t.Errorf("got %d documents with marked blocks, want the guides", marked)
	}
}

// A reader runs the blocks of one document in a home folder of their own.
type reader struct {
	t    *testing.T
	home string
	env  []string
	from *strings.Replacer // replaces addresses and paths in the documents by those of the test
}

func follow(t *testing.T, blocks []block) {
	home := t.TempDir()
	listen := replicas.FreeAddress(t)
	cert, key, _ := certificate(t)
	r := &reader{t: t, home: home, from: strings.NewReplacer(
		"127.0.0.1:8080", listen, "/var/lib/stagedoor", filepath.Join(home, "new-data"),
		"/etc/stagedoor/origin.pem", cert, "/etc/stagedoor/origin.key", key,
	)}
	tools := filepath.Join(home, "bin")
	if err := os.Mkdir(tools, 0o700); err != nil {
		t.Fatal(err)
	}
	program := fmt.Sprintf("#!/bin/sh\nexec env %s=1 %q \"$@\"\n", apptest.AsProgram, os.Args[0])
	if err := os.WriteFile(filepath.Join(tools, "stagedoor"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	r.env = append(os.Environ(), "HOME="+home, "PATH="+tools+":"+os.Getenv("PATH"),
		"STAGEDOOR_LISTEN="+listen, "STAGEDOOR_MEDIA=127.0.0.1:0", "XDG_DATA_HOME=")
	// A document whose blocks do not start a server assumes a running one.
	if !slices.ContainsFunc(blocks, func(b block) bool { return b.mark == "serve" }) {
		r.serve("stagedoor serve")
	}
	for _, b := range blocks {
		switch b.language + " " + b.mark {
		case "sh serve":
			r.serve(b.text)
		case "sh run":
			r.run(b.text)
		case "yaml config":
			r.config(b.text)
		default:
			t.Errorf("the mark %q of a block in %s is none", b.mark, b.language)
		}
	}
}

func (r *reader) bash(script string) *exec.Cmd {
	cmd := exec.CommandContext(r.t.Context(),
		"bash", "-euo", "pipefail", "-c", r.from.Replace(script))
	cmd.Dir, cmd.Env = r.home, r.env
	return cmd
}

func (r *reader) run(script string) {
	r.t.Helper()
	if out, err := r.bash(script).CombinedOutput(); err != nil {
		r.t.Errorf("%s: %v\n%s", script, err, out)
	}
}

// serve runs a script that starts a server, and returns when the server serves.
func (r *reader) serve(script string) {
	r.t.Helper()
	var out replicas.Lines
	cmd := r.bash("exec " + strings.TrimSpace(script))
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { cmd.Wait() })
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(out.String(), "Stop with Ctrl+C.") {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s does not come up: %s", script, out.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *reader) config(text string) {
	r.t.Helper()
	file := filepath.Join(r.home, "stagedoor.yaml")
	if err := os.WriteFile(file, []byte(r.from.Replace(text)), 0o600); err != nil {
		r.t.Fatal(err)
	}
	// Unset the variables of the test, because the file must be valid without them.
	cmd := r.bash("unset STAGEDOOR_LISTEN STAGEDOOR_MEDIA\n" +
		"stagedoor config check --config stagedoor.yaml")
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Errorf("%s: %v\n%s", text, err, out)
	}
}
