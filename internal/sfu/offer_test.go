package sfu

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// swollen returns offers that repeat one short line many times. Each is at most about as long as
// the WHIP endpoint accepts.
func swollen() map[string]string {
	const size = 64 << 10
	offer := func(formats, attributes string) string {
		return "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF" +
			formats + "\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:0 H264/90000\r\n" + attributes
	}
	var parameters, types strings.Builder
	for i := 0; parameters.Len() < size/2; i++ {
		fmt.Fprintf(&parameters, "%x;", i)
	}
	for pt := range 128 {
		fmt.Fprintf(&types, "a=rtpmap:%d H264/90000\r\n", pt)
	}
	often := strings.Repeat(" 0", size/4)
	return map[string]string{
		"parameters": offer(often, "a=fmtp:0 "+parameters.String()+"\r\n"),
		"feedback":   offer(often, strings.Repeat("a=rtcp-fb:* x\r\n", size/2/15)),
		"both": offer(often, "a=fmtp:0 "+parameters.String()[:100]+"\r\n"+
			strings.Repeat("a=rtcp-fb:* x\r\n", maxFeedback)),
		"types": offer(often, types.String()+strings.Repeat("a=rtcp-fb:* x\r\n",
			maxFeedback)),
		"attributes": offer(" 0", strings.Repeat("a=x\r\n", size/5)),
		"section upon section": offer(" 0", strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 0\r\n", 60)+
			strings.Repeat("a=x\r\n", size/8)),
		"of the session": strings.Replace(offer(" 0",
			strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 0\r\n", 60)), "m=",
			strings.Repeat("a=x\r\n", size/8)+"m=", 1),
	}
}

// TestSwollenOffersAreCheap: parsing such an offer takes at most 16 MB of memory, and returns an
// error.
func TestSwollenOffersAreCheap(t *testing.T) {
	for name, text := range swollen() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parseOffer(text)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
			t.Errorf("%s: %d bytes of offer took %d KB of memory, want at most 16 MB", name,
				len(text), got>>10)
		}
		if err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

// TestPayloadTypesAreReadOnce: a payload type that the m-line names twice is one codec. It has its
// own feedback lines and those for "*".
func TestPayloadTypesAreReadOnce(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/offers/obs-30.2.sdp")
	if err != nil {
		t.Fatal(err)
	}
	once, err := parseOffer(string(text))
	if err != nil {
		t.Fatal(err)
	}
	again := strings.ReplaceAll(string(text), "UDP/TLS/RTP/SAVPF 96", "UDP/TLS/RTP/SAVPF 96 96 96")
	if again == string(text) {
		t.Fatal("the offer has no payload type 96")
	}
	o, err := parseOffer(again)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range o.sections {
		if got, want := fmt.Sprint(s.codecs), fmt.Sprint(once.sections[i].codecs); got != want {
			t.Errorf("section %d: got %s, want %s", i, got, want)
		}
	}
}
