package access

import (
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// sameMoment is the largest difference between two reports of one event: EventBridge reports
	// whole seconds.
	sameMoment = 2 * time.Second
	// aftermath is how long after one server's report of an end another server may report the same
	// end.
	aftermath = time.Minute
)

// Repeats finds the stored event of a participant that reports the same as e. Several servers
// observe an AWS stage: one after the other, or at the same time, if one server kicks a participant
// while another polls. A server that starts also reads events that its predecessor has stored.
// The result `better` is true if e contains the reason for the end, and the stored event does not.
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

// wentOn reports whether a participant came back between two reported ends.
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
