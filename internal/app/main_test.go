package app_test

import (
	"os"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
)

func TestMain(m *testing.M) { os.Exit(apptest.Main(m)) }
