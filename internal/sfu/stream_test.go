package sfu

import (
	"bytes"
	"testing"
	"time"

	"github.com/pion/rtp"
)

// TestNumberedPackets: the transport-wide number equals the sequence number, and a repeated packet
// is the same bit for bit.
func TestNumberedPackets(t *testing.T) {
	t.Parallel()
	s := &stream{video: true, ssrc: 7, payloadType: 108, transportCC: 3}
	o := outgoing{
		s, &packet{payload: bytes.Repeat([]byte{0x61}, 1100), marker: true}, 0xabcd, 90_000,
	}
	b := o.write(nil)
	var p rtp.Packet
	if err := p.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	var ext rtp.TransportCCExtension
	if err := ext.Unmarshal(p.GetExtension(3)); err != nil || ext.TransportSequence != 0xabcd ||
		p.SequenceNumber != 0xabcd {
		t.Errorf("got number %#x of packet %#x (%v), want both %#x", ext.TransportSequence,
			p.SequenceNumber, err, 0xabcd)
	}
	if !p.Marker || p.PayloadType != 108 || p.SSRC != 7 || p.Timestamp != 90_000 ||
		!bytes.Equal(p.Payload, o.packet.payload) {
		t.Errorf("the header for the viewer: got %v, want the values of the stream", p.Header)
	}
	if again := o.write(nil); !bytes.Equal(again, b) {
		t.Error("repeated, it is another packet")
	}
	s.transportCC = 0
	if plain := o.write(nil); len(plain) != len(b)-8 || plain[0] != 0x80 {
		t.Errorf("without an extension: %d bytes, want %d", len(plain), len(b)-8)
	}
}

func TestNumberingAllocatesNothing(t *testing.T) {
	s := &stream{video: true, ssrc: 7, payloadType: 108, transportCC: 3}
	o := outgoing{s, &packet{payload: make([]byte, 1100)}, 1, 90_000}
	b := bandwidth{transport: newEstimator(time.Unix(0, 0))}
	list, buffer, header := []outgoing{o}, make([]byte, 0, outgoingMTU), rtp.Header{}
	allocs := testing.AllocsPerRun(100, func() {
		list[0].seq++
		b.record(list, time.Unix(1, 0))
		header = rtp.Header{Extensions: header.Extensions[:0]} // as sender.send does
		if _, err := header.Unmarshal(list[0].write(buffer)); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a packet, want 0", allocs)
	}
}
