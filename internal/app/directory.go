package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// withRules opens the database for a command, and calls the given function with the configuration
// of an access.Control. This configuration has no issuer of tokens and no connected participants.
func withRules(
	ctx context.Context, data DataSettings, p *process, do func(access.Config) error,
) error {
	if err := makeDataFolder(data.Data); err != nil {
		return err
	}
	db, err := openStore(ctx, data, newLog(LogSettings{LogLevel: "warn"}, p.err))
	if err != nil {
		return err
	}
	defer db.Close()
	rules := access.Config{
		Store: db, Now: time.Now, Passwords: p.hashes(), Moderator: nobody{},
	}
	if err := access.New(rules).Stages.AddFirst(ctx, "main"); err != nil {
		return err
	}
	return do(rules)
}

// withControl opens the database for a command, and calls the given function with an
// access.Control.
func withControl(
	ctx context.Context, data DataSettings, p *process, do func(*access.Control) error,
) error {
	return withRules(ctx, data, p, func(rules access.Config) error {
		return do(access.New(rules))
	})
}

// withDirectory opens the database, which must exist, and calls the given function with its users
// and stages.
func withDirectory(
	ctx context.Context, data DataSettings, p *process, do func(*directory) error,
) error {
	if err := checkDatabase(data); err != nil {
		return err
	}
	return withRules(ctx, data, p, func(rules access.Config) error {
		d := &directory{rules: rules, control: access.New(rules)}
		var err error
		if d.stages, err = d.control.Stages.Of(ctx, access.CommandLine()); err != nil {
			return err
		}
		if d.users, err = d.control.Users(ctx, access.CommandLine()); err != nil {
			return err
		}
		return do(d)
	})
}

// A directory finds users and stages by the names on a command line.
type directory struct {
	rules   access.Config // the configuration of the control
	control *access.Control
	stages  []access.StageAccess
	users   []access.Person
}

// user finds an account by its name or ID.
func (d *directory) user(wanted string) (access.Person, error) {
	wanted = strings.TrimSpace(wanted)
	for _, u := range d.users {
		if strings.EqualFold(u.Name, wanted) || string(u.ID) == wanted {
			return u, nil
		}
	}
	return access.Person{}, fmt.Errorf(
		"there is no user %q; `stagedoor users list` lists all users", wanted)
}

// stage finds a stage by its name or ARN.
func (d *directory) stage(wanted string) (access.StageAccess, error) {
	names := make([]string, 0, len(d.stages))
	var found []access.StageAccess
	for _, s := range d.stages {
		if string(s.Stage.ARN) == wanted {
			return s, nil
		}
		if strings.EqualFold(s.Stage.Name, wanted) {
			found = append(found, s)
		}
		names = append(names, s.Stage.Name)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return access.StageAccess{}, fmt.Errorf(
			"there is no stage %q; there are: %s", wanted, strings.Join(names, ", "))
	default: // several AWS stages may have one name
		return access.StageAccess{}, fmt.Errorf(
			"%d stages are called %q; name one by its ARN, as `stagedoor stages list` shows it",
			len(found), wanted)
	}
}

// stageName returns the name of a stage as flags accept it.
func (d *directory) stageName(arn stage.ARN) string {
	i := slices.IndexFunc(d.stages, func(s access.StageAccess) bool { return s.Stage.ARN == arn })
	if i < 0 {
		return string(arn)
	}
	return cmp.Or(d.stages[i].Stage.Name, string(arn))
}

// nobody is a stage.Moderator without participants, for commands, which serve no stages. A running
// server reads from the database what commands have changed, and disconnects participants itself.
type nobody struct{}

func (nobody) Participants(context.Context, stage.ARN) ([]stage.Presence, error) { return nil, nil }

func (nobody) Disconnect(context.Context, stage.ARN, stage.ParticipantID, string) error {
	return stage.Errorf(stage.ErrNotFound, "no participant is connected here")
}

// LinkSettings set the URL of the server that printed links contain.
type LinkSettings struct {
	DataSettings
	PublicURL string `help:"URL of the server, for links; by default that of the last server that was started on the data folder." placeholder:"URL"`
}

// link returns the URL of the server for links. If no server was started from the data folder yet,
// link returns the URL of the default settings, and `guess` is true.
func (s LinkSettings) link() (u *url.URL, guess bool, err error) {
	text := s.PublicURL
	if text == "" {
		published, err := readPublished(s.Data)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, false, err
		}
		text, guess = cmp.Or(published.URL, "http://127.0.0.1:8080"), published.URL == ""
	}
	u, err = parsePublicURL(text)
	return u, guess, err
}
