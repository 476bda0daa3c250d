package sfu

import "errors"

// NAL unit types (H.264, table 7-1) and payload structures (RFC 6184, table 1).
const (
	nalSlice = 1
	nalIDR   = 5
	nalSPS   = 7
	nalSTAPA = 24
	nalFUA   = 28
)

// nalStarts walks the NAL units that begin in an RTP payload, as far as they are in it: of a fragmented one the first
// fragment, with its header put together again. It stops where the lengths stop making sense.
func nalStarts(payload []byte, yield func(kind byte, nal []byte) bool) {
	if len(payload) < 2 {
		return
	}
	switch kind := payload[0] & 0x1f; kind {
	case nalSTAPA: // RFC 6184, 5.7.1
		for b := payload[1:]; len(b) > 2; {
			size := int(b[0])<<8 | int(b[1])
			b = b[2:]
			if size == 0 || size > len(b) || !yield(b[0]&0x1f, b[:size]) {
				return
			}
			b = b[size:]
		}
	case nalFUA: // 5.8; the second byte holds the start bit and the type
		if payload[1]&0x80 != 0 {
			yield(payload[1]&0x1f, payload[1:])
		}
	default:
		yield(kind, payload)
	}
}

// An unit is what the payload of one packet says about the picture.
type unit struct {
	keyframe bool   // parameter sets or an IDR picture begin in it
	bSlice   bool   // a slice of B macroblocks begins in it
	sps      []byte // nil if there is none
}

func inspect(payload []byte) (u unit) {
	nalStarts(payload, func(kind byte, nal []byte) bool {
		switch kind {
		case nalSPS:
			u.keyframe, u.sps = true, nal
		case nalIDR:
			u.keyframe = true
		case nalSlice:
			u.bSlice = u.bSlice || isBSlice(nal)
		}
		return true
	})
	return u
}

// isBSlice reads the slice header (H.264, 7.3.3): first_mb_in_slice, then slice_type, where 1 and 6 are B (table 7-6).
func isBSlice(nal []byte) bool {
	r := bitReader{b: nal[1:]}
	r.ue()
	kind := r.ue()
	return r.err == nil && (kind == 1 || kind == 6)
}

// A picture is what a sequence parameter set says.
type picture struct {
	profile       string
	width, height int
}

var errBits = errors.New("the parameter set ends too early")

// parseSPS reads seq_parameter_set_data (H.264, 7.3.2.1.1) up to the cropping.
func parseSPS(nal []byte) (p picture, err error) {
	if len(nal) < 4 {
		return p, errBits
	}
	idc, constraints := nal[1], nal[2]
	p.profile = profileName(idc, constraints)
	r := bitReader{b: nal[4:]}
	r.ue() // seq_parameter_set_id
	chroma := uint32(1)
	if hasChroma(idc) {
		chroma = r.chroma()
	}
	r.ue() // log2_max_frame_num_minus4
	r.pictureOrder()
	r.ue() // max_num_ref_frames
	r.u(1) // gaps_in_frame_num_value_allowed_flag
	columns, rows := r.ue()+1, r.ue()+1
	fields := 2 - r.u(1) // frame_mbs_only_flag
	if fields == 2 {
		r.u(1) // mb_adaptive_frame_field_flag
	}
	r.u(1) // direct_8x8_inference_flag
	p.width, p.height = int(columns)*16, int(rows*fields)*16
	if r.u(1) == 1 { // frame_cropping_flag
		x, y := cropUnits(chroma, fields)
		left, right, top, bottom := r.ue(), r.ue(), r.ue(), r.ue()
		p.width -= int(left+right) * x
		p.height -= int(top+bottom) * y
	}
	if r.err == nil && (p.width <= 0 || p.height <= 0 || columns > 1024 || rows > 1024) {
		return p, errors.New("the parameter set names an impossible size")
	}
	return p, r.err
}

// hasChroma: profiles of which the set says more (7.3.2.1.1).
func hasChroma(idc byte) bool {
	switch idc {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		return true
	}
	return false
}

func cropUnits(chroma, fields uint32) (x, y int) {
	x, y = 1, int(fields)
	if chroma == 1 || chroma == 2 { // 4:2:0 and 4:2:2 (table 6-1)
		x = 2
	}
	if chroma == 1 {
		y *= 2
	}
	return x, y
}

// profileName: constraint_set1_flag (0x40) makes baseline constrained (A.2.1.1).
func profileName(idc, constraints byte) string {
	switch {
	case idc == 66 && constraints&0x40 != 0:
		return "Constrained Baseline"
	case idc == 66:
		return "Baseline"
	case idc == 77:
		return "Main"
	case idc == 88:
		return "Extended"
	case idc == 100 && constraints&0x0c == 0x0c:
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

// A bitReader reads a NAL unit's bits past the bytes that only prevent start codes (7.4.1.1). After the end it reads zeros
// and remembers that it did.
type bitReader struct {
	b     []byte
	at    int // the next byte
	zeros int // before it
	bits  uint32
	n     int // how many of bits are left
	err   error
}

func (r *bitReader) bit() uint32 {
	if r.n == 0 {
		if r.at < len(r.b) && r.zeros >= 2 && r.b[r.at] == 3 {
			r.at, r.zeros = r.at+1, 0
		}
		if r.at >= len(r.b) {
			r.err = errBits
			return 0
		}
		r.bits, r.n = uint32(r.b[r.at]), 8
		if r.at++; r.bits == 0 {
			r.zeros++
		} else {
			r.zeros = 0
		}
	}
	r.n--
	return r.bits >> r.n & 1
}

func (r *bitReader) u(n int) (v uint32) {
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

// ue is an Exp-Golomb code (9.1).
func (r *bitReader) ue() uint32 {
	zeros := 0
	for r.bit() == 0 {
		if zeros++; zeros > 31 || r.err != nil {
			r.err = errBits
			return 0
		}
	}
	return 1<<zeros - 1 + r.u(zeros)
}

func (r *bitReader) se() int32 {
	v := r.ue()
	if v&1 == 1 {
		return int32(v/2 + 1)
	}
	return -int32(v / 2)
}

func (r *bitReader) chroma() uint32 {
	format := r.ue() // chroma_format_idc
	if format == 3 {
		r.u(1) // separate_colour_plane_flag
	}
	r.ue()           // bit_depth_luma_minus8
	r.ue()           // bit_depth_chroma_minus8
	r.u(1)           // qpprime_y_zero_transform_bypass_flag
	if r.u(1) == 1 { // seq_scaling_matrix_present_flag
		lists := 8
		if format == 3 {
			lists = 12
		}
		r.scalingLists(lists)
	}
	return format
}

// scalingLists are read over (7.3.2.1.1.1).
func (r *bitReader) scalingLists(lists int) {
	for i := range lists {
		if r.u(1) == 0 {
			continue
		}
		size, last, next := 16, int32(8), int32(8)
		if i >= 6 {
			size = 64
		}
		for range size {
			if next != 0 {
				next = (last + r.se()) & 0xff
			}
			if next != 0 {
				last = next
			}
		}
	}
}

func (r *bitReader) pictureOrder() {
	switch r.ue() { // pic_order_cnt_type
	case 0:
		r.ue() // log2_max_pic_order_cnt_lsb_minus4
	case 1:
		r.u(1)
		r.se()
		r.se()
		for n := r.ue(); n > 0 && r.err == nil; n-- {
			r.se()
		}
	}
}
