package app

import (
	"context"
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// OBSCommand is `stagedoor obs`: what the dock does, for an OBS that nobody sits at.
type OBSCommand struct {
	Setup  OBSSetupCommand  `cmd:"" help:"Make OBS fit for the stage, in a profile of its own; run twice it changes nothing."`
	Live   OBSLiveCommand   `cmd:"" help:"Get a token, set it in OBS, start, and wait until the stage receives the broadcast."`
	Stop   OBSStopCommand   `cmd:"" help:"Stop streaming."`
	Status OBSStatusCommand `cmd:"" help:"Say how OBS stands, and what is not right for the stage."`
	Back   OBSBackCommand   `cmd:"" help:"Select the profile that was current before the set-up."`
}

// OBSSettings say where OBS is.
type OBSSettings struct {
	OBS      string `help:"Address of OBS's WebSocket server." default:"ws://127.0.0.1:4455" placeholder:"URL" old:""`
	Password string `help:"Password of OBS's WebSocket server. Others on this machine can read command lines: prefer the variable." placeholder:"PASSWORD" old:""`
	JSON     bool   `help:"Answer in JSON, for scripts." name:"json" old:""`
}

// TokenSettings say where the token comes from.
type TokenSettings struct {
	Server string `help:"The Stagedoor that issues the token." default:"http://127.0.0.1:8080" placeholder:"URL" old:""`
	Key    string `help:"Access key of the broadcaster, made on the page /account of that Stagedoor. Prefer the variable." placeholder:"sdk_…" old:""`
	Stage  string `help:"Stage, by name or ARN; needed where the broadcaster has several." old:""`
}

func (s OBSSettings) commands(p *process) *obs.Commands {
	return &obs.Commands{
		OBS: obs.Options{URL: s.OBS, Password: stage.NewSecret(s.Password)}, JSON: s.JSON, Out: p.out, Now: time.Now,
		HTTP: &http.Client{Timeout: 30 * time.Second},
	}
}

func (s TokenSettings) commands(o OBSSettings, p *process) *obs.Commands {
	c := o.commands(p)
	c.Server, c.Key, c.Stage = s.Server, stage.NewSecret(s.Key), s.Stage
	return c
}

// OBSSetupCommand is `stagedoor obs setup`.
type OBSSetupCommand struct {
	OBSSettings
	TokenSettings
	Force bool `help:"Set OBS up even where it already looks right." old:""`
}

// Run sets OBS up.
func (cmd *OBSSetupCommand) Run(ctx context.Context, p *process) error {
	return cmd.TokenSettings.commands(cmd.OBSSettings, p).SetUp(ctx, cmd.Force)
}

// OBSLiveCommand is `stagedoor obs live`.
type OBSLiveCommand struct {
	OBSSettings
	TokenSettings
	Stay bool `help:"Stay and watch over the broadcast until it is over; Ctrl+C stops it." old:""`
}

// Run goes live.
func (cmd *OBSLiveCommand) Run(ctx context.Context, p *process) error {
	c := cmd.TokenSettings.commands(cmd.OBSSettings, p)
	c.Stay = cmd.Stay
	return c.Live(ctx)
}

// OBSStopCommand is `stagedoor obs stop`.
type OBSStopCommand struct{ OBSSettings }

// Run stops.
func (cmd *OBSStopCommand) Run(ctx context.Context, p *process) error {
	return cmd.commands(p).Stop(ctx)
}

// OBSStatusCommand is `stagedoor obs status`.
type OBSStatusCommand struct {
	OBSSettings
	TokenSettings
}

// Run tells the status.
func (cmd *OBSStatusCommand) Run(ctx context.Context, p *process) error {
	return cmd.TokenSettings.commands(cmd.OBSSettings, p).Status(ctx)
}

// OBSBackCommand is `stagedoor obs back`.
type OBSBackCommand struct{ OBSSettings }

// Run selects the earlier profile.
func (cmd *OBSBackCommand) Run(ctx context.Context, p *process) error {
	return cmd.commands(p).Back(ctx)
}
