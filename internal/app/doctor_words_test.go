package app_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTheDoctorsSentencesAreTranslated: the language files contain each sentence of the doctor, so
// that the console can recognize and translate it.
func TestTheDoctorsSentencesAreTranslated(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../static/strings/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var words map[string]string
	if err := json.Unmarshal(text, &words); err != nil {
		t.Fatal(err)
	}
	blank := regexp.MustCompile(`\{\w+\}|%[sdvw]`)
	known := map[string]bool{}
	for key, sentence := range words {
		if strings.HasPrefix(key, "said.doctor.") {
			known[blank.ReplaceAllString(sentence, "_")] = true
		}
	}
	sentences := doctorsSentences(t, "doctor.go", "doctor_outside.go")
	if len(sentences) < 50 {
		t.Errorf("found %d sentences of the doctor, want 50 or more", len(sentences))
	}
	for _, sentence := range sentences {
		if s := blank.ReplaceAllString(sentence, "_"); !known[s] && strings.Trim(s, "_") != "" {
			t.Errorf("said.doctor.… has no text for %q", sentence)
		}
	}
}

// doctorsSentences returns the texts in the calls that make a finding.
func doctorsSentences(t *testing.T, files ...string) (found []string) {
	t.Helper()
	makes := regexp.MustCompile(`^(healthy|warning|broken)$`)
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if name, ok := call.Fun.(*ast.Ident); !ok || !makes.MatchString(name.Name) {
				return true
			}
			for _, argument := range call.Args {
				if inner, ok := argument.(*ast.CallExpr); ok && isErrorf(inner) {
					argument = inner.Args[0]
				}
				if s := constant(argument); s != "" {
					found = append(found, s)
				}
			}
			return false
		})
	}
	return found
}

func isErrorf(call *ast.CallExpr) bool {
	name, ok := call.Fun.(*ast.SelectorExpr)
	return ok && name.Sel.Name == "Errorf"
}

// constant returns the value of a string literal, or of a sum of string literals. It returns "" for
// other expressions.
func constant(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return constant(e.X) + constant(e.Y)
	}
	return ""
}
