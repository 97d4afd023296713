package ledger_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/testkit"
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

// FuzzSegment starts on a log file: however it is changed, with or without right
// checksums, the start refuses it, or what counts as signed was signed by the gate.
// Without right checksums not even what nobody signed is new.
//
// SPEC LEDG-2, LEDG-4, LEDG-5
func FuzzSegment(f *testing.F) {
	var v segmentVectors
	testkit.ReadVectors(f, segmentFile, &v)
	known := map[canon.Digest]bool{} // ids of all that the gate ever wrote
	for _, c := range v.Cases {
		if len(c.Segments) != 1 {
			continue
		}
		b := testkit.Unhex(f, c.Segments[0])
		f.Add(b, true)
		f.Add(b, false)
		for _, frame := range cut(b) {
			if frame[2] == receiptFrame {
				known[receipt.ID(frame[72:])] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, checksums bool) {
		if checksums {
			b = resumAll(b)
		}
		l, err := ledger.Open(t.Context(), folder(t, [][]byte{b}, ""))
		if err != nil {
			if !errors.Is(err, ledger.ErrLedger) {
				t.Errorf("an error of another package: %v", err)
			}
			return
		}
		defer l.Close()
		readAll(t, l, func(r *receipt.Receipt, id canon.Digest, signed bool) {
			if r.Epoch < l.Epoch() && !known[id] && (signed || !checksums) {
				t.Errorf("a receipt that the gate did not write: %+v", r)
			}
		})
	})
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

// resumAll returns b with right checksums wherever it can be cut into frames.
func resumAll(b []byte) []byte {
	b = bytes.Clone(b)
	for rest := b; len(rest) >= 72; {
		n := 72 + int64(binary.BigEndian.Uint32(rest[4:]))
		if n > int64(len(rest)) {
			break
		}
		resum(rest[:n])
		rest = rest[n:]
	}
	return b
}
