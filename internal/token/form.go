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

	"github.com/golang-jwt/jwt/v5"
)

const scalar = 48 // bytes of a P-384 scalar

var errCurve = errors.New("participant tokens are signed with a key on the curve P-384")

// A Form is one of the two ways in which participant tokens are signed.
type Form int

const (
	// SelfSigned is the form of tokens signed with an own key: alg ES384 with the key's ARN as kid, and the signature of
	// RFC 7518, 3.4: the two scalars side by side.
	SelfSigned Form = iota
	// APIMade is the form of CreateParticipantToken: alg "KMS", which no registry knows, no kid, and the signature in the
	// DER that AWS KMS answers.
	APIMade
)

var _ jwt.SigningMethod = SelfSigned

// Alg is the "alg" of the token's header.
func (f Form) Alg() string {
	if f == APIMade {
		return "KMS"
	}
	return "ES384"
}

// Sign signs with a crypto.Signer, whose private half may be elsewhere, such as in AWS KMS.
func (f Form) Sign(text string, key any) ([]byte, error) {
	signer, ok := key.(crypto.Signer)
	if !ok || !onP384(signer.Public()) {
		return nil, errCurve
	}
	digest := sha512.Sum384([]byte(text))
	der, err := signer.Sign(rand.Reader, digest[:], crypto.SHA384)
	if err != nil || f == APIMade {
		return der, err
	}
	return raw(der)
}

// Verify checks a signature with an *ecdsa.PublicKey.
func (f Form) Verify(text string, sig []byte, key any) error {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok || !onP384(public) {
		return errCurve
	}
	if f == SelfSigned {
		return jwt.SigningMethodES384.Verify(text, sig, public)
	}
	if digest := sha512.Sum384([]byte(text)); !ecdsa.VerifyASN1(public, digest[:], sig) {
		return jwt.ErrECDSAVerification
	}
	return nil
}

// raw turns the DER that every crypto.Signer answers into r and s side by side.
func raw(der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) != 0 {
		return nil, errors.New("the signer answered something other than an ECDSA signature in DER")
	}
	if sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.BitLen() > 8*scalar || sig.S.BitLen() > 8*scalar {
		return nil, errors.New("the signer answered a signature that is not of P-384")
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
