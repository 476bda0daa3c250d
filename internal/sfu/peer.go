package sfu

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/packetio"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A role is what a peer is there for: to publish or to view.
type role interface {
	// the connection is up; nothing has come or gone yet
	onReady()
	onOpen() // now it may
	// from the reader alone; payload is the role's to keep
	onRTP(header *rtp.Header, payload []byte, now time.Time)
	onRTCP(packets []rtcp.Packet, now time.Time) // from the reader alone
	onTick(now time.Time)                        // every tick once open
	onEnd(code, detail string)                   // once
}

// A peer is one remote end: ICE, DTLS and SRTP of one session.
type peer struct {
	sfu   *SFU
	who   stage.Participant
	since time.Time
	role  role

	ufrag        string
	password     stun.MessageIntegrity // keyed by the ICE password
	icePassword  string
	remoteUfrag  string
	fingerprints []fingerprint
	dtlsClient   bool   // we start the handshake; otherwise the remote side does
	ssrc         uint32 // of our RTCP
	reducedRTCP  bool   // RTCP packets may come alone (RFC 5506)

	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	ending sync.Once

	dest      atomic.Pointer[destination]
	lastHeard atomic.Int64 // a time.Duration from since: a changed wall clock must not end sessions
	keys      atomic.Pointer[keys]

	paths  []path           // guarded by sfu.mu
	dtlsIn *packetio.Buffer // the reader's
	early  []early          // the reader's: media that came before the keys
	header rtp.Header       // the reader's

	nominated path      // the reader's: where media is to go, as soon as that is proved
	destHeard time.Time // the reader's: when something came by the path that media takes

	rtcpMu sync.Mutex // guards keys.rtcpOut
}

// keys are the SRTP contexts. Each has one user at a time.
type keys struct {
	in      *srtp.Context // the reader's
	rtpOut  *srtp.Context // the sender's
	rtcpOut *srtp.Context // under peer.rtcpMu
}

func newPeer(s *SFU, who stage.Participant, o *offer) *peer {
	p := &peer{
		sfu:          s,
		who:          who,
		since:        s.cfg.Now(),
		ufrag:        rand.Text()[:12],
		icePassword:  rand.Text(),
		remoteUfrag:  o.ufrag,
		fingerprints: o.fingerprints,
		dtlsClient:   o.passive,
		ssrc:         mathrand.Uint32(),
		reducedRTCP: !slices.ContainsFunc(o.sections,
			func(s *section) bool { return !s.reducedRTCP }),
	}
	p.password = stun.NewShortTermIntegrity(p.icePassword)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.heard(p.since)
	return p
}

// Done implements whip.Session.
func (p *peer) Done() <-chan struct{} { return p.ctx.Done() }

// Close implements whip.Session.
func (p *peer) Close(code, detail string) { p.end(code, detail) }

func (p *peer) end(code, detail string) {
	p.ending.Do(func() {
		p.sfu.forget(p)
		p.cancel() // runDTLS says goodbye
		p.role.onEnd(code, detail)
		p.sfu.cfg.Log.Debug("session ended", "participant", p.who.ID, "stage",
			p.who.Stage, "code", code)
		p.sfu.changed(p.who.Stage)
	})
}

func (p *peer) heard(now time.Time) { p.lastHeard.Store(int64(now.Sub(p.since))) }

// silence is how long nothing came.
func (p *peer) silence(now time.Time) time.Duration {
	return now.Sub(p.since) - time.Duration(p.lastHeard.Load())
}

func (p *peer) ready(k keys) {
	p.role.onReady()
	p.keys.Store(&k)
	p.role.onOpen()
}

func (p *peer) tick(now time.Time) {
	cfg, open := &p.sfu.cfg, p.keys.Load() != nil
	switch silent := p.silence(now); {
	case !open && now.Sub(p.since) > cfg.Silence:
		p.end("never_connected",
			"The media connection never came about; a firewall may block UDP to the server.")
	case silent > cfg.Silence:
		p.end("lost", "The connection was lost.")
	case now.Sub(p.since) > cfg.MaxDuration:
		p.end("stream_duration_exceeded", "The session reached the longest time allowed.")
	case p.who.Stage.Rehearsal() && now.After(p.who.ExpiresAt):
		p.end("rehearsal_over", "The time of the rehearsal is over.")
	case cfg.EndAtExpiry && !p.who.ExpiresAt.IsZero() && now.After(p.who.ExpiresAt):
		p.end("token_expired", "The token expired.")
	case open:
		p.role.onTick(now)
	}
}

// onSRTP decrypts media as soon as there are keys. RTCP is recognised by its packet type (RFC 5761,
// 4).
func (p *peer) onSRTP(datagram []byte, from path, now time.Time) {
	if p.ctx.Err() != nil {
		return
	}
	k := p.keys.Load()
	if k == nil {
		p.keepEarly(datagram, from, now)
		return
	}
	for _, e := range p.early {
		p.decrypt(k, e.datagram, e.from, e.at)
	}
	p.early = nil
	p.decrypt(k, datagram, from, now)
}

// An early datagram came while our side of the handshake was still being finished: the other side
// is done first and may send at once. It is often the only keyframe for seconds.
type early struct {
	datagram []byte
	from     path
	at       time.Time
}

const maxEarly = 256

func (p *peer) keepEarly(datagram []byte, from path, now time.Time) {
	if p.dtlsIn != nil && len(p.early) < maxEarly {
		p.early = append(p.early, early{bytes.Clone(datagram), from, now})
	}
}

func (p *peer) decrypt(k *keys, datagram []byte, from path, now time.Time) {
	if datagram[1] >= 192 && datagram[1] <= 223 {
		p.onSRTCP(k, datagram, from, now)
		return
	}
	p.header = rtp.Header{}
	plain, err := k.in.DecryptRTP(nil, datagram, &p.header)
	if err != nil {
		return // forged, repeated, or before the keys fit
	}
	p.heard(now)
	p.proved(from, now)
	payload, ok := stripPadding(&p.header, plain)
	if !ok {
		return
	}
	p.role.onRTP(&p.header, payload, now)
}

func stripPadding(h *rtp.Header, plain []byte) (payload []byte, ok bool) {
	payload = plain[headerSize(plain):]
	if !h.Padding {
		return payload, true
	}
	if len(payload) == 0 {
		return nil, false
	}
	padding := int(payload[len(payload)-1])
	if padding == 0 || padding > len(payload) {
		return nil, false
	}
	return payload[:len(payload)-padding], true
}

// headerSize is the length of the RTP header as it came; that it fits has been checked by the
// decryption.
func headerSize(b []byte) int {
	n := 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	return n
}

func (p *peer) onSRTCP(k *keys, datagram []byte, from path, now time.Time) {
	plain, err := k.in.DecryptRTCP(nil, datagram, nil)
	if err != nil {
		return
	}
	p.heard(now)
	p.proved(from, now)
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		return
	}
	p.role.onRTCP(packets, now)
}

// sendRTCP sends one compound.
func (p *peer) sendRTCP(packets ...rtcp.Packet) {
	k, dest := p.keys.Load(), p.address()
	if k == nil || dest == nil || len(packets) == 0 || p.ctx.Err() != nil {
		return
	}
	// RFC 3550, 6.1: the first packet of a compound is a report
	if !p.reducedRTCP && !report(packets[0]) {
		packets = slices.Insert(packets, 0, rtcp.Packet(&rtcp.ReceiverReport{SSRC: p.ssrc}))
	}
	plain, err := rtcp.Marshal(packets)
	if err != nil {
		p.sfu.cfg.Log.Debug("RTCP", "err", err)
		return
	}
	p.rtcpMu.Lock()
	defer p.rtcpMu.Unlock()
	sealed, err := k.rtcpOut.EncryptRTCP(nil, plain, nil)
	if err != nil {
		p.sfu.cfg.Log.Debug("RTCP", "err", err)
		return
	}
	p.sfu.send(sealed, dest.path)
}

func report(packet rtcp.Packet) bool {
	switch packet.(type) {
	case *rtcp.SenderReport, *rtcp.ReceiverReport:
		return true
	}
	return false
}
