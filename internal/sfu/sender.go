package sfu

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/pion/rtp"
)

const paceEvery = 5 * time.Millisecond // interval of sending to viewers that catch up

// A sender forwards packets to its share of all viewers. There is one sender for each processor.
// Senders do not share viewers, so they share no cipher state. Each has one batch of buffers for
// the packets to all its viewers.
type sender struct {
	sfu   *SFU
	index int
	wake  chan struct{}

	mu      sync.Mutex
	pending []*publication // publications with new packets

	// Owned by the sender's goroutine.
	late    map[*viewer]struct{} // viewers that have not caught up yet
	batch   batch
	scratch []outgoing
	header  rtp.Header
}

func newSenders(s *SFU) []*sender {
	list := make([]*sender, runtime.GOMAXPROCS(0))
	for i := range list {
		list[i] = &sender{sfu: s, index: i, wake: make(chan struct{}, 1),
			late: make(map[*viewer]struct{}), batch: newBatch(s.conn, &s.traffic)}
	}
	return list
}

// markDirty marks a publication with new packets. flushDirty wakes the senders of marked
// publications, once for each batch of datagrams. Only the reader calls these two functions.
func (s *SFU) markDirty(pub *publication) {
	for _, known := range s.dirty {
		if known == pub {
			return
		}
	}
	s.dirty = append(s.dirty, pub)
}

func (s *SFU) flushDirty() {
	for _, pub := range s.dirty {
		for _, sender := range s.senders {
			if len(pub.viewersOf(sender.index)) > 0 {
				sender.wakeFor(pub)
			}
		}
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
}

// wakeFor makes the sender serve the viewers of a publication. It does not block.
func (s *sender) wakeFor(pub *publication) {
	s.mu.Lock()
	known := false
	for _, p := range s.pending {
		known = known || p == pub
	}
	if !known {
		s.pending = append(s.pending, pub)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sender) take(into []*publication) []*publication {
	s.mu.Lock()
	defer s.mu.Unlock()
	into = append(into[:0], s.pending...)
	clear(s.pending)
	s.pending = s.pending[:0]
	return into
}

func (s *sender) run(ctx context.Context) {
	var news []*publication
	pace := time.NewTimer(paceEvery)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-pace.C:
		}
		news = s.take(news)
		now := s.sfu.cfg.Now()
		for _, pub := range news {
			s.forward(pub, now)
		}
		s.forwardLate(now)
		s.batch.flush()
		if len(s.late) > 0 {
			pace.Reset(paceEvery)
		}
	}
}

func (s *sender) forward(pub *publication, now time.Time) {
	for _, v := range pub.viewersOf(s.index) {
		if v.forward(s, now) {
			s.late[v] = struct{}{}
		}
	}
}

func (s *sender) forwardLate(now time.Time) {
	for v := range s.late {
		if !v.forward(s, now) {
			delete(s.late, v)
		}
	}
}

// send encrypts a packet into the batch.
func (s *sender) send(o outgoing, k *keys, to *destination) {
	plain := o.write(s.batch.next())
	s.header = rtp.Header{Extensions: s.header.Extensions[:0]} // reuses the memory
	sealed, err := k.rtpOut.EncryptRTP(plain, plain, &s.header)
	if err != nil {
		s.sfu.cfg.Log.Debug("a packet cannot be encrypted", "err", err)
		return
	}
	s.batch.add(sealed, to)
}
