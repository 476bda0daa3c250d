package access

import (
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// sameMoment is how far apart two reports of one happening may be: EventBridge reports whole
	// seconds.
	sameMoment = 2 * time.Second
	// aftermath is how long after an end another report of it may come, with another reason.
	aftermath = time.Minute
)

// Repeats finds among the events of a participant the one that reports the same as e. AWS stages
// are observed by several servers, one after the other and, where one kicks and another polls, at
// the same time; a server that starts reads what the one before it has stored already.
//
// better reports that e knows the reason of an end that was stored without one.
func Repeats(known []StoredEvent, e stage.Event) (same StoredEvent, better, found bool) {
	for _, k := range known {
		if k.Kind != e.Kind {
			continue
		}
		apart := k.Time.Sub(e.Time).Abs()
		if apart <= sameMoment && (k.Code == e.Code || e.Kind == stage.EventEnded) ||
			e.Kind == stage.EventEnded && apart <= aftermath && !wentOn(known, k.Time, e.Time) {
			return k, k.Code == "ended" && e.Code != "ended", true
		}
	}
	return StoredEvent{}, false, false
}

// wentOn reports whether a participant came back between two ends.
func wentOn(known []StoredEvent, a, b time.Time) bool {
	if b.Before(a) {
		a, b = b, a
	}
	for _, k := range known {
		came := k.Kind == stage.EventPublishing || k.Kind == stage.EventConnected
		if came && k.Time.After(a) && k.Time.Before(b) {
			return true
		}
	}
	return false
}
