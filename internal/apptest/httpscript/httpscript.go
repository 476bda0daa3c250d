// Package httpscript tests a server with HTTP conversations in text files, which also document the
// protocol.
//
// The first character of a line is its kind:
//
//	#  a remark
//	>  the request: "METHOD path", headers, and after an empty line the body
//	<  the expected response: the status, headers ("Name: -" must be absent), and after an empty
//	   line the body. {name} matches a text without blanks, `"` and `>`, and stores it for
//	   later lines; {name_escaped} is that text in a path; {_} matches any text and does not
//	   store it
//	*  all events since the last request, in order, if the conversation reports events
package httpscript

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A Conversation is the server side of one script.
type Conversation struct {
	// headers as "Name: value"
	Send func(t testing.TB, method, path string, header []string, body string) Answer
	// returns the events since the last request; nil if scripts contain none
	Happened func() []string
	// the values of {names} that are known before the first request
	Known map[string]string
}

// An Answer is a response.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// To returns a Send that sends to a server, and follows no redirect.
func To(
	base string, client http.RoundTripper,
) func(t testing.TB, method, path string, header []string, body string) Answer {
	return func(t testing.TB, method, path string, header []string, body string) Answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, base+path,
			strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range header {
			name, value, _ := strings.Cut(line, ": ")
			req.Header.Add(name, value)
		}
		res, err := client.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		content, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return Answer{res.StatusCode, res.Header, string(content)}
	}
}

// Run runs every script in the folder, each in a conversation of its own.
func Run(t *testing.T, folder string, open func(*testing.T) Conversation) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
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
			s := &script{T: t, Conversation: open(t)}
			if s.Known == nil {
				s.Known = map[string]string{}
			}
			for i, e := range exchanges(string(text)) {
				s.run(fmt.Sprintf("%d. %s", i+1, e.sent[0]), e)
			}
		})
	}
}

type exchange struct{ sent, want, happened []string }

// exchanges splits a script at each new request.
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
		switch last {
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
	Conversation
}

func (s *script) run(title string, e exchange) {
	s.Helper()
	first, header, body := parts(e.sent)
	for i := range header {
		header[i] = s.fill(header[i])
	}
	method, path, _ := strings.Cut(s.fill(first), " ")
	got := s.Send(s, method, path, header, s.fill(body))

	status, wanted, wantBody := parts(e.want)
	if status != strconv.Itoa(got.Status) {
		s.Fatalf("%s: got status %d, want %s; body %s", title, got.Status, status, got.Body)
	}
	for _, line := range wanted {
		name, want, _ := strings.Cut(line, ": ")
		value := strings.Join(got.Header.Values(name), ", ")
		if value == "" {
			value = "-"
		}
		s.match(title+", "+name, value, want)
	}
	if wantBody != "" {
		s.match(title+", body", strings.TrimSpace(got.Body), wantBody)
	}
	if s.Happened == nil {
		return
	}
	if got, want := strings.Join(s.Happened(), "\n"), strings.Join(e.happened, "\n"); got != want {
		s.Errorf("%s: happened\n%s\nwant\n%s", title, got, want)
	}
}

// parts returns the first line, the headers and the body of a message.
func parts(lines []string) (first string, header []string, body string) {
	for i, line := range lines[1:] {
		if line == "" {
			return lines[0], lines[1 : i+1], strings.Join(lines[i+2:], "\n")
		}
	}
	return lines[0], lines[1:], ""
}

var (
	hole        = regexp.MustCompile(`\{[a-zA-Z0-9_ ]+\}`)
	quotedHoles = regexp.MustCompile(`\\\{[a-zA-Z0-9_ ]+\\\}`)
)

// fill replaces the known {names} by their values.
func (s *script) fill(text string) string {
	return hole.ReplaceAllStringFunc(text, func(hole string) string {
		name := strings.Trim(hole, "{}")
		if value, ok := s.Known[name]; ok {
			return value
		}
		if plain, ok := strings.CutSuffix(name, "_escaped"); ok {
			return strings.NewReplacer(":", "%3A", "/", "%2F").Replace(s.Known[plain])
		}
		return hole
	})
}

// match compares the response got with the expected response want. Where want has a {name} without
// a value, match stores that part of got as the value.
func (s *script) match(what, got, want string) {
	s.Helper()
	want = s.fill(want)
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), `\{_\}`, `(.+?)`)
	pattern = quotedHoles.ReplaceAllString(pattern, `([^\s>"]+)`)
	found := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(got)
	if found == nil {
		s.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
		return
	}
	for i, name := range hole.FindAllString(want, -1) {
		if name != "{_}" {
			s.Known[strings.Trim(name, "{}")] = found[i+1]
		}
	}
}
