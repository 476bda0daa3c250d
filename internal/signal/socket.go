package signal

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	maxMessage  = 64 << 10 // the offer of a browser has up to 6 KB, two tokens have 16 KB
	maxQueue    = 256      // messages that may wait for a slow client
	maxBehind   = 1 << 20  // bytes that may wait for a slow client
	writingTime = 10 * time.Second
	drainTime   = 3 * time.Second // limit for queued messages when a socket closes
)

var errBehind = errors.New("the client does not read")

// A socket is one connection of a client. One goroutine writes the queued messages in order, so
// that no caller waits for a slow client. If too many messages wait, the connection is cut.
type socket struct {
	conn *websocket.Conn
	cut  func() // makes reads and writes fail at once; does not block
	ping time.Duration
	wake chan struct{}

	sequence, counts int // numbers of the newest queued state and count; guarded by Server.mu

	mu    sync.Mutex
	queue [][]byte // guarded by mu
	// guarded by mu: number of messages that are not written yet, including those that the method
	// `take` has returned
	waiting int
	bytes   int  // guarded by mu: size of those messages
	closing bool // guarded by mu: close after the queue is written
	behind  bool // guarded by mu: the queue was full
}

func newSocket(conn *websocket.Conn, cut func(), ping time.Duration) *socket {
	conn.SetReadLimit(maxMessage)
	return &socket{conn: conn, cut: cut, ping: ping, wake: make(chan struct{}, 1)}
}

// send queues a message.
func (k *socket) send(text []byte) {
	k.mu.Lock()
	defer k.notify()
	defer k.mu.Unlock()
	switch {
	case k.closing || k.behind:
	case k.waiting == maxQueue || k.bytes+len(text) > maxBehind:
		k.behind, k.queue = true, nil
		k.cut()
	default:
		k.queue = append(k.queue, text)
		k.waiting++
		k.bytes += len(text)
	}
}

// close ends the connection when the queued messages are written, or after drainTime.
func (k *socket) close() {
	k.mu.Lock()
	defer k.notify()
	defer k.mu.Unlock()
	if !k.closing {
		k.closing = true
		time.AfterFunc(drainTime, k.cut)
	}
}

func (k *socket) notify() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *socket) take() (queue [][]byte, closing bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.behind {
		return nil, true, errBehind
	}
	queue, k.queue = k.queue, nil
	return queue, k.closing, nil
}

func (k *socket) written(text []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting--
	k.bytes -= len(text)
}

// show queues the messages of a state, unless that state was queued before. The caller holds
// Server.mu.
func (k *socket) show(sequence int, state func() [][]byte) {
	if k.sequence != sequence {
		k.sequence = sequence
		for _, text := range state() {
			k.send(text)
		}
	}
}

// count queues a subscriber count, unless that count was queued before.
func (k *socket) count(sequence int, count func() []byte) {
	if k.counts != sequence {
		k.counts = sequence
		k.send(count())
	}
}

// write writes queued messages until the socket is closed or ctx ends. Its pings detect a client
// that has disappeared.
func (k *socket) write(ctx context.Context) error {
	ping := time.NewTicker(k.ping)
	defer ping.Stop()
	for {
		queue, closing, err := k.take()
		if err != nil {
			return err
		}
		for _, text := range queue {
			if err := k.writeOne(ctx, text); err != nil {
				return err
			}
			k.written(text)
		}
		if closing {
			return k.conn.Close(websocket.StatusNormalClosure, "")
		}
		select {
		case <-k.wake:
		case <-ping.C:
			if err := k.sendPing(ctx); err != nil {
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

func (k *socket) sendPing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writingTime)
	defer cancel()
	return k.conn.Ping(ctx)
}
