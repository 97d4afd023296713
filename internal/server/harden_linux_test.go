package server_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/writhq/writ/internal/server"
)

// hardenEnv tells the test binary that it is the process that hardens itself.
const hardenEnv = "WRIT_HARDEN_CHILD"

// TestHardenChild hardens itself and looks at itself.
func TestHardenChild(t *testing.T) {
	if os.Getenv(hardenEnv) == "" {
		t.Skip("run by TestHarden")
	}
	dumpable := func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := dumpable(); n != 1 {
		t.Fatalf("dumpable is %d before", n)
	}
	if err := server.Harden(); err != nil {
		t.Fatal(err)
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		t.Fatal(err)
	}
	if n := dumpable(); n != 0 || core.Cur != 0 || core.Max != 0 {
		t.Errorf("dumpable %d, core dumps of %d bytes, at most %d", n, core.Cur, core.Max)
	}
}

// TestHarden shows a process that keeps its memory out of core dumps and from
// others of its user. It is not this one, which others read from.
//
// R2
func TestHarden(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestHardenChild$", "-test.v")
	cmd.Env = append(os.Environ(), hardenEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestHardenChild") {
		t.Errorf("%v: %s", err, out)
	}
}
