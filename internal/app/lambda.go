package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/keys"
	"github.com/stagedoor/stagedoor/internal/lambda"
	"github.com/stagedoor/stagedoor/internal/lease"
	"github.com/stagedoor/stagedoor/internal/metrics"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
	"github.com/stagedoor/stagedoor/internal/words"
)

const (
	// An event stream of a Lambda function ends after functionStream, and the page reconnects after
	// functionPause. AWS charges for an idle stream as much as for a busy one.
	functionStream = time.Second
	functionPause  = 4 * time.Second
	// functionData is below /tmp, the only folder that a Lambda function may write to (AWS Lambda,
	// "Ephemeral storage").
	functionData = "/tmp/stagedoor"
	// kmsAttempts is the number of attempts to import a key. If several instances import the same
	// key at once, only one succeeds at the first attempt.
	kmsAttempts = 3
	// keySetting is the variable that names the key in AWS KMS.
	keySetting = "STAGEDOOR_LAMBDA_KMS_KEY"
)

// LambdaCommand is `stagedoor lambda`. It has the settings of `serve`, except those in
// notInFunctions.
type LambdaCommand struct {
	ServeSettings
	KMSKey string `help:"Key in AWS KMS (ECC_NIST_P384, SIGN_VERIFY) that signs the participant tokens; its ID, alias or ARN. By default the AWS API creates them." placeholder:"KEY" name:"kms-key"`
}

// notInFunctions contains the settings of `serve` that a Lambda function refuses. Each value names
// what the setting needs and a Lambda function does not have.
var notInFunctions = map[string]string{
	"local-key": "local stages", "new-local-key": "local stages", "media": "local stages",
	"media-tcp": "local stages", "media-hosts": "local stages", "turn": "local stages",
	"turn-secret": "local stages", "turn-user": "local stages", "turn-password": "local stages",
	"cut-at-expiry": "local stages", "max-publishers": "local stages",
	"enforce-limits": "local stages", "lost-after": "local stages", "allow-origins": "local stages",
	"listen": "a port", "tls-cert": "a port", "tls-key": "a port", "tls-domain": "a port",
	"metrics-listen": "a port", "profiling": "a port", "peer-listen": "a port",
	"peer-url": "a port",
	"drain":    "a port",
}

// Run serves the invocations of a function. It returns only after an error.
func (cmd *LambdaCommand) Run(ctx context.Context, k *kong.Context, p *process) error {
	if p.env["AWS_LAMBDA_RUNTIME_API"] == "" {
		return errors.New("stagedoor lambda runs in AWS Lambda; docs/lambda.md describes " +
			"the set-up")
	}
	if err := cmd.check(p, p.sources.byDefault(k)); err != nil {
		return err
	}
	f, err := cmd.open(ctx, p)
	if err != nil {
		return err
	}
	defer f.close()
	f.start(ctx)
	function := lambda.Function{
		HTTP: f.handler, Event: f.event, Settle: f.settle, Log: f.log,
		Operations: map[string]lambda.Operation{"setup": f.setUp, "housekeeping": f.housekeeping},
	}
	function.Run(ctx)
	return nil
}

// check refuses settings that cannot work in a Lambda function, and sets the defaults of a Lambda
// function.
func (cmd *LambdaCommand) check(p *process, byDefault func(string) bool) error {
	for flag, need := range notInFunctions {
		if !byDefault(flag) {
			return fmt.Errorf("--%s is for a server: a Lambda function has no %s; leave it out",
				flag, strings.TrimPrefix(need, "a "))
		}
	}
	if cmd.Database == "" {
		return errors.New("a Lambda function keeps nothing on disk: name a PostgreSQL database " +
			"with --database")
	}
	if cmd.OperatorPasskeys {
		return errors.New("--operator-passkeys is for a server: a Lambda function has no " +
			"passkeys; leave it out")
	}
	if !cmd.Passwords && (cmd.OIDCIssuer == "" || len(cmd.OIDCOperators) == 0) {
		return errors.New("--no-passwords needs --oidc-issuer and --oidc-operators in a Lambda " +
			"function: " +
			"no operator could sign in")
	}
	if region := p.env["AWS_REGION"]; len(cmd.IVSRegion) == 0 && region != "" {
		cmd.IVSRegion = []string{region}
	}
	if byDefault("data") {
		cmd.Data = functionData
	}
	if byDefault("log-format") {
		cmd.LogFormat = "json" // a format that Amazon CloudWatch Logs can search
	}
	return nil
}

// A function is Stagedoor as a Lambda function: a server without ports and without local stages.
type function struct {
	server
	kmsKey string
	bridge func(ctx context.Context, event []byte) error

	mu    sync.Mutex
	sites map[string]http.Handler // guarded by mu: by public URL
}

func (cmd *LambdaCommand) open(ctx context.Context, p *process) (_ *function, err error) {
	f := &function{kmsKey: cmd.KMSKey, sites: map[string]http.Handler{}}
	f.settings, f.log = cmd.ServeSettings, newLog(cmd.LogSettings, p.err)
	f.passwords = p.hashes()
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	for _, check := range []func() error{
		f.settings.checkNumbers, f.settings.AWSSettings.check, f.settings.SignInSettings.check,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if len(f.settings.IVSRegion) == 0 {
		return nil, errors.New("a Lambda function serves stages on AWS alone: name their region " +
			"with --ivs-region")
	}
	if f.settings.PublicURL != "" {
		if _, err := parsePublicURL(f.settings.PublicURL); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(f.settings.Data, 0o700); err != nil {
		return nil, fmt.Errorf("the folder %s cannot be made: %w", f.settings.Data, reason(err))
	}
	if f.store, err = openStore(ctx, f.settings.DataSettings, f.log); err != nil {
		return nil, err
	}
	f.closers = append(f.closers, f.store.Close)
	return f, f.wire(ctx)
}

// wire builds the parts of the function in the order of their dependencies, as server.wire does.
func (f *function) wire(ctx context.Context) error {
	f.metrics = metrics.New(version(), "")
	f.lead = lease.NewLead(nil, "", lease.Holder{}, time.Now, f.log)
	if err := f.wireLeaves(); err != nil {
		return err
	}
	issuer := &kmsIssuer{
		registry: f.registry, key: f.kmsKey, log: f.log,
		ready: map[string]bool{}, failed: map[string]error{},
	}
	err := f.wireRules(access.Config{
		Issuer:        measured{issuer, f.metrics},
		Verifier:      verifier(nil, localOnly(stage.Endpoints{})),
		NoLocalStages: true,
	})
	if err != nil {
		return err
	}
	if err := f.wireAWS(ctx, issuer.none); err != nil {
		return err
	}
	f.bridge = f.aws.Bridge()
	return nil
}

// start starts the background work, which Lambda pauses between invocations.
func (f *function) start(ctx context.Context) {
	part := func(name string, run func(context.Context) error) {
		go func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				f.log.ErrorContext(ctx, "a task of the function ended", "part", name, "err", err)
			}
		}()
	}
	part("events", func(ctx context.Context) error {
		return f.feed.Run(ctx, f.sources())
	})
	part("docks", f.docks.Run)
	part("stages", f.aws.Run)
}

// settle stores the revocations and the stage events that are in memory. Revocations are first,
// because until they are stored, the other instances do not keep the participants out.
func (f *function) settle(ctx context.Context) error {
	return errors.Join(f.control.Outage.Settle(ctx), f.feed.Settle(ctx))
}

// handler returns the pages and the API for the host of a Function URL, or of the public URL.
func (f *function) handler(host string) (http.Handler, error) {
	public := f.settings.PublicURL
	if public == "" {
		public = "https://" + host
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if site := f.sites[public]; site != nil {
		return site, nil
	}
	if len(f.sites) >= maxSites {
		return nil, fmt.Errorf("the function is called by more than %d names: set --public-url",
			maxSites)
	}
	site, err := f.site(public)
	if err != nil {
		return nil, err
	}
	f.sites[public] = site
	return site, nil
}

// maxSites limits the number of host names for which pages are kept in memory: a function has one
// Function URL, and may have a few aliases.
const maxSites = 10

func (f *function) site(public string) (http.Handler, error) {
	u, err := parsePublicURL(public)
	if err != nil {
		return nil, err
	}
	f.public = u
	ways, err := f.wireSignIn()
	if err != nil {
		return nil, err
	}
	cfg := f.webConfig(ways)
	cfg.WHIP, cfg.Signal = noMedia, noMedia
	// With KeySetting, operators cannot change own keys on their page. Each instance has a list of
	// keys of its own, so the other instances would go on signing with a retired key.
	cfg.About.KeySetting = keySetting
	cfg.About.Examine = f.examine
	cfg.Short = web.ShortStreams{Life: functionStream, Pause: functionPause}
	site, err := web.New(cfg)
	if err != nil {
		return nil, err
	}
	return httpkit.NameRequests(site, lambda.RequestID), nil
}

// examine runs the checks of `stagedoor doctor` that apply to a Lambda function.
func (f *function) examine(ctx context.Context) []web.V1Diagnosis {
	return diagnoses(ctx, &doctor{settings: f.settings, function: true})
}

// noMedia refuses requests to the WHIP, WHEP and events endpoints of local stages.
var noMedia http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "This server has no local stages. OBS publishes to the endpoint of the AWS "+
		"stage, "+
		"which the dock shows.", http.StatusNotFound)
})

// event handles an event of EventBridge. For an event of another application it returns no error,
// because Lambda would retry that event in vain.
func (f *function) event(ctx context.Context, event json.RawMessage) error {
	return f.bridge(ctx, event)
}

// setUp returns the one-time link that creates the first operator. Only people whom AWS IAM lets
// invoke the function can get this link.
func (f *function) setUp(ctx context.Context) (any, error) {
	code, err := f.control.Setup.NewCode(ctx)
	if err != nil {
		return nil, err
	}
	if f.settings.PublicURL == "" {
		return map[string]string{"path": "setup#code=" + code.Reveal()}, nil
	}
	u, err := parsePublicURL(f.settings.PublicURL)
	if err != nil {
		return nil, err
	}
	return map[string]string{"url": web.SetupURL(u, code)}, nil
}

// housekeeping does the work that a server does periodically. A schedule invokes it.
func (f *function) housekeeping(ctx context.Context) (any, error) {
	f.aws.KeepOut(ctx)
	f.webhooks.SendDue(ctx)
	if _, err := f.control.MakeOwnStages(ctx); err != nil {
		return nil, err
	}
	return nil, f.control.Prune(ctx)
}

// A kmsIssuer issues tokens. Before the first token of a region, it imports the public half of the
// key in AWS KMS, so that this key signs the tokens.
type kmsIssuer struct {
	registry *registry
	key      string // in AWS KMS; empty if there is none
	log      *slog.Logger

	mu     sync.Mutex
	ready  map[string]bool  // guarded by mu: by region
	failed map[string]error // guarded by mu: of the last attempt, by region
}

// IssueToken implements stage.Issuer.
func (i *kmsIssuer) IssueToken(
	ctx context.Context, req stage.TokenRequest,
) (stage.ParticipantToken, error) {
	if i.key != "" && !req.Stage.Local() {
		if err := i.prepare(ctx, req.Stage); err != nil {
			i.log.WarnContext(ctx, "the key in AWS KMS is not ready", "err", err)
		}
	}
	return i.registry.IssueToken(ctx, req)
}

// prepare imports the public half of the key, unless another instance has imported it.
func (i *kmsIssuer) prepare(ctx context.Context, arn stage.ARN) error {
	region := arn.Region()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ready[region] {
		return nil
	}
	aws := i.registry.aws.Load()
	if aws == nil {
		return errNotServed(arn)
	}
	var err error
	for range kmsAttempts {
		_, err = aws.keys.Add(ctx, region, keys.Source{KMS: i.key})
		if !errors.Is(err, stage.ErrConflict) {
			break
		}
	}
	i.ready[region], i.failed[region] = err == nil, err
	return err
}

// none says why no own key signs the tokens of a stage, for the operator.
func (i *kmsIssuer) none(arn stage.ARN, where string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	setting := words.Values{"setting": keySetting}
	failed := i.failed[arn.Region()]
	switch {
	case i.key == "":
		return words.English("said.issuer.unset", setting)
	case failed != nil:
		return words.English("said.issuer.unusable", words.Values{"key": i.key, "error": failed})
	case i.ready[arn.Region()]:
		return words.English("said.issuer.elsewhere", words.Values{"where": where})
	}
	return words.English("said.issuer.later", setting)
}
