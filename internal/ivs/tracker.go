package ivs

import (
	"strings"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// Events of a participant come from two sources: from the API, which is polled while a page watches
// the stage or a participant is barred there, and from EventBridge. EventBridge may lose, delay and
// reorder events. The tracker merges both sources into one sequence without duplicates.

// A happening is one event of a participant, from either source.
type happening struct {
	stage       stage.ARN
	participant stage.ParticipantID
	userID      string
	name        string // the name in the API, such as JOINED
	code        string // the code of an error, such as BITRATE_EXCEEDED
	at          time.Time
	bridge      bool // from EventBridge, with whole seconds; the API has milliseconds
}

const (
	// largest time between an error and the end that it caused, and between the reports of one
	// event by both sources
	sameMoment = 2 * time.Second
	// how long after a disconnection or an error AWS may still report the end
	aftermath   = time.Minute
	staleAfter  = 10 * time.Minute    // older events are not shown in a dock
	forgetAfter = 15 * 24 * time.Hour // no token lives longer than 14 days
)

type tracker struct {
	emit func(stage.Event)
	now  func() time.Time

	emitting sync.Mutex // held during emit, so that reports keep their order; locked before mu

	mu    sync.Mutex
	lives map[lifeKey]*life
}

type lifeKey struct {
	stage       stage.ARN
	participant stage.ParticipantID
}

// A report is the content of an event for a dock. The zero value means that there is nothing to
// report.
type report struct {
	kind         stage.EventKind
	code, detail string
}

// A life is the state of one participant, as it follows from the events of this participant.
type life struct {
	entries []*entry // all entries are kept, because the API returns all events at every poll
	joined  bool
	met     bool // an event of the participant was added, so its state is known
	live    bool // the participant publishes
	since   moment
	// the running broadcast began before the previous one ended
	takeover bool
	ended    moment // the latest end of a broadcast
	// until this time, an end without a reason is a repeated report of the last end
	quiet  time.Time
	errors map[string]time.Time // time of the latest error, by code
	// the reason for every later end, if this server disconnected the participant
	disconnectedFor *report
	touched         time.Time
}

// An entry is an event that was added. If both sources report an event, they share an entry.
type entry struct {
	name, code string
	at         moment
	both       bool
}

// A moment is a time with the precision of its source.
type moment struct {
	time.Time
	coarse bool // precise only to the second
}

// before reports whether a moment is certainly earlier than another.
func (m moment) before(other moment) bool {
	if m.coarse || other.coarse {
		return m.Truncate(time.Second).Before(other.Truncate(time.Second))
	}
	return m.Before(other.Time)
}

// sameSecond reports whether the order of two moments is unknown, because at least one is precise
// only to the second.
func (m moment) sameSecond(other moment) bool {
	return (m.coarse || other.coarse) && m.Truncate(time.Second).Equal(other.Truncate(time.Second))
}

func newTracker(emit func(stage.Event), now func() time.Time) *tracker {
	return &tracker{emit: emit, now: now, lives: map[lifeKey]*life{}}
}

// add adds an event, and emits the report that results, if any.
func (t *tracker) add(h happening) {
	t.with(h, func(l *life) report { return l.add(h) })
}

// disconnecting records that this server is about to disconnect a participant, with the reason,
// because AWS may report the end before it answers the call. A reason that is already recorded
// stays, since a kick also revokes the token. After a failed call, `undo` removes the reason.
func (t *tracker) disconnecting(arn stage.ARN, id stage.ParticipantID, why report) (undo func()) {
	ours := &why
	t.change(happening{stage: arn, participant: id}, func(l *life) report {
		if l.disconnectedFor == nil {
			l.disconnectedFor = ours
		}
		return report{}
	})
	return func() {
		t.change(happening{stage: arn, participant: id}, func(l *life) report {
			if l.disconnectedFor == ours {
				l.disconnectedFor = nil
			}
			return report{}
		})
	}
}

// notDisconnecting removes a reason that another process has sent. It is called when that process's
// call to AWS, which should have disconnected the participant, has failed.
func (t *tracker) notDisconnecting(arn stage.ARN, id stage.ParticipantID, why report) {
	t.change(happening{stage: arn, participant: id}, func(l *life) report {
		if l.disconnectedFor != nil && *l.disconnectedFor == why {
			l.disconnectedFor = nil
		}
		return report{}
	})
}

// disconnected records that the participant's connection and broadcast have ended, for the reason
// that `disconnecting` received. If `present` is true, it reports an end even if no connection is
// known. A later report by AWS counts as the same end.
func (t *tracker) disconnected(arn stage.ARN, id stage.ParticipantID, present bool) {
	h := happening{stage: arn, participant: id, at: t.now()}
	t.with(h, func(l *life) report { return l.disconnected(h.at, present) })
}

func (t *tracker) with(h happening, change func(*life) report) {
	t.emitting.Lock()
	defer t.emitting.Unlock()
	n := t.change(h, change)
	if n.kind == "" || t.now().Sub(h.at) > staleAfter {
		return
	}
	t.emit(stage.Event{
		Time: h.at, Kind: n.kind, Stage: h.stage, Participant: h.participant, UserID: h.userID,
		Code: n.code, Detail: n.detail,
	})
}

func (t *tracker) change(h happening, change func(*life) report) report {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := lifeKey{h.stage, h.participant}
	l := t.lives[key]
	if l == nil {
		l = &life{errors: map[string]time.Time{}}
		t.lives[key] = l
	}
	l.touched = t.now()
	return change(l)
}

// publishing reports whether a participant is live. The result `known` is false if no start and no
// end of a broadcast of the participant is known.
func (t *tracker) publishing(arn stage.ARN, id stage.ParticipantID) (live, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lives[lifeKey{arn, id}]
	if l == nil || l.since.IsZero() && l.ended.IsZero() {
		return false, false
	}
	return l.live, true
}

// forget removes participants who had no event for longer than a token lives.
func (t *tracker) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, l := range t.lives {
		if t.now().Sub(l.touched) > forgetAfter {
			delete(t.lives, key)
		}
	}
}

func (l *life) add(h happening) report {
	at := moment{h.at, h.bridge}
	switch h.name {
	case "JOINED", "LEFT", "PUBLISH_STARTED", "PUBLISH_STOPPED", "PUBLISH_ERROR", "JOIN_ERROR":
	default:
		return report{} // the participant only watches
	}
	if e := l.find(h.name, h.code, at); e != nil {
		return l.repeated(e, at)
	}
	l.entries = append(l.entries, &entry{name: h.name, code: h.code, at: at})
	l.met = true
	switch h.name {
	case "JOINED":
		return l.join(at)
	case "PUBLISH_STARTED":
		return l.start(at)
	case "PUBLISH_STOPPED":
		return l.stop(at)
	case "LEFT":
		l.joined = false
		if l.live {
			return l.stop(at)
		}
		return report{}
	}
	return l.fail(h.code, at)
}

// find returns the entry of an event that was added before. If no entry has the same time, it
// considers the entries that only the other source has reported, and returns the one with the
// nearest time.
func (l *life) find(name, code string, at moment) (nearest *entry) {
	for _, e := range l.entries {
		if e.name != name || e.code != code {
			continue
		}
		if e.at.coarse == at.coarse && e.at.Equal(at.Time) && !at.coarse {
			return e
		}
		apart := e.at.Sub(at.Time).Abs()
		if e.at.coarse != at.coarse && !e.both && apart <= sameMoment &&
			(nearest == nil || apart < nearest.at.Sub(at.Time).Abs()) {
			nearest = e
		}
	}
	return nearest
}

// repeated handles the report of an event by the second source. It may correct the state, because
// times of the API are more precise: EventBridge can report a start and an end within one second in
// the wrong order.
func (l *life) repeated(e *entry, at moment) report {
	if e.at.coarse == at.coarse {
		return report{}
	}
	e.both = true
	if at.coarse {
		return report{}
	}
	switch e.name {
	case "PUBLISH_STARTED":
		if l.live && l.since == e.at {
			l.since = at
		}
	case "PUBLISH_STOPPED":
		if l.ended == e.at {
			l.ended = at
		}
		if l.live && !l.since.coarse && l.since.sameSecond(e.at) && l.since.before(at) {
			e.at = at
			return l.stop(at)
		}
	}
	e.at = at
	return report{}
}

func (l *life) join(at moment) report {
	if at.before(l.ended) || at.sameSecond(l.ended) {
		return report{} // the end of this connection is known already
	}
	known := l.joined || l.live
	l.joined = true
	if known {
		return report{}
	}
	return report{stage.EventConnected, "", words.English("said.event.awsJoined", nil)}
}

// start adds the start of a broadcast. It reports nothing if a later end is known already, or if
// the previous broadcast has not ended yet.
func (l *life) start(at moment) report {
	switch {
	case l.live:
		if l.since.before(at) {
			l.since, l.takeover = at, true
		}
		return report{}
	case at.before(l.ended):
		return report{}
	}
	l.live, l.since, l.takeover = true, at, false
	return report{stage.EventPublishing, "", words.English("said.event.awsPublishing", nil)}
}

func (l *life) stop(at moment) report {
	if l.live && l.overtaken(at) || !l.live && !at.After(l.quiet) {
		return report{} // an earlier broadcast ended, or this end was reported before
	}
	if l.disconnectedFor != nil {
		l.end(at, aftermath)
		return *l.disconnectedFor
	}
	l.end(at, sameMoment)
	return report{stage.EventEnded, "ended", "The broadcast ended."}
}

// overtaken reports whether an end belongs to a broadcast that began before the running one.
func (l *life) overtaken(end moment) bool {
	return end.before(l.since) || l.takeover && end.sameSecond(l.since)
}

func (l *life) end(at moment, quiet time.Duration) {
	l.live = false
	if l.ended.Before(at.Time) {
		l.ended = at
	}
	l.quiet = at.Add(quiet)
}

// fail treats an error as the end of a broadcast, or as a refusal if the broadcast never began.
func (l *life) fail(code string, at moment) report {
	if before, ok := l.errors[code]; ok && at.Sub(before).Abs() <= sameMoment {
		return report{}
	}
	l.errors[code] = at.Time
	if l.live && l.overtaken(at) {
		return report{} // the error ended an earlier broadcast, and a new one is running
	}
	n := report{stage.EventRefused, strings.ToLower(code), cure(code)}
	if l.live || at.Sub(l.ended.Time).Abs() <= sameMoment {
		n.kind = stage.EventEnded
		l.end(at, aftermath)
	}
	return n
}

func (l *life) disconnected(at time.Time, present bool) report {
	switch {
	// the reason was removed meanwhile, or AWS has already reported the end
	case l.disconnectedFor == nil, !l.live && !at.After(l.quiet):
		return report{}
	case !l.live && !l.joined && (l.met || !present):
		return report{}
	}
	l.met, l.joined = true, false
	l.end(moment{at, false}, aftermath)
	return *l.disconnectedFor
}

// cure returns a sentence that says what to do about an error code of a participant. It has one for
// each code in the model (EventErrorCode).
func cure(code string) string {
	switch code {
	case "BITRATE_EXCEEDED":
		return "The stage takes at most 8.5 Mb/s and ended the broadcast: set the video bitrate " +
			"in OBS to 2,500 Kbps."
	case "RESOLUTION_EXCEEDED":
		return "The stage takes at most 1280×720 and ended the broadcast: set the output " +
			"resolution in OBS (Settings, Video) to 1280×720."
	case "B_FRAME_PRESENT":
		return "The stage takes no B-frames and ended the broadcast: set B-frames to 0, or the " +
			"tune zerolatency, in OBS (Settings, Output)."
	case "STREAM_DURATION_EXCEEDED":
		return "A broadcast lasts at most 24 hours on Amazon IVS: start it again."
	case "INVALID_VIDEO_CODEC":
		return "The stage takes H.264 video only: choose an H.264 encoder in OBS " +
			"(Settings, Output)."
	case "INVALID_AUDIO_CODEC":
		return "The stage takes Opus audio only: choose Opus as the audio encoder in OBS " +
			"(Settings, Output)."
	case "INSUFFICIENT_CAPABILITIES":
		return "This token may not publish: get one that may, from the dock."
	case "QUOTA_EXCEEDED":
		return "The stage is full: 12 participants publish on it, or the account's quota of " +
			"publishers is used up. Somebody has to leave first."
	case "INVALID_PROTOCOL":
		return "The stage did not understand how the broadcast came in: use the service " +
			"WHIP in OBS."
	case "INVALID_INPUT":
		return "The stage could not read what OBS sent: set OBS up again from the dock."
	case "INVALID_STREAM_KEY", "REUSE_OF_STREAM_KEY":
		return "A stream key was wrong or used twice: use the service WHIP with a token " +
			"from the dock."
	case "PUBLISHER_NOT_FOUND":
		return "The other participant does not publish (any more)."
	case "INTERNAL_SERVER_EXCEPTION":
		return "Amazon IVS had a problem of its own: start the broadcast again."
	}
	return words.English("said.event.awsUnknown", words.Values{"code": strings.ToLower(code)})
}
