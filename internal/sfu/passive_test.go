package sfu_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// Peers that are the DTLS server, like FFmpeg's WHIP muxer, can publish and view.
func TestPassivePeers(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	p := h.publish("ana", rtcpeer.PublishOptions{Passive: true})
	if !strings.Contains(p.Answer.SDP, "a=setup:active") {
		t.Errorf("the answer is not active:\n%s", p.Answer.SDP)
	}
	h.waitEvent("ana", stage.EventPublishing, "")
	for id, passive := range map[stage.ParticipantID]bool{"passive": true, "active": false} {
		v := h.view(id, "ana", rtcpeer.ViewOptions{Passive: passive})
		ctx := patient(t)
		if err := v.WaitFrames(ctx, 10); err != nil {
			t.Errorf("%s viewer: frames: %v", id, err)
		}
		if err := v.WaitAudio(ctx, 10); err != nil {
			t.Errorf("%s viewer: sound: %v", id, err)
		}
	}
	p.Close()
	h.waitEvent("ana", stage.EventEnded, "closed_by_peer")
}

// TestPassivePeerWithAnotherCertificate: a passive peer gets no keys if its certificate is not the
// one in its offer.
func TestPassivePeerWithAnotherCertificate(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	other := regexp.MustCompile(`(a=fingerprint:sha-256 )[0-9A-F]{2}:[0-9A-F]{2}`)
	endpoint := func(ctx context.Context, offer string) (rtcpeer.Answer, error) {
		return h.whip("ana")(ctx, other.ReplaceAllString(offer, "${1}00:00"))
	}
	if _, err := rtcpeer.Publish(t, endpoint, rtcpeer.PublishOptions{Passive: true}); err == nil {
		t.Error("the connection came up")
	}
	h.waitEvent("ana", stage.EventEnded, "dtls_failed")
}
