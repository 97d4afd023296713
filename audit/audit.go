// Package audit recomputes decisions: from a receipt, its evidence and the
// signed policy it names, it asks the same question again and compares the
// answers. It trusts no operator.
//
// The package is pure: no I/O and no clock.
package audit

import (
	"errors"
	"fmt"
	"slices"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// The errors of this package; all wrap [ErrAudit].
var (
	ErrAudit = errors.New("audit")
	// ErrDiffers is wrapped by the error for a decision that comes out otherwise.
	ErrDiffers = fmt.Errorf("%w: the decision comes out otherwise", ErrAudit)
)

// A Grade says how far a decision can be recomputed. The zero Grade is not at
// all.
type Grade int

// The grades. SPEC AUDIT-1.
const (
	// GateWord is a decision that hangs on what only the gate saw: that a proof was
	// used before, that the operation could not be mapped, that it was out of date.
	GateWord Grade = iota
	// Recomputed is a decision that follows from policy, credential, operation and
	// context alone.
	Recomputed
	// Counted is a denial by quota: the question itself is answered yes, and the
	// context shows a counter without room.
	Counted
)

// A Result is what an audit of one decision found.
type Result struct {
	Grade        Grade
	HolderSigned bool // the holder's signature covers what was asked (level 3 and 4)
	Decision     permit.Decision
}

// Replay recomputes the decision that r records. ev is its evidence, p the policy
// in force at the time and rt the root. It gives an error that wraps
// [ErrDiffers] if the answer is another one, and one that wraps
// [receipt.ErrEvidence] if ev is not what r commits to. SPEC AUDIT-2, AUDIT-3.
func Replay(r *receipt.Receipt, ev *receipt.Evidence, p *policy.Verified, rt *policy.Root) (Result, error) {
	if r == nil || ev == nil || rt == nil || r.Kind != receipt.Intent && r.Kind != receipt.Denial {
		return Result{}, fmt.Errorf("%w: no receipt of a decision, no evidence or no root", ErrAudit)
	}
	if err := ev.Check(r); err != nil { //guard:R58 evidence-committed
		return Result{}, fmt.Errorf("%w: %w", ErrAudit, err)
	}
	if p == nil || p.ID() != r.Policy { //guard:R26 replay-policy
		return Result{}, fmt.Errorf("%w: the receipt names another policy", ErrAudit)
	}
	var res Result
	o := ev.TheOperation()
	if o == nil || len(ev.Context) == 0 {
		if r.Decision == receipt.Permit { //guard:R58 permit-recomputable
			return res, fmt.Errorf("%w: a permit without all that it was decided on", ErrDiffers)
		}
		return res, nil
	}
	c, err := permit.ParseContext(ev.Context)
	if err != nil {
		return res, fmt.Errorf("%w: %w", ErrAudit, err)
	}
	chain, err := credential.Parse(c.Credential) // a gate that could not parse it has no context to record
	if err != nil {
		return res, fmt.Errorf("%w: %w", ErrAudit, err)
	}
	if field := shows(r, c, chain); field != "" { //guard:R58 receipt-shows-question
		return res, fmt.Errorf("%w: the receipt shows another %s than what was decided on", ErrDiffers, field)
	}
	if chain, err := chain.Verify(p, rt); err != nil {
		res.Decision.Denial = op.Deny(op.CredentialInvalid, err.Error())
	} else {
		res.Decision = permit.Decide(p, chain, c.Question(chain.Chain, o))
	}
	if res.Grade, err = compare(r, c, &res.Decision); err != nil || r.Level < op.Signed {
		return res, err
	}
	res.HolderSigned, err = (&claim{r, ev.Proof, c, chain, o, p}).signed()
	return res, err
}

// shows returns the first field in which the receipt shows, to those who see
// nothing but it, something else than the question was about; "" if there is none.
func shows(r *receipt.Receipt, c *permit.Context, chain *credential.Chain) string {
	g := &chain.Grant
	delay := r.TimeMS/1000 - c.At
	for _, f := range []struct {
		name string
		same bool
	}{
		{"action", r.Action == c.Action},
		{"target", r.Target == c.Target},
		{"purpose", r.Purpose == c.Purpose},
		{"level", r.Level == c.Level},
		{"alias", r.Alias == g.Alias},
		{"subject", r.Subject == g.Subject},
		{"root", r.Root == receipt.RootID(g.ID)},
		{"block", slices.Equal(r.Blocks, chain.Blocks())},
		{"time", delay >= -maxDelayS && delay <= maxDelayS},
	} {
		if !f.same {
			return f.name
		}
	}
	return ""
}

func compare(r *receipt.Receipt, c *permit.Context, d *permit.Decision) (Grade, error) {
	switch {
	case r.Decision == receipt.Permit:
		if !d.Permit || !sameRules(r, d) || !sameDebits(r, d) { //guard:R26 replay-permit
			return Recomputed, fmt.Errorf("%w: recorded permit, computed %s", ErrDiffers, answer(d))
		}
		return Recomputed, nil
	case r.Decision == string(op.QuotaExceeded) && c.Exhausted != "":
		if !d.Permit || !exhausted(c, d) { //guard:R26 replay-quota
			return Counted, fmt.Errorf("%w: the counter %s had room", ErrDiffers, c.Exhausted)
		}
		return Counted, nil
	case hangsOnGate(op.Code(r.Decision)):
		return GateWord, nil
	}
	if d.Permit || string(d.Denial.Code) != r.Decision || !sameRules(r, d) { //guard:R26 replay-denial
		return Recomputed, fmt.Errorf("%w: recorded %s, computed %s", ErrDiffers, r.Decision, answer(d))
	}
	return Recomputed, nil
}

func answer(d *permit.Decision) string {
	if d.Permit {
		return receipt.Permit
	}
	return string(d.Denial.Code)
}

// hangsOnGate reports whether a denial depends on state or time that the receipt
// does not carry.
func hangsOnGate(c op.Code) bool {
	return slices.Contains([]op.Code{
		op.Replayed, op.IdemConflict, op.IdemDone, op.IdemInProgress, op.Revoked, op.PolicyStale, op.PolicyUnknown,
		op.PolicyChanged, op.StateUnavailable, op.SecretUnavailable, op.TargetRefused,
	}, c)
}

func sameRules(r *receipt.Receipt, d *permit.Decision) bool {
	if len(r.Rules) != len(d.Ruling.Layers) {
		return false
	}
	for i, l := range d.Ruling.Layers {
		if !slices.Equal(r.Rules[i], l.Rules) {
			return false
		}
	}
	return true
}

func sameDebits(r *receipt.Receipt, d *permit.Decision) bool {
	return slices.EqualFunc(r.Debits, d.Debits, func(a receipt.Debit, b policy.Debit) bool {
		return a.Key == b.Key && a.Amount == uint64(b.N) && a.ID == b.ID
	})
}

func exhausted(c *permit.Context, d *permit.Decision) bool {
	return slices.ContainsFunc(d.Debits, func(x policy.Debit) bool {
		return x.ID == c.Exhausted && (x.N > x.Limit || c.Used > x.Limit-x.N)
	})
}
