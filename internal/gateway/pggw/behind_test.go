package pggw_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// A step is what a client sends in one series, with what comes of it: rows, or a
// refusal that says that.
type step struct {
	send  []pgproto3.FrontendMessage
	rows  string // one after the other
	fails string // "": it does not
}

func asks(text, rows, fails string) step {
	return step{[]pgproto3.FrontendMessage{&pgproto3.Query{String: text}}, rows, fails}
}

func series(rows, fails string, send ...pgproto3.FrontendMessage) step {
	return step{append(send, &pgproto3.Sync{}), rows, fails}
}

func parsed(name, text string) pgproto3.FrontendMessage {
	return &pgproto3.Parse{Name: name, Query: text}
}

func bound(portal, name string) pgproto3.FrontendMessage {
	return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name}
}

func (w *world) walk(t *testing.T, steps ...step) {
	t.Helper()
	h := w.raw(t)
	for i, s := range steps {
		rows, failed := talk(t, h, isReady, s.send...)
		if got := strings.Join(rows, " "); got != s.rows || (failed == "") != (s.fails == "") || !strings.Contains(failed, s.fails) {
			t.Fatalf("step %d, %v: %q, %s; want %q, %s", i+1, s.send[0], got, failed, s.rows, s.fails)
		}
	}
}

// TestLongNames shows names that are the same for the server, which cuts them, and would
// be two for the gate.
//
// SPEC PGGW-4
// R5/sql
// guard: name-length
func TestLongNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := strings.Repeat("a", 63)
	one, two := p+"1", p+"2"
	const no = "at most 63 bytes"
	w.walk(t,
		series("", "", parsed(p, "SELECT 'harmless'")),
		series("harmless", "", bound(p, p), &pgproto3.Execute{Portal: p}),
		series("", no, parsed(one, "SELECT 1")),
		series("", no, bound("", two)),
		series("", no, bound(two, p)),
		series("", no, &pgproto3.Describe{ObjectType: 'S', Name: one}),
		series("", no, &pgproto3.Execute{Portal: one}),
		series("", no, &pgproto3.Close{ObjectType: 'S', Name: two}),
		series("harmless", "", bound("", p), &pgproto3.Execute{}),
	)
}

// TestNameAgain shows portals of EXECUTE and FETCH that are executed in parts: the rest
// is of what the name stood for at first, which may be another by then.
//
// SPEC PGGW-10
// R5/sql R7/sql
// guard: portal-again
func TestNameAgain(t *testing.T) {
	t.Parallel()
	w := newBroad(t, func(d *policy.Document) {
		s := d.Operations[1].SQL
		s.Relations[0].Read, s.Mask = []string{"*"}, []string{"public.customers.card"}
	})
	w.walk(t,
		asks("BEGIN", "", ""), asks("PREPARE m AS SELECT id, card FROM customers ORDER BY id", "", ""),
		series("", "", parsed("x", "EXECUTE m"), bound("p", "x")),
		series("1 2", "", &pgproto3.Execute{Portal: "p", MaxRows: 2}),
		asks("DEALLOCATE m", "", ""), asks("PREPARE m AS SELECT id, status FROM orders", "", ""),
		series("", "executed once", &pgproto3.Execute{Portal: "p", MaxRows: 2}),
		asks("ROLLBACK", "", ""),
		asks("BEGIN", "", ""), asks("DECLARE c CURSOR FOR SELECT id, card FROM customers ORDER BY id", "", ""),
		series("", "", parsed("y", "FETCH ALL FROM c"), bound("p", "y")),
		series("1 2", "", &pgproto3.Execute{Portal: "p", MaxRows: 2}),
		asks("CLOSE c; DECLARE c CURSOR FOR SELECT id, status FROM orders", "", ""),
		series("", "executed once", &pgproto3.Execute{Portal: "p", MaxRows: 2}),
		asks("ROLLBACK", "", ""),
		series("1 2", "", parsed("z", "SELECT id FROM orders ORDER BY id"), bound("p", "z"), &pgproto3.Execute{Portal: "p", MaxRows: 2}),
	)
}

// TestPathBehind shows a search path that is another than it was when something was
// found: because a transaction was rolled back in the same series, or a portal was made
// before.
//
// SPEC SQL-13
// A17
// guard: portal-path, path-taken-back
func TestPathBehind(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, pggw.Watchful, func(d *policy.Document) {
		broad(d)
		s := d.Operations[1].SQL
		s.Settings, s.Functions = append(s.Settings, "search_path"), append(s.Functions, "public.secret", "s2.plain")
		d.Rules += `@id("no-secret") forbid (principal, action in [Action::"sql:select", Action::"sql:session"], resource) when { context.operators.contains("public.secret(text,text)") };`
	})
	w.pg.Exec(t, w.db, `CREATE TABLE notes (id int, body text); CREATE SCHEMA s2; GRANT USAGE ON SCHEMA s2 TO app;
CREATE FUNCTION public.secret(text, text) RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT max(card) FROM public.customers';
CREATE FUNCTION s2.plain(text, text) RETURNS text LANGUAGE sql AS 'SELECT $1 || $2';
CREATE OPERATOR public.+ (LEFTARG = text, RIGHTARG = text, FUNCTION = public.secret);
CREATE OPERATOR s2.+ (LEFTARG = text, RIGHTARG = text, FUNCTION = s2.plain)`)
	const add, no = "SELECT 'a'::text + 'b'::text", "a rule forbids"
	set := asks("SET search_path TO s2", "", "")
	w.walk(t,
		asks(add, "", no), asks("BEGIN", "", ""), set, asks(add, "ab", ""),
		asks("ROLLBACK; "+add, "", "search path"), asks("ROLLBACK", "", ""), asks(add, "", no),
		asks("BEGIN", "", ""), set,
		series("", "search path", parsed("", "ROLLBACK"), bound("", ""), &pgproto3.Execute{}, parsed("", add), bound("", ""), &pgproto3.Execute{}),
		asks("ROLLBACK", "", ""),
		asks("BEGIN", "", ""), asks("SAVEPOINT a", "", ""), set, asks("ROLLBACK TO a; "+add, "", "search path"), asks("ROLLBACK", "", ""),
		asks("BEGIN", "", ""), set, asks("SELECT 1/0", "", "22012"), asks("COMMIT; "+add, "", "search path"), asks("ROLLBACK", "", ""),
		asks("BEGIN; "+add, "", no), asks("ROLLBACK", "", ""),
	)
	w.walk(t,
		asks("BEGIN", "", ""), series("", "", parsed("s", add), bound("p", "s")), set,
		series("", "search path", &pgproto3.Execute{Portal: "p"}), asks("ROLLBACK", "", ""),
		asks("BEGIN", "", ""), set, asks("DECLARE c CURSOR FOR "+add, "", ""), asks("FETCH c", "ab", ""), asks("SET search_path TO public", "", ""),
		asks("FETCH c", "", "search path"), asks("ROLLBACK", "", ""),
	)
}

// TestCursorsEnd shows cursors that a rollback took away: a function of the server that
// opens another of the name does not give that what was decided about the first.
//
// SPEC PGGW-10
// R5/sql
// guard: portal-kept, portal-nested
func TestCursorsEnd(t *testing.T) {
	t.Parallel()
	w := newBroad(t, func(d *policy.Document) {
		d.Operations[1].SQL.Functions = append(d.Operations[1].SQL.Functions, "public.opener")
	})
	w.pg.Exec(t, w.db, `CREATE FUNCTION opener(refcursor) RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN OPEN $1 FOR SELECT card FROM customers; RETURN $1; END'`)
	const hold, none = "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id", "no cursor"
	opened := []step{asks("BEGIN", "", ""), asks("SELECT opener('c')", "c", ""), asks("FETCH 1 FROM c", "", none), asks("ROLLBACK", "", "")}
	begun := []step{asks("BEGIN", "", ""), asks(hold, "", "")}
	for _, steps := range [][]step{
		opened,
		append(append(begun, asks("ROLLBACK", "", "")), opened...),
		append(append(begun, asks("SELECT 1/0", "", "22012"), asks("COMMIT", "", "")), opened...),
		append([]step{asks(hold+"; SELECT 1/0", "", "22012")}, opened...),
		{asks("BEGIN", "", ""), asks("SAVEPOINT a", "", ""), asks("DECLARE c CURSOR FOR SELECT id FROM orders", "", ""), asks("ROLLBACK TO a", "", ""), asks("SELECT opener('c')", "c", ""), asks("FETCH 1 FROM c", "", none)},
		append(append(begun, asks("COMMIT", "", ""), asks("FETCH 1 FROM c", "1", ""), asks("BEGIN", "", ""), asks("ROLLBACK", "", ""), asks("SELECT 1/0", "", "22012"), asks("FETCH 1 FROM c", "2", ""), asks("CLOSE c", "", "")), opened...),
		{asks("BEGIN", "", ""), asks("DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id", "", ""), asks("SAVEPOINT a", "", ""), asks("ROLLBACK TO a", "", ""), asks("FETCH 1 FROM c", "1", "")},
	} {
		w.walk(t, steps...)
	}
}

// TestOwnTypes shows a parameter of a type of which a check runs: it is seen, or refused.
//
// SPEC SQL-3
// R15/sql
// guard: type-own
func TestOwnTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.pg.Exec(t, w.db, `CREATE DOMAIN small AS int CHECK (VALUE < 10); CREATE TABLE types (o oid); INSERT INTO types SELECT 'small'::regtype`)
	c := w.pg.Connect(t, w.pg.Local(w.db))
	r := c.ExecParams(t.Context(), "SELECT o FROM types", nil, nil, nil, []int16{1}).Read()
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	b := r.Rows[0][0]
	own := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	value := &pgproto3.Bind{Parameters: [][]byte{[]byte("5")}}
	w.walk(t,
		series("", "not declared", parsed("", "SELECT $1::small"), value, &pgproto3.Execute{}),
		series("", "by a cast", &pgproto3.Parse{Query: "SELECT $1", ParameterOIDs: []uint32{own}}, value, &pgproto3.Execute{}),
		series("5", "", &pgproto3.Parse{Query: "SELECT $1", ParameterOIDs: []uint32{23}}, value, &pgproto3.Execute{}),
	)
}

// TestBindTime shows what the server computes while values are bound, before any
// execution: it has the time that the statement is given.
//
// SPEC PGGW-6
// R7/sql
// guard: seconds-bound
func TestBindTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) {
		d.Operations[1].SQL.Functions = append(d.Operations[1].SQL.Functions, "public.constant")
		d.Operations[1].Response = &policy.Response{MaxSeconds: 1}
	})
	w.pg.Exec(t, w.db, `CREATE FUNCTION constant() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(25); RETURN 1; END'`)
	const sql = "SELECT constant()"
	w.walk(t,
		series("", "after 1 seconds", parsed("", sql), bound("", "")),
		series("", "after 1 seconds", parsed("", sql), bound("", ""), &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}),
		asks("SELECT 7", "7", ""),
	)
}

// TestUnreached shows a server that cannot be reached: the client is told so, and
// nothing of the gate's breaks.
//
// SPEC PGGW-3
// R11
func TestUnreached(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*policy.Target){
		"nobody there": func(g *policy.Target) { g.Origin = "postgres://127.0.0.1:1/shop" },
		"private":      func(g *policy.Target) { g.Private = false },
	} {
		w := newWorld(t, func(d *policy.Document) { change(&d.Targets[0]) })
		_, err := pgconn.ConnectConfig(t.Context(), w.config(t, w.Wide(1), w.Holder(0)))
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || !strings.Contains(e.Detail, string(op.TargetRefused)) {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(string(w.Logged.Bytes()), "panic") {
			t.Errorf("%s: there was a panic", name)
		}
	}
}
