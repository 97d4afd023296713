package receipt

import (
	"fmt"
	"slices"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
)

// A FaultKind is what is wrong with a log. The zero FaultKind is nothing.
type FaultKind string

// The kinds of faults. SPEC RCPT-11.
const (
	FaultForm       FaultKind = "form"       // bytes that are not a receipt or batch in its one form
	FaultSignature  FaultKind = "signature"  // a batch that the gate's key did not sign
	FaultOwner      FaultKind = "owner"      // another gate's or zone's
	FaultContent    FaultKind = "content"    // a receipt that is not the one signed
	FaultChain      FaultKind = "chain"      // a batch that does not follow the one before
	FaultSequence   FaultKind = "sequence"   // a gap, a repetition, or another order
	FaultBoot       FaultKind = "boot"       // an epoch that does not begin or end as it must
	FaultTime       FaultKind = "time"       // time went back
	FaultPairing    FaultKind = "pairing"    // an outcome without its intent, or a second one
	FaultCheckpoint FaultKind = "checkpoint" // not the log that a checkpoint was given for
	FaultTruncated  FaultKind = "truncated"  // shorter than a checkpoint, or the end is unsigned
	FaultBound      FaultKind = "bound"      // more unsigned receipts or open intents than an auditor holds
)

// A Fault is the first thing wrong with a log. It wraps [ErrVerify].
type Fault struct {
	Kind     FaultKind
	Position uint64 // of the receipt, from 0 at the log's start
	Count    uint64 // the fault is in one of this many receipts from Position on
	Err      error  // may be nil
}

// Error returns the kind and the position.
func (f *Fault) Error() string {
	where := fmt.Sprintf("receipt %d", f.Position)
	if f.Count > 1 {
		where += fmt.Sprintf(" to %d", f.Position+f.Count-1)
	}
	if f.Err == nil {
		return fmt.Sprintf("audit log: %s: %s", where, f.Kind)
	}
	return fmt.Sprintf("audit log: %s: %s: %v", where, f.Kind, f.Err)
}

// Unwrap returns [ErrVerify] and the cause.
func (f *Fault) Unwrap() []error { return []error{ErrVerify, f.Err} }

// An AuditConfig says what a log is audited against.
type AuditConfig struct {
	Key   sign.PublicKey // required: the gate's
	Gate  string         // required
	Zone  canon.Digest   // required
	Heads []tlog.Head    // verified heads of this log that the auditor holds; may be nil
}

// A Report says what a sound log holds. Times are Unix milliseconds.
type Report struct {
	Receipts, Batches, Epochs           uint64
	Intents, Outcomes, Unknown, Denials uint64
	Open                                uint64 // intents without outcome
	Unclean                             uint64 // epochs that did not end cleanly: what came after their last receipt is lost
	FirstMS, LastMS                     int64
	Root                                tlog.Hash
}

// An Auditor checks one gate's log from its beginning, as it is fed the
// receipts and batches in the log's order. It holds the open intents and the
// receipts that no batch covers yet, nothing else. Its first fault is its last:
// every later call returns it. Not safe for concurrent use.
type Auditor struct {
	cfg     AuditConfig
	heads   []tlog.Head // smallest first
	report  Report
	tree    tlog.Tree
	pending []unsigned
	open    map[place]canon.Digest // intents without outcome
	last    Ref
	closed  bool // last is the end of its epoch
	batch   canon.Digest
	failed  *Fault
}

type place struct{ epoch, seq uint64 }

type unsigned struct {
	place
	leaf   tlog.Hash
	timeMS int64
}

// NewAuditor returns an auditor at the beginning of a log. Errors wrap
// [ErrVerify]: a setting is missing.
func NewAuditor(cfg AuditConfig) (*Auditor, error) {
	if cfg.Key.IsZero() || cfg.Gate == "" || cfg.Zone.IsZero() { //guard:R58 auditor-settings
		return nil, fmt.Errorf("%w: audit: want key, gate and zone", ErrVerify)
	}
	a := &Auditor{cfg: cfg, open: make(map[place]canon.Digest), heads: slices.Clone(cfg.Heads)}
	slices.SortFunc(a.heads, func(x, y tlog.Head) int { return int(min(max(int64(x.Size)-int64(y.Size), -1), 1)) })
	return a, a.checkHeads()
}

// fail records the fault at the receipt that is looked at.
func (a *Auditor) fail(k FaultKind, err error) error {
	return a.failAt(k, a.tree.Size(), 1, err)
}

func (a *Auditor) failAt(k FaultKind, position, count uint64, err error) error {
	a.failed = &Fault{k, position, count, err}
	return a.failed
}

// Receipt takes the log's next receipt and returns it; the signature over it
// comes with a later batch. The error is a [*Fault]. SPEC RCPT-10.
func (a *Auditor) Receipt(payload []byte) (*Receipt, error) {
	if a.failed != nil {
		return nil, a.failed
	}
	r, err := Parse(payload)
	if err != nil {
		return nil, a.fail(FaultForm, err)
	}
	if r.Gate != a.cfg.Gate || r.Zone != a.cfg.Zone { //guard:R57 audit-owner
		return nil, a.fail(FaultOwner, nil)
	}
	if err := a.order(r); err != nil {
		return nil, err
	}
	id := ID(payload)
	if err := a.pair(r, id); err != nil {
		return nil, err
	}
	if len(a.pending) >= maxPending || len(a.open) >= maxOpenIntents {
		return nil, a.fail(FaultBound, nil)
	}
	leaf := tlog.LeafHash(payload)
	a.pending = append(a.pending, unsigned{place{r.Epoch, r.Seq}, leaf, r.TimeMS})
	a.last, a.closed = Ref{r.Epoch, r.Seq, id}, r.Kind == Boot && r.Note == NoteClose
	a.count(r)
	a.tree.Append(leaf)
	a.tree.TakeFull() // the tiles are not wanted
	return r, a.checkHeads()
}

// order checks epoch, sequence and time.
func (a *Auditor) order(r *Receipt) error {
	switch {
	case r.TimeMS < a.report.LastMS: //guard:A30 audit-time
		return a.fail(FaultTime, nil)
	case r.Epoch == a.last.Epoch:
		if r.Seq != a.last.Seq+1 { //guard:R57 audit-sequence
			return a.fail(FaultSequence, nil)
		}
		if a.closed || r.Boot != nil { //guard:R57 audit-boot-inside
			return a.fail(FaultBoot, nil)
		}
		return nil
	case r.Epoch < a.last.Epoch || r.Seq != 1: //guard:R57 audit-epoch
		return a.fail(FaultSequence, nil)
	}
	return a.boot(r)
}

// boot checks the first receipt of an epoch: it must say how the one before it
// ended, and name its last receipt.
func (a *Auditor) boot(r *Receipt) error {
	b, first := r.Boot, a.tree.Size() == 0
	if b == nil || first != (b.Last == nil) { //guard:A33 audit-boot
		return a.fail(FaultBoot, nil)
	}
	if !first && (*b.Last != a.last || b.Clean != a.closed) { //guard:A33 audit-boot-last
		return a.fail(FaultBoot, nil)
	}
	a.report.Epochs++
	if !b.Clean {
		a.report.Unclean++
	}
	return nil
}

// pair checks an outcome against its intent.
func (a *Auditor) pair(r *Receipt, id canon.Digest) error {
	switch r.Kind {
	case Intent:
		a.open[place{r.Epoch, r.Seq}] = id
	case Outcome:
		at := place{r.Intent.Epoch, r.Intent.Seq}
		if d, ok := a.open[at]; !ok || d != r.Intent.Digest { //guard:R56 audit-pairing
			return a.fail(FaultPairing, nil)
		}
		delete(a.open, at)
	}
	return nil
}

func (a *Auditor) count(r *Receipt) {
	p := &a.report
	p.Receipts++
	if p.FirstMS == 0 {
		p.FirstMS = r.TimeMS
	}
	p.LastMS = r.TimeMS
	switch r.Kind {
	case Intent:
		p.Intents++
	case Denial:
		p.Denials++
	case Outcome:
		p.Outcomes++
		if r.Outcome.Class == Unknown {
			p.Unknown++
		}
	}
}

// checkHeads compares the tree with the heads of its size.
func (a *Auditor) checkHeads() error {
	for len(a.heads) > 0 && a.heads[0].Size == a.tree.Size() {
		if a.heads[0].Root != a.tree.Root() { //guard:R57 audit-checkpoint
			a.failed = &Fault{FaultCheckpoint, 0, a.tree.Size(), nil}
			return a.failed
		}
		a.heads = a.heads[1:]
	}
	return nil
}

// Batch takes the log's next batch, which covers the oldest receipts that no
// batch covers yet. leaves, which may be nil and are not trusted, are the leaf
// hashes that the log kept: with them a changed receipt is found exactly. The
// error is a [*Fault]. SPEC RCPT-10.
func (a *Auditor) Batch(block []byte, leaves []tlog.Hash) error {
	if a.failed != nil {
		return a.failed
	}
	first := a.tree.Size() - uint64(len(a.pending))
	b, id, err := VerifyBatch(a.cfg.Key, block)
	if err != nil {
		return a.failAt(FaultSignature, first, max(1, uint64(len(a.pending))), err)
	}
	if b.Gate != a.cfg.Gate { //guard:R57 audit-batch-owner
		return a.failAt(FaultOwner, first, b.Count, nil)
	}
	if b.Prev != a.batch { //guard:R57 audit-batch-chain
		return a.failAt(FaultChain, first, b.Count, nil)
	}
	if b.Count > uint64(len(a.pending)) { //guard:R57 audit-batch-count
		return a.failAt(FaultSequence, a.tree.Size(), 1, nil)
	}
	covered := a.pending[:b.Count]
	if err := a.cover(b, covered, leaves); err != nil {
		return err
	}
	a.pending = append(a.pending[:0], a.pending[b.Count:]...)
	a.batch = id
	a.report.Batches++
	return nil
}

// cover checks that b is over the receipts in covered.
func (a *Auditor) cover(b *Batch, covered []unsigned, leaves []tlog.Hash) error {
	first := a.tree.Size() - uint64(len(a.pending))
	tail := covered[len(covered)-1]
	if covered[0].place != (place{b.Epoch, b.First}) || tail.epoch != b.Epoch { //guard:R57 audit-batch-place
		return a.failAt(FaultSequence, first, b.Count, nil)
	}
	if tail.timeMS > b.TimeMS { //guard:A30 audit-batch-time
		return a.failAt(FaultTime, first, b.Count, nil)
	}
	have := make([]tlog.Hash, len(covered))
	for i, u := range covered {
		have[i] = u.leaf
	}
	tree, err := tlog.BatchOf(have)
	if err != nil {
		return a.failAt(FaultForm, first, b.Count, err)
	}
	if tree.Root() != b.Root { //guard:R57 audit-batch-root
		if i := differs(have, leaves, b.Root); i >= 0 {
			return a.failAt(FaultContent, first+uint64(i), 1, nil)
		}
		return a.failAt(FaultContent, first, b.Count, nil)
	}
	return nil
}

// differs returns the first place at which have is not leaves, if leaves are
// those under root, and otherwise -1.
func differs(have, leaves []tlog.Hash, root tlog.Hash) int {
	if len(leaves) != len(have) {
		return -1
	}
	if t, err := tlog.BatchOf(leaves); err != nil || t.Root() != root {
		return -1
	}
	for i := range have {
		if have[i] != leaves[i] {
			return i
		}
	}
	return -1
}

// Finish ends the audit and returns what the log holds. Receipts without a
// signature are a fault, and so is a head of a longer log. The error is a
// [*Fault]. SPEC RCPT-10.
func (a *Auditor) Finish() (*Report, error) {
	if a.failed != nil {
		return nil, a.failed
	}
	if n := uint64(len(a.pending)); n > 0 { //guard:R57 audit-unsigned-end
		return nil, a.failAt(FaultTruncated, a.tree.Size()-n, n, nil)
	}
	if len(a.heads) > 0 { //guard:R57 audit-truncated
		return nil, a.failAt(FaultTruncated, a.tree.Size(), a.heads[0].Size-a.tree.Size(), nil)
	}
	a.report.Open = uint64(len(a.open))
	a.report.Root = a.tree.Root()
	r := a.report
	return &r, nil
}
