package app

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the generated files")

const (
	tableStart = "<!-- settings: written by go generate ./internal/app -->\n"
	tableEnd   = "<!-- end of settings -->\n"
)

// TestOperateDocs holds the tables in docs/operate.md to the settings themselves.
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
		t.Errorf("%s does not list the settings as they are; write it with: go generate ./internal/app", path)
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
	fmt.Fprintf(out, "\n### `stagedoor %s%s`\n\n%s\n", strings.TrimPrefix(command.FullPath(), "stagedoor "), arguments.String(), command.Help)
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
		fmt.Fprintf(out, "| `--%s` | `%s` | %s | %s |\n", f.Name, n.variable, value, strings.ReplaceAll(f.Help, "|", "\\|"))
	}
}

// ownFlags leaves out the settings of serve where another command takes all of them.
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
