// Package shell is what all commands share: streams, exit codes, settings, keys
// in files, and the zone as the server's documents prove it.
package shell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/writhq/writ/internal/gateway"
)

// The exit codes. Scripts can rely on them. SPEC CTRL-16.
const (
	ExitOK     = 0
	ExitError  = 1
	ExitUsage  = 2
	ExitDenied = 3
)

// The errors that decide the exit code; all wrap [ErrShell].
var (
	ErrShell = errors.New("writ")
	// ErrUsage is wrapped by errors about the words of the command line.
	ErrUsage = fmt.Errorf("%w: usage", ErrShell)
	// ErrDenied is wrapped by the error for an operation that was denied: a valid
	// answer, and no.
	ErrDenied = fmt.Errorf("%w: denied", ErrShell)
)

// A Shell is what a command line is run with. Every field is required but JSON.
// It is not safe for concurrent use.
type Shell struct {
	In        io.Reader
	Out, Err  io.Writer
	Now       func() time.Time
	Getenv    func(string) string
	Protocols []gateway.Protocol
	Build     string

	JSON bool // --json
	set  Settings
}

// Usage returns an error about the words of the command line.
func Usage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUsage, fmt.Sprintf(format, args...))
}

// Say prints a line for people; nothing with --json.
func (s *Shell) Say(format string, args ...any) {
	if !s.JSON {
		fmt.Fprintf(s.Out, format+"\n", args...)
	}
}

// Note prints a line beside the command's output.
func (s *Shell) Note(format string, args ...any) { fmt.Fprintf(s.Err, format+"\n", args...) }

// Result prints v with --json; otherwise it calls text.
func (s *Shell) Result(v any, text func()) error {
	if !s.JSON {
		text()
		return nil
	}
	e := json.NewEncoder(s.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// Waiting says what the command is doing once it has taken two seconds, until the
// function it returns is called.
func (s *Shell) Waiting(format string, args ...any) (done func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTimer(progressAfter)
		defer t.Stop()
		select {
		case <-stop:
		case <-t.C:
			s.Note(format+" …", args...)
		}
	})
	return func() {
		close(stop)
		wg.Wait()
	}
}

// Date returns a time in Unix seconds as people read it.
func Date(unix int64) string { return time.Unix(unix, 0).UTC().Format("2006-01-02 15:04 UTC") }

// NewFile creates a file that must not be there yet, for writing.
func NewFile(name string, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil, because(err, "name another file, or move it away", "%s is there already", name)
	case errors.Is(err, os.ErrNotExist):
		return nil, because(err, "make the folder first: mkdir -p "+filepath.Dir(name), "%s cannot be written: its folder is not there", name)
	case err != nil:
		return nil, because(err, "name a file in a folder that this user may write to, with space on its disk", "%s cannot be written: %s", name, plain(err))
	}
	return f, nil
}

// WriteNew writes a file that must not be there yet.
func WriteNew(name string, data []byte, mode os.FileMode) error {
	f, err := NewFile(name, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrShell, err)
	}
	return nil
}

// A Command is one command: cobra's, with the parts that every command needs.
type Command struct {
	Use, Short, Long, Example string
	Args                      cobra.PositionalArgs
	Run                       func(ctx context.Context, args []string) error
}

// Cobra returns c for cobra. Wrong arguments give [ErrUsage].
func (c Command) Cobra() *cobra.Command {
	return &cobra.Command{
		Use: c.Use, Short: c.Short, Long: c.Long, Example: c.Example,
		Args: func(cmd *cobra.Command, args []string) error {
			check := c.Args
			if check == nil {
				check = cobra.NoArgs
			}
			if err := check(cmd, args); err != nil {
				return Usage("%s; see writ %s --help", err, cmd.CommandPath()[len("writ "):])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.Run(cmd.Context(), args) },
	}
}

// Group returns a command that only holds others.
func Group(use, short string, sub ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short}
	AsGroup(g)
	g.AddCommand(sub...)
	return g
}

// AsGroup makes g a command that only holds others: any other word is wrong usage.
func AsGroup(g *cobra.Command) {
	g.RunE = func(cmd *cobra.Command, _ []string) error {
		return Usage("%s needs a command; see %s --help", cmd.CommandPath(), cmd.CommandPath())
	}
	g.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return Usage("%s has no command %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
		}
		return nil
	}
}

// WriteOver replaces the content of a file durably: whole, or not at all. It keeps
// who may read it; a new file may be read by all. A link stays one.
func WriteOver(name string, data []byte) error {
	mode := os.FileMode(0o644)
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	if st, err := os.Stat(name); err == nil {
		mode = st.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return because(err, "see to it that this user may write to the folder", "%s cannot be written: %s", name, plain(err))
	}
	defer os.Remove(f.Name()) // gone already if all went well
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	if err != nil {
		return because(err, "see to it that there is space on the disk; the file is as it was", "%s cannot be written: %s", name, plain(err))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
