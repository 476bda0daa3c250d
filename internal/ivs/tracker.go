package ivs

import (
	"strings"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// What happens to a participant reaches us by two ways: the events of the API, which we ask for while somebody looks, and
// EventBridge, which may lose, delay and reorder. The tracker makes one story of both.

// A happening is one event of a participant, whichever way it came.
type happening struct {
	stage       stage.ARN
	participant stage.ParticipantID
	userID      string
	name        string // of the API: JOINED, PUBLISH_STARTED …
	code        string // of an error: BITRATE_EXCEEDED …
	at          time.Time
}

const (
	sameMoment  = 2 * time.Second     // EventBridge tells whole seconds, the API milliseconds
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

// A life is what is known of a participant.
type life struct {
	joined     bool
	publishing bool
	since      time.Time            // of publishing
	ended      time.Time            // the latest end
	errors     map[string]time.Time // the latest of each code
	touched    time.Time
}

func newTracker(emit func(stage.Event), now func() time.Time) *tracker {
	return &tracker{emit: emit, now: now, lives: map[lifeKey]*life{}}
}

// tell takes in what happened and passes on what is new in it.
func (t *tracker) tell(h happening) {
	t.telling.Lock()
	defer t.telling.Unlock()
	kind, code, detail := t.take(h)
	if kind == "" || t.now().Sub(h.at) > staleAfter {
		return
	}
	t.emit(stage.Event{
		Time: h.at, Kind: kind, Stage: h.stage, Participant: h.participant, UserID: h.userID, Code: code, Detail: detail,
	})
}

func (t *tracker) take(h happening) (kind stage.EventKind, code, detail string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := lifeKey{h.stage, h.participant}
	l := t.lives[key]
	if l == nil {
		l = &life{errors: map[string]time.Time{}}
		t.lives[key] = l
	}
	l.touched = t.now()
	return l.take(h)
}

// publishing says whether a participant is live, if that is known.
func (t *tracker) publishing(arn stage.ARN, id stage.ParticipantID) (live, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lives[lifeKey{arn, id}]
	if l == nil || l.since.IsZero() && l.ended.IsZero() {
		return false, false
	}
	return l.publishing, true
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

func (l *life) take(h happening) (kind stage.EventKind, code, detail string) {
	switch h.name {
	case "JOINED":
		if !l.joined && !l.publishing {
			l.joined = true
			return stage.EventConnected, "", "Amazon IVS let the participant in."
		}
	case "PUBLISH_STARTED":
		if l.start(h.at) {
			return stage.EventPublishing, "", "Amazon IVS receives the broadcast."
		}
	case "PUBLISH_STOPPED":
		if l.stop(h.at) {
			return stage.EventEnded, "ended", "The broadcast ended."
		}
	case "LEFT":
		l.joined = false
		if l.publishing && l.stop(h.at) {
			return stage.EventEnded, "ended", "The broadcast ended."
		}
	case "PUBLISH_ERROR", "JOIN_ERROR":
		return l.fail(h)
	}
	return "", "", ""
}

// start says whether this is news, and not one that an end has overtaken.
func (l *life) start(at time.Time) bool {
	if l.publishing || at.Before(l.ended.Truncate(time.Second)) {
		return false
	}
	l.publishing, l.since = true, at
	return true
}

func (l *life) stop(at time.Time) bool {
	if l.publishing && at.Before(l.since.Truncate(time.Second)) || !l.publishing && !at.After(l.ended.Add(sameMoment)) {
		return false // the end of an earlier broadcast, or the same end told twice
	}
	l.publishing = false
	l.ended = at
	return true
}

// fail makes an error the end of a broadcast, or the refusal of one that never began.
func (l *life) fail(h happening) (kind stage.EventKind, code, detail string) {
	if before, ok := l.errors[h.code]; ok && h.at.Sub(before).Abs() <= sameMoment {
		return "", "", ""
	}
	l.errors[h.code] = h.at
	kind = stage.EventRefused
	if l.publishing || h.at.Sub(l.ended).Abs() <= sameMoment {
		kind = stage.EventEnded
		l.publishing, l.ended = false, h.at
	}
	return kind, strings.ToLower(h.code), cure(h.code)
}

// cure is a sentence with what to do, for each error of participants in the model (EventErrorCode).
func cure(code string) string {
	switch code {
	case "BITRATE_EXCEEDED":
		return "The stage takes at most 8.5 Mb/s and ended the broadcast: set the video bitrate in OBS to 2,500 Kbps."
	case "RESOLUTION_EXCEEDED":
		return "The stage takes at most 1280×720 and ended the broadcast: set the output resolution in OBS (Settings, Video) to 1280×720."
	case "B_FRAME_PRESENT":
		return "The stage takes no B-frames and ended the broadcast: set B-frames to 0, or the tune zerolatency, in OBS (Settings, Output)."
	case "STREAM_DURATION_EXCEEDED":
		return "A broadcast lasts at most 24 hours on Amazon IVS: start it again."
	case "INVALID_VIDEO_CODEC":
		return "The stage takes H.264 video only: choose an H.264 encoder in OBS (Settings, Output)."
	case "INVALID_AUDIO_CODEC":
		return "The stage takes Opus audio only: choose Opus as the audio encoder in OBS (Settings, Output)."
	case "INSUFFICIENT_CAPABILITIES":
		return "This token may not publish: get one that may, from the dock."
	case "QUOTA_EXCEEDED":
		return "The stage is full: 12 participants publish on it, or the account's quota of publishers is used up. Somebody has to leave first."
	case "INVALID_PROTOCOL":
		return "The stage did not understand how the broadcast came in: use the service WHIP in OBS."
	case "INVALID_INPUT":
		return "The stage could not read what OBS sent: set OBS up again from the dock."
	case "INVALID_STREAM_KEY", "REUSE_OF_STREAM_KEY":
		return "A stream key was wrong or used twice: use the service WHIP with a token from the dock."
	case "PUBLISHER_NOT_FOUND":
		return "The other participant does not publish (any more)."
	case "INTERNAL_SERVER_EXCEPTION":
		return "Amazon IVS had a problem of its own: start the broadcast again."
	}
	return "Amazon IVS ended or refused the broadcast (" + strings.ToLower(code) + "): start it again; if that does not help, show this to the operator."
}
