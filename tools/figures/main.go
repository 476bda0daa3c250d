// Command figures counts the figures in docs/develop.md: go run ./tools/figures
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	out, err := exec.Command("git", "ls-files", "*.go").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "git ls-files:", err)
		os.Exit(1)
	}
	var f figures
	for _, name := range strings.Fields(string(out)) {
		if err := f.read(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	f.print()
}

// figures are the measurements of the Go code. The field `tests` counts test code, which includes
// the test kit. All other fields count other code.
type figures struct {
	functions, branches, files, widths []int
	code, comments, tests              int
	exported, documented               int
}

func (f *figures) read(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/apptest/") ||
		strings.Contains(name, "/accesstest/") {
		for _, line := range lines {
			if l := strings.TrimSpace(line); l != "" && !strings.HasPrefix(l, "//") {
				f.tests++
			}
		}
		return nil
	}
	f.files = append(f.files, len(lines))
	for _, line := range lines {
		switch l := strings.TrimSpace(line); {
		case l == "":
			continue
		case strings.HasPrefix(l, "//"):
			f.comments++
		default:
			f.code++
		}
		f.widths = append(f.widths, len([]rune(strings.ReplaceAll(line, "\t", "    "))))
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, decl := range file.Decls {
		f.declared(decl)
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
			f.functions = append(f.functions,
				set.Position(fn.End()).Line-set.Position(fn.Pos()).Line+1)
			f.branches = append(f.branches, branches(fn))
		}
	}
	return nil
}

// declared counts the exported names outside functions, and how many of these have a doc comment.
func (f *figures) declared(decl ast.Decl) {
	count := func(name *ast.Ident, doc ...*ast.CommentGroup) {
		if !name.IsExported() {
			return
		}
		f.exported++
		if slices.ContainsFunc(doc, func(g *ast.CommentGroup) bool { return g != nil }) {
			f.documented++
		}
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			count(d.Name, d.Doc)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				count(s.Name, d.Doc, s.Doc, s.Comment)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					count(name, d.Doc, s.Doc, s.Comment)
				}
			}
		}
	}
}

// branches returns the cyclomatic complexity of a function, including the functions inside it.
func branches(fn *ast.FuncDecl) int {
	n := 1
	ast.Inspect(fn, func(node ast.Node) bool {
		switch b := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if b.List != nil {
				n++
			}
		case *ast.CommClause:
			if b.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if b.Op == token.LAND || b.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}

func (f *figures) print() {
	for _, list := range [][]int{f.functions, f.branches, f.files, f.widths} {
		slices.Sort(list)
	}
	at := func(list []int, part float64) int { return list[int(part*float64(len(list)-1))] }
	wide := 0
	for _, w := range f.widths {
		if w > 100 {
			wide++
		}
	}
	fmt.Println("function lines, median / p95 / max:",
		at(f.functions, 0.5), "/", at(f.functions, 0.95), "/", at(f.functions, 1))
	fmt.Println("most complex function (cyclomatic):", at(f.branches, 1))
	fmt.Println("longest file:", at(f.files, 1))
	fmt.Printf("comment lines per code line: %.2f\n", float64(f.comments)/float64(f.code))
	fmt.Println("line width p95 (columns):", at(f.widths, 0.95))
	fmt.Printf("lines above 100 columns: %d of %d\n", wide, len(f.widths))
	fmt.Printf("test lines per code line: %.2f\n", float64(f.tests)/float64(f.code))
	fmt.Printf("exported names with a comment: %d of %d\n", f.documented, f.exported)
}
