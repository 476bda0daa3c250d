package static_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/static"
)

// notServed reports whether a file must not be in the program: tests, types, and this package.
func notServed(path string) bool {
	return strings.HasPrefix(path, "jstest/") || strings.HasSuffix(path, ".d.ts") ||
		strings.HasSuffix(path, ".go")
}

func TestEveryFileIsEmbedded(t *testing.T) {
	t.Parallel()
	got, want := files(t, static.FS), slices.DeleteFunc(files(t, os.DirFS(".")), notServed)
	if !slices.Equal(got, want) {
		t.Errorf("embedded: %v\nin the folder: %v\nadd new folders to static.go", got, want)
	}
}

func files(t *testing.T, from fs.FS) []string {
	t.Helper()
	var list []string
	err := fs.WalkDir(from, ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
