package app_test

import (
	"os"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/browser"
)

func TestMain(m *testing.M) { os.Exit(apptest.Main(browser.Share(m))) }
