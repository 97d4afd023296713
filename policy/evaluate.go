package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/writhq/writ/op"
)

// UsesID is the id of the limit on the number of uses that a credential's
// blocks may carry; no quota may have it.
const UsesID = "uses"

// A Question is one operation with all that is known about it. Nothing else
// enters the answer.
type Question struct {
	Subject   op.Subject // of the grant; Cedar's principal
	Actor     string     // thumbprint of the key that presents the last block
	Depth     int        // delegations after the grant
	Action    string     // claimed by the gateway; the document must say the same
	Target    string     // likewise
	Operation *op.Operation
	Purpose   string
	Level     op.Level
	Group     string // of the gate
	Region    string // of the gate
	At        int64  // Unix seconds
	Approvals []string
	Lineage   []string
	Labels    []string
}

// A Layer is what one set of rules says. The zero Layer says no.
type Layer struct {
	Permit   bool
	Rules    []string // ids of the rules that decided, sorted
	Controls []string // what those rules serve
	Denial   *op.Denial
}

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
	all := append([]*Rules{v.law.rules}, blocks...)
	reads := make(map[string]bool)
	for _, rules := range all {
		rules.readsInto(reads)
	}
	req, known, err := v.request(q, view, reads)
	if err != nil {
		return Ruling{Denial: deny(op.OperationInvalid, "%s", err)}
	}
	r := Ruling{View: view, Permit: true}
	for i, rules := range all {
		l := rules.evaluate(q.Action, req, known)
		r.Layers = append(r.Layers, l)
		if !l.Permit && r.Denial == nil { //guard:R40 every-layer-permits
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

func (r *Rules) evaluate(action string, req cedar.Request, entities cedar.EntityGetter) Layer {
	if r == nil { //guard:R11 nil-rules-deny
		r = &Rules{} // permits nothing
	}
	decision, diag := cedar.Authorize(r.on(action), entities, req)
	var l Layer
	for _, reason := range diag.Reasons {
		l.Rules = append(l.Rules, string(reason.PolicyID))
		if c := r.control(string(reason.PolicyID)); c != "" && !contains(l.Controls, c) {
			l.Controls = append(l.Controls, c)
		}
	}
	slices.Sort(l.Rules)
	slices.Sort(l.Controls)
	if len(diag.Errors) > 0 { //guard:R11 rule-error-denies
		id := string(diag.Errors[0].PolicyID)
		l.Rules = []string{id}
		l.Denial = &op.Denial{Code: op.RuleError, Rule: id, Reason: "a rule could not be evaluated, so nothing is permitted"}
		return l
	}
	switch {
	case decision == cedar.Allow:
		l.Permit = true
	case len(l.Rules) > 0:
		l.Denial = &op.Denial{Code: op.Forbidden, Rule: l.Rules[0], Reason: "a rule forbids it"}
		if len(l.Controls) > 0 {
			l.Denial.Control = l.Controls[0]
		}
	case r.open:
		l.Permit = true
	default:
		l.Denial = &op.Denial{Code: op.NotPermitted, Reason: "no rule permits it"}
	}
	return l
}
