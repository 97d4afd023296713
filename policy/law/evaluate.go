package law

import (
	"fmt"
	"slices"

	"github.com/cedar-policy/cedar-go"

	"github.com/writhq/writ/op"
)

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

// Evaluate returns what the rules of l and of each block say of q, whose operation
// looks like view; l's come first. An error means that view has something that
// rules are not shown. It is a function of its arguments. SPEC POLICY-9.
func (l *Law) Evaluate(q *Question, view *op.View, blocks []*Rules) ([]Layer, error) {
	if l == nil || l.rules == nil {
		return nil, fmt.Errorf("%w: there are none", ErrRules)
	}
	all := append([]*Rules{l.rules}, blocks...)
	reads := func(name string) bool {
		return slices.ContainsFunc(all, func(r *Rules) bool { return r != nil && r.reads.has(name) })
	}
	req, known, err := l.request(q, view, reads)
	if err != nil {
		return nil, err
	}
	layers := make([]Layer, len(all))
	for i, rules := range all {
		layers[i] = rules.evaluate(q.Action, req, known)
	}
	return layers, nil
}

func (r *Rules) evaluate(action string, req cedar.Request, entities cedar.EntityGetter) Layer {
	if r == nil { //guard:R11 nil-rules-deny
		r = &Rules{} // permits nothing
	}
	decision, diag := cedar.Authorize(r.on(action), entities, req)
	var l Layer
	for _, reason := range diag.Reasons {
		l.Rules = append(l.Rules, string(reason.PolicyID))
		if c := r.control(string(reason.PolicyID)); c != "" && !slices.Contains(l.Controls, c) {
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
		l.Denial = &op.Denial{Code: op.Forbidden, Rule: l.Rules[0], Control: r.control(l.Rules[0]), Reason: "a rule forbids it"}
	case r.open:
		l.Permit = true
	default:
		l.Denial = &op.Denial{Code: op.NotPermitted, Reason: "no rule permits it"}
	}
	return l
}
