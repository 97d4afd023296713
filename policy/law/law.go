// Package law is the Cedar in a policy: rules, the schema that follows from what
// a policy declares, how rules are checked against it, and how they are evaluated.
// Package policy says which rules those are.
//
// The package is pure: no I/O and no clock; time is an argument. Its values are
// immutable and safe for concurrent use.
package law

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"github.com/writhq/writ/op"
)

// ErrRules is wrapped by every error of this package.
var ErrRules = errors.New("bad rules")

// A Law is a set of rules that fit what a policy declares. The zero Law, and nil,
// permit nothing.
type Law struct {
	rules     *Rules
	schema    *resolved.Schema
	validator *validate.Validator
	sites     map[string]*site
}

// A Declared is what rules see of some actions.
type Declared struct {
	Type    string // of the operation, such as "http"
	Actions []string
	Shape   op.Shape
}

// A Target is what rules see of a target.
type Target struct{ ID, Region string }

// Compile returns the rules in text as the law over what is declared, after
// checking them against its schema. Errors wrap [ErrRules].
func Compile(text string, declared []Declared, targets []Target) (*Law, error) {
	r, err := Parse(text)
	if err != nil {
		return nil, err
	}
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(Schema(declared))); err != nil {
		return nil, fmt.Errorf("%w: schema: %w", ErrRules, err)
	}
	rs, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("%w: schema: %w", ErrRules, err)
	}
	l := &Law{rules: r, schema: rs, validator: validate.New(rs, validate.WithStrict()), sites: sitesOf(targets)}
	if err := l.Check(r); err != nil {
		return nil, err
	}
	return l, nil
}

// Check type-checks rules against the schema of l. Errors wrap [ErrRules].
// SPEC POLICY-7.
func (l *Law) Check(r *Rules) error {
	if l == nil || l.validator == nil || r == nil {
		return fmt.Errorf("%w: no rules, or nothing to check them against", ErrRules)
	}
	for _, x := range r.all {
		p := (*ast.Policy)(x.policy.AST())
		if err := l.validator.Policy(string(x.id), p); err != nil { //guard:A21 rules-typecheck
			return fmt.Errorf("%w: %s: %w", ErrRules, x.id, err)
		}
		if err := checkPlaces(l.schema, p); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrRules, x.id, err)
		}
	}
	return nil
}

// Schema returns the Cedar schema of what is declared, in Cedar's own text form.
func Schema(declared []Declared) string {
	var b strings.Builder
	b.WriteString("entity Subject;\nentity Target { region: String };\n")
	types := map[string]bool{}
	for _, d := range declared {
		entity := entityType(d.Type)
		if !types[entity] {
			types[entity] = true
			fmt.Fprintf(&b, "entity %s in [Target] %s;\n", entity, record(d.Shape.Resource))
		}
		context := record(append(slices.Clone(commonContext), d.Shape.Context...))
		for _, a := range d.Actions {
			fmt.Fprintf(&b, "action %q appliesTo { principal: Subject, resource: %s, context: %s };\n", a, entity, context)
		}
	}
	return b.String()
}

// entityType returns the Cedar type of the resources of an operation type.
func entityType(typ string) string { return strings.ToUpper(typ[:1]) + typ[1:] }

// commonContext is what every operation's context has. [Law.Evaluate] fills
// it in.
var commonContext = []op.Field{
	{Name: "purpose", Type: op.Text, Required: true},
	{Name: "pop", Type: op.Int, Required: true},
	{Name: "actor", Type: op.Record, Required: true, Fields: []op.Field{
		{Name: "key", Type: op.Text, Required: true},
		{Name: "depth", Type: op.Int, Required: true},
	}},
	{Name: "gate", Type: op.Record, Required: true, Fields: []op.Field{
		{Name: "group", Type: op.Text, Required: true},
		{Name: "region", Type: op.Text, Required: true},
	}},
	{Name: "target", Type: op.Record, Required: true, Fields: []op.Field{
		{Name: "id", Type: op.Text, Required: true},
		{Name: "region", Type: op.Text, Required: true},
	}},
	{Name: "time", Type: op.Record, Required: true, Fields: []op.Field{
		{Name: "unix", Type: op.Int, Required: true},
		{Name: "hour", Type: op.Int, Required: true},    // 0 to 23, UTC
		{Name: "weekday", Type: op.Int, Required: true}, // 1 (Monday) to 7
	}},
	{Name: "approvals", Type: op.Set, Required: true},
	{Name: "lineage", Type: op.Set, Required: true},
	{Name: "labels", Type: op.Set, Required: true},
}

func record(fields []op.Field) string {
	var b strings.Builder
	b.WriteString("{")
	for i, f := range fields {
		if i > 0 {
			b.WriteString(", ")
		}
		optional := "?"
		if f.Required {
			optional = ""
		}
		fmt.Fprintf(&b, "%q%s: %s", f.Name, optional, cedarType(f))
	}
	b.WriteString("}")
	return b.String()
}

func cedarType(f op.Field) string {
	switch f.Type {
	case op.Bool:
		return "Bool"
	case op.Int:
		return "Long"
	case op.DecimalNumber:
		return "decimal"
	case op.Text:
		return "String"
	case op.Set:
		return "Set<String>"
	case op.Record:
		return record(f.Fields)
	}
	panic("law: field " + f.Name + " has no type")
}
