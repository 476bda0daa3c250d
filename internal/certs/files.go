// Package certs provides the server's certificates: from files that another program renews, or from
// a certificate authority by ACME (RFC 8555).
package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// reloadEvery is how often the files are checked.
const reloadEvery = 5 * time.Second

// Files provides the certificate of two PEM files, and loads them again when they change.
type Files struct {
	cert, key string
	log       *slog.Logger
	current   atomic.Pointer[loaded]
}

// A loaded is a certificate, with the state of the files when they were read.
type loaded struct {
	pair  tls.Certificate
	state fileState
}

type fileState struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

// LoadFiles reads the certificate chain and its key.
func LoadFiles(cert, key string, log *slog.Logger) (*Files, error) {
	f := &Files{cert: cert, key: key, log: log}
	if err := f.load(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Files) load() error {
	// read the state before the files, so that a change in between is noticed at the next check
	state, err := f.stat()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return err
	}
	f.current.Store(&loaded{pair, state})
	return nil
}

func (f *Files) stat() (fileState, error) {
	cert, err := os.Stat(f.cert)
	if err != nil {
		return fileState{}, err
	}
	key, err := os.Stat(f.key)
	if err != nil {
		return fileState{}, err
	}
	return fileState{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}

// TLS returns the configuration of a listener.
func (f *Files) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &f.current.Load().pair, nil
		},
	}
}

// Run loads the files again when they have changed, until ctx ends. It retries while the pair is
// incomplete, and keeps the earlier certificate meanwhile.
func (f *Files) Run(ctx context.Context) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	var complained string
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		complained = f.reload(complained)
	}
}

// reload loads changed files. It logs an error once for each state of the files. The parameter
// `complained` names the state and the error that were logged last, and reload returns its new
// value.
func (f *Files) reload(complained string) string {
	state, err := f.stat()
	if err == nil && state == f.current.Load().state {
		return ""
	}
	if err == nil {
		err = f.load()
	}
	if err == nil {
		f.log.Info("the certificate was loaded again", "file", f.cert)
		return ""
	}
	now := fmt.Sprint(state, err)
	if now != complained {
		f.log.Warn("the changed certificate cannot be used; the earlier one stays",
			"err", fmt.Errorf("%s, %s: %w", f.cert, f.key, err))
	}
	return now
}
