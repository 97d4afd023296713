package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/tlog"
)

// unsealed is a receipt that no batch covers yet.
type unsealed struct {
	place
	timeMS  int64
	leaf    tlog.Hash // set if payload is not
	payload []byte
}

// A sealedBatch is a batch with all that its signed receipts need.
type sealedBatch struct {
	epoch, first uint64
	payloads     [][]byte // nil if it was read from the log
	tree         *tlog.Batch
	leaves       []tlog.Hash
	block        []byte
	id           canon.Digest
}

// signal tells the sealer that there is something to seal.
func (l *Ledger) signal() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// seal signs and syncs what was appended, until quit. It sleeps while there is
// nothing to do. SPEC LEDG-8.
func (l *Ledger) seal() {
	timer := time.NewTimer(maxDelay)
	timer.Stop()
	for {
		select {
		case <-l.kick:
		case <-l.quit:
			return
		}
		timer.Reset(maxDelay)
		select {
		case <-timer.C:
		case <-l.quit:
			return
		}
		if err := l.sealAll(); err != nil {
			l.fail(err)
			return
		}
	}
}

// sealAll signs all receipts that are unsealed now, and returns when batches and
// receipts are on the disk.
func (l *Ledger) sealAll() error {
	l.mu.Lock()
	todo := l.unsealed
	l.unsealed = make([]unsealed, 0, len(todo)) // most often as many come again
	l.mu.Unlock()
	var batches []*sealedBatch
	for len(todo) > 0 {
		n := 1
		for n < len(todo) && n < receipt.MaxBatch && todo[n].epoch == todo[0].epoch {
			n++
		}
		b, err := l.sign(todo[:n])
		if err != nil {
			return err
		}
		batches, todo = append(batches, b), todo[n:]
	}
	if len(batches) == 0 {
		return nil
	}
	if err := l.record(batches); err != nil {
		return err
	}
	return l.grow(batches)
}

// sign returns the batch over some receipts of one epoch.
func (l *Ledger) sign(todo []unsealed) (*sealedBatch, error) {
	s := &sealedBatch{epoch: todo[0].epoch, first: todo[0].seq, leaves: make([]tlog.Hash, len(todo))}
	for i, u := range todo {
		s.leaves[i] = u.leaf
		if u.payload != nil {
			s.leaves[i] = tlog.LeafHash(u.payload)
			s.payloads = append(s.payloads, u.payload)
		}
	}
	var err error
	if s.tree, err = tlog.BatchOf(s.leaves); err != nil {
		return nil, fmt.Errorf("seal batch: %w", err)
	}
	b := receipt.Batch{
		Gate: l.cfg.Gate, Epoch: s.epoch, First: s.first, Count: uint64(len(todo)), Root: s.tree.Root(), Prev: l.batch,
		TimeMS: max(l.cfg.Now().UnixMilli(), todo[len(todo)-1].timeMS),
	}
	if s.block, s.id, err = b.Sign(l.cfg.Signer); err != nil {
		return nil, fmt.Errorf("seal batch: %w", err)
	}
	l.batch = s.id
	return s, nil
}

// record writes batches to the log and waits for the disk.
func (l *Ledger) record(batches []*sealedBatch) error {
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return l.err
	}
	l.turn()
	t := l.join(true)
	for _, b := range batches {
		l.put(&frame{typ: typeBatch, epoch: b.epoch, seq: b.first, payload: b.block}, nil)
	}
	t.group.tail.index, t.group.tail.lastMS = l.index, l.lastMS
	l.mu.Unlock()
	return l.settle(&t)
}

// grow adds sealed batches to the tree and tells who waits for them.
func (l *Ledger) grow(batches []*sealedBatch) error {
	l.smu.Lock()
	defer l.smu.Unlock()
	for _, b := range batches {
		for _, leaf := range b.leaves {
			l.tree.Append(leaf)
		}
		if len(b.payloads) == len(b.leaves) {
			l.cache = append(l.cache, b)
			l.cached += len(b.leaves)
		}
	}
	for len(l.cache) > 1 && l.cached > maxCachedReceipts {
		l.cached -= len(l.cache[0].leaves)
		l.cache[0] = nil
		l.cache = l.cache[1:]
	}
	l.mu.Lock()
	l.sealed = l.tree.Size()
	l.rouse()
	l.mu.Unlock()
	return l.extend()
}

// waitSealed returns when the first n receipts of the log are signed and on the
// disk.
func (l *Ledger) waitSealed(ctx context.Context, n uint64) error {
	for {
		l.mu.Lock()
		have, err, wake := l.sealed, l.err, l.wake
		l.mu.Unlock()
		if have < n { //guard:A33 leaves-after-fsync
			if err != nil {
				return err
			}
			select {
			case <-wake:
				continue
			case <-ctx.Done():
				return fmt.Errorf("wait for signature: %w", ctx.Err())
			}
		}
		return nil
	}
}

// Head returns the signed checkpoint of all receipts that were in the log when
// it was called; it waits until they are signed. [Ledger.Tile] has the tiles that
// the checkpoint needs. The newest checkpoint is also in the folder: a log that
// is shorter at the next start is refused. Errors are ctx's or wrap [ErrFailed].
// SPEC LEDG-9.
func (l *Ledger) Head(ctx context.Context) (*tlog.Checkpoint, error) {
	if err := l.waitSealed(ctx, l.Len()); err != nil {
		return nil, err
	}
	if err := l.state(); err != nil {
		return nil, err
	}
	l.smu.Lock()
	defer l.smu.Unlock()
	h := tlog.Head{Origin: l.key.Name(), Size: l.tree.Size(), Root: l.tree.Root(), Time: max(l.cfg.Now().Unix(), l.Floor().Unix())}
	if l.head != nil && l.headAt == h {
		return l.head, nil
	}
	if err := l.publish(h); err != nil {
		return nil, l.fail(err)
	}
	return l.head, nil
}

// publish signs and writes h. The caller holds smu.
func (l *Ledger) publish(h tlog.Head) error {
	c, err := tlog.SignCheckpoint(h, l.key, l.cfg.Signer)
	if err != nil {
		return fmt.Errorf("sign head: %w", err)
	}
	if err := l.disk.Replace(checkpointFile, c.Encode(), true); err != nil {
		return err
	}
	l.head, l.headAt = c, h
	return nil
}
