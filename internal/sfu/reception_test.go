package sfu_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/lossy"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// waitReception polls until the reception of a publisher satisfies a condition.
func (h *harness) waitReception(
	id stage.ParticipantID, wish func(*stage.Reception) bool,
) *stage.Reception {
	h.t.Helper()
	ctx := patient(h.t)
	var last *stage.Reception
	for {
		list, err := h.Participants(ctx, h.arn)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, p := range list {
			if p.Participant.ID == id && p.Reception != nil {
				last = p.Reception
				if wish(last) {
					return last
				}
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			h.t.Fatalf("the reception is still %+v %+v %+v", last, last.Video, last.Audio)
		}
	}
}

func TestReceptionIsMeasured(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "real media")
	h := newHarness(t)
	clip := rtcpeer.MakeClip(t, rtcpeer.ClipOptions{
		Width: 1024, Height: 640, FPS: 30, Bitrate: 1_500_000, Keyint: 60,
	})
	h.publish("ana", rtcpeer.PublishOptions{Clip: clip})
	near := func(got, want, part float64) bool { return math.Abs(got-want) <= want*part }
	r := h.waitReception("ana", func(r *stage.Reception) bool {
		v := r.Video
		return v != nil && near(v.FPS, 30, 0.1) && near(float64(v.Bitrate), 1_550_000, 0.15) &&
			v.KeyframeInterval > 0
	})
	v := r.Video
	if v.Codec != "H264" || v.Profile != "Constrained Baseline" || v.Width != 1024 ||
		v.Height != 640 || v.BFrames || v.Layers != 1 || !near(v.KeyframeInterval, 2, 0.01) {
		t.Errorf("the picture: got %+v, want 1024×640 in Constrained Baseline", v)
	}
	if a := r.Audio; a == nil || a.Codec != "opus" || !a.Valid || a.Bitrate < 30_000 ||
		a.Bitrate > 120_000 {
		t.Errorf("the sound: got %+v, want valid Opus", a)
	}
	if r.Loss != 0 || r.Since.IsZero() {
		t.Errorf("got %+v, want no loss", r)
	}
}

func TestLossIsMeasured(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	link, endpoint := h.link(h.whip("ana"), lossy.Options{})
	if _, err := rtcpeer.Publish(t, endpoint, rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	h.waitEvent("ana", stage.EventPublishing, "")
	// The link drops RTCP (RFC 5761, 4), because requested packets would repair the loss.
	rtcp := func(b []byte) bool { return b[0]&0xc0 == 0x80 && b[1] >= 192 && b[1] <= 223 }
	link.Set(lossy.Conditions{Picks: everyNth(5)}, lossy.Conditions{Picks: rtcp})
	h.waitReception("ana", func(r *stage.Reception) bool { return r.Loss > 0.1 && r.Loss < 0.3 })
	h.waitEvent("ana", stage.EventWarning, "loss_high")
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "real media")
	for code, options := range map[string]rtcpeer.ClipOptions{
		"not_opus":             {AAC: true},
		"b_frames":             {BFrames: 2},
		"keyframes_far_apart":  {Keyint: 240},
		"resolution_high":      {Width: 1920, Height: 1080},
		"bitrate_high":         {Bitrate: 4_000_000},
		"profile_not_baseline": {Profile: "main"},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.publish("ana", rtcpeer.PublishOptions{Clip: rtcpeer.MakeClip(t, options)})
			e := h.waitEvent("ana", stage.EventWarning, code)
			if !strings.Contains(e.Detail, " ") || strings.Contains(e.Detail, "{") {
				t.Errorf("got %q, want a sentence with its values", e.Detail)
			}
		})
	}
}

func TestLimitsEndTheSession(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "waits for limits")
	limits := sfu.DefaultLimits()
	limits.Enforce = true
	limits.MaxBitrate = 2_000_000
	for code, options := range map[string]rtcpeer.ClipOptions{
		"b_frame_present":     {BFrames: 2},
		"resolution_exceeded": {Width: 1920, Height: 1080},
		"bitrate_exceeded":    {Bitrate: 4_000_000},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			h := newHarness(
				t, func(c *sfu.Config) {
					c.LimitsFor = func(stage.ARN) sfu.Limits { return limits }
				})
			h.publish("ana", rtcpeer.PublishOptions{Clip: rtcpeer.MakeClip(t, options)})
			h.waitEvent("ana", stage.EventEnded, code)
		})
	}
}
