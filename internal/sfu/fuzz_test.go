package sfu

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// FuzzOffer: every offer is either refused or answered with a valid description.
func FuzzOffer(f *testing.F) {
	names, err := filepath.Glob("testdata/offers/*.sdp")
	if err != nil || len(names) == 0 {
		f.Fatal("no offers to start from", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	// Long seeds are left out, because the fuzzer would spend its time on minimizing them. Another
	// test measures the cost of long offers.
	s := &SFU{cfg: Config{Listen: "127.0.0.1:0"}}
	s.cfg.setDefaults()
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOffer(text)
		if err != nil {
			return
		}
		for _, plans := range []func(*offer) (*plan, error){planPublish, planSubscribe} {
			plan, err := plans(o)
			if err != nil {
				continue
			}
			answer := newPeer(s, stage.Participant{}, o).answer(o, nil, plan)
			var d sdp.SessionDescription
			if err := d.UnmarshalString(answer); err != nil ||
				len(d.MediaDescriptions) != len(o.sections) {
				t.Errorf("%d sections answered with %d: %v\n%s", len(o.sections),
					len(d.MediaDescriptions), err, answer)
			}
		}
	})
}

// FuzzPayload: no parser of RTP payloads panics, since a payload may contain anything.
func FuzzPayload(f *testing.F) {
	f.Add([]byte{0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8})
	f.Add([]byte{0x78, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 2, 0x68, 0xce})
	f.Add([]byte{0x7c, 0x85, 0xb8, 0x04})
	f.Add([]byte{0x27, 0x85})                               // a parameter set of two bytes
	f.Add([]byte{0x78, 0, 1, 0x67, 0, 3, 0x67, 0x42, 0xc0}) // two parameter sets
	f.Add([]byte{0x61, 0x9a, 0x24})
	f.Add([]byte{0xfc, 0xff, 0xfe})
	f.Fuzz(func(_ *testing.T, payload []byte) {
		for _, nal := range inspect(payload).sets {
			(&track{video: true}).learn(nal)
		}
		opusDuration(payload)
		var h rtp.Header
		if n, err := h.Unmarshal(payload); err == nil {
			if n <= len(payload) {
				stripPadding(&h, payload)
			}
		}
	})
}

// FuzzRTCP: no report of a viewer or a publisher causes a panic. The bitrates that follow from
// transport-wide feedback are never negative.
func FuzzRTCP(f *testing.F) {
	for _, packets := range [][]rtcp.Packet{
		{&rtcp.TransportLayerCC{
			Header: rtcp.Header{
				Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 6,
			},
			BaseSequenceNumber: 10, PacketStatusCount: 7, ReferenceTime: 5, FbPktCount: 1,
			PacketChunks: []rtcp.PacketStatusChunk{
				&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketReceivedSmallDelta,
					RunLength: 5}, &rtcp.RunLengthChunk{RunLength: 2},
			},
			RecvDeltas: []*rtcp.RecvDelta{
				{Type: 1, Delta: 250}, {Type: 1}, {Type: 1, Delta: 500}, {Type: 1}, {Type: 1},
			},
		}},
		{&rtcp.ReceiverReport{SSRC: 1,
			Reports: []rtcp.ReceptionReport{{SSRC: 2, FractionLost: 200, TotalLost: 9}}},
			&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 2}},
		{&rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: 2,
			Nacks: []rtcp.NackPair{{PacketID: 65000, LostPackets: 0xffff}}}},
	} {
		raw, err := rtcp.Marshal(packets)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	s, err := New(Config{Listen: "127.0.0.1:0"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	ana := stage.Participant{ID: "ana"}
	publishing, err := os.ReadFile("testdata/offers/chromium-publish-simulcast.sdp")
	if err != nil {
		f.Fatal(err)
	}
	viewing, err := os.ReadFile("testdata/offers/chromium-view.sdp")
	if err != nil {
		f.Fatal(err)
	}
	p, _, err := s.Publish(f.Context(), ana, string(publishing))
	if err != nil {
		f.Fatal(err)
	}
	began := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, raw []byte) {
		packets, err := rtcp.Unmarshal(raw)
		if err != nil {
			return
		}
		session, _, err := s.Subscribe(t.Context(), stage.Participant{ID: "ben"}, ana.ID,
			string(viewing))
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close("deleted", "")
		v := session.(*viewer)
		v.bandwidth.transport = newEstimator(began)
		v.bandwidth.choose([]int{1, 2, 3}, false, began)
		for i := range 3 * sentKept {
			v.bandwidth.transport.record(uint16(i), 1000,
				began.Add(time.Duration(i)*time.Millisecond))
		}
		for i := range 3 {
			now := began.Add(time.Duration(i) * time.Second)
			v.onRTCP(packets, now)
			p.(*publisher).onRTCP(packets, now)
		}
		if v.bandwidth.carried < 0 || v.bandwidth.transport.carriesLately(began) < 0 {
			t.Errorf("the estimates are %d and %d, want none below 0", v.bandwidth.carried,
				v.bandwidth.transport.carriesLately(began))
		}
	})
}
