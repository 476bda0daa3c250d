package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
)

// TokensCommand is `stagedoor tokens`. It works on the database, whether a server runs or not.
type TokensCommand struct {
	Create TokensCreateCommand `cmd:"" help:"Create a token for a user and print it, once: for a WHIP client without a dock."`
	List   TokensListCommand   `cmd:"" help:"List the tokens of the last 14 days. The tokens themselves are not stored."`
	Revoke TokensRevokeCommand `cmd:"" help:"Revoke tokens by their participant IDs; their sessions end."`
}

// TokensCreateCommand is `stagedoor tokens create`.
type TokensCreateCommand struct {
	LinkSettings
	LocalKeySettings
	AnswerSettings
	IVSEndpoint string        `help:"Endpoint of the IVS real-time API; only for an emulator." name:"ivs-endpoint" placeholder:"URL"`
	User        string        `help:"User whom the token is for." required:"" placeholder:"NAME"`
	Stage       string        `help:"Stage, by name or ARN." required:""`
	For         string        `help:"What the token is for: publish, or view; by default all that the user may do." enum:"publish,view," default:""`
	TTL         time.Duration `help:"Life of the token; at most what the grant allows." name:"ttl" default:"${default_ttl}"`
}

// Run creates a token if the dock would also create it: the same grants and limits apply.
func (cmd *TokensCreateCommand) Run(ctx context.Context, p *process) error {
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		user, err := d.user(cmd.User)
		if err != nil {
			return err
		}
		where, err := d.stage(cmd.Stage)
		if err != nil {
			return err
		}
		rules := d.rules
		rules.Issuer, err = cmd.issuer(ctx, d.control, where.Stage.ARN)
		if err != nil {
			return err
		}
		acting := access.CommandLine()
		acting.User = user.User // so that this user's grants and limit apply
		made, err := access.New(rules).Issue(ctx, acting, access.IssueRequest{
			Stage: where.Stage.ARN, TTL: cmd.TTL, For: cmd.For,
		})
		if err != nil {
			return forPerson(err)
		}
		return cmd.print(p, made)
	})
}

func (cmd *TokensCreateCommand) issuer(
	ctx context.Context, c *access.Control, arn stage.ARN,
) (stage.Issuer, error) {
	if !arn.Local() {
		settings := AWSSettings{IVSRegion: []string{arn.Region()}, IVSEndpoint: cmd.IVSEndpoint}
		if err := settings.check(); err != nil {
			return nil, err
		}
		side, err := openAWS(ctx, settings, cmd.Data, ivs.Config{Cache: endpointCache{c.Stages}},
			nil)
		if err != nil {
			return nil, err
		}
		return side.router, nil
	}
	key, err := token.LoadKey(cmd.LocalKeySettings.file(cmd.Data))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no key in %s: the first start of the server makes it",
			cmd.Data)
	}
	if err != nil {
		return nil, err
	}
	keyID, err := token.LocalKeyID(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	public, guess, err := cmd.link()
	if guess {
		err = errors.New(
			"the token would lead nowhere: start the server once, or name its address " +
				"with --public-url")
	}
	if err != nil {
		return nil, err
	}
	endpoints := func(context.Context, stage.ARN) (stage.Endpoints, error) {
		return localEndpoints(public), nil
	}
	return &token.Signer{
		Key: key, KeyID: keyID, Endpoints: endpoints, Now: time.Now, Name: "local key",
	}, nil
}

func (cmd *TokensCreateCommand) print(p *process, made stage.ParticipantToken) error {
	if cmd.JSON {
		return printJSON(p.out, struct {
			ParticipantID stage.ParticipantID `json:"participantId"`
			Stage         stage.ARN           `json:"stage"`
			WHIP          string              `json:"whip"`
			Token         string              `json:"token"`
			ExpiresAt     time.Time           `json:"expiresAt"`
		}{
			made.Participant.ID, made.Participant.Stage, made.WHIPEndpoint, made.Secret.Reveal(),
			made.ExpiresAt,
		})
	}
	fmt.Fprintf(p.out, "endpoint  %s\ntoken     %s\nexpires   %s\n", made.WHIPEndpoint,
		made.Secret.Reveal(), made.ExpiresAt.Local().Format("2006-01-02 15:04"))
	return nil
}

// TokensListCommand is `stagedoor tokens list`.
type TokensListCommand struct {
	DataSettings
	AnswerSettings
	User  string `help:"Only the tokens of this user." placeholder:"NAME"`
	Stage string `help:"Only the tokens of this stage, by name or ARN."`
	Open  bool   `help:"Only tokens that neither expired nor were revoked."`
}

// A tokenJSON is the record of a token as --json prints it.
type tokenJSON struct {
	ParticipantID stage.ParticipantID `json:"participantId"`
	User          access.UserID       `json:"user"`
	Name          string              `json:"name"`
	Stage         stage.ARN           `json:"stage"`
	Capabilities  []string            `json:"capabilities"`
	IssuedBy      string              `json:"issuedBy"`
	IssuedAt      time.Time           `json:"issuedAt"`
	ExpiresAt     time.Time           `json:"expiresAt"`
	RevokedAt     *time.Time          `json:"revokedAt,omitempty"`
	Address       string              `json:"address,omitempty"`
}

// Run lists the records of tokens.
func (cmd *TokensListCommand) Run(ctx context.Context, p *process) error {
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		list, err := cmd.find(ctx, d)
		if err != nil {
			return err
		}
		if cmd.JSON {
			out := make([]tokenJSON, 0, len(list))
			for _, i := range list {
				out = append(out, tokenJSON{
					i.ID, i.User, i.UserName, i.Stage, i.Capabilities.Words(), i.IssuedBy,
					i.IssuedAt, i.ExpiresAt, timeOrNil(i.RevokedAt), i.Address,
				})
			}
			return printJSON(p.out, map[string][]tokenJSON{"tokens": out})
		}
		w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PARTICIPANT\tUSER\tSTAGE\tCAN\tISSUED\tSTATE")
		for _, i := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", i.ID, i.UserName, d.stageName(i.Stage),
				i.Capabilities, i.IssuedAt.Local().Format("2006-01-02 15:04"),
				tokenState(i, time.Now()))
		}
		return w.Flush()
	})
}

func (cmd *TokensListCommand) find(
	ctx context.Context, d *directory,
) (list []access.Issuance, err error) {
	var user access.Person
	var where access.StageAccess
	if cmd.User != "" {
		if user, err = d.user(cmd.User); err != nil {
			return nil, err
		}
	}
	if cmd.Stage != "" {
		if where, err = d.stage(cmd.Stage); err != nil {
			return nil, err
		}
	}
	all, err := d.control.Tokens(ctx, access.CommandLine(), true)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		open := i.RevokedAt.IsZero() && i.ExpiresAt.After(time.Now())
		switch {
		case cmd.User != "" && i.User != user.ID, cmd.Stage != "" && i.Stage != where.Stage.ARN,
			cmd.Open && !open:
		default:
			list = append(list, i)
		}
	}
	return list, nil
}

func tokenState(i access.Issuance, now time.Time) string {
	switch {
	case !i.RevokedAt.IsZero():
		return "revoked " + i.RevokedAt.Local().Format("2006-01-02 15:04")
	case i.ExpiresAt.Before(now):
		return "expired"
	default:
		return "until " + i.ExpiresAt.Local().Format("2006-01-02 15:04")
	}
}

// TokensRevokeCommand is `stagedoor tokens revoke`.
type TokensRevokeCommand struct {
	DataSettings
	IDs []string `arg:"" name:"participant" help:"Participant IDs, as tokens list shows them."`
}

// Run revokes tokens. A running server ends their sessions within seconds.
func (cmd *TokensRevokeCommand) Run(ctx context.Context, p *process) error {
	return withDirectory(ctx, cmd.DataSettings, p, func(d *directory) error {
		for _, id := range cmd.IDs {
			err := d.control.Revoke(ctx, access.CommandLine(), stage.ParticipantID(id))
			if err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			fmt.Fprintln(p.out, id, "is revoked.")
		}
		return nil
	})
}
