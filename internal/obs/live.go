package obs

import (
	"cmp"
	"context"
	"errors"
	"slices"
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
	Reason  time.Duration // for the stage to say why OBS reconnects: 1.5 s
}

func (w Waits) withDefaults() Waits {
	return Waits{
		cmp.Or(w.Start, 15*time.Second), cmp.Or(w.Stage, 20*time.Second), cmp.Or(w.Stop, 15*time.Second),
		cmp.Or(w.Connect, 9*time.Second), cmp.Or(w.Reason, 1500*time.Millisecond),
	}
}

// A Verdict is what the stage says of a participant.
type Verdict struct {
	Publishing bool            // media arrives
	Kind       stage.EventKind // of the last event, if there was one
	Code       string
	Detail     string // a sentence
	Claimed    bool   // anybody could have caused the event: it explains, and nothing follows from it
}

// told says that there is a reason why the participant is not on the stage.
func (v Verdict) told() bool {
	return !v.Publishing && (v.Kind == stage.EventRefused || v.Kind == stage.EventEnded)
}

// over says that the stage turned the participant away or ended the session.
func (v Verdict) over() bool { return v.told() && !v.Claimed }

// final says that no fresh token helps, or that one would go against somebody's will. It is testdata/final.json, and so is
// the dock's list.
func (v Verdict) final() bool { return v.over() && slices.Contains(finalCodes, v.Code) }

var finalCodes = []string{
	"kicked", "token_revoked", "replaced", "denied", "no_grant", "no_capability", "insufficient_capabilities",
	"stage_deleted", "stage_gone", "stage_full", "quota_exceeded", "bad_sdp",
	// What OBS sends is wrong, and will be again.
	"no_h264", "no_opus", "bitrate_exceeded", "resolution_exceeded", "b_frame_present", "invalid_video_codec", "invalid_audio_codec", "invalid_input",
}

func (v Verdict) err() error {
	if v.Kind == stage.EventEnded {
		return stage.Errorf(stage.ErrDenied, "the stage ended the broadcast: %s", v.Detail).WithCode(v.Code)
	}
	return stage.Errorf(stage.ErrDenied, "the stage refused: %s", v.Detail).WithCode(v.Code)
}

// A Stage is asked what became of a participant; OBS itself tells nobody why a broadcast failed.
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

// GoLive puts a fresh token into OBS, starts the stream and returns when the stage says that media arrives. OBS's "started"
// only means that the endpoint answered 201. What cannot become a broadcast is stopped again.
func GoLive(ctx context.Context, c *Client, b Broadcast) (Live, error) {
	b.Waits = b.Waits.withDefaults()
	r, err := Read(ctx, c)
	if err != nil {
		return Live{}, err
	}
	if r.Active.Stream {
		if done, err := b.already(ctx, c, r); done || err != nil {
			return Live{Already: true}, err
		}
	}
	if err := mustBeReady(Judge(r, b.Limits)); err != nil {
		return Live{}, err
	}
	b.Progress("getting a token")
	pass, err := b.Issue(ctx)
	if err != nil {
		return Live{}, err
	}
	if err := setService(ctx, c, whipService(pass)); err != nil {
		return Live{}, err
	}
	b.Progress("starting the stream")
	if err := b.start(ctx, c, pass.Participant); err != nil {
		return Live{}, err
	}
	b.Progress("waiting for the stage")
	if err := b.confirm(ctx, c, pass.Participant); err != nil {
		return Live{}, errors.Join(err, quiet(context.WithoutCancel(ctx), c, b.Waits))
	}
	return Live{Participant: pass.Participant, ExpiresAt: pass.ExpiresAt}, nil
}

// already says whether an OBS that streams is live. One that only knocks in its reconnect loop is stopped: it would go on with
// a dead token for three hours, and refuse a new one all that time.
func (b Broadcast) already(ctx context.Context, c *Client, r Reading) (bool, error) {
	if r.Service.Type == whipCustom {
		s, err := readStream(ctx, c)
		if err != nil || !s.Reconnecting {
			return true, err
		}
		return false, quiet(ctx, c, b.Waits)
	}
	return false, stage.Errorf(stage.ErrConflict, "OBS is streaming to “%s”: stop it first", cmp.Or(r.Service.text("service"), r.Service.Type)).WithCode("obs_busy")
}

func mustBeReady(findings []Finding) error {
	for _, f := range findings {
		if f.Level == Fix || f.Blocks {
			return stage.Errorf(stage.ErrConflict, "OBS is not set up for the stage: %s Run “stagedoor obs setup”.", f.Text).WithCode("obs_not_ready")
		}
	}
	return nil
}

// start returns when OBS says that it started.
func (b Broadcast) start(ctx context.Context, c *Client, id stage.ParticipantID) error {
	states := c.Watch("StreamStateChanged")
	defer states.Stop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// From here on somebody has to know what became of it, also if ctx ends before the answer.
	if err := c.Call(context.WithoutCancel(ctx), "StartStream", nil, nil); err != nil {
		if IsStatus(err, statusOutputRunning) {
			return stage.Errorf(stage.ErrConflict, "OBS started to stream by itself just now").WithCode("obs_busy").WithCause(err)
		}
		return err
	}
	limit, cancel := context.WithTimeout(ctx, b.Waits.Start)
	defer cancel()
	state, err := nextState(limit, states, "STARTED", "STOPPED")
	switch {
	case err == nil && state == "STARTED":
		return nil
	case err == nil:
		return b.unreached(ctx, id)
	case c.Err() != nil:
		return c.Err()
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), b.abandon(context.WithoutCancel(ctx), c, states))
	}
	active, err := streaming(ctx, c) // a failure inside OBS may be silent
	if err != nil || active {
		return err
	}
	return stage.Errorf(stage.ErrUnavailable, "OBS did not start to stream and does not say why: look for a message in its window").WithCode("obs_silent")
}

// abandon stops a stream that is still starting: OBS refuses to stop while it connects, and goes live all the same a moment later.
func (b Broadcast) abandon(ctx context.Context, c *Client, states *Watch) error {
	limit, cancel := context.WithTimeout(ctx, b.Waits.Start)
	defer cancel()
	if state, err := nextState(limit, states, "STARTED", "STOPPED"); err == nil && state == "STOPPED" {
		return nil
	}
	return quiet(ctx, c, b.Waits)
}

// unreached finds the reason of a failed start, which only the stage knows.
func (b Broadcast) unreached(ctx context.Context, id stage.ParticipantID) error {
	if b.Stage != nil {
		if v, err := b.Stage.Verdict(ctx, id); err == nil && v.told() {
			return v.err()
		}
	}
	return stage.Errorf(stage.ErrUnavailable, "OBS could not reach the stage's endpoint, or was refused there: its log says which").WithCode("obs_unreached")
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

// confirm asks the stage until it says that media arrives. There is no event for a program with an access key.
func (b Broadcast) confirm(ctx context.Context, c *Client, id stage.ParticipantID) error {
	limit, cancel := context.WithTimeout(ctx, b.Waits.Stage)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		live, err := b.arrives(limit, c, id)
		if err != nil && ctx.Err() == nil && limit.Err() != nil {
			err = noMedia()
		}
		if live || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			return cmp.Or(ctx.Err(), noMedia())
		}
	}
}

func noMedia() error {
	return stage.Errorf(stage.ErrUnavailable, "OBS is connected, but no media arrives at the stage: a firewall may block UDP").WithCode("no_media")
}

func (b Broadcast) arrives(ctx context.Context, c *Client, id stage.ParticipantID) (bool, error) {
	status, err := readStream(ctx, c)
	if err != nil {
		return false, err
	}
	if b.Stage == nil {
		return status.Bytes > 0, nil // bytes count only when the tracks are open
	}
	v, err := b.Stage.Verdict(ctx, id)
	if err == nil && v.over() {
		return false, v.err()
	}
	return v.Publishing, err
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

// Stop ends the stream, also one that is only starting: while OBS connects it says that nothing runs, and goes live all the
// same a moment later. So nothing is believed to run only when nothing has come for as long as OBS may connect.
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

// halt ends a stream that runs, waits until OBS says so, and answers whether there was one.
func halt(ctx context.Context, c *Client, waits Waits) (ran bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, waits.withDefaults().Stop)
	defer cancel()
	states := c.Watch("StreamStateChanged")
	defer states.Stop()
	err = c.Call(ctx, "StopStream", nil, nil)
	if IsStatus(err, statusNotRunning) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, err := nextState(ctx, states, "STOPPED"); err != nil {
		if active, asked := streaming(ctx, c); asked == nil && !active {
			return true, nil
		}
		return true, cmp.Or(c.Err(), error(stage.Errorf(stage.ErrUnavailable, "OBS does not stop: stop it in its window").WithCode("obs_silent").WithCause(err)))
	}
	return true, nil
}

// A State is what Status tells.
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
}

// Status tells what OBS is doing and what is found in it.
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
		OBS: r.Version, Platform: r.Platform, Profile: r.Profile, Service: r.Service.Type, Server: r.Service.text("server"),
		Ready: Ready(findings), Live: s.Active && !s.Reconnecting && r.Service.Type == whipCustom, Stream: s, Findings: findings,
	}, nil
}
