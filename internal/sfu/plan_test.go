package sfu

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// answerTo returns the server's answer to an offer of testdata/offers.
func answerTo(
	t *testing.T, name string, plans func(*offer) (*plan, error), change ...string,
) (string, error) {
	t.Helper()
	raw, err := os.ReadFile("testdata/offers/" + name + ".sdp")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(change...).Replace(string(raw))
	o, err := parseOffer(text)
	if err != nil {
		return "", err
	}
	plan, err := plans(o)
	if err != nil {
		return "", err
	}
	s := &SFU{}
	s.cfg.setDefaults()
	return newPeer(s, stage.Participant{}, o).answer(o,
		[]candidate{{addr: netip.MustParseAddrPort("127.0.0.1:8189"), priority: 1}}, plan), nil
}

// planLayered plans the answer to an offer of a viewer of a simulcast.
func planLayered(o *offer) (*plan, error) {
	p, err := planSubscribe(o)
	if p != nil {
		p.layered = true
	}
	return p, err
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		offer string
		plans func(*offer) (*plan, error)
		want  []string // lines of the answer, in this order
		never []string
	}{
		{"publish-setup-passive", planPublish, []string{
			"m=audio 9", "a=setup:active", "a=candidate:1", "a=end-of-candidates",
			"m=video 9", "a=setup:active", "a=recvonly", "a=candidate:1", "a=end-of-candidates",
		}, []string{"setup:passive", "actpass"}},
		{"subscribe-setup-passive", planSubscribe,
			[]string{"m=video 9", "a=setup:active", "a=sendonly"}, nil},
		{"subscribe-h264-without-fmtp", planSubscribe, []string{
			"m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=sendonly",
			"m=video 9 UDP/TLS/RTP/SAVPF 103", "a=sendonly", "a=rtpmap:103 H264/90000",
			"a=candidate:1",
		}, []string{"fmtp:103"}},
		{"publish-rid-extension-id-17", planPublish, []string{
			"a=extmap:16 urn:ietf:params:rtp-hdrext:sdes:mid",
			"a=extmap:17 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
			"a=extmap-allow-mixed", "a=rid:h recv", "a=rid:l recv", "a=simulcast:recv h;l",
		}, nil},
		{"publish-no-final-newline", planPublish, []string{"m=video 9 UDP/TLS/RTP/SAVPF 96",
			"a=recvonly"}, nil},
		{"publish-simulcast-obs-like", planPublish, []string{"a=simulcast:recv 0;1;2"},
			[]string{"extmap-allow-mixed"}},
		{"publish-firefox-like", planPublish, []string{
			"m=audio 9 UDP/TLS/RTP/SAVPF 109",
			"a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1\r\n",
			"m=video 9 UDP/TLS/RTP/SAVPF 126", "a=rtcp-fb:126 transport-cc",
		}, nil},
		{"publish-safari-like", planPublish, []string{
			"a=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n", "m=video 9 UDP/TLS/RTP/SAVPF 98",
		}, nil},
		{"obs-30.2", planPublish, []string{
			"a=ice-lite", "a=group:BUNDLE 0 1",
			"m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=setup:passive", "a=recvonly",
			"a=rtpmap:111 opus/48000/2",
			"m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=recvonly", "a=rtpmap:96 H264/90000",
			"a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli",
		}, []string{"a=simulcast", "transport-cc", "goog-remb"}},
		{"obs-32.1", planPublish, []string{
			"a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid",
			"a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
		}, []string{"a=simulcast", "a=rid"}},
		{"obs-32.1-simulcast", planPublish, []string{"a=rid:0 recv", "a=rid:1 recv", "a=rid:2 recv",
			"a=simulcast:recv 0;1;2"}, nil},
		{"chromium-publish-simulcast", planPublish, []string{
			"m=audio 9 UDP/TLS/RTP/SAVPF 111", "stereo=1", "m=video 9 UDP/TLS/RTP/SAVPF 108",
			"a=recvonly", "a=rtpmap:108 H264/90000",
			"a=rtcp-fb:108 transport-cc", "repaired-rtp-stream-id", "transport-wide-cc",
			"a=simulcast:recv low;mid;hi",
		}, []string{"VP8", "abs-send-time"}},
		{"chromium-view", planSubscribe, []string{"m=audio", "m=video"}, []string{"transport"}},
		{"chromium-view", planLayered, []string{
			"a=sendonly", "a=msid:stage audio", "a=ssrc:", "m=video", "a=sendonly",
			"a=rtcp-fb:108 transport-cc", "transport-wide-cc", "a=msid:stage video",
		}, []string{"VP8", "rtp-stream-id"}},
	} {
		got, err := answerTo(t, test.offer, test.plans)
		if err != nil {
			t.Errorf("%s: %v", test.offer, err)
			continue
		}
		rest := got
		for _, line := range test.want {
			_, after, found := strings.Cut(rest, line)
			if !found {
				t.Errorf("%s: %q is missing, or not in its place, in\n%s", test.offer, line, got)
				break
			}
			rest = after
		}
		for _, text := range test.never {
			if strings.Contains(got, text) {
				t.Errorf("%s: %q does not belong in\n%s", test.offer, text, got)
			}
		}
	}
}

// TestViewerHasTransportFeedbackOfThePictureAlone: a viewer's transport-wide numbers are the
// picture's sequence numbers, so the sound must have none.
func TestViewerHasTransportFeedbackOfThePictureAlone(t *testing.T) {
	t.Parallel()
	got, err := answerTo(t, "chromium-view", planLayered)
	if err != nil {
		t.Fatal(err)
	}
	if sound, _, _ := strings.Cut(got, "m=video"); strings.Contains(sound, "transport") {
		t.Errorf("transport-wide feedback on the sound:\n%s", sound)
	}
}

func TestOffersRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change []string
		code   string
	}{
		"not SDP":        {[]string{"v=0", "hello"}, "bad_sdp"},
		"no fingerprint": {[]string{"a=fingerprint", "a=finger"}, "bad_sdp"},
		"no credentials": {[]string{"a=ice-pwd", "a=ice-password"}, "bad_sdp"},
		"held":           {[]string{"setup:actpass", "setup:holdconn"}, "bad_sdp"},
		"no Opus": {[]string{"OPUS/48000", "PCMA/8000", "opus/48000", "PCMA/8000"},
			"no_opus"},
		"no line ends":     {[]string{"\r\n", ""}, "bad_sdp"},
		"not bundled":      {[]string{"a=group:BUNDLE 0 1", "a=group:BUNDLE 0"}, "bad_sdp"},
		"no rtcp-mux":      {[]string{"a=rtcp-mux", "a=rtcp"}, "bad_sdp"},
		"sends nothing":    {[]string{"a=sendonly", "a=inactive"}, "bad_sdp"},
		"mode 0":           {[]string{"packetization-mode=1", "packetization-mode=0"}, "no_h264"},
		"HEVC":             {[]string{"H264/90000", "H265/90000"}, "no_h264"},
		"refused by offer": {[]string{"m=video 9", "m=video 0"}, "no_h264"},
	} {
		_, err := answerTo(t, "obs-30.2", planPublish, test.change...)
		var problem *stage.Error
		if !errors.As(err, &problem) || problem.Code != test.code || problem.Detail == "" {
			t.Errorf("%s: got %v, want %s", name, err, test.code)
		}
	}
	if _, err := parseOffer(strings.Repeat("a=x\r\n", maxOffer)); err == nil {
		t.Error("an endless offer was read")
	}
}

// TestLayersThatCannotBeToldApart: if packets cannot name their layer, all layers count as one.
func TestLayersThatCannotBeToldApart(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][]string{
		"no extension":    {"a=extmap:17 ", "a=extmap:17x "},
		"a reserved id":   {"a=extmap:17 ", "a=extmap:15 "},
		"an id too large": {"a=extmap:17 ", "a=extmap:256 "},
	} {
		got, err := answerTo(t, "publish-rid-extension-id-17", planPublish, change...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(got, "simulcast") || strings.Contains(got, "a=rid") {
			t.Errorf("%s: layers are accepted in\n%s", name, got)
		}
	}
}

// TestNoSectionIsRefusedInSilence: if a section offers only codecs that the stage lacks, the whole
// offer is refused, because a rejected section is easily overlooked.
func TestNoSectionIsRefusedInSilence(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		offer  string
		plans  func(*offer) (*plan, error)
		change []string
		code   string
	}{
		{"publish-pcma-and-h264", planPublish, nil, "no_opus"},
		{"chromium-view", planSubscribe, []string{"opus/48000", "PCMA/8000"}, "no_opus"},
		{"chromium-view", planSubscribe, []string{"H264/90000", "VP8/90000"}, "no_h264"},
		{"subscribe-h264-without-fmtp", planSubscribe,
			[]string{"a=rtpmap:103", "a=fmtp:103 packetization-mode=0\r\na=rtpmap:103"}, "no_h264"},
	} {
		_, err := answerTo(t, test.offer, test.plans, test.change...)
		var problem *stage.Error
		if !errors.As(err, &problem) || problem.Code != test.code {
			t.Errorf("%s: got %v, want %s", test.offer, err, test.code)
		}
	}
}
