package sfu

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// This file carries media over TCP (RFC 6544), for clients whose network blocks UDP. This server
// listens ("passive" candidates). Each datagram is preceded by its length (RFC 4571). TCP itself
// handles congestion. If the queue of a connection is full, further datagrams are dropped, as UDP
// would lose them.

const (
	tcpQueue  = 512       // datagrams waiting for one connection
	tcpBuffer = 256 << 10 // bytes in the kernel; a longer queue would add delay
	// time in which a connection must prove the password of a session
	tcpProve    = 10 * time.Second
	tcpStalled  = 10 * time.Second       // limit of one write, after which the connection ends
	tcpLinger   = 500 * time.Millisecond // time to send the DTLS alert that closes a session
	tcpUnbound  = 512                    // connections without a proved password, in total
	tcpStranger = 64                     // the limit per network; a venue may share one address
)

// ErrTCP marks an error that concerns the TCP address, and not the UDP address.
var ErrTCP = errors.New("media over TCP")

// A tcpListener accepts connections for media. Its zero value does not listen.
type tcpListener struct {
	sfu      *SFU
	listener *net.TCPListener
	work     sync.WaitGroup

	mu        sync.Mutex
	conns     map[*tcpConn]bool // true if the connection has proved a session's password
	unbound   int
	strangers map[netip.Prefix]int // number of connections without a password, by network
}

func (l *tcpListener) listen(s *SFU, addr string) error {
	l.sfu, l.conns, l.strangers = s, make(map[*tcpConn]bool), make(map[netip.Prefix]int)
	if addr == "" {
		return nil
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return badAddress(addr, err)
	}
	if l.listener, err = net.ListenTCP("tcp", tcp); err != nil {
		return fmt.Errorf("%w: %w", ErrTCP, listenError("TCP", addr, err))
	}
	return nil
}

// addr returns the address of the listener, or the zero value if it does not listen.
func (l *tcpListener) addr() netip.AddrPort {
	if l.listener == nil {
		return netip.AddrPort{}
	}
	return l.listener.Addr().(*net.TCPAddr).AddrPort()
}

// run accepts connections until ctx ends.
func (l *tcpListener) run(ctx context.Context) {
	if l.listener == nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { l.listener.Close() })
	defer stop()
	for {
		conn, err := l.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // for example too many open files
			l.sfu.cfg.Log.WarnContext(ctx, "a connection for media was not accepted", "err", err)
			select {
			case <-time.After(time.Second):
				continue
			case <-ctx.Done():
				return
			}
		}
		if c := l.add(conn); c != nil {
			l.work.Go(c.read)
			l.work.Go(c.write)
		} else {
			conn.Close()
		}
	}
}

// close closes the remaining connections, after the sessions have ended.
func (l *tcpListener) close() {
	if l.listener != nil {
		l.listener.Close()
	}
	l.mu.Lock()
	for c := range l.conns {
		c.finish()
	}
	l.mu.Unlock()
	l.work.Wait()
}

// add registers a connection. It returns nil if there are too many connections.
func (l *tcpListener) add(conn *net.TCPConn) *tcpConn {
	conn.SetWriteBuffer(tcpBuffer)
	addr := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	c := &tcpConn{
		listener: l, conn: conn, addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()),
		queue: make(chan []byte, tcpQueue), ended: make(chan struct{}),
		finished: make(chan struct{}),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full(c.addr.Addr()) {
		return nil
	}
	l.conns[c] = false
	l.countStranger(c, 1)
	return c
}

// full reports whether there are too many connections without a proved password. The caller holds
// mu.
func (l *tcpListener) full(from netip.Addr) bool {
	return l.unbound >= tcpUnbound || l.strangers[networkOf(from)] >= tcpStranger
}

// networkOf returns the address, or for IPv6 the /64 network, which one customer has (RFC 6177).
func networkOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	prefix, _ := a.Prefix(bits) // only an invalid address fails
	return prefix
}

// countStranger adds n to the number of connections without a proved password. The caller holds mu.
func (l *tcpListener) countStranger(c *tcpConn, n int) {
	l.unbound += n
	network := networkOf(c.addr.Addr())
	if l.strangers[network] += n; l.strangers[network] == 0 {
		delete(l.strangers, network)
	}
}

// bound records that a connection has proved the password of a session. It then no longer counts as
// a stranger.
func (l *tcpListener) bound(c *tcpConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.conns[c]; ok && !known {
		l.conns[c] = true
		l.countStranger(c, -1)
	}
}

func (l *tcpListener) isBound(c *tcpConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns[c]
}

func (l *tcpListener) remove(c *tcpConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.conns[c]; ok && !known {
		l.countStranger(c, -1)
	}
	delete(l.conns, c)
}

// A tcpConn carries the datagrams of one remote end.
type tcpConn struct {
	listener *tcpListener
	conn     *net.TCPConn
	addr     netip.AddrPort
	queue    chan []byte // datagrams with their lengths

	ending    sync.Once
	ended     chan struct{} // closed with the connection
	finishing sync.Once
	finished  chan struct{} // closed by `finish`
	readUntil time.Time     // owned by `read`: the deadline of the connection
}

var errQueueFull = errors.New("the connection's queue is full")

// send queues a copy of the datagram. It does not block.
func (c *tcpConn) send(datagram []byte) error {
	frame := make([]byte, 2, 2+len(datagram))
	binary.BigEndian.PutUint16(frame, uint16(len(datagram)))
	select {
	case c.queue <- append(frame, datagram...):
		return nil
	default:
		return errQueueFull
	}
}

// finish closes the connection after tcpLinger. Until then, datagrams are still sent.
func (c *tcpConn) finish() { c.finishing.Do(func() { close(c.finished) }) }

func (c *tcpConn) close() {
	c.ending.Do(func() {
		close(c.ended)
		c.conn.Close()
		c.listener.remove(c)
		c.listener.sfu.lostPath(path{c.addr, c})
	})
}

func (c *tcpConn) closed() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// read reads datagrams from the connection. While it processes one, it is the reader (see
// SFU.reading).
func (c *tcpConn) read() {
	defer c.close()
	s := c.listener.sfu
	r := bufio.NewReaderSize(c.conn, 16<<10)
	datagram := make([]byte, maxDatagram)
	for {
		c.extend(s.cfg.Silence)
		if _, err := io.ReadFull(r, datagram[:2]); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint16(datagram))
		if size > len(datagram) {
			s.cfg.Log.Debug("data over TCP is not a datagram", "from", c.addr)
			return
		}
		if _, err := io.ReadFull(r, datagram[:size]); err != nil {
			return
		}
		s.take(datagram[:size], path{c.addr, c})
	}
}

// extend postpones the deadline for the next datagram, at most once a second.
func (c *tcpConn) extend(silence time.Duration) {
	now := time.Now() // network deadlines use the machine's clock
	if c.readUntil.IsZero() {
		c.readUntil = now.Add(tcpProve)
		c.conn.SetReadDeadline(c.readUntil)
		return
	}
	if until := now.Add(silence); until.Sub(c.readUntil) > time.Second && c.listener.isBound(c) {
		c.readUntil = until
		c.conn.SetReadDeadline(until)
	}
}

// write sends the queued datagrams, as many as possible in one call.
func (c *tcpConn) write() {
	defer c.close()
	linger := (<-chan time.Time)(nil)
	finished := c.finished
	var frames net.Buffers
	for {
		select {
		case frame := <-c.queue:
			frames = append(frames[:0], frame)
		case <-finished:
			finished, linger = nil, time.After(tcpLinger)
			continue
		case <-linger:
			return
		case <-c.ended:
			return
		}
		for len(frames) < 64 && len(c.queue) > 0 {
			frames = append(frames, <-c.queue)
		}
		c.conn.SetWriteDeadline(time.Now().Add(tcpStalled))
		batch := frames // WriteTo consumes the slice
		n, err := batch.WriteTo(c.conn)
		c.listener.sfu.traffic.sent.Add(uint64(n))
		if err != nil {
			return
		}
		clear(frames)
	}
}

// take becomes the reader for one datagram.
func (s *SFU) take(datagram []byte, from path) {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.dispatch(datagram, from, s.cfg.Now())
	s.flushDirty()
}

// lostPath removes the path of a connection that ended.
func (s *SFU) lostPath(gone path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.byPath[gone]; p != nil {
		s.unbind(p, gone)
	}
}
