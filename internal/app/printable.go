package app

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable replaces the characters with which a text could control the terminal or change the
// direction of writing. Such characters may be in names from OBS, names of users and responses of
// servers. The replacements are JSON escapes, so that a JSON text keeps its meaning.
func Printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if printable(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

func printable(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d' // used in Persian, and in emoji
	switch {
	case r == '\n', r == '\t', r == zeroWidthNonJoiner, r == zeroWidthJoiner:
		return true
	case r == utf8.RuneError:
		return false
	}
	// Cc: control characters; Cf: format characters, such as those for right-to-left text; Zl and
	// Zp: line separators.
	return !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// printableWriter passes text through Printable and writes the result.
type printableWriter struct {
	to io.Writer

	mu   sync.Mutex
	rest []byte // guarded by mu: first bytes of a character that the next write completes
}

func (w *printableWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := append(w.rest, p...)
	end := len(text)
	for i := max(0, end-utf8.UTFMax+1); i < end; i++ {
		if utf8.RuneStart(text[i]) && !utf8.FullRune(text[i:]) {
			end = i
			break
		}
	}
	w.rest = bytes.Clone(text[end:])
	if _, err := io.WriteString(w.to, Printable(string(text[:end]))); err != nil {
		return 0, err
	}
	return len(p), nil
}
