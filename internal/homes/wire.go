package homes

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Replicas use TLS 1.3 between each other. Each presents a certificate with the same key, which is
// derived from their shared secret. The secret itself is never sent, and a client of the public
// address cannot pretend to be a replica.

const (
	dialLimit   = 2 * time.Second
	answerLimit = 10 * time.Second // OBS gives up after eight
)

var errStranger = errors.New("this is not a replica of the same database: its key is another one")

// wireTLS returns the TLS settings for both ends of a connection between replicas.
func wireTLS(secret []byte) (*tls.Config, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, "stagedoor: servers on one database",
		ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	cert, err := certificate(key)
	if err != nil {
		return nil, err
	}
	own := key.Public().(ed25519.PublicKey)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAnyClientCert,
		// No authority signs the certificate: VerifyConnection compares its key.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errStranger
			}
			other, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
			if !ok || subtle.ConstantTimeCompare(own, other) != 1 {
				return errStranger
			}
			return nil
		},
		NextProtos: []string{"http/1.1"}, // WebSockets need HTTP/1.1
	}, nil
}

// certificate returns a certificate that never expires, since the clocks of replicas may differ.
func certificate(key crypto.Signer) (tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, 4.1.2.5
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// transport returns a transport to other replicas. Its time limit is long, since negotiating a
// session takes time.
func transport(config *tls.Config) *http.Transport {
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: dialLimit}, Config: config}
	return &http.Transport{
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialLimit)
			defer cancel()
			return dialer.DialContext(ctx, network, address)
		},
		TLSClientConfig:       config,
		ResponseHeaderTimeout: answerLimit,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       time.Minute,
	}
}

// address returns the URL of another replica with the scheme https, even if its setting has another
// one.
func address(peer Peer, path string) (*url.URL, error) {
	u, err := url.Parse(peer.URL)
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "https", Host: u.Host, Path: path}, nil
}
