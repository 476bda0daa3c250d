package app

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the generated files")

const (
	tableStart = "<!-- settings: written by go generate ./internal/app -->\n"
	tableEnd   = "<!-- end of settings -->\n"
)

// TestOperateDocs compares the tables in docs/operate.md with the settings. With -update it writes
// the tables.
func TestOperateDocs(t *testing.T) {
	t.Parallel()
	const path = "../../docs/operate.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableStart)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the settings", path)
	}
	want := before + tableStart + settingsTables(t) + tableEnd + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Errorf("%s does not list the settings as they are; write it with: go generate "+
			"./internal/app", path)
	}
}

func settingsTables(t *testing.T) string {
	t.Helper()
	var cli commands
	p := &process{env: map[string]string{"HOME": "~"}}
	parser, err := newParser(&cli, p, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, command := range parser.Model.Leaves(true) {
		describe(&out, command, p.sources)
	}
	return out.String()
}

func describe(out *bytes.Buffer, command *kong.Node, s *sources) {
	var arguments strings.Builder
	for _, p := range command.Positional {
		arguments.WriteString(" " + strings.ToUpper(p.Name))
	}
	fmt.Fprintf(out, "\n### `stagedoor %s%s`\n\n%s\n",
		strings.TrimPrefix(command.FullPath(), "stagedoor "), arguments.String(), command.Help)
	flags, settings := ownFlags(command, s)
	if settings {
		fmt.Fprint(out, "\nIt takes the settings of `stagedoor serve`, too.\n")
	}
	if len(flags) == 0 {
		return
	}
	fmt.Fprint(out, "\n| flag | variable | default | what |\n|---|---|---|---|\n")
	for _, f := range flags {
		n, ok := s.names[f.Value]
		if !ok {
			continue
		}
		value := ""
		if f.Default != "" {
			value = "`" + f.Default + "`"
		}
		fmt.Fprintf(out, "| `--%s` | `%s` | %s | %s |\n", f.Name, n.variable, value,
			strings.ReplaceAll(f.Help, "|", "\\|"))
	}
}

// ownFlags returns the flags of a command. If a command other than `serve` accepts all settings of
// `serve`, ownFlags omits those settings and returns true.
func ownFlags(command *kong.Node, s *sources) (flags []*kong.Flag, settings bool) {
	for _, f := range command.Flags {
		settings = settings || f.Name == "listen" && s.isSetting(f) && command.Name != "serve"
	}
	for _, f := range command.Flags {
		if _, named := s.names[f.Value]; named && !(settings && s.isSetting(f)) {
			flags = append(flags, f)
		}
	}
	return flags, settings
}

var (
	shellBlock = regexp.MustCompile("(?ms)^ *```(?:sh|shell|bash)?\n(.*?)^ *```")
	shellEnd   = regexp.MustCompile(` (?:#|\||>|<|&&|;).*$`)
	shellWord  = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)
)

// TestCommandsOfTheDocumentsExist parses every command line of Stagedoor in the code blocks of the
// documents. Each must name a command and flags that exist.
func TestCommandsOfTheDocumentsExist(t *testing.T) {
	t.Parallel()
	paths := []string{"../../README.md", "../../deploy/README.md"}
	for _, pattern := range []string{"../../docs/*.md", "../../docs/guides/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	commands := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
				_, command, ok := strings.Cut(" "+strings.TrimSpace(line), " stagedoor ")
				if !ok || !startsCommand(line) {
					continue
				}
				commands++
				if err := parses(command); err != nil {
					t.Errorf("%s: stagedoor %s: %v", filepath.Base(path), command, err)
				}
			}
		}
	}
	if commands < 20 {
		t.Errorf("got %d commands, want those of all documents", commands)
	}
}

// startsCommand reports whether a line runs Stagedoor, rather than only mentioning it.
func startsCommand(line string) bool {
	line = strings.TrimPrefix(strings.TrimSpace(line), "sudo ")
	for strings.Contains(strings.SplitN(line, " ", 2)[0], "=") { // variables before the command
		_, line, _ = strings.Cut(line, " ")
	}
	return strings.HasPrefix(line, "stagedoor ") ||
		strings.HasPrefix(line, "go run ./cmd/stagedoor ")
}

func parses(command string) error {
	command = shellEnd.ReplaceAllString(" "+command, "")
	args := shellWord.FindAllString(command, -1)
	for i, arg := range args {
		args[i] = strings.NewReplacer("'", "", `"`, "").Replace(arg)
	}
	if slices.Contains(args, "--help") || slices.Contains(args, "--version") {
		return nil // these flags end the program
	}
	var cli commands
	parser, err := newParser(&cli, &process{env: map[string]string{"HOME": "/"}}, func(int) {})
	if err != nil {
		return err
	}
	_, err = parser.Parse(args)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the config file of the document does not exist in the test
	}
	return err
}
