package sfu

import (
	"net"
	"net/netip"
	"testing"
)

// TestStrangersAreLimited: one address may have only some of the TCP connections that have not
// proved a password. A connection that has proved a password or has ended no longer counts.
func TestStrangersAreLimited(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Listen: "127.0.0.1:0", ListenTCP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	accept := func() *tcpConn {
		client, err := net.Dial("tcp", s.TCPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		conn, err := s.tcp.listener.AcceptTCP()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return s.tcp.add(conn)
	}
	var first, second *tcpConn
	for i := range tcpStranger {
		c := accept()
		if c == nil {
			t.Fatalf("connection %d was refused, want it accepted", i)
		}
		first, second = second, c
	}
	if accept() != nil {
		t.Error("one connection too many was accepted")
	}
	s.tcp.bound(first)
	if accept() == nil {
		t.Error("a connection that showed a password still counts")
	}
	second.close()
	if accept() == nil {
		t.Error("a connection that ended still counts")
	}
	if accept() != nil {
		t.Error("one connection too many was accepted in the end")
	}
}

// TestStrangersAreCountedByNetwork: an IPv6 customer has 2^64 addresses, which share one limit.
func TestStrangersAreCountedByNetwork(t *testing.T) {
	t.Parallel()
	l := tcpListener{strangers: map[netip.Prefix]int{}}
	for i := range tcpStranger {
		addr := netip.MustParseAddr("2001:db8::1")
		for range i {
			addr = addr.Next()
		}
		if l.full(addr) {
			t.Fatalf("connection %d was refused", i)
		}
		l.countStranger(&tcpConn{addr: netip.AddrPortFrom(addr, 1)}, 1)
	}
	for addr, want := range map[string]bool{
		"2001:db8::ffff": true, "2001:db8:0:1::1": false, "192.0.2.1": false,
	} {
		if got := l.full(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: full is %t, want %t", addr, got, want)
		}
	}
}
