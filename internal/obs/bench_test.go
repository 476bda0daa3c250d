package obs_test

import (
	"context"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/realobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// benches runs a benchmark over a fake without delays, which shows the cost of Stagedoor's own
// steps, and over a real OBS. This OBS has no WHIP, so a relay between it and the client presents a
// custom RTMP service as WHIP.
func benches(b *testing.B, run func(b *testing.B, c *obs.Client)) {
	b.Run("fake", func(b *testing.B) {
		run(b, connect(b, fakeobs.Start(b, fakeobs.Options{Version: fakeobs.OBS30_2}).URL(), ""))
	})
	b.Run("real", func(b *testing.B) {
		run(b, connect(b, pretendWHIP(b, realobs.Start(b, "secret").URL()), "secret"))
	})
}

// BenchmarkSetUp measures the time from the start of a set-up until its result is verified, on a
// fresh profile each time.
func BenchmarkSetUp(b *testing.B) {
	benches(b, func(b *testing.B, c *obs.Client) {
		var spent time.Duration
		for b.Loop() {
			start := time.Now()
			if _, err := obs.SetUp(b.Context(), c, target(), quiet); err != nil {
				b.Fatal(err)
			}
			spent += time.Since(start)
			if _, err := obs.Back(b.Context(), c); err != nil {
				b.Fatal(err)
			}
			if err := c.Call(b.Context(), "RemoveProfile",
				map[string]any{"profileName": obs.Profile}, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "ms/setup")
	})
}

// BenchmarkGoLive measures the time from the start of going live until StartStream is sent. OBS
// then calls an endpoint that does not exist.
func BenchmarkGoLive(b *testing.B) {
	benches(b, func(b *testing.B, c *obs.Client) {
		refused := obs.Target{Limits: stage.DefaultLimits(),
			Issue: func(context.Context) (obs.Pass, error) {
				// an IP address needs no look-up, and its port refuses the connection at once
				return obs.Pass{Endpoint: "rtmp://127.0.0.1:9/x", Bearer: stage.NewSecret(bearer)},
					nil
			}}
		if _, err := obs.SetUp(b.Context(), c, refused, quiet); err != nil {
			b.Fatal(err)
		}
		var spent time.Duration
		for b.Loop() {
			start := time.Now()
			_, err := obs.GoLive(b.Context(), c,
				obs.Broadcast{Limits: stage.DefaultLimits(), Issue: refused.Issue, Now: time.Now,
					Progress: func(sentence string) {
						if sentence == "OBS connects to the stage" {
							spent += time.Since(start)
						}
					}})
			if err == nil {
				b.Fatal("live without anybody to call")
			}
		}
		b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "ms/start")
	})
}
