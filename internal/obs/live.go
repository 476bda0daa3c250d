package obs

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// Waits are the time limits for going live and stopping. Zero fields get the defaults.
type Waits struct {
	// until OBS reports that the stream started: 15 s; a start may fail without an event
	Start   time.Duration
	Stage   time.Duration // until the stage reports media: 20 s
	Stop    time.Duration // until OBS has stopped: 15 s
	Connect time.Duration // until OBS has called the endpoint: 9 s, as OBS gives up after 8 s
	Reason  time.Duration // until the stage reports a reason: 1.5 s
	Poll    time.Duration // between two polls of a stage while the broadcast is live: 2 s
}

func (w Waits) withDefaults() Waits {
	return Waits{
		Start: cmp.Or(w.Start, 15*time.Second), Stage: cmp.Or(w.Stage, 20*time.Second),
		Stop:    cmp.Or(w.Stop, 15*time.Second),
		Connect: cmp.Or(w.Connect, 9*time.Second), Reason: cmp.Or(w.Reason, 1500*time.Millisecond),
		Poll: cmp.Or(w.Poll, 2*time.Second),
	}
}

// of returns the duration of one of the state machine's timers.
func (w Waits) of(wait string) time.Duration {
	switch wait {
	case "start":
		return w.Start
	case "stage":
		return w.Stage
	case "stop":
		return w.Stop / stopTries // for each attempt
	case "reason":
		return w.Reason
	}
	return 100 * time.Millisecond
}

// A Verdict is the state of a participant on the stage.
type Verdict struct {
	Publishing bool            // media arrives
	Kind       stage.EventKind // the kind of the last event; "" if there was none
	Code       string
	Detail     string // one sentence
	ByRole     string // of the person who kicked the participant
	// The event was caused by a token with a wrong signature, which anybody can send. It may
	// explain a failure, but must not end a broadcast.
	Claimed bool
}

// told reports whether the stage gave a reason why the participant is not on the stage.
func (v Verdict) told() bool {
	return !v.Publishing && (v.Kind == stage.EventRefused || v.Kind == stage.EventEnded)
}

// A Stage reports the state of a participant. OBS itself gives no reason when a broadcast fails.
type Stage interface {
	Verdict(ctx context.Context, id stage.ParticipantID) (Verdict, error)
}

// A Broadcast is the input of GoLive and Keep.
type Broadcast struct {
	Limits   stage.Limits
	Issue    Issue
	Stage    Stage // nil: it is sufficient that OBS reports that it streams
	Waits    Waits
	Now      func() time.Time
	Progress func(sentence string)
}

// A Live is a broadcast that viewers can see.
type Live struct {
	Already     bool                `json:"already"` // OBS was live before the call
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

// nextState waits for one of the given states.
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

// A Stream is the response of GetStreamStatus.
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

// Stop ends the stream, even while OBS is still connecting. While it connects, OBS reports that no
// stream runs, and then goes live. So Stop waits as long as OBS may take to connect.
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
		return ctx.Err() // nothing started
	case err != nil || state == "STOPPED":
		return err
	}
	_, err = halt(ctx, c, waits)
	return err
}

// quiet ends the stream, if one is running.
func quiet(ctx context.Context, c *Client, waits Waits) error {
	_, err := halt(ctx, c, waits)
	return err
}

// halt ends a running stream and waits until its output is inactive, which happens after OBS's
// response and event. It reports whether a stream was running.
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
			return true, words.Error(stage.ErrUnavailable, "live.wontStop", nil).
				WithCode("obs_silent").WithCause(ctx.Err())
		}
	}
}

// A State is the result of Status.
type State struct {
	OBS      string    `json:"obs"` // version of OBS
	Platform string    `json:"platform"`
	Profile  string    `json:"profile"`
	Service  string    `json:"service"`
	Server   string    `json:"server,omitempty"`
	Ready    bool      `json:"ready"`
	Live     bool      `json:"live"` // OBS streams by WHIP, and is not reconnecting
	Stream   Stream    `json:"stream"`
	Findings []Finding `json:"findings"`

	name string // name of the service, as OBS shows it
}

// Status returns the state of OBS, and the findings about its settings.
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
