package gate

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// ResealAction is the action of the receipts of re-seals.
const ResealAction = "writ:reseal"

// A Custodian seals a secret again for one permit; see [custody.Custody].
type Custodian interface {
	// Reseal spends p and returns the secret sealed under the policy in force, with
	// its record.
	Reseal(ctx context.Context, p *permit.Permit) ([]byte, *zone.SecretRecord, error)
}

// A Publisher takes sealed bytes and the record that names them.
type Publisher interface {
	// PutSealed stores sealed bytes durably.
	PutSealed(ctx context.Context, sealed []byte) error
	// Publish appends a signed document to the policy log.
	Publish(ctx context.Context, e *sign.Envelope) (uint64, error)
}

// A Resealer is what a gate needs to seal secrets under a successor policy. All
// fields are required.
type Resealer struct {
	Custodian Custodian
	Publisher Publisher
	Key       sign.Signer // the gate's

	mu     sync.Mutex                   // one re-seal at a time: the second finds the first's work done
	failed map[resealDocument]time.Time // guarded by mu; what did not succeed, and when it was tried
}

// rests reports whether o failed so short a time ago that it is not tried again.
// The caller holds mu.
func (rs *Resealer) rests(o resealDocument, at time.Time) bool {
	last, ok := rs.failed[o]
	return ok && at.Sub(last).Abs() < resealRest
}

// tried remembers whether o succeeded. The caller holds mu.
func (rs *Resealer) tried(o resealDocument, at time.Time, err error) {
	if rs.failed == nil || len(rs.failed) > maxFailed {
		rs.failed = make(map[resealDocument]time.Time)
	}
	if rs.failed[o] = at; err == nil {
		delete(rs.failed, o)
	}
}

// resealDocument is the operation of a re-seal. Source: spec/gate.md.
type resealDocument struct {
	Alias   string       `cbor:"1,keyasint"`
	ID      string       `cbor:"2,keyasint"`
	Version int64        `cbor:"3,keyasint"`
	From    canon.Digest `cbor:"4,keyasint"` // policy
	To      canon.Digest `cbor:"5,keyasint"` // policy
	Sealed  canon.Digest `cbor:"6,keyasint"`
}

// Reseal seals the secret under the policy in force, if it is under an ancestor,
// and returns its record. It is an act with intent, permit and outcome like any
// other. SPEC GATE-6.
func (g *Gate) Reseal(ctx context.Context, alias, id string, at time.Time) (*zone.SecretRecord, error) {
	rs := g.c.Resealer
	if rs == nil {
		return nil, fmt.Errorf("%w: reseal: this gate does not", ErrGate)
	}
	if why := g.c.Held(); why != "" { //guard:R50 reseal-held
		return nil, fmt.Errorf("%w: reseal: %s", ErrGate, why)
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rec, p, err := g.resealable(alias, id)
	if err != nil || rec.Policy == p.ID() {
		return rec, err
	}
	doc := resealDocument{rec.Alias, rec.ID, rec.Version, rec.Policy, p.ID(), rec.Sealed}
	if rs.rests(doc, at) { //guard:R11 reseal-rests
		return nil, fmt.Errorf("%w: reseal: it failed less than %s ago", ErrGate, resealRest)
	}
	again, err := g.reseal(ctx, &resealing{doc, rec, p, at})
	rs.tried(doc, at, err)
	return again, err
}

// resealing is one re-seal: policy takes the place of the one that rec is under.
type resealing struct {
	doc    resealDocument
	rec    *zone.SecretRecord
	policy *policy.Verified
	at     time.Time
}

// reseal carries t out, with its records.
func (g *Gate) reseal(ctx context.Context, t *resealing) (*zone.SecretRecord, error) {
	rec, p := t.rec, t.policy
	r, o, err := g.resealReceipt(rec, p, &t.doc)
	if err != nil {
		return nil, err
	}
	ev := receipt.NewEvidence()
	ev.SetOperation(o)
	if err := ev.Commit(r); err != nil {
		return nil, fmt.Errorf("%w: reseal: %w", ErrGate, err)
	}
	intent, err := g.c.Ledger.Append(ctx, entry(receipt.Durable, r, ev))
	if err != nil {
		return nil, fmt.Errorf("%w: reseal: record: %w", ErrGate, err)
	}
	pm := &permit.Permit{
		Zone: p.Zone(), Policy: p.ID(), Alias: rec.Alias, SecretID: rec.ID, Version: rec.Version, Sealed: rec.Sealed,
		Operation: o.Digest(), Intent: permit.Intent{Epoch: intent.Epoch, Seq: intent.Seq, Digest: intent.Digest},
		Expires: t.at.Unix() + permit.MaxLifetime,
	}
	rand.Read(pm.Nonce[:])
	again, err := g.c.Resealer.perform(ctx, pm)
	out := &receipt.Receipt{
		Kind: receipt.Outcome, Mode: receipt.Durable, Intent: &intent, Policy: p.ID(),
		Outcome: &receipt.Result{Class: receipt.OK},
	}
	if err != nil {
		out.Outcome.Class = receipt.Failed
	}
	if _, ferr := g.c.Ledger.Append(ctx, entry(receipt.Durable, out, nil)); ferr != nil {
		return nil, fmt.Errorf("%w: reseal: record: %w", ErrGate, ferr)
	}
	return again, err
}

// perform seals, stores and publishes.
func (rs *Resealer) perform(ctx context.Context, pm *permit.Permit) (*zone.SecretRecord, error) {
	sealed, rec, err := rs.Custodian.Reseal(ctx, pm)
	if err != nil {
		return nil, fmt.Errorf("%w: reseal: %w", ErrGate, err)
	}
	if err := rs.Publisher.PutSealed(ctx, sealed); err != nil {
		return nil, fmt.Errorf("%w: reseal: %w", ErrGate, err)
	}
	e, err := custody.SignRecord(rec, rs.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: reseal: %w", ErrGate, err)
	}
	if _, err := rs.Publisher.Publish(ctx, e); err != nil {
		return nil, fmt.Errorf("%w: reseal: %w", ErrGate, err)
	}
	return rec, nil
}

func (g *Gate) resealable(alias, id string) (rec *zone.SecretRecord, p *policy.Verified, err error) {
	viewErr := g.c.Laws.View(func(z *zone.Zone) {
		s, ok := z.Secret(alias, id)
		v, ok2 := z.InForce(alias)
		if !ok || !ok2 || s.Record.State != zone.Active {
			err = fmt.Errorf("%w: reseal: %s has no active secret %s", ErrGate, alias, id)
			return
		}
		r := s.Record
		rec, p = &r, v
	})
	if viewErr != nil {
		return nil, nil, fmt.Errorf("%w: reseal: %w", ErrGate, viewErr)
	}
	return rec, p, err
}

func (g *Gate) resealReceipt(rec *zone.SecretRecord, p *policy.Verified, doc *resealDocument) (*receipt.Receipt, *op.Operation, error) {
	asked, err := canon.EncodeCBOR(doc)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: reseal: %w", ErrGate, err)
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	found, err := canon.EncodeCBOR(&op.Facts{Salt: salt})
	if err != nil {
		return nil, nil, fmt.Errorf("%w: reseal: %w", ErrGate, err)
	}
	o := &op.Operation{Type: "writ-reseal/1", Asked: asked, Found: found}
	return &receipt.Receipt{
		Kind: receipt.Intent, Mode: receipt.Durable, Decision: receipt.Permit, Policy: p.ID(), Alias: rec.Alias,
		Version: uint64(p.Document().Version), OpType: o.Type, Action: ResealAction, Build: g.c.Build,
		Secret: &receipt.SecretRef{Blob: rec.Sealed, ID: rec.ID, Version: uint64(rec.Version)},
	}, o, nil
}
