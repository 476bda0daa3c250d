package obs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// A failure is the error of a command, as text for the person. errors.Is and errors.As find the
// underlying errors.
type failure struct {
	Code, Detail string
	err          error
}

// Error returns the sentence.
func (f *failure) Error() string { return f.Detail }

// Unwrap returns the error with all its causes.
func (f *failure) Unwrap() error { return f.err }

// told turns an error into a failure. With --json it also prints the error as JSON.
func (c *Commands) told(err error) error {
	if err == nil {
		return nil
	}
	f := &failure{Code: code(err), Detail: sentence(err), err: err}
	if c.JSON {
		_ = c.encode(map[string]any{"error": map[string]string{"code": f.Code, "detail": f.Detail}})
	}
	return f
}

// sentence returns an error as text for the person. Joined errors, such as that of a failed undo,
// become several sentences.
func sentence(err error) string {
	var refused *requestError
	var e *stage.Error
	switch all, joined := err.(interface{ Unwrap() []error }); {
	case errors.As(err, &e) && err == error(e):
		return e.Detail
	case joined:
		var sentences []string
		for _, one := range all.Unwrap() {
			sentences = append(sentences, strings.TrimSuffix(sentence(one), "."))
		}
		return strings.Join(sentences, ". ")
	case e != nil:
		return e.Detail
	case errors.As(err, &refused):
		return refused.Error()
	case errors.Is(err, context.Canceled):
		return "the command was interrupted"
	}
	return err.Error()
}

func code(err error) string {
	var e *stage.Error
	var refused *requestError
	switch {
	case errors.As(err, &e) && e.Code != "":
		return e.Code
	case e != nil:
		return strings.ReplaceAll(e.Kind.Error(), " ", "_")
	case errors.As(err, &refused):
		return "obs_refused"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	return "internal"
}

// Commands are the commands of "stagedoor obs". They control an OBS, request tokens from a
// Stagedoor server, and print text for people or JSON for scripts.
type Commands struct {
	OBS     Options
	Server  string       // URL of a Stagedoor server; status and stop need none
	Key     stage.Secret // access key of a broadcaster
	Stage   string       // name or ARN; may be empty if there is only one
	JSON    bool
	Encoder string // for SetUp, as in Target
	Stay    bool   // Live returns only when the broadcast has ended
	Waits   Waits
	HTTP    *http.Client
	Now     func() time.Time
	Out     io.Writer
}

// Tell prints the result of a command, as sentences or as JSON. It returns the command's error,
// which the JSON also contains.
func (c *Commands) Tell(err error, v any, sentences ...string) error {
	if err != nil {
		return c.told(err)
	}
	if c.JSON {
		return c.encode(v)
	}
	for _, sentence := range sentences {
		if err := c.print("%s", sentence); err != nil {
			return err
		}
	}
	return nil
}

// SetUp is "obs setup".
func (c *Commands) SetUp(ctx context.Context, force bool) error {
	return c.told(c.setUp(ctx, force))
}

func (c *Commands) setUp(ctx context.Context, force bool) error {
	client, err := Connect(ctx, c.OBS)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	target, _, err := c.target(ctx)
	if err != nil {
		return err
	}
	target.Force, target.Encoder = force, c.Encoder
	report, err := SetUp(ctx, client, target, func(s Step) {
		c.say("%s …", words.English("setup.step."+string(s), nil))
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return c.encode(report)
	}
	c.list(report.Findings)
	switch {
	case report.Changed && report.Previous != "":
		return c.print("OBS is ready: profile “%s” is selected; “obs back” selects “%s” again.",
			Profile, report.Previous)
	case report.Changed:
		return c.print("OBS is ready: profile “%s” is selected.", Profile)
	}
	return c.print("%s", words.English("setup.unchanged", nil))
}

// Live is "obs live". It returns when viewers can see the broadcast. With Stay it returns when the
// broadcast has ended, and restarts the broadcast if necessary. When ctx ends, it stops the
// broadcast.
func (c *Commands) Live(ctx context.Context) error { return c.told(c.live(ctx)) }

func (c *Commands) live(ctx context.Context) error {
	client, err := Connect(ctx, c.OBS)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	target, server, err := c.target(ctx)
	if err != nil {
		return err
	}
	b := Broadcast{
		Limits: target.Limits, Issue: target.Issue, Stage: server, Waits: c.Waits, Now: c.Now,
		Progress: func(sentence string) { c.say("%s …", sentence) },
	}
	if c.Stay {
		return Keep(ctx, client, b, c.tellLive)
	}
	live, err := GoLive(ctx, client, b)
	if err != nil {
		return err
	}
	return c.tellLive(live)
}

func (c *Commands) tellLive(live Live) error {
	switch {
	case c.JSON:
		return c.encode(live)
	case live.Already:
		return c.print("OBS was live already.")
	}
	return c.print("LIVE as participant %s; the token is good until %s.", live.Participant,
		live.ExpiresAt.UTC().Format("2006-01-02 15:04 MST"))
}

// Stop is "obs stop".
func (c *Commands) Stop(ctx context.Context) error { return c.told(c.stop(ctx)) }

func (c *Commands) stop(ctx context.Context) error {
	return c.with(ctx, func(client *Client) error {
		if err := Stop(ctx, client, c.Waits); err != nil {
			return err
		}
		if c.JSON {
			return c.encode(map[string]bool{"live": false})
		}
		return c.print("OBS does not stream.")
	})
}

// Back is "obs back": it selects the profile that was current before SetUp.
func (c *Commands) Back(ctx context.Context) error { return c.told(c.back(ctx)) }

func (c *Commands) back(ctx context.Context) error {
	return c.with(ctx, func(client *Client) error {
		profile, err := Back(ctx, client)
		if err != nil {
			return err
		}
		if c.JSON {
			return c.encode(map[string]string{"profile": profile})
		}
		return c.print("The profile “%s” is selected.", profile)
	})
}

// Status is "obs status". With an access key it uses the limits of the stage.
func (c *Commands) Status(ctx context.Context) error { return c.told(c.status(ctx)) }

func (c *Commands) status(ctx context.Context) error {
	return c.with(ctx, func(client *Client) error {
		limits, of, err := c.limits(ctx)
		if err != nil {
			return err
		}
		s, err := Status(ctx, client, limits)
		if err != nil {
			return err
		}
		if c.JSON {
			return c.encode(struct {
				State
				Limits   stage.Limits `json:"limits"`
				LimitsOf string       `json:"limitsOf"`
			}{s, limits, of})
		}
		c.list(s.Findings)
		if of == ofIVS {
			c.say("Compared with the limits of Amazon IVS; --server and --key name a stage " +
				"with its own.")
		}
		return c.print("OBS %s, profile “%s”, service %s: %s.", s.OBS, s.Profile,
			s.serviceName(), s.sentence())
	})
}

// The source of the limits by which OBS was judged.
const (
	ofIVS   = "ivs"
	ofStage = "stage"
)

// limits returns the limits of the key's stage, if there is a key. If the server does not answer,
// it prints a warning and returns the limits of IVS, so that the person still gets the state of
// OBS.
func (c *Commands) limits(ctx context.Context) (stage.Limits, string, error) {
	if c.Key.Empty() {
		return stage.DefaultLimits(), ofIVS, nil
	}
	target, _, err := c.target(ctx)
	if errors.Is(err, stage.ErrUnavailable) {
		c.say("The limits of the stage are not known: %s.", strings.TrimSuffix(sentence(err), "."))
		return stage.DefaultLimits(), ofIVS, nil
	}
	return target.Limits, ofStage, err
}

// serviceName returns the name of a service for people, or "not set" for a service that was never
// set.
func (s State) serviceName() string {
	if s.Service == whipCustom {
		return "WHIP"
	}
	return cmp.Or(s.name, "not set")
}

func (s State) sentence() string {
	switch {
	case s.Stream.Reconnecting:
		return "reconnecting"
	case s.Stream.Active:
		return fmt.Sprintf("streaming for %d s, %d kB sent", s.Stream.Duration/1000,
			s.Stream.Bytes/1000)
	case s.Ready:
		return "ready"
	}
	return "not set up"
}

func (c *Commands) with(ctx context.Context, do func(*Client) error) error {
	client, err := Connect(ctx, c.OBS)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return do(client)
}

func (c *Commands) target(ctx context.Context) (Target, *server, error) {
	if c.Server == "" || c.Key.Empty() {
		return Target{}, nil, noServer()
	}
	server := &server{URL: c.Server, Key: c.Key, HTTP: c.HTTP}
	arn, limits, err := server.Stage(ctx, c.Stage)
	issue := func(ctx context.Context) (Pass, error) { return server.Pass(ctx, arn) }
	return Target{Limits: limits, Issue: issue}, server, err
}

// Script downloads stagedoor.lua, made for the owner of the key.
func (c *Commands) Script(ctx context.Context) (string, error) {
	if c.Server == "" || c.Key.Empty() {
		return "", noServer()
	}
	return (&server{URL: c.Server, Key: c.Key, HTTP: c.HTTP}).Script(ctx)
}

func noServer() error {
	return stage.Errorf(stage.ErrInvalid,
		"--server and --key are missing: the address of your Stagedoor, and an access key from "+
			"the page Account there").WithCode("no_server")
}

func (c *Commands) list(findings []Finding) {
	for _, f := range findings {
		_, _ = fmt.Fprintln(c.Out, f.Describe())
	}
}

// say prints progress. It prints nothing with --json.
func (c *Commands) say(format string, args ...any) {
	if !c.JSON {
		_ = c.print(format, args...)
	}
}

func (c *Commands) print(format string, args ...any) error {
	_, err := fmt.Fprintf(c.Out, format+"\n", args...)
	return err
}

func (c *Commands) encode(v any) error {
	enc := json.NewEncoder(c.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
