// Package permit is the answer to one question: may this operation be done with
// this credential under this policy. A yes becomes a [Permit], the only thing
// that custody opens a secret for; a no is an [op.Denial].
//
// The package is pure: no I/O and no clock, so that an auditor can repeat every
// decision.
package permit

import (
	"errors"
	"fmt"
	"slices"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// ErrPermit is wrapped by every error of this package.
var ErrPermit = errors.New("permit")

// A Permit lets custody open one secret once, for one operation. It is a
// capability inside one process, not a signature: it guards against bugs, not
// against a gate that is itself compromised. The zero Permit opens nothing.
// SPEC PERMIT-1.
type Permit struct {
	Zone      canon.Digest
	Policy    canon.Digest
	Alias     string
	SecretID  string       // "" when no secret is needed
	Version   int64        // of the secret
	Sealed    canon.Digest // of the sealed bytes
	Operation canon.Digest
	Target    string
	Intent    Intent
	Nonce     [16]byte
	Expires   int64 // Unix seconds; at most [MaxLifetime] after the decision
}

// An Intent names the receipt that was recorded before the permit was made.
type Intent struct {
	Epoch  uint64
	Seq    uint64
	Digest canon.Digest
}

// A Decision is the answer to one question. The zero Decision says no.
type Decision struct {
	Permit bool
	Ruling policy.Ruling
	Debits []policy.Debit
	Secret string     // id of the secret that the target takes; "" if none
	Denial *op.Denial // nil if and only if Permit
}

// Decide answers q under p for the holder of c: the credential's terms, the
// policy's fields and rules, and the rules of every block must all admit it. It
// is pure and total. Quotas are computed, not counted: whoever keeps the
// counters takes the debits. SPEC PERMIT-2, PERMIT-3.
func Decide(p *policy.Verified, c *credential.Verified, q *policy.Question) Decision {
	if p == nil || p.Document() == nil || c == nil || c.Chain == nil || q == nil { //guard:R11 permit-complete
		return no(op.Deny(op.PolicyUnknown, "the question is incomplete"))
	}
	if c.Grant.Zone != p.Zone() || c.Grant.Alias != p.Document().Alias { //guard:R45 R23 permit-same-line
		return no(op.Deny(op.CredentialInvalid, "the credential is for another line of policies"))
	}
	t, ok := p.Document().Target(q.Target)
	if !ok {
		return no(op.Deny(op.NotDeclared, "the policy has no target of that name"))
	}
	use := credential.Use{At: q.At, Group: q.Group, Purpose: q.Purpose, Secret: t.Secret, Level: q.Level}
	if d := c.Admit(use); d != nil { //guard:R40 permit-terms
		return no(d)
	}
	r := p.Evaluate(q, c.Rules())
	if !r.Permit { //guard:R13 permit-ruling
		return Decision{Ruling: r, Denial: r.Denial}
	}
	d := Decision{Permit: true, Ruling: r, Secret: t.Secret}
	if denial := d.takeDebits(p, c, q); denial != nil {
		return Decision{Ruling: r, Denial: denial}
	}
	return d
}

func no(d *op.Denial) Decision { return Decision{Denial: d} }

// takeDebits computes what d takes from the policy's quotas and the blocks'
// limits, in the order of the counters' keys.
func (d *Decision) takeDebits(p *policy.Verified, c *credential.Verified, q *policy.Question) *op.Denial {
	blocks := c.Blocks()
	scope := policy.Scope{Root: c.Grant.ID, Block: blocks[len(blocks)-1], Subject: c.Grant.Subject, Actor: q.Actor, Secret: d.Secret}
	out, denial := p.Debits(q, d.Ruling.View, scope)
	if denial != nil {
		return denial
	}
	amounts := make(map[string]int64)
	for _, quota := range p.Document().Quotas {
		amounts[quota.ID] = 0 // known, but this action takes nothing from it
	}
	for _, x := range out {
		amounts[x.ID] = x.N
	}
	limits, denial := c.Debits(amounts)
	if denial != nil {
		return denial
	}
	d.Debits = append(out, limits...)
	slices.SortFunc(d.Debits, func(a, b policy.Debit) int { return slices.Compare(a.Key[:], b.Key[:]) })
	return nil
}

// A Context is everything that a decision read besides the policy and the
// operation, as a receipt commits to it. SPEC PERMIT-4.
type Context struct {
	Typ        string   `cbor:"1,keyasint"`
	Credential []byte   `cbor:"2,keyasint"`
	Purpose    string   `cbor:"3,keyasint,omitempty"`
	Level      op.Level `cbor:"4,keyasint"`
	Group      string   `cbor:"5,keyasint"`
	Region     string   `cbor:"6,keyasint,omitempty"`
	At         int64    `cbor:"7,keyasint"` // Unix seconds
	Approvals  []string `cbor:"8,keyasint,omitempty"`
	Lineage    []string `cbor:"9,keyasint,omitempty"`
	Labels     []string `cbor:"10,keyasint,omitempty"`
	Action     string   `cbor:"11,keyasint"`
	Target     string   `cbor:"12,keyasint"`
	Exhausted  string   `cbor:"13,keyasint,omitempty"` // the counter that had no room, for a denial that Decide cannot repeat
	Used       int64    `cbor:"14,keyasint,omitempty"` // what that counter stood at
}

const contextTyp = "writ-context/1"

// NewContext returns the context of a question about chain.
func NewContext(c *credential.Chain, q *policy.Question) *Context {
	return &Context{
		Typ: contextTyp, Credential: c.Bytes(), Purpose: q.Purpose, Level: q.Level, Group: q.Group, Region: q.Region,
		At: q.At, Approvals: q.Approvals, Lineage: q.Lineage, Labels: q.Labels, Action: q.Action, Target: q.Target,
	}
}

// Encode returns the context's bytes.
func (c *Context) Encode() ([]byte, error) { return canon.EncodeCBOR(c) }

// ParseContext returns the context in b, at most [MaxContextBytes].
func ParseContext(b []byte) (*Context, error) {
	if len(b) > MaxContextBytes {
		return nil, fmt.Errorf("%w: context of %d bytes; at most %d", ErrPermit, len(b), MaxContextBytes)
	}
	var c Context
	if err := canon.DecodeCBOR(b, &c); err != nil {
		return nil, fmt.Errorf("%w: context: %w", ErrPermit, err)
	}
	if c.Typ != contextTyp { //guard:R63 context-type
		return nil, fmt.Errorf("%w: context: not %s", ErrPermit, contextTyp)
	}
	if len(c.Credential) == 0 || c.Level < op.Bearer || c.Level > op.Person { //guard:R58 context-complete
		return nil, fmt.Errorf("%w: context: no credential, or no such level of proof", ErrPermit)
	}
	return &c, nil
}

// Question returns the question that the context was of, about operation o.
func (c *Context) Question(v *credential.Chain, o *op.Operation) *policy.Question {
	return &policy.Question{
		Subject: v.Grant.Subject, Actor: v.Holder().ID().String(), Depth: len(v.Delegations),
		Action: c.Action, Target: c.Target, Operation: o, Purpose: c.Purpose, Level: c.Level, Group: c.Group,
		Region: c.Region, At: c.At, Approvals: c.Approvals, Lineage: c.Lineage, Labels: c.Labels,
	}
}
