package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
)

func TestKeyIsMadeOnceAndFoundAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "signing.pem")
	made, err := token.CreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	found, err := token.LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !found.Equal(made) {
		t.Error("the key that was read is not the one that was made")
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode: got %o, want 600", got)
	}
	if _, err := token.CreateKey(path); !errors.Is(err, stage.ErrConflict) {
		t.Errorf("a second key in the same file: got %v, want ErrConflict", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("files left: got %v (%v), want the key alone", left, err)
	}
}

func TestOneOfManyConcurrentCallsCreatesTheKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "signing.pem")
	var wg sync.WaitGroup
	won := make(chan *ecdsa.PrivateKey, 8)
	for range cap(won) {
		wg.Go(func() {
			if key, err := token.CreateKey(path); err == nil {
				won <- key
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("winners: got %d, want 1", len(won))
	}
	if kept, err := token.LoadKey(path); err != nil || !kept.Equal(<-won) {
		t.Errorf("the key kept is not the winner's (%v)", err)
	}
}

func write(t *testing.T, mode os.FileMode, blocks ...*pem.Block) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	var content []byte
	for _, b := range blocks {
		content = append(content, pem.EncodeToMemory(b)...)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func sec1(t *testing.T, curve elliptic.Curve) *pem.Block {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}
}

// TestKeyOfOpenSSL reads keys in the form that the guide's openssl commands write, with and without
// -noout.
func TestKeyOfOpenSSL(t *testing.T) {
	t.Parallel()
	key := sec1(t, elliptic.P384())
	for name, path := range map[string]string{
		"-noout": write(t, 0o600, key),
		"with its parameters": write(t, 0o600, &pem.Block{Type: "EC PARAMETERS",
			Bytes: []byte{6, 5, 43, 129, 4, 0, 34}}, key),
		"read by a group": write(t, 0o640, key),
	} {
		if _, err := token.LoadKey(path); err != nil {
			t.Errorf("%s: got %v, want nil", name, err)
		}
	}
}

func TestUnfitKeys(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaDER, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := sec1(t, elliptic.P384())
	encrypted.Headers = map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}
	for name, c := range map[string]struct{ path, says string }{
		"P-256": {write(t, 0o600, sec1(t, elliptic.P256())), "P-384"},
		"RSA": {write(t, 0o600, &pem.Block{Type: "PRIVATE KEY", Bytes: rsaDER}),
			"P-384"},
		"encrypted PKCS#8": {write(t, 0o600, &pem.Block{Type: "ENCRYPTED PRIVATE KEY",
			Bytes: []byte("x")}), "passphrase"},
		"encrypted SEC1": {write(t, 0o600, encrypted), "passphrase"},
		"damaged": {write(t, 0o600, &pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}),
			"damaged"},
		"a public key": {write(t, 0o600, &pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
			"PUBLIC KEY"},
		"empty":             {write(t, 0o600), "no private key"},
		"read by everybody": {write(t, 0o644, sec1(t, elliptic.P384())), "chmod 600"},
		"not there":         {filepath.Join(t.TempDir(), "none.pem"), "there is no key"},
	} {
		_, err := token.LoadKey(c.path)
		if err == nil || !strings.Contains(err.Error(), c.says) ||
			!strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: got %v, want the path and %q", name, err, c.says)
		}
		if name != "not there" && !errors.Is(err, stage.ErrUnavailable) {
			t.Errorf("%s: got the kind of %v, want a fault of the server", name, err)
		}
	}
}

func TestPublicHalf(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	text, err := token.PublicPEM(&h.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	// The pattern of PublicKeyMaterial in the model of the API.
	material := regexp.MustCompile(`^-----BEGIN PUBLIC KEY-----\r?\n([a-zA-Z0-9+/=\r\n]+)\r?\n-----END PUBLIC KEY-----(\r?\n)?$`)
	if !material.Match(text) {
		t.Errorf("ImportPublicKey would refuse %q", text)
	}
	id, err := token.LocalKeyID(&h.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^arn:aws:ivs:local:000000000000:public-key/[a-zA-Z0-9-]+$`).MatchString(id) {
		t.Errorf("key ID: got %s, want an ARN", id)
	}
	if again, _ := token.LocalKeyID(&h.key.PublicKey); again != id {
		t.Errorf("the ID of one key changed from %s to %s", id, again)
	}
	if other, _ := token.LocalKeyID(&newHarness(t).key.PublicKey); other == id {
		t.Error("two keys have one ID")
	}
}
