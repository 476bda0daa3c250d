package app

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// ManualCommand is `stagedoor manual`. Packages build their man page from its output.
type ManualCommand struct{}

// Run prints the man page in the roff format of man(7).
func (ManualCommand) Run(c *kong.Context, p *process) error {
	_, err := io.WriteString(p.out, manual(c.Model, p.sources))
	return err
}

func manual(model *kong.Application, s *sources) string {
	var page strings.Builder
	page.WriteString(".TH STAGEDOOR 1 \"\" \"\" \"User Commands\"\n.SH NAME\n" +
		"stagedoor \\- lets broadcasters enter a real\\-time stage from OBS\n.SH SYNOPSIS\n" +
		".B stagedoor\n.I command\n[\\fIflags\\fR]\n.SH DESCRIPTION\n")
	for _, paragraph := range strings.Split(model.Help, "\n\n") {
		page.WriteString(roff(strings.ReplaceAll(paragraph, "\n", " ")) + "\n.PP\n")
	}
	page.WriteString(".SH FLAGS OF EVERY COMMAND\n")
	for _, flag := range model.Flags {
		manualFlag(&page, flag, s)
	}
	page.WriteString(".SH COMMANDS\n")
	for _, command := range model.Leaves(true) {
		fmt.Fprintf(&page, ".SS \"%s\"\n%s\n", roff(command.FullPath()), roff(command.Help))
		for _, argument := range command.Positional {
			fmt.Fprintf(&page, ".TP\n.I %s\n%s\n", roff(argument.Summary()), roff(argument.Help))
		}
		for _, flag := range command.Flags {
			manualFlag(&page, flag, s)
		}
	}
	page.WriteString(".SH FILES\n.TP\n.I /etc/stagedoor/stagedoor.yaml\n" +
		"Settings of a packaged Stagedoor; read where no other file is named.\n" +
		".SH EXIT STATUS\n0 on success, 1 on failure, 2 where the command line cannot be " +
		"understood.\n")
	return page.String()
}

func manualFlag(page *strings.Builder, flag *kong.Flag, s *sources) {
	if flag.Hidden {
		return
	}
	fmt.Fprintf(page, ".TP\n\\fB\\-\\-%s\\fR", roff(flag.Name))
	if !flag.IsBool() {
		fmt.Fprintf(page, "=\\fI%s\\fR", roff(flag.FormatPlaceHolder()))
	}
	fmt.Fprintf(page, "\n%s\n", roff(s.help(flag.Value)))
}

// roff escapes characters that have a meaning in man pages.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...", "→", `\(->`, "–", `\(en`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
