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
	context.AfterFunc(ctx, stop) // restores the default: a second Ctrl+C kills the program
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

// environ returns the environment. If STAGEDOOR_CONFIG is not set, environ sets it to the config
// file of the package, if that is installed. Then commands use the data of the service.
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
