package policy

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

// A Debit is what one use takes from one counter.
type Debit struct {
	Key   canon.Digest // of the counter, window and all
	ID    string       // of the quota, or [UsesID]
	N     int64        // taken by this use; 0 or more
	Limit int64        // the counter may not pass
	Until int64        // Unix seconds after which the counter is of no use; 0: never
	Hard  bool         // must survive a power loss
}

// A Scope names the things that quotas are counted per.
type Scope struct {
	Root    []byte       // id of the credential's grant
	Block   canon.Digest // last block
	Subject op.Subject
	Actor   string // thumbprint
	Secret  string
}

// Debits returns what q takes from each quota of v.
//
// Every quota that counts the action is debited, whatever its limit says; one
// whose amount is absent from the view, not an integer, or negative denies (A7).
// SPEC POLICY-11.
func (v *Verified) Debits(q *Question, view *op.View, s Scope) ([]Debit, *op.Denial) {
	decl, _ := v.doc.Operation(q.Action, q.Target)
	var out []Debit
	for i := range v.doc.Quotas {
		quota := &v.doc.Quotas[i]
		if !quota.counts(q.Action, decl) {
			continue
		}
		n, d := quota.amount(view)
		if d != nil {
			return nil, d
		}
		out = append(out, quota.debit(v.doc.Alias, s.of(quota.Per), n, q.At))
	}
	return out, nil
}

// counts reports whether the quota counts the action, which decl lists.
func (q *Quota) counts(action string, decl *Operation) bool {
	if len(q.Actions) > 0 {
		return contains(q.Actions, action)
	}
	if q.Amount == "" {
		return true
	}
	_, ok := decl.member(q.Amount)
	return ok
}

// member returns the declared member at a path of the context, such as
// body.amount, query.n or values.total.
func (o *Operation) member(path string) (*op.Member, bool) {
	where, rest, _ := strings.Cut(path, ".")
	if where == "values" && o.SQL != nil {
		found, each := sql.Amount(o.SQL, rest)
		return &op.Member{Path: rest, Type: "int", Required: each}, found
	}
	var list []op.Member
	switch {
	case where == "query":
		list = o.Query
	case where == "body" && o.Body != nil:
		list = o.Body.Members
	}
	for i := range list {
		if list[i].Path == rest {
			return &list[i], true
		}
	}
	return nil, false
}

// checkQuota refuses a quota that counts nothing, or an amount that an operation
// could do without.
func (d *Document) checkQuota(q *Quota) error {
	for i, a := range q.Actions {
		if !d.declares(a) || contains(q.Actions[:i], a) { //guard:A7 quota-action-declared
			return fmt.Errorf("actions: %q is listed by no operation, or stands twice", a) // misspelt, it would not be counted
		}
	}
	counted := 0
	for i := range d.Operations {
		o := &d.Operations[i]
		for _, a := range o.Actions {
			if !q.counts(a, o) {
				continue
			}
			counted++
			m, ok := o.member(q.Amount)
			if q.Amount != "" && (!ok || m.Type != "int" || !m.Required) { //guard:A7 quota-amount-required
				return fmt.Errorf("amount: %s must be declared for %s, as a required int", q.Amount, a)
			}
		}
	}
	if counted == 0 {
		return fmt.Errorf("it counts no action of the policy")
	}
	return nil
}

func (q *Quota) amount(view *op.View) (int64, *op.Denial) {
	if q.Amount == "" {
		return 1, nil
	}
	n, ok := lookup(view.Context, q.Amount).(int64)
	if !ok { //guard:A7 amount-integer
		return 0, &op.Denial{Code: op.QuotaExceeded, Rule: q.ID, Reason: "the amount that the quota counts is absent or not an integer"}
	}
	if n < 0 { //guard:A7 amount-negative
		return 0, &op.Denial{Code: op.QuotaExceeded, Rule: q.ID, Reason: "the amount that the quota counts is negative"}
	}
	return n, nil
}

func (q *Quota) debit(alias, scope string, n, at int64) Debit {
	var start, until int64
	if q.WindowS > 0 {
		start = at - at%q.WindowS
		until = start + q.WindowS
	}
	return Debit{Key: CounterKey(alias, q.Per+"\x00"+scope, q.ID, start), ID: q.ID, N: n, Limit: q.Limit, Until: until, Hard: q.Hard}
}

// CounterKey returns the key of a counter. It names the alias and not the
// version, so that a successor does not refill a quota.
func CounterKey(alias, scope, id string, start int64) canon.Digest {
	a, s, i := canon.Hash([]byte(alias)), canon.Hash([]byte(scope)), canon.Hash([]byte(id))
	return canon.Sum("writ-quota/1", a[:], s[:], i[:], binary.BigEndian.AppendUint64(nil, uint64(start)))
}

func (s Scope) of(per string) string {
	switch per {
	case "secret":
		return s.Secret
	case "root":
		return string(s.Root)
	case "block":
		return string(s.Block[:])
	case "subject":
		return string(s.Subject)
	case "actor":
		return s.Actor
	}
	return "" // alias
}

// lookup returns the value at a dotted path, or nil.
func lookup(m map[string]any, path string) any {
	name, rest, more := strings.Cut(path, ".")
	if !more {
		return m[name]
	}
	inner, _ := m[name].(map[string]any)
	return lookup(inner, rest)
}
