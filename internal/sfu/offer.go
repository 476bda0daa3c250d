package sfu

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	maxOffer    = 128 << 10
	maxSections = 64 // m-lines; a browser that publishes has two

	// A section of a browser's offer has some 200 lines, 8 parameters in a line, and 6 kinds of
	// feedback.
	maxAttributes = 1024 // of each section, and of the session
	maxParameters = 64   // of each a=fmtp
	maxFeedback   = 32   // of each payload type
)

// An offer contains the needed parts of a remote description.
type offer struct {
	ufrag        string
	fingerprints []fingerprint
	passive      bool // the remote side is the DTLS server (a=setup:passive, RFC 8842, 5.2)
	bundle       []string
	sections     []*section
}

// A section is one m-line with its attributes.
type section struct {
	media    *sdp.MediaDescription
	kind     string // audio, video, application …
	mid      string
	sends    bool // the remote side offers to send
	receives bool // the remote side offers to receive
	rejected bool // port 0 without a=bundle-only
	codecs   []codec
	extmap   map[string]uint8 // URI to id
	rids     []string         // layers offered for sending, in the order of a=simulcast
	rtcpMux  bool

	reducedRTCP bool
	mixed       bool // one-byte and two-byte header extensions may be mixed
}

type codec struct {
	payloadType uint8
	name        string // upper case
	clock       uint32
	fmtp        map[string]string
	fmtpLine    string
	feedback    []string
}

func badSDP(format string, args ...any) *stage.Error {
	return stage.Errorf(stage.ErrInvalid, format, args...).WithCode("bad_sdp")
}

// parseOffer parses an offer. The text is not trusted.
func parseOffer(text string) (*offer, error) {
	d, err := parseSDP(text)
	if err != nil {
		return nil, err
	}
	if len(d.MediaDescriptions) == 0 || len(d.MediaDescriptions) > maxSections {
		return nil, badSDP("The offer has %d media sections; 1 to %d are possible.",
			len(d.MediaDescriptions), maxSections)
	}
	if len(d.Attributes) > maxAttributes {
		return nil, errAttributes()
	}
	o := &offer{bundle: bundleOf(d)}
	for _, m := range d.MediaDescriptions {
		s, err := parseSection(d, m)
		if err != nil {
			return nil, err
		}
		o.sections = append(o.sections, s)
	}
	return o, o.parseTransport(d)
}

// parseSDP parses a description. It also accepts one without the final newline, which some HTTP
// clients strip.
func parseSDP(text string) (*sdp.SessionDescription, error) {
	if len(text) > maxOffer {
		return nil, stage.Errorf(stage.ErrTooLarge, "The offer is longer than %d bytes.", maxOffer).
			WithCode("bad_sdp")
	}
	text = strings.TrimRight(text, "\r\n")
	if strings.HasPrefix(text, "v=0") && !strings.ContainsAny(text, "\r\n") {
		return nil, badSDP("The offer has lost its line ends, such as by `curl --data`; " +
			"send it unchanged (`curl --data-binary`).")
	}
	d := &sdp.SessionDescription{}
	if err := d.UnmarshalString(text + "\r\n"); err != nil {
		return nil, badSDP("The offer is not an SDP session description.").WithCause(err)
	}
	return d, nil
}

func errAttributes() error {
	return badSDP("A section of the offer has more than %d attributes.", maxAttributes)
}

func bundleOf(d *sdp.SessionDescription) []string {
	for _, a := range d.Attributes {
		if rest, ok := strings.CutPrefix(a.Value, "BUNDLE"); a.Key == "group" && ok {
			return strings.Fields(rest)
		}
	}
	return nil
}

// parseTransport reads the ICE and DTLS attributes of the session and of the section with which all
// others are bundled (RFC 9143, 7.1.3).
func (o *offer) parseTransport(d *sdp.SessionDescription) error {
	m := d.MediaDescriptions[0]
	for i, s := range o.sections {
		if len(o.bundle) > 0 && s.mid == o.bundle[0] {
			m = d.MediaDescriptions[i]
		}
	}
	o.ufrag = attribute(d, m, "ice-ufrag")
	if o.ufrag == "" || attribute(d, m, "ice-pwd") == "" {
		return badSDP("The offer has no ICE credentials (a=ice-ufrag, a=ice-pwd).")
	}
	for _, a := range slices.Concat(m.Attributes, d.Attributes) {
		if f, ok := parseFingerprint(a.Value); a.Key == "fingerprint" && ok {
			o.fingerprints = append(o.fingerprints, f)
		}
	}
	if len(o.fingerprints) == 0 {
		return badSDP("The offer has no fingerprint of a certificate (a=fingerprint): " +
			"media here is always encrypted, by DTLS-SRTP.")
	}
	switch setup := attribute(d, m, "setup"); setup {
	case "", "actpass", "active":
	case "passive": // sent by FFmpeg's WHIP muxer
		o.passive = true
	default:
		return badSDP("The offer has a=setup:%s; it must be actpass, active or passive.", setup)
	}
	return nil
}

func attribute(d *sdp.SessionDescription, m *sdp.MediaDescription, key string) string {
	if v, ok := m.Attribute(key); ok {
		return v
	}
	v, _ := d.Attribute(key)
	return v
}

func parseSection(d *sdp.SessionDescription, m *sdp.MediaDescription) (_ *section, err error) {
	if len(m.Attributes) > maxAttributes {
		return nil, errAttributes()
	}
	s := &section{media: m, kind: m.MediaName.Media, extmap: make(map[string]uint8)}
	s.mid, _ = m.Attribute("mid")
	_, bundleOnly := m.Attribute("bundle-only")
	s.rejected = m.MediaName.Port.Value == 0 && !bundleOnly
	s.sends, s.receives = directionOf(d, m)
	if s.codecs, err = parseCodecs(m); err != nil {
		return nil, err
	}
	for _, a := range m.Attributes {
		s.parseAttribute(a)
	}
	s.rids = simulcastOrder(m, s.rids)
	for _, a := range slices.Concat(m.Attributes, d.Attributes) {
		s.mixed = s.mixed || a.Key == "extmap-allow-mixed"
	}
	return s, nil
}

func directionOf(d *sdp.SessionDescription, m *sdp.MediaDescription) (sends, receives bool) {
	for _, a := range slices.Concat(m.Attributes, d.Attributes) {
		switch a.Key {
		case "sendrecv":
			return true, true
		case "sendonly":
			return true, false
		case "recvonly":
			return false, true
		case "inactive":
			return false, false
		}
	}
	return true, true // the default (RFC 8866, 6.7)
}

func (s *section) parseAttribute(a sdp.Attribute) {
	switch a.Key {
	case "rtcp-mux":
		s.rtcpMux = true
	case "rtcp-rsize":
		s.reducedRTCP = true
	case "extmap":
		s.parseExtension(a.Value)
	case "rid": // "low send …" (RFC 8851)
		fields := strings.Fields(a.Value)
		if len(fields) >= 2 && fields[1] == "send" && validRID(fields[0]) && len(s.rids) < 8 {
			s.rids = append(s.rids, fields[0])
		}
	}
}

// reservedExtension is an ID that is not allowed in one-byte headers (RFC 8285, 4.2).
const reservedExtension = 15

// parseExtension parses the value of a=extmap: "1 urn:…" or "1/sendonly urn:…" (RFC 8285, 8).
func (s *section) parseExtension(value string) {
	number, uri, _ := strings.Cut(value, " ")
	number, _, _ = strings.Cut(number, "/")
	uri, _, _ = strings.Cut(uri, " ")
	id, err := strconv.ParseUint(number, 10, 8)
	if err == nil && id >= 1 && id != reservedExtension {
		s.extmap[uri] = uint8(id)
	}
}

func validRID(rid string) bool {
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' ||
			r == '_'
	}
	return rid != "" && len(rid) <= 16 && strings.IndexFunc(rid,
		func(r rune) bool { return !ok(r) }) < 0
}

// simulcastOrder returns the rids in the order of a=simulcast. Without that line there is no
// simulcast (RFC 8853, 5.3).
func simulcastOrder(m *sdp.MediaDescription, rids []string) (order []string) {
	line, _ := m.Attribute("simulcast")
	fields := strings.Fields(line)
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] != "send" {
			continue
		}
		for stream := range strings.SplitSeq(fields[i+1], ";") {
			first, _, _ := strings.Cut(stream, ",") // take the first alternative
			first = strings.TrimPrefix(first, "~")  // "~" marks a stream that is paused at first
			if slices.Contains(rids, first) && !slices.Contains(order, first) {
				order = append(order, first)
			}
		}
	}
	return order
}

// parseCodecs reads each payload type once, in the order of the m-line. Otherwise an offer that
// repeats one payload type a thousand times would cost a thousand times as much.
func parseCodecs(m *sdp.MediaDescription) (codecs []codec, err error) {
	described, err := describeCodecs(m)
	if err != nil {
		return nil, err
	}
	for _, format := range m.MediaName.Formats {
		pt, err := strconv.ParseUint(format, 10, 7)
		if err != nil {
			continue
		}
		c := described[format]
		delete(described, format)
		if c == nil || c.name == "" {
			continue
		}
		c.payloadType = uint8(pt)
		c.feedback = slices.Concat(c.feedback, described["*"].feedback)
		if c.fmtp, err = parseFmtp(c.fmtpLine); err != nil {
			return nil, err
		}
		codecs = append(codecs, *c)
	}
	return codecs, nil
}

// describeCodecs collects the attributes by payload type; "*" applies to all.
func describeCodecs(m *sdp.MediaDescription) (map[string]*codec, error) {
	described := map[string]*codec{"*": {}}
	for _, a := range m.Attributes {
		if a.Key != "rtpmap" && a.Key != "fmtp" && a.Key != "rtcp-fb" {
			continue
		}
		which, rest, _ := strings.Cut(a.Value, " ")
		c := described[which]
		if c == nil {
			c = new(codec)
			described[which] = c
		}
		switch a.Key {
		case "rtpmap":
			name, clock, _ := strings.Cut(rest, "/")
			clock, _, _ = strings.Cut(clock, "/")
			rate, _ := strconv.ParseUint(clock, 10, 32)
			c.name, c.clock = strings.ToUpper(name), uint32(rate)
		case "fmtp":
			c.fmtpLine = strings.TrimSpace(rest)
		case "rtcp-fb":
			if len(c.feedback) == maxFeedback {
				return nil, badSDP("The offer has more than %d kinds of feedback for one codec "+
					"(a=rtcp-fb).", maxFeedback)
			}
			c.feedback = append(c.feedback, strings.TrimSpace(rest))
		}
	}
	return described, nil
}

// parseFmtp is lenient, because the IVS web SDK writes "a=fmtp:111 ;maxaveragebitrate=…".
func parseFmtp(line string) (map[string]string, error) {
	if strings.Count(line, ";") > maxParameters {
		return nil, badSDP("The offer has more than %d parameters for one codec (a=fmtp).",
			maxParameters)
	}
	params := make(map[string]string)
	for part := range strings.SplitSeq(line, ";") {
		if key, value, _ := strings.Cut(strings.TrimSpace(part), "="); key != "" {
			params[strings.ToLower(key)] = value
		}
	}
	return params, nil
}

func (s *section) bundled(o *offer) bool { return s.mid != "" && slices.Contains(o.bundle, s.mid) }
