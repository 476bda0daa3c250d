package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// NewClient returns a client that follows no redirects. It connects to public addresses, and to
// private ones only in the allowed networks. A wrong URL, or a name that resolves to this machine,
// must not reach services behind the firewall (OWASP, SSRF).
func NewClient(allowed []netip.Prefix) *http.Client {
	dialer := &net.Dialer{
		Timeout: 5 * time.Second,
		// Check the address after the name was resolved, so that no second look-up can return
		// another address.
		Control: func(_, address string, _ syscall.RawConn) error {
			return permit(address, allowed)
		},
	}
	return &http.Client{
		Timeout: sendTimeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext,
			// No proxy: it would connect in place of this client, without the check.
			Proxy:                  nil,
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

// Unreachable returns a function that returns an error for hosts to which the client of NewClient
// never connects: a private IP address, or a name such as localhost that always means this machine.
// Other names are checked when they are dialed.
func Unreachable(allowed []netip.Prefix) func(host string) error {
	return func(host string) error {
		addresses := written(host)
		if len(addresses) == 0 || slices.ContainsFunc(addresses, func(ip netip.Addr) bool {
			return permitIP(ip, allowed) == nil
		}) {
			return nil
		}
		return stage.Errorf(stage.ErrInvalid, "%s is a private address, to which no webhook "+
			"is sent. The setting --webhook-networks allows its network.", host).
			WithCode("private_address")
	}
}

// written returns the addresses of a host that are known without a look-up.
func written(host string) []netip.Addr {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, 6.3
		return []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return nil
}

func permit(address string, allowed []netip.Prefix) error {
	peer, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %s cannot be read", address)
	}
	return permitIP(peer.Addr(), allowed)
}

func permitIP(ip netip.Addr, allowed []netip.Prefix) error {
	ip = ip.Unmap()
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

// special are the networks that are not part of the public Internet and for which netip has no
// method (RFC 6890 and the IANA special-purpose registries).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // an IPv4 address inside may be private
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("2001::/32"), // Teredo, like 2002::/16
	netip.MustParsePrefix("::/96"),     // an IPv4 address (RFC 4291, 2.5.5.1)
	netip.MustParsePrefix("fec0::/10"), // private addresses of earlier standards (RFC 3879)
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
