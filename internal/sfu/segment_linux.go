package sfu

import (
	"encoding/binary"
	"errors"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxSegments are what one call may carry: UDP_MAX_SEGMENTS is 64, and all together are one
// datagram of at most 64 KB on the way through the kernel.
const maxSegments = 40

// canSegment reports whether the kernel cuts one large send into datagrams (UDP_SEGMENT, Linux
// 4.18): the way through the network stack, which is most of what a packet costs, is then gone once
// for many.
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

// appendSegment writes the control message that asks for it (udp(7)).
func appendSegment(oob []byte, size int) []byte {
	const header = unix.SizeofCmsghdr
	oob = append(oob[:0], make([]byte, unix.CmsgSpace(2))...)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	binary.NativeEndian.PutUint16(oob[header:], uint16(size))
	return oob
}

// neverSegments reports whether the error means that this way out does not do it at all, and not
// merely this packet.
func neverSegments(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.ENOPROTOOPT) ||
		errors.Is(err, unix.EOPNOTSUPP)
}
