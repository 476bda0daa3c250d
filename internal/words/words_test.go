package words_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

func TestEnglish(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key    string
		values words.Values
		want   string
	}{
		{"said.doctor.renew", nil, "renew it"},
		{"said.doctor.data", words.Values{"folder": "/data"}, "/data can be written"},
		{"said.doctor.data", nil, "{folder} can be written"},
		{"said.word.minutes", words.Values{"n": 2}, "2 minutes"},
		{"said.word.minutes", words.Values{"n": 1.5}, "1.5 minutes"},
		{"no.such.key", nil, "no.such.key"},
	} {
		if got := words.English(c.key, c.values); got != c.want {
			t.Errorf("%s with %v: got %q, want %q", c.key, c.values, got, c.want)
		}
	}
	err := words.Error(stage.ErrConflict, "said.doctor.renew", nil)
	if !errors.Is(err, stage.ErrConflict) || err.Detail != "renew it" {
		t.Errorf("got %v, want a conflict with the sentence", err)
	}
}

// TestConflictsAreTranslated checks that a conflict that pages can show has either a code of its
// own or a sentence in the language files. Otherwise a German page would show English.
func TestConflictsAreTranslated(t *testing.T) {
	t.Parallel()
	var files []string
	for _, folder := range []string{"access", "feed", "ivs", "keys", "web", "webhook"} {
		found, err := filepath.Glob("../" + folder + "/*.go")
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no files (%v)", folder, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		coded := map[ast.Node]bool{}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			called, ok := call.Fun.(*ast.SelectorExpr)
			switch {
			case !ok:
			case called.Sel.Name == "WithCode" && !isText(call.Args[0], `"conflict"`):
				coded[called.X] = true // an inner node is visited after the outer one
			case called.Sel.Name == "Errorf" && !coded[n] && isConflict(call.Args[0]):
				t.Errorf("%s: use words.Error with a sentence said.conflict.…, or give the error "+
					"a code and words in static/strings", fset.Position(n.Pos()))
			}
			return true
		})
	}
}

func isConflict(kind ast.Expr) bool {
	name, ok := kind.(*ast.SelectorExpr)
	return ok && name.Sel.Name == "ErrConflict"
}

func isText(e ast.Expr, text string) bool {
	literal, ok := e.(*ast.BasicLit)
	return ok && literal.Value == text
}
