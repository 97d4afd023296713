package ledger_test

import (
	"errors"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/receipt"
)

// Starts that fail before they sign anything: the receipts that they leave are
// signed epochs later, and are handed out.
//
// SPEC LEDG-5, LEDG-8
func TestSignedEpochsLater(t *testing.T) {
	t.Parallel()
	s := newScribe(t)
	for range 4 {
		s.boot()
		s.intent()
	}
	l := openLedger(t, folder(t, s.encode(), ""))
	n := 0
	readAll(t, l, func(*receipt.Receipt, canon.Digest, bool) { n++ })
	if n != 13 { // eight, a boot and four outcomes
		t.Errorf("%d receipts", n)
	}
	for _, p := range []ledger.Ref{{Epoch: 1, Seq: 3}, {Epoch: 4, Seq: 3}, {Epoch: 1, Seq: 1 << 63}, {Epoch: 6, Seq: 1}, {Epoch: 5, Seq: 6}} {
		if _, err := l.Signed(t.Context(), p.Epoch, p.Seq); !errors.Is(err, ledger.ErrUnknown) {
			t.Errorf("%d.%d: %v", p.Epoch, p.Seq, err)
		}
	}
}

// readAll reads l in every way, and calls fn with its receipts; signed says that an
// auditor finds the whole log sound, and that the receipt was signed before l was
// opened.
func readAll(t *testing.T, l *ledger.Ledger, fn func(r *receipt.Receipt, id canon.Digest, signed bool)) {
	t.Helper()
	_, err := audited(t, l)
	sound := err == nil
	if err != nil && !errors.Is(err, receipt.ErrReceipt) && !errors.Is(err, ledger.ErrLedger) {
		t.Errorf("an error of another package: %v", err)
	}
	err = l.Replay(t.Context(), func(r *receipt.Receipt) error {
		b, err := r.Encode()
		if err != nil {
			return err
		}
		id := receipt.ID(b)
		if _, err := l.Evidence(t.Context(), r.Ref(b)); err != nil && !errors.Is(err, ledger.ErrLedger) {
			t.Errorf("evidence: %v", err)
		}
		s, err := l.Signed(t.Context(), r.Epoch, r.Seq)
		if err != nil || s.ID() != id {
			t.Errorf("signed: %v", err)
			return nil
		}
		batch, _, err := receipt.ParseBatchUnverified(s.Batch)
		if err != nil {
			return err
		}
		fn(r, id, sound && batch.TimeMS < scribeMS+1_000_000)
		return nil
	})
	if err != nil && !errors.Is(err, ledger.ErrLedger) {
		t.Errorf("an error of another package: %v", err)
	}
}
