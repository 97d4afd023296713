package ledger

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/writhq/writ/receipt"
)

// An Entry is what to append. Both fields are required.
type Entry struct {
	// Mode says what holds when Append returns.
	Mode receipt.Mode
	// Build returns the receipt, and its evidence or nil, for the place that it
	// will have. The ledger sets Typ, Gate, Epoch, Seq, TimeMS, Zone and Mode;
	// the evidence is committed to already. An error of Build is Append's, and
	// then the sequence is not used up. Build runs while all other appends wait:
	// it must be quick and must not call the ledger. Receipt and evidence are the
	// ledger's from then on.
	Build func(epoch, seq uint64, at time.Time) (*receipt.Receipt, *receipt.Evidence, error)
}

// plain returns the durable entry of r without evidence.
func plain(r *receipt.Receipt) Entry {
	return Entry{receipt.Durable, func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) { return r, nil, nil }}
}

// Append adds a receipt to the log and returns its reference when the mode's
// promise holds: buffered, the kernel has it, and the disk within 10 ms; durable,
// the disk has it. Witnessed is refused: this ledger has no witness.
//
// Receipts are in the order of their sequence; times do not decrease. An outcome
// must name an intent that is open, and closes it. ctx counts only until the
// receipt has its sequence: what is in the log is waited for. If Append returns
// an error that wraps [ErrFailed], the receipt may be in the log or not: the act
// must not happen, and the next Open tells. Other errors wrap [ErrEntry],
// [ErrClosed], or are Build's. SPEC LEDG-3, LEDG-6.
func (l *Ledger) Append(ctx context.Context, e Entry) (Ref, error) { return l.add(ctx, e, false) }

// add is Append; own says that the ledger itself writes the receipt.
func (l *Ledger) add(ctx context.Context, e Entry, own bool) (Ref, error) {
	if e.Mode != receipt.Buffered && e.Mode != receipt.Durable { //guard:R59 mode-kept
		return Ref{}, fmt.Errorf("%w: mode %q cannot be kept here", ErrEntry, e.Mode)
	}
	if e.Build == nil {
		return Ref{}, fmt.Errorf("%w: nothing to build", ErrEntry)
	}
	if err := l.room(ctx); err != nil {
		return Ref{}, err
	}
	t, err := l.enqueue(e, own)
	if err != nil {
		return Ref{}, err
	}
	if t.leads {
		l.commit(t.group)
	}
	if err := t.group.wait(e.Mode); err != nil { //guard:R59 append-waits
		return Ref{}, err
	}
	if t.receipt.Kind == receipt.Intent {
		l.mu.Lock()
		l.open[place{t.ref.Epoch, t.ref.Seq}] = openIntent{t.ref.Digest, t.receipt}
		l.mu.Unlock()
	}
	return t.ref, nil
}

// room waits until there is room for another receipt in the queues.
func (l *Ledger) room(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("append receipt: %w", err)
		}
		l.mu.Lock()
		crowded := l.group != nil && len(l.group.wal) > maxGroupBytes
		slow, wake, err := len(l.unsealed) > maxUnsealed, l.wake, l.err
		l.mu.Unlock()
		switch {
		case err != nil:
			return err
		case crowded: // until its leader takes it away
			l.wmu.Lock()
			l.wmu.Unlock() //nolint:staticcheck // waiting for the writer is all
		case slow:
			select {
			case <-wake:
			case <-ctx.Done():
			}
		default:
			return nil
		}
	}
}

// A group is what one write puts into the log. Its leader, who made it, writes
// it; everyone else in it waits. It is built under mu until the leader takes it.
type group struct {
	wal, ev []byte
	seg     uint64   // segment that it goes to
	fresh   *segment // to be made first; nil if it is there
	sync    bool     // somebody waits for the disk
	end     int64    // of the log file after it
	index   uint64   // receipts in the log after it
	lastMS  int64    // time of the newest receipt in it or before it

	written       chan struct{} // closed when the kernel has it; then writeErr is set
	done          chan struct{} // closed when the disk has it if sync is set; then err is set
	writeErr, err error
}

func (g *group) wait(m receipt.Mode) error {
	if m == receipt.Buffered {
		<-g.written
		return g.writeErr
	}
	<-g.done
	return g.err
}

// A ticket is a place in a group.
type ticket struct {
	ref     Ref
	group   *group
	leads   bool // the caller must commit the group
	receipt *receipt.Receipt
}

// enqueue gives e the next sequence and puts it into the current group.
func (l *Ledger) enqueue(e Entry, own bool) (t ticket, err error) {
	l.mu.Lock()
	defer l.mu.Unlock() // also if Build panics
	if l.err != nil {
		return t, l.err
	}
	if l.closing {
		return t, ErrClosed
	}
	at := max(l.cfg.Now().UnixMilli(), l.lastMS)
	r, ev, err := e.Build(l.epoch, l.seq+1, time.UnixMilli(at).UTC())
	if err != nil {
		return t, err
	}
	if r == nil || r.Kind == receipt.Boot && !own { //guard:A33 boot-own
		return t, fmt.Errorf("%w: no receipt, or a boot receipt", ErrEntry)
	}
	r.Typ, r.Gate, r.Zone, r.Mode = receipt.Type, l.cfg.Gate, l.cfg.Zone, e.Mode
	r.Epoch, r.Seq, r.TimeMS = l.epoch, l.seq+1, at
	if err := l.paired(r); err != nil {
		return t, err
	}
	f := frame{typ: typeReceipt, kind: kindOf(r), epoch: r.Epoch, seq: r.Seq, timeMS: at}
	if f.payload, err = r.Encode(); err != nil {
		return t, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if r.Intent != nil {
		f.intent = place{r.Intent.Epoch, r.Intent.Seq}
	}
	l.turn()
	sealedEv, err := l.seg.encrypt(place{r.Epoch, r.Seq}, ev)
	if err != nil {
		return t, err
	}
	t = ticket{ref: r.Ref(f.payload), receipt: r}
	t.group, t.leads = l.join(e.Mode != receipt.Buffered)
	l.put(t.group, &f, sealedEv)
	l.took(r, f.payload)
	return t, nil
}

// paired checks an outcome against the open intents. The caller holds mu.
func (l *Ledger) paired(r *receipt.Receipt) error {
	if r.Kind != receipt.Outcome {
		return nil
	}
	if r.Intent == nil {
		return fmt.Errorf("%w: outcome without intent", ErrNoIntent)
	}
	o, ok := l.open[place{r.Intent.Epoch, r.Intent.Seq}]
	if !ok || o.digest != r.Intent.Digest { //guard:R56 outcome-once
		return fmt.Errorf("%w: epoch %d, sequence %d", ErrNoIntent, r.Intent.Epoch, r.Intent.Seq)
	}
	return nil
}

// turn begins a new segment, in memory, if the current one is full and no group
// for it is waiting. The caller holds mu.
func (l *Ledger) turn() {
	if l.group == nil && l.seg.fresh == nil && l.seg.end >= l.cfg.Segment {
		l.seg = l.newSegment(l.seg.n + 1)
	}
}

// join returns the group for the next frame, and whether the caller leads it.
// The caller holds mu.
func (l *Ledger) join(sync bool) (g *group, leads bool) {
	if l.group == nil {
		l.group = &group{
			seg: l.seg.n, fresh: l.seg.fresh, written: make(chan struct{}), done: make(chan struct{}),
			wal: l.spareWal, ev: l.spareEv,
		}
		l.spareWal, l.spareEv, l.seg.fresh, leads = nil, nil, nil, true
	}
	l.group.sync = l.group.sync || sync
	return l.group, leads
}

// put adds a frame and its evidence to g. The caller holds mu.
func (l *Ledger) put(g *group, f *frame, ev []byte) {
	if len(ev) > 0 {
		f.evOff, f.evLen = l.seg.evEnd, uint32(len(ev))
		l.seg.evEnd += uint64(len(ev))
		g.ev = append(g.ev, ev...)
	}
	if l.synced.seg == g.seg {
		f.synced = uint64(l.synced.off)
	}
	if f.typ == typeReceipt && (l.index%markEvery == 0 || f.seq == 1) {
		l.marks = append(l.marks, mark{l.index, place{f.epoch, f.seq}, g.seg, l.seg.end})
	}
	g.wal = f.append(g.wal)
	l.seg.end += f.size()
	g.end = l.seg.end
}

// took counts r, which is in the current group. The caller holds mu.
func (l *Ledger) took(r *receipt.Receipt, payload []byte) {
	l.seq, l.lastMS = r.Seq, r.TimeMS
	l.index++
	l.group.index, l.group.lastMS = l.index, l.lastMS
	if r.Kind == receipt.Outcome {
		delete(l.open, place{r.Intent.Epoch, r.Intent.Seq})
	}
	l.closing = r.Kind == receipt.Boot && r.Note == receipt.NoteClose
	l.unsealed = append(l.unsealed, unsealed{place: place{r.Epoch, r.Seq}, timeMS: r.TimeMS, payload: payload})
	if len(l.unsealed) == 1 {
		l.signal()
	}
}

// commit takes g, of which the caller is the leader, and writes it.
func (l *Ledger) commit(g *group) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	err := l.gather(g)
	if err == nil {
		if err = l.write(g); err != nil { //guard:R59 write-error
			err = l.fail(err)
		}
	}
	g.writeErr = err
	close(g.written)
	if err == nil && g.sync {
		err = l.flush(g)
	}
	g.err = err
	close(g.done)
}

// gather takes g away from those who would still join it. It lets others run as
// long as they join: those whom the last group woke would otherwise stand behind
// the fsync of a group of one.
func (l *Ledger) gather(g *group) error {
	for have := -1; ; {
		l.mu.Lock()
		if len(g.wal) == have || len(g.wal) > maxGroupBytes || l.err != nil {
			l.group = nil
			defer l.mu.Unlock()
			return l.err
		}
		have = len(g.wal)
		l.mu.Unlock()
		runtime.Gosched()
	}
}

// write puts g into the files. The caller holds wmu.
func (l *Ledger) write(g *group) error {
	if g.fresh != nil {
		if err := l.rotate(g.fresh); err != nil {
			return err
		}
	}
	if len(g.ev) > 0 {
		l.evDirty = true
		if err := l.files.evd.Write(g.ev); err != nil {
			return err
		}
	}
	if err := l.files.wal.Write(g.wal); err != nil {
		return err
	}
	l.mu.Lock()
	l.written = max(l.written, g.index)
	l.spareWal, l.spareEv = g.wal[:0], g.ev[:0]
	l.mu.Unlock()
	return nil
}

// flush waits until all up to g is on the disk. The caller holds wmu.
func (l *Ledger) flush(g *group) error {
	if err := l.syncFiles(); err != nil { //guard:R59 sync-error
		return l.fail(err)
	}
	l.mu.Lock()
	l.synced = mark{seg: g.seg, off: g.end}
	l.floorMS = max(l.floorMS, g.lastMS)
	l.mu.Unlock()
	return nil
}

// syncFiles syncs both files at once: one alone would take as long. The caller
// holds wmu.
func (l *Ledger) syncFiles() error {
	if !l.evDirty {
		return l.files.wal.Sync()
	}
	ev := make(chan error, 1)
	go func() { ev <- l.files.evd.Sync() }()
	err := l.files.wal.Sync()
	if evErr := <-ev; err == nil {
		err = evErr
	}
	l.evDirty = err != nil
	return err
}
