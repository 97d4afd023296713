package pgrole_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/pgrole"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// document returns a policy on one database with a declaration.
func document(database, user string, d op.Declaration) *policy.Document {
	p := testkit.Document(canon.Hash([]byte("zone")))
	p.Targets = []policy.Target{{
		ID: testkit.Target, Kind: "postgres", Origin: "postgres://db.example/" + database,
		Inject: policy.Inject{How: "password", Name: user}, Secret: testkit.SecretID,
	}}
	d.Type, d.Targets = "sql", []string{testkit.Target}
	p.Operations = []policy.Operation{
		{Declaration: op.Declaration{Type: "sql", Targets: d.Targets, Actions: []string{"sql:connect"}}}, {Declaration: d},
	}
	return p
}

// one returns the only role of a policy.
func one(t *testing.T, d *policy.Document) *pgrole.Role {
	t.Helper()
	all, err := pgrole.Of(d, "")
	if err != nil || len(all) != 1 {
		t.Fatalf("%d roles, %v", len(all), err)
	}
	return all[0]
}

// psql runs a script as it is printed, and returns what it shows.
func psql(t *testing.T, s *testpg.Server, database, script string) string {
	t.Helper()
	path, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("MISSING: postgresql-client")
	}
	c := exec.CommandContext(t.Context(), path, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", s.Local(database))
	c.Stdin = strings.NewReader(script)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, script)
	}
	return string(out)
}

// as returns a connection of the user, who needs no password here.
func as(t *testing.T, s *testpg.Server, database, user string) *pgconn.PgConn {
	t.Helper()
	c := s.Connect(t, strings.Replace(s.Local(database), "user="+testpg.Superuser, "user='"+user+"'", 1))
	t.Cleanup(func() { c.Close(t.Context()) })
	return c
}

// state returns the SQLSTATE of running a statement, "" if it runs.
func state(t *testing.T, c *pgconn.PgConn, sql string) string {
	t.Helper()
	_, err := c.Exec(t.Context(), sql).ReadAll()
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return ""
}

const schema = `
CREATE TABLE customers (id int PRIMARY KEY, name text, card text);
CREATE TABLE orders (id serial PRIMARY KEY, customer_id int, total int, note text);
CREATE TABLE log (line text);
CREATE TABLE payroll (who text, salary int);
CREATE SCHEMA "Other";
CREATE TYPE "Other".mood AS ENUM ('good');
CREATE TABLE "Other"."User" ("order" int, "from" int);
INSERT INTO customers VALUES (1, 'c', '4111');
CREATE FUNCTION price(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION price(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION tags(text[], "Other".mood, "char") RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION alone() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE chore() LANGUAGE sql AS '';
CREATE FUNCTION secret() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT card FROM customers';
`

// TestRole runs what is printed on a real server: the role then can do what the policy
// declares, and nothing else.
//
// R3/sql
func TestRole(t *testing.T) {
	t.Parallel()
	s := testpg.Start(t)
	db := s.Database(t)
	s.Exec(t, db, schema+`REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA public FROM PUBLIC; REVOKE USAGE ON TYPE "Other".mood FROM PUBLIC`)
	r := one(t, document(db, "App", op.Declaration{
		Actions: []string{"sql:select", "sql:insert", "sql:update", "sql:truncate", "sql:call"},
		SQL: &op.SQL{
			Relations: []op.SQLRelation{
				{Name: "public.customers", Read: []string{"id", "name"}, Lock: true},
				{Name: "public.orders", Read: []string{"*"}, Insert: []string{"customer_id", "total"}, Update: []string{"note"}, Delete: true, Lock: true},
				{Name: "public.orders_id_seq", Usage: true},
				{Name: "public.log", Truncate: true, Insert: []string{"*"}},
				{Name: "Other.User", Read: []string{"from"}, Update: []string{"order"}},
			},
			Functions: []string{"@scalar", "public.price(int4)", "public.tags(_text,Other.mood,char)", "public.alone", "public.chore", "pg_catalog.pg_read_file"},
			Types:     []string{"Other.mood"},
		},
	}))
	for range 2 { // the second finds all of it there, and takes nothing away
		if beyond := psql(t, s, db, r.Text()); beyond != "" {
			t.Errorf("the role has beyond the policy: %s", beyond)
		}
	}
	c := as(t, s, db, "App")
	for sql, want := range map[string]string{
		"SELECT c.name, o.* FROM customers c JOIN orders o ON o.customer_id = c.id":   "",
		"INSERT INTO orders (customer_id, total) VALUES (1, 2)":                       "",
		"UPDATE orders SET note = 'x' WHERE id = 1":                                   "",
		"SELECT id FROM orders FOR UPDATE":                                            "",
		"INSERT INTO log VALUES ('x')":                                                "",
		"TRUNCATE log":                                                                "",
		`UPDATE "Other"."User" SET "order" = 1 WHERE "from" = 2`:                      "",
		`SELECT price(1), tags('{}', 'good'::"Other".mood, 'a'), alone(), lower('A')`: "",
		"CALL chore()":                           "",
		"SELECT card FROM customers":             "42501",
		"SELECT * FROM customers":                "42501",
		"SELECT name FROM customers FOR UPDATE":  "42501",
		"DELETE FROM customers":                  "42501",
		"DELETE FROM orders":                     "42501", // listed, but no action lets it
		"INSERT INTO orders (note) VALUES ('x')": "42501",
		"UPDATE orders SET total = 0":            "42501",
		"SELECT line FROM log":                   "42501",
		"SELECT salary FROM payroll":             "42501",
		`SELECT "order" FROM "Other"."User"`:     "42501",
		"SELECT price('a')":                      "42501",
		"SELECT secret()":                        "42501",
		"SELECT pg_read_file('/etc/passwd')":     "42501",
		"CREATE TABLE mine (a int)":              "42501",
		"ALTER TABLE orders ADD a int":           "42501",
	} {
		if got := state(t, c, sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	for _, want := range []string{"FOR UPDATE and its kin of public.customers", "public.alone is listed by its name", "pg_catalog.pg_read_file: not granted", `-- REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA "Other" FROM PUBLIC;`} {
		if !strings.Contains(r.Text(), want) {
			t.Errorf("no %q in\n%s", want, r.Text())
		}
	}
	s.Exec(t, db, strings.Join(r.Others, "\n")) // they are statements too
}

// TestReadOnly makes the role's transactions read-only where the policy only reads,
// in that database.
//
// R3/sql
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := testpg.Start(t)
	first, second := s.Database(t), s.Database(t)
	for _, db := range []string{first, second} {
		s.Exec(t, db, schema)
	}
	reads := op.Declaration{Actions: []string{"sql:select"}, SQL: &op.SQL{Relations: []op.SQLRelation{{Name: "public.orders", Read: []string{"*"}}}}}
	d := document(first, "app", reads)
	t2 := d.Targets[0]
	t2.ID, t2.Origin = "second", "postgres://db.example/"+second
	d.Targets = append(d.Targets, t2)
	writes := op.Declaration{Type: "sql", Targets: []string{"second"}, Actions: []string{"sql:delete"}, SQL: &op.SQL{Relations: []op.SQLRelation{{Name: "public.log", Delete: true}}}}
	d.Operations = append(d.Operations, policy.Operation{Declaration: writes})
	all, err := pgrole.Of(d, "")
	if err != nil || len(all) != 2 {
		t.Fatal(err)
	}
	for i, db := range []string{first, second} {
		psql(t, s, db, all[i].Text())
	}
	if got := state(t, as(t, s, first, "app"), "CREATE TEMP TABLE t (a int)"); got != "25006" { // read_only_sql_transaction
		t.Errorf("a write where the policy only reads: %q", got)
	}
	if got := state(t, as(t, s, second, "app"), "DELETE FROM log"); got != "" {
		t.Errorf("a permitted write: %q", got)
	}
	if other, err := pgrole.Of(d, "other"); err != nil || other[0].Name != "other" || !strings.Contains(other[0].Statements[0], `CREATE ROLE "other" LOGIN;`) {
		t.Errorf("another name: %v", err)
	}
}

// TestSuccessor runs what is printed for one version of a policy, and then for others:
// the role can do what the last one declares, has lost what it had of what that names,
// and what else it has is shown.
//
// R3/sql
func TestSuccessor(t *testing.T) {
	t.Parallel()
	s := testpg.Start(t)
	db := s.Database(t)
	s.Exec(t, db, schema+"INSERT INTO orders (total) VALUES (1)")
	sql := func(actions []string, relations ...op.SQLRelation) string {
		return one(t, document(db, "app", op.Declaration{Actions: actions, SQL: &op.SQL{Relations: relations}})).Text()
	}
	reads := sql([]string{"sql:select"}, op.SQLRelation{Name: "public.orders", Read: []string{"*"}}, op.SQLRelation{Name: "public.log", Read: []string{"*"}})
	writes := sql([]string{"sql:select", "sql:update"}, op.SQLRelation{Name: "public.orders", Read: []string{"id"}, Update: []string{"total"}})
	const update = "UPDATE orders SET total = 2 WHERE id = 1"
	for _, x := range []struct{ what, script, statement, state, beyond string }{
		{"version 1", reads, update, "25006", ""}, // read_only_sql_transaction
		{"version 2", writes, update, "", "table log"},
		{"version 2", writes, "SELECT note FROM orders", "42501", "table log"},
		{"version 3, as version 1", reads, "SELECT note FROM orders", "", ""},
		{"version 3, as version 1", reads, "SET transaction_read_only = off; " + update, "42501", ""},
	} {
		if beyond := strings.TrimSpace(psql(t, s, db, x.script)); beyond != x.beyond {
			t.Errorf("%s: beyond it the role has %q, want %q", x.what, beyond, x.beyond)
		}
		if got := state(t, as(t, s, db, "app"), x.statement); got != x.state {
			t.Errorf("%s: %s: %q, want %q", x.what, x.statement, got, x.state)
		}
	}
	s.Exec(t, db, `CREATE ROLE powers; GRANT powers TO app; GRANT SELECT (card) ON customers TO app; GRANT CREATE ON SCHEMA public TO app;
		ALTER TABLE payroll OWNER TO app`)
	shown := psql(t, s, db, reads)
	for _, want := range []string{"what the role powers has", "column card of table customers", "table payroll"} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %q in what is shown: %s", want, shown)
		}
	}
	if got := state(t, as(t, s, db, "app"), "SET transaction_read_only = off; CREATE TABLE mine (a int)"); got != "42501" {
		t.Errorf("a right on a schema that the policy names: %q", got)
	}
	s.Exec(t, db, "ALTER ROLE app CREATEDB")
	if got := state(t, s.Connect(t, s.Local(db)), reads); got != "P0001" { // raise_exception
		t.Errorf("a role that may make databases: %q", got)
	}
}

// TestSharedRole leaves what one target is given when the script of another runs, whose
// role and database are the same.
func TestSharedRole(t *testing.T) {
	t.Parallel()
	s := testpg.Start(t)
	db := s.Database(t)
	s.Exec(t, db, schema)
	d := document(db, "app", op.Declaration{Actions: []string{"sql:select"}, SQL: &op.SQL{Relations: []op.SQLRelation{{Name: "public.orders", Read: []string{"id"}}}}})
	t2 := d.Targets[0]
	t2.ID, t2.Origin = "second", "postgres://db.example:5432/"+db
	d.Targets = append(d.Targets, t2)
	d.Operations = append(d.Operations, policy.Operation{Declaration: op.Declaration{
		Type: "sql", Targets: []string{"second"}, Actions: []string{"sql:delete"}, SQL: &op.SQL{Relations: []op.SQLRelation{{Name: "public.orders", Delete: true}}},
	}})
	all, err := pgrole.Of(d, "")
	if err != nil || len(all) != 2 {
		t.Fatal(err)
	}
	for _, r := range all {
		psql(t, s, db, r.Text())
	}
	for _, sql := range []string{"SELECT id FROM orders", "DELETE FROM orders"} {
		if got := state(t, as(t, s, db, "app"), sql); got != "" {
			t.Errorf("%s: %q", sql, got)
		}
	}
}

// hostile returns a name of up to n bytes out of what could end one, or a comment.
func hostile(r *rand.Rand, n int) string {
	parts := []string{`"`, `""`, "'", `\`, "\n", "\r", "\t", ";", "--", "/*", "*/", "$$", ":a", ":'a'", "(", ",", ")", " ", "DROP", "select", "É", "\u2028", "a", "Z", "0", "\\q\n", "\x01"}
	var b strings.Builder
	for b.Len() == 0 || r.IntN(5) > 0 {
		p := parts[r.IntN(len(parts))]
		if b.Len()+len(p) > n {
			break
		}
		b.WriteString(p)
	}
	return b.String()
}

// TestHostileNames runs what is printed for names made to break out of it: each is
// granted, and nothing but that happens.
//
// A11
func TestHostileNames(t *testing.T) {
	t.Parallel()
	s := testpg.Start(t)
	r := rand.New(rand.NewPCG(1, 2))
	ident := func(n string) string { return `"` + strings.ReplaceAll(n, `"`, `""`) + `"` }
	const marker = "CREATE TABLE public.marker (a int);"
	s.Exec(t, testpg.Superuser, marker)
	for i := range 40 {
		table, a, b, schema, typ := hostile(r, 60), hostile(r, 60), hostile(r, 50)+"2", hostile(r, 60), hostile(r, 60)
		user := strings.Map(func(c rune) rune {
			if c < ' ' || c > '~' {
				return '"'
			}
			return c
		}, hostile(r, 50)) + "-" + string(rune('A'+i%26)) + string(rune('A'+i/26))
		if strings.HasPrefix(schema, "pg_") || slices.ContainsFunc([]string{table, a, b, schema, typ}, func(n string) bool { return strings.Contains(n, ".") }) {
			t.Fatal("a name that is no case")
		}
		function := fmt.Sprint("f", i) + strings.ReplaceAll(hostile(r, 60), "(", "")
		s.Exec(t, testpg.Superuser, "CREATE SCHEMA "+ident(schema)+"; CREATE TABLE "+ident(schema)+"."+ident(table)+" ("+ident(a)+" int, "+ident(b)+" int); CREATE TYPE "+
			ident(schema)+"."+ident(typ+"t")+" AS ENUM ('x'); CREATE FUNCTION public."+ident(function)+"() RETURNS int LANGUAGE sql AS 'SELECT 1'")
		d := document(testpg.Superuser, user, op.Declaration{Actions: []string{"sql:select"}, SQL: &op.SQL{
			Relations: []op.SQLRelation{{Name: schema + "." + table, Read: []string{a}}}, Types: []string{schema + "." + typ + "t"},
			Functions: []string{"public." + function, "public." + hostile(r, 80) + "("}, Settings: []string{hostile(r, 80)}, Channels: []string{hostile(r, 60)},
		}})
		d.Targets[0].ID = hostile(r, 60)
		for j := range d.Operations {
			d.Operations[j].Targets = []string{d.Targets[0].ID}
		}
		role := one(t, d)
		for range 2 {
			psql(t, s, testpg.Superuser, role.Text())
		}
		rows, err := testpg.Rows{PgConn: s.Connect(t, s.Local(testpg.Superuser))}.Query(t.Context(),
			`SELECT table_schema, table_name, column_name, privilege_type FROM information_schema.column_privileges WHERE grantee = `+literal(user)+
				` UNION ALL SELECT routine_schema, routine_name, '', privilege_type FROM information_schema.routine_privileges WHERE grantee = `+literal(user))
		if err != nil || len(rows) != 2 || !slices.Equal(rows[0], []string{schema, table, a, "SELECT"}) || !slices.Equal(rows[1], []string{"public", function, "", "EXECUTE"}) {
			t.Fatalf("%q of %q has %q, %v\n%s", a, schema+"."+table, rows, err, role.Text())
		}
		s.Exec(t, testpg.Superuser, "DROP SCHEMA "+ident(schema)+" CASCADE; SELECT FROM public.marker")
	}
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// TestNoName leaves to people what has no statement that means it alone: the server
// cuts long names, and then means another table.
//
// A11
// guard: grant-name, grant-two-dots
func TestNoName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64)
	r := one(t, document("shop", "app", op.Declaration{Actions: []string{"sql:select"}, SQL: &op.SQL{
		Relations: []op.SQLRelation{{Name: "public." + long, Read: []string{"*"}}, {Name: "a.b.c", Read: []string{"*"}}, {Name: "public.t", Read: []string{"x\x00", long}}},
		Functions: []string{"public.f(int4", "public.f(int4)(text)", "public.f(a.b.c)"}, Types: []string{"public." + long},
	}}))
	for _, s := range r.Statements {
		if strings.HasPrefix(s, "GRANT") && !strings.HasPrefix(s, "GRANT CONNECT") && !strings.HasPrefix(s, "GRANT USAGE ON SCHEMA") {
			t.Errorf("statement: %q", s)
		}
	}
	byHand := 0
	for _, n := range r.Notes {
		if strings.HasPrefix(n, "to grant by hand: ") {
			byHand++
		}
	}
	if byHand != 8 {
		t.Errorf("%d notes of what is to be granted by hand: %q", byHand, r.Notes)
	}
	for _, d := range []*policy.Document{document("shop", long, op.Declaration{}), document(long, "app", op.Declaration{})} {
		if _, err := pgrole.Of(d, ""); !errors.Is(err, pgrole.ErrRole) {
			t.Errorf("a user or database of 64 bytes: %v", err)
		}
	}
	if all, err := pgrole.Of(testkit.Document(canon.Hash(nil)), ""); err != nil || len(all) != 0 {
		t.Errorf("a policy without postgres: %v", err)
	}
}
