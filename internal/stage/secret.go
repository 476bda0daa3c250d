package stage

import (
	"crypto/subtle"
	"errors"
	"log/slog"
)

// A Secret is a text that is not printed by fmt, in logs, or in JSON. The pointer also hides it
// from printers that use reflection.
type Secret struct{ text *string }

const hidden = "[secret]"

// NewSecret returns a Secret that contains the text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text. Call Reveal only to compare the text or to send it to its owner.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty reports whether the text is empty.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// Equal compares two secrets in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String hides the text from fmt.
func (s Secret) String() string { return hidden }

// GoString hides the text from the verb %#v.
func (s Secret) GoString() string { return hidden }

// LogValue hides the text from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText fails, so that no encoder writes a secret by accident.
func (s Secret) MarshalText() ([]byte, error) {
	return nil, errors.New("a secret cannot be marshalled")
}

// MarshalJSON fails, like MarshalText.
func (s Secret) MarshalJSON() ([]byte, error) { return s.MarshalText() }
