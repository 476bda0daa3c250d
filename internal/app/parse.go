package app

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// parse parses a command line. If the command line asked only for help or the version, parse prints
// that and returns nil without an error.
func parse(p *process, args []string) (*kong.Context, error) {
	exited := false
	parser, err := newParser(&commands{}, p, func(int) { exited = true })
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(rewrite(args))
	switch {
	case exited:
		return nil, nil
	case err == nil:
		p.sources.warnOfSecrets(parsed)
		return parsed, nil
	}
	var failed *kong.ParseError
	if !errors.As(err, &failed) {
		return nil, err
	}
	if needsSubcommand(failed.Context) {
		return nil, failed.Context.PrintUsage(false)
	}
	return nil, p.usageError(failed)
}

func newParser(cli *commands, p *process, exit func(int)) (*kong.Kong, error) {
	p.sources = &sources{env: p.env, warn: p.err}
	parser, err := kong.New(cli,
		kong.Name("stagedoor"),
		kong.Description("Stagedoor lets broadcasters enter a real-time stage from OBS.\n\n"+
			"Every flag can be set by the environment variable named behind it,\n"+
			"and those of serve by a file (--config), too."),
		kong.Vars{
			"data": dataFolder(p.env), "default_ttl": hours(stage.DefaultTTL),
			"scopes": scopeNames(),
		},
		kong.Writers(p.out, p.err),
		kong.Exit(exit),
		kong.Resolvers(p.sources),
		kong.ValueFormatter(p.sources.help),
		kong.ConfigureHelp(kong.HelpOptions{
			Compact: true, FlagsLast: true, NoExpandSubcommands: true,
		}),
		kong.TypeMapper(reflect.TypeFor[netip.Prefix](), prefixMapper{}),
	)
	if err == nil {
		p.sources.learn(parser.Model)
	}
	return parser, err
}

var (
	longFlag       = regexp.MustCompile(`^--[a-z][a-z0-9-]*$`)
	negativeNumber = regexp.MustCompile(`^-[0-9.]+[a-zµ]*$`)
)

// rewrite turns `help COMMAND` into `COMMAND --help` and an empty command line into `--help`. It
// joins a flag and its negative number, which kong would parse as a short flag.
func rewrite(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help" && !slices.Contains(args, "--help"):
		return append(slices.Clone(args[1:]), "--help")
	}
	var joined []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(joined, args[i:]...)
		}
		if i+1 < len(args) && longFlag.MatchString(args[i]) &&
			negativeNumber.MatchString(args[i+1]) {
			joined = append(joined, args[i]+"="+args[i+1])
			i++
			continue
		}
		joined = append(joined, args[i])
	}
	return joined
}

// needsSubcommand reports whether the command line ends with a group such as `users`.
func needsSubcommand(c *kong.Context) bool {
	last := c.Path[len(c.Path)-1]
	return last.Command != nil && !last.Command.Leaf() && len(last.Remainder()) == 0
}

// usageError adds to an error the source of the wrong value, and the command that prints the help.
func (p *process) usageError(failed *kong.ParseError) error {
	var broken configError
	if errors.As(failed, &broken) {
		return broken
	}
	node := failed.Context.Model.Node
	for _, step := range failed.Context.Path {
		if step.Command != nil {
			node = step.Command
		}
	}
	from := ""
	if flag := regexp.MustCompile(`--([a-z0-9-]+)`).FindStringSubmatch(failed.Error()); flag != nil {
		if where := p.sources.where(node, flag[1]); where != "" {
			from = " (set by " + string(where) + ")"
		}
	}
	command, _, _ := strings.Cut(node.FullPath(), " <") // the command's path without its arguments
	return UsageError{fmt.Errorf("%w%s; see %s --help", failed, from, command)}
}

// hours formats a duration in hours, as flags accept it.
func hours(d time.Duration) string { return fmt.Sprintf("%gh", d.Hours()) }

// HelpCommand is `stagedoor help`. The parser rewrites it to --help, so it never runs.
type HelpCommand struct {
	Command []string `arg:"" optional:"" help:"Command, such as users add."`
}

// Run does nothing, because `rewrite` has replaced the command by the flag --help.
func (HelpCommand) Run() error { return nil }

// prefixMapper parses a network in CIDR notation. A single address is a network of one address.
type prefixMapper struct{}

func (prefixMapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("network", &text); err != nil {
		return err
	}
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		target.Set(reflect.ValueOf(netip.PrefixFrom(address, address.BitLen())))
		return nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return err
	}
	// The server converts IPv4-mapped addresses of clients to IPv4, so networks must be IPv4, too.
	if bits := prefix.Bits() - 96; prefix.Addr().Is4In6() && bits >= 0 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), bits)
	}
	target.Set(reflect.ValueOf(prefix.Masked()))
	return nil
}
