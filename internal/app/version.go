package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// The linker sets these variables in releases.
var (
	Version = "" // for example v1.2.3
	Commit  = ""
	Date    = "" // date of the commit, in RFC 3339
)

// A buildInfo describes the build of the program.
type buildInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"` // date of the commit
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// readBuildInfo returns the values that the linker set, or else those that the Go toolchain
// recorded.
func readBuildInfo() buildInfo {
	b := buildInfo{
		Version: Version, Commit: Commit, Date: Date,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	b.Version = cmp.Or(b.Version, info.Main.Version, "(devel)")
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = cmp.Or(b.Commit, s.Value)
		case "vcs.time":
			b.Date = cmp.Or(b.Date, s.Value)
		case "vcs.modified":
			b.Modified = Commit == "" && s.Value == "true"
		}
	}
	return b
}

// version returns the version of the release, or else the version that the Go toolchain recorded.
func version() string { return readBuildInfo().Version }

func (b buildInfo) print(w io.Writer) error {
	commit := cmp.Or(b.Commit, "unknown")
	if b.Modified {
		commit += " with changes"
	}
	_, err := fmt.Fprintf(
		w, "stagedoor %s\ncommit    %s\ndate      %s\ngo        %s\nplatform  %s\n",
		b.Version, commit, cmp.Or(b.Date, "unknown"), b.Go, b.Platform)
	return err
}

// VersionCommand is `stagedoor version`.
type VersionCommand struct {
	JSON bool `help:"Answer in JSON, for scripts." name:"json"`
}

// Run prints the version.
func (cmd VersionCommand) Run(p *process) error {
	if cmd.JSON {
		return printJSON(p.out, readBuildInfo())
	}
	return readBuildInfo().print(p.out)
}

// versionFlag is --version, which prints the version as VersionCommand does and ends the program.
type versionFlag bool

// IgnoreDefault implements kong's interface for flags that run code, such as --help.
func (versionFlag) IgnoreDefault() {}

// BeforeReset runs before flags are checked, so that --version works even with invalid flags.
func (versionFlag) BeforeReset(k *kong.Kong) error {
	err := readBuildInfo().print(k.Stdout)
	k.Exit(0)
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
