// Package fakekms serves the part of AWS KMS that signs tokens: GetPublicKey, and Sign with
// ECDSA_SHA_384 of a digest.
package fakekms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// ARN is the ARN of the only key.
const ARN = "arn:aws:kms:us-west-2:123456789012:key/k"

// Serve serves AWS KMS with one key, under its ARN and the alias alias/stagedoor, and returns its
// endpoint.
func Serve(t testing.TB, key *ecdsa.PrivateKey) string {
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
		case in.KeyId != "alias/stagedoor" && in.KeyId != ARN:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"NotFoundException","message":"Alias is not found."}`)
		case r.Header.Get("X-Amz-Target") == "TrentService.GetPublicKey":
			fmt.Fprintf(w, `{"KeyId":"`+ARN+`","KeyUsage":"SIGN_VERIFY","KeySpec":"ECC_NIST_P384","PublicKey":%q,"SigningAlgorithms":["ECDSA_SHA_384"]}`, base64.StdEncoding.EncodeToString(der))
		case r.Header.Get("X-Amz-Target") == "TrentService.Sign" && in.KeyId == ARN &&
			in.MessageType == "DIGEST" && in.SigningAlgorithm == "ECDSA_SHA_384":
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
