package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// UsersCommand is `stagedoor users`. It works on the database, whether a server runs or not.
type UsersCommand struct {
	Add    UsersAddCommand    `cmd:"" help:"Add somebody and print the link with which they choose their password."`
	List   UsersListCommand   `cmd:"" help:"List everybody."`
	Remove UsersRemoveCommand `cmd:"" help:"Remove somebody; their logins and tokens end."`
}

// UsersAddCommand is `stagedoor users add`.
type UsersAddCommand struct {
	DataSettings
	Name      string        `arg:"" help:"Name to sign in with."`
	Role      string        `help:"${enum}" enum:"broadcaster,operator" default:"broadcaster"`
	Stage     []string      `help:"Stages to grant, by name or ARN." placeholder:"STAGE,…"`
	Can       []string      `help:"Capabilities granted on these stages." enum:"publish,subscribe" default:"publish,subscribe"`
	MaxTTL    time.Duration `help:"Longest life of a token on these stages." name:"max-ttl" default:"12h"`
	PublicURL string        `help:"URL of the server, for the link." default:"http://127.0.0.1:8080"`
}

// Run adds somebody.
func (cmd *UsersAddCommand) Run(ctx context.Context, p *process) error {
	public, err := parsePublicURL(cmd.PublicURL)
	if err != nil {
		return err
	}
	return withControl(ctx, cmd.DataSettings, p, func(c *access.Control) error {
		grants, err := cmd.grants(ctx, c)
		if err != nil {
			return err
		}
		user, code, until, err := c.AddUser(ctx, access.CommandLine(), cmd.Name, access.Role(cmd.Role))
		if err != nil {
			return err
		}
		for _, g := range grants {
			g.User = user.ID
			if err := c.SetGrant(ctx, access.CommandLine(), g); err != nil {
				// Nobody would know the link of somebody half added, and the name would be taken.
				return errors.Join(err, c.RemoveUser(ctx, access.CommandLine(), user.ID))
			}
		}
		return cmd.print(p, user, public, code, until)
	})
}

func (cmd *UsersAddCommand) grants(ctx context.Context, c *access.Control) ([]access.Grant, error) {
	can, err := stage.ParseCapabilities(cmd.Can)
	if err != nil {
		return nil, err
	}
	known, err := c.Stages(ctx, access.CommandLine())
	if err != nil {
		return nil, err
	}
	var grants []access.Grant
	for _, wanted := range cmd.Stage {
		arn, err := findStage(known, wanted)
		if err != nil {
			return nil, err
		}
		grants = append(grants, access.Grant{Stage: arn, Capabilities: can, MaxTTL: cmd.MaxTTL})
	}
	return grants, nil
}

func findStage(known []access.StageAccess, wanted string) (stage.ARN, error) {
	names := make([]string, 0, len(known))
	for _, s := range known {
		if string(s.Stage.ARN) == wanted || strings.EqualFold(s.Stage.Name, wanted) {
			return s.Stage.ARN, nil
		}
		names = append(names, s.Stage.Name)
	}
	return "", fmt.Errorf("there is no stage %q; there are: %s", wanted, strings.Join(names, ", "))
}

func (cmd *UsersAddCommand) print(p *process, user access.User, public *url.URL, code stage.Secret, until time.Time) error {
	fmt.Fprintf(p.out, "%s can choose a password until %s, once, at\n  %s\n", user.Name, until.Local().Format("2 January 15:04"), web.InviteURL(public, code))
	if len(cmd.Stage) == 0 && user.Role == access.Broadcaster {
		fmt.Fprintf(p.out, "No stage is granted yet: do that on %s or with --stage.\n", public.JoinPath("operator"))
	}
	return nil
}

// UsersListCommand is `stagedoor users list`.
type UsersListCommand struct {
	DataSettings
}

// Run lists everybody.
func (cmd *UsersListCommand) Run(ctx context.Context, p *process) error {
	if err := checkDatabase(cmd.DataSettings); err != nil {
		return err
	}
	return withControl(ctx, cmd.DataSettings, p, func(c *access.Control) error {
		users, err := c.Users(ctx, access.CommandLine())
		if err != nil {
			return err
		}
		stages, err := c.Stages(ctx, access.CommandLine())
		if err != nil {
			return err
		}
		names := map[stage.ARN]string{}
		for _, s := range stages {
			names[s.Stage.ARN] = s.Stage.Name
		}
		w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tROLE\tSTAGES\tLAST SEEN")
		for _, u := range users {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Name, u.Role, grantWords(u.Grants, names), lastSeen(u.User))
		}
		return w.Flush()
	})
}

// grantWords names stages as --stage takes them.
func grantWords(grants []access.Grant, names map[stage.ARN]string) string {
	if len(grants) == 0 {
		return "-"
	}
	words := make([]string, 0, len(grants))
	for _, g := range grants {
		words = append(words, cmp.Or(names[g.Stage], string(g.Stage))+" ("+g.Capabilities.String()+")")
	}
	return strings.Join(words, ", ")
}

func lastSeen(u access.User) string {
	switch {
	case u.Invited:
		return "invited"
	case u.LastSeenAt.IsZero():
		return "never"
	default:
		return u.LastSeenAt.Local().Format("2006-01-02 15:04")
	}
}

// UsersRemoveCommand is `stagedoor users remove`.
type UsersRemoveCommand struct {
	DataSettings
	Name string `arg:"" help:"Name of the person."`
}

// Run removes somebody. A running server notices at their next knock, and within seconds at open pages.
func (cmd *UsersRemoveCommand) Run(ctx context.Context, p *process) error {
	if err := checkDatabase(cmd.DataSettings); err != nil {
		return err
	}
	return withControl(ctx, cmd.DataSettings, p, func(c *access.Control) error {
		users, err := c.Users(ctx, access.CommandLine())
		if err != nil {
			return err
		}
		for _, u := range users {
			if strings.EqualFold(u.Name, strings.TrimSpace(cmd.Name)) {
				if err := c.RemoveUser(ctx, access.CommandLine(), u.ID); err != nil {
					return err
				}
				fmt.Fprintln(p.out, u.Name, "is removed.")
				return nil
			}
		}
		return fmt.Errorf("there is nobody called %q; `stagedoor users list` lists everybody", cmd.Name)
	})
}

// withControl runs the rules over the database without a server around them.
func withControl(ctx context.Context, data DataSettings, p *process, do func(*access.Control) error) error {
	if err := makeDataFolder(data.Data); err != nil {
		return err
	}
	db, err := openStore(ctx, data, newLog(LogSettings{LogLevel: "warn"}, p.err))
	if err != nil {
		return err
	}
	defer db.Close()
	control := &access.Control{Store: db, Now: time.Now, Passwords: newPasswords(), Moderator: nobody{}}
	if err := firstStage(ctx, control); err != nil {
		return err
	}
	return do(control)
}

// nobody is the moderator of a process that carries no media: the server that does looks at the database itself.
type nobody struct{}

func (nobody) Participants(context.Context, stage.ARN) ([]stage.Presence, error) { return nil, nil }

func (nobody) Disconnect(context.Context, stage.ARN, stage.ParticipantID, string) error {
	return stage.Errorf(stage.ErrNotFound, "nobody is connected here")
}
