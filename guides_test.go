package stagedoor_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheTroubleshootingGuideQuotesThePages: the guide quotes the sentences of the dock exactly, so
// that people who search for a sentence find it in the guide.
func TestTheTroubleshootingGuideQuotesThePages(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("static/strings/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var sentences map[string]string
	if err := json.Unmarshal(text, &sentences); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for _, sentence := range sentences {
		said.WriteString(sentence + "\n")
	}
	guide, err := os.ReadFile("docs/guides/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	quotes := 0
	for _, quote := range quotedByTables(string(guide)) {
		quotes++
		if !strings.Contains(said.String(), quote) {
			t.Errorf("no page says %q any more: mend docs/guides/troubleshooting.md", quote)
		}
	}
	if quotes < 30 {
		t.Errorf("got %d quotes, want those of all tables", quotes)
	}
}

// TestTheGuideOfSignInQuotesTheServer: the table of failed sign-ins has the sentences of the log.
func TestTheGuideOfSignInQuotesTheServer(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	for _, file := range []string{"internal/oidc/oidc.go", "internal/access/external.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.WriteString(severalLines.ReplaceAllString(string(text), ""))
	}
	guide, err := os.ReadFile("docs/sign-in.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(guide), "| sentence | cause |\n|---|---|\n")
	if !found {
		t.Fatal("docs/sign-in.md has no table of failed sign-ins")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		sentence, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		for part := range strings.SplitSeq(sentence, "…") {
			if !strings.Contains(code.String(), strings.TrimSpace(part)) {
				t.Errorf("the server does not say %q any more: mend docs/sign-in.md", part)
			}
		}
	}
}

// severalLines matches a break in a string of Go that is written on several lines.
var severalLines = regexp.MustCompile(`" ?\+\s*"`)

var firstCell = regexp.MustCompile(`^\| \*([^*]+)\* \|`)

// quotedByTables returns the first cell of each row of the tables with the header "the page says".
func quotedByTables(markdown string) (quotes []string) {
	within := false
	for line := range strings.Lines(markdown) {
		switch {
		case strings.HasPrefix(line, "| the page says |"):
			within = true
		case !strings.HasPrefix(line, "|"):
			within = false
		case within:
			if cell := firstCell.FindStringSubmatch(line); cell != nil {
				quotes = append(quotes, cell[1])
			}
		}
	}
	return quotes
}
