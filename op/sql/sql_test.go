package sql_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

var update = flag.Bool("update", false, "write vectors/sql from the cases in this package")

const folder = "../../vectors/sql/"

func salt() op.Facts { return op.Facts{Salt: bytes.Repeat([]byte{7}, 16)} }

func ptr(s string) *string { return &s }

// declared lists all that statement touches, and nothing else.
func declared() *op.Declaration {
	return &op.Declaration{
		Type: "sql", Targets: []string{"shop"}, Actions: []string{"sql:select", "sql:update"},
		SQL: &op.SQL{
			Relations: []op.SQLRelation{
				{Name: "public.customers", Read: []string{"*"}, Lock: true},
				{Name: "public.orders", Read: []string{"id", "note"}, Insert: []string{"id"}, Update: []string{"note"}, Delete: true, Truncate: true},
				{Name: "public.seq", Usage: true},
			},
			Functions: []string{"@scalar", "public.f", "public.g(text)"}, Types: []string{"public.mood"}, Settings: []string{"statement_timeout"}, Channels: []string{"jobs", "Other"},
			Mask: []string{"public.customers.card"},
		},
	}
}

// statement touches something of every sort.
func statement() *sql.Statement {
	return &sql.Statement{
		Kinds: []string{"select", "update"},
		Relations: []sql.Relation{
			{Schema: "public", Name: "customers", Mode: sql.Lock}, {Schema: "public", Name: "customers", Mode: sql.Read},
			{Schema: "public", Name: "orders", Mode: sql.Delete}, {Schema: "public", Name: "orders", Mode: sql.Insert},
			{Schema: "public", Name: "orders", Mode: sql.Truncate}, {Schema: "public", Name: "orders", Mode: sql.Update},
			{Schema: "public", Name: "seq", Mode: sql.Usage},
		},
		Reads:     []sql.Column{{Schema: "public", Table: "customers", Name: "card"}, {Schema: "public", Table: "orders", Name: "id"}},
		Shown:     []sql.Column{{Schema: "public", Table: "customers", Name: "card"}},
		Inserts:   []sql.Column{{Schema: "public", Table: "orders", Name: "id"}},
		Updates:   []sql.Column{{Schema: "public", Table: "orders", Name: "note"}},
		Functions: []string{"pg_catalog.lower(text)", "public.f(int4)", "public.f(text)"}, Operators: []string{"public.g(text)"}, Types: []string{"public.mood"},
		Underlying: []string{"public.hidden"}, Where: true, Limit: 10, Params: 1, Set: &sql.Setting{Name: "statement_timeout", Value: "5s"},
		Channels: []string{"jobs"},
	}
}

func operation(t testing.TB, a *sql.Asked, f *sql.Found) *op.Operation {
	t.Helper()
	o, err := sql.NewOperation(a, f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func asked() *sql.Asked {
	return &sql.Asked{Target: "shop", Text: "select …", Params: []*string{ptr("a"), nil}}
}

func found() *sql.Found {
	return &sql.Found{Facts: salt(), Statement: *statement(), Text: "SELECT …", Catalog: "1"}
}

// A change makes a document or declaration that must be refused of one that is not.
type change struct {
	name        string
	asked       func(*sql.Asked)
	found       func(*sql.Found)
	declaration func(*op.Declaration)
}

// undeclared are changes after which a statement touches what is not declared.
func undeclared() []change {
	statement := func(name string, f func(*sql.Statement)) change {
		return change{name: name, found: func(x *sql.Found) { f(&x.Statement) }}
	}
	relations := func(name string, f func(r []op.SQLRelation)) change {
		return change{name: name, declaration: func(d *op.Declaration) { f(d.SQL.Relations) }}
	}
	return []change{
		{name: "target", asked: func(a *sql.Asked) { a.Target = "other" }},
		statement("kind", func(s *sql.Statement) { s.Kinds = []string{"delete", "select", "update"} }),
		statement("relation", func(s *sql.Statement) { s.Relations[0].Name = "cards" }),
		statement("schema", func(s *sql.Statement) { s.Relations[0].Schema = "audit" }),
		statement("mode", func(s *sql.Statement) { s.Relations[6].Mode = "write" }),
		statement("column read", func(s *sql.Statement) { s.Reads[1].Name = "total" }),
		statement("column inserted", func(s *sql.Statement) { s.Inserts[0].Name = "note" }),
		statement("column updated", func(s *sql.Statement) { s.Updates[0].Name = "id" }),
		statement("function", func(s *sql.Statement) { s.Functions[0] = "pg_catalog.pg_read_file(text)" }),
		statement("overload", func(s *sql.Statement) { s.Operators[0] = "public.g(int4)" }),
		statement("function of another schema", func(s *sql.Statement) { s.Functions = []string{"public.lower(text)"} }),
		statement("type", func(s *sql.Statement) { s.Types[0] = "public.other" }),
		statement("channel", func(s *sql.Statement) { s.Channels[0] = "other" }),
		statement("setting", func(s *sql.Statement) { s.Set.Name = "search_path" }),
		statement("masked, and used", func(s *sql.Statement) { s.Shown = nil }),
		statement("masked, and another shown", func(s *sql.Statement) { s.Shown[0].Name = "id" }),
		relations("no lock", func(r []op.SQLRelation) { r[0].Lock = false }),
		relations("no read", func(r []op.SQLRelation) { r[0].Read = nil }),
		relations("no insert", func(r []op.SQLRelation) { r[1].Insert = nil }),
		relations("no update", func(r []op.SQLRelation) { r[1].Update = nil }),
		relations("no delete", func(r []op.SQLRelation) { r[1].Delete = false }),
		relations("no truncate", func(r []op.SQLRelation) { r[1].Truncate = false }),
		relations("no usage", func(r []op.SQLRelation) { r[2].Usage = false }),
		{name: "nothing of SQL", declaration: func(d *op.Declaration) { d.SQL = nil }},
	}
}

// malformed are changes after which a document is not in its one form.
func malformed() []change {
	statement := func(name string, f func(*sql.Statement)) change {
		return change{name: name, found: func(x *sql.Found) { f(&x.Statement) }}
	}
	return []change{
		{name: "no salt", found: func(f *sql.Found) { f.Salt = nil }},
		{name: "short salt", found: func(f *sql.Found) { f.Salt = f.Salt[:15] }},
		{name: "no target", asked: func(a *sql.Asked) { a.Target = "" }},
		{name: "long text", asked: func(a *sql.Asked) { a.Text = string(make([]byte, 256<<10+1)) }},
		statement("no kind", func(s *sql.Statement) { s.Kinds = nil }),
		statement("kinds not sorted", func(s *sql.Statement) { slices.Reverse(s.Kinds) }),
		statement("kind twice", func(s *sql.Statement) { s.Kinds = []string{"select", "select"} }),
		statement("relations not sorted", func(s *sql.Statement) { slices.Reverse(s.Relations) }),
		statement("reads not sorted", func(s *sql.Statement) { slices.Reverse(s.Reads) }),
		statement("shown twice", func(s *sql.Statement) { s.Shown = append(s.Shown, s.Shown[0]) }),
		statement("read twice", func(s *sql.Statement) { s.Reads[0] = s.Reads[1] }),
		statement("channel twice", func(s *sql.Statement) { s.Channels = []string{"jobs", "jobs"} }),
		statement("functions not sorted", func(s *sql.Statement) { slices.Reverse(s.Functions) }),
	}
}

// introspection are changes that leave a statement on catalogs, declared by
// introspection and nothing else; the first is permitted.
func introspection() []change {
	catalog := func(name string, f func(*sql.Statement)) change {
		return change{name: "introspection" + name, declaration: func(d *op.Declaration) { d.SQL = &op.SQL{Introspection: true} },
			asked: func(a *sql.Asked) { a.Params = nil },
			found: func(x *sql.Found) {
				x.Statement = sql.Statement{Kinds: []string{"select"}, Relations: []sql.Relation{{Schema: "pg_catalog", Name: "pg_roles", Mode: sql.Read}},
					Reads:     []sql.Column{{Schema: "pg_catalog", Table: "pg_roles", Name: "rolname"}},
					Functions: []string{"pg_catalog.array_agg(anynonarray)", "pg_catalog.pg_table_is_visible(oid)"}, Types: []string{"information_schema.sql_identifier"}, Where: true, Limit: sql.NoLimit}
				f(&x.Statement)
			}}
	}
	return []change{
		catalog("", func(*sql.Statement) {}),
		catalog(" not turned on", func(*sql.Statement) {}),
		catalog(", a hidden column", func(s *sql.Statement) { s.Reads[0].Name = "rolpassword" }),
		catalog(", another relation", func(s *sql.Statement) { s.Relations[0].Name = "pg_authid" }),
		catalog(", of another schema", func(s *sql.Statement) { s.Relations[0].Schema, s.Reads[0].Schema = "public", "public" }),
		catalog(", a lock", func(s *sql.Statement) { s.Relations[0].Mode = sql.Lock }),
		catalog(", written", func(s *sql.Statement) { s.Inserts, s.Reads = s.Reads, nil }),
		catalog(", another function", func(s *sql.Statement) { s.Functions = []string{"pg_catalog.pg_read_file(text)"} }),
		catalog(", another type", func(s *sql.Statement) { s.Types[0] = "public.mood" }),
	}
}

// TestIntrospection permits what reads catalogs and no more. SPEC SQL-10.
//
// R3/sql
// guard: introspection-relation, introspection-column
func TestIntrospection(t *testing.T) {
	for i, c := range introspection() {
		o, d := apply(t, c)
		if i == 1 {
			d.SQL.Introspection = false
		}
		v, err := (sql.Mapper{}).View(o, d)
		if (err == nil) != (i == 0) {
			t.Errorf("%s: %v", c.name, err)
		}
		if i == 0 && v.Context["introspection"] != true {
			t.Errorf("rules see %v", v.Context)
		}
	}
}

// apply returns the operation and declaration after a change.
func apply(t testing.TB, c change) (*op.Operation, *op.Declaration) {
	t.Helper()
	a, f, d := asked(), found(), declared()
	if c.asked != nil {
		c.asked(a)
	}
	if c.found != nil {
		c.found(f)
	}
	if c.declaration != nil {
		c.declaration(d)
	}
	return operation(t, a, f), d
}

// TestUndeclared refuses each thing that is not declared, and what is not in its
// one form. SPEC SQL-1, SQL-2, SQL-8.
//
// R3/sql, R15/sql
// guard: sql-target-declared, kind-declared, relation-declared, column-declared, function-declared, type-declared, setting-declared, channel-declared, masked-shown, sql-salt
func TestUndeclared(t *testing.T) {
	if _, err := (sql.Mapper{}).View(operation(t, asked(), found()), declared()); err != nil {
		t.Fatal(err)
	}
	for _, c := range append(undeclared(), malformed()...) {
		o, d := apply(t, c)
		if v, err := (sql.Mapper{}).View(o, d); !errors.Is(err, sql.ErrSQL) {
			t.Errorf("%s: %v, %v", c.name, v, err)
		}
	}
	for _, c := range undeclared()[1:] { // a statement by itself has no target
		_, d := apply(t, c)
		f := found()
		if c.found != nil {
			c.found(f)
		}
		if err := f.Statement.Declared(d); !errors.Is(err, sql.ErrSQL) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := statement().Declared(declared()); err != nil {
		t.Error(err)
	}
}

// TestDocumentType refuses a document of another type, though it reads as one of
// this. SPEC SQL-1.
//
// R15/sql
// guard: sql-document-type
func TestDocumentType(t *testing.T) {
	o := operation(t, asked(), found())
	other := &op.Operation{Type: "http/1", Asked: o.Asked, Found: o.Found}
	if _, err := (sql.Mapper{}).View(other, declared()); !errors.Is(err, sql.ErrSQL) {
		t.Errorf("http/1: %v", err)
	}
	for name, o := range map[string]*op.Operation{
		"asked": {Type: sql.DocumentType, Asked: []byte{0xa0, 0}, Found: o.Found}, "found": {Type: sql.DocumentType, Asked: o.Asked, Found: []byte{0xff}},
	} {
		if _, err := (sql.Mapper{}).View(o, declared()); !errors.Is(err, sql.ErrSQL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheck refuses declarations that are not of this type. SPEC SQL-7.
//
// A11
// guard: sql-declaration-list
func TestCheck(t *testing.T) {
	if err := (sql.Mapper{}).Check(declared()); err != nil {
		t.Fatal(err)
	}
	if err := (sql.Mapper{}).Check(&op.Declaration{Type: "sql", Targets: []string{"a"}, Actions: []string{"sql:connect", "sql:explain"}}); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(*op.Declaration){
		"type":             func(d *op.Declaration) { d.Type = "http" },
		"body":             func(d *op.Declaration) { d.Body = new(op.Body) },
		"headers":          func(d *op.Declaration) { d.Headers = []string{"accept"} },
		"no target":        func(d *op.Declaration) { d.Targets = nil },
		"empty target":     func(d *op.Declaration) { d.Targets = []string{""} },
		"target twice":     func(d *op.Declaration) { d.Targets = []string{"a", "a"} },
		"no action":        func(d *op.Declaration) { d.Actions = nil },
		"unknown action":   func(d *op.Declaration) { d.Actions = []string{"sql:drop"} },
		"action of http":   func(d *op.Declaration) { d.Actions = []string{"http:GET"} },
		"relation":         func(d *op.Declaration) { d.SQL.Relations[0].Name = "orders" },
		"relation twice":   func(d *op.Declaration) { d.SQL.Relations[1].Name = d.SQL.Relations[0].Name },
		"empty column":     func(d *op.Declaration) { d.SQL.Relations[0].Read = []string{""} },
		"column twice":     func(d *op.Declaration) { d.SQL.Relations[0].Update = []string{"a", "a"} },
		"function":         func(d *op.Declaration) { d.SQL.Functions = []string{"lower"} },
		"unknown list":     func(d *op.Declaration) { d.SQL.Functions = []string{"@all"} },
		"function twice":   func(d *op.Declaration) { d.SQL.Functions = []string{"public.f", "public.f"} },
		"type without":     func(d *op.Declaration) { d.SQL.Types = []string{"mood"} },
		"setting in upper": func(d *op.Declaration) { d.SQL.Settings = []string{"TimeZone"} },
		"setting empty":    func(d *op.Declaration) { d.SQL.Settings = []string{""} },
		"mask of a table":  func(d *op.Declaration) { d.SQL.Mask = []string{"public.customers"} },
		"mask twice":       func(d *op.Declaration) { d.SQL.Mask = []string{"a.b.c", "a.b.c"} },
		"channel empty":    func(d *op.Declaration) { d.SQL.Channels = []string{""} },
		"channel too long": func(d *op.Declaration) { d.SQL.Channels = []string{strings.Repeat("a", 64)} },
		"channel twice":    func(d *op.Declaration) { d.SQL.Channels = []string{"a", "a"} },
		"too many":         func(d *op.Declaration) { d.SQL.Relations = make([]op.SQLRelation, 1025) },
	} {
		d := declared()
		f(d)
		if err := (sql.Mapper{}).Check(d); !errors.Is(err, sql.ErrSQL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAction gives a statement the action of what it changes most. SPEC SQL-8.
func TestAction(t *testing.T) {
	for _, outer := range []string{"copy", "explain", "session"} { // what is inside says more
		for _, inner := range []string{"select", "insert", "update", "delete"} {
			if got := (&sql.Statement{Kinds: []string{outer, inner}}).Action(); got != "sql:"+inner {
				t.Errorf("%s of %s: %s", outer, inner, got)
			}
		}
	}
	for want, kinds := range map[string][]string{
		"sql:select": {"explain", "select"}, "sql:delete": {"delete", "insert", "select", "update"}, "sql:insert": {"insert", "select"}, "sql:set": {"set"}, "sql:connect": {"connect"},
		"sql:session": {"session"},
	} {
		if got := (&sql.Statement{Kinds: kinds}).Action(); got != want {
			t.Errorf("%q: %s, want %s", kinds, got, want)
		}
	}
}

// TestWith gives EXECUTE and FETCH what they carry out beside what they do
// themselves. SPEC SQL-9.
//
// R3/sql
func TestWith(t *testing.T) {
	own := &sql.Statement{Kinds: []string{"session"}, Functions: []string{"public.f(text)", "public.z()"}, Where: true, Limit: sql.NoLimit}
	inner := statement()
	inner.Where = false
	got := own.With(inner)
	if !slices.Equal(got.Kinds, inner.Kinds) || got.Where || got.Limit != 10 || got.Params != 1 {
		t.Errorf("%+v", got)
	}
	if want := []string{"pg_catalog.lower(text)", "public.f(int4)", "public.f(text)", "public.z()"}; !slices.Equal(got.Functions, want) {
		t.Errorf("functions %q", got.Functions)
	}
	all := new(sql.Statement).With(inner)
	all.Set = nil
	for _, both := range []*sql.Statement{all, inner.With(&sql.Statement{Kinds: []string{"select"}, Where: true})} { // whichever of the two has it
		both.Where, both.Limit, both.Params = true, 10, 1
		for _, c := range []bool{
			slices.Equal(both.Relations, inner.Relations), slices.Equal(both.Reads, inner.Reads), slices.Equal(both.Inserts, inner.Inserts), slices.Equal(both.Updates, inner.Updates),
			slices.Equal(both.Functions, inner.Functions), slices.Equal(both.Operators, inner.Operators), slices.Equal(both.Types, inner.Types),
			slices.Equal(both.Underlying, inner.Underlying), slices.Equal(both.Channels, inner.Channels), slices.Equal(both.Kinds, inner.Kinds),
		} {
			if !c {
				t.Errorf("%+v", both)
			}
		}
	}
}

// A vector is one case of vectors/sql/document.json.
type vector struct {
	Name        string          `json:"name"`
	Declaration *op.Declaration `json:"declaration"`
	Asked       string          `json:"asked"` // hexadecimal
	Found       string          `json:"found"`
	Digest      string          `json:"digest,omitempty"` // of the operation
	View        json.RawMessage `json:"view,omitempty"`
	Refused     bool            `json:"refused,omitempty"`
}

// vectors returns the cases as the code has them.
func vectors(t *testing.T) (out []vector) {
	t.Helper()
	cases := append([]change{{name: "everything"},
		{name: "nothing", found: func(f *sql.Found) {
			f.Statement = sql.Statement{Kinds: []string{"select"}, Where: true, Limit: sql.NoLimit}
		},
			asked: func(a *sql.Asked) { a.Params = nil }, declaration: func(d *op.Declaration) { d.SQL = nil }},
		{name: "connect", found: func(f *sql.Found) {
			*f = sql.Found{Facts: salt(), Statement: sql.Statement{Kinds: []string{sql.Connect}, Where: true, Limit: sql.NoLimit}}
		}, asked: func(a *sql.Asked) { a.Text, a.Params = "", nil }, declaration: func(d *op.Declaration) { d.Actions = []string{"sql:connect"} }},
	}, undeclared()...)
	for _, c := range slices.Concat(cases, introspection(), signed(), malformed()) {
		if c.name == "long text" {
			continue
		}
		o, d := apply(t, c)
		if strings.HasSuffix(c.name, "not turned on") {
			d.SQL.Introspection = false
		}
		v := vector{Name: c.name, Declaration: d, Asked: hex.EncodeToString(o.Asked), Found: hex.EncodeToString(o.Found)}
		if view, err := (sql.Mapper{}).View(o, d); err != nil {
			v.Refused = true
		} else {
			v.Digest = o.Digest().String()
			b, err := json.Marshal(view)
			if err != nil {
				t.Fatal(err)
			}
			v.View = b
		}
		out = append(out, v)
	}
	return out
}

// TestManyValues has as many bind values in a document as the protocol can count, and no
// more. SPEC SQL-1.
//
// R15/sql
func TestManyValues(t *testing.T) {
	for n, ok := range map[int]bool{4097: true, 65535: true, 65536: false} {
		a := asked()
		a.Params, a.Types = make([]*string, n), make([]uint32, n)
		for i := range a.Params {
			a.Params[i], a.Types[i] = ptr("7"), 23
		}
		o, err := sql.NewOperation(a, found())
		if err != nil && ok {
			t.Fatal(err)
		}
		if err != nil {
			continue
		}
		v, err := sql.Mapper{}.View(&op.Operation{Type: o.Type, Asked: o.Asked, Found: o.Found}, declared())
		if (err == nil) != ok || ok && v.Context["params"] != int64(n) {
			t.Errorf("%d values: %v", n, err)
		}
	}
}

// TestVectors compares documents and views with vectors/sql. SPEC SQL-1, SQL-2, SQL-8.
//
// R5/sql
func TestVectors(t *testing.T) {
	const name = folder + "document.json"
	got, err := json.MarshalIndent(map[string]any{"type": sql.DocumentType, "version": 1, "cases": vectors(t)}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code makes", name)
	}
	var file struct{ Cases []vector }
	if err := json.Unmarshal(want, &file); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, v := range file.Cases { // from the file alone
		a, errA := hex.DecodeString(v.Asked)
		f, errF := hex.DecodeString(v.Found)
		if errA != nil || errF != nil {
			t.Fatal(v.Name)
		}
		o := &op.Operation{Type: sql.DocumentType, Asked: a, Found: f}
		_, err := (sql.Mapper{}).View(o, v.Declaration)
		if (err != nil) != v.Refused {
			t.Errorf("%s: %v", v.Name, err)
		}
		if v.Refused {
			refused++
		}
	}
	if len(file.Cases) < 30 || refused < 25 {
		t.Errorf("%d cases, %d refused", len(file.Cases), refused)
	}
}

// FuzzView views any document: no panic, and the same view twice.
//
// A11
func FuzzView(f *testing.F) {
	o, err := sql.NewOperation(asked(), found())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(o.Asked, o.Found)
	f.Add([]byte{0xa0}, []byte{0xa0})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		first, err := (sql.Mapper{}).View(&op.Operation{Type: sql.DocumentType, Asked: a, Found: b}, declared())
		if err != nil {
			if !errors.Is(err, sql.ErrSQL) {
				t.Fatal(err)
			}
			return
		}
		second, err := (sql.Mapper{}).View(&op.Operation{Type: sql.DocumentType, Asked: a, Found: b}, declared())
		if err != nil {
			t.Fatal(err)
		}
		x, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		y, err := json.Marshal(second)
		if err != nil || !bytes.Equal(x, y) {
			t.Fatalf("%s\n%s, %v", x, y, err)
		}
	})
}
