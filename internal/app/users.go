package app

import (
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
	Add    UsersAddCommand    `cmd:"" help:"Add a user and print the link with which the user chooses a password."`
	Invite UsersInviteCommand `cmd:"" help:"Print a new link for a user: for a lost link, or a forgotten password."`
	List   UsersListCommand   `cmd:"" help:"List all users with their stages."`
	Remove UsersRemoveCommand `cmd:"" help:"Remove a user; their logins and tokens end."`
	Grant  UsersGrantCommand  `cmd:"" help:"Give a user access to stages, or change that access."`
	Revoke UsersRevokeCommand `cmd:"" help:"Remove a user's access to stages; the tokens that depend on it end."`
}

// AnswerSettings set the format of a command's output.
type AnswerSettings struct {
	JSON bool `help:"Answer in JSON, for scripts." name:"json"`
}

// UsersAddCommand is `stagedoor users add`.
type UsersAddCommand struct {
	LinkSettings
	AnswerSettings
	Name   string        `arg:"" help:"Name to sign in with."`
	Role   string        `help:"Role of the account: ${enum}." enum:"broadcaster,operator" default:"broadcaster" old:""`
	Stage  []string      `help:"Stages to grant, by name or ARN." placeholder:"STAGE" old:""`
	Can    []string      `help:"Capabilities granted on these stages." enum:"publish,subscribe" default:"publish,subscribe" old:""`
	MaxTTL time.Duration `help:"Longest life of a token on these stages." name:"max-ttl" default:"${default_ttl}" old:""`
}

// Run adds a user.
func (cmd *UsersAddCommand) Run(ctx context.Context, p *process) error {
	public, guess, err := cmd.link()
	if err != nil {
		return err
	}
	return withControl(ctx, cmd.DataSettings, p, func(c *access.Control) error {
		stages, err := c.Stages.Of(ctx, access.CommandLine())
		if err != nil {
			return err
		}
		d := &directory{control: c, stages: stages}
		grants, err := d.grants(cmd.Stage, cmd.Can, cmd.MaxTTL)
		if err != nil {
			return err
		}
		user, code, until, err := c.AddUser(ctx, access.CommandLine(), cmd.Name,
			access.Role(cmd.Role))
		if err != nil {
			return err
		}
		if err := d.setGrants(ctx, user, grants); err != nil {
			// After an error the command prints no link. The account is removed, since it would be
			// useless without one.
			return errors.Join(err, c.RemoveUser(ctx, access.CommandLine(), user.ID))
		}
		return cmd.print(p, d, access.Person{User: user, Grants: grants},
			invitation(public, guess, code, until))
	})
}

func (cmd *UsersAddCommand) print(
	p *process, d *directory, user access.Person, i userInvite,
) error {
	if cmd.JSON {
		return printJSON(p.out, struct {
			User   userJSON   `json:"user"`
			Invite userInvite `json:"invite"`
		}{d.describe(user), i})
	}
	i.print(p, user.Name)
	if len(cmd.Stage) == 0 && user.Role == access.Broadcaster {
		fmt.Fprintf(p.out, "No stage is granted yet: stagedoor users grant %q STAGE\n", user.Name)
	}
	return nil
}

// A userInvite is the link with which a user chooses a password.
type userInvite struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expiresAt"`
	guess     bool      // the URL is a guess: no server was started from the data folder yet
}

func invitation(public *url.URL, guess bool, code stage.Secret, until time.Time) userInvite {
	return userInvite{web.InviteURL(public, code), until, guess}
}

func (i userInvite) print(p *process, name string) {
	fmt.Fprintf(p.out, "%s can choose a password until %s, once, at\n  %s\n",
		name, i.ExpiresAt.Local().Format("2 January 15:04"), i.URL)
	if i.guess {
		fmt.Fprintln(p.err, "stagedoor: no server was started from this data folder yet, so the "+
			"address in the link is a guess; --public-url sets it")
	}
}

// UsersInviteCommand is `stagedoor users invite`.
type UsersInviteCommand struct {
	LinkSettings
	AnswerSettings
	Name string `arg:"" help:"Name of the user."`
}

// Run creates a new link. The old password stays valid until the link is used.
func (cmd *UsersInviteCommand) Run(ctx context.Context, p *process) error {
	public, guess, err := cmd.link()
	if err != nil {
		return err
	}
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		user, err := d.user(cmd.Name)
		if err != nil {
			return err
		}
		_, code, until, err := d.control.Invites.Renew(ctx, access.CommandLine(), user.ID)
		if err != nil {
			return err
		}
		i := invitation(public, guess, code, until)
		if cmd.JSON {
			return printJSON(p.out, struct {
				Invite userInvite `json:"invite"`
			}{i})
		}
		i.print(p, user.Name)
		return nil
	})
}

// UsersListCommand is `stagedoor users list`.
type UsersListCommand struct {
	DataSettings
	AnswerSettings
}

// Run lists all users.
func (cmd *UsersListCommand) Run(ctx context.Context, p *process) error {
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		if cmd.JSON {
			list := make([]userJSON, 0, len(d.users))
			for _, u := range d.users {
				list = append(list, d.describe(u))
			}
			return printJSON(p.out, map[string][]userJSON{"users": list})
		}
		w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tROLE\tSTAGES\tLAST SEEN")
		for _, u := range d.users {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", u.Name, u.Role, d.grantWords(u.Grants),
				lastSeen(u.User))
		}
		return w.Flush()
	})
}

// A userJSON is a user as --json prints it.
type userJSON struct {
	ID         access.UserID `json:"id"`
	Name       string        `json:"name"`
	Role       access.Role   `json:"role"`
	Invited    bool          `json:"invited"`
	CreatedAt  time.Time     `json:"createdAt"`
	LastSeenAt *time.Time    `json:"lastSeenAt,omitempty"`
	Grants     []grantJSON   `json:"grants"`
}

type grantJSON struct {
	Stage        stage.ARN `json:"stage"`
	Name         string    `json:"name"`
	Capabilities []string  `json:"capabilities"`
	MaxTTL       int64     `json:"maxTTL"` // seconds
}

func (d *directory) describe(u access.Person) userJSON {
	out := userJSON{
		ID: u.ID, Name: u.Name, Role: u.Role, Invited: u.Invited,
		CreatedAt: u.CreatedAt, LastSeenAt: timeOrNil(u.LastSeenAt), Grants: []grantJSON{},
	}
	for _, g := range u.Grants {
		out.Grants = append(out.Grants, grantJSON{
			g.Stage, d.stageName(g.Stage), g.Capabilities.Words(), int64(g.MaxTTL / time.Second),
		})
	}
	return out
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// grantWords lists the granted stages with their capabilities, or returns "-" if there are none.
func (d *directory) grantWords(grants []access.Grant) string {
	if len(grants) == 0 {
		return "-"
	}
	words := make([]string, 0, len(grants))
	for _, g := range grants {
		words = append(words, d.stageName(g.Stage)+" ("+g.Capabilities.String()+")")
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
	Name string `arg:"" help:"Name of the user."`
}

// Run removes a user. A running server refuses the user's next request, and signs the user's open
// pages out within seconds.
func (cmd *UsersRemoveCommand) Run(ctx context.Context, p *process) error {
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		user, err := d.user(cmd.Name)
		if err != nil {
			return err
		}
		if err := d.control.RemoveUser(ctx, access.CommandLine(), user.ID); err != nil {
			return err
		}
		fmt.Fprintln(p.out, user.Name, "is removed.")
		return nil
	})
}

// UsersGrantCommand is `stagedoor users grant`.
type UsersGrantCommand struct {
	DataSettings
	Name   string        `arg:"" help:"Name of the user."`
	Stages []string      `arg:"" name:"stage" help:"Stages, by name or ARN."`
	Can    []string      `help:"Capabilities on these stages." enum:"publish,subscribe" default:"publish,subscribe"`
	MaxTTL time.Duration `help:"Longest life of a token on these stages." name:"max-ttl" default:"${default_ttl}"`
}

// Run sets the user's grants on the stages.
func (cmd *UsersGrantCommand) Run(ctx context.Context, p *process) error {
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		user, err := d.user(cmd.Name)
		if err != nil {
			return err
		}
		grants, err := d.grants(cmd.Stages, cmd.Can, cmd.MaxTTL)
		if err != nil {
			return err
		}
		if err := d.setGrants(ctx, user.User, grants); err != nil {
			return err
		}
		fmt.Fprintf(p.out, "%s has access to %s, with tokens of at most %v.\n",
			user.Name, d.grantWords(grants), cmd.MaxTTL)
		return nil
	})
}

func (d *directory) grants(
	stages, can []string, maxTTL time.Duration,
) (grants []access.Grant, err error) {
	capabilities, err := stage.ParseCapabilities(can)
	if err != nil {
		return nil, err
	}
	for _, wanted := range stages {
		found, err := d.stage(wanted)
		if err != nil {
			return nil, err
		}
		grants = append(grants, access.Grant{
			Stage: found.Stage.ARN, Capabilities: capabilities, MaxTTL: maxTTL,
		})
	}
	return grants, nil
}

func (d *directory) setGrants(ctx context.Context, user access.User, grants []access.Grant) error {
	for _, g := range grants {
		g.User = user.ID
		if err := d.control.SetGrant(ctx, access.CommandLine(), g); err != nil {
			return err
		}
	}
	return nil
}

// UsersRevokeCommand is `stagedoor users revoke`.
type UsersRevokeCommand struct {
	DataSettings
	Name   string   `arg:"" help:"Name of the user."`
	Stages []string `arg:"" name:"stage" help:"Stages, by name or ARN."`
}

// Run removes the user's grants on the stages.
func (cmd *UsersRevokeCommand) Run(ctx context.Context, p *process) error {
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		user, err := d.user(cmd.Name)
		if err != nil {
			return err
		}
		for _, wanted := range cmd.Stages {
			found, err := d.stage(wanted)
			if err != nil {
				return err
			}
			err = d.control.RemoveGrant(ctx, access.CommandLine(), user.ID, found.Stage.ARN)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.out, "%s has no access to %s any more.\n", user.Name, found.Stage.Name)
		}
		return nil
	})
}
