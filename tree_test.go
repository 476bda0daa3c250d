package stagedoor_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tree calls the given function with every file of the project.
func tree(t *testing.T, each func(path string, text []byte)) {
	t.Helper()
	notOurs := []string{".git", ".cache", "node_modules", "bin", "dist", "screenshots", "site"}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch ours := !slices.Contains(notOurs, path); {
		case entry.IsDir() && !ours:
			return filepath.SkipDir
		case entry.IsDir() || !ours: // a symbolic link, or the file .git of a worktree
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			each(filepath.ToSlash(path), text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheTreeNamesNoMachine(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	home := regexp.MustCompile(`/(?:root|home/[a-z][a-z0-9_-]*|Users/[A-Za-z]+)/[A-Za-z0-9_.]`)
	tree(t, func(path string, text []byte) {
		if bytes.Contains(text, []byte(here+"/")) {
			t.Errorf("%s holds the path of this checkout", path)
		}
		if found := home.Find(text); found != nil && path != "tree_test.go" {
			t.Errorf("%s holds %q, a path of somebody's machine", path, found)
		}
	})
}

func TestNoRegistryIsPinned(t *testing.T) {
	t.Parallel()
	// The lock file must contain only versions and hashes, since the configuration of npm chooses
	// the registry.
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if pinned := regexp.MustCompile(`"resolved": *"http[^"]*"`).Find(lock); pinned != nil {
		t.Errorf("package-lock.json names a registry (%s): remove the \"resolved\" members; "+
			".npmrc keeps npm from writing them", pinned)
	}
	npmrc, err := os.ReadFile(".npmrc")
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`(?m)^[^;#]*registry *=`).Match(regexp.MustCompile(`omit-lockfile-registry-resolved`).ReplaceAll(npmrc, nil)) {
		t.Errorf(".npmrc names a registry, want none")
	}
}

// documents returns the texts of all documents.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	tree(t, func(path string, text []byte) {
		if strings.HasSuffix(path, ".md") {
			docs[path] = string(text)
		}
	})
	return docs
}

func TestEveryMakeTargetOfTheDocsExists(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, match := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(string(makefile), -1) {
		targets = append(targets, match[1])
	}
	named := regexp.MustCompile("(?m)(?:`|^(?:\\$ )?)(?:[A-Z]+=\\S+ )*make ([a-z][a-z-]*)")
	for path, text := range documents(t) {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(targets, match[1]) {
				t.Errorf("%s names `make %s`, the Makefile has %v", path, match[1], targets)
			}
		}
	}
}
