package sfu_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestParameterSetsReachEveryViewer: later viewers decode the picture even if the encoder sends its
// parameter sets only once, or only in the offer.
func TestParameterSetsReachEveryViewer(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string]rtcpeer.Headers{
		"first keyframe only": rtcpeer.HeadersFirst,
		"offer only":          rtcpeer.HeadersOffered,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			p := h.publish("ana", rtcpeer.PublishOptions{Headers: headers})
			if strings.Contains(p.Answer.SDP, "sprop-parameter-sets") {
				t.Errorf("the answer repeats the sender's parameter sets:\n%s", p.Answer.SDP)
			}
			h.waitEvent("ana", stage.EventPublishing, "")
			ctx := patient(t)
			for i := range 2 { // the second joins when the first keyframe is gone
				v := h.view(stage.ParticipantID(fmt.Sprint("viewer", i)), "ana",
					rtcpeer.ViewOptions{
						Patience: 8 * time.Second,
					})
				if err := v.WaitFrames(ctx, 45); err != nil {
					t.Fatalf("viewer %d: %v", i, err)
				}
				if s := v.Stats(); s.Broken > 0 {
					t.Errorf("viewer %d: %d frames could not be decoded, want 0", i, s.Broken)
				}
			}
			r := h.waitReception("ana", func(r *stage.Reception) bool {
				return r.Video != nil &&
					r.Video.Height > 0
			})
			if r.Video.Height != 360 || r.Video.Profile != "Constrained Baseline" {
				t.Errorf("got %+v, want 360 lines of Constrained Baseline", r.Video)
			}
		})
	}
}

func TestMissingParameterSetsAreWarnedOf(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.publish("ana", rtcpeer.PublishOptions{Headers: rtcpeer.HeadersMissing})
	h.waitEvent("ana", stage.EventWarning, "no_parameter_sets")
}

// TestChromiumDecodesWithoutRepeatedHeaders: Chromium decodes the picture of an encoder that sends
// its parameter sets only with the first keyframe.
func TestChromiumDecodesWithoutRepeatedHeaders(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.publish("ana", rtcpeer.PublishOptions{Headers: rtcpeer.HeadersFirst})
	clock := h.view("clock", "ana", rtcpeer.ViewOptions{})
	if err := clock.WaitFrames(patient(t), 60); err != nil {
		t.Fatal(err)
	}
	page := h.openPage()
	page.Eval("view('ben', 'ana')", nil)
	page.waitStats("ben", func(s browserStats) bool {
		return s.Inbound.FramesDecoded > 30 &&
			s.Inbound.FrameHeight == 360
	})
}
