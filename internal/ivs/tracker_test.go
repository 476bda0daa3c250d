package ivs

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// reports passes happenings to a tracker, and returns its reports in the form "kind code".
func reports(t *testing.T, now time.Time, list ...happening) string {
	t.Helper()
	var got []string
	tracker := newTracker(func(e stage.Event) {
		got = append(got, strings.TrimSpace(string(e.Kind)+" "+e.Code))
		if e.Detail == "" {
			t.Errorf("%s %s has no sentence", e.Kind, e.Code)
		}
	}, func() time.Time { return now })
	for _, h := range list {
		switch h.name {
		case "disconnecting":
			tracker.disconnecting(broadcast, "p", kicked("Be nice."))
			continue
		case "kick":
			tracker.disconnecting(broadcast, "p", kicked("Be nice."))
			tracker.disconnected(broadcast, "p", true)
			continue
		case "failed kick":
			tracker.disconnecting(broadcast, "p", kicked("Be nice."))()
			continue
		}
		h.stage, h.participant = broadcast, "p"
		tracker.add(h)
	}
	return strings.Join(got, ", ")
}

const broadcast = stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/a")

func TestTheStoryOfAParticipantIsToldOnce(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 22, 12, 0, 0, 500e6, time.UTC)
	at := func(seconds float64) time.Time {
		return began.Add(
			time.Duration(seconds * float64(time.Second)))
	}
	// bridged returns a happening as EventBridge reports it.
	bridged := func(name string, seconds float64) happening {
		h := happening{name: name, at: at(seconds).Truncate(time.Second), bridge: true}
		if name == "PUBLISH_ERROR" {
			h.code = "B_FRAME_PRESENT"
		}
		return h
	}
	start, stop, fail := "PUBLISH_STARTED", "PUBLISH_STOPPED", "PUBLISH_ERROR"
	for name, test := range map[string]struct {
		list []happening
		want string
	}{
		"by both ways": {[]happening{
			{name: "JOINED", at: at(0)}, {name: start, at: at(1)}, bridged(start, 1),
			bridged(stop, 9), {name: stop, at: at(9)}, {name: "LEFT", at: at(9)},
		}, "connected, publishing, ended ended"},
		"the same list again": {[]happening{
			{name: start, at: at(1)}, {name: stop, at: at(9)}, {name: start, at: at(1)},
			{name: stop, at: at(9)},
		}, "publishing, ended ended"},
		"twice": {[]happening{
			{name: start, at: at(1)}, {name: stop, at: at(9)}, {name: start, at: at(20)},
			{name: stop, at: at(30)},
		}, "publishing, ended ended, publishing, ended ended"},
		"the end overtakes the start": {[]happening{
			bridged(stop, 9), bridged(start, 1),
		}, "ended ended"},
		"a late end does not end what came after": {[]happening{
			{name: start, at: at(20)}, {name: stop, at: at(9)},
		}, "publishing"},
		"an error ends it": {[]happening{
			{name: start, at: at(1)}, {name: fail, code: "B_FRAME_PRESENT", at: at(9)},
			bridged(fail, 9), {name: stop, at: at(9)},
		}, "publishing, ended b_frame_present"},
		"the reason after the end": {[]happening{
			{name: start, at: at(1)}, {name: stop, at: at(9)},
			{name: fail, code: "BITRATE_EXCEEDED", at: at(9.1)},
		}, "publishing, ended ended, ended bitrate_exceeded"},
		"refused at once": {[]happening{
			{name: fail, code: "INVALID_VIDEO_CODEC", at: at(1)},
		}, "refused invalid_video_codec"},
		"hours late": {[]happening{
			{name: start, at: at(-7200)},
		}, ""},
		"a takeover within a second, by EventBridge in the wrong order": {[]happening{
			{name: start, at: at(1)}, bridged(start, 9.3), bridged(stop, 9.1),
			{name: stop, at: at(9.1)}, {name: start, at: at(9.3)},
		}, "publishing"},
		"a moment of a broadcast, by EventBridge in the wrong order, and then by the API": {
			[]happening{
				bridged(stop, 9.4), bridged(start, 9.1), {name: start, at: at(9.1)},
				{name: stop, at: at(9.4)}, {name: start, at: at(9.1)},
			}, "ended ended, publishing, ended ended"},
		"the reason of an earlier end does not end what came after": {[]happening{
			{name: start, at: at(1)}, {name: stop, at: at(9)}, {name: start, at: at(12)},
			bridged(fail, 9),
		}, "publishing, ended ended, publishing"},
		"an arrival is reported after the end": {[]happening{
			bridged(start, 1), bridged(stop, 9), {name: "JOINED", at: at(1)},
			{name: start, at: at(1)}, {name: stop, at: at(9)}, {name: "LEFT", at: at(9)},
		}, "publishing, ended ended"},
		"a kick, and AWS's word for it": {[]happening{
			{name: "JOINED", at: at(0)}, {name: start, at: at(1)}, {name: "kick"},
			bridged(stop, 31), {name: stop, at: at(36)}, {name: "LEFT", at: at(36)}, {name: "kick"},
		}, "connected, publishing, ended kicked"},
		"a kick of somebody of whom nothing is known": {[]happening{
			{name: "kick"}, {name: "JOINED", at: at(0)}, {name: start, at: at(1)},
			{name: stop, at: at(30)},
		}, "ended kicked"},
		"a kicked participant joins again": {[]happening{
			{name: start, at: at(1)}, {name: "kick"}, {name: stop, at: at(30)},
			{name: "JOINED", at: at(100)}, {name: start, at: at(101)}, {name: stop, at: at(102)},
		}, "publishing, ended kicked, connected, publishing, ended kicked"},
		"a kick of which AWS tells before it answers": {[]happening{
			{name: "JOINED", at: at(0)}, {name: start, at: at(1)}, {name: "disconnecting"},
			bridged(stop, 30), {name: "kick"},
		}, "connected, publishing, ended kicked"},
		"a kick that failed": {[]happening{
			{name: start, at: at(1)}, {name: "failed kick"}, {name: stop, at: at(9)},
		}, "publishing, ended ended"},
		"a kick long after the end": {[]happening{
			{name: start, at: at(1)}, {name: stop, at: at(9)}, {name: "kick"},
		}, "publishing, ended ended"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := reports(t, at(30), test.list...); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestAHistoryIsToldOnce: each event is reported only once, although the API returns the whole
// history of a participant at every poll.
func TestAHistoryIsToldOnce(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time {
		return began.Add(
			time.Duration(seconds * float64(time.Second)))
	}
	join, leave, start, stop := "JOINED", "LEFT", "PUBLISH_STARTED", "PUBLISH_STOPPED"
	bad := func(seconds float64) []happening {
		return []happening{
			{name: join, at: at(seconds)}, {name: start, at: at(seconds + 1)},
			{name: "PUBLISH_ERROR", code: "B_FRAME_PRESENT", at: at(seconds + 5)},
			{name: stop, at: at(seconds + 5)}, {name: leave, at: at(seconds + 5)},
		}
	}
	for name, test := range map[string]struct {
		list []happening
		want string
		live bool
	}{
		"a takeover: the old broadcast stops and the new one starts in one second": {[]happening{
			{name: join, at: at(4.172)}, {name: start, at: at(4.389)}, {name: stop, at: at(7.414)},
			{name: start, at: at(7.621)},
		}, "connected, publishing, ended ended, publishing", true},
		"two errors, then a good broadcast": {slices.Concat(bad(0), bad(10),
			[]happening{{name: join, at: at(20)}, {name: start, at: at(21)}}),
			"connected, publishing, ended b_frame_present, connected, publishing, ended " +
				"b_frame_present, connected, publishing", true},
		"over, while others go on": {[]happening{
			{name: join, at: at(0)}, {name: start, at: at(1)}, {name: stop, at: at(20)},
			{name: leave, at: at(20)},
		}, "connected, publishing, ended ended", false},
		"a viewer who came back": {[]happening{
			{name: join, at: at(0)}, {name: leave, at: at(10)}, {name: join, at: at(20)},
		}, "connected, connected", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var looks []happening
			for range 4 {
				looks = append(looks, test.list...)
			}
			if got := reports(t, at(30), looks...); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			tracker := newTracker(func(stage.Event) {}, func() time.Time { return at(30) })
			for _, h := range looks {
				h.stage, h.participant = broadcast, "p"
				tracker.add(h)
			}
			if live, _ := tracker.publishing(broadcast, "p"); live != test.live {
				t.Errorf("in the end: got publishing %v, want %v", live, test.live)
			}
		})
	}
}

func TestEventsInTheirOrder(t *testing.T) {
	t.Parallel()
	at := func(seconds int) *time.Time { t := time.Unix(int64(seconds), 0); return &t }
	list := []types.Event{
		{Name: "JOINED", EventTime: at(1)}, {Name: "PUBLISH_STARTED", EventTime: at(2)},
		{Name: "PUBLISH_ERROR", EventTime: at(5)}, {Name: "PUBLISH_STOPPED", EventTime: at(5)},
		{Name: "LEFT", EventTime: at(5)},
	}
	turned := slices.Clone(list)
	slices.Reverse(turned)
	for name, events := range map[string][]types.Event{"oldest first": slices.Clone(list),
		"newest first": turned} {
		if got := oldestFirst(events); !reflect.DeepEqual(got, list) {
			t.Errorf("%s: got %v, want %v", name, got, list)
		}
	}
}

// TestPollsKeepTheirInterval: although a poll begins slightly after its tick and may take a while,
// the next poll begins at the next tick.
func TestPollsKeepTheirInterval(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	w := &watch{
		looked: began, began: began.Add(10 * time.Millisecond),
		polled: began.Add(900 * time.Millisecond),
	}
	for after, want := range map[time.Duration]bool{time.Second / 2: false, 2 * time.Second: true} {
		if _, due := w.needed(began.Add(after), 2*time.Second, 10*time.Second); due != want {
			t.Errorf("after %v: due is %v, want %v", after, due, want)
		}
	}
}
