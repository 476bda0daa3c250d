package whip_test

import (
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/httpscript"
)

// TestScripts runs the conversations of testdata. The function Happened lists events for the dock
// and calls of the media plane.
func TestScripts(t *testing.T) {
	t.Parallel()
	httpscript.Run(t, "testdata", func(t *testing.T) httpscript.Conversation {
		h := newHarness(t)
		return httpscript.Conversation{
			Send:     httpscript.To(h.URL, &h.client),
			Happened: h.read,
			Known:    map[string]string{"70 KB": strings.Repeat("a=x\n", 70<<8)},
		}
	})
}
