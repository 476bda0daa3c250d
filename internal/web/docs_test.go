package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/httpkit"
)

const contract = "../../docs/http.md"

// TestEveryRouteIsDocumented: docs/http.md lists every route of the table, and no other route.
func TestEveryRouteIsDocumented(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Control: access.New(access.Config{}),
		PublicURL: &url.URL{Scheme: "http", Host: "127.0.0.1"},
		Log:       slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	routes, documented := map[string]bool{}, map[string]bool{}
	for _, r := range s.table() {
		routes[shape(r.pattern)] = true
	}
	for _, found := range regexp.MustCompile(
		"`((?:GET|POST|PUT|PATCH|DELETE) /[^` ]*)`").FindAllStringSubmatch(docs(t), -1) {
		_, path, _ := strings.Cut(found[1], " ")
		// TestTheEndpointsAreAsDocumented checks the routes outside the table.
		if first := httpkit.FirstSegment(path); first != "whip" && first != "whep" &&
			first != "stage-events" {
			documented[shape(found[1])] = true
		}
	}
	for r := range routes {
		if !documented[r] {
			t.Errorf("%s is served and not in docs/http.md", r)
		}
	}
	for d := range documented {
		if !routes[d] {
			t.Errorf("%s is in docs/http.md and not served", d)
		}
	}
}

// shape removes the query and the names of parameters from a pattern, because the documents may use
// other names.
func shape(pattern string) string {
	pattern = strings.ReplaceAll(pattern, "{$}", "")
	pattern, _, _ = strings.Cut(pattern, "?")
	return regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(pattern, "{}")
}

// atTheTerminal contains codes that occur only on the command line, and not over HTTP.
var atTheTerminal = []string{"key_damaged", "key_gone", "port_taken"}

// TestEveryCodeIsDocumented: docs/http.md lists every code of errors and events that the program
// uses, and no other code.
func TestEveryCodeIsDocumented(t *testing.T) {
	t.Parallel()
	given, words := readCodes(t)
	documented := documentedCodes(docs(t))
	if len(given) < 50 || len(documented) < 50 {
		t.Errorf("%d codes are given and %d documented: one of them is not read as it should be",
			len(given), len(documented))
	}
	for code, where := range given {
		if !documented[code] && !slices.Contains(atTheTerminal, code) {
			t.Errorf("%s gives the code %q, which is not in docs/http.md", where, code)
		}
	}
	for code := range documented {
		if !words[code] {
			t.Errorf("the code %q is in docs/http.md and nothing gives it", code)
		}
	}
}

// TestEveryCodeIsListedUnderItsStatus: the table of statuses in docs/http.md lists a code under
// each status with which the packages behind the API use it.
func TestEveryCodeIsListedUnderItsStatus(t *testing.T) {
	t.Parallel()
	rows := map[string]string{} // by status
	for line := range strings.SplitSeq(docs(t), "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 5 &&
			regexp.MustCompile(`^ \d{3} $`).MatchString(cells[1]) {
			rows[strings.TrimSpace(cells[1])] += cells[3]
		}
	}
	found := 0
	inspect(t, []string{"access", "web", "feed", "oidc", "passkey", "ivs", "keys", "stage"},
		func(file string, n ast.Node) {
			code, ok := codeOf(n)
			status := statusOf(n)
			if !ok || status == "" || slices.Contains(atTheTerminal, code) {
				return
			}
			found++
			if !strings.Contains(rows[status], "`"+code+"`") {
				t.Errorf("%s uses the code %q with status %s, which docs/http.md does not list",
					file, code, status)
			}
		})
	if found < 50 {
		t.Errorf("%d codes with a kind were found: they are not read as they should be", found)
	}
}

// statusOf returns the status of the kind of error in a call of WithCode on a new error, or "".
func statusOf(n ast.Node) (status string) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	ast.Inspect(call.Fun, func(n ast.Node) bool {
		if kind, ok := n.(*ast.SelectorExpr); ok && status == "" {
			status = map[string]string{
				"ErrInvalid": "400", "ErrUnauthorized": "401", "ErrDenied": "403",
				"ErrNotFound": "404", "ErrConflict": "409", "ErrTooLarge": "413",
				"ErrTooMany": "429", "ErrUnavailable": "503",
			}[kind.Sel.Name]
		}
		return true
	})
	return status
}

// documentedCodes returns the codes in docs/http.md: in the last column of the tables of statuses,
// and in the paragraphs about codes.
func documentedCodes(text string) map[string]bool {
	codes := map[string]bool{}
	add := func(text string) {
		for _, word := range regexp.MustCompile("`([a-z][a-z0-9_]*)`").FindAllStringSubmatch(text,
			-1) {
			codes[word[1]] = true
		}
	}
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(paragraph, "Codes of ") ||
			strings.HasPrefix(paragraph, "AWS documents none of this") {
			add(paragraph)
		}
		for line := range strings.SplitSeq(paragraph, "\n") {
			if cells := strings.Split(line, "|"); len(cells) > 3 && regexp.MustCompile(`^ \d{3}[ ,]`).MatchString(cells[1]) {
				add(cells[len(cells)-2])
			}
		}
	}
	return codes
}

// readCodes returns the codes that the packages behind HTTP use, each with a file that uses it, and
// all string literals of these packages.
func readCodes(t *testing.T) (given map[string]string, words map[string]bool) {
	t.Helper()
	given, words = map[string]string{}, map[string]bool{}
	inspect(t, []string{"access", "token", "whip", "web", "feed", "oidc", "passkey", "ivs",
		"keys", "sfu", "signal", "stage", "webhook", "obs/script"},
		func(file string, n ast.Node) {
			if word, ok := literal(n); ok {
				words[word] = true
			}
			if code, ok := codeOf(n); ok {
				given[code] = file
			}
		})
	return given, words
}

// inspect calls the function `do` with each node of the source of packages.
func inspect(t *testing.T, dirs []string, do func(file string, n ast.Node)) {
	t.Helper()
	for _, dir := range dirs {
		files, err := filepath.Glob("../" + dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				do(file, n)
				return true
			})
		}
	}
}

// codeOf returns the code in a call of WithCode("…"), refuse("…", …) or problem(status, "…", …).
func codeOf(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", false
	}
	var name string
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		name = f.Sel.Name
	case *ast.Ident:
		name = f.Name
	}
	at, ok := map[string]int{"WithCode": 0, "refuse": 0, "problem": 1}[name]
	if !ok || len(call.Args) <= at {
		return "", false
	}
	return literal(call.Args[at])
}

func literal(n ast.Node) (string, bool) {
	l, ok := n.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(l.Value)
	return text, err == nil
}

func docs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(contract)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
