package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/acme"
)

// TestACME obtains a certificate with only one kind of challenge, for each kind. After a restart,
// the server still has the certificate.
func TestACME(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{"HTTP-01": true, "TLS-ALPN-01": false} {
		// The subtests run one after the other, because certmagic keeps the open challenges of a
		// name for the whole process.
		t.Run(name, func(t *testing.T) {
			authority := acme.New(t)
			folder := t.TempDir()
			// The server must be reachable before the first attempt, because a pause follows a
			// failed attempt.
			s := newServer(t, authority, folder, plain, func(s *server) {
				if plain {
					authority.Serve(t, portOf(s.plain.Addr()), 0)
				} else {
					authority.Serve(t, 0, portOf(s.secure.Addr()))
				}
			})
			first := s.certificate(t, authority)
			s.stop()

			again := newServer(t, authority, folder, plain, func(*server) {})
			if got := again.certificate(t,
				authority); got.SerialNumber.Cmp(first.SerialNumber) != 0 {
				t.Error("the restart obtained another certificate")
			}
		})
	}
}

const name = "stage.example.com"

// A server serves TLS with the certificates of an ACME client.
type server struct {
	secure, plain net.Listener
	stop          func()
}

// newServer starts a server. It calls the function `listening` when the ports are open, before it
// requests a certificate.
func newServer(
	t *testing.T, authority *acme.Authority, folder string, plain bool, listening func(*server),
) *server {
	t.Helper()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	s := &server{secure: listen()}
	var plainAddress net.Addr
	if plain {
		s.plain = listen()
		plainAddress = s.plain.Addr()
	}
	a, err := NewACME(ACMEConfig{
		Domains: []string{name}, Email: "operator@example.com", Directory: authority.Directory,
		Roots: authority.Roots, Folder: folder, Log: slog.New(slog.DiscardHandler),
	}, s.secure.Addr(), plainAddress)
	if err != nil {
		t.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("hello"))
	})
	secure := &http.Server{Handler: hello, TLSConfig: a.TLS(),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go secure.ServeTLS(s.secure, "", "")
	if s.plain != nil {
		front := &http.Server{Handler: a.Plain(http.NotFoundHandler())}
		go front.Serve(s.plain)
		t.Cleanup(func() { front.Close() })
	}
	listening(s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		a.Close()
		secure.Close()
	})
	t.Cleanup(s.stop)
	return s
}

// certificate waits until the server presents a certificate of the authority.
func (s *server) certificate(t *testing.T, authority *acme.Authority) *x509.Certificate {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		c, err := tls.Dial("tcp", s.secure.Addr().String(),
			&tls.Config{ServerName: name, RootCAs: authority.Pool()})
		if err == nil {
			defer c.Close()
			return c.ConnectionState().PeerCertificates[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("no certificate: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestFilesAreLoadedAgain: the files are loaded again when both have changed. While certificate and
// key do not match, the server keeps the earlier pair.
func TestFilesAreLoadedAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	first, firstKey := pair(t, 1)
	second, secondKey := pair(t, 2)
	write(t, cert, first)
	write(t, key, firstKey)
	var log bytes.Buffer
	f, err := LoadFiles(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		t.Helper()
		c, err := f.TLS().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	write(t, cert, second)
	complained := f.reload("")
	if complained == "" || serial() != 1 {
		t.Errorf("with a certificate without its key: got the certificate %d, want 1 and a "+
			"complaint", serial())
	}
	write(t, key, secondKey)
	if f.reload(complained); serial() != 2 {
		t.Errorf("with both files changed: got the certificate %d, want 2", serial())
	}
	os.Remove(key)
	log.Reset()
	complained = ""
	for range 3 {
		complained = f.reload(complained)
	}
	if serial() != 2 || strings.Count(log.String(), "level=WARN") != 1 {
		t.Errorf("with the key gone: got the certificate %d and the log %q, want 2 and one warning",
			serial(), log.String())
	}
	if _, err := LoadFiles(cert, key, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a start without the key: got no error")
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func pair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().Add(time.Duration(serial) * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}
