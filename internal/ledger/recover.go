package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger/disk"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/tlog"
)

const checkpointFile = "checkpoint"

// A spot is where a frame stands.
type spot struct {
	seg uint64
	off int64
}

// A scan is what reading the whole log finds.
type scan struct {
	l       *Ledger
	head    tlog.Head // of the checkpoint in the folder; zero if there is none
	last    place
	payload []byte // of the last receipt
	clean   bool   // the last receipt closes its epoch
	dropped uint64 // bytes of the torn tail
	pending []unsealed
	spots   []spot         // of pending
	open    map[place]spot // intents without outcome
}

// segments returns the numbers of the log files in the folder, ascending.
func (l *Ledger) segments() ([]uint64, error) {
	all, err := l.disk.Numbers("wal")
	if err != nil {
		return nil, fmt.Errorf("%w: open: %w", ErrLedger, err)
	}
	for i, n := range all {
		if n != all[0]+uint64(i) {
			return nil, fmt.Errorf("%w: segment %d is missing", ErrCorrupt, all[0]+uint64(i))
		}
	}
	return all, nil
}

// recover reads the log and begins the new epoch. SPEC LEDG-4, LEDG-5.
func (l *Ledger) recover(ctx context.Context) error {
	s := &scan{l: l, open: make(map[place]spot)}
	if err := s.checkpoint(); err != nil {
		return err
	}
	all, err := l.segments()
	if err != nil {
		return err
	}
	next := uint64(1)
	if len(all) > 0 {
		l.first, next = all[0], all[len(all)-1]+1
	}
	for i, n := range all {
		keep, err := s.segment(ctx, n, i == len(all)-1)
		if err != nil {
			return err
		}
		if !keep {
			next = n
		}
	}
	if s.head.Size > l.tree.Size() { //guard:A34 shorter-than-checkpoint
		return fmt.Errorf("%w: %d receipts are signed, the folder's checkpoint has %d", ErrCorrupt, l.tree.Size(), s.head.Size)
	}
	l.first = max(l.first, 1)
	if err := s.unsigned(ctx); err != nil {
		return err
	}
	if err := s.intents(); err != nil {
		return err
	}
	return s.begin(next)
}

// checkpoint reads the folder's own last checkpoint. One that is torn or signed
// by an earlier key says nothing.
func (s *scan) checkpoint() error {
	b, err := s.l.disk.Read(checkpointFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: open: %w", ErrLedger, err)
	}
	c, err := tlog.ParseCheckpoint(b)
	if err == nil {
		s.head, err = c.Verify(s.l.key)
	}
	if err != nil {
		s.l.log.Warn("checkpoint in the folder is not by this key, and was not used", "err", err)
	}
	return nil
}

// segment reads one log file. keep is false if the file had no header and was
// removed; that, and a torn tail, only the last file may have.
func (s *scan) segment(ctx context.Context, n uint64, last bool) (keep bool, err error) {
	name := disk.Numbered(n, "wal")
	f, err := s.l.disk.Open(name)
	if err != nil {
		return false, fmt.Errorf("%w: open: %w", ErrLedger, err)
	}
	defer f.Close()
	r := newFrameReader(f, 0)
	for {
		if err := ctx.Err(); err != nil {
			return false, fmt.Errorf("open ledger: %w", err)
		}
		var fr frame
		at := spot{n, r.off}
		switch err := r.next(&fr); {
		case err == nil:
		case errors.Is(err, io.EOF):
			if at.off == 0 {
				return false, s.torn(f, at, last)
			}
			return true, nil
		case errors.Is(err, errTorn):
			return at.off > 0, s.torn(f, at, last)
		default:
			return false, fmt.Errorf("%w: read %s: %w", ErrLedger, name, err)
		}
		if err := s.frame(&fr, at); err != nil {
			return false, err
		}
	}
}

// torn cuts the file off at a spot, if a crash can have left it so.
func (s *scan) torn(f *os.File, at spot, last bool) error {
	proven, err := provenAfter(f, at.off)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	name := disk.Numbered(at.seg, "wal")
	if proven || !last { //guard:R57 torn-or-damaged
		return fmt.Errorf("%w: %s at byte %d: what stands there was on the disk once, so no crash did this. "+
			"Restore the folder from a copy", ErrCorrupt, name, at.off)
	}
	if at.off == 0 {
		for _, ext := range []string{"wal", "evd", "key"} {
			if err := s.l.disk.Remove(disk.Numbered(at.seg, ext)); err != nil {
				return fmt.Errorf("%w: %w", ErrLedger, err)
			}
		}
		return s.l.disk.SyncDir(".")
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	s.dropped = uint64(info.Size() - at.off)
	s.l.log.Warn("cut off a torn tail", "file", name, "at", at.off, "bytes", s.dropped)
	if err := s.l.disk.Truncate(name, at.off); err != nil {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return nil
}

// frame takes in one frame.
func (s *scan) frame(f *frame, at spot) error {
	damaged := func(what string) error {
		return fmt.Errorf("%w: %s at byte %d: %s", ErrCorrupt, disk.Numbered(at.seg, "wal"), at.off, what)
	}
	if (at.off == 0) != (f.typ == typeHeader) {
		return damaged("header")
	}
	switch f.typ {
	case typeHeader:
		var h walHeader
		if canon.DecodeCBOR(f.payload, &h) != nil || h.Typ != walType || h.Segment != at.seg {
			return damaged("header")
		}
		if h.Gate != s.l.cfg.Gate || h.Zone != s.l.cfg.Zone { //guard:A1 folder-owner
			return fmt.Errorf("%w: gate %q, zone %s", ErrForeign, h.Gate, h.Zone)
		}
	case typeReceipt:
		here := place{f.epoch, f.seq}
		if here != (place{s.last.epoch, s.last.seq + 1}) && (here.epoch <= s.last.epoch || here.seq != 1) || f.timeMS < s.l.lastMS { //guard:R57 log-sequence
			return damaged("sequence or time")
		}
		s.receipt(f, here, at)
	case typeBatch:
		if err := s.batch(f); err != nil {
			return damaged(err.Error())
		}
		if err := s.l.extend(); err != nil {
			return fmt.Errorf("%w: %w", ErrLedger, err)
		}
	}
	return nil
}

func (s *scan) receipt(f *frame, here place, at spot) {
	l := s.l
	if l.index%markEvery == 0 || f.seq == 1 {
		l.marks = append(l.marks, mark{l.index, here, at.seg, at.off})
	}
	l.index++
	l.lastMS = f.timeMS
	s.last, s.clean = here, f.kind == kindClose
	s.payload = append(s.payload[:0], f.payload...)
	s.pending = append(s.pending, unsealed{place: here, timeMS: f.timeMS, leaf: tlog.LeafHash(f.payload)})
	s.spots = append(s.spots, at)
	switch f.kind {
	case kindIntent:
		s.open[here] = at
	case kindOutcome:
		delete(s.open, f.intent)
	}
}

// batch checks that a batch is over the oldest unsealed receipts, and adds them
// to the tree.
func (s *scan) batch(f *frame) error {
	b, id, err := receipt.ParseBatchUnverified(f.payload)
	if err != nil {
		return err
	}
	first := place{b.Epoch, b.First}
	if b.Count > uint64(len(s.pending)) || b.Prev != s.l.batch || s.pending[0].place != first || s.pending[b.Count-1].epoch != b.Epoch || (place{f.epoch, f.seq}) != first {
		return errors.New("batch does not follow")
	}
	leaves := make([]tlog.Hash, b.Count)
	for i := range leaves {
		leaves[i] = s.pending[i].leaf
	}
	t, err := tlog.BatchOf(leaves)
	if err != nil {
		return err
	}
	if t.Root() != b.Root { //guard:R57 log-batch-root
		return errors.New("batch is over other receipts")
	}
	for _, h := range leaves { // another log need not have a batch that ends where the checkpoint does
		s.l.tree.Append(h)
		if s.l.tree.Size() == s.head.Size && s.l.tree.Root() != s.head.Root { //guard:R57 folder-checkpoint
			return errors.New("the folder's checkpoint is of another log")
		}
	}
	s.pending = append(s.pending[:0], s.pending[b.Count:]...)
	s.spots = append(s.spots[:0], s.spots[b.Count:]...)
	s.l.batch = id
	return nil
}

// unsigned reads the receipts that no batch covers. This start is going to sign
// them, so they must be what this gate could have written there. SPEC LEDG-5.
func (s *scan) unsigned(ctx context.Context) error {
	left := len(s.spots)
	if left == 0 {
		return nil
	}
	return s.l.walk(ctx, mark{seg: s.spots[0].seg, off: s.spots[0].off}, func(f *frame, at spot) error {
		if f.typ != typeReceipt {
			return nil
		}
		r, err := receipt.Parse(f.payload)
		if err == nil && (!f.fits(r) || r.Gate != s.l.cfg.Gate || r.Zone != s.l.cfg.Zone) { //guard:R57 unsigned-fits
			err = errors.New("the receipt is not what its frame says, or another gate's")
		}
		if err != nil {
			return fmt.Errorf("%w: %s at byte %d: unsigned: %w", ErrCorrupt, disk.Numbered(at.seg, "wal"), at.off, err)
		}
		if left--; left == 0 {
			return errStop
		}
		return nil
	})
}

// intents reads the intents without outcome.
func (s *scan) intents() error {
	for at, where := range s.open {
		f, err := s.l.disk.Open(disk.Numbered(where.seg, "wal"))
		if err != nil {
			return fmt.Errorf("%w: open: %w", ErrLedger, err)
		}
		var fr frame
		err = newFrameReader(f, where.off).next(&fr)
		f.Close()
		if err != nil {
			return fmt.Errorf("%w: read intent: %w", ErrLedger, err)
		}
		r, err := receipt.Parse(fr.payload)
		if err != nil {
			return fmt.Errorf("%w: intent: %w", ErrCorrupt, err)
		}
		s.l.open[at] = openIntent{receipt.ID(fr.payload), r}
	}
	return nil
}

// begin opens the new epoch in segment n: its boot receipt, and an outcome for
// each open intent, in one write that is on the disk when it returns.
func (s *scan) begin(n uint64) error {
	l := s.l
	l.epoch, l.before, l.sealed = s.last.epoch+1, l.index, l.tree.Size()
	l.unsealed = s.pending
	l.seg = l.newSegment(n)
	boot := &receipt.BootState{Clean: true}
	if s.last != (place{}) {
		boot.Last = &Ref{Epoch: s.last.epoch, Seq: s.last.seq, Digest: receipt.ID(s.payload)}
		boot.Clean = s.clean
		if !s.clean {
			boot.Dropped = s.dropped
		}
	}
	first, err := l.enqueue(plain(&receipt.Receipt{Kind: receipt.Boot, Note: receipt.NoteOpen, Boot: boot}), true)
	if err != nil {
		return err
	}
	for _, at := range slices.SortedFunc(maps.Keys(l.open), func(a, b place) int {
		if a.before(b) {
			return -1
		}
		return 1
	}) {
		o := l.open[at]
		ref := Ref{Epoch: at.epoch, Seq: at.seq, Digest: o.digest}
		if _, err := l.enqueue(plain(receipt.OutcomeOf(o.receipt, ref, receipt.Result{Class: receipt.Unknown})), true); err != nil {
			return err
		}
	}
	if err := l.settle(&first); err != nil {
		return err
	}
	l.log.Info("ledger open", "epoch", l.epoch, "receipts", l.Len(), "clean", boot.Clean, "unknown", len(s.open))
	return nil
}
