package access

import (
	"context"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/text/unicode/norm"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	minPassword = 10   // characters
	maxPassword = 1024 // bytes
)

// PasswordParams are the costs of argon2id.
type PasswordParams = argon2id.Params

// DefaultPasswordParams are OWASP's ("Password Storage Cheat Sheet": m=19 MiB, t=2, p=1). They need
// little memory per sign-in, which matters to a server that idles at 25 MB.
func DefaultPasswordParams() *PasswordParams {
	return &PasswordParams{
		Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32,
	}
}

// Passwords hashes and compares passwords, a limited number at a time.
type Passwords struct {
	params *PasswordParams
	turns  *turns
	dummy  func() (string, error)
	// argon2id.ComparePasswordAndHash; a field so that a test sees what is compared
	compare func(password, hash string) (bool, error)
}

// NewPasswords returns Passwords with these costs. They compute at most `parallel` hashes at the
// same time.
func NewPasswords(params *PasswordParams, parallel int) *Passwords {
	return &Passwords{
		params:  params,
		turns:   newTurns(parallel),
		compare: argon2id.ComparePasswordAndHash,
		dummy: sync.OnceValues(func() (string, error) {
			return argon2id.CreateHash("the password of no account", params)
		}),
	}
}

// hashInTurn waits for the client's turn, and returns the hash of a new password. The parameter
// `account` is the key of the account's name.
func (p *Passwords) hashInTurn(
	ctx context.Context, account string, from Client, password stage.Secret,
) (string, error) {
	leave, err := p.turns.enter(ctx, account, from.Address, true)
	if err != nil {
		return "", err
	}
	defer leave()
	return argon2id.CreateHash(normal(password), p.params)
}

// matches compares a password with a hash. The caller must have its turn. An empty hash matches no
// password. Its comparison takes as long as any other, so that the time does not reveal that it is
// empty.
func (p *Passwords) matches(password stage.Secret, hash string) (bool, error) {
	dummy, err := p.dummy()
	if err != nil {
		return false, fmt.Errorf("hash the dummy password: %w", err)
	}
	against := hash
	if hash == "" {
		against = dummy
	}
	same, err := p.compare(normal(password), against)
	if err != nil {
		return false, fmt.Errorf("compare a password: %w", err)
	}
	return same && hash != "", nil
}

// normal returns the same text for the different encodings of one letter that keyboards send (RFC
// 8265, 4.2.2, OpaqueString: NFC).
func normal(password stage.Secret) string { return norm.NFC.String(password.Reveal()) }

// checkPassword returns an error for an unfit new password.
func checkPassword(password stage.Secret, name string) error {
	text := password.Reveal()
	weak := func(format string, args ...any) error {
		return stage.Errorf(stage.ErrInvalid, format, args...).WithCode("weak_password")
	}
	switch {
	case len(text) > maxPassword:
		return weak("A password must have at most %d bytes.", maxPassword)
	case !utf8.ValidString(text):
		return weak("A password must be valid UTF-8.")
	case utf8.RuneCountInString(text) < minPassword:
		return weak(
			"A password must have at least %d characters; a few words together are easy to "+
				"remember.",
			minPassword)
	case nameKey(text) == nameKey(name):
		return weak("The password is your name; choose one that is hard to guess.")
	}
	return nil
}
