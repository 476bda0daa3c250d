package ivs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const kmsARN = "arn:aws:kms:us-west-2:123456789012:key/k"

// fakeKMS is AWS KMS with one key, as far as its JSON protocol goes: GetPublicKey and Sign with ECDSA_SHA_384 of a digest.
func fakeKMS(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ KeyId, Message, MessageType, SigningAlgorithm string }
		json.NewDecoder(r.Body).Decode(&in)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		switch {
		case in.KeyId != "alias/stagedoor" && in.KeyId != kmsARN:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"NotFoundException","message":"Alias is not found."}`)
		case r.Header.Get("X-Amz-Target") == "TrentService.GetPublicKey":
			fmt.Fprintf(w, `{"KeyId":"`+kmsARN+`","KeyUsage":"SIGN_VERIFY","KeySpec":"ECC_NIST_P384","PublicKey":%q,"SigningAlgorithms":["ECDSA_SHA_384"]}`, base64.StdEncoding.EncodeToString(der))
		case r.Header.Get("X-Amz-Target") == "TrentService.Sign" && in.KeyId == kmsARN && in.MessageType == "DIGEST" && in.SigningAlgorithm == "ECDSA_SHA_384":
			digest, _ := base64.StdEncoding.DecodeString(in.Message)
			signature, err := key.Sign(rand.Reader, digest, crypto.SHA384)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, `{"KeyId":"k","Signature":%q,"SigningAlgorithm":"ECDSA_SHA_384"}`, base64.StdEncoding.EncodeToString(signature))
		default:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"ValidationException","message":"not this"}`)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAKeyInKMSSigns(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := fakeKMS(t, key)
	s := service(t, "http://127.0.0.1:1", func(cfg *ivs.Config) { cfg.KMSEndpoint = endpoint })
	signer, arn, err := s.KMSKey(t.Context(), region, "alias/stagedoor")
	if err != nil || arn != kmsARN {
		t.Fatalf("KMSKey: got %q, %v; want %q: the alias may move", arn, err, kmsARN)
	}
	digest := sha512.Sum384([]byte("a token"))
	signature, err := signer.Sign(nil, digest[:], crypto.SHA384)
	if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
		t.Errorf("Sign: got %x, %v; want a signature of the key", signature, err)
	}
	if _, _, err := s.KMSKey(t.Context(), region, "alias/other"); !errors.Is(err, stage.ErrUnavailable) {
		t.Errorf("an unknown key: got %v, want that it is not to be had", err)
	}
}

func TestAKMSKeyOfAnotherCurveIsRefused(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := fakeKMS(t, key)
	s := service(t, "http://127.0.0.1:1", func(cfg *ivs.Config) { cfg.KMSEndpoint = endpoint })
	if _, _, err := s.KMSKey(t.Context(), region, "alias/stagedoor"); !errors.Is(err, stage.ErrInvalid) {
		t.Errorf("P-256: got %v, want a refusal", err)
	}
}
