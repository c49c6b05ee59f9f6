// Command airfield is the production infrastructure under AI pilots, as one binary.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"airfield/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	os.Exit(cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
