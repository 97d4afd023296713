// Package cli is the command line: it reads words and flags, calls the rooms that
// do the work, and says what happened and what to do next.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/internal/demo"
	"github.com/writhq/writ/internal/gateway"
)

// The exit codes. Scripts can rely on them.
const (
	ExitOK     = 0
	ExitError  = 1
	ExitUsage  = 2
	ExitDenied = 3
)

// Config is what a command line is run with. Every field is required.
type Config struct {
	Args      []string // without the program's name
	In        io.Reader
	Out, Err  io.Writer
	Protocols []gateway.Protocol
}

// errUsage is wrapped by errors about the words of the command line.
var errUsage = errors.New("usage")

// Run runs one command line and returns its exit code.
func Run(ctx context.Context, c Config) int {
	root := &cobra.Command{
		Use:           "writ",
		Short:         "Secrets whose policy is bound to them by cryptography",
		Long:          "Writ seals a secret to the exact signed policy that governs it, and decides every\nsingle use of it at a gate. See: writ demo",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetArgs(c.Args)
	root.SetIn(c.In)
	root.SetOut(c.Out)
	root.SetErr(c.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(demoCommand(&c))
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(c.Err, "writ:", err)
		if errors.Is(err, errUsage) {
			return ExitUsage
		}
		return ExitError
	}
	return ExitOK
}

func demoCommand(c *Config) *cobra.Command {
	var dir string
	var serve, asJSON bool
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Tell the whole story on real servers, in one process, in seconds",
		Example: "  writ demo\n  writ demo --json\n  writ demo --serve",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i := slices.IndexFunc(c.Protocols, func(p gateway.Protocol) bool { return p.Name == "http" })
			if i < 0 {
				return errors.New("this binary has no HTTP gateway")
			}
			conf := demo.Config{Dir: dir, Out: c.Out, Serve: serve, HTTP: c.Protocols[i]}
			if asJSON {
				conf.Out = nil
			}
			r, err := demo.Run(cmd.Context(), conf)
			if asJSON && r != nil {
				e := json.NewEncoder(c.Out)
				e.SetIndent("", "  ")
				return errors.Join(err, e.Encode(r))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "writ-demo", "folder for the demo's files, which is kept")
	cmd.Flags().BoolVar(&serve, "serve", false, "keep the servers up, and say what to try by hand")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object with everything that was counted")
	return cmd
}
