package sfu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// FuzzOffer: whatever a stranger sends is either refused or answered with a description that can be read.
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
			if err := d.UnmarshalString(answer); err != nil || len(d.MediaDescriptions) != len(o.sections) {
				t.Errorf("%d sections answered with %d: %v\n%s", len(o.sections), len(d.MediaDescriptions), err, answer)
			}
		}
	})
}

// FuzzPayload: RTP payloads are read by several parsers, none of which may trust them.
func FuzzPayload(f *testing.F) {
	f.Add([]byte{0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe8})
	f.Add([]byte{0x78, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 2, 0x68, 0xce})
	f.Add([]byte{0x7c, 0x85, 0xb8, 0x04})
	f.Add([]byte{0x61, 0x9a, 0x24})
	f.Add([]byte{0xfc, 0xff, 0xfe})
	f.Fuzz(func(_ *testing.T, payload []byte) {
		if u := inspect(payload); u.sps != nil {
			parseSPS(u.sps)
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
