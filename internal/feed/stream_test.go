package feed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestTheFirstPresenceIsOneFrame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		var stages []stage.ARN
		for i := range 1000 {
			arn := stage.ARN(fmt.Sprintf("arn:aws:ivs:local:000000000000:stage/%d", i))
			stages = append(stages, arn)
			if i%2 == 0 {
				h.come(arn, "ana")
			}
		}
		before := h.open(t, Listener{User: "olga", SeesReception: true})
		before.Watch(true, stages)
		if frames := before.got(); len(frames) != 1 ||
			!decode[PresencesEvent](t, frames[0]).Complete {
			t.Fatalf("before anything is known: got %d frames, want one", len(frames))
		}
		time.Sleep(time.Second)
		if frames := before.got(); len(frames) == 0 || len(frames) > 500 || before.over {
			t.Errorf("when all are known: got %d frames, over: %v", len(frames), before.over)
		}
		olga := h.open(t, Listener{User: "olga", SeesReception: true})
		olga.Watch(true, stages)
		frames := olga.got()
		if len(frames) != 1 {
			t.Fatalf("got %d frames, want one", len(frames))
		}
		if e := decode[PresencesEvent](t, frames[0]); !e.Complete || len(e.Stages) != 500 {
			t.Errorf("complete: %v, %d stages, want the 500 that are not empty", e.Complete,
				len(e.Stages))
		}
		time.Sleep(10 * presencePace)
		wantNames(t, "while nothing changes", olga)

		t.Log("a slow page receives what changed on many stages as one frame, and is not cut")
		slow, err := h.Listen(Listener{User: "sam", SeesReception: true, Ready: func() {}})
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		slow.Watch(true, stages)
		slow.Take()
		for range 3 {
			for _, arn := range stages {
				h.come(arn, "ana", "ben")
			}
			time.Sleep(time.Second)
		}
		f, _, over := slow.Take()
		if e := decode[PresencesEvent](t, f); over || e.Complete || len(e.Stages) != 1000 {
			t.Errorf("got %d stages, over: %v, want 1000", len(e.Stages), over)
		}
		if _, more, _ := slow.Take(); more {
			t.Error("a second frame waits")
		}
	})
}

func TestPresenceIsWhatAViewerMaySee(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		h.come(mainStage, "ana", "ben")
		pages := map[string]*page{
			"ana":    h.open(t, Listener{User: "ana"}),
			"olga":   h.open(t, Listener{User: "olga", SeesReception: true}),
			"eve":    h.open(t, Listener{User: "eve"}),
			"source": h.open(t, Listener{User: "olga", Page: mainStage, View: "ben"}),
		}
		for _, p := range pages {
			p.Watch(p.SeesReception, []stage.ARN{mainStage})
		}
		time.Sleep(time.Second)
		for name, want := range map[string]string{
			"ana":    "ana you measured, ben",
			"olga":   "ana measured, ben measured",
			"eve":    "ana, ben",
			"source": "ben",
		} {
			frames := pages[name].got()
			last := decode[PresenceEvent](t, frames[len(frames)-1])
			var seen []string
			for _, p := range last.Participants {
				text := p.Name
				if p.You {
					text += " you"
				}
				if p.Reception != nil {
					text += " measured"
				}
				seen = append(seen, text)
			}
			if got := strings.Join(seen, ", "); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}

		t.Log("numbers that only some may see are sent to those alone")
		h.mu.Lock()
		list := []stage.Presence{presenceOf("ana", mainStage), presenceOf("ben", mainStage)}
		list[0].Reception = &stage.Reception{Loss: 0.25}
		h.present[mainStage] = list
		h.mu.Unlock()
		time.Sleep(presencePace)
		wantNames(t, "ana", pages["ana"], "presence")
		wantNames(t, "olga", pages["olga"], "presence")
		wantNames(t, "eve", pages["eve"])
		wantNames(t, "source", pages["source"])
	})
}

func TestWatchFollowsAccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		h.come(mainStage, "ben")
		h.come(sideStage, "eve")
		ana := h.open(t, Listener{User: "ana"})
		ana.Watch(false, []stage.ARN{mainStage})
		time.Sleep(time.Second)
		wantNames(t, "one stage", ana, "presences", "presence")
		ana.Watch(false, []stage.ARN{mainStage, sideStage})
		time.Sleep(time.Second)
		wantNames(t, "one more", ana, "presence")
		ana.Watch(false, []stage.ARN{sideStage})
		h.come(mainStage)
		time.Sleep(time.Second)
		wantNames(t, "one less", ana)
		ana.Watch(true, []stage.ARN{sideStage})
		if frames := ana.got(); len(frames) != 1 ||
			decode[PresenceEvent](t, frames[0]).Participants[0].Reception == nil {
			t.Errorf("as an operator: got %v, want what operators see", frames)
		}
		h.come(sideStage)
		time.Sleep(time.Second)
		ana.Close()
		time.Sleep(presencePace)
		h.Feed.mu.Lock()
		defer h.Feed.mu.Unlock()
		if len(h.stages)+len(h.accounts)+len(h.streams)+len(h.counts) != 0 {
			t.Errorf("when all have gone: %d stages, %d accounts, %d streams, counts %v are kept",
				len(h.stages), len(h.accounts), len(h.streams), h.counts)
		}
	})
}

func TestOnlyWhatMayHaveChangedIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		h.come(mainStage, "ben")
		for i := range 50 {
			p := h.open(t, Listener{User: "olga", Proof: fmt.Sprint(i)})
			p.Watch(true, []stage.ARN{mainStage, sideStage, awsStage})
		}
		time.Sleep(emptyEvery * presencePace)
		h.mu.Lock()
		defer h.mu.Unlock()
		if n := h.reads[mainStage]; n < emptyEvery || n > emptyEvery+2 {
			t.Errorf("a stage in use was read %d times, want about %d", n, emptyEvery)
		}
		if n := h.reads[awsStage]; n < emptyEvery {
			t.Errorf("an AWS stage was read %d times, want %d or more", n, emptyEvery)
		}
		if n := h.reads[sideStage]; n > 2 {
			t.Errorf("an empty stage was read %d times, want 1 or 2", n)
		}
	})
}

// TestAStageThatDoesNotAnswerHoldsNothingUp: a call to AWS that takes seconds delays no other
// stage.
func TestAStageThatDoesNotAnswerHoldsNothingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(NewMemory(time.Now))
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		go f.Run(ctx, Sources{Participants: func(ctx context.Context,
			arn stage.ARN) ([]stage.Presence, error) {
			if arn == awsStage {
				<-ctx.Done()
			}
			return []stage.Presence{presenceOf("ana", arn)}, nil
		}})
		olga := f.open(t, Listener{User: "olga"})
		olga.Watch(true, []stage.ARN{awsStage, mainStage})
		time.Sleep(time.Second)
		wantNames(t, "the stage that answers", olga, "presences", "presence")
	})
}

func TestAStreamThatFallsBehindIsCut(t *testing.T) {
	t.Parallel()
	f := newFeed(NewMemory(time.Now))
	for name, c := range map[string]struct {
		frame Frame
		sent  int
		want  int
	}{
		"many frames":      {Frame{Name: "stage", Data: []byte("{}")}, 2 * maxFrames, maxFrames},
		"large frames":     {Frame{Name: "stage", Data: make([]byte, maxBytes/2)}, 8, 2},
		"one large frame":  {Frame{Name: "stage", Data: make([]byte, 2*maxBytes)}, 1, 1},
		"repeated notices": {Frame{Name: FrameDocks}, 2 * maxFrames, 1},
	} {
		s, err := f.Listen(Listener{User: "ana", Proof: name})
		if err != nil {
			t.Fatal(err)
		}
		f.mu.Lock()
		for range c.sent {
			s.push(c.frame)
		}
		cut := s.over
		f.mu.Unlock()
		if wantCut := c.want > 1; cut != wantCut {
			t.Errorf("%s: cut: %v, want %v", name, cut, wantCut)
		}
		taken := 0
		for _, ok, _ := s.Take(); ok; _, ok, _ = s.Take() {
			taken++
		}
		if taken != c.want || s.bytes != 0 {
			t.Errorf("%s: took %d frames, %d bytes are left, want %d frames", name, taken, s.bytes,
				c.want)
		}
	}
}

func TestReadyIsCalledOnce(t *testing.T) {
	t.Parallel()
	f := newFeed(NewMemory(time.Now))
	calls := 0
	s, err := f.Listen(Listener{User: "ana", Ready: func() { calls++ }})
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, n int) {
		t.Helper()
		if calls != n {
			t.Errorf("%s: got %d calls, want %d", what, calls, n)
		}
	}
	s.Tick()
	want("before the first Take", 0)
	s.Take()
	s.Take()
	s.Tick()
	s.Tick()
	want("two frames", 1)
	s.Take()
	s.Tick()
	want("while it takes", 1)
	s.Take()
	s.Take()
	s.Close()
	s.Close()
	s.Tick()
	want("after Close", 1)
	if _, ok, over := s.Take(); ok || !over {
		t.Errorf("after Close: got %v, %v, want that it is over", ok, over)
	}
}

func TestStreamsAreCounted(t *testing.T) {
	t.Parallel()
	f := newFeed(NewMemory(time.Now))
	listen := func(user access.UserID, proof string, n int) (s *Stream, err error) {
		for range n {
			if s, err = f.Listen(Listener{User: user, Proof: proof}); err != nil {
				break
			}
		}
		return s, err
	}
	first, err := listen("ana", "cookie", maxStreamsOfProof)
	if err != nil {
		t.Fatal(err)
	}
	full := func(proof string) {
		t.Helper()
		var e *stage.Error
		if _, err := listen("ana", proof, 1); !errors.As(err, &e) || e.Code != "too_many_streams" ||
			e.RetryAfter == 0 {
			t.Errorf("one more: got %v, want a refusal with Retry-After", err)
		}
	}
	full("cookie")
	if _, err := listen("ana", "a second cookie", maxStreams-maxStreamsOfProof); err != nil {
		t.Errorf("another login: got %v", err)
	}
	full("a third cookie")
	if _, err := listen("gus", "his", 1); err != nil {
		t.Errorf("another account: got %v", err)
	}
	first.Close()
	first.Close()
	if _, err := listen("ana", "cookie", 1); err != nil {
		t.Errorf("in place of one that went: got %v", err)
	}
	full("cookie")
}
