package access

import (
	"context"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/text/unicode/norm"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	minPassword      = 10   // characters
	maxPassword      = 1024 // bytes
	maxPasswordDelay = 10 * time.Second
)

// PasswordParams are the costs of argon2id.
type PasswordParams = argon2id.Params

// DefaultPasswordParams are OWASP's ("Password Storage Cheat Sheet": m=19 MiB, t=2, p=1): little memory per sign-in matters
// to a server that idles at 25 MB.
func DefaultPasswordParams() *PasswordParams {
	return &PasswordParams{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}
}

// Passwords hashes and compares, a bounded number at a time: each run of argon2id takes its memory.
type Passwords struct {
	params *PasswordParams
	slots  chan struct{}
	dummy  func() (string, error)
}

// NewPasswords makes them with these costs, for at most so many at a time.
func NewPasswords(params *PasswordParams, parallel int) *Passwords {
	return &Passwords{
		params: params,
		slots:  make(chan struct{}, max(1, parallel)),
		dummy:  sync.OnceValues(func() (string, error) { return argon2id.CreateHash("nobody's password", params) }),
	}
}

// Hash makes the hash of a new password.
func (p *Passwords) Hash(ctx context.Context, password stage.Secret) (string, error) {
	if err := p.enter(ctx); err != nil {
		return "", err
	}
	defer p.leave()
	return argon2id.CreateHash(normal(password), p.params)
}

// Matches compares with a hash. An empty hash matches nothing, and takes as long as any other to say so.
func (p *Passwords) Matches(ctx context.Context, password stage.Secret, hash string) (bool, error) {
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	defer p.leave()
	dummy, err := p.dummy()
	if err != nil {
		return false, fmt.Errorf("hash of nobody's password: %w", err)
	}
	against := hash
	if hash == "" {
		against = dummy
	}
	same, err := argon2id.ComparePasswordAndHash(normal(password), against)
	if err != nil {
		return false, fmt.Errorf("compare a password: %w", err)
	}
	return same && hash != "", nil
}

func (p *Passwords) enter(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, maxPasswordDelay)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-wait.Done():
		return stage.Errorf(stage.ErrUnavailable, "Too many people are signing in at this moment; try again shortly.").
			WithRetry(maxPasswordDelay).WithCause(context.Cause(wait))
	}
}

func (p *Passwords) leave() { <-p.slots }

// normal makes one text of what two keyboards write for the same letters (RFC 8265, 4.2.2, OpaqueString: NFC).
func normal(password stage.Secret) string { return norm.NFC.String(password.Reveal()) }

// checkPassword says what is wrong with a new password.
func checkPassword(password stage.Secret, name string) error {
	text := password.Reveal()
	weak := func(format string, args ...any) error {
		return stage.Errorf(stage.ErrInvalid, format, args...).WithCode("weak_password")
	}
	switch {
	case len(text) > maxPassword:
		return weak("A password has at most %d bytes.", maxPassword)
	case !utf8.ValidString(text):
		return weak("A password is written in UTF-8.")
	case utf8.RuneCountInString(text) < minPassword:
		return weak("A password has at least %d characters; a few words together are easy to remember.", minPassword)
	case nameKey(text) == nameKey(name):
		return weak("The password is your name; choose one that nobody can guess.")
	}
	return nil
}
