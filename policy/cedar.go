package policy

import (
	"fmt"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/writhq/writ/op"
)

// request returns q as Cedar sees it, with the entities it refers to.
func (v *Verified) request(q *Question, view *op.View) (cedar.Request, cedar.EntityMap) {
	target, _ := v.doc.Target(q.Target)
	tid := cedar.NewEntityUID("Target", cedar.String(q.Target))
	rid := cedar.NewEntityUID(cedar.EntityType(entityType(opType(q.Operation.Type))), "operation")
	at := time.Unix(q.At, 0).UTC()
	weekday := (int64(at.Weekday())+6)%7 + 1 // Monday is 1
	context := cedar.RecordMap{
		"purpose": cedar.String(q.Purpose),
		"pop":     cedar.Long(q.Level),
		"actor": cedar.NewRecord(cedar.RecordMap{
			"key": cedar.String(q.Actor), "depth": cedar.Long(q.Depth)}),
		"gate": cedar.NewRecord(cedar.RecordMap{
			"group": cedar.String(q.Group), "region": cedar.String(q.Region)}),
		"target": cedar.NewRecord(cedar.RecordMap{
			"id": cedar.String(q.Target), "region": cedar.String(target.Region)}),
		"time": cedar.NewRecord(cedar.RecordMap{
			"unix": cedar.Long(q.At), "hour": cedar.Long(at.Hour()), "weekday": cedar.Long(weekday)}),
		"approvals": set(q.Approvals),
		"lineage":   set(q.Lineage),
		"labels":    set(q.Labels),
	}
	for k, x := range view.Context {
		context[cedar.String(k)] = value(x)
	}
	entities := cedar.EntityMap{
		tid: {UID: tid, Attributes: cedar.NewRecord(cedar.RecordMap{"region": cedar.String(target.Region)})},
		rid: {UID: rid, Parents: cedar.NewEntityUIDSet(tid), Attributes: toRecord(view.Resource)},
	}
	return cedar.Request{
		Principal: cedar.NewEntityUID("Subject", cedar.String(q.Subject)),
		Action:    cedar.NewEntityUID("Action", cedar.String(q.Action)),
		Resource:  rid,
		Context:   cedar.NewRecord(context),
	}, entities
}

// opType returns the type without its version: "http" of "http/1".
func opType(t string) string {
	for i := range len(t) {
		if t[i] == '/' {
			return t[:i]
		}
	}
	return t
}

func set(names []string) cedar.Set {
	values := make([]cedar.Value, len(names))
	for i, n := range names {
		values[i] = cedar.String(n)
	}
	return cedar.NewSet(values...)
}

func toRecord(m map[string]any) cedar.Record {
	r := make(cedar.RecordMap, len(m))
	for k, x := range m {
		r[cedar.String(k)] = value(x)
	}
	return cedar.NewRecord(r)
}

// value returns x as a Cedar value. [bounded] has admitted x.
func value(x any) cedar.Value {
	switch x := x.(type) {
	case bool:
		return cedar.Boolean(x)
	case int64:
		return cedar.Long(x)
	case string:
		return cedar.String(x)
	case op.Decimal:
		d, _ := parseDecimal(x)
		return d
	case []string:
		return set(x)
	case map[string]any:
		return toRecord(x)
	}
	panic(fmt.Sprintf("policy: %T in a view", x))
}

// bounded checks that every value of a view is of a known type, and that no
// string is longer than rules may see (A18).
func bounded(m map[string]any) error {
	for _, k := range sortedKeys(m) { // in one order, so that the first error is always the same
		if err := boundedValue(m[k]); err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	return nil
}

func boundedValue(x any) error {
	switch x := x.(type) {
	case bool, int64:
	case string:
		return boundedString(x)
	case op.Decimal:
		if _, err := parseDecimal(x); err != nil {
			return fmt.Errorf("not a decimal with one to four digits after the point")
		}
	case []string:
		if len(x) > maxListed {
			return fmt.Errorf("set of %d; rules see at most %d", len(x), maxListed)
		}
		for _, s := range x {
			if err := boundedString(s); err != nil {
				return err
			}
		}
	case map[string]any:
		return bounded(x)
	default:
		return fmt.Errorf("a value of no known type")
	}
	return nil
}

func boundedString(s string) error {
	if len(s) > maxRuleString { //guard:A18 rule-string-bound
		return fmt.Errorf("text of %d bytes; rules see at most %d", len(s), maxRuleString)
	}
	return nil
}

func parseDecimal(d op.Decimal) (cedar.Decimal, error) { return types.ParseDecimal(string(d)) }
