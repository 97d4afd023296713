package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/writhq/writ/internal/testpg"
)

// What writ demo --serve says to try works as it stands, in another shell, folder
// and environment.
func TestDemoCommands(t *testing.T) {
	t.Parallel()
	if testpg.Programs() == "" {
		t.Skip("MISSING: postgresql")
	}
	commands := served(t, filepath.Join(t.TempDir(), "a folder", "it's a writ-demo"))
	elsewhere := t.TempDir()
	for i, want := range []struct {
		code int
		text string
	}{
		{0, " 401"}, {0, "credential_invalid"}, {0, `"id":"8831"`}, {0, `"amount":2900`}, {3, "not_permitted"}, {0, "svc/try"}, {0, "sound: "}, {0, "Ada"}, {1, "ERROR:  writ: "},
	} {
		if strings.HasPrefix(commands[i], "curl ") {
			if _, err := exec.LookPath("curl"); err != nil {
				t.Skip("MISSING: curl")
			}
		}
		c := exec.CommandContext(t.Context(), "sh", "-c", commands[i])
		c.Dir, c.Env = elsewhere, []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + elsewhere, "GORACE=atexit_sleep_ms=0"}
		out, err := c.CombinedOutput()
		code := 0
		if x, ok := errors.AsType[*exec.ExitError](err); ok {
			code = x.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != want.code || !strings.Contains(string(out), want.text) {
			t.Errorf("%s\nexit code %d, want %d, and %q in:\n%s", commands[i], code, want.code, want.text, out)
		}
	}
}

// served starts a demo that stays up until the test ends, and returns the commands
// that it says to try.
func served(t *testing.T, dir string) (commands []string) {
	t.Helper()
	if err := os.Mkdir(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	demo := exec.CommandContext(ctx, "writ", "demo", "--serve", "--dir", filepath.Base(dir))
	demo.Dir = filepath.Dir(dir)
	out, err := demo.StdoutPipe()
	if err == nil {
		err = demo.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		demo.Process.Signal(syscall.SIGINT)
		io.Copy(io.Discard, out)
		if err := demo.Wait(); err != nil {
			t.Errorf("the end of the demo: %v", err)
		}
		cancel()
	})
	var all strings.Builder
	explained := false
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.HasPrefix(lines.Text(), "Press Ctrl-C"); {
		all.WriteString(lines.Text() + "\n")
		if explained {
			commands = append(commands, lines.Text())
		}
		explained = strings.HasPrefix(lines.Text(), "# ")
	}
	if len(commands) != 9 {
		t.Fatalf("%d commands: %s", len(commands), all.String())
	}
	return commands
}
