// Package lossy simulates a bad network between two peers on this machine: a UDP relay that loses
// and delays packets, limits the rate, and can be cut.
//
//	up := lossy.Conditions{Loss: 0.02, Delay: 40 * time.Millisecond}
//	link := lossy.Open(t, mediaAddress, lossy.Options{Up: up})
//	answer = link.Rewrite(answer) // the publisher now sends through the link
//	…
//	link.Cut()
//
// The lost packets depend only on the seed and on the order of packets, so that a run can be
// repeated.
package lossy

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options describe the network in each direction. The zero value is a perfect link.
type Options struct {
	Up   Conditions // from the clients to the target
	Down Conditions // from the target to the clients
	Seed uint64
}

// A Count counts the packets of one direction.
type Count struct {
	Passed int
	Lost   int // by chance, or by Picks
	Queued int // dropped at the end of a full queue
	Cut    int // while the link was cut
}

// A Link relays between any number of peers and its target.
type Link struct {
	target net.Addr
	front  net.PacketConn
	seed   uint64
	wg     sync.WaitGroup

	mu       sync.Mutex
	up, down Conditions
	cut      bool
	closed   bool
	counts   [2]Count
	paths    map[netip.AddrPort]*path
}

// Open starts a link to a UDP address of this machine. It ends with the test.
func Open(t testing.TB, target string, options Options) *Link {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp4", target)
	if err != nil {
		t.Fatalf("lossy: %v", err)
	}
	if !to.IP.IsLoopback() {
		t.Fatalf("lossy: %s is not on this machine", target)
	}
	front, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("lossy: %v", err)
	}
	l := &Link{
		target: to, front: front, seed: options.Seed, up: options.Up, down: options.Down,
		paths: map[netip.AddrPort]*path{},
	}
	l.wg.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

// Addr returns the address to which peers send instead of the target.
func (l *Link) Addr() string { return l.front.LocalAddr().String() }

// Rewrite replaces the target with the link in the candidates of an SDP.
func (l *Link) Rewrite(sdp string) string {
	return strings.ReplaceAll(sdp, candidate(l.target), candidate(l.front.LocalAddr()))
}

// candidate returns an address in the form of a candidate line (RFC 8839, 5.1).
func candidate(addr net.Addr) string {
	at := addr.(*net.UDPAddr)
	return " " + at.IP.String() + " " + strconv.Itoa(at.Port) + " typ "
}

// Set changes the conditions of the link for further packets.
func (l *Link) Set(up, down Conditions) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.up, l.down = up, down
}

// Cut drops all packets until Mend, including packets that are delayed.
func (l *Link) Cut() { l.setCut(true) }

// Mend ends a Cut.
func (l *Link) Mend() { l.setCut(false) }

func (l *Link) setCut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
}

// Counts returns the counts of both directions so far.
func (l *Link) Counts() (up, down Count) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[upward], l.counts[downward]
}

type direction int

const (
	upward direction = iota
	downward
)

// A path connects a peer of the link with a socket of its own towards the target.
type path struct {
	peer net.Addr
	back net.Conn
	up   *lane
	down *lane
}

func (l *Link) accept() {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := l.front.ReadFrom(buffer)
		if err != nil {
			return // closed; a UDP socket that is not connected has no other errors
		}
		p, err := l.pathOf(from)
		if err != nil {
			return
		}
		p.up.take(buffer[:n])
	}
}

func (l *Link) pathOf(peer net.Addr) (*path, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := peer.(*net.UDPAddr).AddrPort()
	if p, ok := l.paths[key]; ok {
		return p, nil
	}
	if l.closed {
		return nil, net.ErrClosed
	}
	back, err := net.Dial("udp4", l.target.String())
	if err != nil {
		return nil, err
	}
	p := &path{peer: peer, back: back}
	number := uint64(len(l.paths))
	p.up = newLane(l, upward, number, func(packet []byte) { _, _ = back.Write(packet) })
	p.down = newLane(l, downward, number, func(packet []byte) {
		_,
			_ = l.front.WriteTo(packet, peer)
	})
	l.paths[key] = p
	l.wg.Go(p.up.deliver)
	l.wg.Go(p.down.deliver)
	l.wg.Go(p.listen)
	return p, nil
}

// listen forwards what the target sends back.
func (p *path) listen() {
	defer p.down.end()
	buffer := make([]byte, 64<<10)
	for {
		n, err := p.back.Read(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil:
			p.down.take(buffer[:n])
			// Any other error means that the port of the target is closed (ICMP). The packets are
			// lost, as on a real network.
		}
	}
}

func (l *Link) close() {
	l.mu.Lock()
	l.closed = true
	_ = l.front.Close()
	for _, p := range l.paths {
		_ = p.back.Close()
		p.up.end()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

// conditions returns the current conditions of a direction; a cut loses all packets.
func (l *Link) conditions(d direction) (c Conditions, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d == upward {
		return l.up, l.cut
	}
	return l.down, l.cut
}

func (l *Link) count(d direction, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.counts[d]
	switch f {
	case passed:
		c.Passed++
	case lost:
		c.Lost++
	case queueFull:
		c.Queued++
	case cutOff:
		c.Cut++
	}
}

// A lane carries the packets of one peer in one direction, in order.
type lane struct {
	link      *Link
	direction direction
	shaper    *shaper
	send      func([]byte)
	waiting   chan parcel
	ended     chan struct{}
	endOnce   sync.Once
}

type parcel struct {
	packet []byte
	due    time.Time
}

// onTheWay is how many packets may be delayed at a time: enough for one second at 10 Mb/s.
const onTheWay = 4096

func newLane(l *Link, d direction, number uint64, send func([]byte)) *lane {
	return &lane{link: l, direction: d, shaper: newShaper(l.seed, number<<1|uint64(d)), send: send,
		waiting: make(chan parcel, onTheWay), ended: make(chan struct{})}
}

func (a *lane) end() { a.endOnce.Do(func() { close(a.ended) }) }

func (a *lane) take(packet []byte) {
	conditions, cut := a.link.conditions(a.direction)
	due, fate := a.shaper.decide(time.Now(), packet, conditions)
	if cut {
		fate = cutOff
	}
	if fate == passed {
		select {
		case a.waiting <- parcel{packet: append([]byte(nil), packet...), due: due}:
			return // deliver counts the packet
		default:
			fate = queueFull
		}
	}
	a.link.count(a.direction, fate)
}

func (a *lane) deliver() {
	for {
		select {
		case <-a.ended:
			return
		case next := <-a.waiting:
			select {
			case <-a.ended:
				return
			case <-time.After(time.Until(next.due)):
			}
			fate := passed
			if _, cut := a.link.conditions(a.direction); cut {
				fate = cutOff
			} else {
				a.send(next.packet)
			}
			a.link.count(a.direction, fate)
		}
	}
}
