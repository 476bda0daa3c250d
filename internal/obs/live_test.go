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

// A judge is a stage whose answers the test chooses.
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

// A booth is a fake OBS that is set up, with a WHIP endpoint and a stage.
type booth struct {
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
func (b *booth) pass(context.Context) (obs.Pass, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passes++
	arn := stage.ARN("arn:aws:ivs:eu-central-1:123456789012:stage/abc")
	if b.local {
		arn = "arn:aws:ivs:local:000000000000:stage/main"
	}
	return obs.Pass{Stage: arn, Participant: "p1", Endpoint: endpoint,
		Bearer:    stage.NewSecret(bearer + strings.Repeat("+", b.passes)),
		ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func newBooth(t *testing.T, opts fakeobs.Options) *booth {
	t.Helper()
	far := fakeobs.NewFar()
	opts.Output = far.Output
	b := &booth{OBS: fakeobs.Start(t, opts), far: far,
		judge: &judge{v: obs.Verdict{Publishing: true}}}
	b.c = connect(t, b.URL(), opts.Password)
	b.b = obs.Broadcast{
		Limits: stage.DefaultLimits(), Issue: b.pass, Stage: b.judge, Now: time.Now,
		Progress: func(string) {},
		Waits: obs.Waits{Start: 2 * time.Second, Stage: 30 * time.Second, Stop: 30 * time.Second,
			Connect: 500 * time.Millisecond, Poll: 50 * time.Millisecond},
	}
	return b
}

func ready(t *testing.T, opts fakeobs.Options) *booth {
	t.Helper()
	b := newBooth(t, opts)
	setUp(t, b.c, target())
	return b
}

func (b *booth) goLive(t *testing.T) obs.Live {
	t.Helper()
	live, err := obs.GoLive(t.Context(), b.c, b.b)
	if err != nil {
		t.Fatalf("GoLive: %v", err)
	}
	return live
}

func TestGoLiveAndStop(t *testing.T) {
	t.Parallel()
	b := ready(t, fakeobs.Options{})
	if live := b.goLive(t); live.Already || live.Participant != "p1" {
		t.Errorf("got %+v", live)
	}
	want := fakeobs.Call{Endpoint: endpoint, Bearer: bearer + "+", Opus: true}
	if calls := b.far.Calls(); len(calls) != 1 || calls[0] != want {
		t.Errorf("OBS called %+v, want %+v once", calls, want)
	}
	if live := b.goLive(t); !live.Already || len(b.far.Calls()) != 1 {
		t.Errorf("a second time: got %+v and %d calls", live, len(b.far.Calls()))
	}
	s, err := obs.Status(t.Context(), b.c, stage.DefaultLimits())
	if err != nil || !s.Live || !s.Ready || s.Server != endpoint {
		t.Errorf("Status: got %+v, %v", s, err)
	}
	for range 2 { // the second Stop, of an OBS that does not stream, is no error
		if err := obs.Stop(t.Context(), b.c, b.b.Waits); err != nil {
			t.Errorf("Stop: %v", err)
		}
	}
	if b.State().Active {
		t.Error("OBS streams on")
	}
}

// TestGoLiveFails: each way in which a start fails has its sentence, and no stream keeps running.
func TestGoLiveFails(t *testing.T) {
	t.Parallel()
	refused := obs.Verdict{Kind: stage.EventRefused, Code: "token_expired",
		Detail: "The token has expired."}
	for name, c := range map[string]struct {
		prepare func(*booth)
		code    string
		says    string
	}{
		"the endpoint is not there": {func(
			b *booth) {
			b.far.Answer(fakeobs.Refuse(404))
			b.judge.say(obs.Verdict{})
		}, "obs_unreached", "could not reach"},
		"the stage refuses": {func(
			b *booth) {
			b.far.Answer(fakeobs.Refuse(401))
			b.judge.say(refused)
		}, "token_expired", "The token has expired."},
		"OBS fails before it starts, in silence": {func(
			b *booth) {
			b.FailNextStart(fakeobs.BeforeStart)
		}, "obs_silent", "did not start"},
		"OBS fails after STARTING, in silence": {func(
			b *booth) {
			b.FailNextStart(fakeobs.AfterStarting)
		}, "obs_silent", "did not start"},
		"no media comes": {func(b *booth) {
			b.judge.say(obs.Verdict{Kind: stage.EventConnected})
			b.b.Waits.Stage = time.Second
		}, "no_media", "no picture or sound arrives"},
		"the stage ends it at once": {func(b *booth) {
			b.judge.say(obs.Verdict{Kind: stage.EventEnded, Code: "b_frames", Detail: "B-frames."})
		}, "b_frames", "B-frames."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := ready(t, fakeobs.Options{})
			c.prepare(b)
			_, err := obs.GoLive(t.Context(), b.c, b.b)
			mustBe(t, err, c.code)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want a sentence with %q", err, c.says)
			}
			if b.State().Active {
				t.Error("OBS streams on")
			}
		})
	}
}

func TestGoLiveNeedsAnOBSThatIsSetUp(t *testing.T) {
	t.Parallel()
	b := newBooth(t, fakeobs.Options{})
	_, err := obs.GoLive(t.Context(), b.c, b.b)
	mustBe(t, err, "obs_not_ready")
	if b.State().Attempts != 0 || b.passes != 0 {
		t.Errorf("got %d starts and %d tokens, want none", b.State().Attempts, b.passes)
	}
}

// TestGoLiveLeavesAnotherStreamAlone: GoLive does not stop a stream to another service.
func TestGoLiveLeavesAnotherStreamAlone(t *testing.T) {
	t.Parallel()
	b := ready(t, fakeobs.Options{})
	b.goLive(t)
	b.Edit(func(_ map[string]string, s *fakeobs.Service) {
		*s = fakeobs.Service{Type: "rtmp_common", Settings: map[string]any{"service": "Twitch"}}
	})
	_, err := obs.GoLive(t.Context(), b.c, b.b)
	mustBe(t, err, "obs_busy")
	if !b.State().Active {
		t.Error("the other stream was stopped")
	}
}

// TestGoLiveCutsTheReconnectLoopShort: an OBS that reconnects with an invalid token would try for
// three hours, and refuse new settings meanwhile.
func TestGoLiveCutsTheReconnectLoopShort(t *testing.T) {
	t.Parallel()
	b := ready(t, fakeobs.Options{})
	b.goLive(t)
	b.far.Answer(func(ctx context.Context, endpoint, token string, opus bool) (fakeobs.Session,
		error) {
		if token == bearer+"+" {
			return nil, errors.New("401")
		}
		return fakeobs.Accept()(ctx, endpoint, token, opus)
	})
	b.far.Drop()
	b.WaitStream(t, "RECONNECTING")
	if live := b.goLive(t); live.Already {
		t.Error("a reconnect loop counts as live")
	}
	calls := b.far.Calls()
	if got := calls[len(calls)-1].Bearer; got != bearer+"++" {
		t.Errorf("OBS called with %q, want the second token", got)
	}
}

// keep runs Keep until the test ends or Keep returns.
func (b *booth) keep(t *testing.T) (result <-chan error, end context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done, live := make(chan error, 1), make(chan obs.Live, 8)
	go func() {
		done <- obs.Keep(ctx, b.c, b.b,
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
	b := ready(t, fakeobs.Options{})
	done, _ := b.keep(t)
	refused := obs.Verdict{Kind: stage.EventRefused, Code: "token_expired",
		Detail: "The token has expired."}
	deadUntilRenewed := func(ctx context.Context, endpoint, token string,
		opus bool) (fakeobs.Session, error) {
		if token == bearer+"+" {
			b.judge.say(refused)
			return nil, errors.New("401")
		}
		b.judge.say(obs.Verdict{Publishing: true})
		return fakeobs.Accept()(ctx, endpoint, token, opus)
	}
	b.far.Answer(deadUntilRenewed)
	b.judge.say(obs.Verdict{Kind: stage.EventEnded, Code: "lost"})
	b.far.Drop()
	b.Wait(t, "the renewed broadcast", func(s fakeobs.State) bool {
		calls := b.far.Calls()
		return s.Stream == "STARTED" && calls[len(calls)-1].Bearer == bearer+"++"
	})

	// After a second failure within minutes Keep reports the reason, and OBS stays stopped.
	b.far.Answer(func(context.Context, string, string, bool) (fakeobs.Session, error) {
		b.judge.say(refused)
		return nil, errors.New("401")
	})
	b.far.Drop()
	mustBe(t, <-done, "token_expired")
	if b.State().Active {
		t.Error("OBS goes on trying")
	}
}

// TestKeepStartsAgainAfterAnUnexpectedStop: after ICE failed, OBS stops by itself and does not
// start again.
func TestKeepStartsAgainAfterAnUnexpectedStop(t *testing.T) {
	t.Parallel()
	b := ready(t, fakeobs.Options{})
	_, end := b.keep(t)
	b.far.Lose()
	b.Wait(t, "a second start", func(s fakeobs.State) bool {
		return s.Stream == "STARTED" && s.Attempts == 2
	})
	end()
	b.WaitStream(t, "STOPPED")
}

func TestKeepLetsOBSReconnectByItself(t *testing.T) {
	t.Parallel()
	b := ready(t, fakeobs.Options{})
	done, end := b.keep(t)
	b.judge.say(obs.Verdict{Kind: stage.EventEnded, Code: "lost"})
	b.far.Drop()
	b.WaitStream(t, "RECONNECTED")
	b.judge.say(obs.Verdict{Publishing: true})
	if calls := b.far.Calls(); calls[len(calls)-1].Bearer != bearer+"+" {
		t.Errorf("got %+v, want the first token again", calls)
	}
	end()
	if err := <-done; err != nil {
		t.Errorf("Keep: got %v", err)
	}
	if b.State().Active {
		t.Error("OBS streams on after the end")
	}
}

func TestKeepRespectsAStopAndAKick(t *testing.T) {
	t.Parallel()
	t.Run("stopped in OBS", func(t *testing.T) {
		t.Parallel()
		b := ready(t, fakeobs.Options{})
		done, _ := b.keep(t)
		b.StopByHand()
		if err := <-done; err != nil {
			t.Errorf("Keep: got %v", err)
		}
		if got := b.State().Attempts; got != 1 {
			t.Errorf("got %d starts, want 1", got)
		}
	})
	t.Run("kicked off the stage", func(t *testing.T) {
		t.Parallel()
		b := ready(t, fakeobs.Options{})
		done, _ := b.keep(t)
		b.judge.say(obs.Verdict{Kind: stage.EventEnded, Code: "kicked",
			Detail: "The operator ended it."})
		b.far.Answer(fakeobs.Refuse(401))
		b.far.Drop()
		mustBe(t, <-done, "kicked")
		if b.State().Active {
			t.Error("OBS goes on trying")
		}
	})
	t.Run("ended for what OBS sends", func(t *testing.T) {
		t.Parallel()
		b := ready(t, fakeobs.Options{Second: time.Second})
		done, _ := b.keep(t)
		b.judge.say(obs.Verdict{Kind: stage.EventEnded, Code: "bitrate_exceeded",
			Detail: "9.0 Mb/s come in; the stage takes 8.5 at most."})
		b.far.Drop()
		mustBe(t, <-done, "bitrate_exceeded")
		if s := b.State(); s.Active || s.Attempts != 1 {
			t.Errorf("OBS tries again what cannot be better: %+v", s)
		}
	})
	t.Run("OBS quits", func(t *testing.T) {
		t.Parallel()
		b := ready(t, fakeobs.Options{})
		done, _ := b.keep(t)
		b.Quit()
		if err := <-done; err == nil {
			t.Error("Keep ended without an error")
		}
	})
}

// TestReadingsAndErrorsHideTheToken: no printed text contains the token.
func TestReadingsAndErrorsHideTheToken(t *testing.T) {
	t.Parallel()
	b := ready(t, fakeobs.Options{})
	b.goLive(t)
	r, err := obs.Read(t.Context(), b.c)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := &obs.Commands{OBS: obs.Options{URL: b.URL()}, JSON: true, Out: &out}
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
	b := ready(t, fakeobs.Options{})
	done, end := b.keep(t)
	b.judge.say(claim)
	b.far.Drop()
	b.WaitStream(t, "RECONNECTED")
	end()
	if err := <-done; err != nil || b.passes != 1 {
		t.Errorf("Keep: got %v after %d tokens, want the first token to go on", err, b.passes)
	}

	t.Log("but it explains why a start failed")
	b.far.Answer(fakeobs.Refuse(401))
	_, err := obs.GoLive(t.Context(), b.c, b.b)
	mustBe(t, err, stage.CodeSignature)
}

// connectsSlowly makes the endpoint wait with its answer until the returned channel is closed.
func (b *booth) connectsSlowly() chan struct{} {
	open := make(chan struct{})
	b.far.Answer(func(ctx context.Context, endpoint, token string, opus bool) (fakeobs.Session,
		error) {
		<-open
		return fakeobs.Accept()(ctx, endpoint, token, opus)
	})
	return open
}

// TestStopWhileOBSConnects: while OBS connects, it reports that nothing runs. Without Stop's wait,
// it would go live a moment later.
func TestStopWhileOBSConnects(t *testing.T) {
	t.Parallel()
	b := ready(t, fakeobs.Options{})
	open := b.connectsSlowly()
	b.StartByHand()
	b.Wait(t, "the attempt", func(s fakeobs.State) bool { return s.Attempts == 1 })
	waits := b.b.Waits
	waits.Connect = 10 * time.Second
	done := make(chan error, 1)
	go func() { done <- obs.Stop(t.Context(), b.c, waits) }()
	b.WaitRequest(t, "StopStream", 1)
	close(open)
	if err := <-done; err != nil {
		t.Errorf("Stop: got %v", err)
	}
	if s := b.State(); s.Active || s.Stream != "STOPPED" {
		t.Errorf("OBS streams on: %+v", s)
	}
}

// TestGivingUpWhileStarting: after ctx ends while OBS still connects, no stream keeps running. OBS
// refuses StopStream at that moment, so it is stopped when it has started.
func TestGivingUpWhileStarting(t *testing.T) {
	t.Parallel()
	b := ready(t, fakeobs.Options{})
	open := b.connectsSlowly()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := obs.GoLive(ctx, b.c, b.b)
		done <- err
	}()
	b.Wait(t, "the attempt", func(s fakeobs.State) bool { return s.Attempts == 1 })
	cancel()
	close(open)
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("GoLive: got %v, want context.Canceled", err)
	}
	if s := b.State(); s.Active {
		t.Errorf("OBS streams on: %+v", s)
	}
}

// forgets makes the stage answer as a local stage does after its server was killed: it does not
// know the broadcast.
func (b *booth) forgets() { b.judge.say(obs.Verdict{Kind: stage.EventPublishing}) }

func TestKeepStartsAgainWhenTheServerForgot(t *testing.T) {
	t.Parallel()
	b := ready(t, fakeobs.Options{})
	b.local = true
	var mu sync.Mutex
	var said []string
	b.b.Progress = func(sentence string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, sentence)
	}
	done, end := b.keep(t)
	b.far.Answer(func(ctx context.Context, endpoint, token string, opus bool) (fakeobs.Session,
		error) {
		b.judge.say(obs.Verdict{Publishing: true})
		return fakeobs.Accept()(ctx, endpoint, token, opus)
	})
	b.forgets()
	b.Wait(t, "a second start", func(s fakeobs.State) bool {
		return s.Stream == "STARTED" && s.Attempts == 2
	})
	if calls := b.far.Calls(); calls[1].Bearer != bearer+"+" {
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
	b := ready(t, fakeobs.Options{})
	done, end := b.keep(t)
	b.forgets()
	asked := b.judge.count()
	for deadline := time.Now().Add(30 * time.Second); b.judge.count() < asked+5 &&
		time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	end()
	if err := <-done; err != nil || b.State().Attempts != 1 {
		t.Errorf("Keep: got %v after %d starts, want one", err, b.State().Attempts)
	}
}

// TestStopWaitsUntilOBSIsInactive: OBS answers StopStream and sends STOPPED before its output is
// inactive.
func TestStopWaitsUntilOBSIsInactive(t *testing.T) {
	t.Parallel()
	b := ready(t, fakeobs.Options{})
	b.goLive(t)
	if err := obs.Stop(t.Context(), b.c, b.b.Waits); err != nil {
		t.Fatal(err)
	}
	requests := b.Requests()
	if last := requests[len(requests)-1]; last.Type != "GetStreamStatus" || b.State().Active {
		t.Errorf("Stop returned after %s, active %v", last.Type, b.State().Active)
	}
	// The set-up that follows at once finds no active output.
	target := target()
	target.Force = true
	setUp(t, b.c, target)
}
