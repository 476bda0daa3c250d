package sfu

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
)

// A trace is a simulated viewer behind a simulated link and clock. It does not use the real clock,
// and its random numbers are the same in each run.
type trace struct {
	t         *testing.T
	estimator *estimator
	recorder  *twcc.Recorder
	chance    *rand.Rand
	now       time.Time
	seq       uint16
	free      time.Duration // when the link will have sent all packets, counted from begin
	onTheWay  []arriving
	again     []again
	last      time.Duration // when the last packet arrives, since packets stay in order
	begin     time.Time
	nextBack  time.Duration

	video int // bit/s of the picture; every 60th of its frames is a keyframe
	frame int
	key   bool // the next frame is an additional keyframe

	rate      int           // bit/s of the link
	queue     time.Duration // length of the link's queue, as a duration
	jitter    time.Duration
	loss      float64
	stall     func(time.Duration) time.Duration // when the viewer reads a packet, by its arrival
	drift     float64                           // of the viewer's clock
	clock     time.Duration                     // the time on the viewer's clock at the beginning
	repeats   bool                              // the viewer requests lost packets
	feedbacks func(n int) (arrives bool)
	reports   int

	full []verdict
}

type arriving struct {
	seq uint16
	at  time.Duration
}

// An again is a packet that the viewer requests once more.
type again struct {
	seq  uint16
	size int
	at   time.Duration
}

type verdict struct {
	at      time.Duration
	carries int
}

func newTrace(t *testing.T) *trace {
	begin := time.Unix(1_700_000_000, 0)
	return &trace{t: t, estimator: newEstimator(begin), recorder: twcc.NewRecorder(1),
		chance: rand.New(rand.NewPCG(1, 2)), now: begin, begin: begin,
		seq: 65_000, video: 1_000_000, rate: 10_000_000, queue: 300 * time.Millisecond}
}

func (tr *trace) passed() time.Duration { return tr.now.Sub(tr.begin) }

// run lets the duration pass.
func (tr *trace) run(d time.Duration) {
	tr.t.Helper()
	for end := tr.now.Add(d); tr.now.Before(end); tr.now = tr.now.Add(time.Millisecond) {
		if tr.passed() >= time.Duration(tr.frame)*time.Second/30 {
			tr.sendFrame()
		}
		for len(tr.again) > 0 && tr.again[0].at <= tr.passed() {
			a := tr.again[0]
			tr.again = tr.again[1:]
			tr.sendPacket(a.seq, a.size)
		}
		tr.deliver()
		if tr.passed() >= tr.nextBack {
			tr.nextBack += 100 * time.Millisecond
			tr.feedBack()
		}
	}
}

func (tr *trace) sendFrame() {
	size := tr.video / 8 / 30 * 60 / 67
	if tr.frame%60 == 0 || tr.key {
		tr.key = false
		size *= 8
	}
	tr.frame++
	tr.send(size)
}

func (tr *trace) send(bytes int) {
	for ; bytes > 0; bytes -= 1100 {
		tr.sendPacket(tr.seq, min(bytes, 1100))
		tr.seq++
	}
}

func (tr *trace) sendPacket(seq uint16, size int) {
	tr.estimator.record(seq, size, tr.now)
	passed := tr.passed()
	tr.free = max(tr.free, passed)
	if tr.chance.Float64() < tr.loss || tr.free-passed > tr.queue {
		if tr.repeats {
			tr.again = append(tr.again, again{seq, size, passed + 60*time.Millisecond})
		}
		return
	}
	tr.free += time.Duration(size) * 8 * time.Second / time.Duration(tr.rate)
	tr.arrive(seq, tr.free+20*time.Millisecond)
}

func (tr *trace) arrive(seq uint16, at time.Duration) {
	if tr.jitter > 0 {
		at += time.Duration(tr.chance.Int64N(int64(tr.jitter)))
	}
	if tr.stall != nil {
		at = tr.stall(at)
	}
	at = max(at, tr.last)
	tr.last = at
	tr.onTheWay = append(tr.onTheWay, arriving{seq, at})
}

func (tr *trace) deliver() {
	waiting := tr.onTheWay[:0]
	for _, a := range tr.onTheWay {
		if a.at > tr.passed() {
			waiting = append(waiting, a)
			continue
		}
		tr.recorder.Record(1, a.seq, (tr.clock + time.Duration(float64(a.at)*(1+tr.drift))).
			Microseconds())
	}
	tr.onTheWay = waiting
}

func (tr *trace) feedBack() {
	tr.t.Helper()
	for _, packet := range tr.recorder.BuildFeedbackPacket() {
		tr.reports++
		if tr.feedbacks != nil && !tr.feedbacks(tr.reports) {
			continue
		}
		wire, err := packet.Marshal()
		if err != nil {
			tr.t.Fatal(err)
		}
		var f rtcp.TransportLayerCC
		if err := f.Unmarshal(wire); err != nil {
			tr.t.Fatal(err)
		}
		if carries, full := tr.estimator.feedback(&f, tr.now); full {
			tr.full = append(tr.full, verdict{tr.passed(), carries})
		}
	}
}

func (tr *trace) neverFull() {
	tr.t.Helper()
	if len(tr.full) > 0 {
		tr.t.Errorf("the link was held to be full: %v", tr.full)
	}
}

// fullWithin checks that the link is reported as full within a certain time, and with which rate.
func (tr *trace) fullWithin(since time.Duration, limit time.Duration, least, most int) {
	tr.t.Helper()
	for _, v := range tr.full {
		if v.at < since {
			continue
		}
		if v.at-since > limit || v.carries < least || v.carries > most {
			tr.t.Errorf("after %v: carries %d; want within %v %d to %d", v.at-since, v.carries,
				limit, least, most)
		}
		return
	}
	tr.t.Errorf("the link was never held to be full; want within %v", limit)
}

func TestLinksThatCarryTheVideo(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*trace){
		"wide":                      func(*trace) {},
		"little room for keyframes": func(tr *trace) { tr.rate = 1_250_000 },
		"jitter":                    func(tr *trace) { tr.jitter = 60 * time.Millisecond },
		"a little loss":             func(tr *trace) { tr.loss = 0.03; tr.repeats = true },
		"a drifting clock":          func(tr *trace) { tr.drift = 300e-6 },
		"lost feedback": func(tr *trace) {
			tr.feedbacks = func(n int) bool { return n%3 == 0 }
		},
		"a low layer": func(tr *trace) { tr.video = 60_000 },
		"numbers of the clock wrap": func(tr *trace) {
			tr.clock = 1<<24*64*time.Millisecond - 20*time.Second
		},
		"the machine stalls": func(tr *trace) {
			tr.stall = func(at time.Duration) time.Duration {
				if at%(2*time.Second) < 150*time.Millisecond {
					return at.Truncate(2*time.Second) + 150*time.Millisecond
				}
				return at
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTrace(t)
			set(tr)
			tr.run(65 * time.Second)
			tr.neverFull()
		})
	}
}

func TestLinksThatAreTooNarrow(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*trace){
		"long queue":    func(*trace) {},
		"endless queue": func(tr *trace) { tr.queue = 2 * time.Second },
		"short queue":   func(tr *trace) { tr.queue = 40 * time.Millisecond },
		"short queue and repeats": func(tr *trace) {
			tr.queue = 40 * time.Millisecond
			tr.repeats = true
		},
		"jitter":        func(tr *trace) { tr.jitter = 40 * time.Millisecond },
		"lost feedback": func(tr *trace) { tr.feedbacks = func(n int) bool { return n%2 == 0 } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTrace(t)
			set(tr)
			tr.run(5 * time.Second)
			tr.neverFull()
			tr.rate = 550_000
			tr.run(5 * time.Second)
			tr.fullWithin(5*time.Second, 1200*time.Millisecond, 350_000, 620_000)
			// The link recovers. Soon it is no longer reported as full.
			tr.rate = 10_000_000
			tr.run(3 * time.Second) // the packets in the queue still arrive at the old rate
			tr.full = nil
			tr.run(20 * time.Second)
			tr.neverFull()
		})
	}
}

func TestLinkThatIsALittleTooNarrow(t *testing.T) {
	t.Parallel()
	tr := newTrace(t)
	tr.rate = 900_000
	tr.run(5 * time.Second)
	tr.fullWithin(0, 4*time.Second, 600_000, 900_000)
}

func TestMuchLossIsAFullLink(t *testing.T) {
	t.Parallel()
	for name, repeats := range map[string]bool{"lost": false, "repeated": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTrace(t)
			tr.loss, tr.repeats = 0.2, repeats
			tr.run(5 * time.Second)
			tr.fullWithin(0, 2*time.Second, 500_000, 900_000)
		})
	}
}

// TestOldLayerIsNotHeldAgainstTheNew: packets that were sent before a change of layer do not count
// against the new layer.
func TestOldLayerIsNotHeldAgainstTheNew(t *testing.T) {
	t.Parallel()
	tr := newTrace(t)
	tr.rate = 550_000
	tr.run(time.Second)
	tr.fullWithin(0, time.Second, 350_000, 550_000)
	tr.estimator.restart(tr.now)
	tr.full, tr.video = nil, 200_000
	tr.run(20 * time.Second)
	tr.neverFull()
}

// TestATryIsJudgedSoon: a try ends soon if the layer does not fit. A layer that fits is kept,
// although each try begins with a large keyframe.
func TestATryIsJudgedSoon(t *testing.T) {
	t.Parallel()
	try := func(rate int) *trace {
		tr := newTrace(t)
		tr.rate, tr.video = rate, 300_000
		tr.run(5 * time.Second)
		tr.neverFull()
		tr.video, tr.key = 1_000_000, true
		tr.run(time.Second / 30)
		tr.estimator.restart(tr.now) // as the server does, after the keyframe
		return tr
	}
	tr := try(550_000)
	began := tr.passed()
	tr.run(3 * time.Second)
	tr.fullWithin(began, 600*time.Millisecond, 350_000, 550_000)
	tr = try(1_400_000)
	tr.run(10 * time.Second)
	tr.neverFull()
}

// TestBurstOfALateViewer: for a viewer who joins late, the burst of earlier frames is the first
// measurement.
func TestBurstOfALateViewer(t *testing.T) {
	t.Parallel()
	burst := func(tr *trace) {
		for range 100 {
			tr.send(12_000_000 / 8 / 200)
			tr.run(5 * time.Millisecond)
		}
		tr.run(3 * time.Second)
	}
	wide := newTrace(t)
	wide.rate = 20_000_000
	burst(wide)
	wide.neverFull()
	if got := wide.estimator.carriesLately(wide.now); got < 8_000_000 || got > 16_000_000 {
		t.Errorf("the link carried %d bit/s, want about 12 Mb/s", got)
	}
	wide.run(10 * time.Second)
	if got := wide.estimator.carriesLately(wide.now); got > 8_000_000 {
		t.Errorf("%d bit/s are still believed in, seconds later", got)
	}
	narrow := newTrace(t)
	narrow.rate = 5_000_000
	burst(narrow)
	narrow.fullWithin(0, 800*time.Millisecond, 3_500_000, 5_000_000)
	for _, v := range narrow.full {
		if v.carries < 1_000_000 {
			t.Errorf("after %v only %d bit/s are left, less than the picture has", v.at, v.carries)
		}
	}
}

// TestNonsenseIsNoFeedback: a report changes nothing if it is about packets that were never sent,
// about too many packets, or about packets that were reported before, or if it lacks statuses or
// times.
func TestNonsenseIsNoFeedback(t *testing.T) {
	t.Parallel()
	tr := newTrace(t)
	tr.run(3 * time.Second)
	before := tr.estimator.loss
	for _, f := range []rtcp.TransportLayerCC{
		{BaseSequenceNumber: tr.seq + 100, PacketStatusCount: 500,
			PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{RunLength: 500}}},
		{BaseSequenceNumber: tr.seq - 300, PacketStatusCount: 60_000,
			PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{RunLength: 8191}}},
		{BaseSequenceNumber: tr.seq - 300, PacketStatusCount: 200,
			PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{RunLength: 200}}},
		{PacketStatusCount: 100},
		{BaseSequenceNumber: tr.seq - 10, PacketStatusCount: 5,
			PacketChunks: []rtcp.PacketStatusChunk{
				&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketReceivedSmallDelta,
					RunLength: 5}}},
	} {
		if _, full := tr.estimator.feedback(&f, tr.now); full {
			t.Errorf("%+v: the link is full", f)
		}
	}
	if tr.estimator.loss != before {
		t.Errorf("got %+v, want %+v as before", tr.estimator.loss, before)
	}
	tr.run(3 * time.Second)
	tr.neverFull()
}

// TestSentNumbers: a repeated packet does not count as a second packet, and an old packet does not
// replace a newer one. The estimator keeps 1024 packets, by their number modulo 1024.
func TestSentNumbers(t *testing.T) {
	t.Parallel()
	begin := time.Unix(0, 0)
	e := newEstimator(begin)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	number := func(i int) uint16 { return uint16(64_000 + i) } // wraps around
	for i := range 3000 {
		e.record(number(i), 100, at(i))
	}
	e.record(number(2999), 100, at(4000))
	e.record(number(0), 100, at(4000)) // no effect: packet 2048 has this place
	if p := e.find(number(2999)); p == nil || !p.repeated || p.at != 2_999_000 {
		t.Errorf("a repeated packet: got %+v, want its first time", p)
	}
	if p := e.find(number(0)); p != nil {
		t.Errorf("a forgotten packet: got %+v, want none", p)
	}
	if p := e.find(number(3000)); p != nil {
		t.Errorf("a packet that was never sent: got %+v, want none", p)
	}
}
