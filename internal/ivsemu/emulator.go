// Package ivsemu emulates the Amazon IVS real-time API, so that programs for that API can run on a
// laptop, in CI or without a network. It emulates stages, participant tokens, public keys,
// participants, sessions, events, tags and ingest configurations, with the validation, errors and
// quotas of the model, which is AWS's machine-readable description of the API. Tokens publish over
// WHIP to a real stage behind the emulator.
//
// It is not Amazon IVS and not made by Amazon. docs/ivs.md lists the differences.
package ivsemu

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// Config is what an Emulator needs. BaseURL is required, and either a key pair or AnyCredentials;
// other fields have defaults.
type Config struct {
	// URL at which clients reach the emulator, such as http://127.0.0.1:4566. Endpoints of stages
	// have paths below it.
	BaseURL string

	AccessKey      string       // access key of the one key pair that signs requests
	SecretKey      stage.Secret // secret key of that pair
	AnyCredentials bool         // accepts any signature or none, but only from this computer

	Account string // default 123456789012, as in AWS's documentation
	Region  string // for requests that name no region (AnyCredentials); default us-west-2

	// also enforce AWS's request rates; other quotas (3 public keys …) are always enforced
	Quotas bool
	// faults to simulate: throttle, expired-key, pending-verification, internal-error or slow;
	// "Operation=fault" for one operation
	Faults []string

	EventsURL    string       // where EventBridge events are posted; "" for nowhere
	EventsSecret stage.Secret // sent in the header X-Stagedoor-Secret

	StateFile string // stores the state between runs; "" to store nothing

	// let a disconnected participant join again; AWS does not document whether it allows this
	NoBar bool

	// origins whose pages may use the WHIP endpoints; default all, as at AWS
	AllowOrigins []string
	SlowBy       time.Duration // delay by the fault "slow"; 3 s if zero
	Now          func() time.Time
	Log          *slog.Logger
}

// An Emulator is an http.Handler. The media plane needs Observe for its events, so it is created
// after the Emulator. Set Media, and Socket if there is one, before the first request. Run delivers
// events until its context ends, and then ends the sessions.
type Emulator struct {
	Media whip.Media // the real stage behind the WHIP endpoints
	// the events socket of stages, below /events; may be nil
	Socket http.Handler
	// lists participants who joined over the socket, and calls Changed; may be nil
	Roster stage.Moderator
	// called after DisconnectParticipant, to disconnect the participant from Socket; may be nil
	Kicked func(stage.ARN, stage.ParticipantID, string)
	// called after a stage was deleted, to close its connections to Socket; may be nil
	Closed func(stage.ARN)

	cfg        Config
	base       *url.URL
	faults     map[string]string // by operation; "" means every operation
	operations map[string]operation
	signature  sigV4
	rates      *rates
	pages      *pager
	verifier   *token.Verifier
	whip       *whip.Handler
	outbox     chan bridgeEvent
	roll       *roll
	crossSite  *http.CrossOriginProtection
	sessions   sync.WaitGroup // counts open WHIP and WHEP sessions

	saving sync.Mutex // held while the state file is written; locked before mu

	mu    sync.Mutex
	state *state // guarded by mu
}

// New returns an emulator with the state in the state file, or an empty one.
func New(cfg Config) (*Emulator, error) {
	cfg.setDefaults()
	base, ok := parseURL(cfg.BaseURL)
	if !ok || strings.Trim(base.Path, "/") != "" {
		return nil, stage.Errorf(stage.ErrInvalid,
			"the emulator needs the URL at which it is reached, such as "+
				"http://127.0.0.1:4566, not %q", cfg.BaseURL)
	}
	if !cfg.AnyCredentials && (cfg.AccessKey == "" || cfg.SecretKey.Empty()) {
		return nil, stage.Errorf(stage.ErrInvalid,
			"the emulator needs an access key and its secret key, or to be told that any "+
				"credentials will do")
	}
	if !slices.Contains(stage.AWSRegions(), cfg.Region) {
		return nil, stage.Errorf(stage.ErrInvalid,
			"Amazon IVS has no real-time stages in %q; its regions are %s", cfg.Region,
			strings.Join(stage.AWSRegions(), ", "))
	}
	if len(cfg.Account) != 12 || strings.Trim(cfg.Account, "0123456789") != "" {
		return nil, stage.Errorf(stage.ErrInvalid,
			"an AWS account has 12 digits, such as 123456789012, and not %q", cfg.Account)
	}
	if _, ok := parseURL(cfg.EventsURL); !ok && cfg.EventsURL != "" {
		return nil, stage.Errorf(stage.ErrInvalid,
			"events are posted to a URL such as http://127.0.0.1:8080/api/aws/events, not to %q",
			cfg.EventsURL)
	}
	faults, err := parseFaults(cfg.Faults)
	if err != nil {
		return nil, err
	}
	e := &Emulator{
		cfg:        cfg,
		base:       base,
		faults:     faults,
		operations: operations(),
		signature:  sigV4{cfg.AccessKey, cfg.SecretKey, cfg.Now},
		rates:      newRates(cfg.Now),
		pages:      newPager(),
		outbox:     make(chan bridgeEvent, 1000),
		roll:       newRoll(),
		crossSite:  http.NewCrossOriginProtection(),
	}
	return e, e.open()
}

// parseURL parses an absolute HTTP URL.
func parseURL(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	return u, err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func (cfg *Config) setDefaults() {
	cfg.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	cfg.Account = cmp.Or(cfg.Account, "123456789012")
	cfg.Region = cmp.Or(cfg.Region, "us-west-2")
	cfg.SlowBy = cmp.Or(cfg.SlowBy, 3*time.Second)
	if cfg.AllowOrigins == nil {
		cfg.AllowOrigins = []string{"*"}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
}

// open loads or creates the state, and prepares the WHIP endpoints of the stages.
func (e *Emulator) open() error {
	st, err := loadState(e.cfg.StateFile, e.cfg.Now())
	if err != nil {
		return err
	}
	if st.APIKey == nil {
		if st.APIKey, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
			return fmt.Errorf("make the key of the API: %w", err)
		}
	}
	e.state = st
	e.verifier = &token.Verifier{
		Keys:      keyring{e},
		Endpoints: e.endpoints,
		Now:       e.cfg.Now,
		Leeway:    time.Minute,
		Admit:     e.admit,
		APIKey:    &st.APIKey.PublicKey,
	}
	e.whip = whip.New(whip.Config{
		Media:        recorder{e},
		Tokens:       e.verifier,
		Log:          e.cfg.Log,
		Now:          e.cfg.Now,
		Events:       e.Observe,
		AllowOrigins: e.cfg.AllowOrigins,
	})
	// Save at once, so that the start fails if the folder cannot be written.
	return e.save()
}

// Verifier returns a verifier for the tokens of the emulated stages, for the events socket.
func (e *Emulator) Verifier() *token.Verifier { return e.verifier }

// WHIP returns the handler of the WHIP and WHEP endpoints of the emulated stages, for the events
// socket.
func (e *Emulator) WHIP() *whip.Handler { return e.whip }

// Run delivers events until ctx ends; then it ends all sessions and waits for them.
func (e *Emulator) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { return e.deliver(ctx) })
	g.Go(func() error { return e.callRoll(ctx) })
	<-ctx.Done()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := e.whip.Shutdown(bounded)
	e.sessions.Wait()
	return cmp.Or(g.Wait(), err)
}
