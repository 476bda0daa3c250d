package sfu

import (
	"testing"
	"time"
	"unsafe"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/stagedoor/stagedoor/internal/stage"
)

type bystander struct{ ended string }

func (*bystander) onReady()                             {}
func (*bystander) onOpen()                              {}
func (*bystander) onRTP(*rtp.Header, []byte, time.Time) {}
func (*bystander) onRTCP([]rtcp.Packet, time.Time)      {}
func (*bystander) onTick(time.Time)                     {}
func (b *bystander) onEnd(code, _ string)               { b.ended = code }

// TestTheClockIsSet: setting the clock forward, as after a suspension or by NTP, ends no session.
func TestTheClockIsSet(t *testing.T) {
	t.Parallel()
	s := &SFU{cfg: Config{Listen: "127.0.0.1:0"}, changed: func(stage.ARN) {}}
	s.cfg.setDefaults()
	p := newPeer(s, stage.Participant{}, &offer{})
	b := &bystander{}
	p.role = b
	p.heard(p.since.Add(time.Second))
	p.tick(setForward(p.since.Add(2*time.Second), time.Hour))
	if b.ended != "" {
		t.Errorf("ended %q a second after it was heard", b.ended)
	}
	p.tick(p.since.Add(time.Minute))
	if b.ended == "" {
		t.Error("goes on in silence")
	}
}

// setForward returns a moment as read from a clock that was set forward: the wall clock differs,
// and the monotonic reading is the same. Package time has no function for that.
func setForward(moment time.Time, by time.Duration) time.Time {
	// The first field of a time.Time has the seconds above 30 bits of nanoseconds.
	*(*uint64)(unsafe.Pointer(&moment)) += uint64(by/time.Second) << 30
	return moment
}
