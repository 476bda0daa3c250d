package obs

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Waits are the limits of going live and stopping. Zero fields get the defaults.
type Waits struct {
	Start   time.Duration // for OBS to say that it started: 15 s. A start may fail without a word
	Stage   time.Duration // for the stage to say that media comes: 20 s
	Stop    time.Duration // for OBS to stop: 15 s
	Connect time.Duration // for OBS to call the endpoint, which it gives 8 s: 9 s
	Reason  time.Duration // for the stage to give a reason: 1.5 s
	Poll    time.Duration // between two looks at a stage on which the broadcast is live: 2 s
}

func (w Waits) withDefaults() Waits {
	return Waits{
		Start: cmp.Or(w.Start, 15*time.Second), Stage: cmp.Or(w.Stage, 20*time.Second),
		Stop:    cmp.Or(w.Stop, 15*time.Second),
		Connect: cmp.Or(w.Connect, 9*time.Second), Reason: cmp.Or(w.Reason, 1500*time.Millisecond),
		Poll: cmp.Or(w.Poll, 2*time.Second),
	}
}

// of is the limit of a wait of the state machine.
func (w Waits) of(wait string) time.Duration {
	switch wait {
	case "start":
		return w.Start
	case "stage":
		return w.Stage
	case "stop":
		return w.Stop / 3 // it is tried several times
	case "reason":
		return w.Reason
	}
	return 100 * time.Millisecond
}

// A Verdict is the state of a participant on the stage.
type Verdict struct {
	Publishing bool            // media arrives
	Kind       stage.EventKind // of the last event, if there was one
	Code       string
	Detail     string // a sentence
	Claimed    bool   // of a token with a wrong signature: it explains, and has no consequence
}

// told reports that the stage gave a reason why the participant is not on it.
func (v Verdict) told() bool {
	return !v.Publishing && (v.Kind == stage.EventRefused || v.Kind == stage.EventEnded)
}

// A Stage reports what became of a participant; OBS itself gives no reason when a broadcast fails.
type Stage interface {
	Verdict(ctx context.Context, id stage.ParticipantID) (Verdict, error)
}

// A Broadcast is what going live needs.
type Broadcast struct {
	Limits   stage.Limits
	Issue    Issue
	Stage    Stage // nil: OBS's word has to do
	Waits    Waits
	Now      func() time.Time
	Progress func(sentence string)
}

// A Live is a broadcast that viewers can see.
type Live struct {
	Already     bool                `json:"already"` // OBS was live before
	Participant stage.ParticipantID `json:"participantId,omitempty"`
	ExpiresAt   time.Time           `json:"expiresAt,omitzero"`
}

func mustBeReady(findings []Finding) error {
	for _, f := range findings {
		if f.Level == Fix || f.Blocks {
			return stage.Errorf(stage.ErrConflict,
				"OBS is not set up for the stage: %s Run “stagedoor obs setup”.", f.Text).
				WithCode("obs_not_ready")
		}
	}
	return nil
}

// nextState waits for one of those states.
func nextState(ctx context.Context, w *Watch, wanted ...string) (string, error) {
	for {
		var e struct {
			State string `json:"outputState"`
		}
		if err := w.Next(ctx, &e); err != nil {
			return "", err
		}
		for _, state := range wanted {
			if strings.HasSuffix(e.State, "_"+state) {
				return state, nil
			}
		}
	}
}

// A Stream is GetStreamStatus.
type Stream struct {
	Active        bool  `json:"outputActive"`
	Reconnecting  bool  `json:"outputReconnecting"`
	Bytes         int64 `json:"outputBytes"`
	Duration      int64 `json:"outputDuration"` // milliseconds
	TotalFrames   int   `json:"outputTotalFrames"`
	SkippedFrames int   `json:"outputSkippedFrames"` // always 0 with WHIP; encoder lag is in GetStats
}

func readStream(ctx context.Context, c *Client) (s Stream, err error) {
	err = c.Call(ctx, "GetStreamStatus", nil, &s)
	return s, err
}

func streaming(ctx context.Context, c *Client) (bool, error) {
	s, err := readStream(ctx, c)
	return s.Active, err
}

// Stop ends the stream, also one that is only starting: while OBS connects it says that nothing
// runs, and goes live all the same a moment later. So nothing is believed to run only when nothing
// has come for as long as OBS may connect.
func Stop(ctx context.Context, c *Client, waits Waits) error {
	waits = waits.withDefaults()
	states := c.Watch("StreamStateChanged")
	defer states.Stop()
	if ran, err := halt(ctx, c, waits); ran || err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, waits.Connect)
	defer cancel()
	state, err := nextState(limit, states, "STARTED", "STOPPED")
	switch {
	case err != nil && limit.Err() != nil:
		return ctx.Err() // nothing came
	case err != nil || state == "STOPPED":
		return err
	}
	_, err = halt(ctx, c, waits)
	return err
}

// quiet ends a stream that runs.
func quiet(ctx context.Context, c *Client, waits Waits) error {
	_, err := halt(ctx, c, waits)
	return err
}

// halt ends a stream that runs and waits until it is inactive, which is later than OBS's answer and
// event. It reports whether there was one.
func halt(ctx context.Context, c *Client, waits Waits) (ran bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, waits.withDefaults().Stop)
	defer cancel()
	err = c.Call(ctx, "StopStream", nil, nil)
	if IsStatus(err, statusNotRunning) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	tick := time.NewTicker(50 * time.Millisecond) // there is no event for "inactive"
	defer tick.Stop()
	for {
		active, err := streaming(ctx, c)
		switch {
		case err == nil && !active:
			return true, nil
		case c.Err() != nil:
			return true, c.Err()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return true, stage.Errorf(stage.ErrUnavailable, "%s", inEnglish("live.wontStop", nil)).
				WithCode("obs_silent").WithCause(ctx.Err())
		}
	}
}

// A State is what Status returns.
type State struct {
	OBS      string    `json:"obs"` // version
	Platform string    `json:"platform"`
	Profile  string    `json:"profile"`
	Service  string    `json:"service"`
	Server   string    `json:"server,omitempty"`
	Ready    bool      `json:"ready"`
	Live     bool      `json:"live"` // OBS streams by WHIP, and is not reconnecting
	Stream   Stream    `json:"stream"`
	Findings []Finding `json:"findings"`

	name string // of the service, as OBS shows it
}

// Status returns what OBS is doing, and the findings about its settings.
func Status(ctx context.Context, c *Client, limits stage.Limits) (State, error) {
	r, err := Read(ctx, c)
	if err != nil {
		return State{}, err
	}
	s, err := readStream(ctx, c)
	if err != nil {
		return State{}, err
	}
	findings := Judge(r, limits)
	return State{
		OBS: r.Version, Platform: r.Platform, Profile: r.Profile, Service: r.Service.Type,
		Server: r.Service.text("server"),
		Ready:  Ready(findings), Live: s.Active && !s.Reconnecting && r.Service.Type == whipCustom,
		Stream: s, Findings: findings,
		name: r.Service.name(),
	}, nil
}
