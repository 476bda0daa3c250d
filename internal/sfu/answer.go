package sfu

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

func itoa(n uint8) string { return strconv.Itoa(int(n)) }

// answer returns the SDP answer, with a section for each section of the offer, in the same order
// (RFC 3264, 6). It contains all candidates, because neither OBS nor the IVS web SDK supports
// trickle ICE.
func (p *peer) answer(o *offer, candidates []candidate, plan *plan) string {
	d := &sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: uint64(p.since.UnixNano()), SessionVersion: 1,
			NetworkType: "IN", AddressType: "IP4", UnicastAddress: "0.0.0.0",
		},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
	}
	d.WithPropertyAttribute("ice-lite")
	d.WithFingerprint("sha-256", p.sfu.cert.fingerprint)
	if group := acceptedMids(o, plan); len(o.bundle) > 0 {
		d.WithValueAttribute("group", strings.TrimSpace("BUNDLE "+group))
	}
	d.WithValueAttribute("msid-semantic", " WMS *")
	for _, s := range o.sections {
		if m := plan.of(s); m != nil {
			d.WithMedia(p.accept(m, candidates, plan))
		} else {
			d.WithMedia(refuse(s))
		}
	}
	text, err := d.Marshal()
	if err != nil { // cannot happen with a description built here
		p.sfu.cfg.Log.Error("an answer cannot be created", "err", err)
	}
	return string(text)
}

func acceptedMids(o *offer, plan *plan) string {
	var mids []string
	for _, s := range o.sections {
		if plan.of(s) != nil {
			mids = append(mids, s.mid)
		}
	}
	return strings.Join(mids, " ")
}

func refuse(s *section) *sdp.MediaDescription {
	media := &sdp.MediaDescription{
		MediaName: sdp.MediaName{
			Media: s.kind, Protos: s.media.MediaName.Protos, Formats: s.media.MediaName.Formats,
		},
		ConnectionInformation: nowhere(),
	}
	if s.mid != "" {
		media.WithValueAttribute("mid", s.mid)
	}
	return media.WithPropertyAttribute("inactive")
}

func nowhere() *sdp.ConnectionInformation {
	return &sdp.ConnectionInformation{
		NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"},
	}
}

func (p *peer) accept(m *planned, candidates []candidate, plan *plan) *sdp.MediaDescription {
	s := m.section
	media := &sdp.MediaDescription{
		MediaName: sdp.MediaName{
			Media: s.kind, Port: sdp.RangedPort{Value: 9}, Protos: s.media.MediaName.Protos,
			Formats: []string{itoa(m.codec.payloadType)},
		},
		ConnectionInformation: nowhere(),
	}
	if s.mid != "" {
		media.WithValueAttribute("mid", s.mid)
	}
	media.WithPropertyAttribute("rtcp-mux")
	if s.reducedRTCP {
		media.WithPropertyAttribute("rtcp-rsize")
	}
	media.WithICECredentials(p.ufrag, p.icePassword)
	media.WithValueAttribute("setup", p.setup())
	media.WithPropertyAttribute(direction(m, plan))
	addCodec(media, m, plan)
	addExtensions(media, m, plan)
	if plan.publishing {
		addSimulcast(media, m)
	} else {
		p.addSource(media, m)
	}
	addCandidates(media, candidates)
	return media
}

// setup returns this side's role in DTLS. If the offer leaves the choice, this server is the DTLS
// server, which waits for the client.
func (p *peer) setup() string {
	if p.dtlsClient {
		return "active"
	}
	return "passive"
}

func direction(m *planned, plan *plan) string {
	switch {
	case !m.active:
		return "inactive"
	case plan.publishing:
		return "recvonly"
	}
	return "sendonly"
}

func addCodec(media *sdp.MediaDescription, m *planned, plan *plan) {
	pt := itoa(m.codec.payloadType)
	if m.section.kind == "audio" {
		media.WithValueAttribute("rtpmap", pt+" opus/48000/2")
	} else {
		media.WithValueAttribute("rtpmap", pt+" H264/90000")
	}
	if fmtp := m.fmtp(plan); fmtp != "" {
		media.WithValueAttribute("fmtp", pt+" "+fmtp)
	}
	for _, name := range m.agreedFeedback(plan) {
		media.WithValueAttribute("rtcp-fb", pt+" "+name)
	}
}

// fmtp repeats the parameters of the offer. In an answer to a publisher it also requests stereo,
// unless the offer excludes it. Without that request, browsers send mono (RFC 7587, 6.1).
func (m *planned) fmtp(plan *plan) string {
	line := m.codec.fmtpLine
	if m.section.kind == "video" {
		return withoutParameterSets(line) // the sender has its own parameter sets
	}
	if !plan.publishing || m.codec.fmtp["stereo"] != "" ||
		m.codec.fmtp["sprop-stereo"] == "0" {
		return line
	}
	return strings.TrimPrefix(strings.TrimRight(line, "; ")+";stereo=1", ";")
}

func withoutParameterSets(line string) string {
	if !strings.Contains(line, "sprop-parameter-sets") {
		return line
	}
	parameters := slices.DeleteFunc(strings.Split(line, ";"), func(p string) bool {
		return strings.HasPrefix(strings.TrimSpace(p), "sprop-parameter-sets")
	})
	return strings.Join(parameters, ";")
}

// agreedFeedback returns the feedback that is both offered and supported.
func (m *planned) agreedFeedback(plan *plan) (names []string) {
	for _, name := range []string{"nack", "nack pli", "ccm fir", "transport-cc"} {
		if m.feedback(name) && (name != "transport-cc" || m.transportCC(plan) != 0) {
			names = append(names, name)
		}
	}
	return names
}

// transportCC returns the ID of the extension for transport-wide feedback, or 0 if it is not used.
// For viewers, only a picture with layers uses it, because the server uses the feedback only to
// choose a layer. The sound does not use it. So the RTP sequence number of the picture can also be
// the transport-wide number. Packets of this server have one-byte headers, whose IDs end at 14 (RFC
// 8285, 4.2).
func (m *planned) transportCC(plan *plan) uint8 {
	id := m.ext(extTransportCC)
	if !m.feedback("transport-cc") {
		return 0
	}
	if !plan.publishing && (m != plan.video || !plan.layered || id > 14) {
		return 0
	}
	return id
}

func addExtensions(media *sdp.MediaDescription, m *planned, plan *plan) {
	uris := []string{extMID}
	if plan.publishing && m.section.kind == "video" {
		uris = append(uris, extRID, extRepairedRID)
	}
	if m.transportCC(plan) != 0 {
		uris = append(uris, extTransportCC)
	}
	long := false
	for _, uri := range uris {
		if id := m.ext(uri); id != 0 {
			media.WithValueAttribute("extmap", itoa(id)+" "+uri)
			long = long || id > 14
		}
	}
	if long && m.section.mixed { // IDs above 14 need two-byte headers (RFC 8285, 4.3 and 6)
		media.WithPropertyAttribute("extmap-allow-mixed")
	}
}

// addSimulcast accepts all layers. OBS gives up if the answer accepts fewer layers than it offered.
func addSimulcast(media *sdp.MediaDescription, m *planned) {
	rids := m.rids()
	if len(rids) == 0 {
		return
	}
	for _, rid := range rids {
		media.WithValueAttribute("rid", rid+" recv")
	}
	media.WithValueAttribute("simulcast", "recv "+strings.Join(rids, ";"))
}

// addSource names the stream that this server will send, so that the viewer recognizes the stream
// without an extension in each packet. One msid and one CNAME synchronize sound and picture.
func (p *peer) addSource(media *sdp.MediaDescription, m *planned) {
	if !m.active {
		return
	}
	media.WithValueAttribute("msid", "stage "+m.section.kind)
	media.WithValueAttribute("ssrc", fmt.Sprintf("%d cname:%s", m.ssrc, p.ufrag))
}

// addCandidates adds the candidates to every section. Browsers need only those of the first
// section, but aiortc reads each section by itself.
func addCandidates(media *sdp.MediaDescription, candidates []candidate) {
	for i, c := range candidates {
		media.WithValueAttribute("candidate", fmt.Sprintf("%d %s", i+1, c))
	}
	media.WithPropertyAttribute("end-of-candidates")
}
