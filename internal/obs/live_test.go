package obs_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A judge is a fake Stage whose answers the test chooses.
type judge struct {
	mu    sync.Mutex
	v     obs.Verdict
	asked int
}

func (j *judge) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.asked
}

func (j *judge) Verdict(context.Context, stage.ParticipantID) (obs.Verdict, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.asked++
	return j.v, nil
}

func (j *judge) say(v obs.Verdict) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.v = v
}

// A harness is a fake OBS that is set up, with a WHIP endpoint and a fake Stage.
type harness struct {
	*fakeobs.OBS
	far   *fakeobs.Far
	judge *judge
	c     *obs.Client
	b     obs.Broadcast

	local bool // the stage is served by Stagedoor itself

	mu     sync.Mutex
	passes int
}

// pass issues a pass with a new token at each call.
func (h *harness) pass(context.Context) (obs.Pass, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.passes++
	arn := stage.ARN("arn:aws:ivs:eu-central-1:123456789012:stage/abc")
	if h.local {
		arn = "arn:aws:ivs:local:000000000000:stage/main"
	}
	return obs.Pass{Stage: arn, Participant: "p1", Endpoint: endpoint,
		Bearer:    stage.NewSecret(bearer + strings.Repeat("+", h.passes)),
		ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func newHarness(t *testing.T, opts fakeobs.Options) *harness {
	t.Helper()
	far := fakeobs.NewFar()
	opts.Output = far.Output
	h := &harness{OBS: fakeobs.Start(t, opts), far: far,
		judge: &judge{v: obs.Verdict{Publishing: true}}}
	h.c = connect(t, h.URL(), opts.Password)
	h.b = obs.Broadcast{
		Limits: stage.DefaultLimits(), Issue: h.pass, Stage: h.judge, Now: time.Now,
		Progress: func(string) {},
		Waits: obs.Waits{Start: 2 * time.Second, Stage: 30 * time.Second, Stop: 30 * time.Second,
			Connect: 500 * time.Millisecond, Poll: 50 * time.Millisecond},
	}
	return h
}

func ready(t *testing.T, opts fakeobs.Options) *harness {
	t.Helper()
	h := newHarness(t, opts)
	setUp(t, h.c, target())
	return h
}

func (h *harness) goLive(t *testing.T) obs.Live {
	t.Helper()
	live, err := obs.GoLive(t.Context(), h.c, h.b)
	if err != nil {
		t.Fatalf("GoLive: %v", err)
	}
	return live
}

func TestGoLiveAndStop(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	if live := h.goLive(t); live.Already || live.Participant != "p1" {
		t.Errorf("GoLive: got %+v, want a new broadcast of p1", live)
	}
	want := fakeobs.Call{Endpoint: endpoint, Bearer: bearer + "+", Opus: true}
	if calls := h.far.Calls(); len(calls) != 1 || calls[0] != want {
		t.Errorf("OBS called %+v, want %+v once", calls, want)
	}
	if live := h.goLive(t); !live.Already || len(h.far.Calls()) != 1 {
		t.Errorf("a second GoLive: got %+v and %d calls, want no other call",
			live, len(h.far.Calls()))
	}
	s, err := obs.Status(t.Context(), h.c, stage.DefaultLimits())
	if err != nil || !s.Live || !s.Ready || s.Server != endpoint {
		t.Errorf("Status: got %+v, %v, want live and ready at the endpoint", s, err)
	}
	for range 2 { // the second Stop, of an OBS that does not stream, is no error
		if err := obs.Stop(t.Context(), h.c, h.b.Waits); err != nil {
			t.Errorf("Stop: %v", err)
		}
	}
	if h.State().Active {
		t.Error("OBS streams on")
	}
}

// TestGoLiveFails: each kind of failure has its own sentence, and leaves no stream running.
func TestGoLiveFails(t *testing.T) {
	t.Parallel()
	refused := obs.Verdict{Kind: stage.EventRefused, Code: "token_expired",
		Detail: "The token has expired."}
	for name, c := range map[string]struct {
		prepare func(*harness)
		code    string
		says    string
	}{
		"the endpoint is not there": {func(
			h *harness) {
			h.far.Answer(fakeobs.Refuse(404))
			h.judge.say(obs.Verdict{})
		}, "obs_unreached", "could not reach"},
		"the stage refuses": {func(
			h *harness) {
			h.far.Answer(fakeobs.Refuse(401))
			h.judge.say(refused)
		}, "token_expired", "The token has expired."},
		"OBS fails before it starts, in silence": {func(
			h *harness) {
			h.FailNextStart(fakeobs.BeforeStart)
		}, "obs_silent", "did not start"},
		"OBS fails after STARTING, in silence": {func(
			h *harness) {
			h.FailNextStart(fakeobs.AfterStarting)
		}, "obs_silent", "did not start"},
		"no media comes": {func(h *harness) {
			h.judge.say(obs.Verdict{Kind: stage.EventConnected})
			h.b.Waits.Stage = time.Second
		}, "no_media", "no picture or sound arrives"},
		"the stage ends it at once": {func(h *harness) {
			h.judge.say(obs.Verdict{Kind: stage.EventEnded, Code: "b_frames", Detail: "B-frames."})
		}, "b_frames", "B-frames."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := ready(t, fakeobs.Options{})
			c.prepare(h)
			_, err := obs.GoLive(t.Context(), h.c, h.b)
			mustBe(t, err, c.code)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want a sentence with %q", err, c.says)
			}
			if h.State().Active {
				t.Error("OBS streams on")
			}
		})
	}
}

func TestGoLiveNeedsAnOBSThatIsSetUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fakeobs.Options{})
	_, err := obs.GoLive(t.Context(), h.c, h.b)
	mustBe(t, err, "obs_not_ready")
	if h.State().Attempts != 0 || h.passes != 0 {
		t.Errorf("got %d starts and %d tokens, want none", h.State().Attempts, h.passes)
	}
}

// TestGoLiveLeavesAnotherStreamAlone: GoLive does not stop a stream to another service.
func TestGoLiveLeavesAnotherStreamAlone(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	h.goLive(t)
	h.Edit(func(_ map[string]string, s *fakeobs.Service) {
		*s = fakeobs.Service{Type: "rtmp_common", Settings: map[string]any{"service": "Twitch"}}
	})
	_, err := obs.GoLive(t.Context(), h.c, h.b)
	mustBe(t, err, "obs_busy")
	mustSay(t, err, "OBS is streaming to another service.")
	if !h.State().Active {
		t.Error("the other stream was stopped")
	}
}

// TestGoLiveCutsTheReconnectLoopShort: an OBS that reconnects with an invalid token would try for
// three hours, and refuse new settings meanwhile.
func TestGoLiveCutsTheReconnectLoopShort(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	h.goLive(t)
	h.far.Answer(func(ctx context.Context, endpoint, token string, opus bool) (fakeobs.Session,
		error) {
		if token == bearer+"+" {
			return nil, errors.New("401")
		}
		return fakeobs.Accept()(ctx, endpoint, token, opus)
	})
	h.far.Drop()
	h.WaitStream(t, "RECONNECTING")
	if live := h.goLive(t); live.Already {
		t.Error("a reconnect loop counts as live")
	}
	calls := h.far.Calls()
	if got := calls[len(calls)-1].Bearer; got != bearer+"++" {
		t.Errorf("OBS called with %q, want the second token", got)
	}
}

// keep runs Keep until the test ends or Keep returns.
func (h *harness) keep(t *testing.T) (result <-chan error, end context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done, live := make(chan error, 1), make(chan obs.Live, 8)
	go func() {
		done <- obs.Keep(ctx, h.c, h.b,
			func(l obs.Live) error { live <- l; return nil })
	}()
	t.Cleanup(cancel)
	select {
	case <-live:
	case err := <-done:
		t.Fatalf("Keep: got %v, want a broadcast", err)
	}
	return done, cancel
}

func TestKeepRenewsADeadTokenOnce(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	done, _ := h.keep(t)
	refused := obs.Verdict{Kind: stage.EventRefused, Code: "token_expired",
		Detail: "The token has expired."}
	deadUntilRenewed := func(ctx context.Context, endpoint, token string,
		opus bool) (fakeobs.Session, error) {
		if token == bearer+"+" {
			h.judge.say(refused)
			return nil, errors.New("401")
		}
		h.judge.say(obs.Verdict{Publishing: true})
		return fakeobs.Accept()(ctx, endpoint, token, opus)
	}
	h.far.Answer(deadUntilRenewed)
	h.judge.say(obs.Verdict{Kind: stage.EventEnded, Code: "lost"})
	h.far.Drop()
	h.Wait(t, "the renewed broadcast", func(s fakeobs.State) bool {
		calls := h.far.Calls()
		return s.Stream == "STARTED" && calls[len(calls)-1].Bearer == bearer+"++"
	})

	// After a second failure within minutes Keep reports the reason, and OBS stays stopped.
	h.far.Answer(func(context.Context, string, string, bool) (fakeobs.Session, error) {
		h.judge.say(refused)
		return nil, errors.New("401")
	})
	h.far.Drop()
	mustBe(t, <-done, "token_expired")
	if h.State().Active {
		t.Error("OBS goes on trying")
	}
}

// TestKeepStartsAgainAfterAnUnexpectedStop: after ICE has failed, OBS stops and does not reconnect,
// so Keep starts it again.
func TestKeepStartsAgainAfterAnUnexpectedStop(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	_, end := h.keep(t)
	h.far.Lose()
	h.Wait(t, "a second start", func(s fakeobs.State) bool {
		return s.Stream == "STARTED" && s.Attempts == 2
	})
	end()
	h.WaitStream(t, "STOPPED")
}

func TestKeepLetsOBSReconnectByItself(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	done, end := h.keep(t)
	h.judge.say(obs.Verdict{Kind: stage.EventEnded, Code: "lost"})
	h.far.Drop()
	h.WaitStream(t, "RECONNECTED")
	h.judge.say(obs.Verdict{Publishing: true})
	if calls := h.far.Calls(); calls[len(calls)-1].Bearer != bearer+"+" {
		t.Errorf("got %+v, want the first token again", calls)
	}
	end()
	if err := <-done; err != nil {
		t.Errorf("Keep: got %v", err)
	}
	if h.State().Active {
		t.Error("OBS streams on after the end")
	}
}

func TestKeepRespectsAStopAndAKick(t *testing.T) {
	t.Parallel()
	t.Run("stopped in OBS", func(t *testing.T) {
		t.Parallel()
		h := ready(t, fakeobs.Options{})
		done, _ := h.keep(t)
		h.StopByHand()
		if err := <-done; err != nil {
			t.Errorf("Keep: got %v", err)
		}
		if got := h.State().Attempts; got != 1 {
			t.Errorf("got %d starts, want 1", got)
		}
	})
	for name, c := range map[string]struct{ detail, want string }{
		"with a reason":    {"Noise.", "A moderator ended your broadcast: Noise."},
		"without a reason": {stage.NoReasonOfModerator, "A moderator ended your broadcast."},
	} {
		t.Run("kicked off the stage "+name, func(t *testing.T) {
			t.Parallel()
			h := ready(t, fakeobs.Options{})
			done, _ := h.keep(t)
			h.judge.say(obs.Verdict{Kind: stage.EventEnded, Code: "kicked",
				Detail: c.detail, ByRole: "moderator"})
			h.far.Answer(fakeobs.Refuse(401))
			h.far.Drop()
			err := <-done
			mustBe(t, err, "kicked")
			mustSay(t, err, c.want)
			if h.State().Active {
				t.Error("OBS goes on trying")
			}
		})
	}
	t.Run("ended for what OBS sends", func(t *testing.T) {
		t.Parallel()
		h := ready(t, fakeobs.Options{Second: time.Second})
		done, _ := h.keep(t)
		h.judge.say(obs.Verdict{Kind: stage.EventEnded, Code: "bitrate_exceeded",
			Detail: "9.0 Mb/s come in; the stage takes 8.5 at most."})
		h.far.Drop()
		mustBe(t, <-done, "bitrate_exceeded")
		if s := h.State(); s.Active || s.Attempts != 1 {
			t.Errorf("OBS tries again what cannot be better: %+v", s)
		}
	})
	t.Run("OBS quits", func(t *testing.T) {
		t.Parallel()
		h := ready(t, fakeobs.Options{})
		done, _ := h.keep(t)
		h.Quit()
		if err := <-done; err == nil {
			t.Error("Keep ended without an error")
		}
	})
}

// TestReadingsAndErrorsHideTheToken: neither a printed Reading nor the output of "obs status"
// contains the token.
func TestReadingsAndErrorsHideTheToken(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	h.goLive(t)
	r, err := obs.Read(t.Context(), h.c)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := &obs.Commands{OBS: obs.Options{URL: h.URL()}, JSON: true, Out: &out}
	if err := cmd.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{standingOf(r), out.String()} {
		if strings.Contains(text, bearer) || text == "" {
			t.Errorf("the token is in %q", text)
		}
	}
}

// TestAClaimEndsNoBroadcast: a refusal of a token with a wrong signature ends no broadcast, because
// anybody can cause it.
func TestAClaimEndsNoBroadcast(t *testing.T) {
	t.Parallel()
	claim := obs.Verdict{Kind: stage.EventRefused, Code: stage.CodeSignature,
		Detail: "The token's signature is wrong.", Claimed: true}
	h := ready(t, fakeobs.Options{})
	done, end := h.keep(t)
	h.judge.say(claim)
	h.far.Drop()
	h.WaitStream(t, "RECONNECTED")
	end()
	if err := <-done; err != nil || h.passes != 1 {
		t.Errorf("Keep: got %v after %d tokens, want the first token to go on", err, h.passes)
	}

	t.Log("the refusal explains why a start failed")
	h.far.Answer(fakeobs.Refuse(401))
	_, err := obs.GoLive(t.Context(), h.c, h.b)
	mustBe(t, err, stage.CodeSignature)
}

// connectsSlowly makes the endpoint wait with its answer until the returned channel is closed.
func (h *harness) connectsSlowly() chan struct{} {
	open := make(chan struct{})
	h.far.Answer(func(ctx context.Context, endpoint, token string, opus bool) (fakeobs.Session,
		error) {
		<-open
		return fakeobs.Accept()(ctx, endpoint, token, opus)
	})
	return open
}

// TestStopWhileOBSConnects: while OBS connects, it reports that no stream runs. If Stop did not
// wait, OBS would go live a moment later.
func TestStopWhileOBSConnects(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	open := h.connectsSlowly()
	h.StartByHand()
	h.Wait(t, "the attempt", func(s fakeobs.State) bool { return s.Attempts == 1 })
	waits := h.b.Waits
	waits.Connect = 10 * time.Second
	done := make(chan error, 1)
	go func() { done <- obs.Stop(t.Context(), h.c, waits) }()
	h.WaitRequest(t, "StopStream", 1)
	close(open)
	if err := <-done; err != nil {
		t.Errorf("Stop: got %v", err)
	}
	if s := h.State(); s.Active || s.Stream != "STOPPED" {
		t.Errorf("OBS streams on: %+v", s)
	}
}

// TestGivingUpWhileStarting: if ctx ends while OBS connects, no stream keeps running. OBS refuses
// StopStream while it connects, so the stream is stopped after it has started.
func TestGivingUpWhileStarting(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	open := h.connectsSlowly()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := obs.GoLive(ctx, h.c, h.b)
		done <- err
	}()
	h.Wait(t, "the attempt", func(s fakeobs.State) bool { return s.Attempts == 1 })
	cancel()
	close(open)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("GoLive: got %v, want context.Canceled", err)
	}
	if s := h.State(); s.Active {
		t.Errorf("OBS streams on: %+v", s)
	}
}

// lateStage reports that media arrives, at the moment when the person gives up.
type lateStage struct{ giveUp context.CancelFunc }

func (s lateStage) Verdict(context.Context, stage.ParticipantID) (obs.Verdict, error) {
	s.giveUp()
	return obs.Verdict{Publishing: true}, nil
}

// TestGivingUpWhenTheBroadcastStarts: no stream keeps running if ctx ends at the same moment.
func TestGivingUpWhenTheBroadcastStarts(t *testing.T) {
	t.Parallel()
	for range 5 {
		h := ready(t, fakeobs.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		h.b.Stage = lateStage{cancel}
		if _, err := obs.GoLive(ctx, h.c, h.b); !errors.Is(err, context.Canceled) {
			t.Errorf("GoLive: got %v, want context.Canceled", err)
		}
		if s := h.State(); s.Active {
			t.Errorf("OBS streams on: %+v", s)
		}
	}
}

// forgets makes the stage answer that it does not know the broadcast, as a local stage does after
// its server was killed.
func (h *harness) forgets() { h.judge.say(obs.Verdict{Kind: stage.EventPublishing}) }

func TestKeepStartsAgainWhenTheServerForgot(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	h.local = true
	var mu sync.Mutex
	var said []string
	h.b.Progress = func(sentence string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, sentence)
	}
	done, end := h.keep(t)
	h.far.Answer(func(ctx context.Context, endpoint, token string, opus bool) (fakeobs.Session,
		error) {
		h.judge.say(obs.Verdict{Publishing: true})
		return fakeobs.Accept()(ctx, endpoint, token, opus)
	})
	h.forgets()
	h.Wait(t, "a second start", func(s fakeobs.State) bool {
		return s.Stream == "STARTED" && s.Attempts == 2
	})
	if calls := h.far.Calls(); calls[1].Bearer != bearer+"+" {
		t.Errorf("got %+v, want the first token again: it is good", calls)
	}
	end()
	if err := <-done; err != nil {
		t.Errorf("Keep: got %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.ContainsFunc(said, func(s string) bool {
		return strings.Contains(s, "does not know your broadcast")
	}) {
		t.Errorf("it said %q, want the reason", said)
	}
}

// TestKeepLeavesAStageOfAWSAlone: an AWS stage does not depend on this server, so the broadcast
// continues although this server does not know it.
func TestKeepLeavesAStageOfAWSAlone(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	done, end := h.keep(t)
	h.forgets()
	asked := h.judge.count()
	deadline := time.Now().Add(time.Minute)
	for ; h.judge.count() < asked+5; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Keep stopped asking the server")
		}
	}
	end()
	if err := <-done; err != nil || h.State().Attempts != 1 {
		t.Errorf("Keep: got %v after %d starts, want one", err, h.State().Attempts)
	}
}

// TestStopWaitsUntilOBSIsInactive: OBS answers StopStream and sends STOPPED before its output is
// inactive.
func TestStopWaitsUntilOBSIsInactive(t *testing.T) {
	t.Parallel()
	h := ready(t, fakeobs.Options{})
	h.goLive(t)
	if err := obs.Stop(t.Context(), h.c, h.b.Waits); err != nil {
		t.Fatal(err)
	}
	requests := h.Requests()
	if last := requests[len(requests)-1]; last.Type != "GetStreamStatus" || h.State().Active {
		t.Errorf("Stop returned after %s, active %v", last.Type, h.State().Active)
	}
	// A set-up right after Stop finds no active output.
	target := target()
	target.Force = true
	setUp(t, h.c, target)
}
