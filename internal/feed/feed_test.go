package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	mainStage = stage.ARN("arn:aws:ivs:local:000000000000:stage/main")
	sideStage = stage.ARN("arn:aws:ivs:local:000000000000:stage/side")
	awsStage  = stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/abc")
)

// A harness is a running feed with the stages and the database that it reads.
type harness struct {
	*Feed
	mu      sync.Mutex
	present map[stage.ARN][]stage.Presence
	reads   map[stage.ARN]int
	events  []stage.Event
	failure error // the error that recording an event returns
}

func newFeed(shared Shared) *Feed {
	return New(Config{Shared: shared, Log: slog.New(slog.DiscardHandler), Now: time.Now})
}

// start runs a feed within a synctest bubble.
func start(t *testing.T, shared Shared) *harness {
	t.Helper()
	h := &harness{
		Feed: newFeed(shared), present: map[stage.ARN][]stage.Presence{},
		reads: map[stage.ARN]int{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx, Sources{Record: h.record, Participants: h.participants}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return h
}

func (h *harness) record(_ context.Context, e stage.Event) (access.StoredEvent, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failure != nil {
		return access.StoredEvent{}, h.failure
	}
	h.events = append(h.events, e)
	return access.StoredEvent{ID: int64(len(h.events)), User: access.UserID(e.UserID), Event: e},
		nil
}

func (h *harness) participants(_ context.Context, arn stage.ARN) ([]stage.Presence, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads[arn]++
	return h.present[arn], nil
}

func (h *harness) fails(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = err
}

// come sets the participants on a stage.
func (h *harness) come(arn stage.ARN, names ...string) {
	h.mu.Lock()
	h.present[arn] = nil
	for _, name := range names {
		h.present[arn] = append(h.present[arn], presenceOf(name, arn))
	}
	h.mu.Unlock()
	h.StageChanged(arn)
}

func presenceOf(name string, arn stage.ARN) stage.Presence {
	return stage.Presence{
		Participant: stage.Participant{ID: stage.ParticipantID(name), UserID: name, Stage: arn},
		Publishing:  true, Reception: &stage.Reception{Loss: 0.5},
	}
}

// A page reads from a stream whenever the stream has a frame.
type page struct {
	*Stream
	mu     sync.Mutex
	frames []Frame
	over   bool
}

// open opens a stream and reads its frames at once.
func (f *Feed) open(t *testing.T, l Listener) *page {
	t.Helper()
	p := &page{}
	l.Ready = func() { go p.take() }
	s, err := f.Listen(l)
	if err != nil {
		t.Fatal(err)
	}
	p.Stream = s
	t.Cleanup(s.Close)
	p.take()
	return p
}

func (p *page) take() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		f, ok, over := p.Take()
		if over {
			p.over = true
		}
		if !ok {
			return
		}
		p.frames = append(p.frames, f)
	}
}

// got waits until all goroutines block, and returns the frames that arrived since the last call.
func (p *page) got() []Frame {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	frames := p.frames
	p.frames = nil
	return frames
}

// names returns the names of the frames that arrived since the last call.
func (p *page) names() (names []string) {
	for _, f := range p.got() {
		names = append(names, f.Name)
	}
	return names
}

func wantNames(t *testing.T, what string, p *page, want ...string) {
	t.Helper()
	if got := p.names(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func decode[T any](t *testing.T, f Frame) (v T) {
	t.Helper()
	if err := json.Unmarshal(f.Data, &v); err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	return v
}

func TestAnEventIsStoredAndThenSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		ana, ben := h.open(t, Listener{User: "ana"}), h.open(t, Listener{User: "ben"})
		h.StageEvent(stage.Event{Kind: stage.EventPublishing, Participant: "p1", UserID: "ana",
			Stage: mainStage})
		// The event of a participant without a user reaches no page.
		h.StageEvent(stage.Event{Kind: stage.EventEnded, Participant: "p9", Stage: mainStage})
		frames := ana.got()
		if len(frames) != 1 || frames[0].Name != "stage" || frames[0].ID != 1 {
			t.Fatalf("ana: got %v, want one event with its ID", frames)
		}
		e := decode[StageEvent](t, frames[0])
		if e.Kind != stage.EventPublishing || e.ParticipantID != "p1" || e.Time.IsZero() {
			t.Errorf("the event: got %+v, want that p1 publishes, with a time", e)
		}
		wantNames(t, "ben", ben)
	})
}

func TestEventsWaitForADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		ana := h.open(t, Listener{User: "ana"})
		h.fails(stage.ErrUnavailable)
		for _, kind := range []stage.EventKind{stage.EventConnected, stage.EventPublishing} {
			h.StageEvent(stage.Event{Kind: kind, UserID: "ana", Stage: mainStage})
		}
		time.Sleep(time.Minute)
		wantNames(t, "meanwhile", ana)
		h.fails(nil)
		time.Sleep(maxRetry)
		wantNames(t, "afterwards", ana, "stage", "stage")
		h.fails(errors.New("this one cannot be stored"))
		h.StageEvent(stage.Event{Kind: stage.EventEnded, UserID: "ana", Stage: mainStage})
		synctest.Wait()
		h.fails(nil)
		h.StageEvent(stage.Event{Kind: stage.EventConnected, UserID: "ana", Stage: mainStage})
		wantNames(t, "after one that cannot be stored", ana, "stage")
	})
}

// TestSettleKeepsWhatIsLeft: while the database is away, Settle waits until its context ends. Then
// its error has the number of events that are left. The next Settle stores them in their order, and
// does not wait for the pause of a retry.
func TestSettleKeepsWhatIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		settle := func() (took time.Duration, err error) {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			err = h.Settle(ctx)
			return time.Since(begin), err
		}
		if took, err := settle(); err != nil || took > 0 {
			t.Errorf("without an event: got %v after %v, want nil at once", err, took)
		}
		h.fails(stage.ErrUnavailable)
		kinds := []stage.EventKind{stage.EventPublishing, stage.EventEnded}
		for _, kind := range kinds {
			h.StageEvent(stage.Event{Kind: kind, UserID: "ana", Stage: mainStage})
		}
		for range 3 {
			took, err := settle()
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 ") ||
				took > 4*time.Second {
				t.Errorf("while the database is away: got %v after %v, want an error that names "+
					"the 2 events after 4 s", err, took)
			}
		}
		time.Sleep(time.Hour) // the pauses are as long as they get
		h.fails(nil)
		if took, err := settle(); err != nil || took > 0 {
			t.Errorf("when the database is back: got %v after %v, want nil at once", err, took)
		}
		if len(h.events) != 2 || h.events[0].Kind != kinds[0] || h.events[1].Kind != kinds[1] {
			t.Errorf("got %+v, want both events in their order", h.events)
		}
	})
}

func TestWhatIsQueuedAtTheEndIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{Feed: newFeed(NewMemory(time.Now))}
		for range 10 {
			h.StageEvent(stage.Event{Kind: stage.EventEnded, UserID: "ana", Stage: mainStage})
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Run(ctx, Sources{Record: h.record, Participants: h.participants}); err != nil {
			t.Fatal(err)
		}
		if len(h.events) != 10 {
			t.Errorf("got %d events, want 10", len(h.events))
		}
	})
}

func TestTheSameRefusalIsTakenSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(NewMemory(time.Now))
		refuse := func(id stage.ParticipantID, code string, want int) {
			t.Helper()
			for range 100 {
				f.StageEvent(stage.Event{Kind: stage.EventRefused, Participant: id, Code: code})
			}
			if len(f.events.queue) != want {
				t.Errorf("got %d events queued, want %d", len(f.events.queue), want)
			}
		}
		refuse("ana", "token_revoked", 1)
		refuse("ana", "no_h264", 2)
		refuse("gus", "no_h264", 3)
		time.Sleep(refusalPause)
		refuse("ana", "token_revoked", 4)
	})
}

func TestRefusalsAreTheFirstToBeLost(t *testing.T) {
	t.Parallel()
	f := newFeed(NewMemory(time.Now))
	for i := range 2 * queuedEvents {
		f.StageEvent(stage.Event{Kind: stage.EventRefused,
			Participant: stage.ParticipantID(fmt.Sprint(i))})
	}
	if len(f.events.queue) != queuedRefusals {
		t.Errorf("got %d refusals queued, want %d", len(f.events.queue), queuedRefusals)
	}
	f.StageEvent(stage.Event{Kind: stage.EventConnected, Participant: "ana"})
	if len(f.events.queue) != queuedRefusals+1 {
		t.Error("what happens on a stage found no place")
	}
}

func TestAccessChangesReachTheStreamsThatTheyConcern(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		ana, anaPage := h.open(t, Listener{User: "ana"}),
			h.open(t, Listener{User: "ana", Page: mainStage})
		ben := h.open(t, Listener{User: "ben"})
		time.Sleep(time.Second)
		anaPage.got() // takes the first presence
		h.AccessChanged("ana")
		wantNames(t, "ana", ana, FrameLook)
		wantNames(t, "her page", anaPage, FrameLook)
		wantNames(t, "ben", ben)
		h.AccessChanged("")
		wantNames(t, "everybody", ben, FrameLook)
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		early := h.open(t, Listener{User: "ana"})
		h.Stop()
		for _, p := range []*page{early, h.open(t, Listener{User: "ana", Proof: "late"})} {
			wantNames(t, "the last frame", p, "bye")
			if !p.over {
				t.Error("the stream goes on, and would hold the server back")
			}
		}
	})
}

// TestAStoppingReplicaMovesItsPages: a replica that stops ends its streams a few at a time. A
// stream that is opened meanwhile stays open.
func TestAStoppingReplicaMovesItsPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const pages, perSecond = 2000, 200
		w := start(t, NewMemory(time.Now))
		var open []*page
		for i := range pages {
			user := access.UserID(fmt.Sprint("user ", i))
			open = append(open, w.open(t, Listener{User: user, Proof: string(user)}))
		}
		moved := func() (n int) {
			synctest.Wait()
			for _, p := range open {
				p.mu.Lock()
				if p.over {
					n++
				}
				p.mu.Unlock()
			}
			return n
		}
		go w.Move(t.Context(), perSecond)
		time.Sleep(time.Second / 2)
		late := w.open(t, Listener{User: "ben"})
		before := moved()
		for left := pages; left > 0; left -= perSecond {
			time.Sleep(time.Second)
			now := moved()
			if now-before > perSecond {
				t.Fatalf("%d pages moved within a second, want at most %d", now-before, perSecond)
			}
			before = now
		}
		if before != pages {
			t.Errorf("%d pages moved, want all %d", before, pages)
		}
		wantNames(t, "a page that was opened meanwhile", late)
	})
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := NewMemory(time.Now)
		a, b := start(t, shared), start(t, shared)
		ana := b.open(t, Listener{User: "ana"})
		ana.Watch(false, []stage.ARN{mainStage})
		wantNames(t, "at first", ana, "presences")

		t.Log("an event on one replica reaches the pages of the other one")
		a.StageEvent(stage.Event{Kind: stage.EventPublishing, UserID: "ana", Stage: mainStage})
		wantNames(t, "event", ana, "stage")
		a.come(mainStage, "ben")
		time.Sleep(3 * PostEvery)
		frames := ana.got()
		if len(frames) != 1 || len(decode[PresenceEvent](t, frames[0]).Participants) != 1 {
			t.Fatalf("presence: got %v, want ben", frames)
		}
		if there, _ := b.Everywhere(silent{}).Participants(t.Context(),
			mainStage); len(there) != 1 {
			t.Errorf("a moderator of the other replica sees %v, want ben", there)
		}
		a.AccessChanged("ana")
		wantNames(t, "access", ana, FrameLook)

		t.Log("a participant who is on both replicas is listed once")
		b.come(mainStage, "ben", "eve")
		time.Sleep(3 * PostEvery)
		frames = ana.got()
		if len(frames) != 1 || len(decode[PresenceEvent](t, frames[0]).Participants) != 2 {
			t.Errorf("presence: got %v, want ben and eve", frames)
		}
		b.come(mainStage)
		a.come(mainStage)
		time.Sleep(3 * PostEvery)
		frames = ana.got()
		if len(frames) == 0 || len(
			decode[PresenceEvent](t, frames[len(frames)-1]).Participants) != 0 {
			t.Errorf("presence: got %v, want nobody at the end", frames)
		}

		t.Log("streams that may have missed something resume")
		b.deliver(Notice{Kind: KindGap})
		ana.got()
		if !ana.over {
			t.Error("the stream goes on with a gap")
		}
	})
}

// silent is a moderator of empty stages.
type silent struct{ stage.Moderator }

func (silent) Participants(context.Context, stage.ARN) ([]stage.Presence, error) { return nil, nil }
