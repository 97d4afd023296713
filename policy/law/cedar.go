package law

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/writhq/writ/op"
)

// A site is a target as Cedar sees it, made once for a policy.
type site struct {
	entity  cedar.Entity
	parents cedar.EntityUIDSet // of the operation's resource
	record  cedar.Record       // context.target
}

func sitesOf(targets []Target) map[string]*site {
	out := make(map[string]*site, len(targets))
	for i := range targets {
		id, region := cedar.String(targets[i].ID), cedar.String(targets[i].Region)
		uid := cedar.NewEntityUID("Target", id)
		out[targets[i].ID] = &site{
			entity:  cedar.Entity{UID: uid, Attributes: cedar.NewRecord(cedar.RecordMap{"region": region})},
			parents: cedar.NewEntityUIDSet(uid),
			record:  cedar.NewRecord(cedar.RecordMap{"id": id, "region": region}),
		}
	}
	return out
}

// entities is a [cedar.EntityGetter] of the operation and its target.
type entities [2]cedar.Entity

// Get implements [cedar.EntityGetter].
func (e *entities) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	for i := range e {
		if e[i].UID == uid {
			return e[i], true
		}
	}
	return cedar.Entity{}, false
}

// request returns q as Cedar sees it, with the entities it refers to. Of the
// context it has what the rules name; all of it is bounded, named or not.
func (l *Law) request(q *Question, view *op.View, reads func(name string) bool) (cedar.Request, *entities, error) {
	if err := check(view.Resource); err != nil {
		return cedar.Request{}, nil, err
	}
	if err := check(view.Context); err != nil {
		return cedar.Request{}, nil, err
	}
	at, ok := l.sites[q.Target]
	if !ok {
		return cedar.Request{}, nil, errors.New("unknown target")
	}
	rid := cedar.NewEntityUID(cedar.EntityType(entityType(opType(q.Operation.Type))), "operation")
	context := make(cedar.RecordMap)
	for k, x := range view.Context {
		if reads(k) {
			context[cedar.String(k)] = value(x)
		}
	}
	for _, f := range commonContext {
		if reads(f.Name) {
			context[cedar.String(f.Name)] = q.common(f.Name, at)
		}
	}
	return cedar.Request{
		Principal: cedar.NewEntityUID("Subject", cedar.String(q.Subject)),
		Action:    cedar.NewEntityUID("Action", cedar.String(q.Action)),
		Resource:  rid,
		Context:   cedar.NewRecord(context),
	}, &entities{{UID: rid, Parents: at.parents, Attributes: toRecord(view.Resource)}, at.entity}, nil
}

// common returns one value of [commonContext].
func (q *Question) common(name string, at *site) cedar.Value {
	switch name {
	case "purpose":
		return cedar.String(q.Purpose)
	case "pop":
		return cedar.Long(q.Level)
	case "actor":
		return cedar.NewRecord(cedar.RecordMap{"key": cedar.String(q.Actor), "depth": cedar.Long(q.Depth)})
	case "gate":
		return cedar.NewRecord(cedar.RecordMap{"group": cedar.String(q.Group), "region": cedar.String(q.Region)})
	case "target":
		return at.record
	case "time":
		t := time.Unix(q.At, 0).UTC()
		weekday := (int64(t.Weekday())+6)%7 + 1 // Monday is 1
		return cedar.NewRecord(cedar.RecordMap{
			"unix": cedar.Long(q.At), "hour": cedar.Long(t.Hour()), "weekday": cedar.Long(weekday)})
	case "approvals":
		return set(q.Approvals)
	case "lineage":
		return set(q.Lineage)
	case "labels":
		return set(q.Labels)
	}
	panic("law: no value for context." + name)
}

// opType returns the type without its version: "http" of "http/1".
func opType(t string) string {
	typ, _, _ := strings.Cut(t, "/")
	return typ
}

func set(names []string) cedar.Set {
	if len(names) == 0 {
		return cedar.Set{}
	}
	values := make([]cedar.Value, len(names))
	for i, n := range names {
		values[i] = cedar.String(n)
	}
	return cedar.NewSet(values...)
}

// toRecord returns m, which check has passed, as a Cedar value.
func toRecord(m map[string]any) cedar.Record {
	if len(m) == 0 {
		return cedar.Record{}
	}
	r := make(cedar.RecordMap, len(m))
	for k, x := range m {
		r[cedar.String(k)] = value(x)
	}
	return cedar.NewRecord(r)
}

// check refuses what rules are not shown: a value of no known type, or one that is
// too large (A18). Its error is that of the first bad member by name, whatever the
// order of the map.
func check(m map[string]any) error {
	var bad string
	var first error
	for k, x := range m {
		if err := checkValue(x); err != nil && (first == nil || k < bad) {
			bad, first = k, fmt.Errorf("%s: %w", k, err)
		}
	}
	return first
}

func checkValue(x any) error {
	switch x := x.(type) {
	case bool, int64:
		return nil
	case string:
		return boundedString(x)
	case op.Decimal:
		if _, err := types.ParseDecimal(string(x)); err != nil {
			return errors.New("not a decimal with one to four digits after the point")
		}
		return nil
	case []string:
		if len(x) > maxSetItems { //guard:A18 rule-set-bound
			return fmt.Errorf("set of %d; rules see at most %d", len(x), maxSetItems)
		}
		for _, s := range x {
			if err := boundedString(s); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		return check(x)
	}
	return errors.New("a value of no known type")
}

// value returns x, which checkValue has passed, as a Cedar value.
func value(x any) cedar.Value {
	switch x := x.(type) {
	case bool:
		return cedar.Boolean(x)
	case int64:
		return cedar.Long(x)
	case string:
		return cedar.String(x)
	case op.Decimal:
		d, _ := types.ParseDecimal(string(x)) // it was parsed before
		return d
	case []string:
		return set(x)
	case map[string]any:
		return toRecord(x)
	}
	panic("law: a value that was not checked")
}

func boundedString(s string) error {
	if len(s) > maxRuleString { //guard:A18 rule-string-bound
		return fmt.Errorf("text of %d bytes; rules see at most %d", len(s), maxRuleString)
	}
	return nil
}
