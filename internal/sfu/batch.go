package sfu

import (
	"net"

	"golang.org/x/net/ipv4"
)

const (
	sendBatch = 128 // packets per system call
	// the largest received datagram, plus the bytes that this server adds
	outgoingMTU = maxDatagram + 64
)

// A batch collects packets and sends them with one system call (sendmmsg). Packets of one size to
// one viewer, such as the fragments of a frame, become one message that the kernel splits.
type batch struct {
	udp      *net.UDPConn
	conn     *ipv4.PacketConn
	segments bool // the kernel can split messages

	buffers  [][]byte // one for each packet
	used     int      // how many buffers are in use
	messages []message
	filled   int
	wire     []ipv4.Message // the messages in the form that the system call needs
	traffic  *traffic
}

// A message is one or more packets for one viewer.
type message struct {
	to      *destination
	packets [][]byte
	oob     []byte
	closed  bool // the last packet is shorter than the first, so no packet may follow
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

// next returns the buffer for the next packet.
func (b *batch) next() []byte { return b.buffers[b.used] }

// add adds a packet that was written into the buffer that `next` returned.
func (b *batch) add(packet []byte, to *destination) {
	if to.tcp != nil {
		to.tcp.send(packet) // send copies the packet, so the buffer can be used again
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

// join adds a packet to the previous message, if it can.
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

// flush sends all messages. It drops a packet that cannot be sent, as a network would.
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

// sendSingly sends the packets of a message that the kernel did not split, such as packets that the
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

// count adds the bytes of packets that the kernel accepted.
func (b *batch) count(packets [][]byte) {
	size := 0
	for _, packet := range packets {
		size += len(packet)
	}
	b.traffic.sent.Add(uint64(size))
}
