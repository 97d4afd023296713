// Package polog is the policy log of one zone: an append-only Merkle log of
// signed entries, kept in a store, replayed at start into the zone's state.
package polog

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
	"github.com/writhq/writ/zone"
)

// The errors of this package; all wrap [ErrLog].
var (
	ErrLog    = errors.New("policy log")
	ErrFailed = fmt.Errorf("%w: a write failed; restart after repairing the disk", ErrLog)
	// ErrBehind is wrapped by the error for a log that is older than what this gate
	// has decided on: a restored folder.
	ErrBehind = fmt.Errorf("%w: older than the receipts of this gate", ErrLog)
	// ErrHead is wrapped by the error for a head that is not of this log as it is.
	ErrHead = fmt.Errorf("%w: the head is not of this log", ErrLog)
)

// Entries is where a Log keeps its entries.
type Entries interface {
	// Entries calls fn with every entry in order.
	Entries(ctx context.Context, fn func(index uint64, entry []byte) error) error
	// AppendEntry stores an entry durably at the index, which is the number of
	// entries so far. It must fail if the index is taken.
	AppendEntry(ctx context.Context, index uint64, entry []byte) error
}

// Config is what a Log needs. Every field but Signer is required.
type Config struct {
	Entries Entries
	Pin     canon.Digest     // of the genesis root
	Roots   []*sign.Envelope // chain from the genesis on, before the log's own root entries
	Signer  sign.Signer      // the log's key; nil: heads come from elsewhere, and nothing is published here
	Now     func() int64     // Unix seconds
}

// A Log is the policy log and the zone it gives. It is safe for concurrent use.
type Log struct {
	c    Config
	key  tlog.Key
	mu   sync.RWMutex
	zone *zone.Zone       // guarded by mu
	tree *tlog.Tree       // guarded by mu
	head *tlog.Checkpoint // guarded by mu; newest signed
	time int64            // guarded by mu; of head, Unix seconds
	err  error            // guarded by mu; once set, the log answers nothing
}

// Open returns the log after replaying its entries. Entries without authority
// were recorded and change nothing; a log that is out of order gives an error
// that wraps [zone.ErrOrder]. SPEC POLOG-1.
func Open(ctx context.Context, c Config) (*Log, error) {
	if c.Entries == nil || c.Now == nil || c.Pin.IsZero() {
		return nil, fmt.Errorf("%w: open: incomplete configuration", ErrLog)
	}
	z, err := zone.New(c.Pin, c.Roots, c.Now())
	if err != nil {
		return nil, fmt.Errorf("%w: open: %w", ErrLog, err)
	}
	l := &Log{c: c, zone: z, tree: &tlog.Tree{}}
	pl := z.Root().Document().PolicyLog
	if l.key, err = tlog.NewKey(pl.Origin, pl.Key.Bytes()); err != nil {
		return nil, fmt.Errorf("%w: open: %w", ErrLog, err)
	}
	if c.Signer != nil && c.Signer.Public() != pl.Key {
		return nil, fmt.Errorf("%w: open: the key is not the one that the root lists for the policy log", ErrLog)
	}
	err = c.Entries.Entries(ctx, func(_ uint64, b []byte) error {
		if _, err := z.Apply(b); err != nil && !errors.Is(err, zone.ErrRefused) {
			return err
		}
		l.tree.Append(tlog.LeafHash(b))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: open: %w", ErrLog, err)
	}
	return l, nil
}

// Publish appends a signed document if it carries its authority, and returns its
// index. It is in force when Publish returns. Errors wrap [zone.ErrRefused] if
// the document is refused, and then nothing has changed. ctx counts until it is
// written: whoever leaves then does not stop it. SPEC POLOG-2.
func (l *Log) Publish(ctx context.Context, e *sign.Envelope) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	if l.c.Signer == nil {
		return 0, fmt.Errorf("%w: publish: this is a replica; publish at the log itself", ErrLog)
	}
	entry := zone.Entry{LoggedAt: max(l.c.Now(), l.zone.LoggedAt()), Envelope: e}
	b, err := entry.Encode()
	if err != nil {
		return 0, fmt.Errorf("%w: publish: %w", ErrLog, err)
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: publish: %w", ErrLog, err)
	}
	index := l.zone.Size()
	if err := l.zone.Admit(b); err != nil {
		return 0, fmt.Errorf("%w: publish: %w", ErrLog, err)
	}
	ctx = context.WithoutCancel(ctx)                               // who asked may leave; an entry that is half written would end the log
	if err := l.c.Entries.AppendEntry(ctx, index, b); err != nil { //guard:R59 publish-durable
		l.err = fmt.Errorf("%w: %w", ErrFailed, err) // the zone is ahead of the log: trust neither
		return 0, l.err
	}
	l.tree.Append(tlog.LeafHash(b))
	l.head = nil
	return index, nil
}

// View calls fn with the zone, which fn must not keep or change. It gives an
// error if the log has failed.
func (l *Log) View(fn func(*zone.Zone)) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.err != nil {
		return l.err
	}
	fn(l.zone)
	return nil
}

// A Position is where a log stands.
type Position struct {
	Size uint64
	Root canon.Digest
}

// Fresh returns the newest time, in Unix seconds, at which the log is known to
// have been as it is, with its position. A log that signs its own heads is known
// as of now. The caller compares the time with what the policy demands.
// SPEC POLOG-3.
func (l *Log) Fresh() (int64, Position, error) {
	l.mu.RLock()
	if l.current() {
		t, p := l.time, l.position()
		l.mu.RUnlock()
		return t, p, nil
	}
	l.mu.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refresh(); err != nil {
		return 0, Position{}, err
	}
	return l.time, l.position(), nil
}

// current reports whether the newest head is of the log as it is, and not too
// old; l.mu is held.
func (l *Log) current() bool { return l.err == nil && l.head != nil && l.c.Now()-l.time < headEvery }

// refresh signs a new head unless the newest is current; l.mu is held for writing.
func (l *Log) refresh() error {
	if l.err != nil || l.current() {
		return l.err
	}
	return l.sign()
}

func (l *Log) position() Position {
	return Position{l.tree.Size(), canon.Digest(l.tree.Root())}
}

// sign makes a new head if this log can; l.mu is held.
func (l *Log) sign() error {
	if l.c.Signer == nil {
		return nil
	}
	now := l.c.Now()
	if now < l.zone.LoggedAt()-maxSkew { //guard:R31 clock-behind-log
		return fmt.Errorf("%w: the clock is before the newest entry; set it right", ErrLog)
	}
	h := tlog.Head{Origin: l.key.Name(), Size: l.tree.Size(), Root: l.tree.Root(), Time: now}
	c, err := tlog.SignCheckpoint(h, l.key, l.c.Signer)
	if err != nil {
		return fmt.Errorf("%w: sign head: %w", ErrLog, err)
	}
	l.head, l.time = c, now
	return nil
}

// Head returns a signed head of the log as it is when Head returns, never nil
// without an error: a document that is published meanwhile is in it or comes
// after it.
func (l *Log) Head() (*tlog.Checkpoint, error) {
	l.mu.Lock() // from the look at the head until it is handed out: Publish drops it
	defer l.mu.Unlock()
	if err := l.refresh(); err != nil {
		return nil, err
	}
	if l.head == nil {
		return nil, fmt.Errorf("%w: this is a replica, and signs no head; ask the log itself", ErrLog)
	}
	return l.head, nil
}

// Require returns an error that wraps [ErrBehind] unless the log contains the
// position: this gate has decided on it, so a log without it was rolled back.
// SPEC POLOG-4.
func (l *Log) Require(ctx context.Context, p Position) error {
	if p.Size == 0 {
		return nil
	}
	t, found := &tlog.Tree{}, false
	err := l.c.Entries.Entries(ctx, func(i uint64, b []byte) error {
		if t.Size() < p.Size {
			t.Append(tlog.LeafHash(b))
			found = t.Size() == p.Size && canon.Digest(t.Root()) == p.Root
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLog, err)
	}
	if !found { //guard:R29 log-rolled-back
		return fmt.Errorf("%w: %d entries are needed; restore the newest backup", ErrBehind, p.Size)
	}
	return nil
}

// Contains returns nil if the log contains all that the head was signed for. Errors
// wrap [ErrHead] if the head is not signed by the log's key, or of another log:
// one to which documents were published again is another. SPEC POLOG-5.
func (l *Log) Contains(ctx context.Context, c *tlog.Checkpoint) error {
	h, err := c.Verify(l.key)
	if err != nil { //guard:R29 head-signed
		return fmt.Errorf("%w: %w", ErrHead, err)
	}
	err = l.Require(ctx, Position{h.Size, canon.Digest(h.Root)})
	if errors.Is(err, ErrBehind) {
		err = fmt.Errorf("%w: it was signed for %d entries, and they are not those of this log", ErrHead, h.Size)
	}
	return err
}

// Entry calls fn with every entry in order: what an auditor replays.
func (l *Log) Entry(ctx context.Context, fn func(index uint64, entry []byte) error) error {
	return l.c.Entries.Entries(ctx, fn)
}

// Root returns the root in force.
func (l *Log) Root() (r *policy.Root, err error) {
	err = l.View(func(z *zone.Zone) { r = z.Root() })
	return r, err
}
