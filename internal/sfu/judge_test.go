package sfu

import (
	"slices"
	"testing"
	"time"
)

// TestOnlyALastingBitrateCounts: only a bitrate that lasts causes a finding. A single large
// keyframe or a change of scene does not.
func TestOnlyALastingBitrateCounts(t *testing.T) {
	t.Parallel()
	limits := DefaultLimits()
	limits.Enforce = true
	for name, test := range map[string]struct {
		rates []int // bit/s of each second
		want  []string
	}{
		"as advised":          {[]int{2e6, 2e6, 2e6, 2e6, 2e6}, nil},
		"one burst":           {[]int{2e6, 60e6, 2e6, 2e6, 2e6}, nil}, // 13.6 Mb/s on average
		"bursts":              {[]int{20e6, 2e6, 20e6, 2e6, 20e6}, nil},
		"more than advised":   {[]int{4e6, 60e6, 4e6, 4e6, 4e6}, []string{"bitrate_high"}},
		"more than the limit": {[]int{9e6, 9e6, 9e6, 9e6, 9e6}, []string{"bitrate_exceeded"}},
		"not for long enough": {[]int{9e6, 9e6, 9e6, 9e6}, nil},
	} {
		f := &findings{limits: limits}
		(&publisher{rates: test.rates}).judgeBitrate(f)
		var got []string
		for _, f := range f.list {
			got = append(got, f.code)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// TestALayerThatStops: a layer has stopped if the other layers continue without it. A source with
// few frames has not stopped.
func TestALayerThatStops(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	low, high := newTrack(true, "low", 1), newTrack(true, "high", 2)
	p := &publisher{layers: []*track{low, high}}
	frame := func(l *track, at time.Time) {
		l.receivedAt, l.frameAt, l.beforeAt = at, at,
			l.frameAt
	}
	now := start
	for range 5 { // one frame a second, with the layers 5 ms apart, in either order
		frame(low, now)
		frame(high, now.Add(5*time.Millisecond))
		now = now.Add(time.Second)
		if p.stopped(high, now) || p.stopped(low, now) {
			t.Fatal("stopped between two frames")
		}
		frame(low, now)
		if p.stopped(high, now.Add(time.Millisecond)) {
			t.Fatal("stopped while its own frame is still on its way")
		}
		frame(high, now.Add(5*time.Millisecond))
		now = now.Add(time.Second)
	}
	last := high.receivedAt
	for i := range 60 { // 30 frames a second
		now = last.Add(time.Duration(i) * time.Second / 30)
		frame(low, now)
		if got, want := p.stopped(high, now), now.Sub(last) > 500*time.Millisecond; got != want {
			t.Fatalf("after %v: stopped %v, want %v", now.Sub(last), got, want)
		}
	}
}
