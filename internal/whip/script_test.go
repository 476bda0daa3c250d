package whip_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/httpscript"
)

// TestScripts runs the conversations of testdata. What happened meanwhile are events for the dock, and what the media plane saw.
func TestScripts(t *testing.T) {
	t.Parallel()
	httpscript.Run(t, "testdata", func(t *testing.T) httpscript.Conversation {
		h := newHouse(t)
		return httpscript.Conversation{
			Send:     h.unhurried(httpscript.To(h.URL, &h.client)),
			Happened: h.read,
			Known:    map[string]string{"70 KB": strings.Repeat("a=x\n", 70<<8)},
		}
	})
}

// unhurried lets the time pass between two requests in which nobody is told the same again.
func (h *house) unhurried(send func(t testing.TB, method, path string, header []string, body string) httpscript.Answer) func(t testing.TB, method, path string, header []string, body string) httpscript.Answer {
	return func(t testing.TB, method, path string, header []string, body string) httpscript.Answer {
		h.pass(5 * time.Second)
		return send(t, method, path, header, body)
	}
}
