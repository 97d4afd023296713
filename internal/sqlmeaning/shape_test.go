package sqlmeaning

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pganalyze/pg_query_go/v6/parser"

	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op/sql"
)

// direct is the grammar in this process; change, if there is one, makes another text
// of one that is parsed.
type direct struct {
	asked  int
	change func(string) string
}

func (d *direct) Parse(text string) ([]byte, error) {
	d.asked++
	if d.change != nil {
		text = d.change(text)
	}
	return parser.ParseToProtobuf(text)
}

func (d *direct) Render(tree []byte) (string, []byte, error) {
	text, err := parser.DeparseFromProtobuf(tree)
	if err != nil {
		return "", nil, err
	}
	again, err := parser.ParseToProtobuf(text)
	return text, again, err
}

// meaning knows a table t with the columns a and b, and a few operators.
func meaning() *Meaning {
	t := sqlcatalog.Name{Schema: "public", Name: "t"}
	c := &sqlcatalog.Catalog{Version: "1", Relations: map[sqlcatalog.Name]*sqlcatalog.Relation{t: {Name: t, Kind: sqlcatalog.Table, Columns: []string{"a", "b"}}}, Operators: make(map[string][]*sqlcatalog.Operator)}
	for _, o := range []string{"=", "+", "-", "<", ">", "<=", ">="} {
		c.Operators[o] = []*sqlcatalog.Operator{{Schema: "pg_catalog"}}
	}
	return New(c, []string{"public"})
}

// mapped maps texts one after the other, and returns what the last one is, and whether
// it was known by its shape.
func mapped(t *testing.T, g *direct, texts ...string) (text string, limit int64, by bool) {
	t.Helper()
	m := meaning()
	for i, s := range texts {
		g.asked = 0
		list, err := m.Statements(g, s)
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %d, %v", s, len(list), err)
		}
		if i == len(texts)-1 {
			text, limit = list[0].Text, list[0].Limit
		}
	}
	return text, limit, g.asked == 0
}

// TestShape maps by the shape from the third text on, and puts the integers where they
// belong. SPEC SQL-14.
//
// R5/sql
func TestShape(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]string{
		"select a from t where b = #":             "SELECT a FROM public.t WHERE b = #",
		"select a from t where b = -# and a<#":    "SELECT a FROM public.t WHERE b = -# AND a < #",
		"select a-#, # - -# as x from t":          "SELECT a - #, # - -# AS x FROM public.t",
		"update t set a = a + # where b in (#,#)": "UPDATE public.t SET a = a + # WHERE b IN (#, #)",
		"insert into t values (#, #), (#, #) ;":   "INSERT INTO public.t VALUES (#, #), (#, #)",
		"delete from t where a between # and #":   "DELETE FROM public.t WHERE a BETWEEN # AND #",
	} {
		in := func(s string, from int) string {
			for strings.Contains(s, "#") {
				s = strings.Replace(s, "#", strings.Repeat("7", from%9+1), 1)
				from++
			}
			return s
		}
		if got, _, by := mapped(t, new(direct), in(form, 0), in(form, 3), in(form, 5)); got != in(want, 5) || !by {
			t.Errorf("%s: %s, by its shape: %v", form, got, by)
		}
	}
}

// TestShapeFixed does not take an integer for any other where something hangs on it. The
// text with the same one is known by its shape. SPEC SQL-14.
//
// R5/sql
// guard: shape-free
func TestShapeFixed(t *testing.T) {
	t.Parallel()
	for _, form := range []string{
		"select a from t where b = # limit @", "select a from t where b = # offset @", "select a from t where b = # order by @", "select a from t where b = # group by @",
		"select distinct on (@) a from t where b = #", "select a from t where b = # union select b from t order by @", "select a from t where b = # fetch first @ rows only",
		"select a from t tablesample system (@) where b = #",
	} {
		in := func(n, fixed string) string { return strings.NewReplacer("#", n, "@", fixed).Replace(form) }
		if text, _, by := mapped(t, new(direct), in("1", "1"), in("2", "1"), in("3", "1")); !by {
			t.Errorf("%s: not by its shape: %s", form, text)
		}
		text, limit, by := mapped(t, new(direct), in("1", "1"), in("2", "1"), in("3", "2"))
		if by {
			t.Errorf("%s: taken for another: %s", form, text)
		}
		if strings.Contains(form, "limit") && limit != 2 || limit == 1 {
			t.Errorf("%s: a limit of %d", form, limit)
		}
	}
}

// TestScan finds integers only where they are tokens whatever their digits are.
//
// R5/sql
// guard: shape-plain, shape-digits
func TestScan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"select 5": "5", "select 5,67;": "5 67", "select a-5": "5", "select -5": "5", "select 123456789": "123456789", "select 0": "0", "select a - b, 0": "0", "select t1.a1 from t1 where a1=2": "2",
		"select 1234567890": "", "select 007": "", "select 00": "", "select -0": "", "select - 0": "", "select -(0)": "", "select 1.5": "", "select 5.": "", "select .5": "", "select 5e3": "", "select 5_000": "", "select 0x1F": "", "select a5": "",
		"select '5'": "", `select "5" + 6`: "", "select $1 + 6": "", "select 6 -- 7": "", "select 6 /* 7": "", "select $$6$$": "", `select 5\6`: "", "select ä + 5": "", "select 5 \x00": "", "select 5 `": "", "select {5}": "", "select a": "",
		strings.Repeat("select 5 ", 500): "", "select " + strings.Repeat("5,", 65): "",
	} {
		got := ""
		if s, ok := scan(text); ok {
			got = strings.Join(s.chosen(slices.Repeat([]bool{true}, len(s.integers))), " ")
		}
		if got != want {
			t.Errorf("%.60q: %q, want %q", text, got, want)
		}
	}
}

// TestShapeDiffers does not believe in a shape where a grammar, as none does, sees another
// statement or text for other integers. SPEC SQL-14.
//
// R5/sql
// guard: shape-facts, shape-text
func TestShapeDiffers(t *testing.T) {
	t.Parallel()
	const text = "select a as x from t where b = "
	for name, change := range map[string]func(string) string{
		"another column": func(s string) string { return strings.Replace(s, "a as", "b as", strings.Count(s, "93850")) },
		"another name":   func(s string) string { return strings.Replace(s, "as x", "as y", strings.Count(s, "93850")) },
		"a name of it":   func(s string) string { return strings.Replace(s, "as x", "as x716200000", strings.Count(s, "7162")) },
	} {
		if got, _, by := mapped(t, &direct{change: change}, text+"1", text+"2", text+"3"); by {
			t.Errorf("%s: by its shape: %s", name, got)
		}
	}
	s, _ := scan("select a from t limit 5")
	if x := meaning().shape(new(direct), s, []bool{true}); x != nil { // as if it could be any
		t.Errorf("with any limit: %v", x)
	}
}

// TestFree finds no integer that stands in two places, and none in other statements.
//
// R5/sql
// guard: shape-once
func TestFree(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"select 5 + 6": 2, "select 5 + 5": 0, "select 5 from t limit 5": 0, "select f(5)": 1, "select 5::int, a[6]": 0, "begin": 0, "explain select 5": 0, "set x = 5": 0, "select 5; select 6": 0,
		"declare c cursor for select 5": 0, "select -5 - 6": 2, "select case when true then 5 end": 0, "select a from t where (a, b) = (5, 6)": 0,
	} {
		got, err := sqltree.Free(new(direct), text)
		if err != nil || len(got) != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// TestShapeBounds keeps no more outlines, of each no more shapes, and in all no more bytes
// of those and of statements than it may.
//
// R11
// guard: shapes-bound, mapped-bound
func TestShapeBounds(t *testing.T) {
	t.Parallel()
	m := meaning()
	for range maxOutlines + 1 {
		m.shapes.outline([]byte(strings.Repeat("x", len(m.shapes.of))))
	}
	if n := len(m.shapes.of); n > maxOutlines || n == 0 {
		t.Errorf("%d outlines", n)
	}
	o, made := new(outline), 0
	for i := range 2 * maxFixed {
		o.shape(strings.Repeat("1", i), func() *shape { made++; return &shape{statement: sql.Statement{}} })
	}
	if len(o.of) != maxFixed || made != maxFixed {
		t.Errorf("%d shapes, %d made", len(o.of), made)
	}
	long := strings.Repeat(" ", 3<<10)
	most, shaped := 0, 0
	for i := range 72 {
		for j := range maxFixed {
			for _, text := range []string{
				fmt.Sprintf("SELECT a AS x%d FROM t WHERE b = '%d%s'", i, j, long),
				fmt.Sprintf("SELECT a AS y%d FROM t %s WHERE b = 7 LIMIT %d", i, long, j+1), // which is of the shape
			} {
				if _, err := m.Statements(new(direct), text); err != nil {
					t.Fatal(err)
				}
			}
			most, shaped = max(most, m.held), max(shaped, m.shapes.held)
		}
	}
	if most > maxMapped || shaped > maxShapes || most < maxMapped*9/10 || shaped < maxShapes*9/10 {
		t.Errorf("%d bytes were held of statements, %d of shapes", most, shaped)
	}
}

func BenchmarkStatements(b *testing.B) {
	m, g := meaning(), new(direct)
	texts := make([]string, 0, 16_384)
	for i := range cap(texts) {
		texts = append(texts, "SELECT a FROM t WHERE b = "+strings.Repeat("7", i%9+1)+" + "+strings.Repeat("3", i/9%9+1))
	}
	m.Statements(g, texts[0])
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		if _, err := m.Statements(g, texts[i%len(texts)]); err != nil {
			b.Fatal(err)
		}
	}
}
