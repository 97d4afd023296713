package ledger_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/receipt"
)

// While a sync is under way, buffered receipts are written; a durable one waits
// for a sync that begins after it was written.
// R59
// A33
// guard: append-waits
// SPEC LEDG-3
func TestWritesBesideSync(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	var mu sync.Mutex
	var held bool
	var size, syncedTo int64 // of the log file
	began, free := make(chan struct{}, 1), make(chan struct{})
	cfg.Faults = func(c ledger.Call) error {
		if filepath.Ext(c.Path) != ".wal" {
			return c.Run(c.Size)
		}
		mu.Lock()
		if c.Op == "write" {
			size += int64(c.Size)
		}
		now, wait := size, held && c.Op == "sync"
		held = held && !wait // only the first is held
		mu.Unlock()
		if wait {
			began <- struct{}{}
			<-free
		}
		err := c.Run(c.Size)
		if c.Op == "sync" {
			mu.Lock()
			syncedTo = max(syncedTo, now)
			mu.Unlock()
		}
		return err
	}
	l := openLedger(t, cfg)
	if _, err := l.Head(t.Context()); err != nil { // the sealer sleeps
		t.Fatal(err)
	}
	mu.Lock()
	held = true
	mu.Unlock()
	first := mustAppend(t, l, intent(receipt.Buffered, evidence()))
	<-began // the sync for its batch
	for range 20 {
		ref := mustAppend(t, l, intent(receipt.Buffered, evidence()))
		mustAppend(t, l, outcome(receipt.Buffered, l, ref))
	}
	durable := make(chan ledger.Ref)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ref, err := l.Append(t.Context(), intent(receipt.Durable, evidence()))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if syncedTo < int64(ref.Seq)*72 { // each frame before it is longer than its header
				t.Errorf("sequence %d is told of; %d bytes are synced", ref.Seq, syncedTo)
			}
			durable <- ref
		})
	}
	mustAppend(t, l, outcome(receipt.Buffered, l, first))
	select {
	case <-durable:
		t.Error("durable without a sync that began after it")
	default:
	}
	close(free)
	for range 8 {
		if ref := <-durable; l.Floor().IsZero() || ref.Seq == 0 {
			t.Error("no receipt")
		}
	}
	wg.Wait()
	if r := mustAudit(t, l); r.Intents != 29 {
		t.Errorf("%+v", r)
	}
}
