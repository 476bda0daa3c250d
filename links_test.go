package stagedoor_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingLine  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	fencedBlock  = regexp.MustCompile("(?s)```.*?```")
	inlineCode   = regexp.MustCompile("`[^`\n]*`")
	notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestEveryLinkOfTheDocumentsLeadsSomewhere checks the links in documents to files and headings. It
// does not check links to other sites.
func TestEveryLinkOfTheDocumentsLeadsSomewhere(t *testing.T) {
	t.Parallel()
	links := 0
	docs := documents(t)
	for path, text := range docs {
		prose := inlineCode.ReplaceAllString(fencedBlock.ReplaceAllString(text, ""), "")
		for _, match := range markdownLink.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(match[1], "://") || strings.HasPrefix(match[1], "mailto:") {
				continue
			}
			links++
			checkLink(t, docs, path, match[1])
		}
	}
	if links < 50 {
		t.Errorf("got %d links, want those of all documents", links)
	}
}

func checkLink(t *testing.T, docs map[string]string, from, link string) {
	t.Helper()
	file, anchor, _ := strings.Cut(link, "#")
	target := from
	if file != "" {
		target = filepath.ToSlash(filepath.Join(filepath.Dir(from), file))
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s links to %s, which is not there", from, link)
		return
	}
	if all := anchors(docs[target]); anchor != "" && !slices.Contains(all, anchor) {
		t.Errorf("%s links to %s, and no heading there is called so, only %v", from, link, all)
	}
}

// anchors returns the anchors that GitHub gives the headings of a document.
func anchors(text string) (all []string) {
	for _, heading := range headingLine.FindAllStringSubmatch(
		fencedBlock.ReplaceAllString(text, ""), -1) {
		title := strings.ToLower(strings.TrimSpace(heading[1]))
		all = append(all, strings.ReplaceAll(notInAnchors.ReplaceAllString(title, ""), " ", "-"))
	}
	return all
}
