// Package app defines the settings and the commands, and wires the other packages together.
package app

import (
	"context"
	"io"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
)

type commands struct {
	Config      string      `help:"YAML file with settings of the server, under the names of the flags." placeholder:"FILE"`
	ShowVersion versionFlag `help:"Print the version and how it was built." name:"version"`

	Serve    ServeCommand   `cmd:"" help:"Serve sign-in, docks, tokens and the local stages."`
	Users    UsersCommand   `cmd:"" help:"Add, invite, list and remove users, and give them access to stages."`
	Stages   StagesCommand  `cmd:"" help:"Add, list, change and remove stages."`
	Tokens   TokensCommand  `cmd:"" help:"Create, list and revoke participant tokens."`
	Keys     KeysCommand    `cmd:"" help:"Own keys that sign tokens for AWS stages."`
	OBS      OBSCommand     `cmd:"" name:"obs" help:"Set up and run OBS from a terminal, as the dock does."`
	Backup   BackupCommand  `cmd:"" help:"Copy the database and the keys into one file, while the server runs."`
	Restore  RestoreCommand `cmd:"" help:"Write the database and the keys of a backup into a new data folder."`
	APIKeys  APIKeysCommand `cmd:"" name:"api-keys" help:"Create, list and revoke API keys for programs."`
	Settings ConfigCommand  `cmd:"" name:"config" help:"Check the settings."`
	Doctor   DoctorCommand  `cmd:"" help:"Check the set-up from the settings to the public URL: one line for each check, and what to do."`
	Health   HealthCommand  `cmd:"" help:"Exit with 0 if the server of the data folder serves; for containers."`
	Emulate  EmulateCommand `cmd:"" help:"Emulate the Amazon IVS real-time API with real media, for tests."`
	WHIP     WHIPCommand    `cmd:"" name:"whip" help:"Check other WHIP endpoints."`
	Lambda   LambdaCommand  `cmd:"" help:"Serve AWS stages as a function on AWS Lambda."`
	Version  VersionCommand `cmd:"" help:"Print the version and how it was built."`
	Help     HelpCommand    `cmd:"" help:"Print the help of a command."`

	Completion CompletionCommand `cmd:"" help:"Print a script that completes commands and flags in a shell."`
	Manual     ManualCommand     `cmd:"" hidden:"" help:"Print the man page."`
}

// A UsageError is the error of an invalid command line.
type UsageError struct{ error }

// process is what a command gets from the operating system: variables, input and output.
type process struct {
	env      map[string]string
	in       io.Reader
	out, err io.Writer
	sources  *sources // the source of each setting

	passwords  *access.PasswordParams // the cost of hashing a password
	keepMemory bool                   // returns no memory to the system after the start
}

// An Option is a choice of the code that calls Run. It has no flag, environment variable or setting
// in the config file.
type Option func(*process)

// HashPasswordsAt sets the costs of hashing a password. Without it they are
// access.DefaultPasswordParams; tests lower them.
func HashPasswordsAt(costs *access.PasswordParams) Option {
	return func(p *process) { p.passwords = costs }
}

// KeepMemory keeps the memory that only the start needed, instead of returning it to the system. It
// is for processes that start many servers, such as tests.
func KeepMemory() Option {
	return func(p *process) { p.keepMemory = true }
}

// Run runs a command line. The text of its error is one sentence for the person at the terminal.
func Run(
	ctx context.Context, args, environ []string, in io.Reader, out, errOut io.Writer,
	options ...Option,
) error {
	p := &process{
		env: map[string]string{}, in: in,
		out: &printableWriter{to: out}, err: &printableWriter{to: errOut},
		passwords: access.DefaultPasswordParams(),
	}
	for _, option := range options {
		option(p)
	}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			p.env[name] = value
		}
	}
	if len(args) == 0 && p.env["AWS_LAMBDA_RUNTIME_API"] != "" {
		args = []string{"lambda"} // Lambda starts the program without arguments
	}
	parsed, err := parse(p, args)
	if parsed == nil || err != nil {
		return err
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return parsed.Run(p)
}
