package ivs

import (
	"strings"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// What happens to a participant reaches us by two ways: the events of the API, which we ask for
// while a page looks, and EventBridge, which may lose, delay and reorder. The tracker makes one
// story of both.

// A happening is one event of a participant, whichever way it came.
type happening struct {
	stage       stage.ARN
	participant stage.ParticipantID
	userID      string
	name        string // of the API: JOINED, PUBLISH_STARTED …
	code        string // of an error: BITRATE_EXCEEDED …
	at          time.Time
	bridge      bool // came by EventBridge, which tells whole seconds; the API tells milliseconds
}

const (
	// an error and the end that it caused; the same event told by both ways
	sameMoment = 2 * time.Second
	// so long after we or an error ended a broadcast, AWS's own word for it may come
	aftermath   = time.Minute
	staleAfter  = 10 * time.Minute    // what is older no longer concerns a dock
	forgetAfter = 15 * 24 * time.Hour // no token lives longer than 14 days
)

type tracker struct {
	emit func(stage.Event)
	now  func() time.Time

	telling sync.Mutex // held over emit, too: what is passed on keeps its order. Taken before mu

	mu    sync.Mutex
	lives map[lifeKey]*life
}

type lifeKey struct {
	stage       stage.ARN
	participant stage.ParticipantID
}

// news is what a dock receives; the zero value is none.
type news struct {
	kind         stage.EventKind
	code, detail string
}

// A life is what is known of a participant.
type life struct {
	told   []*entry // the API tells all of it again at every look
	joined bool
	met    bool // came, went or published: something is known
	live   bool // publishes
	since  moment
	// since is that of a start while the broadcast before it ran: its end is still to come
	takeover bool
	ended    moment               // the latest end
	quiet    time.Time            // until then a mere end is the one that was told
	errors   map[string]time.Time // the latest of each code
	away     *news                // whom we sent away: why, for every end from then on
	touched  time.Time
}

// An entry is an event that has been taken in. One that was told by both ways is one.
type entry struct {
	name, code string
	at         moment
	both       bool
}

// A moment is as exact as its source.
type moment struct {
	time.Time
	coarse bool // to the second
}

// before says so only if it is certain.
func (m moment) before(other moment) bool {
	if m.coarse || other.coarse {
		return m.Truncate(time.Second).Before(other.Truncate(time.Second))
	}
	return m.Before(other.Time)
}

// sameSecond says that it cannot be known which came first.
func (m moment) sameSecond(other moment) bool {
	return (m.coarse || other.coarse) && m.Truncate(time.Second).Equal(other.Truncate(time.Second))
}

func newTracker(emit func(stage.Event), now func() time.Time) *tracker {
	return &tracker{emit: emit, now: now, lives: map[lifeKey]*life{}}
}

// tell takes in what happened and passes on what is new in it.
func (t *tracker) tell(h happening) {
	t.with(h, func(l *life) news { return l.take(h) })
}

// sending takes in that somebody is about to be disconnected, and why: AWS may tell of the end
// before it answers us. The first reason stands, since a kick revokes the token, too. undo is for
// when AWS did not do it.
func (t *tracker) sending(arn stage.ARN, id stage.ParticipantID, why news) (undo func()) {
	ours := &why
	t.change(happening{stage: arn, participant: id}, func(l *life) news {
		if l.away == nil {
			l.away = ours
		}
		return news{}
	})
	return func() {
		t.change(happening{stage: arn, participant: id}, func(l *life) news {
			if l.away == ours {
				l.away = nil
			}
			return news{}
		})
	}
}

// notSending undoes what sending took in for another process.
func (t *tracker) notSending(arn stage.ARN, id stage.ParticipantID, why news) {
	t.change(happening{stage: arn, participant: id}, func(l *life) news {
		if l.away != nil && *l.away == why {
			l.away = nil
		}
		return news{}
	})
}

// sentAway takes in that we disconnected somebody, as said to sending. It is an end of what is
// known to run, and with present also of somebody of whom nothing is known. What AWS tells of it
// later is the same end.
func (t *tracker) sentAway(arn stage.ARN, id stage.ParticipantID, present bool) {
	h := happening{stage: arn, participant: id, at: t.now()}
	t.with(h, func(l *life) news { return l.sendAway(h.at, present) })
}

func (t *tracker) with(h happening, change func(*life) news) {
	t.telling.Lock()
	defer t.telling.Unlock()
	n := t.change(h, change)
	if n.kind == "" || t.now().Sub(h.at) > staleAfter {
		return
	}
	t.emit(stage.Event{
		Time: h.at, Kind: n.kind, Stage: h.stage, Participant: h.participant, UserID: h.userID,
		Code: n.code, Detail: n.detail,
	})
}

func (t *tracker) change(h happening, change func(*life) news) news {
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

// publishing says whether a participant is live, if that is known.
func (t *tracker) publishing(arn stage.ARN, id stage.ParticipantID) (live, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lives[lifeKey{arn, id}]
	if l == nil || l.since.IsZero() && l.ended.IsZero() {
		return false, false
	}
	return l.live, true
}

// forget drops who has not been heard of for longer than a token lives.
func (t *tracker) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, l := range t.lives {
		if t.now().Sub(l.touched) > forgetAfter {
			delete(t.lives, key)
		}
	}
}

func (l *life) take(h happening) news {
	at := moment{h.at, h.bridge}
	switch h.name {
	case "JOINED", "LEFT", "PUBLISH_STARTED", "PUBLISH_STOPPED", "PUBLISH_ERROR", "JOIN_ERROR":
	default:
		return news{} // of those who watch, mostly
	}
	if e := l.find(h.name, h.code, at); e != nil {
		return l.again(e, at)
	}
	l.told = append(l.told, &entry{name: h.name, code: h.code, at: at})
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
		return news{}
	}
	return l.fail(h.code, at)
}

// find looks for what has been taken in already: the very same, or the nearest one that only the
// other way has told.
func (l *life) find(name, code string, at moment) (nearest *entry) {
	for _, e := range l.told {
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

// again takes in what was told before. It is no news, but the API's time is more exact: a start and
// an end within one second, which EventBridge told in the wrong order, come right.
func (l *life) again(e *entry, at moment) news {
	if e.at.coarse == at.coarse {
		return news{}
	}
	e.both = true
	if at.coarse {
		return news{}
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
	return news{}
}

func (l *life) join(at moment) news {
	if at.before(l.ended) || at.sameSecond(l.ended) {
		return news{} // told after the end of it
	}
	known := l.joined || l.live
	l.joined = true
	if known {
		return news{}
	}
	return news{stage.EventConnected, "", "Amazon IVS let the participant in."}
}

// start is news, unless an end has overtaken it, or the broadcast before it has not ended yet.
func (l *life) start(at moment) news {
	switch {
	case l.live:
		if l.since.before(at) {
			l.since, l.takeover = at, true
		}
		return news{}
	case at.before(l.ended):
		return news{}
	}
	l.live, l.since, l.takeover = true, at, false
	return news{stage.EventPublishing, "", "Amazon IVS receives the broadcast."}
}

func (l *life) stop(at moment) news {
	if l.live && l.overtaken(at) || !l.live && !at.After(l.quiet) {
		return news{} // the end of an earlier broadcast, or the same end told twice
	}
	if l.away != nil {
		l.end(at, aftermath)
		return *l.away
	}
	l.end(at, sameMoment)
	return news{stage.EventEnded, "ended", "The broadcast ended."}
}

// overtaken says that an end is of a broadcast before the one that runs.
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

// fail makes an error the end of a broadcast, or the refusal of one that never began.
func (l *life) fail(code string, at moment) news {
	if before, ok := l.errors[code]; ok && at.Sub(before).Abs() <= sameMoment {
		return news{}
	}
	l.errors[code] = at.Time
	if l.live && l.overtaken(at) {
		return news{} // why an earlier broadcast ended, when this one runs already
	}
	n := news{stage.EventRefused, strings.ToLower(code), cure(code)}
	if l.live || at.Sub(l.ended.Time).Abs() <= sameMoment {
		n.kind = stage.EventEnded
		l.end(at, aftermath)
	}
	return n
}

func (l *life) sendAway(at time.Time, present bool) news {
	switch {
	case l.away == nil, !l.live && !at.After(l.quiet): // forgotten meanwhile; AWS was faster
		return news{}
	case !l.live && !l.joined && (l.met || !present):
		return news{}
	}
	l.met, l.joined = true, false
	l.end(moment{at, false}, aftermath)
	return *l.away
}

// cure is a sentence with what to do, for each error of participants in the model (EventErrorCode).
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
	return "Amazon IVS ended or refused the broadcast (" + strings.ToLower(code) +
		"): start it again; if that does not help, show this to the operator."
}
