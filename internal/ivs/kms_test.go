package ivs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/fakekms"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestAKeyInKMSSigns(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := fakekms.Serve(t, key)
	s := service(t, "http://127.0.0.1:1", func(cfg *ivs.Config) { cfg.KMSEndpoint = endpoint })
	signer, arn, err := s.KMSKey(t.Context(), region, "alias/stagedoor")
	if err != nil || arn != fakekms.ARN {
		t.Fatalf("KMSKey: got %q, %v; want %q: the alias may move", arn, err, fakekms.ARN)
	}
	digest := sha512.Sum384([]byte("a token"))
	signature, err := signer.Sign(nil, digest[:], crypto.SHA384)
	if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
		t.Errorf("Sign: got %x, %v; want a signature of the key", signature, err)
	}
	if _, _, err := s.KMSKey(t.Context(), region, "alias/other"); !errors.Is(err,
		stage.ErrUnavailable) {
		t.Errorf("an unknown key: got %v, want that it is not to be had", err)
	}
}

func TestAKMSKeyOfAnotherCurveIsRefused(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := fakekms.Serve(t, key)
	s := service(t, "http://127.0.0.1:1", func(cfg *ivs.Config) { cfg.KMSEndpoint = endpoint })
	if _, _, err := s.KMSKey(t.Context(), region, "alias/stagedoor"); !errors.Is(err,
		stage.ErrInvalid) {
		t.Errorf("P-256: got %v, want a refusal", err)
	}
}
