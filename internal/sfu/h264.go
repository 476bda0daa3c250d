package sfu

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// The payload structures that this server reads, besides single NAL units (RFC 6184, table 1).
const (
	payloadSTAPA = 24
	payloadFUA   = 28
)

func nalType(nal []byte) h264.NALUType { return h264.NALUType(nal[0] & 0x1f) }

// nalStarts yields the NAL units that begin in an RTP payload. For a fragmented unit it yields only
// the first fragment. It stops at an invalid length.
func nalStarts(payload []byte, yield func(kind h264.NALUType, nal []byte) bool) {
	if len(payload) < 2 {
		return
	}
	switch kind := nalType(payload); kind {
	case payloadSTAPA: // RFC 6184, 5.7.1
		for b := payload[1:]; len(b) > 2; {
			size := int(b[0])<<8 | int(b[1])
			b = b[2:]
			if size == 0 || size > len(b) || !yield(nalType(b), b[:size]) {
				return
			}
			b = b[size:]
		}
	case payloadFUA: // 5.8; the second byte holds the start bit and the type
		if payload[1]&0x80 != 0 {
			yield(h264.NALUType(payload[1]&0x1f), payload[1:])
		}
	default:
		yield(kind, payload)
	}
}

// A unit describes the picture data in the payload of one packet.
type unit struct {
	keyframe bool     // a sequence parameter set or an IDR picture begins in the payload
	headed   bool     // the payload contains a sequence parameter set
	bSlice   bool     // a slice of B macroblocks begins in the payload
	sets     [][]byte // parameter sets
}

func inspect(payload []byte) (u unit) {
	whole := len(payload) > 0 && nalType(payload) != payloadFUA
	nalStarts(payload, func(kind h264.NALUType, nal []byte) bool {
		switch kind {
		case h264.NALUTypeSPS, h264.NALUTypePPS:
			sps := kind == h264.NALUTypeSPS
			u.keyframe, u.headed = u.keyframe || sps, u.headed || sps
			if whole {
				u.sets = append(u.sets, nal)
			}
		case h264.NALUTypeIDR:
			u.keyframe = true
		case h264.NALUTypeNonIDR:
			u.bSlice = u.bSlice || isBSlice(nal)
		}
		return true
	})
	return u
}

// isBSlice reads the slice header (H.264, 7.3.3): first_mb_in_slice, then slice_type, where 1 and 6
// are B (table 7-6).
func isBSlice(nal []byte) bool {
	header, at := nal[1:min(len(nal), 12)], 0
	if _, err := bits.ReadGolombUnsigned(header, &at); err != nil {
		return false
	}
	kind, err := bits.ReadGolombUnsigned(header, &at)
	return err == nil && (kind == 1 || kind == 6)
}

// A picture contains the properties of the picture that a sequence parameter set describes.
type picture struct {
	profile       string
	width, height int
}

// maxBlocks is the largest width or height of a picture, in macroblocks (16,384 pixels).
const maxBlocks = 1024

func parseSPS(nal []byte) (picture, error) {
	var sps h264.SPS
	if err := sps.Unmarshal(nal); err != nil {
		return picture{}, err
	}
	if sps.PicWidthInMbsMinus1 >= maxBlocks || sps.PicHeightInMapUnitsMinus1 >= maxBlocks {
		return picture{}, errors.New("the parameter set names an impossible size")
	}
	p := picture{profileName(&sps), sps.Width(), sps.Height()}
	if p.width <= 0 || p.height <= 0 {
		return picture{}, errors.New("the parameter set crops the whole picture")
	}
	return p, nil
}

// Names of profiles that every browser decodes.
const (
	profileBaseline            = "Baseline"
	profileConstrainedBaseline = "Constrained Baseline"
)

// profileName returns the name of the profile (H.264, A.2).
func profileName(sps *h264.SPS) string {
	switch idc := sps.ProfileIdc; {
	case idc == 66 && sps.ConstraintSet1Flag:
		return profileConstrainedBaseline
	case idc == 66:
		return profileBaseline
	case idc == 77:
		return "Main"
	case idc == 88:
		return "Extended"
	case idc == 100 && sps.ConstraintSet4Flag && sps.ConstraintSet5Flag:
		return "Constrained High"
	case idc == 100:
		return "High"
	case idc == 110:
		return "High 10"
	case idc == 122:
		return "High 4:2:2"
	case idc == 244:
		return "High 4:4:4"
	}
	return "unknown"
}

// parameterSets are the newest parameter sets of a track. A decoder cannot start without them, and
// many encoders send them only with their first keyframe, or in the offer.
type parameterSets struct {
	sps, pps []parameterSet
}

type parameterSet struct {
	id  uint32
	nal []byte
}

const (
	maxSets     = 4    // of each kind
	maxSetsSize = 1100 // bytes of all sets, since they are sent in one packet
)

// learn stores a parameter set, in place of an earlier one with the same ID. It reports whether the
// set is new.
func (p *parameterSets) learn(nal []byte) bool {
	if len(nal) == 0 || len(nal) > maxSetsSize {
		return false
	}
	list, header := &p.pps, 1 // pic_parameter_set_id follows the header (H.264, 7.3.2.2)
	if nalType(nal) == h264.NALUTypeSPS {
		list, header = &p.sps, 4 // seq_parameter_set_id follows profile and level (7.3.2.1.1)
	}
	if len(nal) <= header { // the library panics if the unit is too short
		return false
	}
	at := 0
	id, err := bits.ReadGolombUnsigned(nal[header:], &at)
	if err != nil {
		return false
	}
	i := slices.IndexFunc(*list, func(s parameterSet) bool { return s.id == id })
	if i >= 0 && slices.Equal((*list)[i].nal, nal) {
		return false
	}
	if i < 0 && len(*list) == maxSets {
		i = 0
	}
	if i >= 0 {
		*list = slices.Delete(*list, i, i+1)
	}
	*list = append(*list, parameterSet{id, slices.Clone(nal)})
	return true
}

// complete reports whether a decoder can start with these sets.
func (p *parameterSets) complete() bool { return len(p.sps) > 0 && len(p.pps) > 0 }

// payload returns one RTP payload with all sets (STAP-A, RFC 6184, 5.7.1), or nil if they are
// incomplete or too long.
func (p *parameterSets) payload() []byte {
	if !p.complete() {
		return nil
	}
	b := []byte{3<<5 | payloadSTAPA} // NRI 3 is the highest importance
	for _, s := range slices.Concat(p.sps, p.pps) {
		b = append(append(b, byte(len(s.nal)>>8), byte(len(s.nal))), s.nal...)
	}
	if len(b) > maxSetsSize {
		return nil
	}
	return b
}

// offeredSets returns the parameter sets in sprop-parameter-sets (RFC 6184, 8.1).
func offeredSets(value string) (sets [][]byte) {
	for text := range strings.SplitSeq(value, ",") {
		nal, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(nal) == 0 || len(sets) == 2*maxSets {
			continue
		}
		if kind := nalType(nal); kind == h264.NALUTypeSPS || kind == h264.NALUTypePPS {
			sets = append(sets, nal)
		}
	}
	return sets
}
