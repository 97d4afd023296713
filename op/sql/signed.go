package sql

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/writhq/writ/op"
)

// The kinds of bind values in a statement that a policy lists.
const (
	intValue  = "int"  // a whole number in its plain form
	textValue = "text" // any text, or one of a list
	anyValue  = "any"  // anything; rules do not see it
)

// Types of bind values that a client may give, by kind: those of which the server
// makes what the text says. Another could round a number, wrap or cut it. 0 is none,
// then the type is what the statement makes of it. Source: PostgreSQL, pg_type.dat.
var valueTypes = map[string][]uint32{
	intValue:  {0, 20, 21, 23, 1700},                                                       // int8 int2 int4 numeric
	textValue: {0, 25, 1043, 705, 16, 20, 21, 23, 1700, 1082, 1114, 1184, 2950, 114, 3802}, // text varchar unknown bool, numbers, dates, uuid json jsonb
}

var (
	plainInt  = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
)

// checkStatements refuses lists of statements of which two could be taken for one
// another, or whose values rules could not see in one way. SPEC SQL-11.
func checkStatements(list []op.SQLStatement) error {
	if len(list) > maxStatements {
		return fmt.Errorf("%w: sql.statements: more than %d", ErrSQL, maxStatements)
	}
	kinds := make(map[string]string)
	for i := range list {
		s := &list[i]
		same := func(o op.SQLStatement) bool { return o.ID == s.ID || o.Text == s.Text }
		if !named(s.ID) || s.Text == "" || len(s.Text) > 2*maxText || slices.ContainsFunc(list[:i], same) { //guard:A11 statement-once
			return fmt.Errorf("%w: sql.statements[%d]: an id or text that is not valid, or stands twice", ErrSQL, i)
		}
		if len(s.Values)+len(s.Fixed) > maxValues {
			return fmt.Errorf("%w: sql.statements[%d]: more than %d values", ErrSQL, i, maxValues)
		}
		seen := make(map[string]bool)
		for _, v := range s.Values {
			if err := checkValue(&v); err != nil {
				return fmt.Errorf("%w: sql.statements[%d].values: %s: %w", ErrSQL, i, v.Name, err)
			}
			if k := kinds[v.Name]; seen[v.Name] || k != "" && k != v.Kind { //guard:A11 value-once
				return fmt.Errorf("%w: sql.statements[%d].values: %s stands twice, or is of two kinds", ErrSQL, i, v.Name)
			}
			seen[v.Name], kinds[v.Name] = true, v.Kind
		}
		for _, f := range s.Fixed {
			if k := kinds[f.Name]; !named(f.Name) || seen[f.Name] || k != "" && k != intValue {
				return fmt.Errorf("%w: sql.statements[%d].fixed: %s is not valid, stands twice, or is of two kinds", ErrSQL, i, f.Name)
			}
			seen[f.Name], kinds[f.Name] = true, intValue
		}
	}
	return nil
}

func named(s string) bool { return len(s) <= maxName && plainName.MatchString(s) }

func checkValue(v *op.SQLValue) error {
	switch {
	case !named(v.Name):
		return fmt.Errorf("name: want small letters, digits and _")
	case v.Kind != intValue && v.Kind != textValue && v.Kind != anyValue:
		return fmt.Errorf("kind: want int, text or any")
	case v.Kind != intValue && (v.Min != nil || v.Max != nil), v.Kind != textValue && len(v.In) > 0, len(v.In) > maxListed:
		return fmt.Errorf("bounds that a value of this kind does not have, or too many")
	}
	if least, most := bounds(v); least > most {
		return fmt.Errorf("min is above max")
	}
	return nil
}

// bounds returns what an int may be: not negative, unless min says so.
func bounds(v *op.SQLValue) (least, most int64) {
	least, most = 0, math.MaxInt64
	if v.Min != nil {
		least = *v.Min
	}
	if v.Max != nil {
		most = *v.Max
	}
	return least, most
}

// own are the kinds that a list of statements says nothing of.
var own = []string{Connect, Session, "transaction"}

// ownOnly reports whether s is of such kinds and touches nothing.
func (s *Statement) ownOnly() bool {
	for _, k := range s.Kinds {
		if !slices.Contains(own, k) {
			return false
		}
	}
	return len(s.Relations)+len(s.Functions)+len(s.Operators) == 0 //guard-true:R3/sql statement-own
}

// signed returns the statement of d that a and f are an execution of, and its named
// values; nil if d lists no statements, or nothing is said of statements of that kind.
func signed(a *Asked, f *Found, d *op.SQL) (*op.SQLStatement, map[string]any, error) {
	s, err := f.listed(d)
	if s == nil || err != nil {
		return nil, nil, err
	}
	if len(a.Params) != len(s.Values) || len(a.Types) > len(s.Values) { //guard:R3/sql values-counted
		return nil, nil, fmt.Errorf("%w: %s takes %d values", ErrSQL, s.ID, len(s.Values))
	}
	values := make(map[string]any)
	for i := range s.Values {
		v := &s.Values[i]
		var typ uint32
		if i < len(a.Types) {
			typ = a.Types[i]
		}
		x, err := bounded(v, a.Params[i], typ)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %s: %s: %w", ErrSQL, s.ID, v.Name, err)
		}
		if x != nil {
			values[v.Name] = x
		}
	}
	for _, x := range s.Fixed {
		values[x.Name] = x.Is
	}
	return s, values, nil
}

// listed returns the statement of d whose text is f's.
func (f *Found) listed(d *op.SQL) (*op.SQLStatement, error) {
	if len(d.Statements) == 0 || f.Statement.ownOnly() {
		return nil, nil
	}
	i := slices.IndexFunc(d.Statements, func(s op.SQLStatement) bool { return s.Text == f.Text })
	if i < 0 { //guard:R3/sql statement-signed
		return nil, fmt.Errorf("%w: the policy lists statements, and this is none of them; its written form is: %s", ErrSQL, first(f.Text))
	}
	return &d.Statements[i], nil
}

// Prepared returns nil if d lists all that f touches and its text, whatever its
// values will be. SPEC SQL-8, SQL-11.
func (f *Found) Prepared(d *op.Declaration) error {
	if err := f.Statement.Declared(d); err != nil || d.SQL == nil {
		return err
	}
	_, err := f.listed(d.SQL)
	return err
}

// bounded returns a value as rules see it, nil where they do not, or why it is not
// one that v allows.
func bounded(v *op.SQLValue, text *string, typ uint32) (any, error) {
	if types := valueTypes[v.Kind]; types != nil && !slices.Contains(types, typ) { //guard:R3/sql value-type
		return nil, fmt.Errorf("a value of the type %d could be another than its text", typ)
	}
	if text == nil {
		if !v.Null { //guard:R3/sql value-null
			return nil, fmt.Errorf("NULL is not allowed")
		}
		return nil, nil
	}
	switch v.Kind {
	case anyValue:
		return nil, nil
	case intValue:
		n, err := strconv.ParseInt(*text, 10, 64)
		least, most := bounds(v)
		if err != nil || !plainInt.MatchString(*text) || n < least || n > most { //guard:R3/sql value-bounds
			return nil, fmt.Errorf("want a whole number in text form from %d to %d", least, most)
		}
		return n, nil
	}
	if strings.IndexByte(*text, 0) >= 0 || len(v.In) > 0 && !slices.Contains(v.In, *text) { //guard:R3/sql value-listed
		return nil, fmt.Errorf("not one of those that are listed, or not in text form")
	}
	return *text, nil
}

// signedShape returns what rules see of statements that d lists.
func signedShape(d *op.SQL) []op.Field {
	if d == nil || len(d.Statements) == 0 {
		return nil
	}
	var fields []op.Field
	add := func(name string, t op.FieldType) {
		if !slices.ContainsFunc(fields, func(f op.Field) bool { return f.Name == name }) {
			fields = append(fields, op.Field{Name: name, Type: t})
		}
	}
	for _, s := range d.Statements {
		for _, v := range s.Values {
			switch v.Kind {
			case intValue:
				add(v.Name, op.Int)
			case textValue:
				add(v.Name, op.Text)
			}
		}
		for _, f := range s.Fixed {
			add(f.Name, op.Int)
		}
	}
	out := []op.Field{{Name: "statement", Type: op.Text}}
	if len(fields) > 0 {
		out = append(out, op.Field{Name: "values", Type: op.Record, Fields: fields})
	}
	return out
}

// Amount returns whether statements that d lists have an int of the name, and whether
// each of them has one that is never NULL.
func Amount(d *op.SQL, name string) (some, each bool) {
	each = true
	for _, s := range d.Statements {
		has := slices.ContainsFunc(s.Values, func(v op.SQLValue) bool { return v.Name == name && v.Kind == intValue && !v.Null }) ||
			slices.ContainsFunc(s.Fixed, func(f op.SQLFixed) bool { return f.Name == name })
		some, each = some || has, each && has
	}
	return some, some && each
}
