// Package ledger is a gate's own log of receipts: what is in it happened, and
// nothing happens that is not in it. It is the authority; the tile tree, the
// checkpoints and every state are made from it.
//
// # What is on the disk
//
// Segments of three files each: NNNNNNNN.wal, frames of receipts and signed
// batches; NNNNNNNN.evd, encrypted evidence; NNNNNNNN.key, the key of that
// evidence, wrapped, which can be deleted to erase it. Beside them lock,
// checkpoint, and tree.N, the hashes of a level of tiles, made from the log again
// when they are missing or wrong. One boot writes segments, and never another's.
//
// # What happens at every crash point
//
//   - Before a frame is whole on the disk: the receipt does not exist. Nobody was
//     told of it, so nothing was done. The torn tail is cut off at the next start.
//   - After that, before its writer was told: the receipt exists. An intent gets
//     the outcome unknown at the next start.
//   - Before the batch is on the disk: the receipts are signed at the next start.
//     No signed receipt of that batch had left.
//   - Between any two steps of making a segment: a file without whole header, or
//     without log file, is removed or written over at the next start.
//   - A buffered receipt survives the death of the process, not that of the
//     machine; then the next boot receipt says after which receipt the gap is.
//
// After any error of a write or fsync nothing is known of the file's end: the
// ledger is failed, each later Append says so, and only a new Open, which reads
// what is really there, ends that.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger/disk"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
)

// The errors of this package; all wrap [ErrLedger].
var (
	ErrLedger   = errors.New("ledger")
	ErrConfig   = fmt.Errorf("%w: bad configuration", ErrLedger)
	ErrLocked   = fmt.Errorf("%w: locked", ErrLedger)
	ErrForeign  = fmt.Errorf("%w: the folder is another gate's or zone's", ErrLedger)
	ErrCorrupt  = fmt.Errorf("%w: the log is damaged", ErrLedger)
	ErrFailed   = fmt.Errorf("%w: failed, and must be opened again", ErrLedger)
	ErrClosed   = fmt.Errorf("%w: closed", ErrLedger)
	ErrEntry    = fmt.Errorf("%w: entry refused", ErrLedger)
	ErrNoIntent = fmt.Errorf("%w: no such intent is open", ErrEntry)
	ErrUnknown  = fmt.Errorf("%w: no such receipt", ErrLedger)
	ErrErased   = fmt.Errorf("%w: the evidence is gone", ErrLedger)
)

// A Config says where a ledger is and whose. All fields are required but where
// it says otherwise.
type Config struct {
	Dir      string           // made with mode 0700 if it is not there; nothing is written outside it
	Gate     string           // the gate's id: at most 128 bytes, no spaces, control characters or '+'
	Zone     canon.Digest     // of the genesis root
	Signer   sign.Signer      // the gate's key, Ed25519
	Evidence secret.Bytes     // 32 bytes; wraps the key of each segment's evidence
	Now      func() time.Time // the gate's clock
	Log      *slog.Logger     // default: none
	Segment  int64            // bytes at which a log file is closed; default 64 MiB
	Faults   func(Call) error // for tests: makes each change, or fails it; default: makes it
}

// A Call is one change that the ledger is about to make in its folder.
type Call = disk.Call

// A Ref names one receipt of this ledger.
type Ref = receipt.Ref

// A Ledger is an open log. It is safe for concurrent use.
type Ledger struct {
	cfg    Config
	disk   disk.Disk
	log    *slog.Logger
	lock   *os.File
	key    tlog.Key
	keys   *receipt.KeyWrap
	wg     sync.WaitGroup
	kick   chan struct{} // to the sealer: there is something to seal; one slot
	quit   chan struct{} // closed by Close
	closer sync.Once
	epoch  uint64 // of this boot; fixed by Open

	mu       sync.Mutex
	err      error                // guarded by mu: why the ledger is failed or closed
	group    *group               // guarded by mu: where the next receipt goes; nil if there is none
	round    *round               // guarded by mu: the next sync; nil if nobody waits for it
	seg      segment              // guarded by mu: where the next group goes
	seq      uint64               // guarded by mu: of the newest receipt
	index    uint64               // guarded by mu: receipts in the log, queued ones too
	lastMS   int64                // guarded by mu: the newest receipt's time
	tail     tail                 // guarded by mu: of what the kernel has
	synced   tail                 // guarded by mu: of what the disk has
	evDirty  bool                 // guarded by mu: the kernel has evidence that no sync was begun for
	marks    []mark               // guarded by mu: index of the log, ascending
	open     map[place]openIntent // guarded by mu
	unsealed []unsealed           // guarded by mu: in the log's order
	sealed   uint64               // guarded by mu: receipts that are signed and on the disk
	spare    [2][]byte            // guarded by mu: buffers for the next groups
	scratch  []byte               // guarded by mu: a buffer for a payload
	wake     chan struct{}        // guarded by mu: closed and replaced when sealed grows or the ledger fails
	closing  bool                 // guarded by mu: the closing receipt is queued, and nothing may follow it
	before   uint64               // receipts of earlier epochs; fixed by Open
	first    uint64               // oldest segment; fixed by Open

	fmu   sync.Mutex // held by who syncs; taken before wmu and mu
	wmu   sync.Mutex // held by who writes; taken before mu
	files disk.Pair  // guarded by fmu and wmu: either to read, both to change
	evBuf []byte     // guarded by wmu: a buffer for the evidence of a group

	smu    sync.Mutex       // taken before fmu, wmu and mu
	tree   tlog.Tree        // guarded by smu: over the sealed receipts
	levels []*disk.Mirror   // guarded by smu: of the tree, lowest first
	cache  []*sealedBatch   // guarded by smu: newest batches, oldest first
	cached int              // guarded by smu: receipts in cache
	head   *tlog.Checkpoint // guarded by smu: the newest that was given out
	headAt tlog.Head        // guarded by smu: what head says

	batch canon.Digest // the newest batch; only Open and the sealer touch it
}

type openIntent struct {
	digest  canon.Digest
	receipt *receipt.Receipt
}

// A mark says where a receipt stands.
type mark struct {
	index uint64
	place place
	seg   uint64
	off   int64
}

// A tail says how far a log goes.
type tail struct {
	seg    uint64
	off    int64  // bytes in seg
	index  uint64 // receipts
	lastMS int64  // the newest receipt's time
}

func (c *Config) check() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrConfig, what) }
	switch {
	case c.Dir == "":
		return bad("no folder")
	case c.Gate == "" || len(c.Gate) > maxGateBytes:
		return bad("gate's id is empty or too long")
	case c.Zone.IsZero():
		return bad("no zone")
	case c.Signer == nil || c.Signer.Public().Algorithm() != sign.Ed25519:
		return bad("the gate's key is not Ed25519")
	case c.Now == nil:
		return bad("no clock")
	case c.Segment < 0:
		return bad("segment size")
	}
	return c.Evidence.Use(func(b []byte) error {
		if len(b) != 32 {
			return bad("the evidence key is not 32 bytes")
		}
		return nil
	})
}

// Open returns the ledger in cfg.Dir, after it has brought the log in order.
//
// It reads all of the log, cuts off a torn tail, begins a new boot epoch with a
// receipt that says how the one before ended, writes the outcome unknown for
// each intent without outcome, and signs what is unsigned within 10 ms. The new
// receipts are on the disk when it returns. Errors wrap [ErrConfig],
// [ErrLocked], [ErrForeign], or [ErrCorrupt] for damage that no crash explains.
// ctx ends the reading only. SPEC LEDG-1, LEDG-4, LEDG-5.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Segment == 0 {
		cfg.Segment = defaultSegmentBytes
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	key, err := receipt.LogKey(cfg.Gate, cfg.Signer.Public())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	l := &Ledger{
		cfg: cfg, log: cfg.Log, key: key,
		disk: disk.Disk{Dir: strings.TrimSuffix(cfg.Dir, "/"), Faults: cfg.Faults},
		kick: make(chan struct{}, 1), quit: make(chan struct{}), wake: make(chan struct{}),
		open: make(map[place]openIntent),
	}
	err = cfg.Evidence.Use(func(b []byte) error {
		l.keys, err = receipt.NewKeyWrap(b, cfg.Gate, cfg.Zone)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := l.disk.Mkdir("."); err != nil {
		return nil, fmt.Errorf("%w: open: %w", ErrLedger, err)
	}
	if l.lock, err = l.disk.Lock(); errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("%w: another process has %s open", ErrLocked, cfg.Dir)
	} else if err != nil {
		return nil, fmt.Errorf("%w: open: %w", ErrLedger, err)
	}
	if err := l.recover(ctx); err != nil {
		l.release()
		return nil, err
	}
	l.wg.Go(l.seal)
	l.signal()
	return l, nil
}

// release closes all files, and with the lock's gives up the folder.
func (l *Ledger) release() {
	l.files.Close()
	for _, f := range l.levels {
		f.Close()
	}
	disk.Unlock(l.lock)
}

// fail records the first error of a write; from then on nothing is written.
func (l *Ledger) fail(err error) error {
	l.mu.Lock()
	if l.err == nil {
		l.err = fmt.Errorf("%w: %w", ErrFailed, err)
		l.rouse()
		l.log.Error("ledger failed: nothing more is recorded until it is opened again", "err", err)
	}
	err = l.err
	l.mu.Unlock()
	return err
}

// rouse wakes all that wait for a seal. The caller holds mu.
func (l *Ledger) rouse() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// state returns why nothing can be written, or nil.
func (l *Ledger) state() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Healthy reports whether the ledger can record. Once false, it stays false.
func (l *Ledger) Healthy() bool { return l.state() == nil }

// Epoch returns the boot epoch that Open began.
func (l *Ledger) Epoch() uint64 { return l.epoch }

// Floor returns the time of the newest receipt that is on the disk: no gate's
// clock may stand before it.
func (l *Ledger) Floor() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.UnixMilli(l.synced.lastMS).UTC()
}

// Len returns the number of receipts in the log, of all epochs.
func (l *Ledger) Len() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tail.index
}

// OpenIntent returns the intent that ref names, if it is in the log and has no
// outcome. The caller must not change it. It reads memory only. SPEC LEDG-6.
func (l *Ledger) OpenIntent(ref Ref) (*receipt.Receipt, bool) {
	l.mu.Lock()
	o, ok := l.open[place{ref.Epoch, ref.Seq}]
	l.mu.Unlock()
	if !ok || o.digest != ref.Digest { //guard:A3 open-intent-digest
		return nil, false
	}
	return o.receipt, true
}

// Close ends the epoch with its closing receipt, waits until all is signed and
// on the disk, and gives up the folder. Who holds an intent should finish it
// first. It returns why the ledger was failed, if it was. A second call does
// nothing.
func (l *Ledger) Close() error {
	err := ErrClosed
	l.closer.Do(func() { err = l.close() })
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

func (l *Ledger) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), maxCloseWait)
	defer cancel()
	_, err := l.add(ctx, plain(&receipt.Receipt{Kind: receipt.Boot, Note: receipt.NoteClose}), true)
	if err == nil {
		_, err = l.Head(ctx)
	}
	l.mu.Lock()
	if l.err == nil {
		l.err = ErrClosed
	}
	l.mu.Unlock()
	close(l.quit)
	l.wg.Wait()
	l.smu.Lock()
	defer l.smu.Unlock()
	l.fmu.Lock() // waits for a sync in progress
	defer l.fmu.Unlock()
	l.wmu.Lock() // and for a write
	defer l.wmu.Unlock()
	l.release()
	return err
}
