package ledger

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
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
	t.fill()
	if err := l.settle(&t); err != nil { //guard:R59 append-waits
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
		crowded, slow, wake, err := l.crowded(), len(l.unsealed) > maxUnsealed, l.wake, l.err
		l.mu.Unlock()
		switch {
		case err != nil:
			return err
		case crowded: // until it is taken away
			l.fmu.Lock()
			l.wmu.Lock()
			l.wmu.Unlock() //nolint:staticcheck // waiting for the writer is all
			l.fmu.Unlock()
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

// crowded reports whether the current group is full. The caller holds mu.
func (l *Ledger) crowded() bool { return l.group != nil && len(l.group.wal) > maxGroupBytes }

// A group is what one write puts into the log. The first buffered caller in it
// writes it, or the round does that syncs it, whichever comes first. It is built
// under mu until it is taken; then it is its writer's.
type group struct {
	wal     []byte
	ev      []*receipt.Sealing
	filling sync.WaitGroup // callers whose evidence in it is not encrypted yet
	fresh   *segment       // to be made first; nil if it is there
	tail    tail           // of the log after it
	led     bool           // a buffered caller will write it
	written chan struct{}  // closed when err is set; nil if nobody waits
	err     error          // of the write; who holds wmu may read it once it is taken
}

// A round is one sync, for all that was appended before it begins. Its leader is
// the first durable caller in it.
type round struct {
	n    int           // guarded by mu: callers in it
	done chan struct{} // guarded by mu until it begins: closed when err is set; nil if nobody waits
	err  error
}

// A ticket is a place in a group, and for what must be durable in a round.
type ticket struct {
	ref     Ref
	group   *group
	round   *round // nil: the kernel is enough
	leads   bool   // the caller must write the group, or sync the round
	receipt *receipt.Receipt
	payload []byte
	ev      *receipt.Sealing
}

// fill does what needs no lock: it encrypts the evidence and names the receipt.
func (t *ticket) fill() {
	if t.ev != nil {
		defer t.group.filling.Done()
		t.ev.Seal()
	}
	t.ref = t.receipt.Ref(t.payload)
}

// settle returns when t's promise holds.
func (l *Ledger) settle(t *ticket) error {
	switch {
	case t.round == nil && t.leads:
		return l.commit(t.group)
	case t.round == nil:
		<-t.group.written
		return t.group.err
	case t.leads:
		return l.sync(t.round)
	}
	<-t.round.done
	return t.round.err
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
	if r.Intent != nil {
		f.intent = place{r.Intent.Epoch, r.Intent.Seq}
	}
	if l.scratch, err = r.AppendTo(l.scratch[:0]); err != nil {
		return t, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	f.payload = bytes.Clone(l.scratch)
	l.turn()
	s, err := l.seg.rows.Begin(ev, r.Epoch, r.Seq)
	if err != nil {
		return t, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	t = l.join(e.Mode != receipt.Buffered)
	t.receipt, t.payload, t.ev = r, f.payload, s
	l.put(&f, s)
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

// join returns a place in the current group and, for what must be durable, in the
// next round. The caller holds mu.
func (l *Ledger) join(durable bool) ticket {
	if l.group == nil {
		l.group = &group{fresh: l.seg.fresh, tail: tail{seg: l.seg.n}, wal: l.spare[0]}
		l.spare[0], l.spare[1], l.seg.fresh = l.spare[1], nil, nil
	}
	g, r := l.group, l.round
	switch {
	case durable && r == nil:
		l.round = &round{n: 1}
		return ticket{group: g, round: l.round, leads: true}
	case durable:
		if r.n++; r.done == nil {
			r.done = make(chan struct{})
		}
	case !g.led:
		g.led = true
		return ticket{group: g, leads: true}
	default:
		if r = nil; g.written == nil {
			g.written = make(chan struct{})
		}
	}
	return ticket{group: g, round: r}
}

// put adds a frame and its evidence to the current group. The caller holds mu.
func (l *Ledger) put(f *frame, ev *receipt.Sealing) {
	g := l.group
	if ev != nil {
		f.evOff, f.evLen = l.seg.evEnd, uint32(ev.Size())
		l.seg.evEnd += uint64(f.evLen)
		g.ev = append(g.ev, ev)
		g.filling.Add(1)
	}
	if l.synced.seg == g.tail.seg {
		f.synced = uint64(l.synced.off)
	}
	if f.typ == typeReceipt && (l.index%markEvery == 0 || f.seq == 1) {
		l.marks = append(l.marks, mark{l.index, place{f.epoch, f.seq}, g.tail.seg, l.seg.end})
	}
	g.wal = f.append(g.wal)
	l.seg.end += f.size()
	g.tail.off = l.seg.end
}

// took counts r, which is in the current group. The caller holds mu.
func (l *Ledger) took(r *receipt.Receipt, payload []byte) {
	l.seq, l.lastMS = r.Seq, r.TimeMS
	l.index++
	l.group.tail.index, l.group.tail.lastMS = l.index, l.lastMS
	if r.Kind == receipt.Outcome {
		delete(l.open, place{r.Intent.Epoch, r.Intent.Seq})
	}
	l.closing = r.Kind == receipt.Boot && r.Note == receipt.NoteClose
	l.unsealed = append(l.unsealed, unsealed{place: place{r.Epoch, r.Seq}, timeMS: r.TimeMS, payload: payload})
	if len(l.unsealed) == 1 {
		l.signal()
	}
}

// commit writes g for its first buffered caller, unless a round has.
func (l *Ledger) commit(g *group) error {
	if g.fresh != nil { // rotate syncs
		l.fmu.Lock()
		defer l.fmu.Unlock()
	}
	l.wmu.Lock()
	defer l.wmu.Unlock()
	return l.writeOut(g)
}

// writeOut takes the current group, or leaves it if it is not only, and writes it.
// The caller holds wmu, and fmu if the group is the first of its segment.
func (l *Ledger) writeOut(only *group) error {
	l.mu.Lock()
	g, err := l.group, l.err
	if only != nil && g != only {
		l.mu.Unlock()
		return only.err
	}
	l.group = nil
	l.mu.Unlock()
	if g == nil {
		return err
	}
	g.filling.Wait()
	if err == nil {
		if err = l.write(g); err != nil { //guard:R59 write-error
			err = l.fail(err)
		}
	}
	g.err = err
	if g.written != nil {
		close(g.written)
	}
	return err
}

// write puts g into the files. The caller holds what writeOut's does.
func (l *Ledger) write(g *group) error {
	if g.fresh != nil {
		if err := l.rotate(g.fresh); err != nil {
			return err
		}
	}
	var err error
	if len(g.ev) > 0 {
		if l.evBuf, err = receipt.AppendSealed(l.evBuf[:0], g.ev); err == nil {
			err = l.files.Evidence.Write(l.evBuf)
		}
	}
	if err == nil {
		err = l.files.Log.Write(g.wal)
	}
	if err != nil {
		return err
	}
	for _, s := range g.ev {
		s.Free()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail, l.spare[0], l.spare[1] = g.tail, g.wal[:0], l.spare[0]
	l.evDirty = l.evDirty || len(g.ev) > 0
	return l.err // a sync that failed meanwhile: nothing is recorded after it
}

// sync writes what waits, and returns when all in r is on the disk. Others write
// during the sync; what they wait for is the round after this one.
func (l *Ledger) sync(r *round) error {
	l.fmu.Lock()
	defer l.fmu.Unlock()
	l.gather(r)
	l.wmu.Lock()
	l.mu.Lock()
	l.round = nil // before the group is taken: who joins r is in this group or an earlier one
	l.mu.Unlock()
	r.err = l.writeOut(nil)
	l.wmu.Unlock()
	if r.err == nil {
		r.err = l.flush()
	}
	if r.done != nil {
		close(r.done)
	}
	return r.err
}

// gather lets others run as long as they join r: those whom the last round woke
// would otherwise stand behind a sync for one.
func (l *Ledger) gather(r *round) {
	for have := 0; ; {
		l.mu.Lock()
		n, stop := r.n, l.err != nil || l.crowded()
		l.mu.Unlock()
		if n == have || stop {
			return
		}
		have = n
		runtime.Gosched()
	}
}

// flush syncs what the kernel has. What is written while it does may be on the
// disk or not. The caller holds fmu.
func (l *Ledger) flush() error {
	l.mu.Lock()
	t, evDirty, err := l.tail, l.evDirty, l.err
	l.evDirty = false
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if err := l.files.Sync(evDirty); err != nil { //guard:R59 sync-error
		return l.fail(err)
	}
	l.mu.Lock()
	l.synced = t
	l.mu.Unlock()
	return nil
}
