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

// Printable replaces the characters with which a text could control the terminal that shows it, or
// reverse what is read: names in OBS, answers of servers and names of users may hold any. They are
// written as JSON escapes, so that a JSON text stays what it was.
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
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d' // of Persian, and of emoji
	switch {
	case r == '\n', r == '\t', r == zeroWidthNonJoiner, r == zeroWidthJoiner:
		return true
	case r == utf8.RuneError:
		return false
	}
	// Cc: controls; Cf: formats, such as those of right-to-left; Zl and Zp: line separators.
	return !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// printableWriter passes on what is Printable.
type printableWriter struct {
	to io.Writer

	mu   sync.Mutex
	rest []byte // guarded by mu: the beginning of a character whose end comes with the next write
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
