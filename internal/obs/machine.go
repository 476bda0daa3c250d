package obs

import (
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// This file is the course of a broadcast as a state machine: step(state, fact) returns the next
// state and the effects. It is pure. static/lib/broadcast.js is the same machine for the dock;
// testdata/broadcast.json and a random test hold both together.
//
// OBS's "started" only means that the endpoint answered 201, and OBS never gives a reason when a
// stream failed. So a broadcast is live when the stage confirms it, and the stage's events give the
// reasons.

// longLive is how long a broadcast must have been live before a dead token is replaced once more.
const longLive = 5 * time.Minute

// How many times StopStream and GetStreamStatus are sent before OBS counts as stuck.
const (
	stopTries = 4
	lookTries = 20
)

// settingsCodes are the codes with which a stage ends a broadcast for its settings: a new token
// does not help.
var settingsCodes = []string{
	"no_h264", "no_opus", "bitrate_exceeded", "resolution_exceeded", "b_frame_present",
	"invalid_video_codec", "invalid_audio_codec", "invalid_input",
}

// finalCodes are the codes after which no new token is requested: it would not help, or it would
// defy a decision of the operator.
var finalCodes = append([]string{
	"kicked", "token_revoked", "replaced", "denied", "no_grant", "no_capability",
	"insufficient_capabilities",
	"stage_deleted", "stage_gone", "stage_full", "quota_exceeded", "bad_sdp", "rehearsal_over",
}, settingsCodes...)

func final(code string) bool { return slices.Contains(finalCodes, code) }

// A reason is a sentence of static/strings, or one from the stage.
type reason struct {
	text         string
	values       map[string]any
	detail, code string
	err          error // the cause, if it was an error
}

// The identity of a pass, without its secret.
type about struct {
	participant stage.ParticipantID
	expiresAt   int64 // unix milliseconds; 0 when unknown
	renewAt     int64
	stage       string
}

// A word is an event of the stage about the participant.
type word struct{ kind, code, detail string }

func (w *word) over() bool { return w != nil && (w.kind == "refused" || w.kind == "ended") }

func (w word) reason(text string) *reason {
	return &reason{text: text, detail: w.detail, code: w.code}
}

// What to do after a stop.
type afterStop struct {
	after  string // idle, start, renew or trouble
	reason *reason
}

// A machineState is the state of a broadcast. Its fields are those of State in broadcast.js.
type machineState struct {
	at, phase, step string
	now             int64 // unix milliseconds, of the last fact
	turn            int   // grows with each transition; an answer with an older turn is ignored
	stage           string
	unattended      bool // no person is there to click
	about           about
	since           int64
	sending         bool
	renewing        bool
	reason          *reason
	fallback        string // the sentence that is shown if the stage gives no reason
	fresh           bool
	reused          bool
	renewals        int
	unwanted        bool
	connecting      bool
	offline         bool
	orphaned        bool
	loop            bool
	tries           int
	stopped         bool
	then            *afterStop
	word, claim     *word
	deferred        []fact
}

// A fact is something that happened. Which of the other fields are set depends on its kind.
type fact struct {
	kind         string
	now          int64
	turn         int // turn of the effect that this fact answers; 0 for none
	stage        string
	state        string // state of OBS's output: STARTED, STOPPED …
	event        *word
	online       bool
	active       bool
	reconnecting bool
	whip         bool
	mine         *about
	reusable     bool
	about        *about
	kept         bool
	running      bool
	reason       *reason
	sending      *bool
}

func (f fact) name() string {
	switch {
	case f.kind == "obs":
		return f.state
	case f.kind == "stage" && f.event != nil:
		return f.event.kind
	}
	return f.kind
}

// An effect is an action for the runner: status, service, mint, put, start, stop, timer, spoil or
// refresh.
type effect struct {
	do    string
	wait  string // of a timer: start, stage, stop, reason or look
	fresh bool
	stage string
	id    stage.ParticipantID
}

type row func(machineState, fact) (machineState, []effect)

// A node describes one state of the machine: what is shown, and which facts count. A busy node
// keeps the facts in defers for the node that follows.
type node struct {
	phase, step string
	defers      []string
	on          map[string]row
}

func firstState() machineState { return machineState{at: "idle", phase: "idle"} }

// step returns the next state and the effects.
func step(s machineState, f fact) (machineState, []effect) {
	if f.turn != 0 && f.turn != s.turn {
		return s, nil
	}
	if f.now != 0 {
		s.now = f.now
	}
	table := nodes()
	s, effects := s.note(f)
	s, more := s.route(table, f)
	effects = append(effects, more...)
	for len(s.deferred) > 0 && table[s.at].defers == nil {
		first := s.deferred[0]
		s.deferred = slices.Clone(s.deferred[1:])
		s, more = s.route(table, first)
		effects = append(effects, more...)
	}
	return s, effects
}

func (s machineState) route(table map[string]node, f fact) (machineState, []effect) {
	here := table[s.at]
	if do, ok := here.on[f.name()]; ok {
		return do(s, f)
	}
	if f.kind == "failed" {
		sending := s.sending
		if f.sending != nil {
			sending = *f.sending
		}
		return s.trouble(f.reason, sending)
	}
	if slices.Contains(here.defers, f.name()) {
		s.deferred = append(slices.Clone(s.deferred), f)
	}
	return s, nil
}

// note records the parts of a fact that count in every state.
func (s machineState) note(f fact) (machineState, []effect) {
	switch f.kind {
	case "events":
		s.offline = !f.online
	case "claim":
		s.claim = f.event
	case "stage":
		s.word = f.event
		if f.event.kind == "refused" || f.event.kind == "ended" && final(f.event.code) {
			return s, []effect{{do: "spoil", id: s.about.participant}}
		}
	case "obs":
		switch {
		case f.state == "RECONNECTING" && s.word != nil && s.word.kind == "publishing":
			s.word = nil
		case f.state == "STOPPING" && s.at != "quieting":
			s.unwanted = true // a click on OBS's own button
		case f.state == "RECONNECTED":
			s.connecting, s.word = false, nil // the event belonged to the session before
		case f.state == "STARTED", f.state == "STOPPED":
			s.connecting = false
		}
	}
	return s, nil
}

func keep(s machineState) (machineState, []effect) { return s, nil }

func whileSending(sending, otherwise func(machineState) (machineState, []effect)) row {
	return func(s machineState, _ fact) (machineState, []effect) {
		if s.sending {
			return sending(s)
		}
		return otherwise(s)
	}
}

// to moves to another node. The node sets the phase that is shown; a node without a phase keeps it.
func (s machineState) to(at string) machineState {
	here := nodes()[at]
	if here.phase != "" {
		s.phase = here.phase
	}
	switch {
	case s.phase != "starting":
		s.step = ""
	case here.phase == "starting":
		s.step = here.step
	}
	if s.phase != "starting" || !s.renewing {
		s.reason = nil // otherwise the reason says why the broadcast is started anew
	}
	s.at, s.turn, s.tries = at, s.turn+1, 0
	return s
}

func do(s machineState, effects ...effect) (machineState, []effect) { return s, effects }

func timer(wait string) effect { return effect{do: "timer", wait: wait} }

func (s machineState) toIdle() (machineState, []effect) {
	s = s.to("idle")
	s.sending, s.renewing, s.since = false, false, 0
	return s, nil
}

func (s machineState) trouble(why *reason, sending bool) (machineState, []effect) {
	s = s.to("trouble")
	s.reason, s.sending, s.renewing, s.orphaned = why, sending, false, false
	return s, nil
}

// Going live.

func begin(s machineState, f fact) (machineState, []effect) {
	s.stage, s.renewals, s.renewing, s.unwanted, s.since = f.stage, 0, false, false, 0
	return s.start(false)
}

func (s machineState) start(fresh bool) (machineState, []effect) {
	s = s.to("asking")
	s.fresh, s.sending, s.word, s.claim, s.connecting, s.loop, s.orphaned = fresh, false, nil, nil,
		false, false, false
	return do(s, effect{do: "status"})
}

func asked(s machineState, f fact) (machineState, []effect) {
	switch {
	case !f.active:
		return do(s.to("reading"), effect{do: "service", stage: s.stage, fresh: s.fresh})
	case f.reconnecting && s.unattended:
		// A reconnect loop with an unknown token may go on for three hours, and OBS refuses new
		// settings until it ends.
		s.sending = true
		return s.quiet(afterStop{after: "renew"})
	}
	return s.take(false)
}

func read(s machineState, f fact) (machineState, []effect) {
	switch {
	case !f.whip: // changing the service alone would send AAC labelled as Opus; SetUp changes both
		return s.trouble(&reason{text: "live.notOurs", code: "setup"}, false)
	case f.mine != nil && f.reusable:
		return s.put(*f.mine, true)
	}
	return do(s.to("minting"), effect{do: "mint", stage: s.stage})
}

func minted(s machineState, f fact) (machineState, []effect) { return s.put(*f.about, false) }

func (s machineState) put(a about, reused bool) (machineState, []effect) {
	s = s.to("putting")
	s.about, s.reused = a, reused
	return do(s, effect{do: "put"})
}

func putIn(s machineState, f fact) (machineState, []effect) {
	if !f.kept {
		return s.trouble(&reason{text: "live.notKept"}, false)
	}
	s = s.to("calling")
	s.sending, s.connecting = true, true
	return do(s, effect{do: "start"}, timer("start"))
}

func (s machineState) unreached() (machineState, []effect) { return s.explain("live.unreachable") }

// doubt asks OBS for its status: a failure inside OBS may cause no event.
func (s machineState) doubt() (machineState, []effect) {
	return do(s.to("doubting"), effect{do: "status"})
}

func doubted(s machineState, f fact) (machineState, []effect) {
	s.connecting = false
	if f.active {
		return s.confirm()
	}
	return s.trouble(&reason{text: "live.silent"}, false)
}

func (s machineState) gone() (machineState, []effect) {
	return s.trouble(&reason{text: "live.obsGone"}, true)
}

func (s machineState) confirm() (machineState, []effect) {
	switch {
	case s.word != nil && s.word.kind == "publishing":
		return s.goLive()
	case s.word != nil && s.word.kind == "ended":
		return s.hang()
	}
	s = s.to("confirming")
	s.sending = true
	return do(s, timer("stage"))
}

func (s machineState) goLive() (machineState, []effect) {
	s = s.to("live")
	s.reused, s.renewing, s.sending = false, false, true
	if s.since == 0 {
		s.since = s.now
	}
	return s, nil
}

func (s machineState) lostAtOnce() (machineState, []effect) { return s.explain("live.lostAtOnce") }

func (s machineState) noMedia() (machineState, []effect) {
	return s.trouble(&reason{text: "live.noMedia"}, true)
}

// hang waits: the stage ended the session, and OBS will stop or reconnect in a moment.
func (s machineState) hang() (machineState, []effect) {
	s = s.to("hanging")
	s.sending = true
	return do(s, timer("reason"))
}

func (s machineState) hung() (machineState, []effect) {
	if s.word == nil {
		return s.noMedia()
	}
	return s.trouble(s.word.reason("live.noMedia"), true)
}

// On the stage.

func (s machineState) lasting() (machineState, []effect) {
	if s.now-s.since > longLive.Milliseconds() {
		s.renewals = 0
	}
	return s, nil
}

func (s machineState) backLive() (machineState, []effect) { return s.to("live"), nil }

// check follows when the stage answers again and does not know the broadcast.
func (s machineState) check() (machineState, []effect) {
	return do(s.to("checking"), effect{do: "status"})
}

func checked(s machineState, f fact) (machineState, []effect) {
	switch {
	case !f.active:
		s.deferred = nil
		return s.ended()
	case f.reconnecting:
		s.word = nil
		return s.looped()
	}
	s.renewing = true
	return s.quiet(afterStop{"start", &reason{text: "live.forgotten"}})
}

func (s machineState) away() (machineState, []effect) { return s.to("away"), nil }

func (s machineState) renewable(w word) bool {
	return s.renewals == 0 && (!final(w.code) || s.reused && w.code == "token_revoked")
}

func judged(s machineState, f fact) (machineState, []effect) {
	if final(f.event.code) {
		return s.giveUp(*f.event)
	}
	return s, nil
}

// looped handles an OBS in its reconnect loop; the stage may have given a reason.
func (s machineState) looped() (machineState, []effect) {
	over := s.word.over()
	switch {
	case over && final(s.word.code) && !s.renewable(*s.word):
		return s.giveUp(*s.word)
	case s.about.expiresAt > 0 && s.about.expiresAt <= s.now && s.renewals == 0:
		return s.renew()
	case over && s.word.kind == "refused" && s.renewable(*s.word):
		return s.renew()
	case over && s.word.kind == "refused":
		return s.giveUp(*s.word)
	}
	s = s.to("reconnecting")
	s.sending = true
	if over {
		s.reason = s.word.reason("live.ended")
	}
	return s, nil
}

// renew stops, puts in a new token and starts again, at most once.
func (s machineState) renew() (machineState, []effect) {
	s.renewals, s.renewing = s.renewals+1, true
	return s.quiet(afterStop{after: "renew"})
}

func (s machineState) giveUp(w word) (machineState, []effect) {
	return s.quiet(afterStop{"trouble", w.reason("live.ended")})
}

// Getting a new token while nothing is sent.

func refresh(s machineState, f fact) (machineState, []effect) {
	s = s.to("refreshing")
	s.stage = f.stage
	return do(s, effect{do: "refresh", stage: f.stage})
}

func refreshed(s machineState, f fact) (machineState, []effect) {
	s, effects := s.toIdle()
	if f.about != nil {
		s.about = *f.about
	}
	return s, effects
}
