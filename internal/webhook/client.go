package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// NewClient returns a client that follows no redirects and connects to public addresses, and to
// private ones only within the networks that are allowed: an operator's typing mistake, or a name
// that resolves to this machine, must not reach services behind the firewall (OWASP, SSRF).
func NewClient(allowed []netip.Prefix) *http.Client {
	dialer := &net.Dialer{
		Timeout: 5 * time.Second,
		// After the name is resolved, so that no second look-up can answer differently.
		Control: func(_, address string, _ syscall.RawConn) error {
			return permit(address,
				allowed)
		},
	}
	return &http.Client{
		Timeout: sendTimeout,
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			Proxy:                  nil, // a proxy would connect in our place, unchecked
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        time.Minute,
		},
		CheckRedirect: func(*http.Request,
			[]*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}

var errPrivate = errors.New("the address is private; allow its network with --webhook-networks")

func permit(address string, allowed []netip.Prefix) error {
	peer, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %s cannot be read", address)
	}
	ip := peer.Addr().Unmap()
	for _, network := range allowed {
		if network.Contains(ip) {
			return nil
		}
	}
	if !public(ip) {
		return errPrivate
	}
	return nil
}

// special are the networks that are not part of the public internet and that netip has no method
// for (RFC 6890 and the IANA special-purpose registries).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // an IPv4 address behind it may be private
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
}

func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false // loopback, link-local, multicast, unspecified and private addresses
	}
	for _, network := range special {
		if network.Contains(ip) {
			return false
		}
	}
	return true
}
