package pggw_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
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
// guard: portal-path, path-taken-back, path-stale, bind-stale, path-noted
func TestPathBehind(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, pggw.Watchful, func(d *policy.Document) {
		broad(d)
		s := d.Operations[1].SQL
		s.Settings, s.Functions = append(s.Settings, "search_path"), append(s.Functions, "public.secret", "s2.plain", "pg_catalog.set_config")
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
	run := func(name, text string) []pgproto3.FrontendMessage {
		return []pgproto3.FrontendMessage{parsed(name, text), bound(name, name), &pgproto3.Execute{Portal: name}}
	}
	one := func(rows, fails string, list ...[]pgproto3.FrontendMessage) step {
		return series(rows, fails, slices.Concat(list...)...)
	}
	w.walk(t, // what has failed ends in the series in which something is run
		asks("BEGIN", "", ""), set, asks("SELECT 1/0", "", "22012"), one("", "search path", run("", "ROLLBACK"), run("", add)), asks("ROLLBACK", "", ""),
		asks("BEGIN", "", ""), asks("SAVEPOINT a", "", ""), set, asks("SELECT 1/0", "", "22012"), one("", "search path", run("", "ROLLBACK TO a"), run("", add)), asks("ROLLBACK", "", ""),
		asks("BEGIN", "", ""), set, asks("SELECT 1/0", "", "22012"), asks("ROLLBACK; "+add, "", "search path"), asks("ROLLBACK", "", ""),
		asks("BEGIN", "", ""), asks("SELECT 1/0", "", "22012"), asks("SELECT 1", "", "25P02"), one("", "", run("", "ROLLBACK")), asks("SELECT 1", "1", ""),
	)
	w.walk(t, // bound in the series in which the path changes
		asks("SET search_path TO public", "", ""), asks("BEGIN", "", ""), series("", "", parsed("s", add), parsed("x", "SET search_path TO s2")),
		series("", "search path", bound("", "x"), &pgproto3.Execute{}, bound("p", "s")), asks("ROLLBACK", "", ""), asks(add, "", no),
	)
	config := "SELECT set_config('search_path', 's2', false)"
	w.walk(t, // with a bound on rows it is suspended, not complete
		asks(add, "", no), series(`"pg_catalog", "s2", "pg_temp"`, "", parsed("", config), bound("", ""), &pgproto3.Execute{MaxRows: 1}), asks(add, "ab", ""),
		series(`"pg_catalog", "public", "pg_temp"`, "", parsed("", "SELECT set_config('search_path', 'public', false)"), bound("", ""), &pgproto3.Execute{MaxRows: 1}), asks(add, "", no),
		series(`"pg_catalog", "s2", "pg_temp"`, "search path", parsed("", config), bound("", ""), &pgproto3.Execute{MaxRows: 1}, parsed("", add), bound("", ""), &pgproto3.Execute{}),
	)
	w.walk(t, // bound before the path changes, and found by its name after
		set, asks("PREPARE q AS "+add, "", ""), asks("EXECUTE q", "ab", ""), series("", "", parsed("x", "SET search_path TO public"), parsed("e", "EXECUTE q")),
		series("", "search path", bound("x", "x"), bound("e", "e"), &pgproto3.Execute{Portal: "x"}, &pgproto3.Execute{Portal: "e"}), asks("ROLLBACK", "", ""),
	)
	w.walk(t, // behind what is empty
		asks(add, "", no), one("", "", []pgproto3.FrontendMessage{parsed("", ""), bound("", ""), &pgproto3.Execute{}}, run("", "SET search_path TO s2"), []pgproto3.FrontendMessage{&pgproto3.Flush{}}), asks(add, "ab", ""),
	)
}

// TestEmpty shows executions behind one of nothing: each has its own answer, bounds and
// mask.
//
// SPEC PGGW-6, PGGW-13
// R7/sql
func TestEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) {
		s := d.Operations[1].SQL
		s.Relations[0].Read, s.Mask = []string{"*"}, []string{"public.customers.card"}
		d.Operations[1].Response = &policy.Response{MaxRows: 5}
	})
	nothing := []pgproto3.FrontendMessage{parsed("", ""), bound("", ""), &pgproto3.Execute{}}
	h := w.raw(t)
	rows, failed := talk(t, h, isReady, append(slices.Clone(nothing), parsed("", "SELECT id FROM orders"), bound("", ""), &pgproto3.Execute{}, &pgproto3.Flush{}, &pgproto3.Sync{})...)
	if len(rows) > 5 || !strings.Contains(failed, "5 rows") {
		t.Errorf("%d rows, %s", len(rows), failed)
	}
	h = w.raw(t)
	for _, m := range append(slices.Clone(nothing), parsed("", "SELECT id FROM orders WHERE id < 0"), bound("", ""), &pgproto3.Execute{}, parsed("", "SELECT card FROM customers WHERE id = 3"), bound("", ""), &pgproto3.Execute{}, &pgproto3.Flush{}, &pgproto3.Sync{}) {
		h.Frontend.Send(m)
	}
	if err := h.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for ready := false; !ready; {
		m, err := h.Frontend.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := m.(*pgproto3.DataRow); ok {
			if n++; d.Values[0] != nil {
				t.Errorf("a masked value: %q", d.Values[0])
			}
		}
		ready = isReady(m)
	}
	if n != 1 {
		t.Errorf("%d rows", n)
	}
	w.walk(t, series("1", "", append(slices.Clone(nothing), parsed("", "SELECT 1"), bound("", ""), &pgproto3.Execute{})...),
		step{[]pgproto3.FrontendMessage{parsed("", "UPDATE orders SET status = 'kept' WHERE id = 9"), bound("", ""), &pgproto3.Execute{}, &pgproto3.Query{String: ""}}, "", ""})
	if r, err := (testpg.Rows{PgConn: w.pg.Connect(t, w.pg.Local(w.db))}).Query(t.Context(), "SELECT status FROM orders WHERE id = 9"); err != nil || r[0][0] != "kept" {
		t.Errorf("before an empty query: %v, %v", r, err)
	}
}

// TestStopInTransaction shows a statement that a bound stops: what it has changed is
// not kept by the COMMIT behind it.
//
// SPEC PGGW-6
// R7/sql
// guard: stop-fails
func TestStopInTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const change = "UPDATE orders SET status = 'gone' WHERE id > 0 RETURNING id"
	for _, s := range []step{asks(change, "", ""), series("", "", parsed("", change), bound("", ""), &pgproto3.Execute{})} {
		h := w.raw(t)
		talk(t, h, isReady, &pgproto3.Query{String: "BEGIN"})
		if rows, failed := talk(t, h, isReady, s.send...); len(rows) != 50 || !strings.Contains(failed, "50 rows") {
			t.Errorf("%d rows, %s", len(rows), failed)
		}
		if _, failed := talk(t, h, isReady, &pgproto3.Query{String: "SELECT 1"}); !strings.HasPrefix(failed, "25P02") {
			t.Errorf("after it: %s", failed)
		}
		talk(t, h, isReady, &pgproto3.Query{String: "COMMIT"})
		if rows, _ := talk(t, h, isReady, &pgproto3.Query{String: "SELECT count(*) FROM orders WHERE status = 'gone'"}); len(rows) != 1 || rows[0] != "0" {
			t.Errorf("changed: %v", rows)
		}
	}
}

// TestCommitFails shows what fails only when Sync commits it: its outcome says so.
//
// SPEC PGGW-7
// R56
func TestCommitFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.pg.Exec(t, w.db, `CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'late'; END $$;
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()`)
	const change = "UPDATE orders SET status = 'x' WHERE id = 1"
	w.walk(t, asks(change, "", "late"), asks(change+"; SELECT 1", "1", "late"), series("", "late", parsed("", change), bound("", ""), &pgproto3.Execute{}),
		series("", "42704", parsed("", "SELECT 'a'::nothing"), parsed("", "SELEKT"))) // one error for a series
	list := w.Receipts(receipt.Outcome)
	for _, r := range list {
		if r.Outcome.Class == receipt.OK {
			t.Errorf("an outcome says that it was done: %+v", r.Outcome)
		}
	}
	if len(list) < 4 {
		t.Errorf("%d outcomes", len(list))
	}
}

// TestLongSeriesLooks shows definitions that change in the middle of a series that takes
// long, or while a transaction has failed.
//
// SPEC PGGW-9
// A17
// guard: series-long
func TestLongSeriesLooks(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, pggw.Restless, func(d *policy.Document) {
		s := d.Operations[1].SQL
		s.Settings = append(s.Settings, "transaction_isolation")
	})
	const sql = "SELECT 'a'::varchar || 'b'::varchar"
	run := []pgproto3.FrontendMessage{parsed("", sql), bound("", ""), &pgproto3.Execute{}}
	h := w.raw(t)
	executed := func(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.CommandComplete); return ok }
	if rows, failed := talk(t, h, executed, append(run, &pgproto3.Flush{})...); len(rows) != 1 || rows[0] != "ab" {
		t.Fatalf("%q, %s", rows, failed)
	}
	if rows, failed := talk(t, h, executed, append(run, &pgproto3.Flush{})...); len(rows) != 1 || rows[0] != "ab" {
		t.Fatalf("in the same series: %q, %s", rows, failed)
	}
	create := func() {
		w.pg.Exec(t, w.db, `CREATE FUNCTION public.glue(varchar, varchar) RETURNS text LANGUAGE sql AS $f$ SELECT 'behind'::text $f$; CREATE OPERATOR public.|| (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.glue)`)
	}
	create()
	if rows, failed := talk(t, h, isReady, append(run, &pgproto3.Sync{})...); len(rows) > 0 || !strings.Contains(failed, "public.glue") {
		t.Errorf("defined in the series: %q, %s", rows, failed)
	}
	w.pg.Exec(t, w.db, "DROP FUNCTION public.glue CASCADE")
	h = w.raw(t)
	talk(t, h, isReady, &pgproto3.Query{String: "BEGIN"})
	talk(t, h, isReady, &pgproto3.Query{String: "SELECT 1/0"})
	create()
	if rows, failed := talk(t, h, isReady, &pgproto3.Query{String: "ROLLBACK; " + sql}); len(rows) > 0 || !strings.Contains(failed, "failed transaction") {
		t.Errorf("behind a ROLLBACK: %q, %s", rows, failed)
	}
	w.walk(t, asks("BEGIN", "", ""), asks("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "", ""), asks("SELECT 1", "1", ""), asks("COMMIT", "", ""),
		series("", "", parsed("b", "BEGIN"), parsed("s", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")),
		series("", "", bound("", "b"), &pgproto3.Execute{}), series("", "", bound("", "s"), &pgproto3.Execute{}), asks("COMMIT", "", ""))
	h = w.raw(t)
	w.pg.Exec(t, w.db, "REVOKE SELECT ON pg_catalog.pg_proc FROM PUBLIC; CREATE DOMAIN another AS int")
	for _, list := range [][]pgproto3.FrontendMessage{{&pgproto3.Query{String: "SELECT 1"}}, {parsed("", "SELECT 1"), bound("", ""), &pgproto3.Execute{}, &pgproto3.Sync{}}} {
		if rows, failed := talk(t, h, isReady, list...); len(rows) > 0 || !strings.Contains(failed, "its catalog") {
			t.Errorf("a catalog that is not told: %q, %s", rows, failed)
		}
	}
	w.pg.Exec(t, w.db, "GRANT SELECT ON pg_catalog.pg_proc TO PUBLIC")
	if rows, failed := talk(t, h, isReady, &pgproto3.Query{String: "SELECT 1"}); len(rows) != 1 {
		t.Errorf("once it is: %s", failed)
	}
}

// TestBothTalk shows a server that has much to say before it takes all that it is sent.
//
// SPEC PGGW-4
// R11
func TestBothTalk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) {
		d.Operations[1].SQL.Relations = append(d.Operations[1].SQL.Relations, op.SQLRelation{Name: "public.wide", Read: []string{"*"}})
	})
	w.pg.Exec(t, w.db, `DO $$ BEGIN EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg('column_with_a_rather_long_name_' || i || ' int', ', ') FROM generate_series(1, 1500) i) || ')'; END $$; GRANT SELECT ON wide TO app`)
	h := w.raw(t)
	list := []pgproto3.FrontendMessage{&pgproto3.Parse{Name: "w", Query: "SELECT * FROM wide WHERE $1::text IS NOT NULL"}}
	for range 300 {
		list = append(list, &pgproto3.Describe{ObjectType: 'S', Name: "w"})
	}
	list = append(list, &pgproto3.Bind{PreparedStatement: "w", Parameters: [][]byte{make([]byte, 800<<10)}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	for i := range list[len(list)-3].(*pgproto3.Bind).Parameters[0] {
		list[len(list)-3].(*pgproto3.Bind).Parameters[0][i] = 'x'
	}
	sent := make(chan error, 1)
	go func() {
		f := pgproto3.NewFrontend(nil, h.Conn)
		for _, m := range list {
			f.Send(m)
		}
		sent <- f.Flush()
	}()
	described := 0
	for ready := false; !ready; {
		m, err := h.Frontend.Receive()
		if err != nil {
			t.Fatalf("after %d descriptions: %v", described, err)
		}
		if _, ok := m.(*pgproto3.RowDescription); ok {
			described++
		}
		ready = isReady(m)
	}
	if err := <-sent; err != nil || described != 300 {
		t.Errorf("%d descriptions, %v", described, err)
	}
}

// TestCursorsEnd shows cursors that a rollback took away: a function of the server that
// opens another of the name does not give that what was decided about the first.
//
// SPEC PGGW-10
// R5/sql
// guard: portal-kept, portal-nested, call-ends
func TestCursorsEnd(t *testing.T) {
	t.Parallel()
	w := newBroad(t, func(d *policy.Document) {
		o := &d.Operations[1]
		o.Actions, o.SQL.Functions = append(o.Actions, "sql:call"), append(o.SQL.Functions, "public.opener", "public.back", "public.forth")
		d.Rules += `@id("call") permit (principal, action == Action::"sql:call", resource);`
	})
	w.pg.Exec(t, w.db, `CREATE PROCEDURE back() LANGUAGE plpgsql AS 'BEGIN ROLLBACK; END'; CREATE PROCEDURE forth() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'; CREATE FUNCTION opener(refcursor) RETURNS refcursor LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN OPEN $1 FOR SELECT card FROM customers; RETURN $1; END'`)
	const hold, plain, none = "DECLARE c CURSOR WITH HOLD FOR SELECT id FROM orders ORDER BY id", "DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id", "no cursor"
	opened := []step{asks("BEGIN", "", ""), asks("SELECT opener('c')", "c", ""), asks("FETCH 1 FROM c", "", none), asks("ROLLBACK", "", "")}
	begun := []step{asks("BEGIN", "", ""), asks(hold, "", "")}
	for _, steps := range [][]step{
		opened,
		append(append(slices.Clone(begun), asks("ROLLBACK", "", "")), opened...),
		append(append(slices.Clone(begun), asks("SELECT 1/0", "", "22012"), asks("COMMIT", "", "")), opened...),
		append([]step{asks(hold+"; SELECT 1/0", "", "22012")}, opened...),
		{asks("BEGIN", "", ""), asks("SAVEPOINT a", "", ""), asks("DECLARE c CURSOR FOR SELECT id FROM orders", "", ""), asks("ROLLBACK TO a", "", ""), asks("SELECT opener('c')", "c", ""), asks("FETCH 1 FROM c", "", none)},
		append(append(slices.Clone(begun), asks("COMMIT", "", ""), asks("FETCH 1 FROM c", "1", ""), asks("BEGIN", "", ""), asks("ROLLBACK", "", ""), asks("SELECT 1/0", "", "22012"), asks("FETCH 1 FROM c", "2", ""), asks("CLOSE c", "", "")), opened...),
		{asks("BEGIN", "", ""), asks("DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id", "", ""), asks("SAVEPOINT a", "", ""), asks("ROLLBACK TO a", "", ""), asks("FETCH 1 FROM c", "1", "")},
		// The transaction ends where another begins, or in a text that goes on.
		{asks("BEGIN", "", ""), asks(plain, "", ""), asks("COMMIT AND CHAIN", "", ""), asks("SELECT opener('c')", "c", ""), asks("FETCH 1 FROM c", "", none)},
		{asks("BEGIN", "", ""), asks(plain, "", ""), asks("COMMIT; BEGIN", "", ""), asks("SELECT opener('c')", "c", ""), asks("FETCH 1 FROM c", "", none)},
		{asks("BEGIN", "", ""), asks(plain, "", ""), asks("COMMIT; SELECT opener('c'); FETCH 1 FROM c", "", none)},
		append(slices.Clone(begun), asks("ROLLBACK; SELECT opener('c'); FETCH 1 FROM c", "", none)),
		append(slices.Clone(begun), asks("ROLLBACK AND CHAIN", "", ""), asks("SELECT opener('c')", "c", ""), asks("FETCH 1 FROM c", "", none)),
		append(slices.Clone(begun), asks("SELECT 1/0", "", "22012"), asks("ROLLBACK; BEGIN", "", ""), asks("SELECT opener('c')", "c", ""), asks("FETCH 1 FROM c", "", none)),
		{asks("BEGIN", "", ""), series("c", "no such portal", parsed("s", "SELECT id FROM orders"), bound("c", "s"), parsed("", "COMMIT"), bound("", ""), &pgproto3.Execute{}, parsed("", "SELECT opener('c')"), bound("", ""), &pgproto3.Execute{}, &pgproto3.Execute{Portal: "c"})},
		// A procedure ends the transaction that it runs in.
		append([]step{series("", "", parsed("", hold), bound("", ""), &pgproto3.Execute{}, parsed("", "CALL back()"), bound("", ""), &pgproto3.Execute{})}, opened...),
		{series("1 c", "no such portal", parsed("s", "SELECT id FROM orders ORDER BY id"), bound("c", "s"), &pgproto3.Execute{Portal: "c", MaxRows: 1}, parsed("", "CALL forth()"), bound("", ""), &pgproto3.Execute{},
			parsed("", "SELECT opener('c')"), bound("", ""), &pgproto3.Execute{}, &pgproto3.Execute{Portal: "c"})},
		// What the server keeps is kept.
		append(slices.Clone(begun), asks("SAVEPOINT a", "", ""), asks("SELECT 1/0", "", "22012"), asks("ROLLBACK TO a", "", ""), asks("COMMIT", "", ""), asks("FETCH 1 FROM c", "1", ""), asks("CLOSE c", "", "")),
		{asks("BEGIN", "", ""), asks("SAVEPOINT a", "", ""), asks("RELEASE a", "", ""), asks(plain, "", ""), asks("SAVEPOINT b", "", ""), asks("ROLLBACK TO b", "", ""), asks("FETCH 1 FROM c", "1", "")},
		{asks("BEGIN", "", ""), asks("SAVEPOINT a", "", ""), asks("SAVEPOINT b", "", ""), asks(plain, "", ""), asks("RELEASE b", "", ""), asks("ROLLBACK TO a", "", ""), asks("FETCH 1 FROM c", "", none)},
		{asks("BEGIN; "+hold+"; COMMIT; BEGIN; ROLLBACK", "", ""), asks("FETCH 1 FROM c", "1", ""), asks("CLOSE c", "", "")},
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

// TestLargeValues shows values that a receipt could not keep.
//
// R11
// guard: values-bound
func TestLargeValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	value := func(n int) pgproto3.FrontendMessage {
		return &pgproto3.Bind{Parameters: [][]byte{[]byte(strings.Repeat("x", n))}}
	}
	w.walk(t, series("", "at most 900 KiB", parsed("", "SELECT length($1)"), value(900<<10+1), &pgproto3.Execute{}),
		series("921600", "", parsed("", "SELECT length($1)"), value(900<<10), &pgproto3.Execute{}))
}

// TestManySavepoints shows more savepoints than a session may have.
//
// R11
// guard: saves-bound
func TestManySavepoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	steps := []step{asks("BEGIN", "", "")}
	for range 32 {
		steps = append(steps, asks(strings.Repeat("SAVEPOINT a;", 32), "", ""))
	}
	w.walk(t, append(steps, asks("SAVEPOINT a", "", "too many"), asks("ROLLBACK", "", ""), asks("SELECT 1", "1", ""))...)
}
