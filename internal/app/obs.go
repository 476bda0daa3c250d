package app

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/obs/folder"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// OBSCommand is `stagedoor obs`. Its commands do what the dock does, for an OBS that no person
// operates.
type OBSCommand struct {
	Setup  OBSSetupCommand  `cmd:"" help:"Set OBS up for the stage, in a separate profile; a second run changes nothing."`
	Live   OBSLiveCommand   `cmd:"" help:"Get a token, set it in OBS, start, and wait until the stage receives the broadcast."`
	Stop   OBSStopCommand   `cmd:"" help:"Stop streaming."`
	Status OBSStatusCommand `cmd:"" help:"Show the state of OBS, and which settings are not right for the stage."`
	Back   OBSBackCommand   `cmd:"" help:"Select the profile that was current before the set-up."`
	Pair   OBSPairCommand   `cmd:"" help:"Pair a closed OBS with a Stagedoor: dock, script and WebSocket server, without OBS's dialogs."`
}

// OBSSettings say how to reach OBS.
type OBSSettings struct {
	OBS       string `help:"Address of OBS's WebSocket server." default:"ws://127.0.0.1:4455" placeholder:"URL" old:""`
	Password  string `help:"Password of OBS's WebSocket server. Others on this machine can read command lines: prefer the variable." placeholder:"PASSWORD" old:""`
	OBSConfig string `help:"OBS's configuration folder, or a portable OBS. Port and password of the WebSocket server are read there when none is given." name:"obs-config" placeholder:"DIR" old:""`
	JSON      bool   `help:"Answer in JSON, for scripts." name:"json" old:""`
}

// TokenSettings name the source of the token.
type TokenSettings struct {
	Server string `help:"The Stagedoor that issues the token." default:"http://127.0.0.1:8080" placeholder:"URL" old:""`
	Key    string `help:"Access key of the broadcaster, made on the page /account of that Stagedoor. Prefer the variable." placeholder:"sdk_…" old:""`
	Stage  string `help:"Stage, by name or ARN; needed where the broadcaster has several." old:""`
}

// commands returns the commands for an OBS. The parameter `server` is the URL of the server whose
// tokens OBS gets, or "" if the command needs no token.
func (s OBSSettings) commands(p *process, server string) (*obs.Commands, error) {
	c := &obs.Commands{
		OBS: obs.Options{URL: s.OBS, Password: stage.NewSecret(s.Password)}, JSON: s.JSON,
		Out: p.out, Now: time.Now,
		HTTP: &http.Client{Timeout: 30 * time.Second},
	}
	return c, s.fromFolder(c, p, server)
}

// fromFolder reads missing settings from the files of the OBS on this computer. It reads no files
// if the settings name an OBS on another computer.
func (s OBSSettings) fromFolder(c *obs.Commands, p *process, server string) error {
	address, err := url.Parse(s.OBS)
	if err != nil || !isLoopback(address.Hostname()) {
		return nil
	}
	f, err := folder.Find(s.OBSConfig, runtime.GOOS, p.getenv)
	if err != nil {
		if s.OBSConfig != "" {
			return err
		}
		return nil // no OBS on this computer, or several
	}
	settings, err := f.WebSocket()
	if err != nil {
		return fmt.Errorf("the WebSocket server's settings in %s: %w", f.Dir, err)
	}
	if s.Password == "" {
		c.OBS.Password = settings.Password
	}
	if s.OBS == obs.DefaultURL {
		c.OBS.URL = fmt.Sprintf("ws://127.0.0.1:%d", settings.Port)
	}
	c.OBS.Script = f.Secret(strings.TrimSuffix(server, "/"))
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (p *process) getenv(name string) string { return p.env[name] }

func (s TokenSettings) commands(o OBSSettings, p *process) (*obs.Commands, error) {
	c, err := o.commands(p, s.Server)
	c.Server, c.Key, c.Stage = s.Server, stage.NewSecret(s.Key), s.Stage
	return c, err
}

// OBSSetupCommand is `stagedoor obs setup`.
type OBSSetupCommand struct {
	OBSSettings
	TokenSettings
	Force   bool   `help:"Set OBS up even if it already looks right." old:""`
	Encoder string `help:"Video encoder: auto (the best hardware encoder of this computer), x264, or OBS's ID of one. All but x264 need the Stagedoor script in OBS." placeholder:"NAME" old:""`
}

// Run sets OBS up.
func (cmd *OBSSetupCommand) Run(ctx context.Context, p *process) error {
	c, err := cmd.TokenSettings.commands(cmd.OBSSettings, p)
	if err != nil {
		return c.Tell(err, nil)
	}
	c.Encoder = cmd.Encoder
	return c.SetUp(ctx, cmd.Force)
}

// OBSLiveCommand is `stagedoor obs live`.
type OBSLiveCommand struct {
	OBSSettings
	TokenSettings
	Stay bool `help:"Keep running until the broadcast ends, and restart it once if it fails; Ctrl+C stops it." old:""`
}

// Run starts a broadcast.
func (cmd *OBSLiveCommand) Run(ctx context.Context, p *process) error {
	c, err := cmd.TokenSettings.commands(cmd.OBSSettings, p)
	if err != nil {
		return c.Tell(err, nil)
	}
	c.Stay = cmd.Stay
	return c.Live(ctx)
}

// OBSStopCommand is `stagedoor obs stop`.
type OBSStopCommand struct{ OBSSettings }

// Run stops the broadcast.
func (cmd *OBSStopCommand) Run(ctx context.Context, p *process) error {
	c, err := cmd.commands(p, "")
	if err != nil {
		return c.Tell(err, nil)
	}
	return c.Stop(ctx)
}

// OBSStatusCommand is `stagedoor obs status`.
type OBSStatusCommand struct {
	OBSSettings
	TokenSettings
}

// Run prints the status.
func (cmd *OBSStatusCommand) Run(ctx context.Context, p *process) error {
	c, err := cmd.TokenSettings.commands(cmd.OBSSettings, p)
	if err != nil {
		return c.Tell(err, nil)
	}
	return c.Status(ctx)
}

// OBSBackCommand is `stagedoor obs back`.
type OBSBackCommand struct{ OBSSettings }

// Run selects the profile that OBS used before the setup.
func (cmd *OBSBackCommand) Run(ctx context.Context, p *process) error {
	c, err := cmd.commands(p, "")
	if err != nil {
		return c.Tell(err, nil)
	}
	return c.Back(ctx)
}

// OBSPairCommand is `stagedoor obs pair`. It pairs an OBS that is closed, as the script pairs a
// running OBS.
type OBSPairCommand struct {
	Server    string `help:"The Stagedoor that OBS is paired with; http://127.0.0.1:8080 if none is given." placeholder:"URL" old:""`
	Key       string `help:"Access key of the broadcaster, made on the page /account of that Stagedoor. Prefer the variable." placeholder:"sdk_…" old:""`
	OBSConfig string `help:"OBS's configuration folder, or a portable OBS; by default the usual one." name:"obs-config" placeholder:"DIR" old:""`
	Undo      bool   `help:"Undo the pairing, even if the script made it; with several pairings, --server selects one." old:""`
	JSON      bool   `help:"Answer in JSON, for scripts." name:"json" old:""`
}

// Run pairs OBS with the dock, or undoes the pairing.
func (cmd *OBSPairCommand) Run(ctx context.Context, p *process) error {
	c := &obs.Commands{
		JSON: cmd.JSON, Out: p.out, Server: cmp.Or(cmd.Server, "http://127.0.0.1:8080"),
		Key:  stage.NewSecret(cmd.Key),
		HTTP: &http.Client{Timeout: 30 * time.Second},
	}
	f, err := folder.Find(cmd.OBSConfig, runtime.GOOS, p.getenv)
	if err != nil {
		return c.Tell(err, nil)
	}
	if cmd.Undo {
		did, err := f.Undo(cmd.Server)
		said := did.Notices
		if did.Server != "" {
			said = append([]string{
				fmt.Sprintf("The pairing with %s is undone in %s.", did.Server, f.Dir)}, said...)
		}
		return c.Tell(err, did, said...)
	}
	lua, err := c.Script(ctx)
	if err != nil {
		return c.Tell(err, nil)
	}
	did, err := f.Pair(lua)
	return c.Tell(err, did,
		fmt.Sprintf("OBS in %s is paired with %s; its WebSocket server is on, port %d.", did.Folder,
			did.Server, did.Port),
		fmt.Sprintf("Start OBS before %s: the dock Stagedoor signs itself in once.",
			did.SignInUntil.UTC().Format("15:04 MST")),
		"stagedoor obs pair --undo takes it back, while OBS is closed.")
}
