package sqlanalyze_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// oracleSchema is what generated statements speak of. It has names that stand for
// several things, and functions that run without being named: of a view, a
// default, a check, a generated column and an index.
const oracleSchema = `
CREATE SCHEMA s2;
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE customers (id int PRIMARY KEY, name text, email text UNIQUE, active bool, score numeric, born timestamp);
CREATE TABLE orders (id serial PRIMARY KEY, customer_id int, total numeric DEFAULT abs(-1), status text CHECK (btrim(status) = status),
 note text, placed timestamp DEFAULT date_trunc('day', localtimestamp), short text GENERATED ALWAYS AS (initcap(note)) STORED);
CREATE INDEX ON orders (reverse(note));
CREATE TABLE items (order_id int, sku text, qty int, price numeric, PRIMARY KEY (order_id, sku));
CREATE TABLE "Mixed Case" ("Id" int PRIMARY KEY, "select" text, "count" int, lower text);
CREATE TABLE status (id int PRIMARY KEY, name text, orders int, "excluded" int);
CREATE TABLE s2.orders (id int PRIMARY KEY, total numeric, extra text);
CREATE TABLE s2.audit (id int, at timestamp, who text, payload text);
CREATE DOMAIN s2.word AS text CHECK (quote_ident(VALUE) <> '');
CREATE TABLE animals (id int, name text, legs int, sound s2.word DEFAULT 'x');
CREATE TABLE dogs (breed text) INHERITS (animals);
CREATE TABLE events (id int, kind text, at timestamp, amount numeric) PARTITION BY LIST (kind);
CREATE TABLE events_a PARTITION OF events FOR VALUES IN ('a');
CREATE TABLE events_b PARTITION OF events DEFAULT;
CREATE SEQUENCE seq;
CREATE SEQUENCE s2.seq2;
CREATE VIEW open_orders AS SELECT id, customer_id, total, ascii(status) AS st FROM orders WHERE status <> 'shut';
CREATE VIEW s2.summary AS SELECT c.name, max(c.id) AS n, avg(o.total) AS total FROM customers c JOIN open_orders o ON o.customer_id = c.id GROUP BY c.name;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * 2; END';
CREATE FUNCTION label(text, text DEFAULT 'x') RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION s2.rows_of(int) RETURNS TABLE (id int, body text) LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT 1, ''x''::text; END';
CREATE FUNCTION same(text, text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN $1 = $2; END';
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = same);
CREATE FUNCTION mood_is(mood, text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN $1::text = $2; END';
CREATE OPERATOR = (LEFTARG = mood, RIGHTARG = text, FUNCTION = mood_is);
CREATE PROCEDURE settle(int) LANGUAGE plpgsql AS 'BEGIN END';
CREATE PROCEDURE settle(text) LANGUAGE plpgsql AS 'BEGIN END';
CREATE PROCEDURE s2.tell(int, OUT int) LANGUAGE plpgsql AS 'BEGIN $2 := $1; END';
INSERT INTO customers SELECT g, 'n' || g, 'e' || g, g % 2 = 0, g, '2020-01-01' FROM generate_series(1, 3) g;
INSERT INTO orders (customer_id, total, status, note) SELECT g, g, 'open', 'x' FROM generate_series(1, 3) g;
INSERT INTO items SELECT g, 'sku', g, g FROM generate_series(1, 3) g;
INSERT INTO "Mixed Case" VALUES (1, 'a', 1, 'b'); INSERT INTO status VALUES (1, 'open', 1, 1);
INSERT INTO s2.orders VALUES (1, 1, 'x'); INSERT INTO s2.audit VALUES (1, '2020-01-01', 'me', 'p');
INSERT INTO animals VALUES (1, 'cat', 4); INSERT INTO dogs VALUES (2, 'rex', 4, 'x', 'pug'); INSERT INTO events VALUES (1, 'a', '2020-01-01', 1), (2, 'b', '2020-01-02', 2);
`

// A gcol is a column with its type: one letter of i, t, n, b, d (a time) and r (a row).
type gcol struct {
	name string
	typ  byte
}

// A gtable is a table that statements are generated for.
type gtable struct {
	name   string // as it is written
	alias  string // what it is called without alias
	cols   []gcol
	unique string // columns to infer a conflict by; "" if none
	view   bool
}

var gtables = []gtable{
	{"customers", "customers", gcols("id:i name:t email:t active:b score:n born:d"), "id", false},
	{"orders", "orders", gcols("id:i customer_id:i total:n status:t note:t placed:d"), "id", false},
	{"public.orders", "orders", gcols("id:i customer_id:i total:n status:t note:t placed:d"), "id", false},
	{"items", "items", gcols("order_id:i sku:t qty:i price:n"), "order_id, sku", false},
	{`"Mixed Case"`, "Mixed Case", gcols("Id:i select:t count:i lower:t"), `"Id"`, false},
	{"status", "status", gcols("id:i name:t orders:i excluded:i"), "id", false},
	{"s2.orders", "orders", gcols("id:i total:n extra:t"), "id", false},
	{"s2.audit", "audit", gcols("id:i at:d who:t payload:t"), "", false},
	{"animals", "animals", gcols("id:i name:t legs:i sound:t"), "", false},
	{"ONLY animals", "animals", gcols("id:i name:t legs:i sound:t"), "", false},
	{"dogs", "dogs", gcols("id:i name:t legs:i sound:t breed:t"), "", false},
	{"events", "events", gcols("id:i kind:t at:d amount:n"), "", false},
	{"open_orders", "open_orders", gcols("id:i customer_id:i total:n st:i"), "", true},
	{"s2.summary", "summary", gcols("name:t n:i total:n"), "", true},
}

func gcols(s string) (out []gcol) {
	for _, f := range strings.Fields(s) {
		name, typ, _ := strings.Cut(f, ":")
		out = append(out, gcol{name, typ[0]})
	}
	return out
}

// A gsource is an item of FROM.
type gsource struct {
	alias  string
	cols   []gcol
	merged map[string]bool // columns of a join that must not be named by themselves
}

// A glevel is what an expression sees.
type glevel struct {
	sources []*gsource
	outer   *glevel
	ctes    []gtable
}

// A generator makes statements, most of them valid.
type generator struct {
	*rand.Rand
	aliases int
	budget  int // queries that one statement may still nest
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

// columnNames are what columns are called again, so that names stand for several things.
var columnNames = []string{"id", "name", "total", "orders", "lower", "count", "x", "y", "customer_id", "status", "ctid", "public", "Q q"}

func (g *generator) alias() string {
	g.aliases++
	if g.chance(15) {
		return pick(g, "orders", "customers", "items", "status", "id", "lower")
	}
	return fmt.Sprintf("a%d", g.aliases)
}

func gquote(s string) string {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return `"` + s + `"`
		}
	}
	if s == "select" {
		return `"select"`
	}
	return s
}

// around returns a statement around another one, or a pair of which the second
// carries out the first, or one that speaks of whole tables.
func (g *generator) around() string {
	q, _ := g.query(nil, "", 0)
	switch g.IntN(8) {
	case 0:
		return "COPY (" + q + ") TO STDOUT"
	case 1:
		return "DECLARE c " + pick(g, "", "SCROLL ", "INSENSITIVE ") + "CURSOR FOR " + q + "; " + pick(g, "FETCH ALL c", "FETCH FORWARD 2 c", "MOVE ALL IN c")
	case 2:
		return "PREPARE p AS " + pick(g, q, g.change()) + "; EXECUTE p; DEALLOCATE p"
	case 3:
		return fmt.Sprintf("PREPARE p (int, text) AS SELECT $1, $2, x.* FROM (%s) x; EXECUTE p (%s, label('a')); DEALLOCATE p", q, pick(g, "1", "twice(2)", "abs(-1)"))
	case 4:
		return "CALL " + pick(g, "settle(twice(1))", "settle(label('x'))", "s2.tell(1, NULL)", "s2.tell(twice(2), NULL)")
	}
	t := pick(g, gtables[:12]...)
	if g.chance(30) {
		return pick(g, "TRUNCATE ", "LOCK ") + pick(g, gtables[:14]...).name
	}
	t.name = strings.TrimPrefix(t.name, "ONLY ")
	columns := ""
	if g.chance(60) {
		var list []string
		for _, c := range t.cols {
			if g.chance(70) {
				list = append(list, gquote(c.name))
			}
		}
		if len(list) > 0 {
			columns = " (" + strings.Join(list, ", ") + ")"
		}
	}
	if g.chance(50) {
		return "COPY " + t.name + columns + " TO STDOUT" + pick(g, "", " (FORMAT csv, HEADER)", " (FORMAT binary)")
	}
	where := ""
	if g.chance(30) && t.cols[0].typ == 'i' {
		where = " WHERE twice(" + gquote(t.cols[0].name) + ") > 0"
	}
	return "COPY " + t.name + columns + " FROM STDIN" + where
}

// change returns an INSERT, UPDATE or DELETE.
func (g *generator) change() string {
	return g.with(nil, func(l *glevel) string {
		q, _ := pick(g, g.insert, g.update, g.delete)(l)
		return q
	})
}

// statement returns a statement.
func (g *generator) statement() string {
	g.budget = 2 + g.IntN(6)
	switch n := g.IntN(100); {
	case n < 12:
		return g.around()
	case n < 62:
		q, _ := g.query(nil, "", 0)
		return q
	case n < 76:
		return g.with(nil, func(l *glevel) string { q, _ := g.insert(l); return q })
	case n < 90:
		return g.with(nil, func(l *glevel) string { q, _ := g.update(l); return q })
	}
	return g.with(nil, func(l *glevel) string { q, _ := g.delete(l); return q })
}

// with puts common table expressions before what then makes, or not.
func (g *generator) with(outer *glevel, then func(*glevel) string) string {
	l := &glevel{outer: outer}
	if !g.chance(25) || g.budget <= 0 {
		return then(l)
	}
	var list []string
	recursive := g.chance(30)
	for range 1 + g.IntN(2) {
		g.aliases++
		name := fmt.Sprintf("c%d", g.aliases)
		if g.chance(20) {
			name = pick(g, "orders", "customers", "items")
			if l.hasCTE(name) {
				continue
			}
		}
		text, cols := g.cte(l, outer == nil, recursive, name)
		list = append(list, text)
		l.ctes = append(l.ctes, gtable{name: name, alias: name, cols: cols, view: true})
	}
	word := "WITH "
	if recursive {
		word = "WITH RECURSIVE "
	}
	return word + strings.Join(list, ", ") + " " + then(l)
}

func (l *glevel) hasCTE(name string) bool {
	for _, c := range l.ctes {
		if c.name == name {
			return true
		}
	}
	return false
}

// cte returns one common table expression.
func (g *generator) cte(l *glevel, top, recursive bool, name string) (string, []gcol) {
	if recursive && g.chance(60) {
		cols := []gcol{{"n", 'i'}, {"t", 't'}}
		return fmt.Sprintf("%s(n, t) AS (SELECT %s, %s UNION ALL SELECT n + 1, %s FROM %s WHERE n < 3)", gquote(name),
			"1", "'a'::text", g.expr('t', &glevel{sources: []*gsource{{alias: name, cols: cols}}, outer: l.outer}, 2), gquote(name)), cols
	}
	if top && g.chance(35) {
		make := pick(g, g.insert, g.update, g.delete)
		text, cols := make(&glevel{ctes: l.ctes})
		if len(cols) == 0 {
			text, cols = text+" RETURNING 1 AS one", []gcol{{"one", 'i'}}
		}
		return gquote(name) + " AS (" + text + ")", cols
	}
	text, cols := g.query(&glevel{ctes: l.ctes, outer: l.outer}, "", 1)
	head := gquote(name)
	if g.chance(20) {
		cols = g.renamed(cols)
		head += " (" + gnames(cols) + ")"
	}
	return head + " AS " + pick(g, "", "MATERIALIZED ", "NOT MATERIALIZED ") + "(" + text + ")", cols
}

// renamed returns cols with other names, no two the same.
func (g *generator) renamed(cols []gcol) []gcol {
	out := make([]gcol, len(cols))
	for i, c := range cols {
		g.aliases++
		out[i] = gcol{fmt.Sprintf("r%d", g.aliases), c.typ}
		if i == 0 && g.chance(40) {
			out[i].name = pick(g, columnNames...)
		}
	}
	return out
}

func gnames(cols []gcol) string {
	var list []string
	for _, c := range cols {
		list = append(list, gquote(c.name))
	}
	return strings.Join(list, ", ")
}

// item returns one item of FROM.
func (g *generator) item(l *glevel) (string, *gsource) {
	switch n := g.IntN(100); {
	case n < 14 && g.budget > 0:
		lateral, around := "", &glevel{outer: l.outer, ctes: l.ctes}
		if g.chance(40) {
			lateral, around = "LATERAL ", l
		}
		q, cols := g.query(around, "", 1)
		s := &gsource{alias: g.alias(), cols: cols}
		text := lateral + "(" + q + ") AS " + gquote(s.alias)
		if g.chance(25) {
			s.cols = g.renamed(cols)
			text += " (" + gnames(s.cols) + ")"
		}
		return text, s
	case n < 24:
		return g.function(l)
	case n < 32 && g.budget > 0:
		return g.aliasedJoin(l)
	case n < 50:
		for o := l; o != nil; o = o.outer {
			if len(o.ctes) > 0 {
				c := pick(g, o.ctes...)
				return g.aliased(gquote(c.name), c, false)
			}
		}
	}
	t := pick(g, gtables...)
	return g.aliased(t.name, t, !t.view)
}

// aliased returns a table with or without an alias.
func (g *generator) aliased(text string, t gtable, sample bool) (string, *gsource) {
	s := &gsource{alias: t.alias, cols: t.cols}
	if g.chance(65) {
		s.alias = g.alias()
		text += " AS " + gquote(s.alias)
		if g.chance(10) {
			s.cols = g.renamed(s.cols)
			text += " (" + gnames(s.cols) + ")"
		}
	}
	if sample && g.chance(4) {
		text += pick(g, " TABLESAMPLE system (50)", " TABLESAMPLE bernoulli (10 + 5) REPEATABLE (1)")
	}
	return text, s
}

// function returns a function in FROM.
func (g *generator) function(l *glevel) (string, *gsource) {
	a := g.alias()
	q := gquote(a)
	switch g.IntN(9) {
	case 7: // rows: its columns are those of the table
		return "unnest(ARRAY(SELECT r FROM customers r)) AS " + q, &gsource{alias: a, cols: gtables[0].cols}
	case 8:
		return "(SELECT (r).* FROM customers r) AS " + q, &gsource{alias: a, cols: gtables[0].cols}
	case 0:
		return "generate_series(1, " + g.expr('i', l, 2) + " % 3) AS " + q, &gsource{alias: a, cols: []gcol{{a, 'i'}}}
	case 1:
		return "unnest(ARRAY[" + g.expr('t', l, 2) + ", 'x']) WITH ORDINALITY AS " + q, &gsource{alias: a, cols: []gcol{{a, 't'}}}
	case 2:
		return "s2.rows_of(1) AS " + q, &gsource{alias: a, cols: gcols("id:i body:t")}
	case 3:
		return "json_each_text('{\"k\":1}') AS " + q + " (name, total)", &gsource{alias: a, cols: gcols("name:t total:t")}
	case 4:
		return "ROWS FROM (generate_series(1, 2), unnest(ARRAY['a'])) AS " + q, &gsource{alias: a, cols: gcols("generate_series:i unnest:t")}
	case 5:
		return "json_to_record('{}') AS " + q + " (id int, note text)", &gsource{alias: a, cols: gcols("id:i note:t")}
	}
	return "twice(" + g.expr('i', l, 2) + ") AS " + q + " (x)", &gsource{alias: a, cols: gcols("x:i")}
}

// aliasedJoin returns a join with an alias, behind which its sides are not seen.
func (g *generator) aliasedJoin(l *glevel) (string, *gsource) {
	text := "(customers JOIN items ON customers.id = items.order_id) AS j1 (" + "j_id)"
	cols := append(gcols("j_id:i"), gcols("name:t email:t active:b score:n born:d order_id:i sku:t qty:i price:n")...)
	switch g.IntN(3) {
	case 0:
		text, cols = "(status JOIN animals USING (id)) AS j1", gcols("id:i orders:i excluded:i legs:i sound:t")
	case 1:
		text, cols = "(orders NATURAL LEFT JOIN open_orders) AS j1 (p, q, r)", gcols("p:i q:i r:n status:t note:t placed:d st:i")
	}
	g.aliases++
	a := fmt.Sprintf("j%d", g.aliases)
	return strings.Replace(text, "j1", a, 1), &gsource{alias: a, cols: cols}
}

// from returns the text after FROM, and puts what it names into l.
func (g *generator) from(l *glevel) string {
	text := ""
	for i := range 1 + g.IntN(3) {
		t, s := g.item(l)
		for l.clash(s.alias) {
			t, s = g.item(l)
		}
		if i == 0 {
			text = t
			l.sources = append(l.sources, s)
			continue
		}
		text = g.joined(l, text, t, s)
	}
	return text
}

// clash reports whether there is such an alias at this level.
func (l *glevel) clash(alias string) bool {
	for _, s := range l.sources {
		if s.alias == alias {
			return true
		}
	}
	return false
}

// joined joins a next item to what is there.
func (g *generator) joined(l *glevel, text, t string, s *gsource) string {
	both := &glevel{sources: append(append([]*gsource{}, l.sources...), s), outer: l.outer, ctes: l.ctes}
	last := l.sources[len(l.sources)-1]
	l.sources = both.sources
	switch n := g.IntN(100); {
	case n < 25:
		return text + ", " + t
	case n < 32:
		return text + " CROSS JOIN " + t
	case n < 52 && !strings.Contains(text, ","):
		for _, c := range s.cols {
			if c.typ == 'r' || count(last.cols, c.name) != 1 || count(s.cols, c.name) != 1 || !same(last.cols, c) || others(l, last, s, c.name) {
				continue
			}
			for _, x := range []*gsource{last, s} {
				m := map[string]bool{c.name: true}
				for k := range x.merged {
					m[k] = true
				}
				x.merged = m
			}
			using := " USING (" + gquote(c.name) + ")"
			if g.chance(20) {
				using += fmt.Sprintf(" AS u%d", g.IntN(1000))
			}
			return text + " " + pick(g, "", "LEFT ", "FULL ") + "JOIN " + t + using
		}
	}
	side := &glevel{sources: both.sources, outer: l.outer, ctes: l.ctes}
	if strings.Contains(text, ",") { // a join's condition sees its own sides
		side.sources = both.sources[len(both.sources)-1:]
	}
	return text + pick(g, " JOIN ", " LEFT JOIN ", " INNER JOIN ") + t + " ON " + g.expr('b', side, 2)
}

func count(cols []gcol, name string) (n int) {
	for _, c := range cols {
		if c.name == name {
			n++
		}
	}
	return n
}

func same(cols []gcol, c gcol) bool {
	for _, x := range cols {
		if x == c {
			return true
		}
	}
	return false
}

// others reports whether items but the two have such a column.
func others(l *glevel, a, b *gsource, name string) bool {
	for _, s := range l.sources {
		if s != a && s != b && count(s.cols, name) > 0 {
			return true
		}
	}
	return false
}
