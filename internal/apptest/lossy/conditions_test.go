package lossy

import (
	"testing"
	"time"
)

func TestARateSpreadsPacketsAndDropsWhatWaitsTooLong(t *testing.T) {
	t.Parallel()
	s := newShaper(0, 0)
	now := time.Unix(1000, 0)
	conditions := Conditions{
		Rate: 1_000_000, Queue: 100 * time.Millisecond, Delay: 20 * time.Millisecond,
	}
	var arrived int
	for i := range 100 { // 100 packets of 1250 bytes take one second at this rate
		due, f := s.decide(now, make([]byte, 1250), conditions)
		if f == queueFull {
			continue
		}
		arrived++
		if want := now.Add(time.Duration(i+1)*10*time.Millisecond + conditions.Delay); !due.Equal(
			want) {
			t.Fatalf("packet %d arrives after %v, want %v", i, due.Sub(now), want.Sub(now))
		}
	}
	if arrived != 11 { // the packet being sent, and 100 ms of queue
		t.Errorf("%d packets passed, want 11", arrived)
	}
	if _, f := s.decide(now.Add(time.Second), make([]byte, 1250), conditions); f != passed {
		t.Errorf("the queue did not empty")
	}
}

func TestPacketsStayInOrderWhenTheDelayShrinks(t *testing.T) {
	t.Parallel()
	s := newShaper(0, 0)
	now := time.Unix(1000, 0)
	first, _ := s.decide(now, nil, Conditions{Delay: time.Second})
	second, _ := s.decide(now, nil, Conditions{})
	if second.Before(first) {
		t.Errorf("the second packet overtakes the first by %v", first.Sub(second))
	}
}
