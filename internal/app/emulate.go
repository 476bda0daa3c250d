package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/ivsemu"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// EmulateCommand is `stagedoor emulate`.
type EmulateCommand struct {
	LogSettings
	Listen         string   `help:"Address for the API, WHIP and the events sockets." placeholder:"HOST:PORT" default:"127.0.0.1:4566" own:"" old:""`
	Media          string   `help:"UDP address for media; port 0 takes a free one." placeholder:"HOST:PORT" default:"127.0.0.1:0" own:"" old:""`
	AccessKey      string   `help:"Access key of the one key pair that signs requests; by default one is made for this run." own:"" old:""`
	SecretKey      string   `help:"Secret key of that pair. Prefer the variable." own:"" old:""`
	AnyCredentials bool     `help:"Accept requests from this computer with any signature, or none." own:"" old:""`
	Account        string   `help:"AWS account that the ARNs name." default:"123456789012" own:"" old:""`
	Region         string   `help:"Region of requests that name none." default:"us-west-2" own:"" old:""`
	Quotas         bool     `help:"Also enforce the request rates of AWS." own:"" old:""`
	Faults         []string `help:"Fail on purpose: throttle, expired-key, pending-verification, internal-error or slow; Operation=FAULT for one operation." placeholder:"FAULT,…" own:"" old:""`
	EventsURL      string   `help:"URL to which EventBridge events are posted." placeholder:"URL" own:"" old:""`
	EventsSecret   string   `help:"Secret sent along with these events. Prefer the variable." own:"" old:""`
	State          string   `help:"File that keeps everything from one run to the next; by default nothing is kept." placeholder:"FILE" own:"" old:""`
	AllowOrigins   []string `help:"Web origins whose pages may use the stages; by default all, as with AWS." placeholder:"ORIGIN,…" own:"" old:""`
}

// Run emulates until ctx ends.
func (cmd *EmulateCommand) Run(ctx context.Context, p *process) error {
	if (cmd.AccessKey == "") != (cmd.SecretKey == "") {
		return errors.New("--access-key and --secret-key go together")
	}
	if cmd.AccessKey == "" && !cmd.AnyCredentials {
		cmd.AccessKey, cmd.SecretKey = newKeyPair()
	}
	if err := cmp.Or(checkAddress("--listen", cmd.Listen),
		checkAddress("--media", cmd.Media)); err != nil {
		return err
	}
	log := newLog(cmd.LogSettings, p.err)
	listener, err := net.Listen("tcp", cmd.Listen)
	if err != nil {
		return portError(err, cmd.Listen, "--listen")
	}
	defer listener.Close()
	e, media, socket, err := cmd.wire(ownURL(listener.Addr().(*net.TCPAddr), false).String(), log)
	if err != nil {
		return err
	}
	cmd.greet(p, listener)
	return serveEmulator(ctx, listener, e, media, socket)
}

// newKeyPair returns random AWS credentials in the usual form, which are valid until the emulator
// ends.
func newKeyPair() (access, secret string) {
	raw := make([]byte, 30)
	rand.Read(raw)
	return "AKIA" + rand.Text()[:16], base64.StdEncoding.EncodeToString(raw)
}

func (cmd *EmulateCommand) wire(
	base string, log *slog.Logger,
) (*ivsemu.Emulator, *sfu.SFU, *signal.Server, error) {
	e, err := ivsemu.New(ivsemu.Config{
		BaseURL: base, AccessKey: cmd.AccessKey, SecretKey: stage.NewSecret(cmd.SecretKey),
		AnyCredentials: cmd.AnyCredentials,
		Account:        cmd.Account, Region: cmd.Region, Quotas: cmd.Quotas, Faults: cmd.Faults,
		EventsURL: cmd.EventsURL, EventsSecret: stage.NewSecret(cmd.EventsSecret),
		StateFile:    cmd.State,
		AllowOrigins: cmd.AllowOrigins, Now: time.Now, Log: log,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	media, err := sfu.New(sfu.Config{
		Listen: cmd.Media, LimitsFor: asIVS, MaxViews: 2000, Now: time.Now, Log: log,
		Events: e.Observe,
	})
	if err != nil {
		return nil, nil, nil, portError(err, cmd.Media, "--media")
	}
	socket := signal.New(signal.Config{
		Sessions: e.WHIP(), Media: media, Origin: base, Now: time.Now, Log: log,
		Changed: e.Changed,
	})
	media.OnChange(socket.MediaChanged)
	e.Media, e.Socket, e.Roster = media, socket, socket
	e.Kicked = func(arn stage.ARN, id stage.ParticipantID, why string) {
		// A participant who is not connected is no error.
		if err := socket.Disconnect(context.Background(), arn, id, why); err != nil &&
			!errors.Is(err, stage.ErrNotFound) {
			log.Warn("a participant was not disconnected", "participant", id, "err", err)
		}
	}
	e.Closed = func(arn stage.ARN) {
		if err := socket.CloseStage(context.Background(), arn); err != nil {
			log.Warn("a deleted stage was not closed", "stage", arn, "err", err)
		}
	}
	return e, media, socket, nil
}

// asIVS returns the limits beyond which Amazon IVS ends a broadcast: 720p, 8.5 Mb/s, no B-frames
// ("Service Quotas", "IVS Stream Ingest").
func asIVS(stage.ARN) sfu.Limits {
	limits := sfu.DefaultLimits()
	limits.Enforce = true
	return limits
}

func (cmd *EmulateCommand) greet(p *process, listener net.Listener) {
	base := ownURL(listener.Addr().(*net.TCPAddr), false)
	fmt.Fprintf(p.out, "This is an emulator of the Amazon IVS real-time API. It is not IVS.\n")
	fmt.Fprintf(p.out, "Endpoint:   %s\n", base)
	if cmd.AnyCredentials {
		fmt.Fprintln(p.out, "Requests from this computer may have any credentials.")
	} else {
		fmt.Fprintf(p.out, "Access key: %s\nSecret key: %s\n", cmd.AccessKey, cmd.SecretKey)
	}
	fmt.Fprintln(p.out, "Stop with Ctrl+C.")
}

func serveEmulator(
	ctx context.Context, listener net.Listener, e *ivsemu.Emulator, media *sfu.SFU,
	socket *signal.Server,
) error {
	server := &http.Server{
		Handler: e, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 32 << 10,
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.Run(ctx) })
	g.Go(func() error { return media.Run(ctx) })
	g.Go(func() error { return socket.Run(ctx) })
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		return server.Shutdown(late)
	})
	return g.Wait()
}
