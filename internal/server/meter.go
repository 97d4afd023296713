package server

import (
	"context"
	"time"

	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/receipt"
)

// An Observer is told of every receipt that the gate appended, and how long it
// took until the receipt's mode held. It is called by many goroutines.
type Observer func(kind receipt.Kind, decision string, took time.Duration)

// metered is a ledger that tells an observer.
type metered struct {
	*ledger.Ledger
	observe Observer // may be nil
}

// Append implements gate.Ledger.
func (m metered) Append(ctx context.Context, e ledger.Entry) (ledger.Ref, error) {
	if m.observe == nil {
		return m.Ledger.Append(ctx, e)
	}
	build, start := e.Build, time.Now()
	var kind receipt.Kind
	var decision string
	e.Build = func(epoch, seq uint64, at time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
		r, ev, err := build(epoch, seq, at)
		if r != nil {
			kind, decision = r.Kind, r.Decision
		}
		return r, ev, err
	}
	ref, err := m.Ledger.Append(ctx, e)
	if err == nil {
		m.observe(kind, decision, time.Since(start))
	}
	return ref, err
}
