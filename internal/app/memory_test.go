package app

import "testing"

func TestAWaveOfPagesReturnsMemoryOnce(t *testing.T) {
	t.Parallel()
	var wave reconnectWave
	for i, step := range []struct {
		streams int
		over    bool
	}{
		{0, false}, {150, false}, {155, false}, // fewer than crowd
		{1200, false}, {2000, false}, {2005, true}, {2005, false}, {2100, false}, {2100, false},
		{40, false}, {2000, false}, {2000, true}, // all streams ended and connected again
	} {
		if got := wave.over(step.streams); got != step.over {
			t.Errorf("look %d, %d streams: got %v, want %v", i, step.streams, got, step.over)
		}
	}
}
