package obs

import (
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// This file contains the state machine of a broadcast: step(state, fact) returns the next state and
// the effects, and has no side effects itself. The dock has the same machine in
// static/lib/broadcast.js. Tests with testdata/broadcast.json and with random facts check that both
// are equal.
//
// OBS reports "started" when the endpoint has answered 201, and never reports why a stream failed.
// So a broadcast counts as live when the stage confirms it, and the stage's events give the
// reasons.

// longLive is how long a broadcast must have been live before the machine may restart it with a new
// token once more.
const longLive = 5 * time.Minute

// How many times StopStream and GetStreamStatus are sent before OBS counts as stuck.
const (
	stopTries = 4
	lookTries = 20
)

// settingsCodes are the codes with which a stage ends a broadcast whose settings in OBS do not fit.
// A new token would not help.
var settingsCodes = []string{
	"no_h264", "no_opus", "bitrate_exceeded", "resolution_exceeded", "b_frame_present",
	"invalid_video_codec", "invalid_audio_codec", "invalid_input",
}

// finalCodes are the codes after which no new token is requested, because it would not help or
// would defy a decision of an operator or a moderator.
var finalCodes = append([]string{
	"kicked", "barred", "token_revoked", "replaced", "denied", "no_grant", "no_capability",
	"insufficient_capabilities",
	"stage_deleted", "stage_gone", "stage_full", "quota_exceeded", "bad_sdp", "rehearsal_over",
}, settingsCodes...)

func final(code string) bool { return slices.Contains(finalCodes, code) }

// A reason is a sentence: a key of static/strings, or a text that the stage sent.
type reason struct {
	text         string
	values       map[string]any
	detail, code string
	byRole       string // of the person who kicked the participant
	err          error  // the cause, if it was an error
}

// An about describes a pass without its secret.
type about struct {
	participant stage.ParticipantID
	expiresAt   int64 // unix milliseconds; 0 when unknown
	renewAt     int64
	stage       string
}

// A word is an event of the stage about the participant.
type word struct{ kind, code, detail, byRole string }

func (w *word) over() bool { return w != nil && (w.kind == "refused" || w.kind == "ended") }

func (w word) reason(text string) *reason {
	return &reason{text: text, detail: w.detail, code: w.code, byRole: w.byRole}
}

// An afterStop selects what the machine does after the stream has stopped.
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
	unattended      bool // no person can click
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

// A fact is something that happened. Its kind determines which of the other fields are set.
type fact struct {
	kind         string
	now          int64
	turn         int // turn of the effect that this fact answers; 0 for none
	stage        string
	state        string // state of OBS's output: STARTED, STOPPED and so on
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
	wait  string // the timer: start, stage, stop, reason or look
	fresh bool
	stage string
	id    stage.ParticipantID
}

type row func(machineState, fact) (machineState, []effect)

// A node describes one state of the machine: the phase to show, and the facts that it handles. A
// node that waits for an effect puts off the facts in its list `defers`. The next node that puts
// off none gets these facts.
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

// note records the parts of a fact that matter in every state.
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
			s.unwanted = true // a person clicked Stop Streaming in OBS
		case f.state == "RECONNECTED":
			s.connecting, s.word = false, nil // the recorded event belonged to the previous session
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

// to moves to another node and shows its phase. If the node has none, the shown phase does not
// change.
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
		s.reason = nil // during a restart, the reason says why the broadcast is restarted
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

// The functions below start a broadcast.

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
		// OBS is reconnecting with a token that this client does not know. OBS may try for three
		// hours, and refuses new settings meanwhile.
		s.sending = true
		return s.quiet(afterStop{after: "renew"})
	}
	return s.take(false)
}

func read(s machineState, f fact) (machineState, []effect) {
	switch {
	case !f.whip: // without SetUp, OBS would send AAC that is labelled as Opus
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

// doubt requests the status of OBS, because a failure inside OBS may cause no event.
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

// hang waits after the stage has ended or refused the session: OBS will stop or reconnect soon.
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

// The functions below handle a broadcast that is on the stage.

func (s machineState) lasting() (machineState, []effect) {
	if s.now-s.since > longLive.Milliseconds() {
		s.renewals = 0
	}
	return s, nil
}

func (s machineState) backLive() (machineState, []effect) { return s.to("live"), nil }

// check runs when the stage answers again but does not know the broadcast.
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

// looped handles an OBS that is reconnecting. The stage may have given a reason.
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

// renew stops the stream, writes a new token into OBS and starts the stream again. Its callers make
// sure that this happens at most once before the broadcast has been live for longLive.
func (s machineState) renew() (machineState, []effect) {
	s.renewals, s.renewing = s.renewals+1, true
	return s.quiet(afterStop{after: "renew"})
}

func (s machineState) giveUp(w word) (machineState, []effect) {
	return s.quiet(afterStop{"trouble", w.reason("live.ended")})
}

// These functions get a new token while OBS is not streaming.

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
