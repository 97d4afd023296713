package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sort"

	"github.com/writhq/writ/internal/ledger/disk"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/tlog"
)

// errStop ends a walk early.
var errStop = errors.New("ledger: stop")

// walk calls fn with the frames of the log from m on. fn must return errStop
// before the end of what is written: beyond that a frame may be half there.
func (l *Ledger) walk(ctx context.Context, m mark, fn func(*frame, spot) error) error {
	for seg, off := m.seg, m.off; ; seg, off = seg+1, 0 {
		f, err := l.disk.Open(disk.Numbered(seg, "wal"))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrLedger, err)
		}
		err = walkFile(ctx, f, spot{seg, off}, fn)
		f.Close()
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func walkFile(ctx context.Context, f *os.File, from spot, fn func(*frame, spot) error) error {
	r := newFrameReader(f, from.off)
	for n := 0; ; n++ {
		if err := ctx.Err(); n%markEvery == 0 && err != nil {
			return fmt.Errorf("read ledger: %w", err)
		}
		var fr frame
		at := spot{from.seg, r.off}
		err := r.next(&fr)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: segment %d at byte %d: %w", ErrCorrupt, at.seg, at.off, err)
		}
		if err := fn(&fr, at); err != nil {
			return err
		}
	}
}

// find returns the newest entry of the index that is not after p, and how many
// receipts are written.
func (l *Ledger) find(p place) (m mark, written uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := sort.Search(len(l.marks), func(i int) bool { return p.before(l.marks[i].place) })
	return l.marks[max(i-1, 0)], l.tail.index
}

// Receipts calls fn with the receipts from one place to another, both included,
// in order, with their references. A to of zero is the end of the log as it is
// now. Errors are fn's, ctx's, or wrap [ErrLedger].
func (l *Ledger) Receipts(ctx context.Context, from, to Ref, fn func(Ref, *receipt.Receipt) error) error {
	first, last := place{from.Epoch, from.Seq}, place{to.Epoch, to.Seq}
	if last == (place{}) {
		last = place{math.MaxUint64, math.MaxUint64}
	}
	m, written := l.find(first)
	index := m.index
	return l.walk(ctx, m, func(f *frame, _ spot) error {
		if f.typ != typeReceipt {
			return nil
		}
		here := place{f.epoch, f.seq}
		if last.before(here) {
			return errStop
		}
		if index++; !here.before(first) {
			r, err := receipt.Parse(f.payload)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrCorrupt, err)
			}
			if !f.fits(r) { //guard:R57 frame-fits
				return fmt.Errorf("%w: epoch %d, sequence %d: the receipt is not what its frame says", ErrCorrupt, f.epoch, f.seq)
			}
			if err := fn(r.Ref(f.payload), r); err != nil {
				return err
			}
		}
		if index >= written {
			return errStop
		}
		return nil
	})
}

// Replay calls fn with every receipt in the log, in order: what a state is
// rebuilt from.
func (l *Ledger) Replay(ctx context.Context, fn func(*receipt.Receipt) error) error {
	return l.Receipts(ctx, Ref{}, Ref{}, func(_ Ref, r *receipt.Receipt) error { return fn(r) })
}

// sealedAt returns how many receipts must be sealed for the one at p to be.
func (l *Ledger) sealedAt(p place) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case p.epoch == 0 || p.seq == 0 || p.epoch > l.epoch || p.epoch == l.epoch && p.seq > l.seq:
		return 0, fmt.Errorf("%w: epoch %d, sequence %d", ErrUnknown, p.epoch, p.seq)
	case p.epoch == l.epoch:
		return l.index - (l.seq - p.seq), nil
	}
	return l.before, nil
}

// Signed returns a receipt for handing out. It waits, normally less than 10 ms,
// until the receipt is signed and both are on the disk. Errors are ctx's or wrap
// [ErrUnknown], [ErrFailed]. SPEC LEDG-8.
func (l *Ledger) Signed(ctx context.Context, epoch, seq uint64) (*receipt.Signed, error) {
	p := place{epoch, seq}
	n, err := l.sealedAt(p)
	if err != nil {
		return nil, err
	}
	if err := l.waitSealed(ctx, n); err != nil {
		return nil, err
	}
	l.smu.Lock()
	i := sort.Search(len(l.cache), func(i int) bool { return p.before(place{l.cache[i].epoch, l.cache[i].first}) })
	var b *sealedBatch
	if i > 0 {
		b = l.cache[i-1]
	}
	l.smu.Unlock()
	if b == nil || b.epoch != epoch || seq-b.first >= uint64(len(b.leaves)) {
		if b, err = l.batchOf(ctx, p); err != nil {
			return nil, err
		}
	}
	at := seq - b.first
	return &receipt.Signed{Payload: b.payloads[at], Index: at, Path: b.tree.Path(int(at)), Batch: b.block}, nil
}

// batchOf reads the batch over the receipt at p, if there is one, from the log: it
// is sealed. Its batch may stand epochs later, as starts may fail before they sign.
func (l *Ledger) batchOf(ctx context.Context, p place) (*sealedBatch, error) {
	m, _ := l.find(p)
	s := &sealedBatch{}
	var count uint64
	there := false
	err := l.walk(ctx, m, func(f *frame, _ spot) error {
		here := place{f.epoch, f.seq}
		there = there || f.typ == typeReceipt && here == p
		if f.typ == typeReceipt && !there && p.before(here) {
			return fmt.Errorf("%w: epoch %d, sequence %d", ErrUnknown, p.epoch, p.seq)
		}
		if f.typ != typeBatch || f.epoch != p.epoch {
			return nil
		}
		b, id, err := receipt.ParseBatchUnverified(f.payload)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if p.seq-b.First >= b.Count {
			return nil
		}
		*s = sealedBatch{epoch: b.Epoch, first: b.First, block: append([]byte(nil), f.payload...), id: id}
		count = b.Count
		return errStop
	})
	if err != nil {
		return nil, err
	}
	return s, l.fill(ctx, s, count)
}

// fill reads the receipts of s.
func (l *Ledger) fill(ctx context.Context, s *sealedBatch, count uint64) (err error) {
	m, _ := l.find(place{s.epoch, s.first})
	err = l.walk(ctx, m, func(f *frame, _ spot) error {
		if f.typ == typeReceipt && f.epoch == s.epoch && f.seq >= s.first {
			s.payloads = append(s.payloads, append([]byte(nil), f.payload...))
			s.leaves = append(s.leaves, tlog.LeafHash(f.payload))
		}
		if uint64(len(s.leaves)) == count {
			return errStop
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.tree, err = tlog.BatchOf(s.leaves)
	return err
}

// Evidence returns what the receipt that ref names commits to. Errors wrap
// [ErrUnknown], or [ErrErased] if there was none, it was erased, or a power cut
// took it. SPEC LEDG-7.
func (l *Ledger) Evidence(ctx context.Context, ref Ref) (*receipt.Evidence, error) {
	p := place{ref.Epoch, ref.Seq}
	if _, err := l.sealedAt(p); err != nil {
		return nil, err
	}
	m, written := l.find(p)
	var found frame
	var where spot
	index := m.index
	err := l.walk(ctx, m, func(f *frame, at spot) error {
		if f.typ != typeReceipt {
			return nil
		}
		if (place{f.epoch, f.seq}) == p {
			if receipt.ID(f.payload) != ref.Digest { //guard:A37 evidence-of-this-receipt
				return errStop
			}
			found, where = *f, at
			return errStop
		}
		if index++; index >= written || p.before(place{f.epoch, f.seq}) {
			return errStop
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case found.typ == 0:
		return nil, fmt.Errorf("%w: epoch %d, sequence %d", ErrUnknown, p.epoch, p.seq)
	case found.evLen == 0:
		return nil, fmt.Errorf("%w: the receipt had none", ErrErased)
	}
	return l.readEvidence(p, where.seg, &found)
}

func (l *Ledger) readEvidence(p place, seg uint64, f *frame) (*receipt.Evidence, error) {
	rows, err := l.rowKeys(seg)
	if err != nil {
		return nil, err
	}
	file, err := l.disk.Open(disk.Numbered(seg, "evd"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrErased, err)
	}
	defer file.Close()
	if f.evLen > receipt.MaxEvidenceBytes+maxFrameBytes {
		return nil, fmt.Errorf("%w: evidence of %d bytes", ErrCorrupt, f.evLen)
	}
	ct := make([]byte, f.evLen)
	if _, err := file.ReadAt(ct, int64(f.evOff)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrErased, err)
	}
	e, err := rows.Open(ct, p.epoch, p.seq)
	if errors.Is(err, receipt.ErrEvidence) {
		err = fmt.Errorf("%w: %w", ErrErased, err)
	}
	return e, err
}

// Export writes all that an outside auditor needs, with the checkpoint that
// [Ledger.Head] returns, in the form that [receipt.AuditExport] reads. It holds
// no evidence. Errors are w's, ctx's, or wrap [ErrLedger]. SPEC LEDG-9.
func (l *Ledger) Export(ctx context.Context, w io.Writer) error {
	c, err := l.Head(ctx)
	if err != nil {
		return err
	}
	x, err := receipt.NewExportWriter(w, receipt.ExportHeader{Gate: l.cfg.Gate, Zone: l.cfg.Zone})
	if err != nil {
		return err
	}
	size := c.HeadUnverified().Size // it is our own
	var written, covered uint64
	var leaves []tlog.Hash // of what no batch covers yet
	m, _ := l.find(place{})
	err = l.walk(ctx, m, func(f *frame, _ spot) error {
		switch {
		case f.typ == typeReceipt && written < size:
			written++
			leaves = append(leaves, tlog.LeafHash(f.payload))
			return x.Receipt(f.payload)
		case f.typ == typeBatch:
			b, _, err := receipt.ParseBatchUnverified(f.payload)
			if err != nil || b.Count > uint64(len(leaves)) {
				return fmt.Errorf("%w: batch after receipt %d", ErrCorrupt, written)
			}
			if err := x.Batch(f.payload, leaves[:b.Count]); err != nil {
				return err
			}
			leaves = append(leaves[:0], leaves[b.Count:]...)
			if covered += b.Count; covered == size {
				return errStop
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return x.End(c)
}
