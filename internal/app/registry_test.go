package app

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestARegistryAnswersBeforeAnythingServes(t *testing.T) {
	t.Parallel()
	r := new(registry)
	const here = stage.ARN("arn:aws:ivs:local:000000000000:stage/abcdefghijkl")
	const there = stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/abcdefghijkl")
	if list, err := r.Participants(t.Context(), here); len(list) != 0 || err != nil {
		t.Errorf("on a local stage: %v, %v; want nobody", list, err)
	}
	if _, err := r.Participants(t.Context(), there); !errors.Is(err, stage.ErrUnavailable) {
		t.Errorf("on a stage of AWS: %v, want %v", err, stage.ErrUnavailable)
	}
	for arn, want := range map[stage.ARN]error{
		here: stage.ErrNotFound, there: stage.ErrUnavailable,
	} {
		if err := r.Disconnect(t.Context(), arn, "p", ""); !errors.Is(err, want) {
			t.Errorf("disconnect from %s: %v, want %v", arn, err, want)
		}
		_, err := r.IssueToken(t.Context(), stage.TokenRequest{Stage: arn})
		if !errors.Is(err, stage.ErrUnavailable) {
			t.Errorf("a token for %s: %v, want %v", arn, err, stage.ErrUnavailable)
		}
	}
	if r.ServesRegion("us-west-2") {
		t.Error("a server without AWS serves a region")
	}
	_, err := r.EnsureStage(t.Context(), "us-west-2", "own", nil, false)
	if !errors.Is(err, stage.ErrUnavailable) {
		t.Errorf("a stage of one's own: %v, want %v", err, stage.ErrUnavailable)
	}
	if !r.idle(here) {
		t.Error("a stage that is not served keeps its home")
	}
	r.removed(here)
	r.left(here)
	r.lost()
}

// TestPartsAreCompleteWhenTheyAreMade: each part of a server is complete when it is built. No field
// is assigned later. No part receives a method of the server, because that method could use parts
// that are not built yet.
func TestPartsAreCompleteWhenTheyAreMade(t *testing.T) {
	t.Parallel()
	files := token.NewFileSet()
	methods := map[string]bool{} // names of the methods of `server` and `function`
	var bodies []*ast.FuncDecl
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			bodies = append(bodies, f)
			if of := receiver(f); of == "server" || of == "function" {
				methods[f.Name.Name] = true
			}
		}
	}
	wiring := 0
	for _, f := range bodies {
		refuseLateFields(t, files, f)
		if strings.HasPrefix(f.Name.Name, "wire") {
			wiring++
			refuseMethodValues(t, files, f, methods)
		}
	}
	if wiring < 8 {
		t.Errorf("%d functions begin with wire: this test no longer sees the wiring", wiring)
	}
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
		if name, ok := star.X.(*ast.Ident); ok {
			return name.Name
		}
	}
	return ""
}

// refuseLateFields reports statements of the form `s.part.Field = …`, except assignments to the
// settings, such as `s.settings.Field = …`.
func refuseLateFields(t *testing.T, files *token.FileSet, f *ast.FuncDecl) {
	ast.Inspect(f, func(n ast.Node) bool {
		assign, ok := n.(*ast.AssignStmt)
		if !ok {
			return true
		}
		for _, to := range assign.Lhs {
			field, ok := to.(*ast.SelectorExpr)
			if !ok || !field.Sel.IsExported() {
				continue
			}
			part, ok := field.X.(*ast.SelectorExpr)
			if ok && part.Sel.Name != "settings" && !part.Sel.IsExported() {
				t.Errorf("%s: %s of %s is assigned after it was made: give it to the constructor",
					files.Position(to.Pos()), field.Sel.Name, part.Sel.Name)
			}
		}
		return true
	})
}

// refuseMethodValues reports methods of the server that are used as values and not called.
func refuseMethodValues(
	t *testing.T, files *token.FileSet, f *ast.FuncDecl, methods map[string]bool,
) {
	if f.Recv == nil || len(f.Recv.List[0].Names) == 0 {
		return
	}
	self := f.Recv.List[0].Names[0].Name
	called := map[ast.Expr]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			called[n.Fun] = true
		case *ast.SelectorExpr:
			of, ok := n.X.(*ast.Ident)
			if ok && of.Name == self && methods[n.Sel.Name] && !called[n] {
				t.Errorf("%s: %s.%s goes into a part: pass a value that has what it needs",
					files.Position(n.Pos()), self, n.Sel.Name)
			}
		}
		return true
	})
}
