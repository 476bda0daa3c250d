package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/keys"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// KeysCommand is `stagedoor keys`: own keys that sign tokens for AWS stages.
type KeysCommand struct {
	Create KeysCreateCommand `cmd:"" help:"Create a key, import its public half into AWS, and sign with the key from now on."`
	Import KeysImportCommand `cmd:"" help:"Sign with an existing key: a PEM file (SEC1 or PKCS#8, P-384) or a key in AWS KMS."`
	List   KeysListCommand   `cmd:"" help:"List the keys and their states."`
	Rotate KeysRotateCommand `cmd:"" help:"Replace a key without breaking a token: import the new key, sign with it, and delete the old key when its last token has expired."`
	Retire KeysRetireCommand `cmd:"" help:"Stop signing with a key: the AWS API issues the tokens again, and the key is deleted when its last token has expired."`
}

// KeySettings are the settings of the keys commands that change a key.
type KeySettings struct {
	Data        string `help:"Folder of the server; the keys are in its folder keys." placeholder:"DIR" default:"${data}"`
	Database    string `help:"PostgreSQL of the server, for its audit trail; by default the SQLite file in the data folder." placeholder:"postgres://…" secret:"password" old:""`
	Region      string `help:"AWS region of the key." required:"" placeholder:"REGION" old:""`
	IVSEndpoint string `help:"Endpoint of the IVS real-time API; only for an emulator." name:"ivs-endpoint" placeholder:"URL"`
	LogLevel    string `help:"The lowest level that is logged: ${enum}. Level debug adds the messages of AWS." enum:"debug,info,warn,error" default:"warn"`
}

func (s KeySettings) manager(ctx context.Context, log *slog.Logger) (*keys.Manager, error) {
	settings := AWSSettings{IVSRegion: []string{s.Region}, IVSEndpoint: s.IVSEndpoint}
	if err := settings.check(); err != nil {
		return nil, err
	}
	if err := makeDataFolder(s.Data); err != nil {
		return nil, err
	}
	// without a log, because the caller prints the errors
	side, err := openAWS(ctx, settings, s.Data, ivs.Config{}, nil)
	if err != nil {
		return nil, err
	}
	return keys.New(keys.Config{Dir: keysFolder(s.Data), AWS: side.Service, Now: time.Now,
		Log: log}), nil
}

// do changes the keys by the function `change`, and then prints all keys.
func (s KeySettings) do(
	ctx context.Context, p *process, action access.Action,
	change func(*keys.Manager) (keys.Key, error),
) error {
	log := newLog(LogSettings{LogLevel: s.LogLevel}, p.err)
	m, err := s.manager(ctx, log)
	if err != nil {
		return err
	}
	k, err := change(m)
	if err != nil {
		log.DebugContext(ctx, "the change of keys failed", "err", err)
		return forPerson(err)
	}
	fmt.Fprintf(p.out, "%s: %s\n", k.Name, k.State)
	if err := s.note(ctx, p, action, k); err != nil {
		fmt.Fprintf(p.err, "The server's audit trail has no entry of this change: %v\n", err)
	}
	return printKeys(ctx, p, m)
}

// note adds a change to the audit trail of the server, if the server's database exists.
func (s KeySettings) note(
	ctx context.Context, p *process, action access.Action, k keys.Key,
) error {
	data := DataSettings{Data: s.Data, Database: s.Database}
	if _, err := os.Stat(databaseFile(data)); s.Database == "" && errors.Is(err, fs.ErrNotExist) {
		return nil // no server has run on this folder yet
	}
	return withControl(ctx, data, p, func(c *access.Control) error {
		return c.OwnKeys.Change(ctx, access.CommandLine(), action, s.Region,
			func(context.Context) (string, error) { return k.Name, nil })
	})
}

// forPerson returns an error that has only the sentence for people, without the causes.
func forPerson(err error) error {
	var known *stage.Error
	if errors.As(err, &known) {
		return errors.New(known.Detail)
	}
	return err
}

// KeysCreateCommand is `stagedoor keys create`.
type KeysCreateCommand struct{ KeySettings }

// Run creates a key.
func (cmd *KeysCreateCommand) Run(ctx context.Context, p *process) error {
	return cmd.do(ctx, p, access.ActionOwnKeyCreated, func(m *keys.Manager) (keys.Key, error) {
		return m.Add(ctx, cmd.Region, keys.Source{})
	})
}

// SourceSettings name the source of a private key.
type SourceSettings struct {
	PEM string `help:"File with the private key." type:"existingfile" name:"pem" xor:"source" placeholder:"FILE" old:""`
	KMS string `help:"ID, alias or ARN of an ECC_NIST_P384 key in AWS KMS." name:"kms" xor:"source" placeholder:"KEY" old:""`
}

func (s SourceSettings) source() (keys.Source, error) {
	if s.PEM == "" {
		return keys.Source{KMS: s.KMS}, nil
	}
	text, err := readSecret(s.PEM)
	if err != nil {
		return keys.Source{}, fmt.Errorf("%s cannot be read: %w", s.PEM, reason(err))
	}
	private, err := keys.ParsePEM(stage.NewSecret(text))
	if err != nil {
		return keys.Source{}, fmt.Errorf("%s: %w", s.PEM, forPerson(err))
	}
	return keys.Source{Private: private}, nil
}

// KeysImportCommand is `stagedoor keys import`.
type KeysImportCommand struct {
	KeySettings
	SourceSettings
}

// Run imports a key.
func (cmd *KeysImportCommand) Run(ctx context.Context, p *process) error {
	if cmd.PEM == "" && cmd.KMS == "" {
		return UsageError{fmt.Errorf("say where the key is: --pem FILE or --kms KEY")}
	}
	from, err := cmd.source()
	if err != nil {
		return err
	}
	return cmd.do(ctx, p, access.ActionOwnKeyCreated, func(m *keys.Manager) (keys.Key, error) {
		return m.Add(ctx, cmd.Region, from)
	})
}

// KeysRotateCommand is `stagedoor keys rotate`.
type KeysRotateCommand struct {
	KeySettings
	SourceSettings
}

// Run rotates the key.
func (cmd *KeysRotateCommand) Run(ctx context.Context, p *process) error {
	from, err := cmd.source()
	if err != nil {
		return err
	}
	return cmd.do(ctx, p, access.ActionOwnKeyRotated, func(m *keys.Manager) (keys.Key, error) {
		return m.Rotate(ctx, cmd.Region, from)
	})
}

// KeysRetireCommand is `stagedoor keys retire`.
type KeysRetireCommand struct{ KeySettings }

// Run retires the key.
func (cmd *KeysRetireCommand) Run(ctx context.Context, p *process) error {
	return cmd.do(ctx, p, access.ActionOwnKeyRetired, func(m *keys.Manager) (keys.Key, error) {
		return m.Retire(ctx, cmd.Region)
	})
}

// KeysListCommand is `stagedoor keys list`.
type KeysListCommand struct {
	Data string `help:"Folder of the server." placeholder:"DIR" default:"${data}"`
}

// Run lists the keys. It does not call AWS.
func (cmd *KeysListCommand) Run(ctx context.Context, p *process) error {
	return printKeys(ctx, p, keys.New(keys.Config{Dir: keysFolder(cmd.Data), Now: time.Now}))
}

func printKeys(ctx context.Context, p *process, m *keys.Manager) error {
	list, err := m.List(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tREGION\tSTATE\tPRIVATE HALF\tLAST TOKEN UNTIL\tARN")
	for _, k := range list {
		where, until := "file", "-"
		if k.KMS != "" {
			where = "KMS " + k.KMS
		}
		if !k.LastExpiry.IsZero() {
			until = k.LastExpiry.Local().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Name, k.Region, k.State, where, until, k.ARN)
	}
	return w.Flush()
}
