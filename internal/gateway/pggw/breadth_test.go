package pggw_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// broad lets the usual policy's holder use all of the protocol.
func broad(d *policy.Document) {
	o := &d.Operations[1]
	o.Actions = append(o.Actions, "sql:copy", "sql:session", "sql:listen", "sql:notify", "sql:insert")
	o.SQL.Channels = []string{"jobs"}
	o.SQL.Relations = append(o.SQL.Relations, op.SQLRelation{Name: "public.notes", Insert: []string{"*"}, Read: []string{"*"}})
	o.Response = nil
	d.Rules += `@id("more") permit (principal, action in [Action::"sql:session", Action::"sql:listen", Action::"sql:notify", Action::"sql:insert"], resource);`
}

func newBroad(t *testing.T, change func(*policy.Document)) *world {
	t.Helper()
	w := newWorld(t, func(d *policy.Document) {
		broad(d)
		if change != nil {
			change(d)
		}
	})
	w.pg.Exec(t, w.db, "CREATE TABLE notes (id int, body text); GRANT SELECT, INSERT ON notes TO app")
	return w
}

// TestCopy shows COPY in both directions, in both ways to ask: what comes and goes
// is counted and bounded.
//
// SPEC PGGW-11
// R3/sql R7/sql
func TestCopy(t *testing.T) {
	t.Parallel()
	w := newBroad(t, nil)
	c := w.client(t)
	var out bytes.Buffer
	tag, err := c.CopyTo(t.Context(), &out, "COPY orders (id, total) TO STDOUT")
	if err != nil || tag.RowsAffected() != 100 || !strings.HasPrefix(out.String(), "1\t10\n") {
		t.Errorf("out: %s, %v, %.40q", tag, err, out.String())
	}
	tag, err = c.CopyTo(t.Context(), &out, "COPY (SELECT id FROM orders WHERE id < 4) TO STDOUT (FORMAT csv)")
	if err != nil || tag.RowsAffected() != 3 {
		t.Errorf("of a query: %s, %v", tag, err)
	}
	in := strings.Repeat("7\tsomething\n", 5000)
	tag, err = c.CopyFrom(t.Context(), strings.NewReader(in), "COPY notes FROM STDIN")
	if err != nil || tag.RowsAffected() != 5000 {
		t.Errorf("in: %s, %v", tag, err)
	}
	if _, err := c.CopyFrom(t.Context(), strings.NewReader("not a number\tx\n"), "COPY notes FROM STDIN"); err == nil || denied(err) != nil {
		t.Errorf("what the server refuses: %v", err)
	}
	if _, err := query(t, c, "SELECT 1"); err != nil { // all that was sent before it has been counted then
		t.Error(err)
	}
	for _, sql := range []string{
		"COPY customers TO STDOUT", "COPY customers (card) TO STDOUT", "COPY (SELECT card FROM customers) TO STDOUT", "COPY orders FROM STDIN",
		"COPY orders TO 'x.csv'", "COPY orders FROM PROGRAM 'id'", "COPY orders TO PROGRAM 'cat'",
	} {
		before := w.tap.sent.Load()
		if _, err := c.CopyTo(t.Context(), &out, sql); denied(err) == nil || w.tap.sent.Load() != before {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if n, err := query(t, c, "SELECT id FROM notes"); n != 5000 || err != nil {
		t.Errorf("after it: %d rows, %v", n, err)
	}
	notes := ""
	for _, r := range w.Receipts(receipt.Outcome) {
		notes += fmt.Sprintf("%s %s %d %d; ", r.Outcome.Class, r.Note, r.Outcome.Sent/1000, r.Outcome.Received/1000)
	}
	for _, want := range []string{"ok 100 rows 0 0", "ok 5000 rows 60 0", "error"} {
		if !strings.Contains(notes, want) {
			t.Errorf("outcomes %s: want %s", notes, want)
		}
	}
}

// TestCopyTold copies into a table whose trigger says something for each row, which the
// server does before it takes more.
//
// SPEC PGGW-11
// R11
func TestCopyTold(t *testing.T) {
	t.Parallel()
	w := newBroad(t, nil)
	w.pg.Exec(t, w.db, `CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', repeat('x', 2000); RETURN NEW; END $$;
CREATE TRIGGER tell BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION tell()`)
	heard := 0
	cfg := w.config(t, w.Wide(1), w.Holder(0))
	cfg.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { heard++ }
	c := w.connect(t, cfg)
	const rows = 20_000
	if tag, err := c.CopyFrom(t.Context(), strings.NewReader(strings.Repeat("7\tx\n", rows)), "COPY notes FROM STDIN"); err != nil || tag.RowsAffected() != rows || heard != rows {
		t.Errorf("%s, %v, %d notices", tag, err, heard)
	}
	if _, err := c.CopyFrom(t.Context(), strings.NewReader(strings.Repeat("7\tx\n", rows)+"bad\n"+strings.Repeat("7\tx\n", rows)), "COPY notes FROM STDIN"); err == nil {
		t.Error("what the server does not take")
	}
	if n, err := query(t, c, "SELECT 1"); n != 1 || err != nil {
		t.Errorf("after it: %d, %v", n, err)
	}
}

// TestCopyExtended copies as libpq's PQexecParams does: a Sync behind the Execute,
// which says nothing while the client copies.
//
// SPEC PGGW-11
func TestCopyExtended(t *testing.T) {
	t.Parallel()
	w := newBroad(t, nil)
	for name, tt := range map[string]struct {
		data   string
		failed bool
	}{"good": {"1\ta\n2\tb\n", false}, "bad": {"x\ta\n", true}} {
		h := w.raw(t)
		asked := func(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.CopyInResponse); return ok }
		sync := &pgproto3.Sync{}
		talk(t, h, asked, &pgproto3.Parse{Query: "COPY notes FROM STDIN"}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, sync)
		_, failed := talk(t, h, isReady, &pgproto3.CopyData{Data: []byte(tt.data)}, &pgproto3.CopyDone{}, sync)
		if (failed != "") != tt.failed {
			t.Errorf("%s: %s", name, failed)
		}
		if rows, failed := talk(t, h, isReady, &pgproto3.Query{String: "SELECT body FROM notes ORDER BY id"}); failed != "" || name == "good" && len(rows) != 2 {
			t.Errorf("%s: after it: %q, %s", name, rows, failed)
		}
	}
}

// TestCopyBounds stops COPY in both directions.
//
// SPEC PGGW-6, PGGW-11
// R7/sql
// guard: copy-bytes
func TestCopyBounds(t *testing.T) {
	t.Parallel()
	w := newBroad(t, func(d *policy.Document) { d.Operations[1].Response = &policy.Response{MaxRows: 5, MaxBytes: 1000} })
	c := w.client(t)
	var out bytes.Buffer
	if _, err := c.CopyTo(t.Context(), &out, "COPY orders (id) TO STDOUT"); denied(err) == nil || strings.Count(out.String(), "\n") != 5 {
		t.Errorf("out: %v, %q", err, out.String())
	}
	if _, err := c.CopyFrom(t.Context(), strings.NewReader(strings.Repeat("7\tsomething\n", 5000)), "COPY notes FROM STDIN"); denied(err) == nil {
		t.Errorf("in: %v", err)
	}
	if n, err := query(t, c, "SELECT id FROM notes"); n != 0 || err != nil {
		t.Errorf("after it: %d rows, %v", n, err)
	}
}

// TestCursors shows cursors: each FETCH is decided by what the cursor reads.
//
// SPEC PGGW-10
// R3/sql A17
// guard: cursor-known
func TestCursors(t *testing.T) {
	t.Parallel()
	w := newBroad(t, nil)
	c := w.client(t)
	run := func(sql string) int {
		t.Helper()
		n, err := query(t, c, sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
		}
		return n
	}
	run("BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders ORDER BY id")
	if n := run("FETCH 3 FROM c") + run("MOVE 10 IN c") + run("FETCH ALL FROM c"); n != 3+87 {
		t.Errorf("%d rows", n)
	}
	run("CLOSE c; COMMIT")
	if n := run("DECLARE h CURSOR WITH HOLD FOR SELECT id FROM orders; FETCH 2 FROM h"); n != 2 {
		t.Errorf("in one query: %d rows", n)
	}
	run("SELECT 1")
	if n := run("FETCH 5 FROM h"); n != 5 {
		t.Errorf("it does not outlive its transaction: %d rows", n)
	}
	run("CLOSE ALL")
	for _, sql := range []string{"FETCH 1 FROM h", "FETCH 1 FROM nobody", "DECLARE x CURSOR WITH HOLD FOR SELECT card FROM customers", "FETCH 1 FROM x"} {
		if _, err := query(t, c, sql); denied(err) == nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	reads := 0
	for _, r := range w.Receipts(receipt.Intent) {
		if r.Action == "sql:select" {
			reads++
		}
	}
	if reads != 2+5+1 { // DECLAREs, FETCHes and the MOVE, SELECT 1
		t.Errorf("%d intents to read", reads)
	}
}

// TestCursorNames shows that a cursor and a portal are one: whoever fetches from a
// name is decided by what stands behind it.
//
// SPEC PGGW-10
// R5/sql
// guard: name-behind-name
func TestCursorNames(t *testing.T) {
	t.Parallel()
	w := newBroad(t, nil)
	const forbidden = "SELECT md5('a')" // by a rule
	h, sync := w.raw(t), &pgproto3.Sync{}
	for name, list := range map[string][]pgproto3.FrontendMessage{
		"a portal by FETCH":            {&pgproto3.Parse{Name: "f", Query: forbidden}, &pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "f"}, &pgproto3.Parse{Query: "FETCH 1 FROM p"}, &pgproto3.Bind{}, &pgproto3.Execute{}, sync},
		"a statement by EXECUTE":       {&pgproto3.Parse{Name: "g", Query: forbidden}, &pgproto3.Parse{Query: "EXECUTE g"}, &pgproto3.Bind{}, &pgproto3.Execute{}, sync},
		"a cursor":                     {&pgproto3.Query{String: "BEGIN; DECLARE c CURSOR FOR " + forbidden + "; FETCH 1 FROM c"}},
		"PREPARE, and EXECUTE":         {&pgproto3.Query{String: "PREPARE q AS " + forbidden + "; EXECUTE q"}},
		"EXECUTE of an EXECUTE":        {&pgproto3.Parse{Name: "g1", Query: forbidden}, &pgproto3.Parse{Name: "g2", Query: "EXECUTE g1"}, sync, &pgproto3.Query{String: "EXECUTE g2"}},
		"FETCH from a FETCH":           {&pgproto3.Query{String: "BEGIN"}, &pgproto3.Parse{Name: "k1", Query: forbidden}, &pgproto3.Bind{DestinationPortal: "k", PreparedStatement: "k1"}, &pgproto3.Parse{Name: "k2", Query: "FETCH 1 FROM k"}, &pgproto3.Bind{DestinationPortal: "l", PreparedStatement: "k2"}, sync, &pgproto3.Query{String: "FETCH 1 FROM l"}},
		"FETCH from an EXECUTE":        {&pgproto3.Query{String: "BEGIN"}, &pgproto3.Parse{Name: "n1", Query: forbidden}, &pgproto3.Parse{Name: "n2", Query: "EXECUTE n1"}, &pgproto3.Bind{DestinationPortal: "n", PreparedStatement: "n2"}, sync, &pgproto3.Query{String: "FETCH 1 FROM n"}},
		"a CLOSE that is not executed": {&pgproto3.Query{String: "DECLARE c CURSOR FOR SELECT 1; SELECT 1/0; CLOSE c"}},
	} {
		ends := 0
		for _, m := range list {
			switch m.(type) {
			case *pgproto3.Query, *pgproto3.Sync:
				ends++
			}
		}
		rows, failed := talk(t, h, func(m pgproto3.BackendMessage) bool {
			if isReady(m) {
				ends--
			}
			return ends == 0
		}, list...)
		for _, r := range rows {
			if len(r) == 32 {
				t.Errorf("%s: what the rules forbid was run", name)
			}
		}
		if failed == "" {
			t.Errorf("%s: it was permitted", name)
		}
		talk(t, h, isReady, &pgproto3.Query{String: "ROLLBACK"})
	}
}

// TestPrepare shows statements that are prepared by a statement.
//
// SPEC PGGW-10
// R3/sql
// guard: statement-known
func TestPrepare(t *testing.T) {
	t.Parallel()
	w := newBroad(t, nil)
	c := w.client(t)
	for _, tt := range []struct {
		sql  string
		rows int
		no   bool
	}{
		{"PREPARE q (int) AS SELECT id FROM orders WHERE id < $1", 0, false},
		{"EXECUTE q (5)", 4, false},
		{"EXECUTE q (abs(-3))", 2, false},
		{"EXECUTE q (pg_backend_pid())", 0, true},
		{"PREPARE w AS SELECT card FROM customers", 0, true},
		{"EXECUTE w", 0, true},
		{"DEALLOCATE q", 0, false},
		{"EXECUTE q (5)", 0, true},
		{"PREPARE a AS SELECT 1; EXECUTE a; EXECUTE a; DEALLOCATE ALL", 2, false},
		{"EXECUTE a", 0, true},
		{"DISCARD ALL", 0, false},
		{"RESET ALL", 0, false},
	} {
		if n, err := query(t, c, tt.sql); n != tt.rows || (denied(err) != nil) != tt.no || !tt.no && err != nil {
			t.Errorf("%s: %d rows, %v", tt.sql, n, err)
		}
	}
	if _, err := c.Prepare(t.Context(), "wire", "SELECT id FROM orders WHERE id = $1", nil); err != nil {
		t.Fatal(err)
	}
	if n, err := query(t, c, "EXECUTE wire (3)"); n != 1 || err != nil {
		t.Errorf("of the protocol: %d rows, %v", n, err)
	}
	r := c.ExecParams(t.Context(), "EXECUTE wire (4)", nil, nil, nil, nil).Read()
	if len(r.Rows) != 1 || r.Err != nil {
		t.Errorf("in the protocol: %d rows, %v", len(r.Rows), r.Err)
	}
}

// TestListen shows notifications that reach a client while it asks for nothing, and while
// the gate asks the server something itself.
//
// SPEC PGGW-10
// R3/sql
// guard: unasked-heard
func TestListen(t *testing.T) {
	t.Parallel()
	w := newBroad(t, nil)
	got := make(chan *pgconn.Notification, 16)
	cfg := w.config(t, w.Wide(1), w.Holder(0))
	cfg.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { got <- n }
	listener, sender := w.connect(t, cfg), w.client(t)
	if _, err := query(t, listener, "LISTEN jobs"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"LISTEN secrets", "NOTIFY secrets, 'x'", "SELECT pg_notify('jobs', 'x')"} {
		if _, err := query(t, sender, sql); denied(err) == nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for i := range 3 {
		if _, err := query(t, sender, fmt.Sprintf("NOTIFY jobs, 'n%d'", i)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := listener.WaitForNotification(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		if n := <-got; n.Channel != "jobs" || n.Payload != fmt.Sprintf("n%d", i) {
			t.Errorf("%+v", n)
		}
		if n, err := query(t, listener, "SELECT id FROM orders WHERE id = 1"); n != 1 || err != nil { // the connection is used as before
			t.Errorf("%d rows, %v", n, err)
		}
	}
	w.pg.Exec(t, w.db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app' AND datname = current_database()")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := listener.WaitForNotification(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the server ended it, and the client waits: %v", err)
	}
	h := w.raw(t)
	talk(t, h, isReady, &pgproto3.Query{String: "LISTEN jobs"})
	parsed := func(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.ParseComplete); return ok }
	talk(t, h, parsed, &pgproto3.Parse{Query: "SELECT 1"}, &pgproto3.Flush{}) // until the transaction ends the server keeps it
	if _, err := query(t, w.client(t), "NOTIFY jobs, 'late'"); err != nil {
		t.Fatal(err)
	}
	heard := ""
	_, failed := talk(t, h, func(m pgproto3.BackendMessage) bool {
		if n, ok := m.(*pgproto3.NotificationResponse); ok {
			heard = n.Payload
		}
		return isReady(m)
	}, &pgproto3.Query{String: "DELETE FROM customers"})
	if failed == "" || heard != "late" {
		t.Errorf("while the gate ends what was refused: %q, %q", failed, heard)
	}
}
