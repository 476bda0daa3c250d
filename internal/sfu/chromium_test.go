package sfu_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A page is a tab of a real Chromium that can publish and view.
type page struct {
	t   *testing.T
	ctx context.Context
}

// openPage starts the browser with a fake camera and shows it testdata/page.html, whose doors lead into the house.
func (h *house) openPage() *page {
	h.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/page.html") })
	mux.HandleFunc("POST /whip/{id}", func(w http.ResponseWriter, r *http.Request) {
		serveDoor(w, r, h.whip(stage.ParticipantID(r.PathValue("id"))))
	})
	mux.HandleFunc("POST /whep/{id}", func(w http.ResponseWriter, r *http.Request) {
		serveDoor(w, r, h.whep(stage.ParticipantID(r.FormValue("as")), stage.ParticipantID(r.PathValue("id"))))
	})
	server := httptest.NewServer(mux)
	h.t.Cleanup(server.Close)

	path, err := findChromium()
	if err != nil {
		h.t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.Flag("allow-loopback-in-peer-connection", true))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	h.t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	h.t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(server.URL)); err != nil {
		h.t.Fatalf("Chromium: %v", err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool]("window.ready === true")); err != nil {
		h.t.Fatalf("the page: %v", err)
	}
	return &page{h.t, ctx}
}

func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("this test needs Chromium; make test installs it")
}

func serveDoor(w http.ResponseWriter, r *http.Request, door rtcpeer.Door) {
	offer, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := door(r.Context(), string(offer))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, answer.SDP)
}

// evaluate awaits the value of an expression.
func evaluate[T any](p *page, format string, args ...any) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	expression := fmt.Sprintf(format, args...)
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func (p *page) run(format string, args ...any) {
	p.t.Helper()
	evaluate[bool](p, format+".then(() => true)", args...)
}

// browserStats are what getStats says, and when the first frame was shown.
type browserStats struct {
	FirstFrame float64 // ms after the answer
	Inbound    struct {
		FramesDecoded, FrameWidth, FrameHeight, KeyFramesDecoded, FreezeCount, PacketsLost, FramesDropped int
		JitterBufferDelay, TotalFreezesDuration                                                           float64
		EstimatedPlayoutTimestamp                                                                         float64
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
}

func (p *page) stats(name string) browserStats {
	p.t.Helper()
	return evaluate[browserStats](p, "stats(%q)", name)
}

// waitStats polls, as a browser has no event for it.
func (p *page) waitStats(name string, wish func(browserStats) bool) browserStats {
	p.t.Helper()
	ctx := within(p.t, 20*time.Second)
	for {
		s := p.stats(name)
		if wish(s) {
			return s
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			p.t.Fatalf("%s: still %+v", name, s)
		}
	}
}

func TestChromiumPublishesAndViews(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	page := h.openPage()
	page.run("publish('ana')")
	h.waitEvent("ana", stage.EventPublishing, "")
	page.run("view('ben', 'ana')")
	s := page.waitStats("ben", func(s browserStats) bool {
		return s.Inbound.FramesDecoded > 60 && s.Sound.PacketsReceived > 100 && s.Sound.AudioLevel > 0.01
	})
	if s.Inbound.FrameWidth == 0 {
		t.Errorf("no picture: %+v", s.Inbound)
	}
	// Without transport-wide feedback it stays at the 300 kb/s that it starts with. How far up it goes is a matter of the machine.
	page.waitStats("ana", func(s browserStats) bool { return s.Available > 310_000 })
}

func TestChromiumViewsOBS(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("obs", rtcpeer.PublishOptions{})
	h.waitEvent("obs", stage.EventPublishing, "")
	page := h.openPage()
	page.run("view('ben', 'obs')")
	s := page.waitStats("ben", func(s browserStats) bool {
		return s.Inbound.FramesDecoded > 60 && s.Sound.AudioLevel > 0.01
	})
	if s.Inbound.FrameWidth != 640 || s.Inbound.PacketsLost > 0 {
		t.Errorf("got %+v, want 640 pixels and no loss", s.Inbound)
	}
}

// A real decoder and jitter buffer come in late in a keyframe interval of 8 s.
func TestChromiumCatchesUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.publish("obs", rtcpeer.PublishOptions{Clip: rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Keyint: 240})})
	page := h.openPage()
	ctx := within(t, 30*time.Second)
	for p.Frames()%240 < 180 {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("the publisher does not send")
		}
	}
	began := p.Frames() % 240
	page.run("view('ben', 'obs')")
	live := page.waitStats("ben", func(s browserStats) bool { return s.Inbound.FramesDecoded >= p.Frames()%240-10 })
	t.Logf("came in at frame %d, first frame after %.0f ms, at the live edge at frame %d", began, live.FirstFrame, p.Frames()%240)
	if live.FirstFrame > 1000 || live.Inbound.KeyFramesDecoded != 1 {
		t.Errorf("first frame after %.0f ms, %d keyframes; it should not have waited for the next one", live.FirstFrame, live.Inbound.KeyFramesDecoded)
	}
	inStep := func(s browserStats) bool {
		apart := s.Inbound.EstimatedPlayoutTimestamp - s.Sound.EstimatedPlayoutTimestamp
		return s.Sound.EstimatedPlayoutTimestamp > 0 && apart < 80 && apart > -80
	}
	s := page.waitStats("ben", inStep)
	t.Logf("sound and picture %.0f ms apart, %.0f ms in the jitter buffer on average", s.Inbound.EstimatedPlayoutTimestamp-s.Sound.EstimatedPlayoutTimestamp,
		1000*s.Inbound.JitterBufferDelay/float64(s.Inbound.FramesDecoded))
}
