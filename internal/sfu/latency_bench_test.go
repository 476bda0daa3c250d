package sfu_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// encodings are the x264 settings to compare: the settings of earlier versions of SetUp, the
// present settings, which follow Amazon's documents, and the present settings with sliced threads.
var encodings = []struct {
	name string
	args []string
}{
	{"before", []string{"-x264-params", "keyint=60:bframes=0:repeat-headers=1"}},
	{"as-set-up", []string{"-profile:v", "baseline", "-tune", "zerolatency",
		"-x264-params", "keyint=60:bframes=0:repeat-headers=1:sliced-threads=0"}},
	{"sliced-threads", []string{"-profile:v", "baseline", "-tune", "zerolatency",
		"-x264-params", "keyint=60:bframes=0:repeat-headers=1"}},
}

const (
	latencyWidth, latencyHeight, latencyFPS = 640, 360, 30

	flashes     = 20
	flashEvery  = 36 // frames, plus a random time of at most a third of a second
	flashLength = 6
)

// BenchmarkLatency measures the time from when x264 receives a picture until Chromium shows it. The
// encoder, the publisher, the server and the browser run on this machine. It measures 20 flashes
// for each setting, in a moving pattern of 640x360 at 30 frames a second and 2.5 Mb/s. The time
// that OBS needs before its encoder is not included. The jitter buffer's delay is the mean of the
// whole run. The last row observes the jitter buffer for a minute.
func BenchmarkLatency(b *testing.B) {
	for _, e := range encodings {
		b.Run(e.name, func(b *testing.B) {
			for b.Loop() {
				benchLatency(b, e.args, 0)
			}
		})
	}
	b.Run("as-set-up-for-a-minute", func(b *testing.B) {
		for b.Loop() {
			benchLatency(b, encodings[1].args, time.Minute)
		}
	})
}

func benchLatency(b *testing.B, args []string, longer time.Duration) {
	h := newHarness(b)
	x264 := startEncoder(b, args)
	p, err := rtcpeer.Publish(b, h.whip("obs"), rtcpeer.PublishOptions{Live: x264})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	h.waitEvent("obs", stage.EventPublishing, "")
	page := h.openPage()
	page.Eval("view('ben', 'obs')", nil)
	page.waitStats("ben", func(s browserStats) bool { return s.Inbound.FramesDecoded > 90 })
	page.Eval("watchFlashes('ben')", nil)
	before := page.stats("ben")
	atStart := page.clockAhead(x264.epoch)

	x264.flash(b, flashes)
	if longer > 0 {
		time.Sleep(longer) // so that the mean delay of the jitter buffer covers a longer time
	}
	var shown []float64
	page.Eval("flashes('ben')", &shown)
	after := page.stats("ben")

	atEnd := page.clockAhead(x264.epoch)
	b.Logf("the clocks went apart by %.1f ms", atEnd-atStart)
	for i := range shown {
		shown[i] -= (atStart + atEnd) / 2
	}
	delays := x264.delays(shown)
	if len(delays) < flashes/2 {
		b.Fatalf("saw %d of %d flashes", len(delays), flashes)
	}
	b.ReportMetric(percentile(delays, 50), "ms-median")
	b.ReportMetric(percentile(delays, 95), "ms-p95")
	emitted := after.Inbound.JitterBufferEmittedCount - before.Inbound.JitterBufferEmittedCount
	b.ReportMetric(1000*(after.Inbound.JitterBufferDelay-before.Inbound.JitterBufferDelay)/emitted,
		"ms-jitter-buffer")
	b.ReportMetric(float64(after.Inbound.FreezeCount-before.Inbound.FreezeCount), "freezes")
	b.ReportMetric(0, "ns/op")
}

// clockAhead returns how many milliseconds the page's performance.now() is ahead of the time since
// epoch. Both are monotonic, because the wall clocks of two processes on a virtual machine may
// differ. It uses the reading with the shortest round trip among many. The error is at most half of
// this round trip.
func (p *page) clockAhead(epoch time.Time) (ahead float64) {
	quickest := time.Hour
	for range 50 {
		var there float64
		asked := time.Since(epoch)
		p.Eval("performance.now()", &there)
		answered := time.Since(epoch)
		if took := answered - asked; took < quickest {
			quickest, ahead = took, there-milliseconds(asked+answered)/2
		}
	}
	return ahead
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func percentile(values []float64, percent int) float64 {
	slices.Sort(values)
	return values[min(len(values)-1, len(values)*percent/100)]
}

// An encoder runs ffmpeg with x264. Its net.PacketConn receives ffmpeg's RTP packets.
type encoder struct {
	net.PacketConn
	frames io.WriteCloser
	epoch  time.Time // the time 0 of flashAt and of the page's times

	mu      sync.Mutex
	flashAt []float64 // ms since epoch at which the encoder received white pictures
	wanted  int       // flashes that are still to be encoded
}

func startEncoder(b *testing.B, args []string) *encoder {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	size := fmt.Sprintf("%dx%d", latencyWidth, latencyHeight)
	all := append([]string{"-hide_banner", "-loglevel", "error", "-fflags", "nobuffer",
		"-probesize", "32",
		"-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", size, "-framerate",
		strconv.Itoa(latencyFPS), "-i", "pipe:0",
		"-c:v", "libx264", "-preset", "veryfast", "-b:v", "2500k", "-maxrate", "2500k", "-bufsize",
		"2500k"}, args...)
	all = append(all, "-f", "rtp", fmt.Sprintf("rtp://%s?pkt_size=1200", conn.LocalAddr()))
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ffmpeg", all...)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	e := &encoder{PacketConn: conn, frames: in, epoch: time.Now()}
	var writing sync.WaitGroup
	writing.Go(func() { e.write(ctx) })
	b.Cleanup(func() { cancel(); in.Close(); writing.Wait(); cmd.Wait(); conn.Close() })
	return e
}

// write sends frames to the encoder in real time.
func (e *encoder) write(ctx context.Context) {
	luma := latencyWidth * latencyHeight
	frame := make([]byte, luma*3/2)
	for i := range luma / 2 {
		frame[luma+i] = 128
	}
	start, next, white := time.Now(), flashEvery, 0
	for i := 0; ; i++ {
		at := start.Add(time.Duration(i) * time.Second / latencyFPS)
		select {
		case <-time.After(time.Until(at)):
		case <-ctx.Done():
			return
		}
		e.mu.Lock()
		if e.wanted > 0 && i >= next {
			e.wanted--
			e.flashAt = append(e.flashAt, milliseconds(time.Since(e.epoch)))
			white, next = i+flashLength, i+flashEvery+rand.IntN(10)
		}
		e.mu.Unlock()
		for y := range latencyHeight {
			for x := range latencyWidth {
				frame[y*latencyWidth+x] = byte(40 + (x+3*i)%64 + (y*y/64+i)%32)
			}
		}
		if i < white {
			for j := range luma {
				frame[j] = 235
			}
		}
		if _, err := e.frames.Write(frame); err != nil {
			return
		}
	}
}

// flash encodes n flashes of white pictures and waits until they are shown.
func (e *encoder) flash(b *testing.B, n int) {
	e.mu.Lock()
	e.wanted = n
	e.mu.Unlock()
	for {
		time.Sleep(2 * time.Second)
		e.mu.Lock()
		left := e.wanted
		e.mu.Unlock()
		if left == 0 {
			time.Sleep(2 * time.Second) // until the page has shown the last flash
			return
		}
		if b.Context().Err() != nil {
			b.Fatal(b.Context().Err())
		}
	}
}

// delays returns the milliseconds from each flash's encoding until it was shown.
func (e *encoder) delays(shown []float64) (delays []float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, given := range e.flashAt {
		end := given + 5000
		if i+1 < len(e.flashAt) {
			end = e.flashAt[i+1]
		}
		for _, t := range shown {
			if t >= given && t < end {
				delays = append(delays, t-given)
				break
			}
		}
	}
	return delays
}

// BenchmarkQuality measures how the settings in `encodings` affect picture quality: the mean SSIM
// and PSNR of three sources at 2.5 Mb/s, 1280x720 at 30 frames a second, 10 seconds each. The
// sources are synthetic: a test picture, a zoom into a fractal, and that zoom with noise, which no
// encoder can predict.
func BenchmarkQuality(b *testing.B) {
	for _, source := range []struct{ name, filter string }{
		{"test-picture", "testsrc2=size=1280x720:rate=30"},
		{"fractal", "mandelbrot=size=1280x720:rate=30"},
		{"noise", "mandelbrot=size=1280x720:rate=30,noise=alls=12:allf=t"},
	} {
		for _, e := range encodings {
			b.Run(source.name+"/"+e.name, func(b *testing.B) {
				for b.Loop() {
					benchQuality(b, source.filter, e.args)
				}
			})
		}
	}
}

var (
	ssim = regexp.MustCompile(`SSIM .*All:([0-9.]+)`)
	psnr = regexp.MustCompile(`PSNR .*average:([0-9.]+)`)
)

func benchQuality(b *testing.B, source string, args []string) {
	dir := b.TempDir()
	run := func(args ...string) string {
		cmd := exec.Command("ffmpeg", append([]string{"-hide_banner", "-y"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("ffmpeg: %v: %s", err, out)
		}
		return string(out)
	}
	run(append(append([]string{"-f", "lavfi", "-i", source, "-t", "10", "-pix_fmt", "yuv420p",
		"-c:v", "libx264", "-preset", "veryfast", "-b:v", "2500k", "-maxrate", "2500k", "-bufsize",
		"2500k"},
		args...), "out.mkv")...)
	out := run("-i", "out.mkv", "-f", "lavfi", "-t", "10", "-i", source+",format=yuv420p",
		"-lavfi", "[0][1]ssim;[0][1]psnr", "-f", "null", "-")
	for unit, pattern := range map[string]*regexp.Regexp{"SSIM": ssim, "dB-PSNR": psnr} {
		found := pattern.FindStringSubmatch(out)
		if found == nil {
			b.Fatalf("no %s in %s", unit, out)
		}
		value, _ := strconv.ParseFloat(found[1], 64)
		b.ReportMetric(value, unit)
	}
	b.ReportMetric(0, "ns/op")
}
