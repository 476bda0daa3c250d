package sfu

import (
	"net"

	"golang.org/x/net/ipv4"
)

const (
	sendBatch   = 128              // packets handed to the kernel at once
	outgoingMTU = maxDatagram + 64 // what came in, plus what we add
)

// A batch collects packets and hands them to the kernel in one call (sendmmsg). Packets of one size
// to one viewer, as the fragments of a frame are, become one message that the kernel cuts up.
type batch struct {
	udp      *net.UDPConn
	conn     *ipv4.PacketConn
	segments bool // the kernel can cut up

	buffers  [][]byte // of packets
	used     int      // of the buffers
	messages []message
	filled   int
	wire     []ipv4.Message // the messages as the kernel is given them
	traffic  *traffic
}

// A message is one or more packets for one viewer.
type message struct {
	to      *destination
	packets [][]byte
	oob     []byte
	closed  bool // the last packet is shorter than the first: it must be the last
}

func newBatch(conn *net.UDPConn, counted *traffic) batch {
	b := batch{udp: conn, conn: ipv4.NewPacketConn(conn), segments: canSegment(conn),
		buffers: make([][]byte, sendBatch), messages: make([]message, sendBatch),
		wire: make([]ipv4.Message, sendBatch), traffic: counted}
	for i := range b.buffers {
		b.buffers[i] = make([]byte, 0, outgoingMTU)
	}
	return b
}

// next is the buffer for the next packet.
func (b *batch) next() []byte { return b.buffers[b.used] }

// add takes what was written into the buffer.
func (b *batch) add(packet []byte, to *destination) {
	if to.tcp != nil {
		to.tcp.send(packet) // a copy: the buffer is free again
		return
	}
	b.used++
	if !b.join(packet, to) {
		m := &b.messages[b.filled]
		m.to, m.packets, m.closed = to, append(m.packets[:0], packet), false
		b.filled++
	}
	if b.used == len(b.buffers) {
		b.flush()
	}
}

// join lets the packet go with the one before it.
func (b *batch) join(packet []byte, to *destination) bool {
	if !b.segments || b.filled == 0 {
		return false
	}
	m := &b.messages[b.filled-1]
	size := len(m.packets[0])
	if m.to != to || m.closed || len(packet) > size || len(m.packets) == maxSegments {
		return false
	}
	m.packets = append(m.packets, packet)
	m.closed = len(packet) < size
	return true
}

// flush sends all of it. A packet that cannot be sent is lost, as on any network.
func (b *batch) flush() {
	for i := range b.messages[:b.filled] {
		m := &b.messages[i]
		b.wire[i] = ipv4.Message{Buffers: m.packets, Addr: m.to.udp}
		if len(m.packets) > 1 {
			m.oob = appendSegment(m.oob, len(m.packets[0]))
			b.wire[i].OOB = m.oob
		}
	}
	for sent := 0; sent < b.filled; {
		n, err := b.conn.WriteBatch(b.wire[sent:b.filled], 0)
		for i := range b.messages[sent : sent+max(n, 0)] {
			b.count(b.messages[sent+i].packets)
		}
		sent += max(n, 0)
		if err != nil && sent < b.filled {
			b.sendSingly(&b.messages[sent], err)
			sent++
		}
	}
	clear(b.wire[:b.filled])
	b.used, b.filled = 0, 0
}

// sendSingly is for a message that the kernel would not cut up, such as one of packets that the
// interface must fragment.
func (b *batch) sendSingly(m *message, err error) {
	if len(m.packets) == 1 {
		return
	}
	if neverSegments(err) {
		b.segments = false
	}
	for i, packet := range m.packets {
		if _, err := b.udp.WriteToUDPAddrPort(packet, m.to.addr); err == nil {
			b.count(m.packets[i : i+1])
		}
	}
}

// count adds packets that the kernel took.
func (b *batch) count(packets [][]byte) {
	size := 0
	for _, packet := range packets {
		size += len(packet)
	}
	b.traffic.sent.Add(uint64(size))
}
