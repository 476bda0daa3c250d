package sfu_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A page is a tab of a real Chromium that can publish and view.
type page struct {
	*browser.Page
	t testing.TB
}

// openPage starts the browser with a fake camera, and opens testdata/page.html with the endpoints
// of the test server.
func (h *harness) openPage() *page {
	h.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter,
		r *http.Request) {
		http.ServeFile(w, r, "testdata/page.html")
	})
	for _, name := range []string{"playback.js", "whep.js", "api.js"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, "../../static/lib/"+name)
		})
	}
	mux.HandleFunc("POST /whip/{id}", func(w http.ResponseWriter, r *http.Request) {
		serveEndpoint(w, r, h.whip(stage.ParticipantID(r.PathValue("id"))))
	})
	mux.HandleFunc("POST /whep/{id}", func(w http.ResponseWriter, r *http.Request) {
		serveEndpoint(w, r, h.endpointOf(stage.ParticipantID(r.FormValue("as")),
			stage.ParticipantID(r.PathValue("id"))))
	})
	server := httptest.NewServer(mux)
	h.t.Cleanup(server.Close)
	p := browser.Open(h.t, browser.Current, browser.Options{FakeMedia: true})
	p.Goto(server.URL)
	p.WaitFor("window.ready")
	return &page{p, h.t}
}

func serveEndpoint(w http.ResponseWriter, r *http.Request, endpoint rtcpeer.Endpoint) {
	offer, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := endpoint(r.Context(), string(offer))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, answer.SDP)
}

// browserStats contains the results of getStats, and the time at which the first frame was shown.
type browserStats struct {
	FirstFrame float64 // ms after the answer
	Inbound    struct {
		FramesDecoded, FrameWidth, FrameHeight, KeyFramesDecoded, FreezeCount, PacketsLost,
		FramesDropped int
		JitterBufferDelay,
		TotalFreezesDuration float64
		JitterBufferEmittedCount,
		TotalDecodeTime float64
		EstimatedPlayoutTimestamp float64
	}
	Sound struct {
		PacketsReceived           int
		AudioLevel                float64
		EstimatedPlayoutTimestamp float64
	}
	Outbound []struct {
		RID                                    string
		FramesEncoded, FrameWidth, PacketsSent int
		NackCount, PliCount                    int
		QualityLimitationReason                string
	}
	Available float64
	Protocol  string // of the candidate pair in use
}

func (p *page) stats(name string) browserStats {
	p.t.Helper()
	var s browserStats
	p.Eval(fmt.Sprintf("stats(%q)", name), &s)
	return s
}

// waitStats polls, because a browser sends no event when its statistics change.
func (p *page) waitStats(name string, wish func(browserStats) bool) browserStats {
	p.t.Helper()
	ctx := patient(p.t)
	for {
		s := p.stats(name)
		if wish(s) {
			return s
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			p.t.Fatalf("the statistics of %s are still %+v", name, s)
		}
	}
}

func TestChromiumPublishesAndViews(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	page := h.openPage()
	page.Eval("publish('ana')", nil)
	h.waitEvent("ana", stage.EventPublishing, "")
	page.Eval("view('ben', 'ana')", nil)
	s := page.waitStats("ben", func(s browserStats) bool {
		return s.Inbound.FramesDecoded > 60 && s.Sound.PacketsReceived > 100 &&
			s.Sound.AudioLevel > 0.01
	})
	if s.Inbound.FrameWidth == 0 {
		t.Errorf("no picture: %+v", s.Inbound)
	}
	// Without transport-wide feedback the estimate stays at the initial 300 kb/s. How far it rises
	// depends on the machine.
	page.waitStats("ana", func(s browserStats) bool { return s.Available > 310_000 })
}

func TestChromiumViewsOBS(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.publish("obs", rtcpeer.PublishOptions{})
	h.waitEvent("obs", stage.EventPublishing, "")
	page := h.openPage()
	page.Eval("view('ben', 'obs')", nil)
	s := page.waitStats("ben", func(s browserStats) bool {
		return s.Inbound.FramesDecoded > 60 && s.Sound.AudioLevel > 0.01
	})
	if s.Inbound.FrameWidth != 640 || s.Inbound.PacketsLost > 0 {
		t.Errorf("got %+v, want 640 pixels and no loss", s.Inbound)
	}
}

// TestChromiumCatchesUp: Chromium's decoder and jitter buffer handle a viewer who joins in the
// middle of a keyframe interval of 8 s.
func TestChromiumCatchesUp(t *testing.T) {
	t.Parallel()
	const keyint = 240
	h := newHarness(t)
	page := h.openPage()
	p := h.publish("obs", rtcpeer.PublishOptions{
		Clip: rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Keyint: keyint}),
	})
	clock := h.view("clock", "obs", rtcpeer.ViewOptions{})
	midway := func(rtcpeer.Stats) bool { n := p.Frames() % keyint; return n > 90 && n < 150 }
	ctx := patient(t)
	if err := clock.Wait(ctx, midway); err != nil {
		t.Fatal(err)
	}
	page.Eval("view('ben', 'obs')", nil)
	s := page.waitStats("ben", func(s browserStats) bool {
		apart := s.Inbound.EstimatedPlayoutTimestamp - s.Sound.EstimatedPlayoutTimestamp
		return s.Sound.EstimatedPlayoutTimestamp > 0 && apart < 80 && apart > -80
	})
	t.Logf("first frame after %.0f ms, %.0f ms in the jitter buffer on average", s.FirstFrame,
		1000*s.Inbound.JitterBufferDelay/float64(s.Inbound.FramesDecoded))

	// Pause the publisher, so that the next viewer receives only earlier frames.
	if err := clock.Wait(ctx, midway); err != nil {
		t.Fatal(err)
	}
	p.Pause(true)
	page.Eval("view('cyd', 'obs')", nil)
	page.waitStats("cyd", func(s browserStats) bool {
		return s.FirstFrame > 0 &&
			s.Inbound.FramesDecoded > 80
	})
}

// TestChromiumHearsStereo: stereo from OBS and from a browser stays stereo. A browser sends stereo
// only if the answer requests it.
func TestChromiumHearsStereo(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	page := h.openPage()
	h.publish("obs", rtcpeer.PublishOptions{
		Clip: rtcpeer.MakeClip(t, rtcpeer.ClipOptions{LeftTone: true}),
	})
	page.Eval("publish('browser', {tone: true})", nil)
	for _, publisher := range []stage.ParticipantID{"obs", "browser"} {
		h.waitEvent(publisher, stage.EventPublishing, "")
		viewer := "viewer-of-" + string(publisher)
		page.Eval(fmt.Sprintf("view(%q, %q)", viewer, publisher), nil)
		page.WaitFor(fmt.Sprintf(`loudness(%q).then(([left, right]) => {
			window.heard = [left, right];
			return left > 0.33 && left < 0.37 && right < 0.01;
		})`, viewer))
	}
}
