package stagedoor_test

import (
	"go/scanner"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxColumns = 100
	tab        = "    "
	// unbreakable is the length from which a word may exceed the line: a URL, a path or a hash.
	unbreakable = 50
)

// TestLinesFit limits Go, JavaScript and CSS to 100 columns. Lines that cannot be broken are
// exempt: raw strings of Go (tags, scripts for browsers), directives, and lines with a very long
// word or literal.
func TestLinesFit(t *testing.T) {
	t.Parallel()
	tree(t, func(path string, text []byte) {
		var raw map[int]bool
		switch filepath.Ext(path) {
		case ".go":
			raw = rawLines(text)
		case ".js", ".mjs", ".ts", ".css":
			if strings.HasPrefix(path, "static/vendor/") {
				return
			}
		default:
			return
		}
		for i, line := range strings.Split(string(text), "\n") {
			width := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", tab))
			if width > maxColumns && !raw[i+1] && !strings.HasPrefix(line, "//go:") &&
				longestWord(line) < unbreakable {
				t.Errorf("%s:%d has %d columns, more than %d", path, i+1, width, maxColumns)
			}
		}
	})
}

var (
	comment = regexp.MustCompile(`^\s*(//|/\*|\*)`)
	// literal matches a string, a template or a regular expression of JavaScript.
	literal = regexp.MustCompile("'[^']*'|\"[^\"]*\"|`[^`]*`|/[^/]+/")
)

// rawLines returns the lines that a raw string covers.
func rawLines(text []byte) map[int]bool {
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	lines := map[int]bool{}
	for {
		at, kind, literal := s.Scan()
		if kind == token.EOF {
			return lines
		}
		if kind == token.STRING && strings.HasPrefix(literal, "`") {
			first := files.Position(at).Line
			for i := range strings.Count(literal, "\n") + 1 {
				lines[first+i] = true
			}
		}
	}
}

// longestWord returns the length of the longest word, and counts a literal as one word.
func longestWord(line string) int {
	if !comment.MatchString(line) {
		line = literal.ReplaceAllStringFunc(line, func(literal string) string {
			return strings.ReplaceAll(literal, " ", "_")
		})
	}
	longest := 0
	for _, word := range strings.Fields(line) {
		longest = max(longest, utf8.RuneCountInString(word))
	}
	return longest
}
