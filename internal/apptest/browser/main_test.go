package browser_test

import (
	"os"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
)

func TestMain(m *testing.M) { os.Exit(browser.Share(m).Run()) }
