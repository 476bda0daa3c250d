package sfu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	maxDatagram = 1500 // the payload of an Ethernet frame; peers fragment RTP at 1200 bytes
	readBatch   = 32   // datagrams per system call
	// large enough to send a keyframe to hundreds of viewers at once; the kernel may grant less
	socketBuffer = 4 << 20
)

func listen(addr string) (*net.UDPConn, error) {
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, badAddress(addr, err)
	}
	conn, err := net.ListenUDP("udp", udp)
	if err != nil {
		return nil, listenError("UDP", addr, err)
	}
	// Ignore errors, because the server also works with smaller buffers.
	conn.SetReadBuffer(socketBuffer)
	conn.SetWriteBuffer(socketBuffer)
	return conn, nil
}

func badAddress(addr string, err error) error {
	return stage.Errorf(stage.ErrInvalid, "%q is not an address to receive media on; "+
		"it is HOST:PORT, such as 127.0.0.1:8189.", addr).WithCause(err)
}

func listenError(protocol, addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return stage.Errorf(stage.ErrConflict, "%s port %s is taken by another program; "+
			"choose another one for media.", protocol, addr).WithCode("port_taken").WithCause(err)
	}
	return stage.Errorf(stage.ErrUnavailable, "The media server cannot listen on %s %s.", protocol,
		addr).
		WithCause(err)
}

// read reads datagrams until ctx ends.
func (s *SFU) read(ctx context.Context) error {
	batcher := ipv4.NewPacketConn(s.conn) // recvmmsg, for IPv6 sockets as well
	messages := newMessages(readBatch)
	for {
		n, err := batcher.ReadBatch(messages, 0)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("reading media: %w", err)
		}
		if err != nil { // for example an ICMP error for an earlier send
			s.cfg.Log.DebugContext(ctx, "media cannot be read", "err", err)
			continue
		}
		s.takeBatch(messages[:n])
	}
}

func (s *SFU) takeBatch(messages []ipv4.Message) {
	s.reading.Lock()
	defer s.reading.Unlock()
	now := s.cfg.Now()
	for _, m := range messages {
		from := m.Addr.(*net.UDPAddr).AddrPort()
		s.dispatch(m.Buffers[0][:m.N], path{addr: netip.AddrPortFrom(from.Addr().Unmap(),
			from.Port())}, now)
	}
	s.flushDirty()
}

func newMessages(n int) []ipv4.Message {
	messages := make([]ipv4.Message, n)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, maxDatagram)}
	}
	return messages
}

// dispatch distinguishes STUN, DTLS and SRTP by the first byte (RFC 7983, 7).
func (s *SFU) dispatch(datagram []byte, from path, now time.Time) {
	if len(datagram) < 12 {
		return
	}
	if first := datagram[0]; first <= 3 {
		s.onSTUN(datagram, from, now)
		return
	}
	s.mu.RLock()
	p := s.byPath[from]
	s.mu.RUnlock()
	if p == nil {
		return
	}
	switch first := datagram[0]; {
	case first >= 20 && first <= 63:
		p.onDTLS(datagram)
	case first >= 128 && first <= 191:
		s.traffic.received.Add(uint64(len(datagram)))
		p.onSRTP(datagram, from, now)
	}
}

// A candidate is an address that an answer announces.
type candidate struct {
	addr     netip.AddrPort
	priority uint32
	tcp      bool
}

// String returns the value of the SDP attribute "candidate" (RFC 8839, 5.1; RFC 6544, 4.5).
func (c candidate) String() string {
	protocol, kind := "udp", ""
	if c.tcp {
		protocol, kind = "tcp", " tcptype passive"
	}
	return fmt.Sprintf("1 %s %d %s %d typ host%s", protocol, c.priority, c.addr.Addr(),
		c.addr.Port(), kind)
}

// Type preferences (RFC 8445, 5.1.2.1; RFC 6544, 4.2): TCP is the fallback of UDP.
const (
	preferUDP        = 126
	preferTCP        = 90
	preferPassiveTCP = 4 << 13 // the direction, which is a part of the local preference
)

// candidates lists the candidates again for each answer, because interfaces and the addresses of
// names may change. UDP candidates come first, because FFmpeg reads only the first candidate.
func (s *SFU) candidates(ctx context.Context) ([]candidate, error) {
	addrs, err := s.announced(ctx, s.Addr(), true)
	if err != nil {
		return nil, err
	}
	list := make([]candidate, 0, 2*len(addrs))
	for i, addr := range addrs {
		// This is a host candidate of component 1. Earlier addresses have a higher preference.
		list = append(list, candidate{addr, preferUDP<<24 | uint32(65535-i)<<8 | 255, false})
	}
	if s.tcp.listener == nil {
		return list, nil
	}
	if addrs, err = s.announced(ctx, s.TCPAddr(), false); err != nil {
		return nil, err
	}
	for i, addr := range addrs {
		local := uint32(preferPassiveTCP + 8191 - i)
		list = append(list, candidate{addr, preferTCP<<24 | local<<8 | 255, true})
	}
	return list, nil
}

// announced returns the addresses to announce for a bound address. If `ports` is true, it uses the
// ports of the configured hosts, which are UDP ports.
func (s *SFU) announced(
	ctx context.Context, bound netip.AddrPort, ports bool,
) ([]netip.AddrPort, error) {
	if len(s.cfg.Hosts) > 0 {
		return resolveHosts(ctx, s.cfg.Hosts, bound.Port(), ports)
	}
	if !bound.Addr().IsUnspecified() {
		return []netip.AddrPort{netip.AddrPortFrom(bound.Addr().Unmap(), bound.Port())}, nil
	}
	return interfaceAddresses(bound)
}

func resolveHosts(
	ctx context.Context, hosts []string, bound uint16, ports bool,
) (addrs []netip.AddrPort, err error) {
	for _, host := range hosts {
		host, port := splitPort(host, bound)
		if !ports {
			port = bound
		}
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return nil, stage.Errorf(stage.ErrUnavailable,
				"The announced media host %q cannot be resolved.", host).WithCause(err)
		}
		for _, ip := range found {
			addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), port))
		}
	}
	return addrs, nil
}

func splitPort(host string, fallback uint16) (string, uint16) {
	name, text, err := net.SplitHostPort(host)
	if err != nil {
		return host, fallback
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return host, fallback
	}
	return name, uint16(port)
}

// interfaceAddresses returns the addresses of the interfaces. Loopback addresses come last, since
// only clients on this machine can use them.
func interfaceAddresses(bound netip.AddrPort) ([]netip.AddrPort, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, stage.Errorf(stage.ErrUnavailable,
			"The addresses of this machine cannot be read.").WithCause(err)
	}
	var outside, loopback []netip.AddrPort
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := prefix.Addr().Unmap()
		switch {
		case ip.IsLinkLocalUnicast(), bound.Addr().Is4() && !ip.Is4():
		case ip.IsLoopback():
			loopback = append(loopback, netip.AddrPortFrom(ip, bound.Port()))
		default:
			outside = append(outside, netip.AddrPortFrom(ip, bound.Port()))
		}
	}
	return append(outside, loopback...), nil
}
