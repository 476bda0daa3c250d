package stagedoor_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layered lists the packages whose files must not depend on each other in a cycle.
var layered = []string{"internal/web"}

// TestFilesUseNoCircle: the dependencies between the files of a layered package have no cycle. A
// file depends on another file if it uses a declaration in that file. So such a package can be read
// from its lowest files upwards.
func TestFilesUseNoCircle(t *testing.T) {
	t.Parallel()
	compiled := compiledPackages(t, layered...)
	for _, name := range layered {
		uses, err := usesOfFiles(compiled, module+name)
		if err != nil {
			t.Fatal(err)
		}
		if circle := circleOf(uses); circle != nil {
			t.Errorf("files of %s use each other in a circle:\n%s\nMove what they share to a file "+
				"that uses none of them.", name, strings.Join(circle, "\n"))
		}
	}
}

// A compiledPackage is an entry in the output of go list -export.
type compiledPackage struct {
	ImportPath, Dir string
	Export          string // the file with the types of the package
	GoFiles         []string
}

// compiledPackages returns packages of the project and all that they import, by import path.
func compiledPackages(t *testing.T, names ...string) map[string]compiledPackage {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles"}
	for _, name := range names {
		args = append(args, "./"+name)
	}
	list := exec.Command("go", args...)
	list.Stderr = t.Output()
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	compiled := map[string]compiledPackage{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p compiledPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return compiled
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		compiled[p.ImportPath] = p
	}
}

// usesOfFiles returns for each file of a package the other files whose declarations it uses, each
// with the name of one such declaration.
func usesOfFiles(
	compiled map[string]compiledPackage, path string,
) (map[string]map[string]string, error) {
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range compiled[path].GoFiles {
		file, err := parser.ParseFile(set, filepath.Join(compiled[path].Dir, name), nil, 0)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	checker := types.Config{Importer: importer.ForCompiler(set, "gc",
		func(path string) (io.ReadCloser, error) { return os.Open(compiled[path].Export) })}
	found := types.Info{Uses: map[*ast.Ident]types.Object{}}
	own, err := checker.Check(path, set, files, &found)
	if err != nil {
		return nil, err
	}
	fileOf := func(pos token.Pos) string { return filepath.Base(set.Position(pos).Filename) }
	uses := map[string]map[string]string{}
	for name, object := range found.Uses {
		from, to := fileOf(name.Pos()), fileOf(object.Pos())
		if object.Pkg() != own || from == to {
			continue
		}
		if uses[from] == nil {
			uses[from] = map[string]string{}
		}
		if known, ok := uses[from][to]; !ok || object.Name() < known {
			uses[from][to] = object.Name()
		}
	}
	return uses, nil
}

// circleOf returns the uses that form a cycle, each as one text, or nil if there is no cycle.
func circleOf(uses map[string]map[string]string) []string {
	var path []string // of files, each of which uses the next
	done := map[string]bool{}
	var walk func(string) []string
	walk = func(file string) []string {
		if start := slices.Index(path, file); start >= 0 {
			var circle []string
			for i, from := range path[start:] {
				to := append(path, file)[start+i+1]
				circle = append(circle, fmt.Sprintf("%s uses %s of %s", from, uses[from][to], to))
			}
			return circle
		}
		if done[file] {
			return nil
		}
		done[file] = true
		path = append(path, file)
		for _, next := range slices.Sorted(maps.Keys(uses[file])) {
			if circle := walk(next); circle != nil {
				return circle
			}
		}
		path = path[:len(path)-1]
		return nil
	}
	for _, file := range slices.Sorted(maps.Keys(uses)) {
		if circle := walk(file); circle != nil {
			return circle
		}
	}
	return nil
}
