package httpkit

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the addresses of trusted reverse proxies. Without them, forwarding headers are
// ignored.
type Proxies []netip.Prefix

// Client returns the address of the client. This is the address of the peer, or if the peer is a
// trusted proxy, the last address in X-Forwarded-For that is not a trusted proxy. Without
// X-Forwarded-For it reads Forwarded (RFC 7239). It never combines both headers, since a proxy that
// sets one of them forwards the other one from the client, who may have forged it. The result is
// invalid if the peer's address is unknown.
func (p Proxies) Client(r *http.Request) netip.Addr {
	client := parseHost(r.RemoteAddr)
	hops := forwardedFor(r.Header)
	for i := len(hops) - 1; i >= 0 && p.Contain(client); i-- {
		hop := parseHost(hops[i])
		if !hop.IsValid() {
			break
		}
		client = hop
	}
	return client
}

// Contain reports whether an address is one of the trusted proxies.
func (p Proxies) Contain(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// Network returns the network prefix by which clients are limited: an IPv4 address, or the /64
// network of an IPv6 address, which belongs to one customer (RFC 6177).
func Network(a netip.Addr) netip.Prefix {
	if a.Is6() {
		prefix, _ := a.Prefix(64)
		return prefix
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// forwardedFor lists the addresses that proxies have added to a request. The last one was added by
// the nearest proxy.
func forwardedFor(h http.Header) []string {
	if lines := h.Values("X-Forwarded-For"); len(lines) > 0 {
		return strings.Split(strings.Join(lines, ","), ",")
	}
	var hops []string
	for _, element := range splitQuoted(strings.Join(h.Values("Forwarded"), ","), ',') {
		if strings.TrimSpace(element) == "" {
			continue // lists may have empty elements (RFC 9110, 5.6.1)
		}
		hop := "" // without "for", the element does not name the client
		for _, pair := range splitQuoted(element, ';') {
			name, value, _ := strings.Cut(pair, "=")
			if strings.EqualFold(strings.TrimSpace(name), "for") {
				hop = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
		hops = append(hops, hop)
	}
	return hops
}

// splitQuoted splits at separators outside of quoted strings (RFC 7239, 4). It reads backwards from
// the part that the nearest proxy has written. So a quote that a client leaves open in its own part
// does not affect the parts of the proxies.
func splitQuoted(text string, separator byte) []string {
	var parts []string
	quoted, end := false, len(text)
	for i := len(text) - 1; i >= 0; i-- {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == separator && !quoted:
			parts, end = append(parts, text[i+1:end]), i
		}
	}
	slices.Reverse(parts)
	return append([]string{text[:end]}, parts...)
}

// parseHost parses an IP address with or without a port: "192.0.2.1", "192.0.2.1:80",
// "2001:db8::1", "[2001:db8::1]" and "[2001:db8::1]:80". It drops zones, since no prefix contains
// them.
func parseHost(text string) netip.Addr {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddrPort(text); err == nil {
		return a.Addr().Unmap().WithZone("")
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	a, err := netip.ParseAddr(bare)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}
