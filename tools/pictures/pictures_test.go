package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// TestThePicturesOfTheDocuments: the folder has exactly the pictures that `make pictures` makes,
// and the documents show each of them with an alternative text.
func TestThePicturesOfTheDocuments(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(filepath.Join(root, "docs/pictures"))
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	size := int64(0)
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
		there = append(there, strings.TrimSuffix(entry.Name(), ".png"))
	}
	slices.Sort(there)
	if want := slices.Sorted(maps.Keys(pictures)); !slices.Equal(there, want) {
		t.Errorf("docs/pictures has %v, want %v: run `make pictures`", there, want)
	}
	if size > 3<<20 {
		t.Errorf("the pictures have %d bytes, want at most 3 MB", size)
	}

	shown := shownPictures(t)
	for name := range pictures {
		if shown[name] == 0 {
			t.Errorf("no document shows the picture %s", name)
		}
	}
	for name := range shown {
		if pictures[name] == nil {
			t.Errorf("a document shows the picture %s, which `make pictures` does not make", name)
		}
	}
}

var shows = regexp.MustCompile(`!\[([^\]]*)\]\(([^)]+)\)`)

// shownPictures counts how often the documents show each picture.
func shownPictures(t *testing.T) map[string]int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "*.md").Output()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]int{}
	for document := range strings.FieldsSeq(string(out)) {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range shows.FindAllStringSubmatch(string(text), -1) {
			if len(strings.Fields(match[1])) < 3 {
				t.Errorf("%s: the picture %s has the words %q, want what is seen on it",
					document, match[2], match[1])
			}
			folder, name := filepath.Split(filepath.Join(filepath.Dir(document), match[2]))
			if folder != "docs/pictures/" {
				t.Errorf("%s shows %s, want pictures of docs/pictures", document, match[2])
			}
			shown[strings.TrimSuffix(name, ".png")]++
		}
	}
	return shown
}

// measures matches the suffixes that the tests of the pages append to the name of a state.
var measures = regexp.MustCompile(`(-dark|-light)?(-\d+)?(-dock|-browser)?$`)

// TestEveryPictureIsTaken: for each picture there is a test that takes its screenshots. A picture
// of a state that no test shows must be deleted.
func TestEveryPictureIsTaken(t *testing.T) {
	t.Parallel()
	var tests strings.Builder
	for _, folder := range []string{"docktest", "stagetest"} {
		files, err := filepath.Glob(filepath.Join(root, "internal/web", folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
		}
	}
	for name, parts := range pictures {
		for _, p := range parts {
			state := measures.ReplaceAllString(p.screenshot, "")
			if !regexp.MustCompile(`"` + state + `["-]`).MatchString(tests.String()) {
				t.Errorf("the picture %s needs the state %s, which no test takes", name, state)
			}
		}
	}
}

// TestJoin joins ranges of rows of two pictures.
func TestJoin(t *testing.T) {
	t.Parallel()
	picture, err := join(filepath.Join(root, "docs/pictures"), []part{
		{screenshot: "dock", end: 40}, {screenshot: "watch", top: -60},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := picture.Bounds().Dy(); got != 60 {
		t.Errorf("it has %d rows, want 60", got)
	}
	if _, err := join(t.TempDir(), []part{{screenshot: "gone"}}); err == nil {
		t.Error("a screenshot that no test takes any more is no error")
	}
}
