// Package app is the top floor: the settings table and the commands. It wires the house and decides nothing.
package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// Version is set by the linker in releases.
var Version = ""

// version is the release, or the commit that was built.
func version() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

type commands struct {
	Serve   ServeCommand   `cmd:"" help:"Serve sign-in, docks, tokens and the local stage."`
	Users   UsersCommand   `cmd:"" help:"Add, list and remove people."`
	Keys    KeysCommand    `cmd:"" help:"Own keys that sign tokens for stages of AWS."`
	OBS     OBSCommand     `cmd:"" name:"obs" help:"Set up and run an OBS from a terminal, as the dock does."`
	Emulate EmulateCommand `cmd:"" help:"Emulate the Amazon IVS real-time API, with real media behind it. Not IVS."`
	WHIP    WHIPCommand    `cmd:"" name:"whip" help:"Check other WHIP endpoints."`
	Version VersionCommand `cmd:"" help:"Print the version."`
}

// A UsageError is a command line that cannot be understood.
type UsageError struct{ error }

// process is what a command may touch of the process it runs in.
type process struct {
	env      map[string]string
	in       io.Reader
	out, err io.Writer
}

// Run runs a command line. Its error is one sentence for the person at the terminal.
func Run(ctx context.Context, args, environ []string, in io.Reader, out, errOut io.Writer) error {
	p := &process{env: map[string]string{}, in: in, out: out, err: errOut}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			p.env[name] = value
		}
	}
	var cli commands
	exited := false
	parser, err := newParser(&cli, p, func(int) { exited = true })
	if err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited { // --help was asked for and printed
		return nil
	}
	if err != nil {
		return UsageError{fmt.Errorf("%w (stagedoor --help lists what there is)", err)}
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return parsed.Run(p)
}

func newParser(cli *commands, p *process, exit func(int)) (*kong.Kong, error) {
	return kong.New(cli,
		kong.Name("stagedoor"),
		kong.Description("Stagedoor lets broadcasters enter a real-time stage from OBS.\n\nEvery flag can be set by the environment variable named behind it."),
		kong.Vars{"data": dataFolder(p.env)},
		kong.Writers(p.out, p.err),
		kong.Exit(exit),
		kong.Resolvers(fromEnvironment(p.env)),
		kong.ValueFormatter(helpWithVariable),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.TypeMapper(reflect.TypeFor[netip.Prefix](), prefixMapper{}),
	)
}

// VersionCommand is `stagedoor version`.
type VersionCommand struct{}

// Run prints the version.
func (VersionCommand) Run(p *process) error {
	_, err := fmt.Fprintln(p.out, "stagedoor", version())
	return err
}

func newLog(s LogSettings, w io.Writer) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(s.LogLevel)) // kong's enum leaves no other
	options := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
