package ivs

import (
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// told runs happenings through a tracker and answers what it passes on, as "kind code".
func told(t *testing.T, now time.Time, list ...happening) string {
	t.Helper()
	var got []string
	tracker := newTracker(func(e stage.Event) {
		got = append(got, strings.TrimSpace(string(e.Kind)+" "+e.Code))
		if e.Detail == "" {
			t.Errorf("%s %s has no sentence", e.Kind, e.Code)
		}
	}, func() time.Time { return now })
	for _, h := range list {
		h.stage, h.participant = "arn:aws:ivs:us-west-2:123456789012:stage/a", "p"
		tracker.tell(h)
	}
	return strings.Join(got, ", ")
}

func TestTheStoryOfAParticipantIsToldOnce(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 22, 12, 0, 0, 500e6, time.UTC)
	at := func(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }
	whole := func(seconds float64) time.Time { return at(seconds).Truncate(time.Second) } // as EventBridge tells it
	start, stop, fail := "PUBLISH_STARTED", "PUBLISH_STOPPED", "PUBLISH_ERROR"
	for name, test := range map[string]struct {
		list []happening
		want string
	}{
		"by both ways": {[]happening{
			{name: "JOINED", at: at(0)}, {name: start, at: at(1)}, {name: start, at: whole(1)},
			{name: stop, at: whole(9)}, {name: stop, at: at(9)}, {name: "LEFT", at: at(9)},
		}, "connected, publishing, ended ended"},
		"the same list again": {[]happening{
			{name: start, at: at(1)}, {name: stop, at: at(9)}, {name: start, at: at(1)}, {name: stop, at: at(9)},
		}, "publishing, ended ended"},
		"twice": {[]happening{
			{name: start, at: at(1)}, {name: stop, at: at(9)}, {name: start, at: at(20)}, {name: stop, at: at(30)},
		}, "publishing, ended ended, publishing, ended ended"},
		"the end overtakes the start": {[]happening{
			{name: stop, at: whole(9)}, {name: start, at: whole(1)},
		}, "ended ended"},
		"a late end does not end what came after": {[]happening{
			{name: start, at: at(20)}, {name: stop, at: at(9)},
		}, "publishing"},
		"an error ends it": {[]happening{
			{name: start, at: at(1)}, {name: fail, code: "B_FRAME_PRESENT", at: at(9)}, {name: fail, code: "B_FRAME_PRESENT", at: whole(9)}, {name: stop, at: at(9)},
		}, "publishing, ended b_frame_present"},
		"the reason after the end": {[]happening{
			{name: start, at: at(1)}, {name: stop, at: at(9)}, {name: fail, code: "BITRATE_EXCEEDED", at: at(9.1)},
		}, "publishing, ended ended, ended bitrate_exceeded"},
		"refused at once": {[]happening{
			{name: fail, code: "INVALID_VIDEO_CODEC", at: at(1)},
		}, "refused invalid_video_codec"},
		"hours late": {[]happening{
			{name: start, at: at(-7200)},
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := told(t, at(30), test.list...); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
