package rtcpeer

import (
	"context"
	"net"
	"net/netip"
	"regexp"
	"sync"
	"testing"
	"time"
)

// A Relay is a bad network on the way of one peer: it loses and delays what passes.
type Relay struct {
	// Bandwidth down to the peer, in bit/s; 0 is without limit. Queue is how long a datagram may wait for it before it is lost.
	Bandwidth int
	Queue     time.Duration

	inside *net.UDPConn // where the peer sends to
	server netip.AddrPort
	work   sync.WaitGroup

	mu   sync.Mutex
	lose func(up bool, datagram []byte) bool
	ways map[netip.AddrPort]*net.UDPConn // by the peer's address, the socket that the server sees
	free time.Time                       // when the link down is free again
	lost int
}

// NewRelay makes a relay that the test's end closes.
func NewRelay(t testing.TB) *Relay {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{inside: conn, ways: make(map[netip.AddrPort]*net.UDPConn)}
	t.Cleanup(r.close)
	return r
}

var candidatePort = regexp.MustCompile(`(a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 )(\d+)`)

// Through leads the media that is negotiated at the door through the relay.
func (r *Relay) Through(door Door) Door {
	return func(ctx context.Context, offer string) (Answer, error) {
		answer, err := door(ctx, offer)
		if err != nil {
			return answer, err
		}
		if m := candidatePort.FindStringSubmatch(answer.SDP); m != nil {
			r.server = netip.MustParseAddrPort("127.0.0.1:" + m[2])
		}
		port := netip.MustParseAddrPort(r.inside.LocalAddr().String())
		answer.SDP = candidatePort.ReplaceAllString(answer.SDP, "${1}"+port.String()[len("127.0.0.1:"):])
		r.work.Go(r.carryUp)
		return answer, nil
	}
}

// Cut loses everything from now on.
func (r *Relay) Cut() { r.Worsen(func(bool, []byte) bool { return true }) }

// Worsen has lose decide, from now on, which datagrams are lost; up is the way from the peer to the server.
func (r *Relay) Worsen(lose func(up bool, datagram []byte) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lose = lose
}

// Lost counts what was lost.
func (r *Relay) Lost() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

func (r *Relay) loses(up bool, b []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := r.lose != nil && r.lose(up, b)
	if lost {
		r.lost++
	}
	return lost
}

func (r *Relay) carryUp() {
	b := make([]byte, 2048)
	for {
		n, from, err := r.inside.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if way := r.way(from); way != nil && !r.loses(true, b[:n]) {
			way.WriteToUDPAddrPort(b[:n], r.server)
		}
	}
}

func (r *Relay) way(from netip.AddrPort) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if way := r.ways[from]; way != nil || r.ways == nil {
		return way
	}
	way, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil
	}
	r.ways[from] = way
	r.work.Go(func() { r.carryDown(way, from) })
	return way
}

func (r *Relay) carryDown(way *net.UDPConn, to netip.AddrPort) {
	b := make([]byte, 2048)
	for {
		n, _, err := way.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if r.loses(false, b[:n]) {
			continue
		}
		wait, lost := r.queue(n)
		if lost {
			continue
		}
		if wait <= 0 {
			r.inside.WriteToUDPAddrPort(b[:n], to)
			continue
		}
		later := append([]byte(nil), b[:n]...)
		r.work.Add(1)
		time.AfterFunc(wait, func() { defer r.work.Done(); r.inside.WriteToUDPAddrPort(later, to) })
	}
}

// queue is a link of limited bandwidth with a tail-dropping queue before it.
func (r *Relay) queue(size int) (wait time.Duration, lost bool) {
	if r.Bandwidth == 0 {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.free.Before(now) {
		r.free = now
	}
	wait = r.free.Sub(now)
	if wait > r.Queue {
		r.lost++
		return 0, true
	}
	r.free = r.free.Add(time.Duration(size*8) * time.Second / time.Duration(r.Bandwidth))
	return wait, false
}

func (r *Relay) close() {
	r.mu.Lock()
	ways := r.ways
	r.ways = nil
	r.mu.Unlock()
	r.inside.Close()
	for _, way := range ways {
		way.Close()
	}
	r.work.Wait()
}
