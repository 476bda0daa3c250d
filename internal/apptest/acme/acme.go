// Package acme runs Pebble, the test authority of Let's Encrypt, inside the test.
package acme

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// An Authority issues certificates to servers that answer its challenges. It resolves every name to
// this machine.
type Authority struct {
	Directory string // URL of the ACME directory
	Roots     string // PEM file with the certificate of the directory

	listener net.Listener
	pair     tls.Certificate
	store    *db.MemoryStore
	ca       *ca.CAImpl
	names    string // address of the name server
}

// New reserves the address of the authority. It serves after Serve is called with the ports on
// which servers answer its challenges.
func New(t testing.TB) *Authority {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	a := &Authority{
		Directory: "https://" + listener.Addr().String() + wfe.DirectoryPath,
		Roots:     filepath.Join(t.TempDir(), "roots.pem"), listener: listener,
		store: db.NewMemoryStore(),
	}
	a.pair = SelfSigned(t, a.Roots)
	a.ca = ca.New(quiet(), a.store, "", "ecdsa", 0, 1, map[string]ca.Profile{
		"default": {Description: "default"},
	})
	a.names = nameServer(t)
	return a
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// Serve starts the authority with the ports of the challenges; 0 disables a challenge.
func (a *Authority) Serve(t testing.TB, httpPort, tlsPort int) {
	t.Helper()
	// By default Pebble delays and refuses requests at random, to test clients. These tests do not
	// need that.
	os.Setenv("PEBBLE_VA_NOSLEEP", "1")
	os.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	validator := va.New(quiet(), httpPort, tlsPort, false, a.names, a.store)
	front := wfe.New(quiet(), a.store, validator, a.ca, []string{"pebble.test"}, false, false, 1, 1)
	server := &http.Server{
		Handler: front.Handler(), ReadHeaderTimeout: 30 * time.Second, ErrorLog: quiet(),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{a.pair}},
	}
	go server.ServeTLS(a.listener, "", "")
	t.Cleanup(func() { server.Close() })
}

// Pool returns the roots of the certificates that the authority issues.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.ca.GetRootCert(0).Cert)
	return pool
}

// nameServer starts a name server that resolves every name to 127.0.0.1, and returns its address.
func nameServer(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(answer)}
	go server.ActivateAndServe()
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

func answer(w dns.ResponseWriter, question *dns.Msg) {
	m := new(dns.Msg).SetReply(question)
	if q := question.Question[0]; q.Qtype == dns.TypeA {
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
			A:   net.IPv4(127, 0, 0, 1),
		})
	}
	w.WriteMsg(m)
}

// SelfSigned creates a certificate for 127.0.0.1, and writes it to a file for clients.
func SelfSigned(t testing.TB, path string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
