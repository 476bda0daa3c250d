package signal

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// TestAQueueIsBounded: the messages for a client that does not read are limited, in number and in
// bytes. The limits include messages that are being written.
func TestAQueueIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text []byte
		fit  int
	}{
		"messages": {[]byte("state"), maxQueue},
		"bytes":    {bytes.Repeat([]byte("s"), maxBehind/16), 16},
	} {
		cut := 0
		k := &socket{wake: make(chan struct{}, 1), cut: func() { cut++ }}
		for range c.fit / 2 {
			k.send(c.text)
		}
		// from here on, these messages are being written
		if queue, _, err := k.take(); len(queue) != c.fit/2 || err != nil {
			t.Errorf("%s: got %d, %v, want %d", name, len(queue), err, c.fit/2)
		}
		for range c.fit - c.fit/2 {
			k.send(c.text)
		}
		if cut > 0 {
			t.Errorf("%s: was cut with no more than may wait", name)
		}
		for range 10 {
			k.send(c.text)
		}
		if queue, _, err := k.take(); queue != nil || err != errBehind || cut != 1 {
			t.Errorf("%s: got %d, %v, cut %d times; want none, %v, once", name, len(queue), err,
				cut, errBehind)
		}
	}
}

// TestAQueueThatIsWrittenHasRoom: a client that reads in time is never cut.
func TestAQueueThatIsWrittenHasRoom(t *testing.T) {
	t.Parallel()
	k := &socket{wake: make(chan struct{}, 1), cut: func() { t.Error("was cut") }}
	for range 10 * maxQueue {
		k.send(make([]byte, maxBehind/4))
		queue, _, _ := k.take()
		for _, text := range queue {
			k.written(text)
		}
	}
}

// TestAClosingSocketSendsItsQueueInLimitedTime: a socket that closes has drainTime to send its
// queued messages. Then it is cut.
func TestAClosingSocketSendsItsQueueInLimitedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cut time.Time
		k := &socket{wake: make(chan struct{}, 1), cut: func() { cut = time.Now() }}
		began := time.Now()
		k.send([]byte("goodbye"))
		k.close()
		k.close()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := cut.Sub(began); got != drainTime {
			t.Errorf("cut after %v, want %v", got, drainTime)
		}
	})
}
