package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"github.com/writhq/writ/op"
)

// A law is a compiled policy.
type law struct {
	rules     *Rules
	schema    *resolved.Schema
	validator *validate.Validator
	sites     map[string]*site
}

// compile parses the rules and type-checks them against the schema that follows
// from the declarations and the mappers' versions. Errors wrap [ErrRules].
func (d *Document) compile() (*law, error) {
	r, err := ParseRules(d.Rules)
	if err != nil {
		return nil, err
	}
	text, err := d.Schema()
	if err != nil {
		return nil, err
	}
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(text)); err != nil {
		return nil, fmt.Errorf("%w: schema: %w", ErrRules, err)
	}
	rs, err := s.Resolve()
	if err != nil {
		return nil, fmt.Errorf("%w: schema: %w", ErrRules, err)
	}
	l := &law{rules: r, schema: rs, validator: validate.New(rs, validate.WithStrict()), sites: sitesOf(d.Targets)}
	if err := l.check(r); err != nil {
		return nil, err
	}
	return l, nil
}

// check type-checks rules against the schema in force.
func (l *law) check(r *Rules) error {
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

// CheckRules returns an error that wraps [ErrRules] if the rules of a block do
// not fit the schema of v: their types, or an attribute that they speak of and
// that no action in their scope has. A forbid guarded by a member that no longer
// exists would go silent (A21). SPEC POLICY-7.
func (v *Verified) CheckRules(r *Rules) error {
	if v == nil || v.law == nil {
		return fmt.Errorf("%w: no policy", ErrRules)
	}
	return v.law.check(r)
}

// Schema returns the Cedar schema of d's operations, in Cedar's own text form.
// It follows from the declarations alone, so it cannot contradict them.
func (d *Document) Schema() (string, error) {
	var b strings.Builder
	b.WriteString("entity Subject;\nentity Target { region: String };\n")
	types := map[string]bool{}
	for i := range d.Operations {
		o := &d.Operations[i]
		m, ok := mapper(o.Type)
		if !ok {
			return "", fmt.Errorf("%w: operation type %q", ErrUnsupported, o.Type)
		}
		shape := m.Shape(&o.Declaration)
		entity := entityType(o.Type)
		if !types[entity] {
			types[entity] = true
			fmt.Fprintf(&b, "entity %s in [Target] %s;\n", entity, record(shape.Resource))
		}
		context := record(append(slices.Clone(commonContext), shape.Context...))
		for _, a := range o.Actions {
			fmt.Fprintf(&b, "action %q appliesTo { principal: Subject, resource: %s, context: %s };\n", a, entity, context)
		}
	}
	return b.String(), nil
}

// entityType returns the Cedar type of the resources of an operation type.
func entityType(typ string) string { return strings.ToUpper(typ[:1]) + typ[1:] }

// commonContext is what every operation's context has. [Verified.Evaluate] fills
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
	panic("policy: field " + f.Name + " has no type")
}
