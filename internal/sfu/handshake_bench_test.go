package sfu_test

import (
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

// BenchmarkHandshake measures from an offer to a connection that is up, with the server as the DTLS
// server (passive) and as its client (active): ICE, DTLS and the keys of SRTP, of a pion peer on
// loopback. An active server starts when the first connectivity check has come.
func BenchmarkHandshake(b *testing.B) {
	for name, peerPassive := range map[string]bool{"server-passive": false, "server-active": true} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b)
			clip := rtcpeer.MakeClip(b, rtcpeer.ClipOptions{})
			var took time.Duration
			n := 0
			for b.Loop() {
				began := time.Now()
				p, err := rtcpeer.Publish(b, h.whip("ana"), rtcpeer.PublishOptions{
					Clip: clip, Passive: peerPassive,
				})
				if err != nil {
					b.Fatal(err)
				}
				took += time.Since(began)
				n++
				p.Close()
			}
			b.ReportMetric(milliseconds(took)/float64(n), "ms-to-connected")
			b.ReportMetric(0, "ns/op")
		})
	}
}
