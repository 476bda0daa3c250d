package whipcheck

import (
	"fmt"
	"io"
	"strings"
)

// marks are the words that a terminal shows before a check.
var marks = map[Result]string{Passed: "ok  ", Warned: "warn", Failed: "FAIL", Skipped: "–   "}

// Line returns a check as text: one line, and a second line with the cure if there is one.
func (c Check) Line() string {
	text := fmt.Sprintf("%s  %s: %s", marks[c.Result], c.Title, c.Detail)
	if c.Cure != "" {
		text += fmt.Sprintf("\n      → %s [%s]", c.Cure, c.Source)
	}
	return text
}

// Summary writes how many checks had each result, and the verdict.
func (r Report) Summary(w io.Writer) error {
	counts := map[Result]int{}
	var failed []string
	for _, c := range r.Checks {
		counts[c.Result]++
		if c.Required && c.Result != Passed {
			failed = append(failed, c.ID)
		}
	}
	verdict := "OBS can publish to this endpoint."
	if !r.OK {
		verdict = "OBS cannot publish reliably: " + strings.Join(failed, ", ") + "."
	}
	_, err := fmt.Fprintf(w, "\n%d passed, %d warnings, %d failed, %d not made. %s\n",
		counts[Passed], counts[Warned], counts[Failed], counts[Skipped], verdict)
	return err
}
