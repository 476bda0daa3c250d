package sfu

import (
	"context"
	"net"
	"net/netip"

	"github.com/pion/stun/v4"
)

// OutsideAddress asks a STUN server (RFC 8489) for the public address of this machine, which is the
// one to announce for media.
func OutsideAddress(ctx context.Context, server string) (netip.Addr, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", server)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	client, err := stun.NewClient(conn)
	if err != nil {
		return netip.Addr{}, err
	}
	defer client.Close()
	var found netip.Addr
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest)
	if err != nil {
		return netip.Addr{}, err
	}
	var answered error
	err = client.Do(request, func(e stun.Event) {
		var mapped stun.XORMappedAddress
		if answered = e.Error; answered == nil {
			answered = mapped.GetFrom(e.Message)
		}
		found, _ = netip.AddrFromSlice(mapped.IP)
	})
	if err == nil {
		err = answered
	}
	return found.Unmap(), err
}
