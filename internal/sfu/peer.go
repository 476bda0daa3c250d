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

// A role is what a peer does: publish or view.
type role interface {
	onReady() // called after the handshake, before any media is processed
	onOpen()  // called when media can be sent and received
	// only the reader calls it; the role may keep payload
	onRTP(header *rtp.Header, payload []byte, now time.Time)
	onRTCP(packets []rtcp.Packet, now time.Time) // called by the reader alone
	onTick(now time.Time)                        // called at every tick after onOpen
	onEnd(code, detail string)                   // called once
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
	dtlsClient   bool   // this side starts the handshake; otherwise the remote side does
	ssrc         uint32 // of this side's RTCP
	reducedRTCP  bool   // RTCP packets need not be compounds (RFC 5506)

	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	ending sync.Once

	dest atomic.Pointer[destination]
	// a Duration, counted from the field `since` by the monotonic clock
	lastHeard atomic.Int64
	keys      atomic.Pointer[keys]

	paths  []path           // guarded by sfu.mu
	dtlsIn *packetio.Buffer // owned by the reader
	early  []early          // owned by the reader: media that arrived before the keys were known
	header rtp.Header       // owned by the reader

	nominated path      // owned by the reader: the new path for media, until it is proved
	destHeard time.Time // owned by the reader: when the path of the media last delivered a datagram

	rtcpMu sync.Mutex // guards keys.rtcpOut
}

// keys are the SRTP contexts. Each has one owner at a time.
type keys struct {
	in      *srtp.Context // owned by the reader
	rtpOut  *srtp.Context // owned by the sender
	rtcpOut *srtp.Context // guarded by peer.rtcpMu
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
		p.cancel() // runDTLS then closes the connection
		p.role.onEnd(code, detail)
		p.sfu.cfg.Log.Debug("a session ended", "participant", p.who.ID, "stage",
			p.who.Stage, "code", code)
		p.sfu.changed(p.who.Stage)
	})
}

func (p *peer) heard(now time.Time) { p.lastHeard.Store(int64(now.Sub(p.since))) }

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
			"The media connection was never established; a firewall may block UDP to the server.")
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

// onSRTP decrypts media after the keys are known. It recognizes RTCP by the packet type (RFC 5761,
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

// An early datagram arrived before this side finished the handshake. The other side finishes first
// and may send media at once, which often contains the only keyframe for seconds.
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
		return // forged, repeated, or encrypted with other keys
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

// headerSize returns the length of the RTP header. Decryption has already checked that the packet
// is long enough.
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

// sendRTCP sends RTCP packets in one datagram.
func (p *peer) sendRTCP(packets ...rtcp.Packet) {
	k, dest := p.keys.Load(), p.address()
	if k == nil || dest == nil || len(packets) == 0 || p.ctx.Err() != nil {
		return
	}
	// RFC 3550, 6.1: the first packet of a compound must be a report
	if !p.reducedRTCP && !report(packets[0]) {
		packets = slices.Insert(packets, 0, rtcp.Packet(&rtcp.ReceiverReport{SSRC: p.ssrc}))
	}
	plain, err := rtcp.Marshal(packets)
	if err != nil {
		p.sfu.cfg.Log.Debug("RTCP was not handled", "err", err)
		return
	}
	p.rtcpMu.Lock()
	defer p.rtcpMu.Unlock()
	sealed, err := k.rtcpOut.EncryptRTCP(nil, plain, nil)
	if err != nil {
		p.sfu.cfg.Log.Debug("RTCP was not handled", "err", err)
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
