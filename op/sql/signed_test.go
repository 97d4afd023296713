package sql_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

const refundText = "UPDATE public.orders SET note = $3 WHERE id = $1 AND total <= $2"

func num(n int64) *int64 { return &n }

// statements lists two statements: one with a value of each kind, one with none.
func statements() []op.SQLStatement {
	return []op.SQLStatement{
		{ID: "refund", Text: refundText, Values: []op.SQLValue{
			{Name: "id", Kind: "int", Min: num(-9), Max: num(9)}, {Name: "total", Kind: "int", Max: num(500), Null: true},
			{Name: "state", Kind: "text", In: []string{"a", "b"}}, {Name: "rest", Kind: "any"},
		}},
		{ID: "list_all", Text: "SELECT note FROM public.orders", Fixed: []op.SQLFixed{{Name: "total", Is: 0}}},
	}
}

// signed are changes to a document and declaration with a list of statements. The
// first four are permitted.
func signed() []change {
	execution := func(name string, f func(*sql.Asked, *sql.Found)) change {
		a, x := asked(), found()
		a.Params, a.Types = []*string{ptr("7"), ptr("500"), ptr("a"), ptr("\x0000")}, []uint32{23, 0, 25}
		x.Text = refundText
		f(a, x)
		return change{name: "signed: " + name, asked: func(o *sql.Asked) { *o = *a }, found: func(o *sql.Found) { *o = *x },
			declaration: func(d *op.Declaration) {
				d.Actions = append(d.Actions, "sql:session", "sql:transaction", "sql:set")
				d.SQL.Statements = statements()
			}}
	}
	value := func(i int, v string) change {
		return execution("value "+v, func(a *sql.Asked, _ *sql.Found) { a.Params[i] = &v })
	}
	bare := func(kinds ...string) sql.Statement {
		return sql.Statement{Kinds: kinds, Where: true, Limit: sql.NoLimit}
	}
	return []change{
		execution("as listed", func(*sql.Asked, *sql.Found) {}),
		execution("NULL where it may be", func(a *sql.Asked, _ *sql.Found) { a.Params[0], a.Params[1], a.Types = ptr("-9"), nil, nil }),
		execution("without values", func(a *sql.Asked, f *sql.Found) {
			a.Params, a.Types, f.Text = nil, nil, statements()[1].Text
		}),
		execution("of the session", func(a *sql.Asked, f *sql.Found) {
			a.Params, a.Types, f.Text, f.Statement = nil, nil, "COMMIT", bare("transaction")
		}),
		execution("another text", func(_ *sql.Asked, f *sql.Found) { f.Text += " " }),
		execution("no relations", func(a *sql.Asked, f *sql.Found) {
			a.Params, a.Types, f.Text, f.Statement = nil, nil, "SELECT 1", bare("select")
		}),
		execution("SET", func(a *sql.Asked, f *sql.Found) {
			a.Params, a.Types, f.Text, f.Statement = nil, nil, "SET timezone TO utc", bare("set")
		}),
		execution("EXECUTE alone", func(a *sql.Asked, f *sql.Found) {
			a.Params, a.Types, f.Text, f.Statement = nil, nil, "EXECUTE a(public.f(1))", bare("session")
			f.Statement.Functions = []string{"public.f(int4)"}
		}),
		execution("too few values", func(a *sql.Asked, _ *sql.Found) { a.Params, a.Types = a.Params[:3], nil }),
		execution("too many values", func(a *sql.Asked, _ *sql.Found) { a.Params = append(a.Params, nil) }),
		execution("too many types", func(a *sql.Asked, _ *sql.Found) { a.Types = make([]uint32, 5) }),
		execution("NULL", func(a *sql.Asked, _ *sql.Found) { a.Params[0] = nil }),
		execution("a type that wraps", func(a *sql.Asked, _ *sql.Found) { a.Types[0] = 26 }),
		execution("a type that rounds", func(a *sql.Asked, _ *sql.Found) { a.Types[1] = 700 }),
		execution("a type that cuts", func(a *sql.Asked, _ *sql.Found) { a.Types[2] = 18 }),
		execution("an undeclared relation", func(_ *sql.Asked, f *sql.Found) { f.Statement.Relations[0].Name = "cards" }),
		value(0, "10"), value(0, "-10"), value(0, "07"), value(0, "+7"), value(0, " 7"), value(0, "7.0"), value(0, "-0"), value(0, "0x7"), value(0, "1_0"), value(0, ""),
		value(0, "99999999999999999999"), value(0, "\x00000007"), value(1, "501"), value(1, "-1"), value(2, "c"), value(2, "A"), value(2, "\x0061"),
	}
}

// TestSigned permits the statements that a policy lists, with values within their
// bounds, and no others. SPEC SQL-11.
//
// R3/sql, A7
// guard: statement-signed, statement-own, values-counted, value-type, value-null, value-bounds, value-listed
func TestSigned(t *testing.T) {
	want := []map[string]any{
		{"statement": "refund", "values": map[string]any{"id": int64(7), "total": int64(500), "state": "a"}},
		{"statement": "refund", "values": map[string]any{"id": int64(-9), "state": "a"}},
		{"statement": "list_all", "values": map[string]any{"total": int64(0)}},
		{},
	}
	for i, c := range signed() {
		o, d := apply(t, c)
		v, err := (sql.Mapper{}).View(o, d)
		if i >= len(want) {
			if !errors.Is(err, sql.ErrSQL) {
				t.Errorf("%s: %v", c.name, v)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, k := range []string{"statement", "values"} {
			if !reflect.DeepEqual(v.Context[k], want[i][k]) {
				t.Errorf("%s: %s %v", c.name, k, v.Context[k])
			}
		}
	}
}

// TestPrepared looks at a statement before its values are known.
//
// R3/sql
// guard: statement-signed
func TestPrepared(t *testing.T) {
	d := declared()
	d.SQL.Statements = statements()
	f := found()
	if err := f.Prepared(d); !errors.Is(err, sql.ErrSQL) || !strings.Contains(err.Error(), f.Text) {
		t.Errorf("another text: %v", err)
	}
	f.Text = refundText
	if err := f.Prepared(d); err != nil {
		t.Error(err)
	}
	f.Statement.Relations[0].Name = "cards"
	if err := f.Prepared(d); !errors.Is(err, sql.ErrSQL) {
		t.Errorf("undeclared: %v", err)
	}
}

// TestCheckStatements refuses lists that are not of this form. SPEC SQL-11.
//
// A11
// guard: statement-once, value-once
func TestCheckStatements(t *testing.T) {
	check := func(f func(*op.SQL)) error {
		d := declared()
		d.SQL.Statements = statements()
		f(d.SQL)
		return (sql.Mapper{}).Check(d)
	}
	if err := check(func(*op.SQL) {}); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*op.SQL){
		"id twice":           func(s *op.SQL) { s.Statements[1].ID = "refund" },
		"text twice":         func(s *op.SQL) { s.Statements[1].Text = refundText },
		"no text":            func(s *op.SQL) { s.Statements[0].Text = "" },
		"id":                 func(s *op.SQL) { s.Statements[0].ID = "Re fund" },
		"long id":            func(s *op.SQL) { s.Statements[0].ID = strings.Repeat("a", 65) },
		"name":               func(s *op.SQL) { s.Statements[0].Values[0].Name = "1" },
		"name twice":         func(s *op.SQL) { s.Statements[0].Values[0].Name = "total" },
		"name of two kinds":  func(s *op.SQL) { s.Statements[0].Values[2].Name, s.Statements[1].Fixed[0].Name = "x", "x" },
		"fixed twice":        func(s *op.SQL) { s.Statements[1].Fixed = append(s.Statements[1].Fixed, s.Statements[1].Fixed[0]) },
		"fixed name":         func(s *op.SQL) { s.Statements[1].Fixed[0].Name = "" },
		"kind":               func(s *op.SQL) { s.Statements[0].Values[0].Kind = "float" },
		"min of text":        func(s *op.SQL) { s.Statements[0].Values[2].Min = num(1) },
		"max of any":         func(s *op.SQL) { s.Statements[0].Values[3].Max = num(1) },
		"list of int":        func(s *op.SQL) { s.Statements[0].Values[0].In = []string{"1"} },
		"min above max":      func(s *op.SQL) { s.Statements[0].Values[0].Min = num(10) },
		"max below nothing":  func(s *op.SQL) { s.Statements[0].Values[1].Max = num(-1) },
		"too many values":    func(s *op.SQL) { s.Statements[0].Values = make([]op.SQLValue, 65) },
		"too many statement": func(s *op.SQL) { s.Statements = make([]op.SQLStatement, 257) },
	} {
		if err := check(f); !errors.Is(err, sql.ErrSQL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAmount finds ints that statements have, each of them or some.
func TestAmount(t *testing.T) {
	d := &op.SQL{Statements: statements()}
	d.Statements[0].Values[1].Null = false
	for name, want := range map[string][2]bool{"total": {true, true}, "id": {true, false}, "state": {}, "rest": {}, "nothing": {}} {
		if some, each := sql.Amount(d, name); some != want[0] || each != want[1] {
			t.Errorf("%s: %t, %t", name, some, each)
		}
	}
	d.Statements[0].Values[1].Null = true
	if some, each := sql.Amount(d, "total"); !some || each {
		t.Errorf("total that may be NULL: %t, %t", some, each)
	}
	if some, each := sql.Amount(new(op.SQL), "total"); some || each {
		t.Error("no statements have an amount")
	}
}
