package sfu

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pion/stun/v4"
)

// maxPaths limits the paths of one peer; the oldest is dropped first.
const maxPaths = 16

// goneAfter is how long a path must be silent before a nominated path replaces it without proof. It
// is also how long a peer must be silent before another peer may take its path.
const goneAfter = 5 * time.Second

var (
	bindingSuccess    = stun.NewType(stun.MethodBinding, stun.ClassSuccessResponse)
	bindingError      = stun.NewType(stun.MethodBinding, stun.ClassErrorResponse)
	bindingIndication = stun.NewType(stun.MethodBinding, stun.ClassIndication)
)

// A path is the route to a remote end: its address, by UDP or over a TCP connection.
type path struct {
	addr netip.AddrPort
	tcp  *tcpConn // nil for UDP
}

// A destination is a path with the address in the form that a batch needs.
type destination struct {
	path
	udp *net.UDPAddr
}

// send sends a datagram without a guarantee that it arrives, as UDP does.
func (s *SFU) send(datagram []byte, to path) error {
	if to.tcp != nil {
		return to.tcp.send(datagram)
	}
	_, err := s.conn.WriteToUDPAddrPort(datagram, to.addr)
	return err
}

// onSTUN answers connectivity checks as a lite agent does (RFC 8445, 7.3). A request without a
// valid password gets no answer.
func (s *SFU) onSTUN(datagram []byte, from path, now time.Time) {
	m := stun.New()
	if _, err := m.Write(datagram); err != nil {
		return
	}
	switch m.Type {
	case stun.BindingRequest:
		if p := s.authenticate(m); p != nil {
			s.onCheck(p, m, from, now)
		}
	// a keep-alive (RFC 8445, 11); it is not authenticated, so it proves nothing
	case bindingIndication:
	}
}

// authenticate finds the session by the username "local:remote" and checks the message integrity
// with the password of the session (RFC 8445, 7.2.2).
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

func (s *SFU) onCheck(p *peer, m *stun.Message, from path, now time.Time) {
	if m.Contains(stun.AttrICEControlled) {
		// A lite agent is always the controlled one, so the other side must switch its role (RFC
		// 8445, 7.3.1.1).
		s.reply(p, from, m, bindingError, stun.CodeRoleConflict)
		return
	}
	if !s.bind(p, from, now) {
		return // another peer uses this path, so datagrams from the path go to that peer
	}
	p.heard(now)
	switch dest := p.address(); {
	case dest == nil:
		p.setAddress(from, now)
		if p.dtlsClient {
			p.startDTLS()
		}
	case dest.path == from:
		p.destHeard = now
	case m.Contains(stun.AttrUseCandidate):
		p.nominate(from, now)
	}
	mapped := &stun.XORMappedAddress{IP: from.addr.Addr().AsSlice(), Port: int(from.addr.Port())}
	s.reply(p, from, m, bindingSuccess, mapped)
}

func (s *SFU) reply(
	p *peer, to path, request *stun.Message, kind stun.MessageType, what stun.Setter,
) {
	response, err := stun.Build(stun.NewTransactionIDSetter(request.TransactionID),
		kind, what, p.password, stun.Fingerprint)
	if err != nil {
		s.cfg.Log.Debug("a connectivity check was not answered", "err", err)
		return
	}
	s.send(response.Raw, to) // the remote side repeats the request if this answer is lost
}

// bind routes datagrams from a path to the peer, unless another peer is still sending on that path.
func (s *SFU) bind(p *peer, from path, now time.Time) bool {
	s.mu.RLock()
	known := s.byPath[from] == p
	s.mu.RUnlock()
	if known {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byUfrag[p.ufrag] != p { // the session ended meanwhile
		return false
	}
	if other := s.byPath[from]; other != nil && other.silence(now) < goneAfter {
		return false
	}
	if len(p.paths) == maxPaths {
		s.unbind(p, p.paths[0])
	}
	p.paths = append(p.paths, from)
	s.byPath[from] = p
	if from.tcp != nil {
		s.tcp.bound(from.tcp)
	}
	return true
}

// unbind removes a path from the peer. The caller holds mu.
func (s *SFU) unbind(p *peer, gone path) {
	p.paths = slices.DeleteFunc(p.paths, func(known path) bool { return known == gone })
	if s.byPath[gone] != p {
		return
	}
	delete(s.byPath, gone)
	if gone.tcp != nil {
		gone.tcp.finish()
	}
}

// address returns where media is sent. It is nil before the first connectivity check.
func (p *peer) address() *destination { return p.dest.Load() }

func (p *peer) setAddress(to path, now time.Time) {
	p.dest.Store(&destination{to, net.UDPAddrFromAddrPort(to.addr)})
	p.destHeard = now
}

// nominate stores the path that the controlling side wants to use from now on, for example because
// the client changed networks. An attacker can record a check and repeat it from another address.
// So, once the session has keys, media moves to the new path at once only if the current path is
// dead. Otherwise media moves after the new path delivers an authenticated packet that is not a
// repetition.
func (p *peer) nominate(to path, now time.Time) {
	dead := now.Sub(p.destHeard) > goneAfter
	if dest := p.address(); dest.tcp != nil && dest.tcp.closed() {
		dead = true
	}
	if p.keys.Load() == nil || dead {
		p.setAddress(to, now)
		return
	}
	p.nominated = to
}

// proved is called for each authenticated packet that is not a repetition. Such a packet shows that
// the peer uses the path `from`.
func (p *peer) proved(from path, now time.Time) {
	if from == p.nominated {
		p.setAddress(from, now)
		p.nominated = path{}
	}
	if dest := p.address(); dest != nil && dest.path == from {
		p.destHeard = now
	}
}
