package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/keys"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
)

// BenchmarkOwnKey measures how long it takes to issue a token for an AWS stage with an own key,
// including the check of the list of keys. It compares this time with that of a token of the local
// signer, and of a signature alone.
func BenchmarkOwnKey(b *testing.B) {
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha512.Sum384([]byte("x"))
	amazon := newAWS()
	manager := keys.New(keys.Config{Dir: b.TempDir(), AWS: amazon})
	if _, err := manager.Add(b.Context(), region, keys.Source{}); err != nil {
		b.Fatal(err)
	}
	var routed stage.Issuer = &keys.Router{
		Keys: manager, API: api{}, Endpoints: endpoints, Now: time.Now,
	}
	var local stage.Issuer = &token.Signer{
		Key: private, KeyID: "k", Endpoints: endpoints, Now: time.Now,
	}
	req := stage.TokenRequest{
		Stage: arn, UserID: "u", Capabilities: stage.Publish, TTL: 12 * time.Hour,
	}
	issue := func(issuer stage.Issuer) func() error {
		return func() error { _, err := issuer.IssueToken(b.Context(), req); return err }
	}
	for _, way := range []struct {
		name string
		do   func() error
	}{
		{"bare signature", func() error {
			_, err := private.Sign(rand.Reader, digest[:],
				crypto.SHA384)
			return err
		}},
		{"local stage", issue(local)},
		{"AWS stage", issue(routed)},
	} {
		b.Run(way.name, func(b *testing.B) {
			for b.Loop() {
				if err := way.do(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
