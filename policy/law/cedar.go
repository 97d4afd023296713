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
func (l *Law) request(q *Question, view *op.View, reads members) (cedar.Request, *entities, error) {
	resource, err := toRecord(view.Resource)
	if err != nil {
		return cedar.Request{}, nil, err
	}
	at, ok := l.sites[q.Target]
	if !ok {
		return cedar.Request{}, nil, errors.New("unknown target")
	}
	rid := cedar.NewEntityUID(cedar.EntityType(entityType(opType(q.Operation.Type))), "operation")
	context := make(cedar.RecordMap, len(commonContext)+len(view.Context))
	if err := fill(context, view.Context); err != nil {
		return cedar.Request{}, nil, err
	}
	for i, f := range commonContext {
		if reads.has(i) {
			context[cedar.String(f.Name)] = q.common(f.Name, at)
		}
	}
	return cedar.Request{
		Principal: cedar.NewEntityUID("Subject", cedar.String(q.Subject)),
		Action:    cedar.NewEntityUID("Action", cedar.String(q.Action)),
		Resource:  rid,
		Context:   cedar.NewRecord(context),
	}, &entities{{UID: rid, Parents: at.parents, Attributes: resource}, at.entity}, nil
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

func toRecord(m map[string]any) (cedar.Record, error) {
	if len(m) == 0 {
		return cedar.Record{}, nil
	}
	r := make(cedar.RecordMap, len(m))
	if err := fill(r, m); err != nil {
		return cedar.Record{}, err
	}
	return cedar.NewRecord(r), nil
}

// fill puts the values of m into r. Its error is that of the first bad one by
// name, whatever the order of the map.
func fill(r cedar.RecordMap, m map[string]any) error {
	var bad string
	var first error
	for k, x := range m {
		v, err := value(x)
		if err != nil && (first == nil || k < bad) {
			bad, first = k, fmt.Errorf("%s: %w", k, err)
		}
		r[cedar.String(k)] = v
	}
	return first
}

// value returns x as a Cedar value, if it is of a known type and no string in it
// is longer than rules may see (A18).
func value(x any) (cedar.Value, error) {
	switch x := x.(type) {
	case bool:
		return cedar.Boolean(x), nil
	case int64:
		return cedar.Long(x), nil
	case string:
		return cedar.String(x), boundedString(x)
	case op.Decimal:
		d, err := types.ParseDecimal(string(x))
		if err != nil {
			return nil, errors.New("not a decimal with one to four digits after the point")
		}
		return d, nil
	case []string:
		if len(x) > maxSetItems { //guard:A18 rule-set-bound
			return nil, fmt.Errorf("set of %d; rules see at most %d", len(x), maxSetItems)
		}
		for _, s := range x {
			if err := boundedString(s); err != nil {
				return nil, err
			}
		}
		return set(x), nil
	case map[string]any:
		return toRecord(x)
	}
	return nil, errors.New("a value of no known type")
}

func boundedString(s string) error {
	if len(s) > maxRuleString { //guard:A18 rule-string-bound
		return fmt.Errorf("text of %d bytes; rules see at most %d", len(s), maxRuleString)
	}
	return nil
}
