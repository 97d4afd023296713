package sql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

const (
	typeName    = "sql"
	typeVersion = 1
)

// Mapper is the meaning of sql/1 documents, version 1. Its zero value is ready
// for use.
type Mapper struct{}

var _ op.Mapper = Mapper{}

// Type returns "sql".
func (Mapper) Type() string { return typeName }

// Version returns 1.
func (Mapper) Version() int { return typeVersion }

// Check returns an error that wraps [ErrSQL] and names the field if d is not a
// declaration of this type. SPEC SQL-7.
func (Mapper) Check(d *op.Declaration) error { return check(d) }

// Shape returns what views look like; only the values of statements hang on d.
func (Mapper) Shape(d *op.Declaration) op.Shape {
	list := func(names ...string) (out []op.Field) {
		for _, n := range names {
			out = append(out, op.Field{Name: n, Type: op.Set, Required: true})
		}
		return out
	}
	context := list("kinds", "relations", "reads", "shown", "inserts", "updates", "functions", "operators", "types", "underlying", "channels")
	context = append(context,
		op.Field{Name: "where", Type: op.Bool, Required: true},
		op.Field{Name: "limit", Type: op.Int},
		op.Field{Name: "params", Type: op.Int, Required: true},
		op.Field{Name: "introspection", Type: op.Bool, Required: true},
		op.Field{Name: "setting", Type: op.Record, Fields: []op.Field{{Name: "name", Type: op.Text, Required: true}, {Name: "value", Type: op.Text, Required: true}}},
	)
	context = append(context, signedShape(d.SQL)...)
	return op.Shape{Resource: []op.Field{{Name: "text", Type: op.Text, Required: true}}, Context: context}
}

// View returns what rules see of o under d. A document that is not in its one
// form, or a statement that touches what d does not list, gives an error that
// wraps [ErrSQL]. SPEC SQL-8.
func (Mapper) View(o *op.Operation, d *op.Declaration) (*op.View, error) {
	if o.Type != DocumentType { //guard:R15/sql sql-document-type
		return nil, fmt.Errorf("%w: not %s", ErrSQL, DocumentType)
	}
	if v, ok := o.Recall(d); ok {
		return v, nil
	}
	a, f, err := parse(o)
	if err != nil {
		return nil, err
	}
	return view(a, f, d)
}

func parse(o *op.Operation) (*Asked, *Found, error) {
	var a Asked
	if err := canon.DecodeCBORList(o.Asked, &a); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSQL, err)
	}
	var f Found
	if err := canon.DecodeCBOR(o.Found, &f); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSQL, err)
	}
	if err := a.check(); err != nil {
		return nil, nil, err
	}
	if len(f.Text) > 2*maxText {
		return nil, nil, fmt.Errorf("%w: too large", ErrSQL)
	}
	if len(f.Salt) != saltBytes { //guard:A37 sql-salt
		return nil, nil, fmt.Errorf("%w: no salt", ErrSQL)
	}
	return &a, &f, f.Statement.check()
}

// check refuses a statement that is not in its one form.
func (s *Statement) check() error {
	if len(s.Kinds) == 0 {
		return fmt.Errorf("%w: a statement of no kind", ErrSQL)
	}
	for _, list := range [][]string{s.Kinds, s.Functions, s.Operators, s.Types, s.Underlying, s.Channels} {
		if len(list) > maxNames || !ascending(list, strings.Compare) {
			return fmt.Errorf("%w: a list that is not sorted", ErrSQL)
		}
	}
	if !ascending(s.Relations, Relation.Compare) || !ascending(s.Reads, Column.Compare) || !ascending(s.Shown, Column.Compare) || !ascending(s.Inserts, Column.Compare) || !ascending(s.Updates, Column.Compare) ||
		len(s.Relations)+len(s.Reads)+len(s.Shown)+len(s.Inserts)+len(s.Updates) > maxNames {
		return fmt.Errorf("%w: a list that is not sorted", ErrSQL)
	}
	return nil
}

// ascending reports whether list is sorted, each once.
func ascending[T any](list []T, compare func(a, b T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return false
		}
	}
	return true
}

// Action returns the action of s: that of its kind which changes most.
func (s *Statement) Action() string {
	best := 0
	for i, k := range kinds {
		if slices.Contains(s.Kinds, k) {
			best = i
		}
	}
	return actionPrefix + kinds[best]
}

// view returns what rules see, and refuses what d does not list.
func view(a *Asked, f *Found, d *op.Declaration) (*op.View, error) {
	s := &f.Statement
	if !slices.Contains(d.Targets, a.Target) { //guard:R15/sql sql-target-declared
		return nil, fmt.Errorf("%w: the target is not declared", ErrSQL)
	}
	for _, k := range s.Kinds {
		if !slices.Contains(d.Actions, actionPrefix+k) { //guard:R15/sql kind-declared
			return nil, fmt.Errorf("%w: %s is not declared", ErrSQL, actionPrefix+k)
		}
	}
	declared := d.SQL
	if declared == nil {
		declared = new(op.SQL)
	}
	statement, values, err := signed(a, f, declared)
	if err != nil {
		return nil, err
	}
	if err := declaredAll(s, declared); err != nil {
		return nil, err
	}
	c := map[string]any{
		"kinds": s.Kinds, "relations": relationNames(s.Relations), "reads": columnNames(s.Reads), "shown": columnNames(s.Shown), "inserts": columnNames(s.Inserts), "updates": columnNames(s.Updates),
		"functions": s.Functions, "operators": s.Operators, "types": s.Types, "underlying": s.Underlying, "channels": s.Channels,
		"where": s.Where, "params": int64(len(a.Params)), "introspection": declared.Introspection && s.introspects(),
	}
	if s.Limit != NoLimit {
		c["limit"] = s.Limit
	}
	if s.Set != nil {
		c["setting"] = map[string]any{"name": s.Set.Name, "value": s.Set.Value}
	}
	if statement != nil {
		c["statement"] = statement.ID
		if len(values) > 0 {
			c["values"] = values
		}
	}
	for k, v := range c {
		if list, ok := v.([]string); ok && list == nil {
			c[k] = []string{}
		}
	}
	return &op.View{Action: s.Action(), Target: a.Target, Resource: map[string]any{"text": first(f.Text)}, Context: c}, nil
}

// Declared returns nil if d lists all that s touches. SPEC SQL-8.
func (s *Statement) Declared(d *op.Declaration) error {
	for _, k := range s.Kinds {
		if !slices.Contains(d.Actions, actionPrefix+k) {
			return fmt.Errorf("%w: %s is not declared", ErrSQL, actionPrefix+k)
		}
	}
	if d.SQL == nil {
		return declaredAll(s, new(op.SQL))
	}
	return declaredAll(s, d.SQL)
}

// first returns the beginning of a text that rules may look at.
func first(s string) string {
	const most = 1024
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "")
	}
	return s
}

func relationNames(list []Relation) []string {
	out := make([]string, 0, len(list))
	for _, r := range list {
		if n := r.Schema + "." + r.Name; len(out) == 0 || out[len(out)-1] != n {
			out = append(out, n)
		}
	}
	return out
}

func columnNames(list []Column) []string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = c.String()
	}
	return out
}

// declaredAll refuses what d does not list.
func declaredAll(s *Statement, d *op.SQL) error {
	if err := relationsDeclared(s, d); err != nil {
		return err
	}
	for _, c := range s.Reads {
		if slices.Contains(d.Mask, c.String()) && s.uses(c) { //guard:R7/sql masked-shown
			return fmt.Errorf("%w: %s is masked: a statement can return it as it is, and do nothing else with it", ErrSQL, c)
		}
	}
	alone := d.Introspection && s.introspects()
	for _, f := range append(slices.Clone(s.Functions), s.Operators...) {
		if !functionDeclared(d, f) && !(d.Introspection && introspectionCalls(f, alone)) { //guard:R3/sql function-declared
			return fmt.Errorf("%w: %s is not declared", ErrSQL, s.called(f))
		}
	}
	for _, t := range s.Types {
		if !slices.Contains(d.Types, t) && !(d.Introspection && informationSchema[t]) { //guard:R3/sql type-declared
			return fmt.Errorf("%w: the type %s is not declared", ErrSQL, t)
		}
	}
	for _, c := range s.Channels {
		if !slices.Contains(d.Channels, c) { //guard:R3/sql channel-declared
			return fmt.Errorf("%w: the channel %s is not declared", ErrSQL, c)
		}
	}
	if s.Set != nil && !slices.Contains(Looks, strings.ToLower(s.Set.Name)) && !slices.Contains(d.Settings, s.Set.Name) { //guard:R3/sql setting-declared
		return fmt.Errorf("%w: the setting %s is not declared", ErrSQL, s.Set.Name)
	}
	return nil
}

// called returns how people know the function of a signature: by its name, where the
// statement's call could be one of several.
func (s *Statement) called(f string) string {
	name, _, _ := strings.Cut(f, "(")
	n := 0
	for _, o := range s.Functions {
		if strings.HasPrefix(o, name+"(") {
			n++
		}
	}
	if n > 1 {
		return name
	}
	return f
}

// relationsDeclared refuses relations and columns that d does not list.
func relationsDeclared(s *Statement, d *op.SQL) error {
	for i, r := range s.Relations {
		if !modeDeclared(find(d, r.Schema, r.Name), r.Mode) && !(d.Introspection && introspectedRelation(&s.Relations[i])) { //guard:R3/sql relation-declared
			return fmt.Errorf("%w: to %s %s.%s is not declared", ErrSQL, r.Mode, r.Schema, r.Name)
		}
	}
	for verb, list := range map[string][]Column{"read": s.Reads, "insert": s.Inserts, "update": s.Updates} {
		for i, c := range list {
			if !columnDeclared(find(d, c.Schema, c.Table), verb, c.Name) && !(d.Introspection && verb == "read" && introspectedColumn(&list[i])) { //guard:R3/sql column-declared
				return fmt.Errorf("%w: to %s %s.%s.%s is not declared", ErrSQL, verb, c.Schema, c.Table, c.Name)
			}
		}
	}
	return nil
}

func find(d *op.SQL, schema, name string) *op.SQLRelation {
	for i := range d.Relations {
		if d.Relations[i].Name == schema+"."+name {
			return &d.Relations[i]
		}
	}
	return new(op.SQLRelation)
}

func modeDeclared(r *op.SQLRelation, mode string) bool {
	switch mode {
	case Read:
		return len(r.Read) > 0
	case Insert:
		return len(r.Insert) > 0
	case Update:
		return len(r.Update) > 0
	case Delete:
		return r.Delete
	case Truncate:
		return r.Truncate
	case Lock:
		return r.Lock
	case Usage:
		return r.Usage
	}
	return false
}

func columnDeclared(r *op.SQLRelation, verb, column string) bool {
	list := map[string][]string{"read": r.Read, "insert": r.Insert, "update": r.Update}[verb]
	return slices.Contains(list, column) || slices.Contains(list, "*")
}

// functionDeclared reports whether a signature is listed: by itself, by its name,
// or by a provided list.
func functionDeclared(d *op.SQL, signature string) bool {
	name, _, _ := strings.Cut(signature, "(")
	for _, f := range d.Functions {
		if f == signature || f == name {
			return true
		}
		if list, ok := strings.CutPrefix(f, "@"); ok && provided[list][name] {
			return true
		}
	}
	return false
}
