// Package fakeivs serves the emulator of Amazon IVS in the process of a test.
package fakeivs

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stagedoor/stagedoor/internal/ivsemu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// The key pair that the emulator accepts.
const (
	AccessKey = "AKIDEMULATOR00000001"
	SecretKey = "a-secret-of-this-test"
)

// Serve serves an emulator on a free port of this computer until the test ends. It returns the
// emulator and its URL. The function `change` may adapt the configuration; it may be nil.
func Serve(t testing.TB, change func(*ivsemu.Config)) (*ivsemu.Emulator, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := ivsemu.Config{
		BaseURL:   "http://" + listener.Addr().String(),
		AccessKey: AccessKey,
		SecretKey: stage.NewSecret(SecretKey),
	}
	if change != nil {
		change(&cfg)
	}
	e, err := ivsemu.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: e}}
	server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
		server.Close()
	})
	return e, cfg.BaseURL
}
