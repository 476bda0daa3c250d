package sfu

import (
	"bytes"
	"net"
	"testing"
	"time"
)

// TestBatchKeepsPacketsApart: each packet arrives unchanged as one datagram, in order, at its own
// viewer.
func TestBatchKeepsPacketsApart(t *testing.T) {
	t.Parallel()
	for name, segments := range map[string]bool{"segmented": true, "one by one": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := listenUDP(t)
			var counted traffic
			b := newBatch(from, &counted)
			b.segments = b.segments && segments
			viewers := []*net.UDPConn{listenUDP(t), listenUDP(t)}
			var want [2][][]byte
			for i, size := range []int{1200, 1200, 1200, 300, 1200, 80, 80, 900, 900, 901} {
				for v, viewer := range viewers {
					packet := append(b.next(), bytes.Repeat([]byte{byte(16*v + i)}, size)...)
					addr := viewer.LocalAddr().(*net.UDPAddr)
					b.add(packet, &destination{path{addr: addr.AddrPort()}, addr})
					want[v] = append(want[v], bytes.Clone(packet))
				}
			}
			// Many packets to one viewer exceed both the largest message and the batch.
			to := &destination{
				path{addr: viewers[0].LocalAddr().(*net.UDPAddr).AddrPort()},
				viewers[0].LocalAddr().(*net.UDPAddr),
			}
			for i := range 3 * maxSegments {
				packet := append(b.next(), bytes.Repeat([]byte{byte(i)}, 500)...)
				b.add(packet, to)
				want[0] = append(want[0], bytes.Clone(packet))
			}
			b.flush()
			size := 0
			for _, packets := range want {
				for _, packet := range packets {
					size += len(packet)
				}
			}
			if got := counted.sent.Load(); got != uint64(size) {
				t.Errorf("%d bytes are counted, want %d", got, size)
			}
			for v, viewer := range viewers {
				receive(t, viewer, want[v])
			}
		})
	}
}

func listenUDP(t *testing.T) *net.UDPConn {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func receive(t *testing.T, conn *net.UDPConn, want [][]byte) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	got := make([]byte, 2048)
	for i, packet := range want {
		n, err := conn.Read(got)
		if err != nil {
			t.Fatalf("packet %d of %d: %v", i, len(want), err)
		}
		if !bytes.Equal(got[:n], packet) {
			t.Fatalf("packet %d: got %d bytes of %d, want %d of %d", i, n, got[0],
				len(packet), packet[0])
		}
	}
}
