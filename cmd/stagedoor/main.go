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
	context.AfterFunc(ctx, stop) // a second Ctrl+C does not wait for what the first one lets finish
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

// environ is the environment, with the config file of the package where it is installed and no
// other is named: commands beside the service then work on the same data.
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
