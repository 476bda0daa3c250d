package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestDocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := start(t, NewMemory(time.Now))
		docks := NewDocks(h.Feed)
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		go docks.Run(ctx)
		ana := h.open(t, Listener{User: "ana"})
		put := func(d Dock) {
			t.Helper()
			if err := docks.Put(t.Context(), "ana", d); err != nil {
				t.Fatal(err)
			}
		}
		put(Dock{ID: "dock0001"})
		wantNames(t, "a new dock", ana, FrameDocks)
		opened := time.Now()
		time.Sleep(time.Minute)
		put(Dock{ID: "dock0001"})
		wantNames(t, "the same report again", ana)
		put(Dock{ID: "dock0001", Live: true})
		wantNames(t, "a change", ana, FrameDocks)
		put(Dock{ID: "dock0000"})
		list, err := docks.Of(t.Context(), "ana")
		if err != nil || len(list) != 2 || list[0].ID != "dock0001" ||
			!list[0].Since.Equal(opened) || !list[0].Live {
			t.Errorf("got %+v, %v, want the older dock first", list, err)
		}
		ana.got()
		time.Sleep(dockSilence - time.Second)
		put(Dock{ID: "dock0001", Live: true})
		time.Sleep(2 * dockSweep)
		wantNames(t, "a silent dock", ana, FrameDocks)
		if err := docks.Delete(t.Context(), "ana", "dock0001"); err != nil {
			t.Fatal(err)
		}
		wantNames(t, "a closed dock", ana, FrameDocks)
		if err := docks.Delete(t.Context(), "ana", "dock0001"); err != nil {
			t.Error(err)
		}
		wantNames(t, "a dock that is not there", ana)
		if all, err := docks.All(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("at the end: got %v, %v, want none", all, err)
		}
	})
}

// TestDocksOfSkewedClocks: a server whose clock is a minute ahead does not remove a dock that
// reports to another server once a minute.
func TestDocksOfSkewedClocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := NewMemory(time.Now)
		clock := func(skew time.Duration) func() time.Time {
			return func() time.Time { return time.Now().Add(skew) }
		}
		var docks []*Docks
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		for _, skew := range []time.Duration{0, time.Minute} {
			d := NewDocks(New(Config{
				Shared: shared, Log: slog.New(slog.DiscardHandler), Now: clock(skew),
			}))
			go d.Run(ctx)
			docks = append(docks, d)
		}
		for range 10 {
			if err := docks[0].Put(t.Context(), "ana", Dock{ID: "dock0001"}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if list, err := docks[1].Of(t.Context(), "ana"); err != nil || len(list) != 1 {
				t.Fatalf("got %v, %v, want the dock", list, err)
			}
		}
	})
}

func TestDockReportsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		docks := NewDocks(newFeed(NewMemory(time.Now)))
		long := strings.Repeat("<", maxWord+1)
		many := make([]Finding, maxFindings)
		for i := range many {
			many[i] = Finding{ID: "id", Level: "fix", Text: strings.Repeat("x", maxText)}
		}
		const id = "dockdock"
		for name, c := range map[string]struct {
			dock Dock
			want error
		}{
			"name": {Dock{ID: "../../.."}, stage.ErrInvalid},
			"participant": {Dock{ID: id, ParticipantID: stage.ParticipantID(long)},
				stage.ErrInvalid},
			"version":   {Dock{ID: id, OBS: &OBSState{Version: long}}, stage.ErrInvalid},
			"websocket": {Dock{ID: id, OBS: &OBSState{WebSocket: long}}, stage.ErrInvalid},
			"platform":  {Dock{ID: id, OBS: &OBSState{Platform: long}}, stage.ErrInvalid},
			"state":     {Dock{ID: id, OBS: &OBSState{State: long}}, stage.ErrInvalid},
			"finding's ID": {Dock{ID: id,
				OBS: &OBSState{Findings: []Finding{{ID: long, Level: "ok"}}}}, stage.ErrInvalid},
			"level": {Dock{ID: id,
				OBS: &OBSState{Findings: []Finding{{ID: "a", Level: "bad"}}}}, stage.ErrInvalid},
			"text": {Dock{ID: id,
				OBS: &OBSState{Findings: []Finding{{Level: "ok",
					Text: strings.Repeat("x", maxText+1)}}}}, stage.ErrInvalid},
			"many findings": {Dock{ID: id, OBS: &OBSState{Findings: append(many, many[0])}},
				stage.ErrInvalid},
			"all together": {Dock{ID: id, OBS: &OBSState{Findings: many}}, stage.ErrTooLarge},
		} {
			if err := docks.Put(t.Context(), "ana", c.dock); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		}

		t.Log("the rate of reports is limited")
		for range dockBurst {
			if err := docks.Put(t.Context(), "ana", Dock{ID: id}); err != nil {
				t.Fatal(err)
			}
		}
		var e *stage.Error
		if err := docks.Put(t.Context(), "ana", Dock{ID: id}); !errors.As(err, &e) ||
			e.Kind != stage.ErrTooMany || e.RetryAfter == 0 {
			t.Errorf("too often: got %v, want a refusal with Retry-After", err)
		}
		if err := docks.Put(t.Context(), "gus", Dock{ID: id}); err != nil {
			t.Errorf("another account: got %v", err)
		}
		time.Sleep(time.Minute)
		for i := 1; i < maxDocks; i++ {
			if err := docks.Put(t.Context(), "ana",
				Dock{ID: fmt.Sprintf("dock%04d", i)}); err != nil {
				t.Errorf("a minute later: got %v", err)
			}
		}
		if err := docks.Put(t.Context(), "ana", Dock{ID: "onemore1"}); !errors.Is(err,
			stage.ErrConflict) {
			t.Errorf("one dock too many: got %v, want %v", err, stage.ErrConflict)
		}
	})
}

// TestWhatDockReportsCauseIsBounded: the bytes that reports of docks cause are bounded, because
// every page of the account receives each changed dock.
func TestWhatDockReportsCauseIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		docks := NewDocks(newFeed(NewMemory(time.Now)))
		report := func(dock, live int) error {
			large := make([]Finding, 50)
			for i := range large {
				large[i] = Finding{ID: fmt.Sprint(live), Level: "fix",
					Text: strings.Repeat("x", maxText)}
			}
			d := Dock{ID: fmt.Sprintf("dock%04d", dock), OBS: &OBSState{Findings: large}}
			return docks.Put(t.Context(), "ana", d)
		}
		caused, size := 0, len(mustJSON(Dock{OBS: &OBSState{Findings: make([]Finding, 50)}}))+
			50*maxText
		start := time.Now()
		for n := range 600 { // ten per second for a minute, from 16 docks
			if err := report(n%maxDocks, n); err == nil {
				caused += size
			} else if !errors.Is(err, stage.ErrTooMany) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		most := dockBytesAtOnce + int(time.Since(start).Seconds())*dockBytesPerSecond
		if caused > most || caused < most/2 {
			t.Errorf("a page received %d bytes, want some %d at most", caused, most)
		}

		t.Log("an unchanged dock costs no write")
		time.Sleep(time.Minute)
		if err := report(0, 1); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if err := report(0, 1); err != nil {
				t.Fatalf("a repeated report: got %v, want nil", err)
			}
			time.Sleep(time.Second)
		}
	})
}
