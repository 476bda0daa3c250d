package whip_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestScripts runs the conversations of testdata, each in a house of its own. A line tells by its first character what it is:
//
//	#  a remark
//	>  what is sent: "METHOD path", headers, and after an empty line the body
//	<  what must come back: the status, headers ("Name: -" for one that must not be there), and after an empty line the body.
//	   {name} keeps what stands there, and puts it in later on
//	*  what happened meanwhile, all of it and in this order: events for the dock, and what the media plane saw
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
			s := &script{T: t, house: newHouse(t), known: map[string]string{"70 KB": strings.Repeat("a=x\n", 70<<8)}}
			for i, exchange := range exchanges(string(text)) {
				s.run(i+1, exchange)
			}
		})
	}
}

type exchange struct{ sent, want, happened []string }

// exchanges cuts a script where a new request begins.
func exchanges(text string) (list []exchange) {
	last := '#'
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			last = '#'
			continue
		}
		if line[0] == '>' && last != '>' {
			list = append(list, exchange{})
		}
		last = rune(line[0])
		e, rest := &list[len(list)-1], strings.TrimPrefix(line[1:], " ")
		switch line[0] {
		case '>':
			e.sent = append(e.sent, rest)
		case '<':
			e.want = append(e.want, rest)
		case '*':
			e.happened = append(e.happened, rest)
		}
	}
	return list
}

type script struct {
	*testing.T
	house *house
	known map[string]string
}

var hole = regexp.MustCompile(`\{[a-zA-Z0-9 ]+\}`)

func (s *script) run(n int, e exchange) {
	s.Helper()
	first, header, body := parts(e.sent)
	for i := range header {
		header[i] = s.fill(header[i])
	}
	method, path, _ := strings.Cut(s.fill(first), " ")
	got := s.house.send(s, method, path, s.fill(body), header...)

	status, wanted, wantBody := parts(e.want)
	title := func() string { return fmt.Sprintf("%d. %s", n, first) }
	if status != strconv.Itoa(got.status) {
		s.Fatalf("%s: got status %d, want %s; body %s", title(), got.status, status, got.body)
	}
	for _, line := range wanted {
		name, want, _ := strings.Cut(line, ": ")
		value := strings.Join(got.header.Values(name), ", ")
		if value == "" {
			value = "-"
		}
		s.match(title()+", "+name, value, want)
	}
	if wantBody != "" {
		s.match(title()+", body", strings.TrimSpace(got.body), wantBody)
	}
	if got, want := strings.Join(s.house.read(), "\n"), strings.Join(e.happened, "\n"); got != want {
		s.Errorf("%s: happened\n%s\nwant\n%s", title(), got, want)
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

func (s *script) fill(text string) string {
	return hole.ReplaceAllStringFunc(text, func(name string) string {
		if value, ok := s.known[name[1:len(name)-1]]; ok {
			return value
		}
		return name
	})
}

// match compares, and keeps what stands where the script has an unknown name.
func (s *script) match(what, got, want string) {
	s.Helper()
	want = s.fill(want)
	pattern, names := "^"+regexp.QuoteMeta(want)+"$", hole.FindAllString(want, -1)
	for _, name := range names {
		pattern = strings.Replace(pattern, regexp.QuoteMeta(name), `([^\s>"]+)`, 1)
	}
	values := regexp.MustCompile(pattern).FindStringSubmatch(got)
	if values == nil {
		s.Errorf("%s: got %s, want %s", what, got, want)
		return
	}
	for i, name := range names {
		s.known[name[1:len(name)-1]] = values[i+1]
	}
}
