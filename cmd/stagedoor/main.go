// Stagedoor lets broadcasters enter a real-time stage from OBS.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/stagedoor/stagedoor/internal/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends the program at once
	err := app.Run(ctx, os.Args[1:], environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	var usage app.UsageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "stagedoor:", app.Printable(err.Error()))
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "stagedoor:", app.Printable(err.Error()))
		os.Exit(1)
	}
}

// systemConfig is the config file of the packages.
const systemConfig = "/etc/stagedoor/stagedoor.yaml"

// environ returns the environment. If no config file is named and that of the package is installed,
// it adds that one: then commands work on the data of the service.
func environ() []string {
	env := os.Environ()
	if _, named := os.LookupEnv("STAGEDOOR_CONFIG"); named {
		return env
	}
	if _, err := os.Stat(systemConfig); err != nil {
		return env
	}
	return append(env, "STAGEDOOR_CONFIG="+systemConfig)
}
