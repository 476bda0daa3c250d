package app

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// CompletionCommand is `stagedoor completion`.
type CompletionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"${enum}."`
}

// Run prints a script that completes commands and flags.
func (cmd *CompletionCommand) Run(c *kong.Context, p *process) error {
	script := map[string]func(*kong.Application) string{
		"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion,
	}[cmd.Shell]
	_, err := io.WriteString(p.out, script(c.Model))
	return err
}

// eachCommand calls the given function for each command, with the words of its path, its
// subcommands and its flags.
func eachCommand(
	model *kong.Application, do func(path string, commands []*kong.Node, flags []*kong.Flag),
) {
	var walk func(words []string, node *kong.Node)
	walk = func(words []string, node *kong.Node) {
		var children []*kong.Node
		for _, child := range node.Children {
			if !child.Hidden {
				children = append(children, child)
			}
		}
		flags := model.Flags
		if node != model.Node {
			flags = append(flags[:len(flags):len(flags)], node.Flags...)
		}
		do(strings.Join(words, " "), children, flags)
		for _, child := range children {
			walk(append(words[:len(words):len(words)], child.Name), child)
		}
	}
	walk(nil, model.Node)
}

// allPaths returns the paths of all commands as one pattern for a case statement of the shell.
func allPaths(model *kong.Application) string {
	var paths []string
	eachCommand(model, func(path string, _ []*kong.Node, _ []*kong.Flag) {
		if path != "" {
			paths = append(paths, `"`+path+`"`)
		}
	})
	return strings.Join(paths, "|")
}

// bashCompletion returns a completion script for bash. The script finds the command from the words
// before the cursor, and offers its subcommands and flags.
func bashCompletion(model *kong.Application) string {
	var cases strings.Builder
	eachCommand(model, func(path string, commands []*kong.Node, flags []*kong.Flag) {
		var words []string
		for _, command := range commands {
			words = append(words, command.Name)
		}
		for _, flag := range flags {
			words = append(words, "--"+flag.Name)
		}
		fmt.Fprintf(&cases, "    %q) words=%q ;;\n", path, strings.Join(words, " "))
	})
	return `_stagedoor() {
  local path= word words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case "${path:+$path }$word" in
    ` + allPaths(model) + `) path=${path:+$path }$word ;;
    esac
  done
  case "$path" in
` + cases.String() + `  esac
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _stagedoor stagedoor
`
}

func zshCompletion(model *kong.Application) string {
	var cases strings.Builder
	eachCommand(model, func(path string, commands []*kong.Node, flags []*kong.Flag) {
		fmt.Fprintf(&cases, "    %q)\n      commands=(", path)
		for _, command := range commands {
			fmt.Fprintf(&cases, "\n        %s", quoted(command.Name+":"+command.Help))
		}
		fmt.Fprint(&cases, ")\n      flags=(")
		for _, flag := range flags {
			fmt.Fprintf(&cases, "\n        %s", quoted("--"+flag.Name+":"+flag.Help))
		}
		fmt.Fprint(&cases, ") ;;\n")
	})
	return `#compdef stagedoor
_stagedoor() {
  local at= word i
  local -a commands flags
  for ((i = 2; i < CURRENT; i++)); do
    word=${words[i]}
    case "${at:+$at }$word" in
    ` + allPaths(model) + `) at=${at:+$at }$word ;;
    esac
  done
  case "$at" in
` + cases.String() + `  esac
  if [[ ${words[CURRENT]} == -* ]]; then
    _describe -o flag flags
  elif ((${#commands})); then
    _describe command commands
  else
    _files
  fi
}
_stagedoor "$@"
`
}

func fishCompletion(model *kong.Application) string {
	var lines strings.Builder
	eachCommand(model, func(path string, commands []*kong.Node, flags []*kong.Flag) {
		at := quoted("test (__stagedoor_command) = " + quoted(path))
		for _, command := range commands {
			fmt.Fprintf(&lines, "complete -c stagedoor -f -n %s -a %s -d %s\n", at, command.Name,
				quoted(command.Help))
		}
		for _, flag := range flags {
			value := " -r"
			if flag.IsBool() {
				value = ""
			}
			fmt.Fprintf(&lines, "complete -c stagedoor -n %s -l %s%s -d %s\n", at, flag.Name, value,
				quoted(flag.Help))
		}
	})
	return `function __stagedoor_command
  set -l at
  for word in (commandline -opc)[2..]
    switch (string join ' ' $at $word)
    case ` + strings.ReplaceAll(allPaths(model), "|", " ") + `
      set -a at $word
    end
  end
  string join ' ' "" $at | string trim
end
` + lines.String()
}

// quoted quotes a text for a shell.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
