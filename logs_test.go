package stagedoor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// TestLogsNameTheRequest: a function that has a context or a request passes it to the log, because
// the log takes the ID of the request from it.
func TestLogsNameTheRequest(t *testing.T) {
	t.Parallel()
	found := 0
	tree(t, func(path string, text []byte) {
		if !strings.HasPrefix(path, "internal/") || !strings.HasSuffix(path, ".go") ||
			strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "internal/apptest/") {
			return
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, text, 0)
		if err != nil {
			t.Error(err)
			return
		}
		var open []ast.Node // the nodes around n
		ast.Inspect(file, func(n ast.Node) bool {
			if n == nil {
				open = open[:len(open)-1]
				return true
			}
			open = append(open, n)
			if name := logged(n); name != "" && slices.ContainsFunc(open, knowsRequest) {
				found++
				if !strings.HasSuffix(name, "Context") {
					t.Errorf("%s: use %sContext, so that the log has the ID of the request",
						files.Position(n.Pos()), name)
				}
			}
			return true
		})
	})
	if found < 50 {
		t.Errorf("%d calls of the log were found: they are not read as they should be", found)
	}
}

// logged returns the name of the method, such as Warn, if a node is a call of a method of a logger.
func logged(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	of := ""
	switch x := method.X.(type) {
	case *ast.Ident:
		of = x.Name
	case *ast.SelectorExpr:
		of = x.Sel.Name
	}
	level := strings.TrimSuffix(method.Sel.Name, "Context")
	if strings.EqualFold(of, "log") &&
		slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, level) {
		return method.Sel.Name
	}
	return ""
}

// knowsRequest reports whether a node is a function with a context or a request as a parameter.
func knowsRequest(n ast.Node) bool {
	var of *ast.FuncType
	switch f := n.(type) {
	case *ast.FuncDecl:
		of = f.Type
	case *ast.FuncLit:
		of = f.Type
	default:
		return false
	}
	return slices.ContainsFunc(of.Params.List, func(p *ast.Field) bool {
		at := p.Type
		if pointer, ok := at.(*ast.StarExpr); ok {
			at = pointer.X
		}
		kind, ok := at.(*ast.SelectorExpr)
		named := len(p.Names) > 0 && p.Names[0].Name != "_"
		return ok && named && (kind.Sel.Name == "Context" || kind.Sel.Name == "Request")
	})
}
