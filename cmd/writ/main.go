// Command writ is the gate, the authority, the log and the client.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/writhq/writ/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Config{Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Protocols: protocols})
	stop()
	os.Exit(code)
}
