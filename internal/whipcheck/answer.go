package whipcheck

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// session returns the session URL in an answer.
func (x exchange) session() (*url.URL, error) {
	location := x.header.Get("Location")
	if location == "" {
		return nil, errors.New("the answer has no Location header")
	}
	return x.at.Parse(location)
}

// judgeAnswer checks the answer to a valid offer, before any media flows. It reports whether the
// publication can continue.
func (r *run) judgeAnswer(offer string, x exchange) bool {
	r.judgeRedirects(x)
	r.is("in-time", x.duration <= r.AnswerLimit, "The answer took %s.", seconds(x.duration))
	if !r.is("created", x.status == http.StatusCreated, "The endpoint answered %s.", r.said(x)) {
		return false
	}
	r.judgeLocation(x)
	r.judgeType(x)
	r.judgeLinks(x)
	return r.judgeSDP(offer, string(x.body))
}

func (r *run) judgeRedirects(x exchange) {
	for _, status := range x.hops {
		if status != http.StatusTemporaryRedirect && status != http.StatusPermanentRedirect {
			r.fail("redirects", "The endpoint redirects with %d.", status)
		}
	}
	if len(x.hops) > 0 && x.at.Host != r.endpoint.Host {
		r.warn("redirects", "The endpoint redirects to %s; OBS sends the bearer there.",
			r.clean(x.at.Host, 80))
	}
	r.pass("redirects", "%d redirects.", len(x.hops))
}

// bareLocation matches a Location header without a space after the colon. OBS does not find its
// URL, because OBS splits the line at the first space.
var bareLocation = regexp.MustCompile(`(?im)^location:\S`)

func (r *run) judgeLocation(x exchange) {
	location := x.header.Get("Location")
	u, err := x.session()
	switch {
	case location == "":
		r.fail("location", "The answer has no Location header.")
	case err != nil:
		r.fail("location", "The Location header is no URL.")
	case bareLocation.MatchString(x.raw):
		r.fail("location", "\"Location:\" has no space after it, so OBS does not find the URL.")
	case !strings.HasPrefix(location, "/") && !strings.HasPrefix(strings.ToLower(location), "http"):
		r.fail("location",
			"The Location is relative to the endpoint; OBS puts it at the root of the host.")
	default:
		r.pass("location", "OBS can read it.")
	}
	if u == nil {
		return
	}
	switch {
	case u.RawQuery != "" && strings.HasPrefix(location, "/"):
		r.fail("location-plain", "OBS clears the query of a Location that is a path.")
	case u.Host != x.at.Host:
		r.warn("location-plain", "The session is on another host, %s.", r.clean(u.Host, 80))
	default:
		r.pass("location-plain", "The session is on the endpoint's host.")
	}
}

func (r *run) judgeType(x exchange) {
	kind, _, _ := strings.Cut(x.header.Get("Content-Type"), ";")
	ok := strings.EqualFold(strings.TrimSpace(kind), sdpType)
	r.is("answer-type", ok, "The Content-Type is %q.", r.clean(kind, 60))
}

// iceServer matches a Link header as OBS reads it: the URL in angle brackets, then parameters.
var iceServer = regexp.MustCompile(`^<(stun|turn):[^>,;]+>\s*;`)

func (r *run) judgeLinks(x exchange) {
	servers := 0
	for _, link := range x.header.Values("Link") {
		if !strings.Contains(link, "ice-server") {
			continue
		}
		servers++
		switch {
		case strings.Contains(link, ",") || strings.Count(link, "<") > 1:
			r.fail("links", "A Link header names several servers; OBS reads only the first.")
		case strings.HasPrefix(link, "<turns:"):
			r.warn("links", "OBS ignores turns: servers.")
		case !iceServer.MatchString(link):
			r.fail("links", "A Link header is not of the form <stun:…>; rel=\"ice-server\".")
		case strings.Contains(link, "username=") && !strings.Contains(link, `username="`):
			r.fail("links", "The username of a Link header is not quoted.")
		}
	}
	r.pass("links", "%d ICE servers.", servers)
}

// judgeSDP checks the answer's session description.
func (r *run) judgeSDP(offer, answer string) bool {
	var offered, answered sdp.SessionDescription
	if err := offered.UnmarshalString(offer); err != nil {
		r.fail("answer-sdp", "No offer could be made: %v.", err)
		return false
	}
	if err := answered.UnmarshalString(answer); err != nil {
		r.fail("answer-sdp", "The body is no session description: %s.", r.clean(err.Error(), 120))
		return false
	}
	if err := complete(&offered, &answered); err != nil {
		r.fail("answer-sdp", "%v", err)
		return false
	}
	r.pass("answer-sdp", "%d m-sections, each with ICE and DTLS parameters.",
		len(answered.MediaDescriptions))
	r.judgeSetup(&answered)
	accepted := r.judgeCodecs(&offered, &answered)
	r.judgeCandidates(&answered)
	return accepted
}

// complete returns an error that names the parts that the answer lacks, or nil.
func complete(offered, answered *sdp.SessionDescription) error {
	if got, want := len(answered.MediaDescriptions), len(offered.MediaDescriptions); got != want {
		return fmt.Errorf("the offer has %d m-sections, the answer %d", want, got)
	}
	for i, m := range answered.MediaDescriptions {
		if got, want := m.MediaName.Media,
			offered.MediaDescriptions[i].MediaName.Media; got != want {
			return fmt.Errorf("m-section %d is %q in the answer and %q in the offer",
				i+1, got, want)
		}
		if m.MediaName.Port.Value == 0 {
			continue // judgeCodecs reports the rejection
		}
		for _, name := range []string{"ice-ufrag", "ice-pwd", "fingerprint"} {
			if attribute(answered, m, name) == "" {
				return fmt.Errorf("the m-section %s has no a=%s", m.MediaName.Media, name)
			}
		}
	}
	return nil
}

// attribute returns an attribute of a section, or else of the session.
func attribute(s *sdp.SessionDescription, m *sdp.MediaDescription, name string) string {
	if value, ok := m.Attribute(name); ok {
		return value
	}
	value, _ := s.Attribute(name)
	return value
}

func (r *run) judgeSetup(answered *sdp.SessionDescription) {
	for _, m := range answered.MediaDescriptions {
		role := attribute(answered, m, "setup")
		if m.MediaName.Port.Value != 0 && role != "active" && role != "passive" {
			r.fail("setup-role", "The m-section %s has a=setup:%s.", m.MediaName.Media,
				r.clean(role, 20))
			return
		}
	}
	r.pass("setup-role", "a=setup:%s.", attribute(answered, answered.MediaDescriptions[0], "setup"))
}

// judgeCodecs checks that the answer contains both codecs, under the payload types of the offer.
func (r *run) judgeCodecs(offered, answered *sdp.SessionDescription) bool {
	wanted := map[string]string{"audio": "opus", "video": "h264"}
	for i, m := range answered.MediaDescriptions {
		kind := m.MediaName.Media
		if m.MediaName.Port.Value == 0 {
			return r.is("codecs", false, "The endpoint refuses the %s (port 0) and keeps the rest.",
				kind)
		}
		number, ok := numberOf(m, wanted[kind])
		if !ok {
			return r.is("codecs", false, "The answer has no %s for the %s.", wanted[kind], kind)
		}
		if want, _ := numberOf(offered.MediaDescriptions[i], wanted[kind]); number != want {
			return r.is("payload-types", false, "%s is %s in the offer and %s in the answer.",
				wanted[kind], want, number)
		}
	}
	r.pass("codecs", "H.264 and Opus.")
	r.pass("payload-types", "The numbers of the offer.")
	return true
}

// numberOf returns the first payload type of a codec, in the order of the m-line.
func numberOf(m *sdp.MediaDescription, codec string) (string, bool) {
	for _, number := range m.MediaName.Formats {
		for _, a := range m.Attributes {
			pt, encoding, _ := strings.Cut(a.Value, " ")
			name, _, _ := strings.Cut(encoding, "/")
			if a.Key == "rtpmap" && pt == number && strings.EqualFold(name, codec) {
				return number, true
			}
		}
	}
	return "", false
}

func (r *run) judgeCandidates(answered *sdp.SessionDescription) {
	counts := []int{}
	for _, m := range answered.MediaDescriptions {
		n := 0
		for _, a := range m.Attributes {
			if a.Key == "candidate" {
				n++
			}
		}
		counts = append(counts, n)
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	r.is("candidates", total > 0, "%d candidates in the answer.", total)
	group, _ := answered.Attribute("group")
	r.is("bundle", strings.HasPrefix(group, "BUNDLE") && !slices.Contains(counts, 0),
		"a=group:%s, candidates by section: %v.", r.clean(group, 40), counts)
}
