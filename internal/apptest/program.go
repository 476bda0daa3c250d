package apptest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"github.com/stagedoor/stagedoor/internal/app"
)

// With these environment variables a test binary runs the program, for tests and benchmarks that
// need the program in its own process.
const (
	AsProgram    = "TEST_AS_STAGEDOOR"
	CPUProfileTo = "TEST_CPU_PROFILE"
)

// Main runs the tests of a package, or if Program started this binary, the program. TestMain passes
// the result to os.Exit.
func Main(m interface{ Run() int }) int {
	if os.Getenv(AsProgram) != "" {
		return program()
	}
	// AWS's default chain reads the environment first. These credentials are the emulator's.
	os.Setenv("AWS_ACCESS_KEY_ID", AccessKey)
	os.Setenv("AWS_SECRET_ACCESS_KEY", SecretKey)
	return m.Run()
}

// Program returns a command that runs the test binary as the program. The process ends with the
// test binary.
func Program(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), AsProgram+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func program() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if path := os.Getenv(CPUProfileTo); path != "" {
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
