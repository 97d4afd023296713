// Package cli is the command line: it reads words and flags, calls the rooms that
// do the work, and says what happened and what to do next.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/internal/cli/credentials"
	"github.com/writhq/writ/internal/cli/machine"
	"github.com/writhq/writ/internal/cli/people"
	"github.com/writhq/writ/internal/cli/policies"
	"github.com/writhq/writ/internal/cli/postgres"
	"github.com/writhq/writ/internal/cli/records"
	"github.com/writhq/writ/internal/cli/secrets"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/demo"
	"github.com/writhq/writ/internal/gateway"
)

// Config is what a command line is run with. Every field is required.
type Config struct {
	Args      []string // without the program's name
	In        io.Reader
	Out, Err  io.Writer
	Protocols []gateway.Protocol
}

// Run runs one command line and returns its exit code: 0 yes, 1 error, 2 usage,
// 3 denied. SPEC CTRL-16.
func Run(ctx context.Context, c Config) int {
	sh := &shell.Shell{In: c.In, Out: c.Out, Err: c.Err, Now: time.Now, Getenv: os.Getenv, Protocols: c.Protocols, Build: build()}
	root := command(sh)
	root.SetArgs(c.Args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return shell.ExitOK
	}
	if errors.Is(err, shell.ErrDenied) { // the denial itself has been shown
		return shell.ExitDenied
	}
	// cobra's own errors are about words: an unknown command.
	usage := errors.Is(err, shell.ErrUsage) || strings.HasPrefix(err.Error(), "unknown command")
	what, next := shell.Explain(err)
	if usage && next == "" && !strings.Contains(what, "--help") {
		next = cmd.CommandPath() + " --help"
	}
	fmt.Fprintln(c.Err, "writ:", what)
	if next != "" {
		fmt.Fprintln(c.Err, "  next:", next)
	}
	if usage {
		return shell.ExitUsage
	}
	return shell.ExitError
}

func command(sh *shell.Shell) *cobra.Command {
	root := &cobra.Command{
		Use:   "writ",
		Short: "Secrets whose policy is bound to them by cryptography",
		Long: "Writ seals a secret to the exact signed policy that governs it, and decides every\nsingle use of it at a gate. See: writ demo\n\n" +
			"Exit codes: 0 yes, 1 error, 2 usage, 3 denied.",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return sh.Load()
		},
	}
	root.SetIn(sh.In)
	root.SetOut(sh.Out)
	root.SetErr(sh.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return shell.Usage("%s; see %s --help", err, cmd.CommandPath())
	})
	sh.Flags(root)
	root.AddCommand(demoCommand(sh), version(sh))
	for _, room := range []func(*shell.Shell) []*cobra.Command{
		machine.Commands, people.Commands, policies.Commands, secrets.Commands, credentials.Commands, postgres.Commands, records.Commands,
	} {
		root.AddCommand(room(sh)...)
	}
	root.InitDefaultCompletionCmd("completion") // the library's own would take any word for help
	if c, _, err := root.Find([]string{"completion"}); err == nil && c != root {
		shell.AsGroup(c)
	}
	return root
}

// build returns the build's version as the module system knows it.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
}

func version(sh *shell.Shell) *cobra.Command {
	return shell.Command{
		Use: "version", Short: "Print the version", Example: "  writ version --json",
		Run: func(context.Context, []string) error {
			return sh.Result(map[string]string{"build": sh.Build}, func() { sh.Say("%s", sh.Build) })
		},
	}.Cobra()
}

// program returns the path of a command as it was called, so that it can be called
// from anywhere.
func program(name string) string {
	if found, err := exec.LookPath(name); err == nil {
		name = found
	}
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	return name
}

func demoCommand(sh *shell.Shell) *cobra.Command {
	var dir string
	var serve bool
	cmd := shell.Command{
		Use:     "demo",
		Short:   "Tell the whole story on real servers, in one process, in seconds",
		Example: "  writ demo\n  writ demo --json\n  writ demo --serve",
		Run: func(ctx context.Context, _ []string) error {
			conf := demo.Config{Dir: dir, Out: sh.Out, Serve: serve, Program: program(os.Args[0])}
			for _, p := range sh.Protocols {
				switch p.Name {
				case "http":
					conf.HTTP = p
				case "postgres":
					conf.Postgres = p
				}
			}
			if conf.HTTP.New == nil {
				return shell.Fail("", "this binary has no HTTP gateway")
			}
			if sh.JSON {
				conf.Out = nil
			}
			r, err := demo.Run(ctx, conf)
			if sh.JSON && r != nil {
				e := json.NewEncoder(sh.Out)
				e.SetIndent("", "  ")
				return errors.Join(err, e.Encode(r))
			}
			return err
		},
	}.Cobra()
	cmd.Flags().StringVar(&dir, "dir", "writ-demo", "folder for the demo's files, which is kept")
	cmd.Flags().BoolVar(&serve, "serve", false, "keep the servers up, and say what to try by hand")
	return cmd
}
