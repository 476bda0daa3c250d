package app_test

import (
	"context"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

// BenchmarkWHIP measures a broadcast through the public endpoints: the response times of WHIP and
// WHEP, and the time from the WHIP request to the first frame that a viewer can decode. The viewer
// connects as soon as the publisher was accepted, so this time includes the handshakes of both, and
// the wait for the publisher's first keyframe. Publisher and viewer are Pion in this process, with
// H.264 and Opus.
func BenchmarkWHIP(b *testing.B) {
	a := apptest.Start(b, "--token-limit=-1")
	olga := a.Operator()
	clip := rtcpeer.MakeClip(b, rtcpeer.ClipOptions{})
	var published, viewed, picture time.Duration
	n := 0
	for b.Loop() {
		token := olga.Token("")
		start := time.Now()
		publisher, err := rtcpeer.Publish(b,
			timed(rtcpeer.HTTP(token.Endpoint, token.Token), &published),
			rtcpeer.PublishOptions{Clip: clip})
		if err != nil {
			b.Fatal(err)
		}
		viewer, err := rtcpeer.View(b,
			timed(rtcpeer.HTTP(a.URL+"/whep/"+string(token.ParticipantID), token.Token), &viewed),
			rtcpeer.ViewOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if err := viewer.WaitFrames(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
		picture += time.Since(start)
		n++
		viewer.Close()
		publisher.Close()
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(n) }
	b.ReportMetric(ms(published), "ms-POST-to-201")
	b.ReportMetric(ms(viewed), "ms-view-POST-to-201")
	b.ReportMetric(ms(picture), "ms-POST-to-first-frame")
	b.ReportMetric(0, "ns/op")
}

// timed returns an endpoint that adds its response times to `total`.
func timed(endpoint rtcpeer.Endpoint, total *time.Duration) rtcpeer.Endpoint {
	return func(ctx context.Context, offer string) (rtcpeer.Answer, error) {
		start := time.Now()
		defer func() { *total += time.Since(start) }()
		return endpoint(ctx, offer)
	}
}
