package sfu_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/lossy"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

func simulcast(t *testing.T) rtcpeer.PublishOptions {
	return rtcpeer.PublishOptions{Layers: []*rtcpeer.Clip{ // largest first, as in OBS
		rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Width: 1280, Height: 720, Bitrate: 1_000_000}),
		rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Width: 640, Height: 360, Bitrate: 300_000}),
		rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Width: 320, Height: 180, Bitrate: 100_000}),
	}}
}

func (h *harness) layered(id stage.ParticipantID) whip.Layered {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.views[id].(whip.Layered)
}

// selected returns the height of the layer that the viewer receives.
func (h *harness) selected(id stage.ParticipantID) int {
	for _, l := range h.layered(id).Layers() {
		if l.Selected {
			return l.Height
		}
	}
	return 0
}

func (h *harness) waitSelected(ctx context.Context, id stage.ParticipantID, heights ...int) {
	h.t.Helper()
	for !slices.Contains(heights, h.selected(id)) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			h.t.Fatalf("%s still receives %d lines, want %v", id, h.selected(id), heights)
		}
	}
}

// viewSimulcast returns the viewer with which ben views ana, who publishes three layers.
func (h *harness) viewSimulcast(t *testing.T) *rtcpeer.Viewer {
	t.Helper()
	h.publish("ana", simulcast(t))
	h.waitReception("ana", func(r *stage.Reception) bool {
		return r.Video != nil &&
			r.Video.Layers == 3 && r.Video.Height == 720
	})
	v := h.view("ben", "ana", rtcpeer.ViewOptions{})
	if err := v.WaitFrames(patient(t), 10); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestViewerChoosesALayer(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "real media")
	h := newHarness(t)
	v := h.viewSimulcast(t)
	ctx := patient(t)
	// The viewer's layer rises by itself, because the network carries the higher one.
	h.waitSelected(ctx, "ben", 720)
	for _, l := range []whip.Layer{{EncodingID: "2", Height: 180}, {EncodingID: "0", Height: 720},
		{EncodingID: "1", Height: 360}} {
		if err := h.layered("ben").SelectLayer(l.EncodingID); err != nil {
			t.Fatal(err)
		}
		h.waitSelected(ctx, "ben", l.Height)
		before := v.Stats()
		if err := v.WaitFrames(ctx, before.Frames+20); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.layered("ben").SelectLayer("nine"); !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("a layer that is not there: got %v", err)
	}
	if s := v.Stats(); s.Broken > s.Frames/10 {
		t.Errorf("%d of %d frames could not be decoded", s.Broken, s.Frames)
	}
	layers := h.layered("ben").Layers()
	slices.SortFunc(layers, func(a, b whip.Layer) int { return a.Width - b.Width })
	for i, want := range []whip.Layer{{EncodingID: "2", Width: 320, Height: 180},
		{EncodingID: "1", Width: 640, Height: 360, Selected: true},
		{EncodingID: "0", Width: 1280, Height: 720}} {
		got := layers[i]
		if got.Bitrate == 0 || got.FPS == 0 {
			t.Errorf("got %+v, want a bitrate and a frame rate", got)
		}
		got.Bitrate, got.FPS = 0, 0
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// TestLayerFitsTheSizeAtWhichItIsShown: a thumbnail receives only a small layer, even over a fast
// network. When it is enlarged, it receives a larger layer.
func TestLayerFitsTheSizeAtWhichItIsShown(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "real media")
	h := newHarness(t)
	v := h.viewSimulcast(t)
	ctx := patient(t)
	h.waitSelected(ctx, "ben", 720)
	for _, step := range []struct{ shown, want int }{{200, 360}, {72, 180}, {1080, 720}} {
		h.layered("ben").FitHeight(step.shown)
		h.waitSelected(ctx, "ben", step.want)
	}
	h.layered("ben").FitHeight(72)
	h.waitSelected(ctx, "ben", 180)
	if err := v.WaitFrames(ctx, v.Stats().Frames+60); err != nil { // enough to try a layer
		t.Fatal(err)
	}
	if got := h.selected("ben"); got != 180 {
		t.Errorf("a thumbnail on a good network: got %d lines, want 180 for good", got)
	}
	h.layered("ben").FitHeight(0)
	h.waitSelected(ctx, "ben", 720)
}

// TestSlowViewerBesideAGoodOne: a viewer whose link narrows receives a layer that fits, and the
// best layer again when the link widens. Another viewer is not affected. The change takes about a
// second with transport-wide feedback, most of which is the wait for the next keyframe. With
// receiver reports alone it takes a few seconds.
func TestSlowViewerBesideAGoodOne(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "real media")
	for name, test := range map[string]struct {
		reportsAlone bool
		frames       int // how many frames the publisher may send before the layer changes
	}{
		"transport-wide feedback": {false, 120},
		"receiver reports alone":  {true, 300},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			p := h.publish("ana", simulcast(t))
			h.waitReception("ana", func(r *stage.Reception) bool {
				return r.Video != nil &&
					r.Video.Layers == 3
			})
			link, endpoint := h.link(h.fromTheTop("slow", "ana"), lossy.Options{})
			slow, err := rtcpeer.View(t, endpoint, rtcpeer.ViewOptions{
				NoTransportCC: test.reportsAlone,
			})
			if err != nil {
				t.Fatal(err)
			}
			good := h.view("good", "ana", rtcpeer.ViewOptions{})
			ctx := patient(t)
			h.waitSelected(ctx, "slow", 720)
			h.waitSelected(ctx, "good", 720)
			// Wait until the first keyframes and reports are over.
			if err := slow.WaitFrames(ctx, 60); err != nil {
				t.Fatal(err)
			}
			link.Set(lossy.Conditions{},
				lossy.Conditions{Rate: 550_000, Queue: 300 * time.Millisecond})
			load := startLoad()
			goodBefore, began := good.Stats(), p.Frames()
			h.waitSelected(ctx, "slow", 360, 180)
			took, most := p.Frames()-began, int(float64(test.frames)*load.factor())
			t.Logf("the layer changed after %d frames, of %d at most", took, most)
			if took > most {
				t.Errorf("the layer changed after %d frames, want within %d", took, most)
			}
			if got := h.fedBack("slow"); got == test.reportsAlone {
				t.Errorf("transport-wide feedback came: %v", got)
			}
			before := slow.Stats()
			if err := slow.WaitFrames(ctx, before.Frames-before.Broken+60); err != nil {
				t.Fatal(err)
			}
			if err := good.WaitFrames(ctx, goodBefore.Frames-goodBefore.Broken+60); err != nil {
				t.Fatal(err)
			}
			h.waitSelected(ctx, "good", 720)
			_, down := link.Counts()
			if s := good.Stats(); s.Gaps-goodBefore.Gaps > down.Queued/10 {
				t.Errorf("the good viewer has %d gaps more; the slow one's link dropped %d packets",
					s.Gaps-goodBefore.Gaps, down.Queued)
			}
			link.Set(lossy.Conditions{}, lossy.Conditions{})
			h.waitSelected(ctx, "slow", 720)
		})
	}
}

func (h *harness) fedBack(id stage.ParticipantID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return sfu.FedBack(h.views[id])
}

// TestChromiumOnANarrowLink: the server understands a real browser's feedback, and lowers the layer
// when the link narrows.
func TestChromiumOnANarrowLink(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	p := h.publish("ana", simulcast(t))
	h.waitReception("ana", func(r *stage.Reception) bool {
		return r.Video != nil &&
			r.Video.Layers == 3
	})
	page := h.openPage()
	link, endpoint := h.link(h.fromTheTop("ben", "ana"), lossy.Options{})
	h.through("ben", endpoint)
	page.Eval("view('ben', 'ana')", nil)
	page.waitStats("ben", func(s browserStats) bool {
		return s.Inbound.FrameWidth == 1280 &&
			s.Inbound.FramesDecoded > 60
	})
	link.Set(lossy.Conditions{}, lossy.Conditions{Rate: 550_000, Queue: 300 * time.Millisecond})
	began := p.Frames()
	h.waitSelected(patient(t), "ben", 360, 180)
	t.Logf("the layer changed after %d frames", p.Frames()-began)
	if !h.fedBack("ben") {
		t.Error("no transport-wide feedback came")
	}
	page.waitStats("ben", func(s browserStats) bool {
		return s.Inbound.FrameWidth > 0 &&
			s.Inbound.FrameWidth < 1280
	})
}

// fromTheTop returns the endpoint for a viewer who starts with the highest layer.
func (h *harness) fromTheTop(id, target stage.ParticipantID) rtcpeer.Endpoint {
	return func(ctx context.Context, offer string) (rtcpeer.Answer, error) {
		answer, err := h.whep(id, target)(ctx, offer)
		if err == nil {
			h.layered(id).(whip.HighestFirst).StartHighest()
		}
		return answer, err
	}
}

func TestPauseKeepsTheSound(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.publish("ana", rtcpeer.PublishOptions{})
	v := h.view("ben", "ana", rtcpeer.ViewOptions{})
	ctx := patient(t)
	if err := v.WaitFrames(ctx, 10); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	session := h.views["ben"].(whip.Playable)
	h.mu.Unlock()
	if err := session.Play("1", false); err != nil {
		t.Fatal(err)
	}
	// Packets in transit still arrive. After that, a second of sound must come without a frame.
	for {
		before := v.Stats()
		if err := v.WaitAudio(ctx, before.AudioPackets+50); err != nil {
			t.Fatalf("there is no second of sound without a picture: %v", err)
		}
		if v.Stats().Frames == before.Frames {
			break
		}
	}
	if err := session.Play("1", true); err != nil {
		t.Fatal(err)
	}
	if s := v.Stats(); s.Broken > 0 {
		t.Errorf("%d frames could not be decoded, want 0", s.Broken)
	}
	if err := v.WaitFrames(ctx, v.Stats().Frames+30); err != nil {
		t.Fatal(err)
	}
	if s := v.Stats(); s.Broken > 0 {
		t.Errorf("%d frames could not be decoded, want 0", s.Broken)
	}
	if err := session.Play("7", true); !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("a medium that is not there: got %v", err)
	}
}

func TestChromiumSimulcast(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	page := h.openPage()
	page.Eval("publish('ana', {simulcast: true, width: 1280, height: 720})", nil)
	h.waitReception("ana", func(r *stage.Reception) bool {
		return r.Video != nil &&
			r.Video.Layers == 3
	})
	page.Eval("view('ben', 'ana')", nil)
	for id, width := range map[string]int{"low": 320, "hi": 1280, "mid": 640} {
		if err := h.layered("ben").SelectLayer(id); err != nil {
			t.Fatal(err)
		}
		before := page.stats("ben").Inbound.FramesDecoded
		page.waitStats("ben", func(s browserStats) bool {
			return s.Inbound.FrameWidth == width &&
				s.Inbound.FramesDecoded > before+10
		})
	}
	if s := page.stats("ben"); s.Inbound.PacketsLost > 0 {
		t.Errorf(
			"%d packets are missing, want 0: sequence numbers must go on over a change of layer",
			s.Inbound.PacketsLost)
	}
}

// TestHighestLayerStops: the highest layer stops, as in a browser whose uplink is too slow. Its
// viewers continue with the next layer within half a second and a frame. They do not wait for the
// next keyframe of that layer.
func TestHighestLayerStops(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "real media")
	h := newHarness(t)
	options := simulcast(t)
	for i, l := range options.Layers {
		l := l.Options
		l.Keyint = 120 // 4 s, so that no keyframe comes in time
		options.Layers[i] = rtcpeer.MakeClip(t, l)
	}
	p := h.publish("ana", options)
	h.waitReception("ana", func(r *stage.Reception) bool {
		return r.Video != nil &&
			r.Video.Layers == 3
	})
	v, err := rtcpeer.View(t, h.fromTheTop("ben", "ana"), rtcpeer.ViewOptions{
		Patience: 8 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := patient(t)
	h.waitSelected(ctx, "ben", 720)
	if err := v.WaitFrames(ctx, 30); err != nil {
		t.Fatal(err)
	}
	load := startLoad()
	p.PauseLayer(0, true)
	began := p.Frames()
	h.waitSelected(ctx, "ben", 360)
	took, most := p.Frames()-began, int(60*load.factor())
	t.Logf("the layer changed after %d frames, of %d at most", took, most)
	if took > most { // half a second is 15 frames
		t.Errorf("the layer changed after %d frames, want about 15, %d at most", took, most)
	}
	before := v.Stats()
	if err := v.WaitFrames(ctx, before.Frames-before.Broken+30); err != nil {
		t.Fatal(err)
	}
	p.PauseLayer(0, false)
	h.waitSelected(ctx, "ben", 720)
}
