// Command writ is the gate, the authority, the log and the client.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/writhq/writ/internal/cli"
	"github.com/writhq/writ/internal/sqlparser"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == sqlparser.Command { // a gate's own process: no command for people
		if err := sqlparser.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "writ:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Config{Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Protocols: protocols})
	stop()
	os.Exit(code)
}
