package ivsemu_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/apptest/httpscript"
	"github.com/stagedoor/stagedoor/internal/ivsemu"
)

// TestScripts runs the conversations of testdata, each with its own emulator that accepts any
// credentials.
func TestScripts(t *testing.T) {
	t.Parallel()
	httpscript.Run(t, "testdata", func(t *testing.T) httpscript.Conversation {
		_, base := fakeivs.Serve(t, func(cfg *ivsemu.Config) { cfg.AnyCredentials = true })
		return httpscript.Conversation{
			Send:  httpscript.To(base, http.DefaultTransport),
			Known: map[string]string{"base": base, "host": strings.TrimPrefix(base, "http://")},
		}
	})
}
