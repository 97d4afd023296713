package ledger_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/receipt"
)

// damage makes a log of some receipts, closes it cleanly or not, changes the log
// file and opens it again.
func damage(t *testing.T, clean bool, change func([]byte) []byte) (*ledger.Ledger, error) {
	t.Helper()
	cfg := testConfig(t, t.TempDir())
	var broken bool
	var mu sync.Mutex
	cfg.Faults = func(c ledger.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if broken {
			return errors.New("broken")
		}
		return c.Run(c.Size)
	}
	l := openLedger(t, cfg)
	for range 4 {
		mustAppend(t, l, intent(receipt.Durable, nil))
	}
	if _, err := l.Signed(t.Context(), 1, 5); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	broken = !clean
	mu.Unlock()
	if err := l.Close(); (err == nil) != clean {
		t.Fatal(err)
	}
	file := filepath.Join(cfg.Dir, "00000001.wal")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, change(b), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Faults = nil
	l, err = ledger.Open(t.Context(), cfg)
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return l, err
}

// A torn tail is cut off and recorded as a gap; anything else stops the gate.
// R57
// A33 A34
// guard: torn-or-damaged, shorter-than-checkpoint, frame-checksum
// SPEC LEDG-4, LEDG-5
func TestTornOrDamaged(t *testing.T) {
	t.Parallel()
	l, err := damage(t, false, func(b []byte) []byte { return b[:len(b)-5] }) // the batch is torn
	if err != nil {
		t.Fatal(err)
	}
	boot := all(t, l)[5]
	if boot.Kind != receipt.Boot || boot.Boot.Clean || boot.Boot.Dropped == 0 || boot.Boot.Last.Seq != 5 {
		t.Errorf("%+v %+v", boot, boot.Boot)
	}
	if r := mustAudit(t, l); r.Unclean != 1 || r.Unknown != 4 {
		t.Errorf("%+v", r)
	}
	if l, err := damage(t, false, func(b []byte) []byte { return append(b, make([]byte, 5000)...) }); err != nil {
		t.Error("zeros at the end", err)
	} else {
		mustAudit(t, l)
	}
	for at := 100; at < 2000; at += 97 { // bytes that were on the disk before later frames
		_, err := damage(t, false, func(b []byte) []byte { b[at] ^= 1; return b })
		if !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	if _, err := damage(t, true, func(b []byte) []byte { return b[:1000] }); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("shorter than its checkpoint: %v", err)
	}
}

// Frames that are sound one by one and not together.
// R57
// guard: log-sequence, log-batch-root, folder-checkpoint
// SPEC LEDG-4
func TestLogThatDoesNotFit(t *testing.T) {
	t.Parallel()
	donor := func() (frames [][]byte) {
		_, err := damage(t, true, func(b []byte) []byte { frames = cut(b); return b })
		if err != nil {
			t.Fatal(err)
		}
		return frames
	}()
	if len(donor) < 7 {
		t.Fatalf("%d frames", len(donor))
	}
	for what, change := range map[string]func([][]byte) [][]byte{
		"deleted":   func(f [][]byte) [][]byte { i := third(f); return slices.Delete(f, i, i+1) },
		"twice":     func(f [][]byte) [][]byte { i := third(f); return slices.Insert(f, i, f[i]) },
		"swapped":   func(f [][]byte) [][]byte { i := third(f); f[1], f[i] = f[i], f[1]; return f },
		"exchanged": func(f [][]byte) [][]byte { f[3] = donor[3]; return f },
		"history":   func(f [][]byte) [][]byte { return append(f[:1:1], donor[1:]...) },
	} {
		_, err := damage(t, true, func(b []byte) []byte { return bytes.Join(change(cut(b)), nil) })
		if !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// The same where no checkpoint, and then no batch either, tells.
	if _, err := damage(t, false, func(b []byte) []byte {
		end := slices.IndexFunc(donor, func(f []byte) bool { return f[2] == batchFrame })
		f := slices.Clone(donor[:end+1])
		for _, other := range cut(b) { // the last receipt before the batch, so that only the batch tells
			if other[2] == receiptFrame && bytes.Equal(other[24:32], f[end-1][24:32]) {
				f[end-1] = other
			}
		}
		return bytes.Join(f, nil)
	}); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("exchanged under a batch: %v", err)
	}
	if _, err := damage(t, false, func(b []byte) []byte {
		f := slices.DeleteFunc(cut(b), func(f []byte) bool { return f[2] == batchFrame })
		return bytes.Join(slices.Delete(f[:6], 3, 4), nil)
	}); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("deleted before any batch: %v", err)
	}
}

// Types of frames, at their third byte: see frame.go.
const (
	receiptFrame = 2
	batchFrame   = 3
)

// third returns the place of the third receipt: batches come when they come.
func third(f [][]byte) int {
	n := 0
	return slices.IndexFunc(f, func(f []byte) bool {
		if f[2] == receiptFrame {
			n++
		}
		return n == 3
	})
}

// cut returns the whole frames of a log file.
func cut(b []byte) (frames [][]byte) {
	for len(b) >= 72 {
		n := 72 + int(b[4])<<24 + int(b[5])<<16 + int(b[6])<<8 + int(b[7])
		if n > len(b) {
			break
		}
		frames = append(frames, bytes.Clone(b[:n]))
		b = b[n:]
	}
	return frames
}
