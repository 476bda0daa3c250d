package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"math/big"
)

const scalar = 48 // bytes of a P-384 scalar

var (
	errCurve     = errors.New("participant tokens are signed with a key on the curve P-384")
	errSignature = errors.New("the signature does not match")
)

// A Form is one of the two ways in which participant tokens are signed.
type Form int

const (
	// SelfSigned is the form of tokens signed with an own key. In their header, "alg" is ES384, and
	// "kid" is the key's ARN. The signature is the scalars r and s, concatenated (RFC 7518, 3.4).
	SelfSigned Form = iota
	// APIMade is the form of the tokens that CreateParticipantToken returns. In their header, "alg"
	// is KMS, which is not a registered name, and there is no "kid". The signature is the DER that
	// AWS KMS returns.
	APIMade
)

// algorithm returns the token header's "alg".
func (f Form) algorithm() string {
	if f == APIMade {
		return "KMS"
	}
	return "ES384"
}

func formOf(algorithm string) (Form, bool) {
	for _, f := range []Form{SelfSigned, APIMade} {
		if algorithm == f.algorithm() {
			return f, true
		}
	}
	return 0, false
}

// sign signs with a crypto.Signer. Its private half may be elsewhere, for example in AWS KMS.
func (f Form) sign(text string, key crypto.Signer) ([]byte, error) {
	if !onP384(key.Public()) {
		return nil, errCurve
	}
	digest := sha512.Sum384([]byte(text))
	der, err := key.Sign(rand.Reader, digest[:], crypto.SHA384)
	if err != nil || f == APIMade {
		return der, err
	}
	return raw(der)
}

func (f Form) verify(text string, sig []byte, key *ecdsa.PublicKey) error {
	if !onP384(key) {
		return errCurve
	}
	digest := sha512.Sum384([]byte(text))
	if f == SelfSigned {
		if len(sig) != 2*scalar {
			return errSignature
		}
		r, s := new(big.Int).SetBytes(sig[:scalar]), new(big.Int).SetBytes(sig[scalar:])
		if !ecdsa.Verify(key, digest[:], r, s) {
			return errSignature
		}
		return nil
	}
	if !ecdsa.VerifyASN1(key, digest[:], sig) {
		return errSignature
	}
	return nil
}

// raw converts the DER of a crypto.Signer to the scalars r and s, concatenated.
func raw(der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) != 0 {
		return nil, errors.New("the signer returned something other than an ECDSA signature in DER")
	}
	if sig.R.Sign() <= 0 || sig.S.Sign() <= 0 ||
		sig.R.BitLen() > 8*scalar || sig.S.BitLen() > 8*scalar {
		return nil, errors.New("the signer returned a signature that is not of P-384")
	}
	out := make([]byte, 2*scalar)
	sig.R.FillBytes(out[:scalar])
	sig.S.FillBytes(out[scalar:])
	return out, nil
}

func onP384(key any) bool {
	public, ok := key.(*ecdsa.PublicKey)
	return ok && public != nil && public.Curve == elliptic.P384()
}
