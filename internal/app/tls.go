package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/certs"
)

// TLSSettings name the source of certificates.
type TLSSettings struct {
	TLSCert string `help:"Certificate chain (PEM), to serve HTTPS without a proxy in front; loaded again when it changes." placeholder:"FILE" name:"tls-cert"`
	TLSKey  string `help:"Key of the certificate (PEM)." placeholder:"FILE" name:"tls-key"`

	TLSDomain    []string `help:"Names for which certificates are obtained and renewed by ACME, to serve HTTPS without a proxy in front. With it, --listen is :443 and --listen-http :80 by default, and you agree to the terms of the authority." placeholder:"NAME,…" name:"tls-domain"`
	TLSEmail     string   `help:"Address where the authority may reach the operator." placeholder:"EMAIL" name:"tls-email"`
	TLSDirectory string   `help:"ACME directory of the authority; by default that of Let's Encrypt." placeholder:"URL" name:"tls-directory"`
	TLSRoots     string   `help:"Root certificates (PEM) of an authority that the system does not know." placeholder:"FILE" name:"tls-roots"`
	TLSState     string   `help:"Folder for the account, the keys and the certificates of ACME, which servers may share; by default the folder certificates in the data folder." placeholder:"DIR" name:"tls-state"`
	ListenHTTP   string   `help:"Address that answers ACME's challenges and sends browsers on from HTTP to HTTPS; by default none without --tls-domain." placeholder:"HOST:PORT" name:"listen-http"`
}

// A certSource presents certificates and keeps them current.
type certSource interface {
	TLS() *tls.Config
	Run(ctx context.Context) error
}

var (
	_ certSource = (*certs.Files)(nil)
	_ certSource = (*certs.ACME)(nil)
)

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$`)

// checkTLS refuses settings that contradict each other, and loads certificates from files.
func (s *ServeSettings) checkTLS(log *slog.Logger) (certSource, error) {
	for _, name := range s.TLSDomain {
		if !domainName.MatchString(name) {
			return nil, fmt.Errorf("--tls-domain takes names like stage.example.com, not %q", name)
		}
	}
	switch {
	case len(s.TLSDomain) > 0 && s.TLSCert+s.TLSKey != "":
		return nil, errors.New("--tls-domain obtains certificates, --tls-cert names one: " +
			"use one of the two")
	case len(s.TLSDomain) == 0 && s.TLSEmail+s.TLSDirectory+s.TLSRoots+s.TLSState != "":
		return nil, errors.New("--tls-email, --tls-directory, --tls-roots and --tls-state need " +
			"--tls-domain, the name to obtain a certificate for")
	case s.ListenHTTP != "" && len(s.TLSDomain) == 0 && s.TLSCert == "":
		return nil, errors.New(
			"--listen-http sends browsers on to HTTPS: it needs --tls-domain or " +
				"--tls-cert")
	case s.TLSCert == "" && s.TLSKey == "":
		return nil, nil
	case s.TLSKey == "":
		return nil, errors.New("--tls-cert needs --tls-key, the file with the certificate's key")
	case s.TLSCert == "":
		return nil, errors.New("--tls-key needs --tls-cert, the file with the certificate chain")
	}
	files, err := certs.LoadFiles(s.TLSCert, s.TLSKey, log)
	if err != nil {
		return nil, fmt.Errorf(
			"the certificate of --tls-cert %s and --tls-key %s cannot be used: %w",
			s.TLSCert, s.TLSKey, err)
	}
	return files, nil
}

// openTLS opens the HTTP listener that redirects to HTTPS if --listen-http is set, and prepares
// ACME if --tls-domain is set. The HTTPS listener is already open.
func (s *server) openTLS() error {
	var plain net.Addr
	if s.settings.ListenHTTP != "" {
		l, err := net.Listen("tcp", s.settings.ListenHTTP)
		if err != nil {
			return portError(err, s.settings.ListenHTTP, "--listen-http")
		}
		s.closers = append(s.closers, func() error { l.Close(); return nil })
		s.plain, plain = s.listen.Beside(l, false), l.Addr()
	}
	if len(s.settings.TLSDomain) == 0 {
		return nil
	}
	acme, err := certs.NewACME(certs.ACMEConfig{
		Domains: s.settings.TLSDomain, Email: s.settings.TLSEmail,
		Directory: s.settings.TLSDirectory, Roots: s.settings.TLSRoots,
		Folder: cmp.Or(s.settings.TLSState, filepath.Join(s.settings.Data, "certificates")),
		Log:    s.log,
	}, s.listen.Addr(), plain)
	if err != nil {
		return fmt.Errorf("certificates cannot be obtained: %w", err)
	}
	s.closers = append(s.closers, func() error { acme.Close(); return nil })
	s.certs = acme
	return nil
}

// runTLS keeps the certificates current and serves the redirects to HTTPS until ctx ends.
func (s *server) runTLS(ctx context.Context, g *errgroup.Group) {
	if s.certs != nil {
		g.Go(func() error { return s.certs.Run(ctx) })
	}
	if s.plain == nil {
		return
	}
	handler := http.Handler(http.HandlerFunc(s.toHTTPS))
	if acme, ok := s.certs.(*certs.ACME); ok {
		handler = acme.Plain(handler)
	}
	plain := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		ConnState: s.plain.ConnState,
		ErrorLog:  slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	g.Go(func() error {
		if err := plain.Serve(s.plain); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error { <-ctx.Done(); return plain.Close() })
}

// toHTTPS redirects browsers to the public URL. It ignores the Host header, which anybody can
// choose.
func (s *server) toHTTPS(w http.ResponseWriter, r *http.Request) {
	target := *s.public
	target.Path, target.RawPath, target.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target.String(), http.StatusPermanentRedirect)
}

// derive sets the settings that depend on --tls-domain, unless the operator has set them.
func (s *ServeSettings) derive(byDefault func(flag string) bool) {
	if len(s.TLSDomain) == 0 {
		return
	}
	if byDefault("listen") {
		s.Listen = ":443"
	}
	if byDefault("listen-http") {
		s.ListenHTTP = ":80"
	}
}

// ownPublicURL returns the public URL to use if none is set.
func (s *ServeSettings) ownPublicURL(listen *net.TCPAddr) *url.URL {
	if len(s.TLSDomain) == 0 {
		return ownURL(listen, s.TLSCert != "")
	}
	u := &url.URL{Scheme: "https", Host: s.TLSDomain[0]}
	if listen.Port != 443 {
		u.Host = net.JoinHostPort(u.Host, strconv.Itoa(listen.Port))
	}
	return u
}
