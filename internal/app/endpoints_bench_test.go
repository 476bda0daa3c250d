package app_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

// BenchmarkGoodTokenInAFlood posts offers with a valid token while eight clients of the same
// address send wrong tokens as fast as they can. The metric let-in is the share of valid tokens
// that were accepted, and must be 1.
func BenchmarkGoodTokenInAFlood(b *testing.B) {
	a := apptest.Start(b)
	good := a.Operator().Token("publish").Token
	wrong := good[:len(good)-4] + "AAAA"
	post := func(bearer string) int {
		r, _ := http.NewRequestWithContext(b.Context(), "POST", a.URL+"/whip",
			strings.NewReader("v=0\r\n"))
		r.Header.Set("Authorization", "Bearer "+bearer)
		r.Header.Set("Content-Type", "application/sdp")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0
		}
		defer answer.Body.Close()
		io.Copy(io.Discard, answer.Body)
		return answer.StatusCode
	}
	var flood sync.WaitGroup
	var stop atomic.Bool
	var refused atomic.Int64
	for range 8 {
		flood.Go(func() {
			for !stop.Load() {
				if post(wrong) == http.StatusTooManyRequests {
					refused.Add(1)
				}
			}
		})
	}
	for refused.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	start, before, letIn, tries := time.Now(), refused.Load(), 0, 0
	for b.Loop() {
		tries++
		// The offer has no media, so the status for an accepted token is 400. Each 400 is a
		// refusal, and a participant may have 30 refusals at once and one more per second.
		if post(good) == http.StatusBadRequest {
			letIn++
		}
		time.Sleep(time.Second)
	}
	b.StopTimer()
	b.ReportMetric(float64(letIn)/float64(tries), "let-in")
	b.ReportMetric(float64(refused.Load()-before)/time.Since(start).Seconds(), "wrong/s")
	stop.Store(true)
	flood.Wait()
}

// BenchmarkSignInBeside64 measures an operator's sign-in alone, and beside 64 sign-ins of a
// broadcaster at once. The metric beside/alone is the ratio of the two times.
func BenchmarkSignInBeside64(b *testing.B) {
	a := apptest.Start(b)
	a.Broadcaster(a.Operator(), "ana", "publish")
	signIn := func(name string) time.Duration {
		start := time.Now()
		a.Browser().Do("POST", "/api/login",
			web.Credentials{Name: name, Password: apptest.Password})
		return time.Since(start)
	}
	var alone, beside time.Duration
	for b.Loop() {
		alone += signIn("olga")
		var others sync.WaitGroup
		for range 64 {
			others.Go(func() { signIn("ana") })
		}
		time.Sleep(50 * time.Millisecond) // until the 64 requests wait
		beside += signIn("olga")
		others.Wait()
	}
	b.ReportMetric(alone.Seconds()*1000/float64(b.N), "alone-ms")
	b.ReportMetric(beside.Seconds()*1000/float64(b.N), "beside-ms")
	b.ReportMetric(float64(beside)/float64(alone), "beside/alone")
}
