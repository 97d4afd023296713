package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/state"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/release"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// record writes the intent and returns the permit that names it.
func (g *Gate) record(ctx context.Context, q *question, res *state.Reservation) (*Permitted, error) {
	mode := receipt.Mode(q.law.policy.Document().Receipts.Mode)
	if hard(res) {
		mode = receipt.Durable // A33: a power loss must not refill it
	}
	r, ev, err := g.receipt(q, receipt.Permit)
	if err != nil {
		return nil, err
	}
	r.Kind, r.Mode = receipt.Intent, mode
	r.Debits, r.Replay, r.ReplayEnd = state.ReceiptDebits(res.Debits), res.Replay, res.ReplayEnd
	r.Secret, r.Labels = q.secretRef(), q.q.Labels
	if !res.Idem.IsZero() {
		r.Idem = &receipt.IdempotencyHold{Scope: res.Idem, End: res.IdemEnd}
	}
	ref, err := g.c.Ledger.Append(ctx, g.marked(entry(mode, r, ev), r))
	if err != nil {
		return nil, err
	}
	p := &Permitted{
		Permit: q.newPermit(ref), Purpose: q.r.Purpose, Until: time.Unix(q.law.until, 0), chain: q.r.Chain, session: q.r.Session,
		reservation: res, intent: ref, root: r.Root, mode: mode, labels: r.Labels,
	}
	if t, ok := q.law.policy.Document().Target(q.r.Target); ok {
		p.Target = *t
	}
	if o, ok := q.law.policy.Document().Operation(q.r.Action, q.r.Target); ok && o.Response != nil {
		p.Response = *o.Response
	}
	return p, nil
}

// errMarked is the error for a use that was decided before its secret was given
// out in the clear, and would be recorded after.
var errMarked = fmt.Errorf("%w: the secret was given out meanwhile", ErrGate)

// marked returns e with the label that its secret has at the moment of the record:
// the ledger's order is the order of releases and uses. SPEC RELEASE-4.
func (g *Gate) marked(e ledger.Entry, r *receipt.Receipt) ledger.Entry {
	if r.Secret == nil {
		return e
	}
	key, build := state.ReleasedKey(r.Alias, *r.Secret), e.Build
	e.Build = func(epoch, seq uint64, at time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
		if r.OpType == release.DocumentType { //guard:R61 release-marked
			r.Labels = []string{Ungoverned}
			g.c.Marks.MarkReleased(key)
		} else if g.c.Marks.Released(key) && len(r.Labels) == 0 { //guard:R61 use-after-release
			return nil, nil, errMarked
		}
		return build(epoch, seq, at)
	}
	return e
}

// hard reports whether r takes something that must survive a power loss.
func hard(r *state.Reservation) bool {
	for _, d := range r.Debits {
		if d.Hard {
			return true
		}
	}
	return !r.Idem.IsZero()
}

func entry(mode receipt.Mode, r *receipt.Receipt, ev *receipt.Evidence) ledger.Entry {
	return ledger.Entry{Mode: mode, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
		return r, ev, nil
	}}
}

// receipt returns what an intent and a denial have in common.
func (g *Gate) receipt(q *question, decision string) (*receipt.Receipt, *receipt.Evidence, error) {
	c := q.r.Chain
	r := &receipt.Receipt{
		Decision: decision, Root: receipt.RootID(c.Grant.ID), Blocks: c.Blocks(), Action: q.r.Action,
		Purpose: q.r.Purpose, Lineage: q.r.Lineage, Level: q.r.Level, Build: g.c.Build, Target: q.r.Target,
		Subject: c.Grant.Subject, Alias: c.Grant.Alias,
	}
	if p := q.law.policy; p != nil {
		r.Policy, r.Version = p.ID(), uint64(p.Document().Version)
	}
	if q.law.log.Size > 0 {
		r.PolicyLog = &receipt.LogState{Size: q.law.log.Size, Root: q.law.log.Root}
	}
	for _, l := range q.answer.Ruling.Layers {
		r.Rules = append(r.Rules, append([]string{}, l.Rules...)) // a layer without deciding rule is empty, not absent
		r.Controls = append(r.Controls, l.Controls...)
	}
	ev := receipt.NewEvidence()
	if o := q.r.Operation; o != nil {
		r.OpType = o.Type
		ev.SetOperation(o)
	}
	ev.Proof = q.r.Proof
	var err error
	if ev.Context, err = g.context(q).Encode(); err != nil {
		return nil, nil, err
	}
	return r, ev, ev.Commit(r)
}

// context returns everything that evaluation read.
func (g *Gate) context(q *question) *permit.Context {
	asked := q.q
	if asked.Action == "" { // not put to the law
		asked = policy.Question{
			Action: q.r.Action, Target: q.r.Target, Purpose: q.r.Purpose, Level: q.r.Level,
			Group: g.c.Group, Region: g.c.Region, At: q.r.At.Unix(),
		}
	}
	return permit.NewContext(q.r.Chain, &asked)
}

// deny records the denial and returns it with its receipt's id. If it cannot be
// recorded, the answer is an error, and no just the same.
func (g *Gate) deny(ctx context.Context, q *question, d *op.Denial, ref *state.Refusal) error {
	r, ev, err := g.receipt(q, string(d.Code))
	if err == nil && ref != nil && ref.Debit != nil {
		c := g.context(q)
		c.Exhausted, c.Used = ref.Debit.ID, ref.Used
		if ev.Context, err = c.Encode(); err == nil {
			err = ev.Commit(r)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: record denial: %w", ErrGate, err)
	}
	r.Kind, r.Mode, r.Note = receipt.Denial, receipt.Buffered, d.Rule
	recorded, err := g.c.Ledger.Append(ctx, entry(receipt.Buffered, r, ev))
	if err != nil {
		return fmt.Errorf("%w: record denial: %w", ErrGate, err)
	}
	out := *d
	if out.Receipt = recorded.Digest; out.Next == "" {
		out.Next = d.Code.Advice()
	}
	return &out
}

// An Outcome is what became of a permitted act.
type Outcome struct {
	Class    receipt.Class
	Status   int // in the protocol's own numbers
	Sent     uint64
	Received uint64
	Note     string // such as why it was stopped
}

// Finish records what became of p and returns the id of the receipt. What
// provably was not sent is given back; what cannot be known counts as done.
// SPEC GATE-5.
func (g *Gate) Finish(ctx context.Context, p *Permitted, o Outcome) (ledger.Ref, error) {
	r := &receipt.Receipt{
		Kind: receipt.Outcome, Mode: p.mode, Root: p.root, Note: o.Note, Intent: &p.intent, Policy: p.Permit.Policy, Labels: p.labels,
		Outcome: &receipt.Result{Class: o.Class, Status: o.Status, Sent: o.Sent, Received: o.Received},
	}
	mode := receipt.Buffered // the act is done: nothing waits for this to be durable
	if o.Class == receipt.NotSent {
		r.Debits = state.ReceiptDebits(p.reservation.Debits)
		if !p.reservation.Idem.IsZero() {
			r.Idem = &receipt.IdempotencyHold{Scope: p.reservation.Idem, End: p.reservation.IdemEnd}
		}
		mode = p.mode
	}
	r.Mode = mode
	ref, err := g.c.Ledger.Append(ctx, entry(mode, r, nil))
	if err != nil {
		return ledger.Ref{}, fmt.Errorf("%w: record outcome: %w", ErrGate, err)
	}
	if o.Class == receipt.NotSent {
		g.c.State.Release(p.reservation)
	} else {
		g.c.State.Done(p.reservation)
	}
	return ref, nil
}
