package obs

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// Keep goes live, reports each broadcast that has started, and runs until the broadcast ends. It
// follows the same state machine as the dock, but needs no person to click. It restarts the
// broadcast after a restart of the server, and also after an unexpected stop or an expired token:
// once, and again only after the broadcast was live for longLive. If the stream is stopped in OBS,
// Keep returns. When ctx ends, it stops the stream.
func Keep(ctx context.Context, c *Client, b Broadcast, report func(Live) error) error {
	return newKeeper(c, b, report).run(ctx)
}

// GoLive writes a new token into OBS, starts the stream and returns when the stage reports media.
// If the stage reports none, it stops the stream.
func GoLive(ctx context.Context, c *Client, b Broadcast) (Live, error) {
	k := newKeeper(c, b, nil)
	err := k.run(ctx)
	return k.live, err
}

// A keeper carries out the effects of the state machine: requests to OBS, tokens from the server,
// and a timer.
type keeper struct {
	c      *Client
	b      Broadcast
	report func(Live) error // nil: the keeper returns after the first broadcast has started

	s     machineState
	live  Live
	told  bool   // report was called
	shown string // the progress printed last

	pass   *Pass
	spoilt stage.ParticipantID
	timer  <-chan time.Time

	verdict  Verdict // the latest poll's result
	polled   time.Time
	offline  bool // the server does not answer
	unknown  int  // consecutive polls in which the stage did not know the broadcast
	verdicts chan polled
	polling  sync.WaitGroup
	busy     bool // a poll is running
}

type polled struct {
	v   Verdict
	err error
}

func newKeeper(c *Client, b Broadcast, report func(Live) error) *keeper {
	b.Waits = b.Waits.withDefaults()
	k := &keeper{c: c, b: b, report: report, s: firstState(), verdicts: make(chan polled, 1)}
	k.s.unattended = true
	return k
}

// run creates its watch before it starts anything, so that it misses no event.
func (k *keeper) run(ctx context.Context) error {
	states := k.c.Watch("StreamStateChanged")
	defer states.Stop()
	pollCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer k.polling.Wait()
	defer cancel()
	already, err := k.prepare(ctx)
	switch {
	case err != nil:
		return err
	case already && k.report == nil:
		k.live = Live{Already: true}
		return nil
	case already:
		k.live = Live{Already: true}
		k.tell(ctx, fact{kind: "resume"})
	default:
		k.tell(ctx, fact{kind: "go"})
	}
	return k.loop(ctx, pollCtx, states)
}

func (k *keeper) loop(ctx, pollCtx context.Context, states *Watch) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	ended := ctx.Done()
	for {
		// Stop before `over` is called: `over` would report a broadcast that starts at the moment
		// when ctx ends, and that broadcast must not go on.
		if ended != nil && ctx.Err() != nil {
			ended = nil
			k.tell(ctx, fact{kind: "stop"})
		}
		if over, err := k.over(ctx); over {
			return err
		}
		k.poll(pollCtx)
		select {
		case e, open := <-states.events:
			if !open {
				return k.c.Err()
			}
			k.tell(ctx, fact{kind: "obs", state: outputState(e)})
		case p := <-k.verdicts:
			k.busy = false
			k.judge(ctx, p)
		case <-tick.C: // poll again
		case <-k.timer:
			k.timer = nil
			k.tell(ctx, fact{kind: "timeout", turn: k.s.turn})
		case <-ended:
		}
	}
}

func outputState(e event) string {
	var data struct {
		State string `json:"outputState"`
	}
	_ = json.Unmarshal(e.Data, &data) // OBS's own events are valid JSON
	return strings.TrimPrefix(data.State, "OBS_WEBSOCKET_OUTPUT_")
}

// prepare reports whether OBS is live already. An OBS that is reconnecting does not count as live.
func (k *keeper) prepare(ctx context.Context) (already bool, err error) {
	r, err := Read(ctx, k.c)
	if err != nil {
		return false, err
	}
	if r.Active.Stream {
		if r.Service.Type != whipCustom {
			return false, words.Error(stage.ErrConflict, "live.elsewhere", nil).WithCode("obs_busy")
		}
		s, err := readStream(ctx, k.c)
		if err != nil || !s.Reconnecting {
			return true, err
		}
	}
	return false, mustBeReady(Judge(r, k.b.Limits))
}

// over reports whether the keeper is done. It also calls `report` for each broadcast that has
// started.
func (k *keeper) over(ctx context.Context) (bool, error) {
	k.progress()
	switch k.s.at {
	case "live":
		return k.arrived()
	case "idle":
		if k.report == nil {
			return true, ctx.Err()
		}
		return true, nil
	case "trouble":
		err := k.failure()
		if k.s.sending {
			err = errors.Join(err, quiet(context.WithoutCancel(ctx), k.c, k.b.Waits))
		}
		return true, err
	}
	return false, nil
}

func (k *keeper) arrived() (bool, error) {
	if k.told {
		return false, nil
	}
	k.told = true
	if k.pass != nil {
		k.live = Live{Participant: k.pass.Participant, ExpiresAt: k.pass.ExpiresAt}
	}
	if k.report == nil {
		return true, nil
	}
	if err := k.report(k.live); err != nil {
		return true, err
	}
	return false, nil
}

// progress prints which step the keeper waits for.
func (k *keeper) progress() {
	say := ""
	switch {
	case k.s.reason != nil && k.s.phase != "trouble":
		say = k.s.reason.sentence()
	case k.s.phase == "starting":
		say = words.English("live.step."+k.s.step, nil)
	case k.s.phase == "reconnecting" && k.s.renewing:
		say = words.English("live.renewing", nil)
	case k.s.phase == "reconnecting":
		say = words.English("live.reconnectingText", nil)
	}
	if say = strings.TrimRight(say, ".… "); say != "" && say != k.shown {
		k.b.Progress(say)
	}
	k.shown = say
}

// tell passes a fact to the state machine, carries out the effects, and passes their results to the
// machine as further facts.
func (k *keeper) tell(ctx context.Context, f fact) {
	for facts := []fact{f}; len(facts) > 0; facts = facts[1:] {
		now := facts[0]
		now.now = k.b.Now().UnixMilli()
		turn := k.s.turn
		next, effects := step(k.s, now)
		k.s = next
		if k.s.turn != turn {
			k.timer = nil
			k.polled = time.Time{}
		}
		for _, e := range effects {
			if answer, ok := k.carryOut(ctx, e); ok {
				answer.turn = k.s.turn
				facts = append(facts, answer)
			}
		}
	}
}

// carryOut carries out an effect of the machine. A request to OBS has its own time limit and does
// not stop when ctx ends, because the result of StartStream must be known.
func (k *keeper) carryOut(ctx context.Context, e effect) (fact, bool) {
	toOBS := context.WithoutCancel(ctx)
	var answer fact
	var err error
	switch e.do {
	case "status":
		var s Stream
		s, err = readStream(toOBS, k.c)
		answer = fact{kind: "status", active: s.Active, reconnecting: s.Reconnecting}
	case "service":
		answer, err = k.service(toOBS, e.fresh)
	case "mint":
		answer, err = k.mint(ctx)
	case "put":
		answer, err = k.put(toOBS)
	case "start":
		if err = k.c.Call(toOBS, "StartStream", nil, nil); err == nil {
			return fact{}, false
		}
	case "stop":
		err = k.c.Call(toOBS, "StopStream", nil, nil)
		answer = fact{kind: "stopSent", running: err == nil}
		if IsStatus(err, statusNotRunning) {
			err = nil
		}
	case "timer":
		k.timer = time.After(k.b.Waits.of(e.wait))
		return fact{}, false
	case "spoil":
		k.spoilt = e.id
		return fact{}, false
	}
	if err != nil {
		return k.failed(err), true
	}
	return answer, true
}

func (k *keeper) failed(err error) fact {
	if IsStatus(err, statusOutputRunning) {
		sending := true
		err = words.Error(stage.ErrConflict, "live.running", nil).WithCode("obs_busy").
			WithCause(err)
		return fact{kind: "failed", reason: &reason{err: err}, sending: &sending}
	}
	return fact{kind: "failed", reason: &reason{err: err}}
}

func (k *keeper) service(ctx context.Context, fresh bool) (fact, error) {
	now, err := readService(ctx, k.c)
	if err != nil {
		return fact{}, err
	}
	f := fact{kind: "service", whip: now.Type == whipCustom}
	if k.pass != nil && now.same(whipService(*k.pass)) {
		mine := k.about()
		f.mine = &mine
		f.reusable = !fresh && k.pass.Participant != k.spoilt && k.b.Now().
			UnixMilli() < mine.renewAt
	}
	return f, nil
}

// about describes a pass to the machine, without its secret. A pass is renewed an hour before it
// expires, or after three quarters of its life if that is later.
func (k *keeper) about() about {
	if k.pass.ExpiresAt.IsZero() {
		return about{participant: k.pass.Participant}
	}
	ends := k.pass.ExpiresAt.UnixMilli()
	before := min(time.Hour.Milliseconds(), (ends-k.pass.issued.UnixMilli())/4)
	return about{participant: k.pass.Participant, expiresAt: ends, renewAt: ends - before}
}

// mint requests a token. During the restart of a broadcast, it retries while the server does not
// answer.
func (k *keeper) mint(ctx context.Context) (fact, error) {
	for {
		pass, err := k.b.Issue(ctx)
		if k.s.renewing && errors.Is(err, stage.ErrUnavailable) {
			select {
			case <-time.After(k.b.Waits.Poll):
				continue
			case <-ctx.Done():
			}
		}
		if err != nil {
			return fact{}, err
		}
		pass.issued = k.b.Now()
		k.pass, k.verdict, k.told, k.unknown = &pass, Verdict{}, false, 0
		a := k.about()
		return fact{kind: "token", about: &a}, nil
	}
}

func (k *keeper) put(ctx context.Context) (fact, error) {
	err := setService(ctx, k.c, whipService(*k.pass))
	var e *stage.Error
	if errors.As(err, &e) && e.Code == codeNotKept {
		return fact{kind: "put"}, nil
	}
	return fact{kind: "put", kept: true}, err
}

// poll asks the stage about the participant. It has to poll because a program with an access key
// receives no events.
func (k *keeper) poll(ctx context.Context) {
	pace := 200 * time.Millisecond
	if k.s.at == "live" {
		pace = k.b.Waits.Poll
	}
	if k.busy || k.pass == nil || time.Since(k.polled) < pace {
		return
	}
	k.busy, k.polled = true, time.Now()
	id := k.pass.Participant
	k.polling.Go(func() {
		v, err := k.ask(ctx, id)
		k.verdicts <- polled{v, err} // does not block, since the channel has room for one result
	})
}

func (k *keeper) ask(ctx context.Context, id stage.ParticipantID) (Verdict, error) {
	if k.b.Stage != nil {
		return k.b.Stage.Verdict(ctx, id)
	}
	s, err := readStream(ctx, k.c)
	return Verdict{Publishing: s.Bytes > 0}, err // OBS counts bytes only after it opened the tracks
}

// judge turns a verdict of the stage into facts for the machine.
func (k *keeper) judge(ctx context.Context, p polled) {
	if p.err != nil {
		if !k.offline {
			k.offline = true
			k.tell(ctx, fact{kind: "events"})
		}
		return
	}
	if k.offline {
		k.offline = false
		k.tell(ctx, fact{kind: "events", online: true})
	}
	known := k.verdict
	k.verdict = p.v
	switch {
	case p.v.Publishing:
		k.unknown = 0
		k.tell(ctx, fact{kind: "presence"})
	case p.v.told():
		k.unknown = 0
		if p.v != known {
			k.tell(ctx, p.v.fact())
		}
	case k.s.at == "live" && k.pass != nil && k.pass.Stage.Local():
		// A local stage no longer knows the broadcast if the server was restarted. AWS stages do
		// not depend on the server.
		if k.unknown++; k.unknown >= 2 {
			k.unknown = 0
			k.tell(ctx, fact{kind: "absent"})
		}
	}
}

// fact returns the verdict as a fact for the machine.
func (v Verdict) fact() fact {
	f := fact{kind: "stage", event: &word{
		kind: string(v.Kind), code: v.Code, detail: v.Detail, byRole: v.ByRole,
	}}
	if v.Claimed {
		f.kind = "claim"
	}
	return f
}

// failure returns the error for the state "trouble".
func (k *keeper) failure() error {
	r := k.s.reason
	if r.err != nil {
		return r.err
	}
	text := r.sentence()
	if r.detail == "" {
		return stage.Errorf(stage.ErrUnavailable, "%s", text).WithCode(codeOf(r.text, k.s.renewals))
	}
	return stage.Errorf(stage.ErrDenied, "%s", text).WithCode(r.code)
}

// sentence returns the English sentence that the dock shows. If the stage sent a detail, the detail
// is this sentence, except after a kick: then the detail is only the reason for the kick.
func (r *reason) sentence() string {
	switch {
	case r.detail == "":
		return words.English(r.text, r.values)
	case r.code != stage.CodeKicked:
		return r.detail
	}
	key := "server.kicked"
	if r.byRole == "operator" || r.byRole == "moderator" {
		key += "." + r.byRole
	}
	switch r.detail {
	case stage.NoReason, stage.NoReasonOfOperator, stage.NoReasonOfModerator:
		key += ".plain"
	}
	return words.English(key, words.Values{"detail": r.detail})
}

// codeOf returns the stable code of a sentence, for scripts.
func codeOf(text string, renewals int) string {
	if text == "live.ended" && renewals > 0 {
		return "ended_again"
	}
	return map[string]string{
		"live.unreachable": "obs_unreached", "live.lostAtOnce": "no_media",
		"live.noMedia": "no_media", "live.silent": "obs_silent",
		"live.wontStop": "obs_silent", "live.notKept": codeNotKept, "live.notOurs": "obs_not_ready",
		"live.obsGone":  "obs_closed",
		"live.obsEnded": "obs_closed", "live.elsewhere": "obs_busy", "live.otherToken": "obs_busy",
		"live.ended":      "ended",
		"live.serverGone": "server_unreachable",
	}[text]
}
