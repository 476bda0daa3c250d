package access_test

import (
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestRepeats(t *testing.T) {
	t.Parallel()
	at := func(seconds float64) time.Time {
		return time.Date(2026, 5, 1, 20, 0, 0, 0,
			time.UTC).Add(time.Duration(seconds * float64(time.Second)))
	}
	event := func(seconds float64, kind stage.EventKind, code string) access.StoredEvent {
		return access.StoredEvent{Event: stage.Event{Time: at(seconds), Kind: kind, Code: code}}
	}
	evening := []access.StoredEvent{ // newest first
		event(70, stage.EventEnded, "ended"),
		event(60, stage.EventPublishing, ""),
		event(40, stage.EventEnded, "kicked"),
		event(10, stage.EventPublishing, ""),
		event(9, stage.EventRefused, "invalid_video_codec"),
		event(8, stage.EventConnected, ""),
	}
	for name, test := range map[string]struct {
		e             access.StoredEvent
		found, better bool
	}{
		"the same start, to the second": {e: event(10.9, stage.EventPublishing, ""),
			found: true},
		"the first start, once more": {e: event(60, stage.EventPublishing, ""),
			found: true},
		"another start": {e: event(80, stage.EventPublishing, "")},
		"the end of somebody who was kicked": {e: event(43, stage.EventEnded, "ended"),
			found: true},
		"the reason of an end": {e: event(75, stage.EventEnded, "kicked"), found: true,
			better: true},
		"another reason of a kick": {e: event(45, stage.EventEnded, "token_revoked"),
			found: true},
		"an end long after":             {e: event(600, stage.EventEnded, "ended")},
		"an end before the first start": {e: event(-30, stage.EventEnded, "ended")},
		"the same refusal": {e: event(9.5, stage.EventRefused, "invalid_video_codec"),
			found: true},
		"another refusal": {e: event(9.5, stage.EventRefused, "token_expired")},
	} {
		if _, better, found := access.Repeats(evening, test.e.Event); found != test.found ||
			better != test.better {
			t.Errorf("%s: got %v, better %v, want %v, %v", name, found, better, test.found,
				test.better)
		}
	}
}
