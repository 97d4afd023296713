// Package gate is the one place where an operation is decided: the policy in
// force is found, the question is put to it, what the use takes is reserved, and
// the intent is recorded. Only then is there a permit.
//
// A fault at any step is a no.
package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/polog"
	"github.com/writhq/writ/internal/state"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/zone"
)

// ErrGate is wrapped by every error of this package that is not an [op.Denial].
var ErrGate = errors.New("gate")

// ErrPanic is wrapped by the error for a decision whose code panicked. It names the
// kind of the value alone.
var ErrPanic = fmt.Errorf("%w: panic while deciding", ErrGate)

// Laws is the policy log, replayed.
type Laws interface {
	// View calls fn with the zone, which fn does not keep.
	View(fn func(*zone.Zone)) error
	// Fresh returns the newest time, in Unix seconds, at which the log is known to
	// be as it is, and its position then.
	Fresh() (int64, polog.Position, error)
}

// Ledger is where decisions are recorded.
type Ledger interface {
	// Append records one receipt. When it returns nil, the promise of the entry's
	// mode holds; when it returns an error, the receipt may or may not exist.
	Append(ctx context.Context, e ledger.Entry) (ledger.Ref, error)
	// Floor returns the time of the newest durable receipt.
	Floor() time.Time
}

// State is what may not race.
type State interface {
	// Reserve takes all of r or nothing; nil means taken.
	Reserve(r *state.Reservation) *state.Refusal
	// Release gives r back: the use provably was not sent.
	Release(r *state.Reservation)
	// Done marks r as used to the end.
	Done(r *state.Reservation)
}

// Marks is what is known of secrets for ever.
type Marks interface {
	// Released reports whether a version of a secret was given out in the clear.
	Released(key canon.Digest) bool
	// MarkReleased remembers that it is about to be.
	MarkReleased(key canon.Digest)
}

// Config is what a Gate needs. Every field but Region, Build and Resealer is
// required.
type Config struct {
	ID       string
	Group    string
	Region   string
	Laws     Laws
	Ledger   Ledger
	State    State
	Marks    Marks
	Held     func() string // why nothing is decided for now; "" if nothing is in the way
	Build    string
	Resealer *Resealer // nil: a secret under an ancestor's policy does not open
}

// A Gate decides operations. It is safe for concurrent use.
type Gate struct {
	c      Config
	chains chains
	newest atomic.Int64 // Unix seconds; the latest time at which this gate decided
}

// New returns a Gate.
func New(c Config) (*Gate, error) {
	if c.ID == "" || c.Group == "" || c.Laws == nil || c.Ledger == nil || c.State == nil || c.Marks == nil || c.Held == nil {
		return nil, fmt.Errorf("%w: incomplete configuration", ErrGate)
	}
	return &Gate{c: c}, nil
}

// A Request is one operation, asked about before it happens. The holder's proof
// has been verified.
type Request struct {
	At        time.Time // read once by the hall
	Chain     *credential.Chain
	Operation *op.Operation // nil: it could not be mapped, and Denial says why
	Denial    *op.Denial    // found by the gateway while mapping
	Action    string
	Target    string
	Purpose   string
	Level     op.Level
	Lineage   []canon.Digest
	Idem      string        // idempotency key; "" for none
	Replay    canon.Digest  // of the proof; zero where the channel proves
	ReplayEnd int64         // Unix seconds
	Issued    int64         // Unix seconds; when the holder signed; 0 where nothing says so
	Policy    *canon.Digest // the policy the holder signed for; nil for any
	Proof     []byte        // as received, for the evidence
	Bare      bool          // no secret is opened for it
	Session   bool          // it lasts: a connection that the secret was shown on, and that carries on by it
}

// A Permitted is a permit with what the act needs to know. It ends with
// [Gate.Finish], exactly once.
type Permitted struct {
	Permit   *permit.Permit
	Target   policy.Target
	Response policy.Response
	Purpose  string
	Until    time.Time // when the credential, the policy or the root expires

	chain       *credential.Chain
	session     bool
	reservation *state.Reservation
	intent      ledger.Ref
	root        receipt.RootID
	mode        receipt.Mode
	labels      []string
}

// question is a request with the law it is put to.
type question struct {
	r      *Request
	law    law
	chain  *credential.Verified
	q      policy.Question
	answer permit.Decision
}

// law is what the policy log says at one moment.
type law struct {
	policy *policy.Verified
	secret *zone.SecretRecord // of the target; nil if there is none
	log    polog.Position
	until  int64 // Unix seconds
}

// Decide decides r, records the decision, and returns a permit if the answer is
// yes. A denial is an [*op.Denial], and is recorded too; with any other error
// nothing was decided. In both cases there is no permit, and the operation must
// not happen.
//
// The order is: policy in force, evaluation, reservation, record, permit. The
// intent's record keeps the promise of the policy's receipts.mode before Decide
// returns. A panic is an error: what was reserved by then stays reserved. SPEC
// GATE-1, GATE-2, GATE-3, GATE-4.
func (g *Gate) Decide(ctx context.Context, r *Request) (p *Permitted, err error) {
	defer func() {
		if v := recover(); v != nil { //guard:R11 decision-panic
			p, err = nil, fmt.Errorf("%w: %T", ErrPanic, v)
		}
	}()
	q := &question{r: r}
	if d := g.decide(ctx, q); d != nil {
		return nil, g.deny(ctx, q, d, nil)
	}
	res := q.reservation()
	if ref := g.c.State.Reserve(res); ref != nil { //guard:R13 reserve-before-permit
		return nil, g.deny(ctx, q, ref.Denial, ref)
	}
	p, err = g.record(ctx, q, res)
	if errors.Is(err, errMarked) {
		g.c.State.Release(res)
		return nil, g.deny(ctx, q, op.Deny(op.StateUnavailable, "the secret was given out in the clear meanwhile; ask again"), nil)
	}
	if err != nil { //guard:R59 record-before-permit
		g.c.State.Release(res)
		return nil, fmt.Errorf("%w: record intent: %w", ErrGate, err)
	}
	return p, nil
}

// decide answers the question without recording anything.
func (g *Gate) decide(ctx context.Context, q *question) *op.Denial {
	if d := g.resolve(q); d != nil {
		return d
	}
	if q.r.Denial != nil {
		return q.r.Denial
	}
	q.q = policy.Question{
		Subject: q.chain.Grant.Subject, Actor: q.chain.Holder().ID().String(), Depth: len(q.chain.Delegations),
		Action: q.r.Action, Target: q.r.Target, Operation: q.r.Operation, Purpose: q.r.Purpose,
		Level: q.r.Level, Group: g.c.Group, Region: g.c.Region, At: q.r.At.Unix(), Labels: g.labels(q),
	}
	q.answer = permit.Decide(q.law.policy, q.chain, &q.q)
	if !q.answer.Permit { //guard:R3 decision-respected
		return q.answer.Denial
	}
	if q.answer.Secret != "" && !q.r.Bare {
		return g.findSecret(ctx, q)
	}
	return nil
}

// labels returns the labels that q's session and secret have: a secret that was
// given out in the clear is ungoverned. SPEC RELEASE-4.
func (g *Gate) labels(q *question) []string {
	if s := q.law.secret; s != nil && g.c.Marks.Released(state.ReleasedKey(s.Alias, receipt.SecretRef{ID: s.ID, Version: uint64(s.Version)})) {
		return []string{Ungoverned}
	}
	return nil
}

// Ungoverned is the label of a secret that was given out in the clear.
const Ungoverned = "ungoverned"

// resolve finds the policy in force and verifies the credential under it.
func (g *Gate) resolve(q *question) *op.Denial {
	at := q.r.At.Unix()
	if why := g.c.Held(); why != "" { //guard:R29 R50 A34 gate-held
		return &op.Denial{Code: op.StateUnavailable, Reason: why, Next: "ask whoever runs this gate: writ status there says the next command"}
	}
	if g.clockBack(at) { //guard:R31 clock-set-back
		return op.Deny(op.StateUnavailable, "the gate's clock was set back")
	}
	fresh, pos, err := g.c.Laws.Fresh()
	if err != nil {
		return op.Deny(op.PolicyStale, "the policy log does not answer")
	}
	q.law.log = pos
	var d *op.Denial
	err = g.c.Laws.View(func(z *zone.Zone) { d = g.resolveIn(z, q) })
	if err != nil {
		return op.Deny(op.PolicyStale, "the policy log does not answer")
	}
	if d != nil {
		return d
	}
	if at-fresh > q.law.policy.Document().Freshness.MaxStalenessS { //guard:R30 policy-fresh
		return op.Deny(op.PolicyStale, "there is no recent proof that the policy is still in force")
	}
	if q.r.Policy != nil && *q.r.Policy != q.law.policy.ID() { //guard:R5 policy-signed-for
		return op.Deny(op.PolicyChanged, "the holder signed for another version of the policy")
	}
	return nil
}

// clockBack reports whether at is before the newest durable receipt, or before a
// time at which this gate has decided: what had expired must not come back.
func (g *Gate) clockBack(at int64) bool {
	for {
		newest := g.newest.Load()
		if at < max(newest, g.c.Ledger.Floor().Unix())-maxClockBack {
			return true
		}
		if at <= newest || g.newest.CompareAndSwap(newest, at) {
			return false
		}
	}
}

func (g *Gate) resolveIn(z *zone.Zone, q *question) *op.Denial {
	p, v, d := g.standing(z, q.r.Chain, q.r.At.Unix())
	if q.law.policy, q.chain = p, v; d != nil {
		return d
	}
	q.law.until = min(p.Document().Expires, z.Root().Document().Expires, v.Last().Expires)
	if t, ok := p.Document().Target(q.r.Target); ok && t.Secret != "" {
		if s, ok := z.Secret(p.Document().Alias, t.Secret); ok {
			rec := s.Record
			q.law.secret = &rec
		}
	}
	return nil
}

// standing returns the policy in force for c, also with a denial where there is
// one, and c as verified under it.
func (g *Gate) standing(z *zone.Zone, c *credential.Chain, at int64) (*policy.Verified, *credential.Verified, *op.Denial) {
	p, ok := z.InForce(c.Grant.Alias)
	if !ok { //guard:R19 alias-resolves
		return nil, nil, op.Deny(op.PolicyUnknown, "no policy is in force for the credential's alias")
	}
	if z.CheckRoot(at) != nil { //guard:R27 root-in-time
		return p, nil, op.Deny(op.PolicyExpired, "the root has expired; sign a new one")
	}
	if z.Revoked(zone.RevokePolicy, p.ID()) { //guard:R28 policy-revoked
		return p, nil, op.Deny(op.Revoked, "the policy is revoked")
	}
	if b := z.Root().Bars(p.Document().Language); b != "" { //guard:A40 mapper-barred
		return p, nil, op.Deny(op.PolicyExpired, "the root bars "+b+", which the policy is written for; put one for a newer version in force")
	}
	if z.Revoked(zone.RevokeGate, canon.Hash([]byte(g.c.ID))) { //guard:R28 gate-revoked
		return p, nil, op.Deny(op.Revoked, "this gate is revoked")
	}
	v, err := g.chains.verify(c, p, z.Root())
	if err != nil { //guard:R6 chain-verified
		return p, nil, op.Deny(op.CredentialInvalid, err.Error())
	}
	if z.CredentialRevoked(v) { //guard:R28 credential-revoked
		return p, v, op.Deny(op.Revoked, "the credential, or one that it was made from, is revoked")
	}
	return p, v, nil
}

// Holds reports whether the act that p permitted may go on at the time at: its
// policy is in force still, and nothing that it hangs on is revoked; a session also
// hangs on the version of its secret. When it ends by itself, p.Until says. SPEC
// GATE-7.
func (g *Gate) Holds(p *Permitted, at time.Time) bool {
	holds := false
	err := g.c.Laws.View(func(z *zone.Zone) {
		now, _, d := g.standing(z, p.chain, at.Unix())
		if d != nil || now.ID() != p.Permit.Policy { //guard:A13 R28 act-holds
			return
		}
		holds = !p.session || sameVersion(z, p.Permit)
	})
	return err == nil && holds
}

// sameVersion reports whether the secret of a session is still the one that it
// began with.
func sameVersion(z *zone.Zone, p *permit.Permit) bool {
	if p.SecretID == "" {
		return true
	}
	s, ok := z.Secret(p.Alias, p.SecretID)
	return ok && s.Record.State == zone.Active && s.Record.Version == p.Version //guard-true:A6 session-secret
}

// findSecret checks that the secret is active under the policy in force, and has
// it sealed again if it is under an ancestor still.
func (g *Gate) findSecret(ctx context.Context, q *question) *op.Denial {
	s := q.law.secret
	if s == nil || s.State != zone.Active { //guard:R13 secret-active
		return op.Deny(op.SecretUnavailable, "the secret has no active version")
	}
	if s.Policy == q.law.policy.ID() {
		return nil
	}
	if g.c.Resealer == nil {
		return op.Deny(op.SecretUnavailable, "the secret is not sealed under the policy in force")
	}
	rec, err := g.Reseal(ctx, s.Alias, s.ID, q.r.At)
	if err != nil || rec.Policy != q.law.policy.ID() { //guard:R20 A5 sealed-under-policy-in-force
		return op.Deny(op.SecretUnavailable, "the secret could not be sealed under the policy in force")
	}
	q.law.secret = rec
	return nil
}

func (q *question) reservation() *state.Reservation {
	res := &state.Reservation{
		At: q.r.At.Unix(), Replay: q.r.Replay, ReplayEnd: q.r.ReplayEnd, Issued: q.r.Issued, Debits: q.answer.Debits,
	}
	if q.r.Idem != "" {
		res.Operation = q.r.Operation.AskedDigest()
		blocks := q.chain.Blocks()
		last, key := blocks[len(blocks)-1], canon.Hash([]byte(q.r.Idem))
		res.Idem = canon.Sum("writ-idem/1", q.chain.Grant.ID, last[:], key[:]) // A29
		res.IdemEnd = res.At + idemKeep
	}
	return res
}

// newPermit returns the permit for an intent that is recorded.
func (q *question) newPermit(intent ledger.Ref) *permit.Permit {
	p := &permit.Permit{
		Zone: q.law.policy.Zone(), Policy: q.law.policy.ID(), Alias: q.law.policy.Document().Alias,
		Operation: q.r.Operation.Digest(), Target: q.r.Target,
		Intent:  permit.Intent{Epoch: intent.Epoch, Seq: intent.Seq, Digest: intent.Digest},
		Expires: q.r.At.Unix() + permit.MaxLifetime,
	}
	if s := q.secretRef(); s != nil {
		p.SecretID, p.Version, p.Sealed = s.ID, int64(s.Version), s.Blob
	}
	rand.Read(p.Nonce[:])
	return p
}

func (q *question) secretRef() *receipt.SecretRef {
	if q.answer.Secret == "" || q.r.Bare || q.law.secret == nil {
		return nil
	}
	s := q.law.secret
	return &receipt.SecretRef{Blob: s.Sealed, ID: s.ID, Version: uint64(s.Version)}
}
