package sfu

import (
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/stun/v4"
)

// maxAddresses bounds what one peer may occupy in the table of addresses; the oldest goes first.
const maxAddresses = 16

// goneAfter is how long nothing must come from an address until it may be given up for another.
const goneAfter = 5 * time.Second

var (
	bindingSuccess    = stun.NewType(stun.MethodBinding, stun.ClassSuccessResponse)
	bindingError      = stun.NewType(stun.MethodBinding, stun.ClassErrorResponse)
	bindingIndication = stun.NewType(stun.MethodBinding, stun.ClassIndication)
)

// onSTUN answers connectivity checks as a lite agent does (RFC 8445, 7.3). What carries no valid password of ours gets no answer.
func (s *SFU) onSTUN(datagram []byte, from netip.AddrPort, now time.Time) {
	m := stun.New()
	if _, err := m.Write(datagram); err != nil {
		return
	}
	switch m.Type {
	case stun.BindingRequest:
		if p := s.authenticate(m); p != nil {
			s.onCheck(p, m, from, now)
		}
	case bindingIndication: // a keep-alive (RFC 8445, 11); it is not authenticated, so it proves nothing
	}
}

// authenticate finds the session by the username "ours:theirs" and checks the password (RFC 8445, 7.2.2).
func (s *SFU) authenticate(m *stun.Message) *peer {
	var username stun.Username
	if username.GetFrom(m) != nil {
		return nil
	}
	ours, theirs, _ := strings.Cut(string(username), ":")
	s.mu.RLock()
	p := s.byUfrag[ours]
	s.mu.RUnlock()
	if p == nil || theirs != p.remoteUfrag || p.password.Check(m) != nil {
		return nil
	}
	if m.Contains(stun.AttrFingerprint) && stun.Fingerprint.Check(m) != nil {
		return nil
	}
	return p
}

func (s *SFU) onCheck(p *peer, m *stun.Message, from netip.AddrPort, now time.Time) {
	if m.Contains(stun.AttrICEControlled) {
		// We are lite and thus always controlled; a peer that thinks so too must switch (RFC 8445, 7.3.1.1).
		s.reply(p, from, m, bindingError, stun.CodeRoleConflict)
		return
	}
	if !s.bindAddress(p, from, now) {
		return // the pair does not work: nothing that came from there would reach the peer
	}
	p.heard(now)
	switch dest := p.address(); {
	case dest == nil:
		p.setAddress(from)
		p.destHeard = now
		if p.dtlsClient {
			p.startDTLS()
		}
	case dest.addrPort == from:
		p.destHeard = now
	case m.Contains(stun.AttrUseCandidate):
		p.nominate(from, now)
	}
	s.reply(p, from, m, bindingSuccess, &stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())})
}

func (s *SFU) reply(p *peer, to netip.AddrPort, request *stun.Message, kind stun.MessageType, what stun.Setter) {
	response, err := stun.Build(stun.NewTransactionIDSetter(request.TransactionID), kind, what, p.password, stun.Fingerprint)
	if err != nil {
		s.cfg.Log.Debug("answering a connectivity check", "err", err)
		return
	}
	s.conn.WriteToUDPAddrPort(response.Raw, to) // a lost answer is asked for again
}

// bindAddress lets what comes from that address reach the peer. The address of another peer who is there is not taken from it.
func (s *SFU) bindAddress(p *peer, addr netip.AddrPort, now time.Time) bool {
	s.mu.RLock()
	known := s.byAddr[addr] == p
	s.mu.RUnlock()
	if known {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byUfrag[p.ufrag] != p { // it ended meanwhile
		return false
	}
	if other := s.byAddr[addr]; other != nil && other.silence(now) < goneAfter {
		return false
	}
	if len(p.addrs) == maxAddresses {
		if s.byAddr[p.addrs[0]] == p {
			delete(s.byAddr, p.addrs[0])
		}
		p.addrs = p.addrs[1:]
	}
	p.addrs = append(p.addrs, addr)
	s.byAddr[addr] = p
	return true
}

// A destination is the peer's address in the two forms that sending needs.
type destination struct {
	addrPort netip.AddrPort
	udp      *net.UDPAddr
}

func (p *peer) address() *destination { return p.dest.Load() }

func (p *peer) setAddress(addr netip.AddrPort) {
	p.dest.Store(&destination{addr, net.UDPAddrFromAddrPort(addr)})
}

// nominate notes the pair that the controlling side wants from now on, such as a client that roams. Whoever saw a check can
// send it again from anywhere; so media follows when something that only the peer can have made, and only once, comes from there,
// or when nothing comes from the old address any more.
func (p *peer) nominate(addr netip.AddrPort, now time.Time) {
	if p.keys.Load() == nil || now.Sub(p.destHeard) > goneAfter {
		p.setAddress(addr)
		p.destHeard = now
		return
	}
	p.nominated = addr
}

// proved is called for what was protected and came for the first time.
func (p *peer) proved(from netip.AddrPort, now time.Time) {
	if from == p.nominated {
		p.setAddress(from)
		p.nominated = netip.AddrPort{}
	}
	if dest := p.address(); dest != nil && dest.addrPort == from {
		p.destHeard = now
	}
}
