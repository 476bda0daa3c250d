package sfu_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/lossy"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

func simulcast(t *testing.T) rtcpeer.PublishOptions {
	return rtcpeer.PublishOptions{Layers: []*rtcpeer.Clip{ // as OBS: the largest first
		rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Width: 1280, Height: 720, Bitrate: 1_000_000}),
		rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Width: 640, Height: 360, Bitrate: 300_000}),
		rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Width: 320, Height: 180, Bitrate: 100_000}),
	}}
}

func (h *house) layered(id stage.ParticipantID) whip.Layered {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.views[id].(whip.Layered)
}

// selected is the height of the layer that the viewer receives.
func (h *house) selected(id stage.ParticipantID) int {
	for _, l := range h.layered(id).Layers() {
		if l.Selected {
			return l.Height
		}
	}
	return 0
}

func (h *house) waitSelected(ctx context.Context, id stage.ParticipantID, heights ...int) {
	h.t.Helper()
	for !slices.Contains(heights, h.selected(id)) {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			h.t.Fatalf("%s still receives %d lines, want %v", id, h.selected(id), heights)
		}
	}
}

func TestViewerChoosesALayer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("ana", simulcast(t))
	h.waitReception("ana", func(r *stage.Reception) bool { return r.Video != nil && r.Video.Layers == 3 && r.Video.Height == 720 })
	v := h.view("ben", "ana", rtcpeer.ViewOptions{})
	ctx := within(t, 30*time.Second)
	if err := v.WaitFrames(ctx, 10); err != nil {
		t.Fatal(err)
	}
	// Up by itself, as the network bears it.
	h.waitSelected(ctx, "ben", 720)
	for _, l := range []whip.Layer{{EncodingID: "2", Height: 180}, {EncodingID: "0", Height: 720}, {EncodingID: "1", Height: 360}} {
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
	for i, want := range []whip.Layer{{EncodingID: "2", Width: 320, Height: 180}, {EncodingID: "1", Width: 640, Height: 360, Selected: true}, {EncodingID: "0", Width: 1280, Height: 720}} {
		got := layers[i]
		if got.Bitrate == 0 || got.FPS == 0 {
			t.Errorf("got %+v, want a bit rate and a frame rate", got)
		}
		got.Bitrate, got.FPS = 0, 0
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// A viewer on a narrow link gets a layer that fits, and another one beside him notices nothing.
func TestSlowViewerBesideAGoodOne(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.publish("ana", simulcast(t))
	h.waitReception("ana", func(r *stage.Reception) bool { return r.Video != nil && r.Video.Layers == 3 })
	narrow, door := h.link(h.fromTheTop("slow", "ana"), lossy.Options{Down: lossy.Weather{Rate: 550_000, Queue: 300 * time.Millisecond}})
	slow, err := rtcpeer.View(t, door, rtcpeer.ViewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good := h.view("good", "ana", rtcpeer.ViewOptions{})
	ctx := within(t, 40*time.Second)
	h.waitSelected(ctx, "slow", 360, 180) // falls to what fits
	before, goodBefore := slow.Stats(), good.Stats()
	if err := slow.WaitFrames(ctx, before.Frames-before.Broken+90); err != nil {
		t.Fatal(err)
	}
	if _, down := narrow.Counts(); down.Queued == 0 {
		t.Error("nothing was dropped: the link was not narrow")
	}
	if s := good.Stats(); s.Broken > s.Frames/10 || s.Frames-goodBefore.Frames < 60 {
		t.Errorf("the good viewer: %d of %d frames broken, %d of them meanwhile", s.Broken, s.Frames, s.Frames-goodBefore.Frames)
	}
}

// fromTheTop is the door of a viewer who starts at the highest layer.
func (h *house) fromTheTop(id, target stage.ParticipantID) rtcpeer.Door {
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
	h := newHouse(t)
	h.publish("ana", rtcpeer.PublishOptions{})
	v := h.view("ben", "ana", rtcpeer.ViewOptions{})
	ctx := within(t, 15*time.Second)
	if err := v.WaitFrames(ctx, 10); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	session := h.views["ben"].(whip.Playable)
	h.mu.Unlock()
	if err := session.Play("1", false); err != nil {
		t.Fatal(err)
	}
	before := v.Stats()
	if err := v.WaitAudio(ctx, before.AudioPackets+50); err != nil {
		t.Fatal(err)
	}
	if s := v.Stats(); s.Frames > before.Frames+3 {
		t.Errorf("%d frames came while the picture was paused", s.Frames-before.Frames)
	}
	if err := session.Play("1", true); err != nil {
		t.Fatal(err)
	}
	if err := v.WaitFrames(ctx, before.Frames+30); err != nil {
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
	h := newHouse(t)
	page := h.openPage()
	page.Eval("publish('ana', {simulcast: true, width: 1280, height: 720})", nil)
	h.waitReception("ana", func(r *stage.Reception) bool { return r.Video != nil && r.Video.Layers == 3 })
	page.Eval("view('ben', 'ana')", nil)
	for id, width := range map[string]int{"low": 320, "hi": 1280, "mid": 640} {
		if err := h.layered("ben").SelectLayer(id); err != nil {
			t.Fatal(err)
		}
		before := page.stats("ben").Inbound.FramesDecoded
		page.waitStats("ben", func(s browserStats) bool { return s.Inbound.FrameWidth == width && s.Inbound.FramesDecoded > before+10 })
	}
	if s := page.stats("ben"); s.Inbound.PacketsLost > 0 {
		t.Errorf("%d packets are missing, want 0: sequence numbers must go on over a change of layer", s.Inbound.PacketsLost)
	}
}
