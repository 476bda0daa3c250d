package sfu_test

import (
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

// BenchmarkHandshake measures the time from the offer of a pion peer on loopback until the
// connection is up: ICE, DTLS and the keys of SRTP. The server is the DTLS server (passive) or the
// DTLS client (active). As the DTLS client, the server starts the handshake after the first
// connectivity check.
func BenchmarkHandshake(b *testing.B) {
	for name, peerPassive := range map[string]bool{"server-passive": false, "server-active": true} {
		b.Run(name, func(b *testing.B) {
			h := newHarness(b)
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
