package sfu

import (
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Header extensions that this server negotiates. Other extensions of a publisher are not forwarded.
const (
	extMID         = "urn:ietf:params:rtp-hdrext:sdes:mid"
	extRID         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	extRepairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	extTransportCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)

// A plan is the content of the answer. It accepts at most one audio and one video section, and
// rejects all others.
type plan struct {
	publishing   bool
	layered      bool // for a viewer: there are layers from which to choose
	audio, video *planned
}

// A planned is one accepted section.
type planned struct {
	section *section
	codec   codec
	active  bool // media flows in the session's direction
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

// planPublish accepts H.264 and Opus. Like IVS, it refuses an offer without H.264, and therefore
// also an offer of sound alone. It also refuses sound that is not offered as Opus.
func planPublish(o *offer) (*plan, error) {
	p := &plan{publishing: true}
	p.take(o, func(s *section) bool { return s.sends })
	if p.video == nil {
		return nil, noCodec(
			"no_h264", "The offer has no H.264 video (packetization-mode 1), and the "+
				"stage takes nothing else; choose an H.264 encoder. To publish sound "+
				"alone, offer an "+
				"H.264 video track and send nothing on it.")
	}
	if p.audio == nil && wanted(o, "audio", func(s *section) bool { return s.sends }) {
		return nil, noCodec("no_opus", "The offer has sound, but not as Opus, and the stage takes "+
			"nothing else; choose Opus as the audio encoder.")
	}
	if !p.anyActive() {
		return nil, badSDP("The offer sends neither sound nor picture.")
	}
	return p, p.checkTransport(o)
}

// planSubscribe refuses an offer for sound or picture that lacks the stage's codec. Its error says
// what to change in the player. If the answer only rejected the section, it would give no reason.
func planSubscribe(o *offer) (*plan, error) {
	p := &plan{}
	p.take(o, func(s *section) bool { return s.receives })
	receives := func(s *section) bool { return s.receives }
	switch {
	case p.video == nil && wanted(o, "video", receives):
		return nil, noCodec("no_h264", "This player offers no H.264 video (packetization-mode 1).")
	case p.audio == nil && wanted(o, "audio", receives):
		return nil, noCodec("no_opus", "This player offers no Opus audio.")
	case !p.anyActive():
		return nil, badSDP("The offer receives neither Opus sound nor H.264 video.")
	}
	return p, p.checkTransport(o)
}

func noCodec(code, detail string) error {
	return stage.Errorf(stage.ErrInvalid, "%s", detail).WithCode(code)
}

// wanted reports whether the offer has an active section of a kind.
func wanted(o *offer, kind string, active func(*section) bool) bool {
	return slices.ContainsFunc(o.sections, func(s *section) bool {
		return s.kind == kind && !s.rejected && active(s)
	})
}

// take selects the sections to accept. It prefers active ones.
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
		case p.audio != nil && p.video != nil && !m.section.bundled(o):
			return badSDP("The offer does not bundle sound and picture (a=group:BUNDLE); " +
				"there is one port for everything.")
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

// pickH264 picks the payload type that most decoders play: constrained baseline, then baseline,
// then any other. The profile in the offer may be wrong: OBS always offers 42e01f. So the server
// reads the profile from the media.
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

// h264Rank rates a payload type by profile-level-id (RFC 6184, 8.1): profile_idc, then the
// constraint flags, of which 0x40 makes baseline constrained. A payload type without a
// packetization mode has the lowest rank. By the RFC its mode is 0, but GStreamer omits the
// parameter and also plays mode 1.
func h264Rank(c codec) int {
	if c.name != "H264" || c.clock != 90000 {
		return 0
	}
	switch c.fmtp["packetization-mode"] {
	case "":
		return 1
	case "1":
	default:
		return 0
	}
	profile := strings.ToLower(c.fmtp["profile-level-id"])
	baseline := len(profile) == 6 && profile[:2] == "42"
	switch {
	case baseline && strings.ContainsRune("4567cdef", rune(profile[2])):
		return 4
	case baseline, profile == "": // the default is baseline
		return 3
	}
	return 2
}

func (p *planned) feedback(name string) bool { return slices.Contains(p.codec.feedback, name) }

// ext returns the negotiated ID of an extension, or 0.
func (p *planned) ext(uri string) uint8 { return p.section.extmap[uri] }

// rids returns the accepted layers. It returns none if the offer lacks the header extension by
// which a packet names its layer.
func (p *planned) rids() []string {
	if p.ext(extRID) == 0 {
		return nil
	}
	return p.section.rids
}
