package server

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/receipt"
)

// tallies counts refusals of those who could not be told apart: one signed
// receipt a second at most, so that strangers cannot fill the ledger.
type tallies struct {
	mu   sync.Mutex
	all  map[op.Code]uint64 // guarded by mu
	due  uint64             // guarded by mu; not yet recorded
	kick chan struct{}      // guarded by mu until run has it
}

func (t *tallies) add(c op.Code) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[op.Code]uint64)
	}
	t.all[c]++
	t.due++
	if t.kick != nil {
		select {
		case t.kick <- struct{}{}:
		default:
		}
	}
}

func (t *tallies) total() map[op.Code]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.all)
}

// run records what is due, at most once a second, until ctx ends; then it
// records the rest.
func (t *tallies) run(ctx context.Context, l *ledger.Ledger) {
	kick := make(chan struct{}, 1)
	t.mu.Lock()
	t.kick = kick
	t.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			t.record(ctx, l)
			return
		case <-kick:
		}
		t.record(ctx, l)
		select {
		case <-ctx.Done():
		case <-time.After(tallyEvery):
		}
	}
}

func (t *tallies) record(ctx context.Context, l *ledger.Ledger) {
	t.mu.Lock()
	n := t.due
	t.due = 0
	t.mu.Unlock()
	if n == 0 {
		return
	}
	_, err := l.Append(context.WithoutCancel(ctx), ledger.Entry{Mode: receipt.Buffered, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
		return &receipt.Receipt{Kind: receipt.Tally, Mode: receipt.Buffered, Count: n, Note: "refused before the holder was known"}, nil, nil
	}})
	if err != nil {
		t.mu.Lock()
		t.due += n // for the next try
		t.mu.Unlock()
	}
}
