package sfu_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"go.uber.org/goleak"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/lossy"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(browser.Share(m)) }

func TestTakenPort(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, err := sfu.New(sfu.Config{Listen: h.Addr().String()})
	var problem *stage.Error
	if !errors.As(err, &problem) || problem.Code != "port_taken" ||
		!strings.Contains(problem.Detail, h.Addr().String()) {
		t.Errorf("got %v, want port_taken with the address", err)
	}
}

// TestWildcardAddress: a server on a wildcard address announces loopback, too, and serves
// publishers and viewers.
func TestWildcardAddress(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *sfu.Config) { c.Listen = ":0" })
	p := h.publish("ana", rtcpeer.PublishOptions{})
	if !strings.Contains(p.Answer.SDP, " 127.0.0.1 ") {
		t.Errorf("loopback is not announced:\n%s", p.Answer.SDP)
	}
	v := h.view("ben", "ana", rtcpeer.ViewOptions{})
	if err := v.WaitFrames(patient(t), 10); err != nil {
		t.Error(err)
	}
}

func TestAnnouncedHosts(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *sfu.Config) {
		c.Hosts = []string{"192.0.2.7", "198.51.100.1:5000",
			"localhost"}
	})
	offer, err := os.ReadFile("testdata/offers/obs-30.2.sdp")
	if err != nil {
		t.Fatal(err)
	}
	_, answer, err := h.Publish(t.Context(), h.who("ana"), string(offer))
	if err != nil {
		t.Fatal(err)
	}
	port := fmt.Sprint(h.Addr().Port())
	for _, want := range []string{" 192.0.2.7 " + port + " typ host", " 198.51.100.1 5000 typ host",
		" 127.0.0.1 " + port + " typ host"} {
		if !strings.Contains(answer, want) {
			t.Errorf("%q is not announced in\n%s", want, answer)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *sfu.Config) { c.MaxPublishers = 1 })
	h.publish("ana", rtcpeer.PublishOptions{})
	publish := func(o rtcpeer.PublishOptions) error {
		_, err := rtcpeer.Publish(t, h.whip("ben"), o)
		return err
	}
	view := func(target stage.ParticipantID) error {
		_, err := rtcpeer.View(t, h.whep("ben", target), rtcpeer.ViewOptions{})
		return err
	}
	for name, test := range map[string]struct {
		err  error
		kind error
		code string
	}{
		"no H.264": {publish(rtcpeer.PublishOptions{VP8: true}), stage.ErrInvalid,
			"no_h264"},
		"sound alone": {publish(rtcpeer.PublishOptions{NoVideo: true}), stage.ErrInvalid,
			"no_h264"},
		"one too many":     {publish(rtcpeer.PublishOptions{}), stage.ErrConflict, "stage_full"},
		"nobody publishes": {view("nobody"), stage.ErrNotFound, "not_publishing"},
	} {
		var problem *stage.Error
		if !errors.As(test.err, &problem) || !errors.Is(test.err, test.kind) ||
			problem.Code != test.code {
			t.Errorf("%s: got %v, want %v %s", name, test.err, test.kind, test.code)
		}
	}
}

// TestTakeover: when a participant publishes again, as OBS does after a network loss, the viewer
// continues without a new negotiation.
func TestTakeover(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first := h.publish("ana", rtcpeer.PublishOptions{})
	v := h.view("ben", "ana", rtcpeer.ViewOptions{})
	ctx := patient(t)
	if err := v.WaitFrames(ctx, 30); err != nil {
		t.Fatal(err)
	}
	h.publish("ana", rtcpeer.PublishOptions{})
	h.waitEvent("ana", stage.EventEnded, "replaced")
	select {
	case <-first.Closed():
	case <-ctx.Done():
		t.Fatal("the earlier publisher was not told")
	}
	before := v.Stats()
	if err := v.Wait(ctx, func(s rtcpeer.Stats) bool {
		return s.Frames > before.Frames+60 && s.AudioPackets > before.AudioPackets+60
	}); err != nil {
		t.Fatal(err)
	}
	if s := v.Stats(); s.Broken > 0 {
		t.Errorf("%d frames could not be decoded, want 0", s.Broken)
	}
}

func TestHowSessionsEnd(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "waits for limits")
	h := newHarness(
		t, func(c *sfu.Config) { c.Silence = 4 * time.Second; c.Linger = time.Millisecond })
	ctx := patient(t)

	leaves := h.publish("leaves", rtcpeer.PublishOptions{})
	h.waitEvent("leaves", stage.EventConnected, "")
	leaves.Close()
	h.waitEvent("leaves", stage.EventEnded, "closed_by_peer")

	deleted := h.publish("deleted", rtcpeer.PublishOptions{})
	watcher := h.view("watcher", "deleted", rtcpeer.ViewOptions{})
	if err := deleted.Answer.HangUp(ctx); err != nil {
		t.Fatal(err)
	}
	h.waitEvent("deleted", stage.EventEnded, "deleted")

	kicked := h.publish("kicked", rtcpeer.PublishOptions{})
	if err := h.Disconnect(ctx, h.arn, "kicked", "Be nice."); err != nil {
		t.Fatal(err)
	}
	if e := h.waitEvent("kicked", stage.EventEnded, "kicked"); e.Detail != "Be nice." {
		t.Errorf("got %q, want the operator's reason", e.Detail)
	}
	if err := h.Disconnect(ctx, h.arn, "kicked", ""); !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("Disconnect twice: got %v, want not found", err)
	}

	link, endpoint := h.link(h.whip("lost"), lossy.Options{})
	if _, err := rtcpeer.Publish(t, endpoint, rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	link.Cut()
	h.waitEvent("lost", stage.EventEnded, "lost")

	for name, closed := range map[string]<-chan struct{}{"deleted": deleted.Closed(),
		"kicked": kicked.Closed(), "the deserted viewer": watcher.Closed()} {
		select {
		case <-closed:
		case <-ctx.Done():
			t.Fatalf("%s: the end of the session did not arrive", name)
		}
	}
}

// TestASessionThatNeverConnectsIsRemoved: if the sender of an offer never connects, its session is
// removed.
func TestASessionThatNeverConnectsIsRemoved(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *sfu.Config) { c.Silence = 200 * time.Millisecond })
	offer, err := os.ReadFile("testdata/offers/obs-30.2.sdp")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Publish(t.Context(), h.who("ana"), string(offer)); err != nil {
		t.Fatal(err)
	}
	h.waitEvent("ana", stage.EventEnded, "never_connected")
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]bool{"cut": true, "goes on": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ahead atomic.Int64
			h := newHarness(t, func(c *sfu.Config) {
				c.EndAtExpiry = cut
				c.Silence = 2 * time.Hour // longer than the jump of the clock
				c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			})
			h.expires = time.Now().Add(time.Hour)
			h.publish("ana", rtcpeer.PublishOptions{})
			h.waitEvent("ana", stage.EventPublishing, "")
			v := h.view("ben", "ana", rtcpeer.ViewOptions{})
			ctx := patient(t)
			if err := v.WaitAudio(ctx, 10); err != nil {
				t.Fatal(err)
			}
			ahead.Store(int64(time.Hour))
			if cut {
				h.waitEvent("ana", stage.EventEnded, "token_expired")
				return
			}
			if err := v.WaitAudio(ctx, v.Stats().AudioPackets+100); err != nil { // 2 s
				t.Error(err)
			}
		})
	}
}

func TestLongestSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *sfu.Config) { c.MaxDuration = time.Second })
	h.publish("ana", rtcpeer.PublishOptions{})
	h.waitEvent("ana", stage.EventEnded, "stream_duration_exceeded")
}

func TestPresence(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.publish("ana", rtcpeer.PublishOptions{NoAudio: true})
	h.waitEvent("ana", stage.EventPublishing, "")
	h.view("ben", "ana", rtcpeer.ViewOptions{NoAudio: true})
	list, err := h.Participants(context.Background(), h.arn)
	if err != nil || len(list) != 2 {
		t.Fatalf("got %v %v, want two participants", list, err)
	}
	if p := list[0]; p.Participant.ID != "ana" || !p.Publishing || !p.AudioMuted || p.VideoMuted ||
		p.Viewers != 1 {
		t.Errorf("got %+v, want ana who publishes the picture alone to one viewer", p)
	}
	if p := list[1]; p.Participant.ID != "ben" || p.Publishing {
		t.Errorf("got %+v, want ben who views", p)
	}
	if other, _ := h.Participants(context.Background(), stage.LocalARN("other")); len(other) != 0 {
		t.Errorf("got %v on another stage, want nobody", other)
	}
}

// TestAStalledSenderHasNotSwitchedItsCameraOff: pages can distinguish a stalled sender from one
// whose camera is off.
func TestAStalledSenderHasNotSwitchedItsCameraOff(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ana := h.publish("ana", rtcpeer.PublishOptions{})
	h.waitEvent("ana", stage.EventPublishing, "")
	stalled := func() map[stage.ParticipantID]bool {
		list, err := h.Participants(context.Background(), h.arn)
		if err != nil {
			t.Fatal(err)
		}
		found := map[stage.ParticipantID]bool{}
		for _, p := range list {
			found[p.Participant.ID] = p.Stalled
		}
		return found
	}
	if stalled()["ana"] {
		t.Error("stalled while she sends")
	}
	ctx := patient(t)
	for _, on := range []bool{true, false} {
		ana.Pause(on)
		for stalled()["ana"] != on {
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("paused is %v: stalled is %v, want the same for Ana", on, stalled())
			}
		}
	}
}

// TestLossIsRepaired: packets are lost both on the way from the publisher and on the way to the
// viewer. Each receiver requests the missing packets, and the sender repeats them.
func TestLossIsRepaired(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "real media")
	h := newHarness(t)
	up, publishing := h.link(h.whip("ana"), lossy.Options{})
	if _, err := rtcpeer.Publish(t, publishing, rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	down, viewing := h.link(h.whep("ben", "ana"), lossy.Options{})
	// The viewer waits long for a repeated packet, because a busy machine may repeat it late.
	v, err := rtcpeer.View(t, viewing, rtcpeer.ViewOptions{Patience: 8 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx := patient(t)
	if err := v.WaitFrames(ctx, 30); err != nil {
		t.Fatal(err)
	}
	up.Set(lossy.Conditions{Picks: everyNth(20)}, lossy.Conditions{})
	down.Set(lossy.Conditions{}, lossy.Conditions{Picks: everyNth(30)})
	before := v.Stats()
	if err := v.Wait(ctx, func(s rtcpeer.Stats) bool {
		return s.Frames > before.Frames+
			120
	}); err != nil {
		t.Fatal(err)
	}
	sent, _ := up.Counts()
	_, received := down.Counts()
	if sent.Lost == 0 || received.Lost == 0 {
		t.Errorf("lost %d up and %d down: the network was too good", sent.Lost, received.Lost)
	}
	// The test counts gaps and not frames, because one gap breaks every frame up to the next
	// keyframe. Without repair, at least a quarter of the losses on each side would cause gaps. The
	// limit of the test is half of that.
	if s := v.Stats(); s.Gaps-before.Gaps > min(sent.Lost, received.Lost)/8 {
		t.Errorf("%d packets were lost up and %d down, and %d gaps stayed", sent.Lost,
			received.Lost, s.Gaps-before.Gaps)
	}
}

// everyNth picks every nth media packet.
func everyNth(n int64) func([]byte) bool {
	var count atomic.Int64
	return func(b []byte) bool {
		return len(b) >= 200 && b[0]&0xc0 == 0x80 && count.Add(1)%n == 0
	}
}

func TestPLIReachesThePublisher(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	p := h.publish("ana", rtcpeer.PublishOptions{})
	v := h.view("ben", "ana", rtcpeer.ViewOptions{})
	ctx := patient(t)
	if err := v.WaitFrames(ctx, 5); err != nil {
		t.Fatal(err)
	}
	for p.KeyframeRequests() == 0 {
		if err := v.AskKeyframe(); err != nil {
			t.Fatal(err)
		}
		before := v.Stats()
		if err := v.Wait(
			ctx, func(s rtcpeer.Stats) bool {
				return s.AudioPackets > before.AudioPackets
			}); err != nil {
			t.Fatalf("no keyframe was asked for: %v", err)
		}
	}
}

// TestFirstPictureFast: OBS does not answer PLI, so a viewer who joins late in a long keyframe
// interval must not wait for the next keyframe. The aims are 300 ms to the first picture, which the
// benchmark measures, and 2 s to the live edge. The test counts frames, because a busy machine is
// slow.
func TestFirstPictureFast(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "real media")
	const keyint, came = 120, 60 // 8 s, and the viewer joins in the middle
	h := newHarness(t)
	p := h.publish("ana", rtcpeer.PublishOptions{
		Clip: rtcpeer.MakeClip(t, rtcpeer.ClipOptions{FPS: 15, Keyint: keyint, Bitrate: 500_000}),
	})
	ctx := patient(t)
	early := h.view("early", "ana", rtcpeer.ViewOptions{})
	if err := early.WaitFrames(ctx, came); err != nil {
		t.Fatal(err)
	}
	v := h.view("late", "ana", rtcpeer.ViewOptions{})
	// A viewer that has caught up has received every frame since the keyframe before it connected,
	// except those in transit and those that were lost. A viewer that waited for the next keyframe
	// would never receive the earlier frames. On a busy machine the viewer may connect after the
	// first interval.
	before := p.Frames() / keyint * keyint
	if err := v.Wait(ctx, func(s rtcpeer.Stats) bool {
		return s.Frames+s.Missing >= p.Frames()-before-5
	}); err != nil {
		t.Fatalf("the viewer never catches up: %v", err)
	}
	t.Logf("first frame after %v, live after %v", v.Stats().FirstFrame, time.Since(v.Answered))
	inStep(t, ctx, v)
}

// inStep waits until sound and picture are synchronized: the time between the last frame and the
// last sound, computed from the sender reports, equals the time between their arrivals.
func inStep(t *testing.T, ctx context.Context, v *rtcpeer.Viewer) {
	t.Helper()
	moment := func(r *rtcp.SenderReport, ts uint32, clock float64) float64 {
		return float64(r.NTPTime>>32) + float64(r.NTPTime&0xffffffff)/(1<<32) + float64(
			int32(ts-r.RTPTime))/clock
	}
	if err := v.Wait(ctx, func(s rtcpeer.Stats) bool {
		if s.VideoReport == nil || s.AudioReport == nil {
			return false
		}
		apart := moment(s.VideoReport, s.LastVideoTS, 90000) - moment(s.AudioReport, s.LastAudioTS,
			48000) - s.LastVideo.Sub(s.LastAudio).Seconds()
		return apart < 0.08 && apart > -0.08
	}); err != nil {
		t.Errorf("sound and picture never come in step: %v", err)
	}
}
