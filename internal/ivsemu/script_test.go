package ivsemu_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/ivsemu"
)

// TestScripts runs the conversations of testdata, each with an emulator of its own that takes any credentials. A line tells
// by its first character what it is:
//
//	#  a remark
//	>  what is sent: "METHOD path", headers, and after an empty line the body
//	<  what must come back: the status, headers, and after an empty line the body. {name} keeps what stands there, and puts
//	   it in later on; {_} keeps nothing
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: got %v (%v), want some", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			_, base := start(t, func(cfg *ivsemu.Config) { cfg.AnyCredentials = true })
			s := &script{T: t, base: base, known: map[string]string{"base": base, "host": strings.TrimPrefix(base, "http://")}}
			for i, e := range exchanges(string(text)) {
				s.run(i+1, e)
			}
		})
	}
}

type exchange struct{ sent, want []string }

func exchanges(text string) (list []exchange) {
	last := byte('#')
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			last = '#'
			continue
		}
		if line[0] == '>' && last != '>' {
			list = append(list, exchange{})
		}
		last = line[0]
		e, rest := &list[len(list)-1], strings.TrimPrefix(line[1:], " ")
		if last == '>' {
			e.sent = append(e.sent, rest)
		} else {
			e.want = append(e.want, rest)
		}
	}
	return list
}

type script struct {
	*testing.T
	base  string
	known map[string]string
}

func (s *script) run(n int, e exchange) {
	s.Helper()
	first, header, body := parts(e.sent)
	method, path, _ := strings.Cut(s.fill(first), " ")
	r, err := http.NewRequest(method, s.base+path, strings.NewReader(s.fill(body)))
	if err != nil {
		s.Fatalf("%d. %s: %v", n, first, err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(s.fill(line), ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	if err != nil {
		s.Fatalf("%d. %s: %v", n, first, err)
	}
	defer answer.Body.Close()
	got, _ := io.ReadAll(answer.Body)
	status, wanted, want := parts(e.want)
	if status != strconv.Itoa(answer.StatusCode) {
		s.Fatalf("%d. %s: got status %d, want %s; body %s", n, first, answer.StatusCode, status, got)
	}
	for _, line := range wanted {
		name, value, _ := strings.Cut(line, ": ")
		s.match(first+", "+name, answer.Header.Get(name), value)
	}
	if want != "" {
		s.match(first, strings.TrimSpace(string(got)), want)
	}
}

// parts are the first line, the headers and the body.
func parts(lines []string) (first string, header []string, body string) {
	for i, line := range lines[1:] {
		if line == "" {
			return lines[0], lines[1 : i+1], strings.Join(lines[i+2:], "\n")
		}
	}
	return lines[0], lines[1:], ""
}

var hole = regexp.MustCompile(`\{[a-zA-Z_]+\}`)

// fill puts in what is known. {name_escaped} is for a path.
func (s *script) fill(text string) string {
	return hole.ReplaceAllStringFunc(text, func(name string) string {
		name = strings.Trim(name, "{}")
		if plain, ok := strings.CutSuffix(name, "_escaped"); ok {
			return strings.NewReplacer(":", "%3A", "/", "%2F").Replace(s.known[plain])
		}
		if value, ok := s.known[name]; ok {
			return value
		}
		return "{" + name + "}"
	})
}

// match compares, and keeps what stands in holes.
func (s *script) match(what, got, want string) {
	s.Helper()
	want = s.fill(want)
	names := hole.FindAllString(want, -1)
	pattern := "^" + hole.ReplaceAllString(regexp.QuoteMeta(want), "") + "$"
	pattern = regexp.MustCompile(`\\\{[a-zA-Z_]+\\\}`).ReplaceAllString(pattern, `(.+?)`)
	found := regexp.MustCompile(pattern).FindStringSubmatch(got)
	if found == nil {
		s.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
		return
	}
	for i, name := range names {
		if name != "{_}" {
			s.known[strings.Trim(name, "{}")] = found[i+1]
		}
	}
}
