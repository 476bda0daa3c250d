package access

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const maxName = 64 // characters

// cleanName returns a name that can be shown, or an error.
func cleanName(text string) (string, error) {
	name := norm.NFC.String(strings.TrimSpace(text))
	switch {
	case !utf8.ValidString(text):
		return "", stage.Errorf(stage.ErrInvalid, "A name must be valid UTF-8.")
	case name == "":
		return "", words.Error(stage.ErrInvalid, "said.invalid.nameLength",
			words.Values{"most": maxName})
	case utf8.RuneCountInString(name) > maxName:
		return "", words.Error(stage.ErrInvalid, "said.invalid.nameLong",
			words.Values{"n": utf8.RuneCountInString(name), "most": maxName})
	case strings.ContainsFunc(name, deceives):
		return "", words.Error(stage.ErrInvalid, "said.invalid.nameControl", nil)
	}
	return name, nil
}

// clipName shortens a name that another program sent. Such a name is not refused, since its user
// cannot enter a shorter one here.
func clipName(name string) string { return withSuffix(name, "") }

// withSuffix appends a suffix to a name, and first cuts the name if both together are too long.
func withSuffix(name, suffix string) string {
	runes := []rune(norm.NFC.String(cleanText(name, 16*maxName)))
	room := maxName - utf8.RuneCountInString(suffix)
	return strings.TrimSpace(string(runes[:min(len(runes), room)])) + suffix
}

// deceives reports whether a character can make a name look like another, or break a line of a
// terminal or a log. Such characters are control characters, line and paragraph separators, and
// marks that change the direction of text (UAX #9, "Explicit Directional Formatting").
func deceives(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) ||
		r == utf8.RuneError
}

// nameKey returns the key of a name. Names that differ only in case, in the width of characters or
// in the amount of white space have the same key.
func nameKey(name string) string {
	words := strings.Fields(norm.NFKC.String(name))
	return strings.ToLower(strings.ToUpper(strings.Join(words, " ")))
}

// cleanClient makes the headers of a request safe to store.
func cleanClient(c Client) Client {
	return Client{
		Address: cleanText(c.Address, 64), Agent: cleanText(c.Agent, 256), Browser: c.Browser,
	}
}

// cleanText removes invalid UTF-8, which PostgreSQL refuses, and the characters for which
// `deceives` returns true, among them NUL. It shortens the rest.
func cleanText(text string, maxBytes int) string {
	clean := strings.Map(func(r rune) rune {
		if deceives(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	for len(clean) > maxBytes {
		_, size := utf8.DecodeLastRuneInString(clean)
		clean = clean[:len(clean)-size]
	}
	return clean
}
