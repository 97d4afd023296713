package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy/law"
)

// UsesID is the id of the limit on the number of uses that a credential's
// blocks may carry; no quota may have it.
const UsesID = "uses"

// A Question is one operation with all that is known about it.
type Question = law.Question

// A Layer is what one set of rules says.
type Layer = law.Layer

// A Ruling is what a policy and the rules of every block say of a Question. The
// zero Ruling says no.
type Ruling struct {
	Permit bool
	Layers []Layer // the policy's first
	View   *op.View
	Denial *op.Denial // nil if and only if Permit
}

func deny(c op.Code, format string, args ...any) *op.Denial {
	return op.Deny(c, fmt.Sprintf(format, args...))
}

// Evaluate rules on q under v and the rules of each block.
//
// It is total and pure: the same arguments give the same Ruling, and whatever
// it cannot make sense of it denies. The answer is yes only if the policy's
// structured fields admit the operation, and the policy's rules and every
// block's permit it without a single evaluation error: Cedar skips a forbid
// that errs. SPEC POLICY-8, POLICY-9, POLICY-10.
func (v *Verified) Evaluate(q *Question, blocks []*Rules) Ruling {
	if v == nil || v.law == nil { //guard:R11 zero-policy-denies
		return Ruling{Denial: deny(op.PolicyUnknown, "there is no policy to decide by")}
	}
	if q == nil || q.Operation == nil {
		return Ruling{Denial: deny(op.OperationInvalid, "there is no operation")}
	}
	decl, d := v.admit(q)
	if d != nil {
		return Ruling{Denial: d}
	}
	m, _ := mapper(decl.Type)
	view, err := m.View(q.Operation, &decl.Declaration)
	if err != nil { //guard:R15 view-declared
		return Ruling{Denial: deny(op.NotDeclared, "%s", err)}
	}
	if view.Action != q.Action || view.Target != q.Target { //guard:R5 view-agrees
		return Ruling{Denial: deny(op.OperationInvalid, "the document is of another action or target than the request")}
	}
	layers, err := v.law.Evaluate(q, view, blocks)
	if err != nil {
		return Ruling{Denial: deny(op.OperationInvalid, "%s", err)}
	}
	r := Ruling{View: view, Permit: true, Layers: layers}
	for i, l := range layers {
		if !l.Permit && r.Denial == nil { //guard:R10 R40 every-layer-permits
			r.Permit, r.Denial = false, l.Denial
			if i > 0 {
				l.Denial.Reason += fmt.Sprintf(" (block %d of the credential)", i)
			}
		}
	}
	return r
}

// admit checks the structured fields that need no view.
func (v *Verified) admit(q *Question) (*Operation, *op.Denial) {
	d := v.doc
	if q.At < d.NotBefore || q.At >= d.Expires { //guard:R27 policy-validity
		return nil, deny(op.PolicyExpired, "%s version %d is valid from %s to %s", d.Alias, d.Version, stamp(d.NotBefore), stamp(d.Expires))
	}
	decl, ok := d.Operation(q.Action, q.Target)
	if !ok { //guard:R3 operation-declared
		return nil, deny(op.NotDeclared, "%s on %q is not among the policy's operations", q.Action, q.Target)
	}
	if !slices.ContainsFunc(d.Purposes, func(p Purpose) bool { return p.ID == q.Purpose }) && (q.Purpose != "" || len(d.Purposes) > 0) { //guard:R9 policy-purpose
		return nil, deny(op.PurposeInvalid, "the purpose is absent or not in the policy's list")
	}
	if min := d.MinPop(q.Action); q.Level < min { //guard:R4 policy-pop
		return nil, deny(op.ProofInsufficient, "%s takes proof of level %d; this is level %d", q.Action, min, q.Level)
	}
	return decl, nil
}

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
