package sql_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

// plain are changes of what is permitted that leave it so.
func plain() []change {
	list := []change{{name: "nothing"}}
	for _, n := range []int{0, 23, 24, 255, 256, 65535, 65536} {
		list = append(list,
			change{name: fmt.Sprint("text of ", n), found: func(f *sql.Found) { f.Text = strings.Repeat("x", n) }},
			change{name: fmt.Sprint("catalog of ", n), found: func(f *sql.Found) { f.Catalog = strings.Repeat("x", n) }},
			change{name: fmt.Sprint("asked of ", n), asked: func(a *sql.Asked) { a.Text = strings.Repeat("x", n) }})
	}
	return append(list,
		change{name: "no values", asked: func(a *sql.Asked) { a.Params = nil }},
		change{name: "types", asked: func(a *sql.Asked) { a.Types = []uint32{23} }},
		change{name: "empty lists", found: func(f *sql.Found) {
			f.Statement = sql.Statement{Kinds: []string{"select"}, Reads: []sql.Column{}, Functions: []string{}, Limit: sql.NoLimit}
		}})
}

// garbled are changes to text that is not UTF-8, or to what is too large.
func garbled() []change {
	const bad = "a\xff"
	return []change{
		{name: "asked text", asked: func(a *sql.Asked) { a.Text = bad }},
		{name: "target", asked: func(a *sql.Asked) { a.Target = bad }, declaration: func(d *op.Declaration) { d.Targets = []string{bad} }},
		{name: "value", asked: func(a *sql.Asked) { a.Params[0] = ptr(bad) }},
		{name: "source", asked: func(a *sql.Asked) { a.Source = "elsewhere" }},
		{name: "values", asked: func(a *sql.Asked) { a.Params = make([]*string, 65536) }},
		{name: "types", asked: func(a *sql.Asked) { a.Types = make([]uint32, 65536) }},
		{name: "text", found: func(f *sql.Found) { f.Text = bad }},
		{name: "long text that runs", found: func(f *sql.Found) { f.Text = strings.Repeat("x", 512<<10+1) }},
		{name: "catalog", found: func(f *sql.Found) { f.Catalog = bad }},
		{name: "function", found: func(f *sql.Found) { f.Statement.Functions[0] = bad }, declaration: func(d *op.Declaration) { d.SQL.Functions = []string{"@scalar", "public.f", "public.g(text)", bad} }},
		{name: "columns", found: func(f *sql.Found) {
			f.Statement.Reads = nil
			for i := range 4097 {
				f.Statement.Reads = append(f.Statement.Reads, sql.Column{Schema: "public", Table: "customers", Name: fmt.Sprintf("c%05d", i)})
			}
		}},
	}
}

// TestForm makes operations from a form as from their parts: the same bytes, seen in
// the same way, refused where a reader would refuse them. SPEC SQL-1, SQL-2.
//
// R15/sql
// guard: form-decodes, form-text, asked-bound
func TestForm(t *testing.T) {
	t.Parallel()
	kept, refused := 0, 0
	for _, c := range append(append(plain(), undeclared()...), append(malformed(), garbled()...)...) {
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
		if len(f.Salt) != 16 { // a form has no other
			continue
		}
		slow := operation(t, a, f)
		want, bad := sql.Mapper{}.View(slow, d)
		form, err := sql.NewForm(&f.Statement)
		var o *op.Operation
		if err == nil {
			o, err = form.Operation(a, &sql.Execution{Salt: [16]byte(f.Salt), Text: f.Text, Catalog: f.Catalog}, d)
		}
		if err != nil {
			if refused++; bad == nil || !errors.Is(err, sql.ErrSQL) {
				t.Errorf("%s: refused: %v", c.name, err)
			}
			continue
		}
		if !bytes.Equal(o.Asked, slow.Asked) || !bytes.Equal(o.Found, slow.Found) {
			t.Errorf("%s: other bytes:\n%x\n%x", c.name, o.Found, slow.Found)
		}
		if _, ok := o.Recall(d); ok != (bad == nil) {
			t.Errorf("%s: kept: %v, refused: %v", c.name, ok, bad)
		} else if ok {
			kept++
		}
		if v, err := (sql.Mapper{}).View(o, d); (err == nil) != (bad == nil) || !reflect.DeepEqual(v, want) {
			t.Errorf("%s:\n%v, %v, want\n%v, %v", c.name, v, err, want, bad)
		}
		if _, ok := o.Recall(declared()); ok {
			t.Errorf("%s: kept for another declaration", c.name)
		}
	}
	if kept < len(plain())-2 || refused < len(garbled())+5 {
		t.Errorf("%d kept, %d refused", kept, refused)
	}
}

// TestFormOf does not take a copy of a statement for the one that was written.
//
// R5/sql
// guard: form-own
func TestFormOf(t *testing.T) {
	t.Parallel()
	s := statement()
	f, err := sql.NewForm(s)
	if err != nil {
		t.Fatal(err)
	}
	other := *s
	if !f.Of(s) || f.Of(&other) || (*sql.Form)(nil).Of(nil) {
		t.Error("it is the form of that one and no other")
	}
}

func BenchmarkOperation(b *testing.B) {
	a, f, d := asked(), found(), declared()
	form, err := sql.NewForm(&f.Statement)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (sql.Mapper{}).View(operation(b, a, f), d); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("form", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o, err := form.Operation(a, &sql.Execution{Salt: [16]byte(f.Salt), Text: f.Text, Catalog: f.Catalog}, d)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := (sql.Mapper{}).View(o, d); err != nil {
				b.Fatal(err)
			}
		}
	})
}
