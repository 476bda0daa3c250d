package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// newSecret returns 256 random bits in characters that need no escape in URLs and cookies. By the
// prefix, people and the secret scanners of code hosts recognize the kind of secret.
func newSecret(prefix string) stage.Secret {
	var raw [32]byte
	rand.Read(raw[:])
	return stage.NewSecret(prefix + base64.RawURLEncoding.EncodeToString(raw[:]))
}

// hashOf returns the hash of a secret, which is stored in its place.
func hashOf(secret stage.Secret) string {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return hex.EncodeToString(sum[:])
}
