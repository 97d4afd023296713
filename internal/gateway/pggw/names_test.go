package pggw_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// raw returns a session of which the test speaks the protocol itself.
func (w *world) raw(t *testing.T) *pgconn.HijackedConn {
	t.Helper()
	h, err := w.client(t).Hijack()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Conn.Close() })
	h.Conn.SetDeadline(time.Now().Add(30 * time.Second))
	return h
}

// talk sends messages and returns what comes until one that ends accepts.
func talk(t *testing.T, h *pgconn.HijackedConn, ends func(pgproto3.BackendMessage) bool, list ...pgproto3.FrontendMessage) (rows []string, failed string) {
	t.Helper()
	for _, m := range list {
		h.Frontend.Send(m)
	}
	if err := h.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := h.Frontend.Receive()
		if err != nil {
			t.Fatalf("receive: %v", err)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			rows = append(rows, string(m.Values[0]))
		case *pgproto3.ErrorResponse:
			failed = m.Code + " " + m.Message
		}
		if ends(m) {
			return rows, failed
		}
	}
}

func isReady(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.ReadyForQuery); return ok }

// TestNamesStayWhatTheyAre shows a client that gives one name to two statements: one
// that the rules forbid, and one to be asked about in its place. Whatever the
// server has under a name, nothing else is decided about.
//
// SPEC PGGW-4
// R5/sql
// guard: name-unconfirmed
func TestNamesStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	const forbidden, harmless = "SELECT md5('a')", "SELECT 'harmless'"
	parse := func(name, text string) pgproto3.FrontendMessage { return &pgproto3.Parse{Name: name, Query: text} }
	bind := func(portal, name string) pgproto3.FrontendMessage {
		return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name}
	}
	run := func(portal string) pgproto3.FrontendMessage { return &pgproto3.Execute{Portal: portal} }
	sync := &pgproto3.Sync{}
	for name, series := range map[string][][]pgproto3.FrontendMessage{
		"a statement again":                  {{parse("s", forbidden), sync}, {parse("s", harmless), bind("", "s"), run(""), sync}, {bind("", "s"), run(""), sync}},
		"a statement again, at once":         {{parse("s", forbidden), parse("s", harmless), bind("", "s"), run(""), sync}, {bind("", "s"), run(""), sync}},
		"a portal again":                     {{parse("f", forbidden), parse("h", harmless), bind("p", "f"), bind("p", "h"), run("p"), sync}},
		"a close that is passed over":        {{parse("s", forbidden), parse("v", "SELECT $1::int"), sync}, {bind("", "v"), &pgproto3.Close{ObjectType: 'S', Name: "s"}, parse("s", harmless), sync}, {bind("", "s"), run(""), sync}},
		"an unnamed one that is passed over": {{parse("", forbidden), parse("v", "SELECT $1::int"), sync}, {bind("x", "v"), parse("", harmless), sync}, {bind("", ""), run(""), sync}},
	} {
		h := w.raw(t)
		for _, list := range series {
			rows, _ := talk(t, h, isReady, list...)
			for _, r := range rows {
				if len(r) == 32 { // a digest
					t.Errorf("%s: what the rules forbid was run: %s", name, r)
				}
			}
		}
		if rows, failed := talk(t, h, isReady, parse("good", harmless), bind("", "good"), run(""), sync); failed != "" || len(rows) != 1 || rows[0] != "harmless" {
			t.Errorf("%s: after it: %q, %s", name, rows, failed)
		}
	}
}

// TestFlush shows a client that waits for answers before it asks for more.
//
// SPEC PGGW-4
func TestFlush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	h := w.raw(t)
	described := func(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.RowDescription); return ok }
	talk(t, h, described, &pgproto3.Parse{Name: "s", Query: "SELECT id FROM orders WHERE id = $1"}, &pgproto3.Describe{ObjectType: 'S', Name: "s"}, &pgproto3.Flush{})
	rows, failed := talk(t, h, isReady, &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("3")}}, &pgproto3.Execute{}, &pgproto3.Sync{})
	if failed != "" || len(rows) != 1 || rows[0] != "3" {
		t.Errorf("%q, %s", rows, failed)
	}
	rows, failed = talk(t, h, isReady, &pgproto3.Parse{Name: "u", Query: "SELECT 1"}, &pgproto3.Query{String: "SELECT 7"})
	if failed != "" || len(rows) != 1 || rows[0] != "7" {
		t.Errorf("a simple query behind others: %q, %s", rows, failed)
	}
	if rows, failed := talk(t, h, isReady, &pgproto3.Bind{PreparedStatement: "u"}, &pgproto3.Execute{}, &pgproto3.Sync{}); failed != "" || len(rows) != 1 {
		t.Errorf("after it: %q, %s", rows, failed)
	}
}

// TestLongSeries shows a client that asks for no answer: after so many messages, or so
// many bytes, it gets those that there are, and the gate keeps nothing of them.
//
// SPEC PGGW-4
// R11
// guard: series-bound
func TestLongSeries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	many, large := make([]pgproto3.FrontendMessage, 1024), []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SELECT $1::text"}}
	for i := range many {
		many[i] = &pgproto3.Parse{Query: "SELECT 1"}
	}
	for range 20 {
		large = append(large, &pgproto3.Bind{Parameters: [][]byte{make([]byte, 64<<10)}})
	}
	for name, list := range map[string][]pgproto3.FrontendMessage{"messages": many, "bytes": large} {
		h := w.raw(t)
		parsed := func(m pgproto3.BackendMessage) bool { _, ok := m.(*pgproto3.ParseComplete); return ok }
		if _, failed := talk(t, h, parsed, list...); failed != "" {
			t.Errorf("%s: %s", name, failed)
		}
		if rows, failed := talk(t, h, isReady, &pgproto3.Bind{Parameters: [][]byte{}}, &pgproto3.Sync{}); len(rows) > 0 {
			t.Errorf("%s: %q, %s", name, rows, failed)
		}
		if rows, failed := talk(t, h, isReady, &pgproto3.Query{String: "SELECT 7"}); failed != "" || len(rows) != 1 {
			t.Errorf("%s: after it: %q, %s", name, rows, failed)
		}
	}
}

// TestSeveralStatements shows texts of several statements: each has the bounds of
// its own declaration and its own outcome.
//
// SPEC PGGW-4, PGGW-6
// R7/sql
func TestSeveralStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) {
		for i, a := range d.Operations[1].Actions {
			if a == "sql:transaction" {
				d.Operations[1].Actions = append(d.Operations[1].Actions[:i:i], d.Operations[1].Actions[i+1:]...)
				break
			}
		}
		d.Operations = append(d.Operations, policy.Operation{Declaration: op.Declaration{Type: "sql", Targets: []string{testkit.Target}, Actions: []string{"sql:transaction"}}})
		d.Operations[1].Response.MaxRows = 5
	})
	c := w.client(t)
	if n, err := query(t, c, "SELECT id FROM orders; BEGIN; COMMIT"); n > 5 || denied(err) == nil {
		t.Errorf("a bound of another statement: %d rows, %v", n, err)
	}
	before := len(w.Receipts(receipt.Outcome))
	if _, err := query(t, c, "UPDATE orders SET status = 'x' WHERE id = 1; DELETE FROM orders"); denied(err) == nil {
		t.Errorf("a denied one beside another: %v", err)
	}
	if _, err := query(t, c, "SELECT 1; SELECT 1/0; SELECT 2"); err == nil {
		t.Error("a division by zero")
	}
	var got []string
	for _, r := range w.Receipts(receipt.Outcome)[before:] {
		got = append(got, string(r.Outcome.Class))
	}
	// Outcomes are recorded from the last to the first.
	if want := "not_sent error error ok"; strings.Join(got, " ") != want {
		t.Errorf("outcomes %v, want %s", got, want)
	}
}
