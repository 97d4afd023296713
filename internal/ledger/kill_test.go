package ledger_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/receipt"
)

const (
	childDir  = "WRIT_LEDGER_CHILD"
	childMode = "WRIT_LEDGER_MODE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir, receipt.Mode(os.Getenv(childMode))))
	}
	os.Exit(m.Run())
}

// child appends intents, acts, and appends outcomes until it is killed. An act is
// 16 bytes into a pipe that the parent owns: the intent's epoch and sequence.
func child(dir string, mode receipt.Mode) int {
	acts := os.NewFile(3, "acts")
	var t testing.T
	cfg := testConfig(&t, dir)
	cfg.Segment = 256 << 10
	l, err := ledger.Open(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			ev := evidence()
			for {
				ref, err := l.Append(context.Background(), intent(mode, ev))
				if err != nil {
					return
				}
				act := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, ref.Epoch), ref.Seq)
				if _, err := acts.Write(act); err != nil {
					return
				}
				if _, err := l.Append(context.Background(), outcome(mode, l, ref)); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return 1
}

type act struct{ epoch, seq uint64 }

// killOnce runs a child, kills it at a random moment after its first act, and
// returns the acts that were done.
func killOnce(t *testing.T, dir string, mode receipt.Mode) []act {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childMode+"="+string(mode))
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var done []act
	var b [16]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			break // the pipe is closed: the child is gone
		}
		if len(done) == 0 {
			time.AfterFunc(time.Duration(rand.Int64N(int64(25*time.Millisecond))), func() { cmd.Process.Kill() })
		}
		done = append(done, act{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])})
	}
	cmd.Wait() // it was killed
	return done
}

// Killed at any moment, in either mode: no act without its intent, and each
// intent has one outcome after the next start. WRIT_KILLS says how often.
// R59 R56
// A33
// SPEC LEDG-3, LEDG-5
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 15
	if n, err := strconv.Atoi(os.Getenv("WRIT_KILLS")); err == nil {
		kills = n
	}
	for _, mode := range []receipt.Mode{receipt.Buffered, receipt.Durable} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			acts, top := 0, t.TempDir()
			for i := range kills {
				// Each folder sees several kills, so that starts over a used log are tried.
				acts += checkKill(t, filepath.Join(top, strconv.Itoa(i/5)), mode)
			}
			if acts < 5*kills {
				t.Errorf("only %d acts in %d kills", acts, kills)
			}
			t.Logf("%d kills, %d acts, none without intent", kills, acts)
		})
	}
}

// checkKill kills one child in dir and compares its acts with the log.
func checkKill(t *testing.T, dir string, mode receipt.Mode) int {
	t.Helper()
	acts := killOnce(t, dir, mode)
	l, err := ledger.Open(t.Context(), testConfig(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	intents := make(map[act]bool)
	for _, r := range all(t, l) {
		if r.Kind == receipt.Intent {
			intents[act{r.Epoch, r.Seq}] = true
		}
	}
	for _, a := range acts {
		if !intents[a] {
			t.Errorf("act of epoch %d, sequence %d has no intent", a.epoch, a.seq)
		}
	}
	if r := mustAudit(t, l); r.Open != 0 || r.Intents != uint64(len(intents)) || r.Outcomes != r.Intents {
		t.Errorf("%+v", r)
	}
	return len(acts)
}
