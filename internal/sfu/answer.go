package sfu

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

func itoa(n uint8) string { return strconv.Itoa(int(n)) }

// answer writes the answer: the offer's sections in the offer's order (RFC 3264, 6), all candidates in it, as neither OBS nor IVS's web SDK trickles.
func (p *peer) answer(o *offer, candidates []candidate, plan *plan) string {
	d := &sdp.SessionDescription{
		Origin:           sdp.Origin{Username: "-", SessionID: uint64(p.since.UnixNano()), SessionVersion: 1, NetworkType: "IN", AddressType: "IP4", UnicastAddress: "0.0.0.0"},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
	}
	d.WithPropertyAttribute("ice-lite")
	d.WithFingerprint("sha-256", p.sfu.cert.fingerprint)
	if group := acceptedMids(o, plan); len(o.bundle) > 0 {
		d.WithValueAttribute("group", strings.TrimSpace("BUNDLE "+group))
	}
	d.WithValueAttribute("msid-semantic", " WMS *")
	transported := false
	for _, s := range o.sections {
		m := plan.of(s)
		if m == nil {
			d.WithMedia(refuse(s))
			continue
		}
		media := p.accept(m, plan)
		if !transported { // bundled sections share the first one's candidates
			addCandidates(media, candidates)
			transported = true
		}
		d.WithMedia(media)
	}
	text, err := d.Marshal()
	if err != nil { // of a description built here: cannot happen
		p.sfu.cfg.Log.Error("answer", "err", err)
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
		MediaName:             sdp.MediaName{Media: s.kind, Protos: s.media.MediaName.Protos, Formats: s.media.MediaName.Formats},
		ConnectionInformation: nowhere(),
	}
	if s.mid != "" {
		media.WithValueAttribute("mid", s.mid)
	}
	return media.WithPropertyAttribute("inactive")
}

func nowhere() *sdp.ConnectionInformation {
	return &sdp.ConnectionInformation{NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"}}
}

func (p *peer) accept(m *planned, plan *plan) *sdp.MediaDescription {
	s := m.section
	media := &sdp.MediaDescription{
		MediaName:             sdp.MediaName{Media: s.kind, Port: sdp.RangedPort{Value: 9}, Protos: s.media.MediaName.Protos, Formats: []string{itoa(m.codec.payloadType)}},
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
	media.WithValueAttribute("setup", "passive")
	media.WithPropertyAttribute(direction(m, plan))
	addCodec(media, m, plan)
	addExtensions(media, m, plan)
	if plan.publishing {
		addSimulcast(media, m)
	} else {
		p.addSource(media, m)
	}
	return media
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
	if m.codec.fmtpLine != "" {
		media.WithValueAttribute("fmtp", pt+" "+m.codec.fmtpLine)
	}
	for _, name := range m.agreedFeedback(plan) {
		media.WithValueAttribute("rtcp-fb", pt+" "+name)
	}
}

// agreedFeedback: what was offered and what we do.
func (m *planned) agreedFeedback(plan *plan) (names []string) {
	for _, name := range []string{"nack", "nack pli", "ccm fir", "transport-cc"} {
		if m.feedback(name) && (name != "transport-cc" || m.transportCC(plan) != 0) {
			names = append(names, name)
		}
	}
	return names
}

// transportCC is the extension's id when transport-wide feedback is agreed on, else 0. To viewers it is on the picture
// alone: there the sequence number of one stream is the transport-wide number. Without layers nothing could follow from it.
func (m *planned) transportCC(plan *plan) uint8 {
	if !plan.publishing && (m != plan.video || !plan.layered) || !m.feedback("transport-cc") {
		return 0
	}
	return m.ext(extTransportCC)
}

func addExtensions(media *sdp.MediaDescription, m *planned, plan *plan) {
	add := func(uri string) {
		if id := m.ext(uri); id != 0 {
			media.WithValueAttribute("extmap", itoa(id)+" "+uri)
		}
	}
	add(extMID)
	if plan.publishing && m.section.kind == "video" {
		add(extRID)
		add(extRepairedRID)
	}
	if m.transportCC(plan) != 0 {
		add(extTransportCC)
	}
}

// addSimulcast accepts all layers: OBS gives up unless exactly as many are accepted as it offered.
func addSimulcast(media *sdp.MediaDescription, m *planned) {
	if len(m.section.rids) == 0 {
		return
	}
	for _, rid := range m.section.rids {
		media.WithValueAttribute("rid", rid+" recv")
	}
	media.WithValueAttribute("simulcast", "recv "+strings.Join(m.section.rids, ";"))
}

// addSource names the stream that we will send, so that it is recognised without an extension in each packet; one msid
// and one CNAME put sound and picture in step.
func (p *peer) addSource(media *sdp.MediaDescription, m *planned) {
	if !m.active {
		return
	}
	media.WithValueAttribute("msid", "stage "+m.section.kind)
	media.WithValueAttribute("ssrc", fmt.Sprintf("%d cname:%s", m.ssrc, p.ufrag))
}

func addCandidates(media *sdp.MediaDescription, candidates []candidate) {
	for i, c := range candidates {
		media.WithValueAttribute("candidate", fmt.Sprintf("%d 1 udp %d %s %d typ host", i+1, c.priority, c.addr.Addr(), c.addr.Port()))
	}
	media.WithPropertyAttribute("end-of-candidates")
}
