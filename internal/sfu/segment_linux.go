package sfu

import (
	"encoding/binary"
	"errors"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxSegments is the largest number of packets in one message of a batch. UDP_MAX_SEGMENTS is 64,
// and together the packets must fit into one datagram of 64 KB.
const maxSegments = 40

// canSegment reports whether the kernel splits one large send into datagrams (UDP_SEGMENT, Linux
// 4.18). Then many packets pass through the network stack at once, which saves most of the cost per
// packet.
func canSegment(conn *net.UDPConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var failure error
	err = raw.Control(func(fd uintptr) {
		_, failure = unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP,
			unix.UDP_SEGMENT)
	})
	return err == nil && failure == nil
}

// appendSegment writes the control message that requests the split (udp(7)).
func appendSegment(oob []byte, size int) []byte {
	const header = unix.SizeofCmsghdr
	oob = append(oob[:0], make([]byte, unix.CmsgSpace(2))...)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(oob[header:], uint16(size))
	return oob
}

// neverSegments reports whether an error means that this interface never splits messages. Other
// errors concern a single message.
func neverSegments(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.ENOPROTOOPT) ||
		errors.Is(err, unix.EOPNOTSUPP)
}
