package sfu_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestJoinAndLeave200Times: 200 viewers join and leave, and all their resources are released. The
// test is not parallel, because it counts the resources of the whole process.
func TestJoinAndLeave200Times(t *testing.T) {
	quick.LeavesOut(t, "real media")
	h := newHarness(t)
	h.publish("ana", rtcpeer.PublishOptions{
		Clip: rtcpeer.MakeClip(t, rtcpeer.ClipOptions{Bitrate: 300_000}),
	})
	h.waitEvent("ana", stage.EventPublishing, "")
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience) // viewers join in sequence
	defer cancel()
	t.Run("warm", func(t *testing.T) { joinAndLeave(t, ctx, h, 0, 10) })
	goroutines, heap := settle(t, ctx, h, 0)
	for i := 1; i <= 20; i++ {
		// The viewers of a subtest leave at its end.
		t.Run(fmt.Sprint(i), func(t *testing.T) { joinAndLeave(t, ctx, h, i, 10) })
	}
	goroutinesAfter, heapAfter := settle(t, ctx, h, goroutines)
	t.Logf("goroutines %d → %d, heap %d → %d KB", goroutines, goroutinesAfter, heap>>10,
		heapAfter>>10)
	if goroutinesAfter > goroutines {
		t.Errorf("%d goroutines after all sessions, %d before", goroutinesAfter, goroutines)
	}
	// The limit allows for the history, whose size varies with the keyframes. If the 200 sessions
	// were not released, they would take 20 MB.
	if heapAfter > heap+5<<20 {
		t.Errorf("%d KB on the heap, %d before", heapAfter>>10, heap>>10)
	}
}

func joinAndLeave(t *testing.T, ctx context.Context, h *harness, round, n int) {
	t.Helper()
	var viewers sync.WaitGroup
	for i := range n {
		viewers.Go(func() {
			id := stage.ParticipantID(fmt.Sprintf("viewer-%d-%d", round, i))
			v, err := rtcpeer.View(t, h.whep(id, "ana"), rtcpeer.ViewOptions{})
			if err != nil {
				t.Errorf("%s: %v", id, err)
				return
			}
			if err := v.WaitFrames(ctx, 1); err != nil {
				t.Errorf("%s: %v", id, err)
			}
			v.Close()
			h.forgetView(id)
		})
	}
	viewers.Wait()
}

// settle waits until the publisher is the only participant and, if `want` is not 0, at most `want`
// goroutines run. It returns how many goroutines run and how much memory the heap has.
func settle(
	t *testing.T, ctx context.Context, h *harness, want int,
) (goroutines int, heap uint64) {
	t.Helper()
	for ; ; time.Sleep(20 * time.Millisecond) {
		list, _ := h.Participants(ctx, h.arn)
		if len(list) == 1 && (want == 0 || runtime.NumGoroutine() <= want) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("got %d participants and %d goroutines, want 1 and at most %d", len(list),
				runtime.NumGoroutine(), want)
		}
	}
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}
