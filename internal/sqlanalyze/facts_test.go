package sqlanalyze_test

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/op/sql"
)

var update = flag.Bool("update", false, "write testdata/facts.txt from what statements map to now")

const factsFile = "testdata/facts.txt"

// direct is the grammar in this process.
type direct struct{}

func (direct) Parse(text string) ([]byte, error) { return parser.ParseToProtobuf(text) }

func (d direct) Render(tree []byte) (string, []byte, error) {
	text, err := parser.DeparseFromProtobuf(tree)
	if err != nil {
		return "", nil, err
	}
	again, err := d.Parse(text)
	return text, again, err
}

const factsSchema = `
CREATE SCHEMA s2;
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, card text, ctid_ int);
CREATE TABLE orders (id serial PRIMARY KEY, customer_id int, total numeric, status text CHECK (btrim(status) = status), note text, tags text[]);
CREATE TABLE s2.orders (id int, other text);
CREATE TABLE parents (id int, x text);
CREATE TABLE children (y text) INHERITS (parents);
CREATE SEQUENCE seq;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE VIEW open_orders AS SELECT id, total, ascii(status) AS a FROM orders;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION same(text, text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = same);
CREATE PROCEDURE settle(int, OUT int, OUT text) LANGUAGE plpgsql AS 'BEGIN $2 := $1; END';
CREATE PROCEDURE settle(text) LANGUAGE plpgsql AS 'BEGIN END';
CREATE TABLE ruled (a int); CREATE RULE also AS ON UPDATE TO ruled DO ALSO INSERT INTO customers (id) SELECT id FROM s2.orders;
CREATE TABLE guarded (a int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON guarded USING (a IN (SELECT id FROM s2.orders));
CREATE TYPE nothing AS ();
CREATE FUNCTION nothing() RETURNS nothing LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION fine(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE DOMAIN tidy AS text CHECK (fine(VALUE));
CREATE DOMAIN tidiest AS tidy;
CREATE TYPE pair AS (a int, b tidiest[]);
CREATE TYPE span AS RANGE (subtype = tidy);
CREATE TABLE pairs (p pair, d text);
CREATE VIEW tidied AS SELECT length(note::tidy) AS n FROM orders; CREATE TABLE tidying (a int DEFAULT length('x'::tidy), b int);
CREATE FUNCTION asked(a int DEFAULT twice(1)) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION split(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 1; END';
CREATE TABLE parted (a int) PARTITION BY LIST (split(a));
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE FUNCTION firstof(pair) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
`

// factsOf writes what a statement does, a line for each sort that is not empty.
func factsOf(m *sqlanalyze.Mapped) string {
	var b strings.Builder
	line := func(name string, list ...string) {
		if len(list) > 0 {
			fmt.Fprintf(&b, "  %s %s\n", name, strings.Join(list, " "))
		}
	}
	columns := func(list []sql.Column) (out []string) {
		for _, c := range list {
			out = append(out, c.Schema+"."+c.Table+"."+c.Name)
		}
		return out
	}
	line("text", m.Text)
	line("kinds", m.Kinds...)
	for _, r := range m.Relations {
		line(r.Mode, r.Schema+"."+r.Name)
	}
	line("reads", columns(m.Reads)...)
	line("inserts", columns(m.Inserts)...)
	line("updates", columns(m.Updates)...)
	line("functions", m.Functions...)
	line("operators", m.Operators...)
	line("types", m.Types...)
	line("underlying", m.Underlying...)
	if !m.Where {
		line("no", "where")
	}
	if m.Limit != sql.NoLimit {
		line("limit", fmt.Sprint(m.Limit))
	}
	if m.Params != 0 {
		line("params", fmt.Sprint(m.Params))
	}
	if m.Set != nil {
		line("setting", m.Set.Name, m.Set.Value)
	}
	line("channels", m.Channels...)
	if e := m.Effect; e.Kind != sqlanalyze.Ordinary {
		line("effect", strings.TrimSpace(fmt.Sprintf("%s %s %s", effectNames[e.Kind], e.Name, e.Text)))
		for _, t := range e.Types {
			line("type", fmt.Sprint(t))
		}
		for _, v := range e.Values {
			if v == nil {
				line("value", "NULL")
			} else {
				line("value", fmt.Sprintf("%q", *v))
			}
		}
		if e.Kind == sqlanalyze.Execute && !e.Literal {
			line("not", "literal")
		}
		if e.Hold {
			line("with", "hold")
		}
	}
	return b.String()
}

var effectNames = map[sqlanalyze.EffectKind]string{
	sqlanalyze.Declare: "declare", sqlanalyze.Fetch: "fetch", sqlanalyze.Move: "move", sqlanalyze.Close: "close", sqlanalyze.Prepare: "prepare",
	sqlanalyze.Execute: "execute", sqlanalyze.Deallocate: "deallocate", sqlanalyze.CopyOut: "copy out", sqlanalyze.CopyIn: "copy in", sqlanalyze.DiscardAll: "discard all",
	sqlanalyze.SetPath: "set path", sqlanalyze.ResetPath: "reset path", sqlanalyze.ResetAll: "reset all", sqlanalyze.Commit: "commit", sqlanalyze.Rollback: "rollback", sqlanalyze.RollbackTo: "rollback to", sqlanalyze.Savepoint: "savepoint", sqlanalyze.Release: "release",
}

// TestFacts compares what statements do with what testdata/facts.txt says of them:
// the statement, then its facts, or NO where it is denied. SPEC SQL-2, SQL-3, SQL-5.
//
// R15/sql
// guard: catalog-written, setting-pinned, set-config-pinned, set-config-named, set-config-seen, path-plain, explain-options, sequence-attribute, truncate-cascade, copy-options, execute-literal
func TestFacts(t *testing.T) {
	a := analyzerOf(t, factsSchema)
	want, err := os.ReadFile(factsFile)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	n := 0
	for _, line := range strings.Split(string(want), "\n") {
		if line == "" || strings.HasPrefix(line, "  ") {
			continue
		}
		if strings.HasPrefix(line, "#") {
			fmt.Fprintf(&out, "%s\n", line)
			continue
		}
		n++
		fmt.Fprintf(&out, "%s\n", line)
		switch list, err := a.Map(direct{}, line); {
		case errors.Is(err, sqlanalyze.ErrUnmapped):
			out.WriteString("  NO\n")
			t.Logf("%s: %v", line, err)
		case err != nil || len(list) != 1:
			t.Fatalf("%s: %d statements, %v", line, len(list), err)
		default:
			out.WriteString(factsOf(&list[0]))
		}
	}
	if *update {
		if err := os.WriteFile(factsFile, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if n < 80 {
		t.Errorf("only %d statements", n)
	}
	got, wanted := strings.Split(out.String(), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(got), len(wanted)) {
		if got[i] != wanted[i] {
			t.Fatalf("line %d\n got %s\nwant %s", i+1, got[i], wanted[i])
		}
	}
	if len(got) != len(wanted) {
		t.Errorf("%d lines, want %d", len(got), len(wanted))
	}
}

// TestEffort denies short texts that name very many columns, before they cost much, and
// not long ones that name many.
//
// R11
// guard: analyze-effort, analyze-columns
func TestEffort(t *testing.T) {
	t.Parallel()
	a := analyzerOf(t, factsSchema)
	doubled := "WITH c0 AS (SELECT 1 AS a)"
	for i := range 11 {
		doubled += fmt.Sprintf(", c%d AS (SELECT x.*, x.* FROM c%d x)", i+1, i)
	}
	joined, all := " FROM pg_class t0", "t0.*"
	for i := range 40 {
		joined += fmt.Sprintf(" LEFT JOIN pg_class t%d ON t%d.oid = t%d.oid", i+1, i+1, i)
		all += fmt.Sprintf(", t%d.oid, t%d.relname, t%d.relkind, t%d.relnatts, t%d.relowner, t%d.reltype, t%d.relam, t%d.relpages", i+1, i+1, i+1, i+1, i+1, i+1, i+1, i+1)
	}
	joined = "SELECT " + all + joined
	list := func(s string, n int) string { return strings.Repeat(s+", ", n-1) + s }
	joins := "pg_class o0"
	for i := range 300 {
		joins += fmt.Sprintf(" JOIN pg_class o%d ON true", i+1)
	}
	for name, text := range map[string]string{
		"doubled": doubled + " SELECT 1", "items": "SELECT " + list("id", 5000) + " FROM " + list("pg_class", 4000), "tables": "SELECT 1 FROM " + list("pg_class", 25_000),
		"stars": "SELECT " + list("o.*", 20_000) + " FROM orders o", "rows": "SELECT ROW(" + list("o", 60_000) + ") FROM pg_class o", "joins": "SELECT 1 FROM " + joins,
		"arranged": "SELECT o.*, p.* FROM pg_class o, pg_class p ORDER BY " + list("oid", 40_000), "columns": "SELECT " + list("1", 1665),
	} {
		if _, err := a.Map(direct{}, text); !errors.Is(err, sqlanalyze.ErrUnmapped) || !strings.Contains(err.Error(), "columns") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"columns": "SELECT " + list("o.total", 1664) + " FROM orders o", "joins": joined, "tables": "SELECT " + list("x.id", 1000) + " FROM orders x, " + list("orders", 100),
		"values": "INSERT INTO orders (id, note) VALUES " + list("(1, 'x')", 20_000), "in": "SELECT id FROM orders WHERE id IN (" + list("7", 60_000) + ")",
	} {
		if _, err := a.Map(direct{}, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBounds denies what is too large before it is looked at. SPEC SQL-6.
//
// A18
// guard: text-bound, statements-bound, tree-depth
func TestBounds(t *testing.T) {
	a := &sqlanalyze.Analyzer{Catalog: &sqlcatalog.Catalog{}, Path: []string{"public"}}
	for name, text := range map[string]string{
		"long":  "SELECT '" + strings.Repeat("a", 256<<10) + "'",
		"many":  strings.Repeat("SELECT 1;", 65),
		"deep":  "SELECT " + strings.Repeat("NOT ", 600) + "true",
		"NUL":   "SELECT 'a\x00'",
		"bytes": "SELECT '\xff'",
	} {
		if _, err := a.Map(direct{}, text); !errors.Is(err, sqlanalyze.ErrUnmapped) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m, err := a.Map(direct{}, strings.Repeat("SELECT 1;", 64)); err != nil || len(m) != 64 {
		t.Errorf("64 statements: %d, %v", len(m), err)
	}
	if m, err := a.Map(direct{}, "SELECT "+strings.Repeat("NOT ", 200)+"(1 IS NULL)"); err != nil || len(m) != 1 {
		t.Errorf("200 deep: %v", err)
	}
}

// A swindler renders another statement than it was given.
type swindler struct{ direct }

func (s swindler) Render([]byte) (string, []byte, error) {
	text := "SELECT 2"
	again, err := s.Parse(text)
	return text, again, err
}

// TestRendered denies a statement that would be another when it is written again.
// SPEC SQL-5.
//
// R5/sql
// guard: rendered-same
func TestRendered(t *testing.T) {
	a := &sqlanalyze.Analyzer{Catalog: &sqlcatalog.Catalog{}}
	if _, err := a.Map(swindler{}, "SELECT 1"); !errors.Is(err, sqlanalyze.ErrUnmapped) {
		t.Errorf("SELECT 1 became SELECT 2: %v", err)
	}
	if _, err := a.Map(swindler{}, "SELECT 2"); err != nil {
		t.Error(err)
	}
}

// An adder puts something into what the grammar made of a statement.
type adder struct{ add func(*pg.DefElem) }

func (a adder) Parse(text string) ([]byte, error) {
	tree, err := pg.Parse(text)
	if err != nil {
		return nil, err
	}
	a.add(tree.Stmts[0].Stmt.GetExplainStmt().Options[0].GetDefElem())
	return proto.Marshal(tree)
}

// Render says that the tree was written as it was: nothing else denies it.
func (adder) Render(tree []byte) (string, []byte, error) { return "", tree, nil }

// TestUnknown denies nodes and fields that are not in the grammar's list, also where
// nothing looks at them, and those that no grammar has. SPEC SQL-4.
//
// R15/sql
// guard: node-known, field-known
func TestUnknown(t *testing.T) {
	a := &sqlanalyze.Analyzer{Catalog: &sqlcatalog.Catalog{}, Path: []string{"public"}}
	for name, c := range map[string]struct {
		add    func(*pg.DefElem)
		denied bool
	}{
		"as it is": {add: func(*pg.DefElem) {}},
		"node":     {func(d *pg.DefElem) { d.Arg = &pg.Node{Node: &pg.Node_DoStmt{DoStmt: &pg.DoStmt{}}} }, true},
		"around":   {func(d *pg.DefElem) { d.Arg = &pg.Node{Node: &pg.Node_RawStmt{RawStmt: &pg.RawStmt{}}} }, true},
		"field":    {func(d *pg.DefElem) { d.Defnamespace = "x" }, true},
		"number": {func(d *pg.DefElem) {
			d.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 4000, protowire.VarintType), 1))
		}, true},
	} {
		if _, err := a.Map(adder{add: c.add}, "EXPLAIN (FORMAT json) SELECT 1"); errors.Is(err, sqlanalyze.ErrUnmapped) != c.denied || (err != nil) != c.denied {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzMap maps any text: no panic, and what maps renders to a text that maps to the
// same facts and renders as itself. SPEC SQL-5.
//
// R5/sql
func FuzzMap(f *testing.F) {
	for _, s := range ordinaryStatements(f) {
		f.Add(s)
	}
	a := analyzerOf(f, ordinarySchema)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8<<10 { // the grammar is in this process, and deep texts overflow its stack
			return
		}
		list, err := a.Map(direct{}, text)
		if err != nil {
			return
		}
		for i := range list {
			again, err := a.Map(direct{}, list[i].Text)
			if err != nil {
				t.Fatalf("%q: %v", list[i].Text, err)
			}
			if len(again) != 1 || factsOf(&again[0]) != factsOf(&list[i]) {
				t.Fatalf("first %s\nthen %s", factsOf(&list[i]), factsOf(&again[0]))
			}
		}
	})
}
