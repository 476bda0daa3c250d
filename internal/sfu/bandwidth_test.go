package sfu

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// A viewing runs a bandwidth on a simulated clock. A chosen layer takes effect at once.
type viewing struct {
	*bandwidth
	t     *testing.T
	now   time.Time
	rates []int
}

func newViewing(t *testing.T, transport bool) *viewing {
	v := &viewing{
		bandwidth: &bandwidth{}, t: t, now: time.Unix(1_700_000_000, 0), rates: []int{
			100_000, 300_000, 1_000_000,
		},
	}
	if transport {
		v.transport = newEstimator(v.now)
	}
	v.wants(0, 0)
	return v
}

// wants lets time pass without congestion, and checks which layer is chosen then.
func (v *viewing) wants(after time.Duration, level int) {
	v.t.Helper()
	v.now = v.now.Add(after)
	if got := v.choose(v.rates, false, v.now); got != level {
		v.t.Fatalf("got layer %d, want %d", got, level)
	}
}

func (v *viewing) congested(carries int) {
	v.carried, v.calm = carries, v.now // as bandwidth.feedback sets these fields
}

func TestTriesBecomeRarer(t *testing.T) {
	t.Parallel()
	v := newViewing(t, true)
	v.wants(1900*time.Millisecond, 0)
	v.wants(200*time.Millisecond, 1)
	v.wants(2100*time.Millisecond, 2)
	for _, patience := range []time.Duration{4, 8, 16, 32, 60, 60} {
		v.now = v.now.Add(400 * time.Millisecond)
		v.congested(500_000)
		v.wants(0, 1)
		v.wants(patience*time.Second-time.Millisecond, 1)
		v.wants(2*time.Millisecond, 2)
	}
	// Once a layer holds, earlier failures no longer lengthen the wait.
	v.wants(11*time.Second, 2)
	v.congested(50_000)
	v.wants(0, 0)
	v.wants(4100*time.Millisecond, 1)
}

func TestWhatIsKnownToFitIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	v := newViewing(t, true)
	v.transport.proven, v.transport.provenAt = 500_000, 0
	v.wants(200*time.Millisecond, 0)
	v.wants(200*time.Millisecond, 1)
	v.wants(400*time.Millisecond, 1) // the layer of 1 Mb/s is not known to fit
	v.congested(200_000)
	v.wants(0, 0)
	v.wants(time.Second, 0) // a try failed, so each further try waits the whole time
}

// TestCongestionLowersNoMoreThanItMust: a burst that fills the link does not lower a layer whose
// bitrate fits.
func TestCongestionLowersNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	v := newViewing(t, true)
	v.wants(2100*time.Millisecond, 1)
	v.congested(4_000_000)
	v.wants(0, 1)
	v.wants(2100*time.Millisecond, 2)
}

// TestAChangeIsWaitedFor: while the layer is being switched, no other layer is tried and no try
// fails.
func TestAChangeIsWaitedFor(t *testing.T) {
	t.Parallel()
	v := newViewing(t, true)
	v.wants(2100*time.Millisecond, 1)
	for range 5 {
		v.now = v.now.Add(time.Second)
		if got := v.choose(v.rates, true, v.now); got != 1 {
			t.Fatalf("got layer %d, want 1", got)
		}
	}
	v.wants(0, 1)
	v.wants(1900*time.Millisecond, 1)
	v.wants(200*time.Millisecond, 2)
}

func TestReceiverReports(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		transport bool // whether both sides support the feedback and the viewer sends it
		level     int
	}{
		"alone":                {false, 1},
		"beside feedback":      {true, 2},
		"feedback has stopped": {true, 1},
	} {
		v := newViewing(t, test.transport)
		v.wants(2100*time.Millisecond, 1)
		v.wants(2100*time.Millisecond, 2)
		sent := uint64(0)
		for i := range 5 {
			v.now, sent = v.now.Add(time.Second), sent+125_000
			if test.transport && (i == 0 || name != "feedback has stopped") {
				v.feedback(&rtcp.TransportLayerCC{}, v.now)
			}
			loss := 0.0
			if i == 4 {
				loss = 0.2
			}
			v.report(sent, loss, 20*time.Millisecond, v.now)
		}
		if got := v.choose(v.rates, false, v.now); got != test.level {
			t.Errorf("%s: got layer %d, want %d", name, got, test.level)
		}
	}
}

// TestFeedbackNobodyAgreedOn: transport-wide feedback is ignored if the peer did not offer it.
func TestFeedbackNobodyAgreedOn(t *testing.T) {
	t.Parallel()
	v := newViewing(t, false)
	v.feedback(&rtcp.TransportLayerCC{PacketStatusCount: 10}, v.now)
	if !v.fedBack.IsZero() {
		t.Error("it was taken in")
	}
}
