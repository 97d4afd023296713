package sqlanalyze_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/sqlanalyze"
)

// shadows has names that stand where other names are expected.
const shadows = `
CREATE SCHEMA s2;
CREATE TABLE customers (id int, name text, email varchar, name2 text);
CREATE TABLE orders (id int, lower text, length text, secret int);
CREATE TABLE s2.orders (id int, other int);
CREATE TABLE pg_class (relname text, planted int);
CREATE FUNCTION lower(varchar) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION upper(int, int) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION shout(customers) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN $1.name; END';
CREATE FUNCTION joined(varchar, varchar) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE OPERATOR || (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = joined);
CREATE FUNCTION equal(varchar, varchar) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = equal);
INSERT INTO customers VALUES (1, 'a', 'b'); INSERT INTO orders VALUES (1, 'l', 'n', 5); INSERT INTO s2.orders VALUES (1, 2);
`

// TestShadowed maps statements whose names mean something else than they seem to,
// to what the server makes of them, or denies them. Each that maps runs as a role
// that may do just that. SPEC SQL-3.
//
// R3/sql, R15/sql: names mean what the server makes of them
// guard: function-one-schema
func TestShadowed(t *testing.T) {
	o := newOracle(t, shadows)
	o.must(t, "CREATE TEMP TABLE orders (id int, temporary int); CREATE TEMP TABLE only_temporary (id int)")
	cases := []struct{ text, rendered, has string }{ // rendered "" is a denial; has is a function or column
		{`SELECT * FROM orders`, `SELECT * FROM public.orders`, "public.orders.secret"},
		{`SELECT temporary FROM orders`, "", ""},
		{`SELECT * FROM only_temporary`, "", ""},
		{`SELECT * FROM pg_temp.orders`, "", ""},
		{`SELECT relname FROM pg_class`, `SELECT relname FROM pg_catalog.pg_class`, "pg_catalog.pg_class.relname"},
		{`SELECT planted FROM pg_class`, "", ""},
		{`SELECT lower(email) FROM customers`, "", ""},
		{`SELECT pg_catalog.lower(email) FROM customers`, `SELECT pg_catalog.lower(email) FROM public.customers`, "pg_catalog.lower(text)"},
		{`SELECT public.lower(email) FROM customers`, `SELECT public.lower(email) FROM public.customers`, "public.lower(varchar)"},
		{`SELECT upper(name) FROM customers`, `SELECT pg_catalog.upper(name) FROM public.customers`, "pg_catalog.upper(text)"},
		{`SELECT lower, length FROM orders`, `SELECT lower, length FROM public.orders`, "public.orders.lower"},
		{`SELECT o.lower FROM orders o`, `SELECT o.lower FROM public.orders o`, "public.orders.lower"},
		{`SELECT length(length) FROM orders`, `SELECT pg_catalog.length(length) FROM public.orders`, "public.orders.length"},
		{`SELECT email || email FROM customers`, `SELECT email || email FROM public.customers`, "public.joined(varchar,varchar)"},
		{`SELECT name FROM customers WHERE email = 'x'::varchar`, `SELECT name FROM public.customers WHERE email = 'x'::varchar`, "public.equal(varchar,varchar)"},
		{`SELECT CASE email WHEN email THEN 1 END FROM customers`, `SELECT CASE email WHEN email THEN 1 END FROM public.customers`, "public.equal(varchar,varchar)"},
		{`SELECT 1 FROM customers WHERE email IN (SELECT email FROM customers)`, `SELECT 1 FROM public.customers WHERE email IN (SELECT email FROM public.customers)`, "public.equal(varchar,varchar)"},
		{`SELECT 1 FROM customers JOIN customers b USING (email)`, `SELECT 1 FROM public.customers JOIN public.customers b USING (email)`, "public.equal(varchar,varchar)"},
		{`SELECT 1 FROM customers NATURAL JOIN customers b`, `SELECT 1 FROM public.customers NATURAL JOIN public.customers b`, "public.equal(varchar,varchar)"},
		{`SELECT nullif(email, email) FROM customers`, `SELECT NULLIF(email, email) FROM public.customers`, "public.equal(varchar,varchar)"},
		{`SELECT c.shout FROM customers c`, `SELECT c.shout FROM public.customers c`, "public.shout(public.customers)"},
		{`SELECT (c).shout FROM customers c`, `SELECT (c).shout FROM public.customers c`, "public.customers.name2"},
		{`SELECT (name).upper FROM customers`, `SELECT (name).upper FROM public.customers`, "pg_catalog.upper(text)"},
		{`SELECT ('/etc/hostname'::text).pg_read_file`, `SELECT ('/etc/hostname'::text).pg_read_file`, "pg_catalog.pg_read_file(text)"},
		{`SELECT email(customers) FROM customers`, "", ""},
		{`SELECT c.nothing FROM customers c`, "", ""},
	}
	for _, c := range cases {
		list, err := o.analyzer.Map(direct{}, c.text)
		if c.rendered == "" {
			if !errors.Is(err, sqlanalyze.ErrUnmapped) {
				t.Errorf("%s: not denied: %v", c.text, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		m := &list[0]
		if strings.ReplaceAll(m.Text, "pg_catalog.text", "text") != c.rendered {
			t.Errorf("%s\n got %s\nwant %s", c.text, m.Text, c.rendered)
		}
		what := slices.Concat(m.Functions, m.Operators)
		for _, r := range m.Reads {
			what = append(what, r.Schema+"."+r.Table+"."+r.Name)
		}
		if !slices.Contains(what, c.has) {
			t.Errorf("%s: no %s in %q", c.text, c.has, what)
		}
		if code, message := o.asMapped(t, m); code != "" && !strings.Contains(message, "absolute path") {
			t.Errorf("%s: %s %s", c.text, code, message)
		}
	}
}

// TestShadowMatters shows that the server does ask for what the cases above report:
// without it, they would show nothing.
func TestShadowMatters(t *testing.T) {
	o := newOracle(t, shadows)
	for _, text := range []string{
		`SELECT email || email FROM customers`, `SELECT CASE email WHEN email THEN 1 END FROM customers`, `SELECT c.shout FROM customers c`,
		`SELECT (name).upper FROM customers`, `SELECT 1 FROM customers WHERE email IN (SELECT email FROM customers)`,
	} {
		list, err := o.analyzer.Map(direct{}, text)
		if err != nil {
			t.Fatal(err)
		}
		m := list[0]
		m.Functions, m.Operators = nil, nil
		if code, _ := o.asMapped(t, &m); code != "42501" {
			t.Errorf("%s: %q without its function", text, code)
		}
	}
}

// TestPath looks for names along the path, and in pg_catalog first.
//
// R15/sql: a table of the same name in an earlier schema
func TestPath(t *testing.T) {
	o := newOracle(t, shadows)
	for path, want := range map[string]string{"s2 public": "SELECT * FROM s2.orders", "public s2": "SELECT * FROM public.orders", "s2": "SELECT * FROM s2.orders"} {
		a := &sqlanalyze.Analyzer{Catalog: o.analyzer.Catalog, Path: strings.Fields(path)}
		if m, err := a.Map(direct{}, "SELECT * FROM orders"); err != nil || m[0].Text != want {
			t.Errorf("%s: %v, %v", path, m, err)
		}
	}
}

// TestCasts counts the functions behind casts of users in every statement that has
// expressions: casts run without a trace in the text. SPEC SQL-3.
//
// R15/sql: casts
func TestCasts(t *testing.T) {
	o := newOracle(t, `CREATE SCHEMA s2; CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION pair_text(pair) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE CAST (pair AS text) WITH FUNCTION pair_text(pair) AS IMPLICIT;
CREATE TABLE pairs (p pair, t text); INSERT INTO pairs VALUES (ROW(1, 2), 'x')`)
	if want := []string{"public.pair_text(public.pair)"}; !slices.Equal(o.analyzer.Catalog.Casts, want) {
		t.Fatalf("casts %q", o.analyzer.Catalog.Casts)
	}
	for _, text := range []string{`SELECT length(p) FROM pairs`, `INSERT INTO pairs (t) SELECT p FROM pairs`, `SELECT p::text FROM pairs`, `SELECT upper(p) FROM pairs`} {
		list, err := o.analyzer.Map(direct{}, text)
		if err != nil {
			t.Fatal(err)
		}
		m := list[0]
		if code, message := o.asMapped(t, &m); code != "" {
			t.Errorf("%s: %s %s", text, code, message)
		}
		m.Functions = slices.DeleteFunc(m.Functions, func(f string) bool { return strings.Contains(f, "pair_text") })
		if code, _ := o.asMapped(t, &m); code != "42501" {
			t.Errorf("%s: %q without the cast's function", text, code)
		}
	}
}

// TestVoid counts the functions that a call with parameters is of where some of those
// are declared to be of type void: the server does not count them. SPEC SQL-3.
//
// R15/sql: the types of parameters
// guard: void-parameter
func TestVoid(t *testing.T) {
	o := newOracle(t, `CREATE SCHEMA s2; CREATE FUNCTION pay(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION pay(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2; END';
CREATE FUNCTION rows_of(int) RETURNS TABLE (a int, b int) LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT 1, 2; END';`)
	for _, text := range []string{
		"PREPARE p (int, void) AS SELECT pay($1, $2); EXECUTE p (1, NULL)", "PREPARE p (void) AS SELECT pay(7, $1); EXECUTE p (NULL)",
		"PREPARE p (int, void) AS SELECT b FROM rows_of($1, $2); EXECUTE p (1, NULL)",
	} {
		list, err := o.analyzer.Map(direct{}, text)
		if err != nil {
			t.Fatal(err)
		}
		if code, message := o.asMapped(t, together(list)); code != "" {
			t.Errorf("%s: %s %s", text, code, message)
		}
		m := together(list)
		m.Functions = []string{"public.pay(int4,int4)"}
		if code, _ := o.asMapped(t, m); code != "42501" {
			t.Errorf("%s: %q without the shorter function", text, code)
		}
	}
}
