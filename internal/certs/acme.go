package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/caddyserver/certmagic"
)

// An ACMEConfig contains the names for which certificates are obtained, and the authority.
type ACMEConfig struct {
	Domains   []string
	Email     string // sent to the authority; may be empty
	Directory string // URL of the authority's directory; empty for Let's Encrypt
	Roots     string // PEM file with the authority's own root certificates; empty for the system's
	Folder    string // stores account, keys and certificates; replicas may share it
	Log       *slog.Logger
}

// ACME obtains certificates from an authority, renews them, and answers the challenges HTTP-01 (on
// the plain listener) and TLS-ALPN-01 (on the TLS listener).
type ACME struct {
	cfg    ACMEConfig
	magic  *certmagic.Config
	issuer *certmagic.ACMEIssuer
	cache  *certmagic.Cache
}

// NewACME prepares certificates for two open listeners. If `plain` is nil, TLS-ALPN-01 is the only
// challenge. Call Close at the end.
func NewACME(cfg ACMEConfig, secure, plain net.Addr) (*ACME, error) {
	a := &ACME{cfg: cfg}
	log := newZap(cfg.Log)
	template := certmagic.ACMEIssuer{
		CA: cfg.Directory, Email: cfg.Email, Agreed: true, Logger: log,
		AltTLSALPNPort: portOf(secure), AltHTTPPort: portOf(plain),
		ListenHost: hostOf(secure), DisableHTTPChallenge: plain == nil,
	}
	if cfg.Directory == "" {
		template.CA = certmagic.LetsEncryptProductionCA
	}
	if cfg.Roots != "" {
		text, err := os.ReadFile(cfg.Roots)
		if err != nil {
			return nil, err
		}
		template.TrustedRoots = x509.NewCertPool()
		if !template.TrustedRoots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", cfg.Roots)
		}
	}
	if err := os.MkdirAll(cfg.Folder, 0o700); err != nil {
		return nil, err
	}
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) {
			return a.magic, nil
		},
		Logger: log,
	})
	a.magic = certmagic.New(a.cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: cfg.Folder}, Logger: log,
		DefaultServerName: cfg.Domains[0], // for clients that send no server name
	})
	a.issuer = certmagic.NewACMEIssuer(a.magic, template)
	a.magic.Issuers = []certmagic.Issuer{a.issuer}
	return a, nil
}

func portOf(a net.Addr) int {
	if a == nil {
		return 0
	}
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return ""
	}
	return host
}

// TLS returns the configuration of the TLS listener.
func (a *ACME) TLS() *tls.Config {
	c := a.magic.TLSConfig()
	c.MinVersion = tls.VersionTLS12
	// c.NextProtos already contains the protocol of the challenge
	c.NextProtos = append([]string{"h2", "http/1.1"}, c.NextProtos...)
	return c
}

// Plain answers challenges on the plain listener and passes other requests to `next`.
func (a *ACME) Plain(next http.Handler) http.Handler { return a.issuer.HTTPChallengeHandler(next) }

// Run obtains and renews certificates until ctx ends. It logs failures and retries, since an
// unavailable authority must not prevent the start of the server.
func (a *ACME) Run(ctx context.Context) error {
	if err := a.magic.ManageAsync(ctx, a.cfg.Domains); err != nil && ctx.Err() == nil {
		return fmt.Errorf("certificates for %v: %w", a.cfg.Domains, err)
	}
	<-ctx.Done()
	return nil
}

// Close ends the maintenance of certificates.
func (a *ACME) Close() { a.cache.Stop() }
