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
// OBS's "started" only means that the endpoint answered 201, and OBS never says why a stream
// failed. So live is what the stage confirms, and the stage's events give the reasons.

// longLive is the time of a live broadcast after which a dead token is replaced again.
const longLive = 5 * time.Minute

// Limits of how often StopStream is sent, and how often GetStreamStatus, before OBS counts as
// stuck.
const (
	stopTries = 4
	lookTries = 20
)

// settingsCodes are those of a stage that ends what OBS sends: only other settings help.
var settingsCodes = []string{
	"no_h264", "no_opus", "bitrate_exceeded", "resolution_exceeded", "b_frame_present",
	"invalid_video_codec", "invalid_audio_codec", "invalid_input",
}

// finalCodes are those after which no new token is requested: it would not help, or it would defy a
// decision.
var finalCodes = append([]string{
	"kicked", "token_revoked", "replaced", "denied", "no_grant", "no_capability",
	"insufficient_capabilities",
	"stage_deleted", "stage_gone", "stage_full", "quota_exceeded", "bad_sdp",
}, settingsCodes...)

func final(code string) bool { return slices.Contains(finalCodes, code) }

// A reason is a sentence of static/strings, or the stage's own.
type reason struct {
	text         string
	values       map[string]any
	detail, code string
	err          error // where an error was the cause
}

// A pass's identity, without its secret.
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

// What follows a stop.
type afterStop struct {
	after  string // idle, start, renew or trouble
	reason *reason
}

// A machineState is where a broadcast is. Its fields are those of State in broadcast.js.
type machineState struct {
	at, phase, step string
	now             int64 // unix milliseconds, of the last fact
	turn            int   // grows with each move; an answer that bears an older one is ignored
	stage           string
	unattended      bool // without a person to click
	about           about
	since           int64
	sending         bool
	renewing        bool
	reason          *reason
	fallback        string // the sentence if the stage gives no reason
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

// A fact is something that happened; only those of the kind have the other fields.
type fact struct {
	kind         string
	now          int64
	turn         int // of the effect that this answers; 0 for none
	stage        string
	state        string // of OBS's output: STARTED, STOPPED …
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

// An effect is something to do: status, service, mint, put, start, stop, timer, spoil or refresh.
type effect struct {
	do    string
	wait  string // of a timer: start, stage, stop, reason or look
	fresh bool
	stage string
	id    stage.ParticipantID
}

type row func(machineState, fact) (machineState, []effect)

// A node is one place of the machine: what is shown there, and the facts that count. A busy one
// keeps the facts in defers for the place that follows.
type node struct {
	phase, step string
	defers      []string
	on          map[string]row
}

// nodes is the table. "failed" answers an effect that did not work; without a row it becomes
// trouble.
func nodes() map[string]node {
	type on = map[string]row
	plain := func(f func(machineState) (machineState, []effect)) row {
		return func(s machineState, _ fact) (machineState, []effect) { return f(s) }
	}
	idle, stop, closed, back := plain(machineState.toIdle), plain(machineState.halt), plain(
		machineState.gone), plain(machineState.resume)
	over, looping, confirm, live := plain(machineState.ended), plain(machineState.looped), plain(
		machineState.confirm), plain(machineState.goLive)
	hang, leave, started := plain(machineState.hang), plain(machineState.away), plain(
		machineState.foundStarted)
	known := plain(machineState.backLive)
	return map[string]node{
		"idle": {phase: "idle", on: on{"go": begin, "refresh": refresh, "resume": back,
			"STARTED": started}},
		"refreshing": {phase: "idle", defers: []string{"go", "resume", "STARTED"},
			on: on{"refreshed": refreshed, "failed": idle}},

		// Going live.
		"asking":  {phase: "starting", step: "token", on: on{"status": asked, "stop": idle}},
		"reading": {phase: "starting", step: "token", on: on{"service": read, "stop": idle}},
		"minting": {phase: "starting", step: "token", on: on{"token": minted, "stop": idle}},
		"putting": {phase: "starting", step: "settings", on: on{"put": putIn, "stop": idle}},
		"calling": {phase: "starting", step: "obs",
			on: on{"STARTED": confirm, "STOPPED": plain(machineState.unreached),
				"timeout": plain(machineState.doubt), "stop": stop, "closed": closed}},
		"doubting": {phase: "starting", step: "obs",
			on: on{"status": doubted, "stop": stop, "closed": closed}},
		"confirming": {phase: "starting", step: "stage", on: on{
			"publishing": live, "presence": live, "ended": hang, "refused": hang,
			"RECONNECTING": looping, "STOPPED": plain(machineState.lostAtOnce),
			"timeout": plain(machineState.noMedia), "stop": stop, "closed": closed,
		}},
		"hanging": {on: on{"publishing": live, "RECONNECTED": confirm, "STOPPED": over,
			"RECONNECTING": looping, "timeout": plain(machineState.hung), "stop": stop,
			"closed": closed}},

		// On the stage.
		"live": {phase: "live", on: on{
			"presence": plain(machineState.lasting), "ended": judged, "RECONNECTING": looping,
			"STOPPED": over,
			"absent":  plain(machineState.check), "stop": stop, "closed": leave, "resume": back,
		}},
		"checking": {phase: "live", defers: []string{"RECONNECTING", "STOPPED"},
			on: on{"status": checked, "failed": known, "presence": known, "stop": stop,
				"closed": leave}},
		"away": {phase: "away", on: on{"resume": back, "stop": stop}},
		"reconnecting": {phase: "reconnecting", on: on{
			"RECONNECTING": looping, "RECONNECTED": confirm, "STOPPED": over, "publishing": live,
			"ended": looping, "refused": looping,
			"stop": stop, "closed": leave, "resume": back,
		}},

		// Finding out, and the end.
		"explaining": {defers: []string{"go"}, on: on{
			"ended": explained, "refused": explained, "claim": explained, "timeout": unexplained,
			"stop": idle, "closed": plain(machineState.obsEnded),
		}},
		"quieting": {defers: []string{"go"}, on: on{
			"stopSent": stopSent, "STARTED": plain(machineState.stopAgain),
			"STOPPED": plain(machineState.stopSeen), "timeout": plain(machineState.stopDoubted),
			"status": stopChecked, "stop": plain(machineState.stopOnly),
		}},
		"trouble": {phase: "trouble", on: on{
			"go": begin, "dismiss": idle, "resume": back,
			"stop":         whileSending(machineState.halt, machineState.toIdle),
			"STARTED":      whileSending(keep, machineState.foundStarted),
			"RECONNECTING": whileSending(machineState.looped, keep),
			"RECONNECTED":  whileSending(machineState.confirm, keep),
			"STOPPED":      whileSending(machineState.endedInTrouble, keep),
			"publishing":   whileSending(machineState.goLive, keep),
			"presence":     whileSending(machineState.goLive, keep),
			"ended":        judgedInTrouble, "refused": judgedInTrouble, "claim": explainedLate,
			"absent": plain(machineState.startOrphaned),
		}},

		// A client that has just connected to OBS, or OBS's own button.
		"resuming": {defers: []string{"go", "STARTED", "STOPPED"},
			on: on{"status": resumed, "failed": plain(machineState.resumeFailed)}},
		"taking": {defers: []string{"go", "STOPPED", "RECONNECTING"},
			on: on{"service": taken, "stop": stop}},
	}
}

func firstState() machineState { return machineState{at: "idle", phase: "idle"} }

// step is the machine.
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

// note is what a fact changes wherever the machine is.
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
			s.unwanted = true // OBS's own button
		case f.state == "RECONNECTED":
			s.connecting, s.word = false, nil // it was about the session before
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

// to moves. What is shown follows from the place; where a place has no phase of its own, it stays.
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
		s.reason = nil // else it is why the broadcast is started anew
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
		// settings all the time.
		s.sending = true
		return s.quiet(afterStop{after: "renew"})
	}
	return s.take(false)
}

func read(s machineState, f fact) (machineState, []effect) {
	switch {
	case !f.whip: // switching the service alone would send AAC labelled as Opus: SetUp does that
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

// doubt asks: a failure inside OBS may come without an event.
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

// hang waits: the stage ended the session, and OBS stops or reconnects in a moment.
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

// looped is OBS in its reconnect loop; the stage may have given a reason.
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

// renew stops, puts in a new token and starts: once.
func (s machineState) renew() (machineState, []effect) {
	s.renewals, s.renewing = s.renewals+1, true
	return s.quiet(afterStop{after: "renew"})
}

func (s machineState) giveUp(w word) (machineState, []effect) {
	return s.quiet(afterStop{"trouble", w.reason("live.ended")})
}

// Finding out why.

func (s machineState) ended() (machineState, []effect) { return s.explain("live.ended") }

// explain follows when OBS stopped; the stage may say why, before or just after.
func (s machineState) explain(text string) (machineState, []effect) {
	switch {
	case s.unwanted:
		return s.toIdle()
	case s.word.over():
		return s.conclude(s.word, text)
	case s.claim != nil:
		return s.conclude(s.claim, text)
	}
	s = s.to("explaining")
	s.fallback = text
	return do(s, timer("reason"))
}

func explained(s machineState, f fact) (machineState, []effect) {
	return s.conclude(f.event, s.fallback)
}

func unexplained(s machineState, _ fact) (machineState, []effect) {
	return s.conclude(nil, s.fallback)
}

// obsEnded: OBS was closed, and stopped the broadcast first.
func (s machineState) obsEnded() (machineState, []effect) {
	return s.trouble(&reason{text: "live.obsEnded"}, false)
}

func (s machineState) conclude(w *word, text string) (machineState, []effect) {
	orphaned := s.offline && text == "live.ended"
	switch {
	case s.unattended && text == "live.ended" && s.renewals == 0 && (w == nil || !final(w.code)):
		return s.renew()
	case w != nil && w == s.word && w.kind == "refused" && s.renewable(*w):
		return s.renew()
	case w != nil:
		return s.trouble(w.reason(text), false)
	case orphaned:
		text = "live.serverGone"
	}
	s, effects := s.trouble(&reason{text: text}, false)
	s.orphaned = orphaned
	return s, effects
}

// Stopping.

func (s machineState) halt() (machineState, []effect) {
	s.unwanted = true
	return s.quiet(afterStop{after: "idle"})
}

func (s machineState) quiet(then afterStop) (machineState, []effect) {
	s = s.to("quieting")
	s.then, s.stopped, s.step, s.reason, s.phase = &then, false, "", then.reason, "stopping"
	if then.after == "start" || then.after == "renew" {
		s.phase = "reconnecting"
	}
	return do(s, effect{do: "stop"}, timer("stop"))
}

// stopSent: while OBS connects it answers 501, and starts all the same a moment later.
func stopSent(s machineState, f fact) (machineState, []effect) {
	if f.running || s.connecting {
		return s, nil
	}
	s.stopped = true
	return do(s, effect{do: "status"})
}

func (s machineState) stopAgain() (machineState, []effect) {
	if s.tries+1 >= stopTries {
		return s.stopDone(false)
	}
	s.tries++
	return do(s, effect{do: "stop"}, timer("stop"))
}

// stopSeen asks on: STOPPED comes before the output is inactive.
func (s machineState) stopSeen() (machineState, []effect) {
	s.stopped, s.tries = true, 0
	return do(s, effect{do: "status"})
}

func (s machineState) stopDoubted() (machineState, []effect) { return do(s, effect{do: "status"}) }

func stopChecked(s machineState, f fact) (machineState, []effect) {
	switch {
	case !f.active:
		s.connecting = false
		return s.stopDone(true)
	case !s.stopped:
		return s.stopAgain()
	case s.tries >= lookTries:
		return s.stopDone(false)
	}
	s.tries++
	return do(s, timer("look"))
}

func (s machineState) stopOnly() (machineState, []effect) {
	s.unwanted, s.phase, s.renewing, s.reason, s.then = true, "stopping", false, nil, &afterStop{
		after: "idle",
	}
	return s, nil
}

func (s machineState) stopDone(done bool) (machineState, []effect) {
	then := *s.then
	s.then, s.reason = nil, then.reason
	switch {
	case s.unwanted && done:
		return s.toIdle()
	case then.after == "trouble":
		return s.trouble(then.reason, !done)
	case !done:
		return s.trouble(&reason{text: "live.wontStop"}, true)
	case then.after == "idle":
		return s.toIdle()
	}
	return s.start(then.after == "renew")
}

// In trouble.

func (s machineState) endedInTrouble() (machineState, []effect) {
	if s.about.participant == "" {
		return s.toIdle() // it was not ours
	}
	return s.ended()
}

func judgedInTrouble(s machineState, f fact) (machineState, []effect) {
	if s.reason.detail == "" {
		return explainedLate(s, f)
	}
	if s.sending && f.event.kind == "ended" && final(f.event.code) {
		return s.giveUp(*f.event)
	}
	return s, nil
}

func explainedLate(s machineState, f fact) (machineState, []effect) {
	if s.reason.detail == "" && s.reason.text != "live.obsEnded" {
		s.reason = f.event.reason("live.ended")
	}
	return s, nil
}

// startOrphaned follows when the server is back that was away when the broadcast ended.
func (s machineState) startOrphaned() (machineState, []effect) {
	if !s.orphaned {
		return s, nil
	}
	s.renewing, s.reason = true, &reason{text: "live.forgotten"}
	return s.start(false)
}

// What OBS is doing already.

// foundStarted is OBS's own button.
func (s machineState) foundStarted() (machineState, []effect) {
	s.unwanted, s.renewals, s.word, s.claim, s.since = false, 0, nil, nil, 0
	return s.take(false)
}

func (s machineState) take(loop bool) (machineState, []effect) {
	why := s.reason
	s = s.to("taking")
	s.loop, s.reason = loop, why
	return do(s, effect{do: "service", stage: s.stage, fresh: true})
}

func taken(s machineState, f fact) (machineState, []effect) {
	if f.mine != nil {
		if f.mine.participant != s.about.participant {
			s.word = nil
		}
		s.about, s.stage, s.claim, s.sending = *f.mine, f.mine.stage, nil, true
		if s.loop {
			return s.looped()
		}
		return s.confirm()
	}
	s.about.participant, s.deferred = "", nil
	switch {
	case f.whip && s.unattended:
		return s.goLive()
	case f.whip:
		return s.trouble(&reason{text: "live.otherToken"}, true)
	}
	return s.trouble(&reason{text: "live.elsewhere"}, true)
}

func (s machineState) resume() (machineState, []effect) {
	why := s.reason
	s = s.to("resuming")
	s.reason = why
	return do(s, effect{do: "status"})
}

func resumed(s machineState, f fact) (machineState, []effect) {
	switch {
	case f.active:
		s.unwanted = false
		return s.take(f.reconnecting)
	case s.sending && !s.unwanted:
		s.deferred = nil
		return s.trouble(&reason{text: "live.obsEnded"}, false)
	case s.phase == "trouble" && !s.sending:
		return s.backInTrouble()
	}
	return s.toIdle()
}

func (s machineState) backInTrouble() (machineState, []effect) {
	why := s.reason
	s = s.to("trouble")
	s.reason = why
	return s, nil
}

// resumeFailed: the connection broke again, and the next one resumes.
func (s machineState) resumeFailed() (machineState, []effect) {
	switch {
	case s.phase == "trouble":
		return s.backInTrouble()
	case s.sending:
		return s.away()
	}
	return s.toIdle()
}

// A new token while nothing is sent.

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
