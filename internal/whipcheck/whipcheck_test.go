package whipcheck_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whipcheck"
)

// ownEndpoint starts Stagedoor and returns its WHIP endpoint and a function that issues tokens.
// Each run needs its own token, because a second publication with the same token replaces the
// first.
func ownEndpoint(t *testing.T) (endpoint string, issue func() string) {
	t.Helper()
	a := apptest.Start(t, "--token-limit=-1", "--max-publishers=100")
	operator := a.Operator()
	return a.URL + "/whip", func() string { return operator.Token("publish").Token }
}

func check(t *testing.T, o whipcheck.Options) map[string]whipcheck.Check {
	t.Helper()
	if o.Publish == 0 {
		o.Publish = 500 * time.Millisecond
	}
	if o.AnswerLimit == 0 {
		o.AnswerLimit = time.Minute // the machine may be busy; one test sets the limit
	}
	if o.ConnectLimit == 0 {
		o.ConnectLimit = time.Minute
	}
	report, err := whipcheck.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]whipcheck.Check{}
	required := true
	for _, c := range report.Checks {
		found[c.ID] = c
		required = required && (!c.Required || c.Result == whipcheck.Passed)
	}
	if report.OK != required {
		t.Errorf("the report says OK=%v, its required checks say %v", report.OK, required)
	}
	return found
}

func TestOurOwnEndpointPassesEveryRequiredCheck(t *testing.T) {
	t.Parallel()
	endpoint, issue := ownEndpoint(t)
	found := check(t, whipcheck.Options{
		URL: endpoint, Token: stage.NewSecret(issue()), Publish: 3 * time.Second,
	})
	for id, c := range found {
		if c.Required && c.Result != whipcheck.Passed {
			t.Errorf("%s", c.Line())
		}
		// Two checks need not pass: allowed origins depend on the settings of the server, and
		// Stagedoor accepts B-frames, because the dock detects them.
		if c.Result != whipcheck.Passed && id != "preflight" && id != "b-frames" {
			t.Errorf("%s", c.Line())
		}
	}
}

// TestTheLossesOfAllTracksAreCounted: the endpoint reports 3 lost packets of the sound, and 40 of
// the video.
func TestTheLossesOfAllTracksAreCounted(t *testing.T) {
	t.Parallel()
	lost := map[webrtc.RTPCodecType]uint32{
		webrtc.RTPCodecTypeAudio: 3, webrtc.RTPCodecTypeVideo: 40,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		pc := receiver(t, lost)
		offer, _ := io.ReadAll(q.Body)
		err := pc.SetRemoteDescription(webrtc.SessionDescription{
			Type: webrtc.SDPTypeOffer, SDP: string(offer),
		})
		if q.Method != http.MethodPost || err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer, err := pc.CreateAnswer(nil)
		gathered := webrtc.GatheringCompletePromise(pc)
		if err := errors.Join(err, pc.SetLocalDescription(answer)); err != nil {
			t.Error(err)
		}
		<-gathered
		w.Header().Set("Content-Type", "application/sdp")
		w.Header().Set("Location", "/session")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, pc.LocalDescription().SDP)
	}))
	t.Cleanup(server.Close)
	found := check(t, whipcheck.Options{
		URL: server.URL, Token: stage.NewSecret("x"), Publish: 2 * time.Second,
	})
	if c := found["reports"]; !strings.Contains(c.Detail, " 43 packets lost") {
		t.Errorf("got %s, want the 43 lost packets of both tracks", c.Line())
	}
}

// receiver returns a peer that sends one receiver report for each track.
func receiver(t *testing.T, lost map[webrtc.RTPCodecType]uint32) *webrtc.PeerConnection {
	t.Helper()
	engine, settings := &webrtc.MediaEngine{}, webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	if err := engine.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithSettingEngine(settings),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{})).
		NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		report := rtcp.ReceptionReport{
			SSRC: uint32(track.SSRC()), TotalLost: lost[track.Kind()],
		}
		pc.WriteRTCP([]rtcp.Packet{
			&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{report}},
		})
	})
	return pc
}

// A fault changes one response of a good endpoint. It returns true if it has sent the response
// itself.
type fault func(w http.ResponseWriter, q *http.Request, x *answer) (answered bool)

// An answer is a response of the good endpoint.
type answer struct {
	status int
	header http.Header
	body   string
}

// broken starts a proxy in front of a good endpoint, with one fault.
func broken(t *testing.T, good string, f fault) string {
	t.Helper()
	base := strings.TrimSuffix(good, "/whip")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		forward, _ := http.NewRequestWithContext(q.Context(), q.Method, base+q.URL.Path,
			bytes.NewReader(body))
		forward.Header = q.Header.Clone()
		x := &answer{}
		if f(w, forward, x) {
			return
		}
		got, err := http.DefaultTransport.RoundTrip(forward)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer got.Body.Close()
		text, _ := io.ReadAll(got.Body)
		*x = answer{got.StatusCode, got.Header, string(text)}
		if location := x.header.Get("Location"); location != "" {
			x.header.Set("Location", strings.TrimPrefix(location, base))
		}
		if f(w, forward, x) {
			return
		}
		for name, values := range x.header {
			if name != "Content-Length" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(x.status)
		io.WriteString(w, x.body)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/whip"
}

// created changes the answer to an accepted offer.
func created(change func(*answer)) fault {
	return func(_ http.ResponseWriter, q *http.Request, x *answer) bool {
		if q.Method == http.MethodPost && x.status == http.StatusCreated {
			change(x)
		}
		return false
	}
}

// deleted changes the answer to the nth DELETE.
func deleted(n int, status int) fault {
	var mu sync.Mutex
	seen := 0
	return func(_ http.ResponseWriter, q *http.Request, x *answer) bool {
		if q.Method != http.MethodDelete || x.status == 0 {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if seen++; seen == n {
			x.status = status
		}
		return false
	}
}

func body(old, new string) fault {
	return created(func(x *answer) {
		x.body = regexp.MustCompile(old).ReplaceAllString(x.body, new)
	})
}

func header(name string, values ...string) fault {
	return created(func(x *answer) { x.header[name] = values })
}

// withoutSpace writes a response whose headers have no space after the colon, which net/http never
// does.
func withoutSpace(w http.ResponseWriter, q *http.Request, x *answer) bool {
	if q.Method != http.MethodPost || x.status != http.StatusCreated {
		return false
	}
	conn, out, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	defer conn.Close()
	fmt.Fprintf(out, "HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\nLocation:%s\r\n"+
		"Content-Length: %d\r\n\r\n%s", x.header.Get("Location"), len(x.body), x.body)
	out.Flush()
	return true
}

func redirect(status int) fault {
	return func(w http.ResponseWriter, q *http.Request, x *answer) bool {
		if q.URL.Path != "/whip" || q.Method != http.MethodPost || x.status != 0 {
			return false
		}
		w.Header().Set("Location", "/whip/")
		w.WriteHeader(status)
		return true
	}
}

// open makes the endpoint accept every request: it replaces the bearer with a valid one.
func open(token string) fault {
	return func(_ http.ResponseWriter, q *http.Request, _ *answer) bool {
		q.Header.Set("Authorization", "Bearer "+token)
		return false
	}
}

func silentRefusals(_ http.ResponseWriter, _ *http.Request, x *answer) bool {
	if x.status == http.StatusUnauthorized {
		x.body = ""
	}
	return false
}

// once accepts one offer with the token and refuses later ones.
func once() fault {
	var mu sync.Mutex
	used := false
	return func(w http.ResponseWriter, q *http.Request, x *answer) bool {
		mu.Lock()
		defer mu.Unlock()
		if q.Method == http.MethodPost && x.status == http.StatusCreated {
			if used {
				x.status, x.body = http.StatusForbidden, "used up"
			}
			used = true
		}
		return false
	}
}

// kicks ends each session two seconds after its offer was accepted, so that some media has arrived.
func kicks(t *testing.T, good string) fault {
	base := strings.TrimSuffix(good, "/whip")
	return func(_ http.ResponseWriter, q *http.Request, x *answer) bool {
		if q.Method != http.MethodPost || x.status != http.StatusCreated {
			return false
		}
		end, _ := http.NewRequestWithContext(t.Context(), http.MethodDelete,
			base+x.header.Get("Location"), nil)
		end.Header = q.Header.Clone()
		time.AfterFunc(2*time.Second, func() {
			if gone, err := http.DefaultTransport.RoundTrip(end); err == nil {
				gone.Body.Close()
			}
		})
		return false
	}
}

func TestEveryFaultIsFound(t *testing.T) {
	t.Parallel()
	endpoint, issue := ownEndpoint(t)
	stolen := issue()
	slow := func(_ http.ResponseWriter, q *http.Request, x *answer) bool {
		if q.Method == http.MethodPost && x.status == http.StatusCreated {
			time.Sleep(1500 * time.Millisecond) // this delay is the fault
		}
		return false
	}
	for _, c := range []struct {
		name  string
		fault fault
		id    string
		want  whipcheck.Result
		o     whipcheck.Options
	}{
		{name: "200 in place of 201", fault: created(func(x *answer) { x.status = 200 }),
			id: "created", want: whipcheck.Failed},
		{name: "no Location", fault: header("Location"), id: "location", want: whipcheck.Failed},
		{name: "Location without a space", fault: withoutSpace, id: "location",
			want: whipcheck.Failed},
		{name: "Location relative to the endpoint", fault: header("Location", "session/1"),
			id: "location", want: whipcheck.Failed},
		{name: "Location with a query", fault: header("Location", "/whip/session?key=1"),
			id: "location-plain", want: whipcheck.Warned},
		{name: "slow answer", fault: slow, id: "in-time", want: whipcheck.Failed,
			o: whipcheck.Options{AnswerLimit: time.Second}},
		{name: "no candidates", fault: body(`a=candidate[^\r]*\r\n`, ""), id: "candidates", want: whipcheck.Failed, o: whipcheck.Options{ConnectLimit: time.Second}},
		{name: "candidates that nobody reaches", fault: body(`(a=candidate:\S+ \S+ \S+ \S+ \S+) \d+`, "$1 9"), id: "connected", want: whipcheck.Failed, o: whipcheck.Options{ConnectLimit: 2 * time.Second}},
		{name: "actpass in the answer", fault: body(`a=setup:passive`, "a=setup:actpass"), id: "setup-role", want: whipcheck.Failed, o: whipcheck.Options{ConnectLimit: time.Second}},
		{name: "video refused alone", fault: body(`m=video \d+`, "m=video 0"), id: "codecs", want: whipcheck.Failed},
		{name: "VP8 in place of H.264", fault: body(`H264/90000`, "VP8/90000"), id: "codecs", want: whipcheck.Failed},
		{name: "other payload types", fault: body(`\b111\b`, "109"), id: "payload-types", want: whipcheck.Failed},
		{name: "no body", fault: body(`(?s).*`, ""), id: "answer-sdp", want: whipcheck.Failed},
		{name: "no fingerprint", fault: body(`a=fingerprint[^\r]*\r\n`, ""), id: "answer-sdp", want: whipcheck.Failed},
		{name: "answer as text", fault: header("Content-Type", "text/plain"), id: "answer-type",
			want: whipcheck.Warned},
		{name: "302", fault: redirect(http.StatusFound), id: "redirects", want: whipcheck.Failed},
		{name: "307", fault: redirect(http.StatusTemporaryRedirect), id: "redirects",
			want: whipcheck.Passed},
		{name: "DELETE answers 204", fault: deleted(1, http.StatusNoContent), id: "delete",
			want: whipcheck.Failed},
		{name: "DELETE after closing answers 404", fault: deleted(2, http.StatusNotFound),
			id: "delete-closed", want: whipcheck.Failed},
		{name: "two servers in one Link", fault: header("Link", `<stun:a.example:3478>; rel="ice-server", <stun:b.example:3478>; rel="ice-server"`), id: "links", want: whipcheck.Warned},
		{name: "turns", fault: header("Link", `<turns:a.example:443>; rel="ice-server"; username="u"; credential="c"`), id: "links", want: whipcheck.Warned},
		{name: "open to everybody", fault: open(stolen), id: "no-bearer", want: whipcheck.Warned},
		{name: "open to wrong bearers", fault: open(stolen), id: "wrong-bearer",
			want: whipcheck.Warned},
		{name: "401 without a body", fault: silentRefusals, id: "refusal-body",
			want: whipcheck.Warned},
		{name: "a bearer for one use", fault: once(), id: "again", want: whipcheck.Failed},
		{name: "kicked in the middle", fault: kicks(t, endpoint), id: "publication",
			want: whipcheck.Failed, o: whipcheck.Options{Publish: 30 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.URL, c.o.Token = broken(t, endpoint, c.fault), stage.NewSecret(issue())
			t.Parallel()
			got := check(t, c.o)[c.id]
			if got.Result != c.want {
				t.Errorf("%s is %q, want %q: %s", c.id, got.Result, c.want, got.Line())
			}
			if c.want != whipcheck.Passed && got.Cure == "" {
				t.Errorf("%s has no cure", c.id)
			}
		})
	}
}

func TestNoEndpointAtAll(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	selfSigned := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(selfSigned.Close)
	for _, url := range []string{gone.URL + "/whip", selfSigned.URL + "/whip"} {
		found := check(t, whipcheck.Options{URL: url})
		if got := found["reachable"].Result; got != whipcheck.Failed {
			t.Errorf("%s: reachable is %q, want %v", url, got, whipcheck.Failed)
		}
		if got := found["created"].Result; got != whipcheck.Skipped {
			t.Errorf("%s: created is %q, want it skipped", url, got)
		}
	}
}

func TestWhatIsNoEndpoint(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "whip", "rtmp://host/app", "https://user:pass@host/whip",
		"http://"} {
		if _, err := whipcheck.Run(t.Context(), whipcheck.Options{URL: url}); err == nil {
			t.Errorf("%q was taken for an endpoint", url)
		}
	}
}

// TestTheReportHoldsNoToken: the report contains neither the bearer nor control characters, even if
// the endpoint's responses do.
func TestTheReportHoldsNoToken(t *testing.T) {
	t.Parallel()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "\x1b[31mbad\u202e "+r.Header.Get("Authorization"))
	}))
	t.Cleanup(echo.Close)
	token := "eyJhbGciOiJFUzM4NCJ9.secret-claims.secret-signature"
	report, err := whipcheck.Run(t.Context(),
		whipcheck.Options{URL: echo.URL, Token: stage.NewSecret(token)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{token, "\x1b", `\u001b`, "\u202e"} {
		if strings.Contains(string(text), bad) {
			t.Errorf("the report holds %q: %s", bad, text)
		}
	}
	if !strings.Contains(string(text), "bad") {
		t.Errorf("the report does not repeat what the endpoint said: %s", text)
	}
}

// TestDocsListEveryCheck: docs/whip-check.md lists each check, with its ID and level.
func TestDocsListEveryCheck(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/whip-check.md")
	if err != nil {
		t.Fatal(err)
	}
	report, err := whipcheck.Run(t.Context(), whipcheck.Options{URL: "http://127.0.0.1:1/whip"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Checks {
		level := "recommended"
		if c.Required {
			level = "required"
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s |", c.ID, level, c.Title, c.Source)
		if !strings.Contains(string(doc), row) {
			t.Errorf("docs/whip-check.md lacks the row\n%s", row)
		}
	}
}
