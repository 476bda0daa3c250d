package signal

import "testing"

// What is kept for a client that does not read is bounded, and stays above what the writer bears.
func TestAQueueIsBounded(t *testing.T) {
	t.Parallel()
	k := &socket{wake: make(chan struct{}, 1)}
	for range 10 * maxQueue {
		k.send([]byte("state"))
	}
	if queue, _ := k.take(); len(queue) != maxQueue+1 {
		t.Errorf("queued: got %d messages, want %d", len(queue), maxQueue+1)
	}
}
