package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/static"
)

// TestTheDoctorsSentencesHaveKeys: each key in a call that makes a finding has a sentence, and each
// sentence of the doctor is in such a call.
func TestTheDoctorsSentencesHaveKeys(t *testing.T) {
	t.Parallel()
	english, err := static.Sentences("en")
	if err != nil {
		t.Fatal(err)
	}
	used := doctorsKeys(t, "doctor.go", "doctor_outside.go")
	for key := range used {
		if _, known := english["said.doctor."+key]; !known {
			t.Errorf("doctor: the key %q has no sentence said.doctor.%s", key, key)
		}
	}
	for key := range english {
		name, ours := strings.CutPrefix(key, "said.doctor.")
		if ours && !used[name] {
			t.Errorf("got the sentence %s, which no finding uses; want it deleted", key)
		}
	}
}

// doctorsKeys returns the constants in the calls that make a finding.
func doctorsKeys(t *testing.T, files ...string) map[string]bool {
	t.Helper()
	makers := []string{"healthy", "warning", "broken", "failed"}
	found := map[string]bool{}
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
			name, ok := call.Fun.(*ast.Ident)
			if !ok || !slices.Contains(makers, name.Name) {
				return true
			}
			for _, argument := range call.Args {
				if text, ok := argument.(*ast.BasicLit); ok && text.Value != `""` {
					key, err := strconv.Unquote(text.Value)
					if err != nil {
						t.Fatal(err)
					}
					found[key] = true
				}
			}
			return true
		})
	}
	return found
}
