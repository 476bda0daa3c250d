package ivsemu

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"maps"
	"strings"

	"github.com/google/uuid"

	"github.com/stagedoor/stagedoor/internal/stage"
)

func importPublicKey(e *Emulator, r *request, in *importKeyIn) (*keyOut, error) {
	public, err := parsePublicKey(*in.PublicKeyMaterial)
	if err != nil {
		return nil, invalid("publicKeyMaterial: %v", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	existing := inRegion(e.state.Keys, r.region)
	for _, k := range existing {
		if other, err := parsePublicKey(k.Material); err == nil && other.Equal(public) {
			return nil, conflict("The public key is imported already: %s", k.Arn)
		}
	}
	if len(existing) >= maxKeys {
		return nil, overQuota(
			"Your account has %d public keys in %s, which is the quota and cannot be raised.",
			maxKeys, r.region)
	}
	k := &keyRecord{
		record: record{
			Seq: e.state.next(), Region: r.region, Arn: e.arn(r.region, kindKey, uuid.NewString()),
			Name: deref(in.Name), Tags: tagsOf(in.Tags),
		},
		Material: *in.PublicKeyMaterial,
	}
	e.state.Keys = append(e.state.Keys, k)
	return &keyOut{k.shape()}, nil
}

func getPublicKey(e *Emulator, r *request, in *keyArnIn) (*keyOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k, err := e.state.key(r.region, *in.Arn)
	if err != nil {
		return nil, err
	}
	return &keyOut{k.shape()}, nil
}

func listPublicKeys(e *Emulator, r *request, in *paged) (*keysOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list, next, err := page(e.pages, "keys/"+r.region, *in, inRegion(e.state.Keys, r.region),
		seqOf[*keyRecord])
	if err != nil {
		return nil, err
	}
	out := &keysOut{PublicKeys: make([]keyShape, len(list)), NextToken: next}
	for i, k := range list {
		out.PublicKeys[i] = keyShape{Arn: k.Arn, Name: k.Name, Tags: maps.Clone(k.Tags)}
	}
	return out, nil
}

// deletePublicKey "invalidates future participant tokens generated using the key pair's private
// key". After that, such tokens are refused, and connected participants stay.
func deletePublicKey(e *Emulator, r *request, in *keyArnIn) (*empty, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k, err := e.state.key(r.region, *in.Arn)
	if err != nil {
		return nil, err
	}
	e.state.Keys = without(e.state.Keys, k)
	return &empty{}, nil
}

func (k *keyRecord) shape() keyShape {
	return keyShape{
		Arn: k.Arn, Name: k.Name, PublicKeyMaterial: k.Material,
		Fingerprint: fingerprint(k.Material), Tags: maps.Clone(k.Tags),
	}
}

func parsePublicKey(material string) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(material))
	if block == nil {
		return nil, errors.New("the key is not PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	public, ok := key.(*ecdsa.PublicKey)
	if err != nil || !ok || public.Curve != elliptic.P384() {
		return nil, errors.New("the key must be an EC key on the curve P-384 (secp384r1)")
	}
	return public, nil
}

// fingerprint returns a text in the format of AWS's fingerprints: 16 bytes in hex. AWS does not
// document how it computes fingerprints, and no common hash gives the same result.
func fingerprint(material string) string {
	sum := md5.Sum([]byte(material))
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = hex.EncodeToString([]byte{b})
	}
	return strings.Join(pairs, ":")
}

// A keyring returns imported public keys by their ARNs, which tokens have as "kid".
type keyring struct{ e *Emulator }

// PublicKey implements token.Keyring.
func (k keyring) PublicKey(_ context.Context, kid string) (*ecdsa.PublicKey, error) {
	k.e.mu.Lock()
	defer k.e.mu.Unlock()
	found, err := k.e.state.key(stage.ARN(kid).Region(), kid)
	if err != nil {
		return nil, stage.Errorf(stage.ErrNotFound, "there is no such key")
	}
	return parsePublicKey(found.Material)
}
