package sfu_test

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"
)

// A load measures how much other work slows this machine down. It repeats the same piece of work
// and compares the mean duration with the shortest.
type load struct {
	stop chan struct{}
	done sync.WaitGroup
	took time.Duration
	runs int
}

// best is the shortest duration of the piece of work so far, in nanoseconds, as on a machine
// without other work.
var best atomic.Int64

func startLoad() *load {
	l := &load{stop: make(chan struct{})}
	l.done.Go(func() {
		for l.piece(); ; l.piece() {
			select {
			case <-l.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	return l
}

func (l *load) piece() {
	began := time.Now()
	var sum [32]byte
	for range 2000 {
		sum = sha256.Sum256(sum[:])
	}
	took := time.Since(began)
	l.took, l.runs = l.took+took, l.runs+1
	for {
		known := best.Load()
		if known != 0 && known <= int64(took) || best.CompareAndSwap(known, int64(took)) {
			return
		}
	}
}

// factor ends the measurement. It returns 1 on a quiet machine, and at most 5.
func (l *load) factor() float64 {
	close(l.stop)
	l.done.Wait()
	return min(5, l.took.Seconds()/float64(l.runs)/(float64(best.Load())/1e9))
}
