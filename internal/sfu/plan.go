package sfu

import (
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Header extensions that we know. Everything else a publisher sends along is not forwarded.
const (
	extMID         = "urn:ietf:params:rtp-hdrext:sdes:mid"
	extRID         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	extRepairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	extTransportCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)

// A plan is what the answer will say: at most one audio and one video section are taken, all others are refused.
type plan struct {
	publishing   bool
	layered      bool // to a viewer: there are layers to choose from
	audio, video *planned
}

// planned is one section that is taken.
type planned struct {
	section *section
	codec   codec
	active  bool // media flows, in the one direction that this session is for
	ssrc    uint32
}

func (p *plan) of(s *section) *planned {
	for _, m := range []*planned{p.audio, p.video} {
		if m != nil && m.section == s {
			return m
		}
	}
	return nil
}

// planPublish takes H.264 and Opus. A broadcast without H.264 is refused as IVS does, also one that has no video at all.
func planPublish(o *offer) (*plan, error) {
	p := &plan{publishing: true}
	p.take(o, func(s *section) bool { return s.sends })
	if p.video == nil {
		return nil, stage.Errorf(stage.ErrInvalid, "The offer has no H.264 video (packetization-mode 1), and the stage takes nothing else; choose an H.264 encoder. "+
			"To publish sound alone, offer an H.264 video track and send nothing on it.").WithCode("no_h264")
	}
	if !p.anyActive() {
		return nil, badSDP("The offer sends neither sound nor picture.")
	}
	return p, p.checkTransport(o)
}

func planSubscribe(o *offer) (*plan, error) {
	p := &plan{}
	p.take(o, func(s *section) bool { return s.receives })
	if p.audio == nil && p.video == nil {
		if slices.ContainsFunc(o.sections, func(s *section) bool { return s.kind == "video" }) {
			return nil, stage.Errorf(stage.ErrInvalid, "This player offers no H.264 video (packetization-mode 1).").WithCode("no_h264")
		}
		return nil, badSDP("The offer receives neither Opus sound nor H.264 video.")
	}
	if !p.anyActive() {
		return nil, badSDP("The offer receives neither sound nor picture.")
	}
	return p, p.checkTransport(o)
}

// take prefers sections that are active.
func (p *plan) take(o *offer, active func(*section) bool) {
	for _, s := range o.sections {
		m := pick(s)
		if m == nil {
			continue
		}
		m.active = active(s)
		slot := &p.audio
		if s.kind == "video" {
			slot = &p.video
		}
		if *slot == nil || m.active && !(*slot).active {
			*slot = m
		}
	}
}

func (p *plan) anyActive() bool {
	return p.audio != nil && p.audio.active || p.video != nil && p.video.active
}

func (p *plan) checkTransport(o *offer) error {
	for _, m := range []*planned{p.audio, p.video} {
		switch {
		case m == nil:
		case !m.section.rtcpMux:
			return badSDP("The offer has no a=rtcp-mux; there is one port for everything.")
		case len(o.sections) > 1 && p.audio != nil && p.video != nil && !m.section.bundled(o):
			return badSDP("The offer does not bundle sound and picture (a=group:BUNDLE); there is one port for everything.")
		}
	}
	return nil
}

func pick(s *section) *planned {
	if s.rejected || !strings.Contains(strings.Join(s.media.MediaName.Protos, "/"), "SAVP") {
		return nil
	}
	switch s.kind {
	case "audio":
		return pickOpus(s)
	case "video":
		return pickH264(s)
	}
	return nil
}

func pickOpus(s *section) *planned {
	for _, c := range s.codecs {
		if c.name == "OPUS" && c.clock == 48000 {
			return &planned{section: s, codec: c}
		}
	}
	return nil
}

// pickH264 takes the payload type that most decoders can play: constrained baseline before baseline before the rest.
// What the encoder really makes is another matter (OBS says 42e01f whatever it sends) and is measured.
func pickH264(s *section) *planned {
	var best *codec
	for i := range s.codecs {
		c := &s.codecs[i]
		if h264Rank(*c) > 0 && (best == nil || h264Rank(*c) > h264Rank(*best)) {
			best = c
		}
	}
	if best == nil {
		return nil
	}
	return &planned{section: s, codec: *best}
}

// h264Rank reads profile-level-id (RFC 6184, 8.1): profile_idc, then the constraint flags, of which 0x40 makes baseline constrained.
func h264Rank(c codec) int {
	if c.name != "H264" || c.clock != 90000 || c.fmtp["packetization-mode"] != "1" {
		return 0
	}
	profile := strings.ToLower(c.fmtp["profile-level-id"])
	switch {
	case len(profile) == 6 && profile[:2] == "42" && strings.ContainsRune("4567cdef", rune(profile[2])):
		return 3
	case len(profile) == 6 && profile[:2] == "42", profile == "": // absent means baseline
		return 2
	}
	return 1
}

func (p *planned) feedback(name string) bool { return slices.Contains(p.codec.feedback, name) }

func (p *planned) ext(uri string) uint8 { return p.section.extmap[uri] }
