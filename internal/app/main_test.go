package app_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"testing"

	"github.com/stagedoor/stagedoor/internal/app"
	"github.com/stagedoor/stagedoor/internal/apptest"
)

// The variables that make the test binary behave as the program, so that a test or benchmark measures a process of its own.
const (
	asProgram    = "TEST_AS_STAGEDOOR"
	cpuProfileTo = "TEST_CPU_PROFILE"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		// AWS's default chain of credentials looks at the environment first; the emulator has this pair.
		os.Setenv("AWS_ACCESS_KEY_ID", apptest.AccessKey)
		os.Setenv("AWS_SECRET_ACCESS_KEY", apptest.SecretKey)
		os.Exit(m.Run())
	}
	os.Exit(program())
}

func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if path := os.Getenv(cpuProfileTo); path != "" {
		f, err := os.Create(path)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	if err := app.Run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "stagedoor:", err)
		return 1
	}
	return 0
}
