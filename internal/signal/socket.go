package signal

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	maxMessage  = 256 << 10 // an offer of a browser with all that it can has 6 KB, two tokens have 16
	maxQueue    = 256       // messages that a client may be behind
	writingTime = 10 * time.Second
)

var errBehind = errors.New("the client does not read")

// A socket is one connection of a client. What is sent is queued, and written by one goroutine, so that nobody waits for a
// slow client and nothing is overtaken.
type socket struct {
	conn *websocket.Conn
	ping time.Duration
	wake chan struct{}

	sequence, counts int // the newest that were queued; Server.mu guards them

	mu      sync.Mutex
	queue   [][]byte // guarded by mu
	closing bool     // guarded by mu: close when the queue is written
}

func newSocket(conn *websocket.Conn, ping time.Duration) *socket {
	conn.SetReadLimit(maxMessage)
	return &socket{conn: conn, ping: ping, wake: make(chan struct{}, 1)}
}

// send queues a message.
func (k *socket) send(text []byte) {
	k.mu.Lock()
	if !k.closing && len(k.queue) <= maxQueue { // one more than allowed: write finds out
		k.queue = append(k.queue, text)
	}
	k.mu.Unlock()
	k.rouse()
}

// close ends the connection after what has been queued.
func (k *socket) close() {
	k.mu.Lock()
	k.closing = true
	k.mu.Unlock()
	k.rouse()
}

func (k *socket) rouse() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *socket) take() (queue [][]byte, closing bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	queue, k.queue = k.queue, nil
	return queue, k.closing
}

// show queues a state, unless this one has been queued. The caller holds Server.mu.
func (k *socket) show(sequence int, state func() []byte) {
	if k.sequence != sequence {
		k.sequence = sequence
		k.send(state())
	}
}

// count queues a subscriber count in the same way.
func (k *socket) count(sequence int, count func() []byte) {
	if k.counts != sequence {
		k.counts = sequence
		k.send(count())
	}
}

// write writes until the socket is closed or ctx ends. It also finds out when the other end is gone without a word.
func (k *socket) write(ctx context.Context) error {
	ping := time.NewTicker(k.ping)
	defer ping.Stop()
	for {
		queue, closing := k.take()
		if len(queue) > maxQueue {
			return errBehind
		}
		for _, text := range queue {
			if err := k.writeOne(ctx, text); err != nil {
				return err
			}
		}
		if closing {
			return k.conn.Close(websocket.StatusNormalClosure, "")
		}
		select {
		case <-k.wake:
		case <-ping.C:
			if err := k.askAlive(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *socket) writeOne(ctx context.Context, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writingTime)
	defer cancel()
	return k.conn.Write(ctx, websocket.MessageText, text)
}

func (k *socket) askAlive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writingTime)
	defer cancel()
	return k.conn.Ping(ctx)
}
