package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// newSecret makes 256 random bits in letters that a URL and a cookie bear.
// The prefix tells a person, and the scanners of code hosts, what was found.
func newSecret(prefix string) stage.Secret {
	var raw [32]byte
	rand.Read(raw[:])
	return stage.NewSecret(prefix + base64.RawURLEncoding.EncodeToString(raw[:]))
}

// hashOf is what is kept of a secret.
func hashOf(secret stage.Secret) string {
	sum := sha256.Sum256([]byte(secret.Reveal()))
	return hex.EncodeToString(sum[:])
}
