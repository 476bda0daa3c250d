package sfu

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha1" // fingerprints in offers may still be SHA-1 …
	"crypto/sha256"
	_ "crypto/sha512" // … or SHA-384 and SHA-512 (RFC 8122, 5)
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/packetio"
)

// A certificate is the certificate of this server. The process has only one, since every answer
// contains its fingerprint.
type certificate struct {
	tls         tls.Certificate
	fingerprint string
}

func newCertificate(now time.Time) (certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate{}, fmt.Errorf("media certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "stagedoor"},
		NotBefore:    now.Add(-24 * time.Hour),
		NotAfter:     now.AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return certificate{}, fmt.Errorf("media certificate: %w", err)
	}
	sum := sha256.Sum256(der)
	return certificate{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		colonHex(sum[:])}, nil
}

func colonHex(sum []byte) string {
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

// A fingerprint is the fingerprint of the peer's certificate, from the offer.
type fingerprint struct {
	hash crypto.Hash
	sum  []byte
}

var hashNames = map[string]crypto.Hash{
	"sha-1": crypto.SHA1, "sha-256": crypto.SHA256, "sha-384": crypto.SHA384,
	"sha-512": crypto.SHA512,
}

func parseFingerprint(value string) (fingerprint, bool) {
	name, text, _ := strings.Cut(value, " ")
	hash, known := hashNames[strings.ToLower(name)]
	sum, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), ":", ""))
	if !known || err != nil || len(sum) != hash.Size() {
		return fingerprint{}, false
	}
	return fingerprint{hash, sum}, true
}

func (f fingerprint) matches(der []byte) bool {
	h := f.hash.New()
	h.Write(der)
	return subtle.ConstantTimeCompare(h.Sum(nil), f.sum) == 1
}

// dtlsTransport passes a peer's datagrams between the socket and pion/dtls.
type dtlsTransport struct {
	*packetio.Buffer // received datagrams; implements Close and SetReadDeadline
	peer             *peer
}

func (t dtlsTransport) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := t.Read(b, nil)
	return n, t.RemoteAddr(), err
}

func (t dtlsTransport) WriteTo(b []byte, _ net.Addr) (int, error) {
	dest := t.peer.address()
	if dest == nil {
		return 0, net.ErrClosed
	}
	return len(b), t.peer.sfu.send(b, dest.path)
}

func (t dtlsTransport) LocalAddr() net.Addr { return t.peer.sfu.conn.LocalAddr() }

func (t dtlsTransport) RemoteAddr() net.Addr {
	if dest := t.peer.address(); dest != nil {
		return dest.udp
	}
	return &net.UDPAddr{}
}

func (t dtlsTransport) SetDeadline(at time.Time) error { return t.SetReadDeadline(at) }
func (dtlsTransport) SetWriteDeadline(time.Time) error { return nil }

// onDTLS passes a datagram to the handshake. If this side is the DTLS server, the first datagram
// starts the handshake.
func (p *peer) onDTLS(datagram []byte) {
	p.startDTLS()
	if p.dtlsIn != nil {
		p.dtlsIn.Write(datagram, nil) // a full buffer drops the datagram, and DTLS retransmits
	}
}

// startDTLS starts the handshake, once. If this side is the DTLS client, it is called after the
// first connectivity check, which shows the remote address.
func (p *peer) startDTLS() {
	if p.dtlsIn != nil || p.ctx.Err() != nil {
		return
	}
	p.dtlsIn = packetio.NewBuffer()
	p.dtlsIn.SetLimitCount(64)
	p.sfu.handles.Go(p.runDTLS)
}

// runDTLS performs the handshake, derives the SRTP keys, and then waits until either side closes.
func (p *peer) runDTLS() {
	defer p.dtlsIn.Close()
	conn, err := p.handshake()
	if err != nil {
		if p.ctx.Err() == nil {
			p.sfu.cfg.Log.Info("the DTLS handshake failed", "participant", p.who.ID, "err", err)
		}
		p.end("dtls_failed", "The encrypted connection could not be set up.")
		return
	}
	closed := make(chan struct{})
	context.AfterFunc(p.ctx, func() { defer close(closed); conn.Close() })
	var b [1]byte
	for err == nil {
		_, err = conn.Read(b[:])
		if errors.Is(err, dtls.ErrConnClosed) {
			break
		}
	}
	p.end("closed_by_peer", "The other side closed the connection.")
	<-closed
}

func (p *peer) handshake() (*dtls.Conn, error) {
	conn, err := p.newDTLS(dtlsTransport{p.dtlsIn, p})
	if err != nil {
		return nil, err
	}
	if err := conn.HandshakeContext(p.ctx); err != nil {
		conn.Close()
		return nil, err
	}
	if err := p.keySRTP(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (p *peer) newDTLS(transport dtlsTransport) (*dtls.Conn, error) {
	either := []dtls.Option{
		dtls.WithCertificates(p.sfu.cert.tls),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM,
			dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequestExtendedMasterSecret),
		// the fingerprint authenticates the peer (RFC 8827, 6.5), instead of a chain of
		// certificates
		dtls.WithInsecureSkipVerify(true),
		dtls.WithVerifyPeerCertificate(p.verifyCertificate),
		dtls.WithFlightInterval(250 * time.Millisecond),
		dtls.WithMTU(1200),
	}
	if p.dtlsClient {
		options := make([]dtls.ClientOption, len(either))
		for i, o := range either {
			options[i] = o
		}
		return dtls.ClientWithOptions(transport, transport.RemoteAddr(), options...)
	}
	options := []dtls.ServerOption{
		dtls.WithClientAuth(dtls.RequireAnyClientCert),
		dtls.WithInsecureSkipVerifyHello(true), // the connectivity check has verified the address
	}
	for _, o := range either {
		options = append(options, o)
	}
	return dtls.ServerWithOptions(transport, transport.RemoteAddr(), options...)
}

func (p *peer) verifyCertificate(chain [][]byte, _ [][]*x509.Certificate) error {
	for _, f := range p.fingerprints {
		if len(chain) > 0 && f.matches(chain[0]) {
			return nil
		}
	}
	return errors.New("the certificate does not match a fingerprint of the offer")
}

// keySRTP creates three SRTP contexts, so that each has one owner. The reader decrypts with the
// first, the sender encrypts RTP with the second, and the third encrypts RTCP under a lock.
func (p *peer) keySRTP(conn *dtls.Conn) error {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return errors.New("no SRTP profile in common")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return errors.New("no DTLS state")
	}
	cfg := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, p.dtlsClient); err != nil {
		return err
	}
	k := cfg.Keys
	in, err := srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt, cfg.Profile,
		srtp.SRTPReplayProtection(2048), srtp.SRTCPReplayProtection(64))
	if err != nil {
		return err
	}
	rtpOut, err := srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, cfg.Profile)
	if err != nil {
		return err
	}
	rtcpOut, err := srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, cfg.Profile)
	if err != nil {
		return err
	}
	p.ready(keys{in: in, rtpOut: rtpOut, rtcpOut: rtcpOut})
	return nil
}
