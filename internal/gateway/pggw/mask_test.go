package pggw_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// TestMask shows columns that come as NULL, in each way that rows come, and what can
// be done with them beside: nothing.
//
// SPEC PGGW-13, SQL-12
// R7/sql A17
// guard: mask-origin, mask-value, mask-error, masked-shown
func TestMask(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, pggw.Watchful, func(d *policy.Document) {
		broad(d)
		s := d.Operations[1].SQL
		s.Relations[0].Read, s.Mask = []string{"*"}, []string{"public.customers.card"}
		s.Functions = append(s.Functions, "public.loud", "public.twice")
	})
	w.pg.Exec(t, w.db, `CREATE TABLE notes (id int, body text); GRANT SELECT ON notes TO app;
CREATE FUNCTION loud(int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RAISE NOTICE 'card %', (SELECT card FROM customers WHERE id = $1); RAISE EXCEPTION 'card %', (SELECT card FROM customers WHERE id = $1); END $$;
CREATE FUNCTION twice(text) RETURNS text LANGUAGE sql AS 'SELECT $1 || $1';
ALTER TABLE customers DROP COLUMN name; ALTER TABLE customers ADD COLUMN name text DEFAULT 'n'`)
	var noticed []string
	cfg := w.config(t, w.Wide(1), w.Holder(0))
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { noticed = append(noticed, n.Message) }
	c := w.connect(t, cfg)
	for sql, want := range map[string]string{
		"SELECT id, card, name FROM customers WHERE id = 3":                           "3 NULL n",
		"SELECT * FROM customers WHERE id = 3":                                        "3 NULL n",
		"SELECT name, x.card AS harmless, id FROM customers x WHERE id = 3":           "n NULL 3",
		"SELECT o.id, c.card FROM orders o JOIN customers c ON c.id = 3 WHERE o.id=1": "1 NULL",
		"SELECT id FROM customers WHERE id = 3":                                       "3",
		"SELECT lower(name) FROM customers WHERE id = 3":                              "n",
	} {
		for name, rows := range asked(t, c, sql) {
			if len(rows) != 1 || shown(rows[0]) != want {
				t.Errorf("%s (%s): %q, want %s", sql, name, rows, want)
			}
		}
	}
	for _, sql := range []string{
		"SELECT card FROM customers WHERE card LIKE '4%'", "SELECT id FROM customers ORDER BY card", "SELECT card FROM customers ORDER BY 1", "SELECT twice(card) FROM customers",
		"SELECT c FROM customers c", "SELECT max(card) FROM customers", "SELECT card, 1 + 1 FROM customers", "COPY customers TO STDOUT", "SELECT card FROM customers UNION SELECT name FROM customers",
		"SELECT DISTINCT card FROM customers",
	} {
		_, err := query(t, c, sql)
		if d := denied(err); d == nil || strings.Contains(err.Error(), "4111") {
			t.Errorf("%s: %v", sql, err)
		}
		if r := c.ExecParams(t.Context(), sql, nil, nil, nil, nil).Read(); denied(r.Err) == nil || len(r.Rows) > 0 {
			t.Errorf("%s, extended: %v, %q", sql, r.Err, r.Rows)
		}
	}
	_, err := query(t, c, "SELECT card FROM customers WHERE loud(id) = 1")
	if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "P0001" || strings.Contains(err.Error(), "4111") || e.Where != "" || len(noticed) > 0 {
		t.Errorf("an error that says it: %v, notices %q", err, noticed)
	}
	for _, sql := range []string{"BEGIN", "DECLARE k CURSOR FOR SELECT id, card FROM customers WHERE id = 3"} {
		if _, err := query(t, c, sql); err != nil {
			t.Fatal(err)
		}
	}
	if rows := asked(t, c, "FETCH ALL FROM k")["simple"]; len(rows) != 1 || shown(rows[0]) != "3 NULL" {
		t.Errorf("FETCH: %q", rows)
	}
	if _, err := query(t, c, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if _, err := query(t, c, "DECLARE k CURSOR WITH HOLD FOR SELECT id, card FROM customers"); err != nil {
		t.Fatal(err)
	}
	w.pg.Exec(t, w.db, "ALTER TABLE customers RENAME card TO old; ALTER TABLE customers ADD card text")
	if _, err := query(t, c, "SELECT 1"); err != nil { // now the gate knows
		t.Fatal(err)
	}
	if list, err := c.Exec(t.Context(), "FETCH 1 FROM k").ReadAll(); err == nil || len(list) > 0 && len(list[0].Rows) > 0 {
		t.Errorf("a cursor over what was masked under another name: %v", err)
	}
	h, err := c.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Conn.Close()
}

// TestMaskWords shows errors of statements that do not read what is masked, and whose
// words would say it: of rows that are written, and at the end of a transaction.
//
// SPEC PGGW-13
// R7/sql A17
// guard: mask-error, mask-notice, mask-notice-bind
func TestMaskWords(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, pggw.Watchful, func(d *policy.Document) {
		broad(d)
		s := d.Operations[1].SQL
		s.Relations[0].Read, s.Relations[0].Update, s.Mask = []string{"*"}, []string{"name"}, []string{"public.customers.card"}
		s.Relations = append(s.Relations, op.SQLRelation{Name: "public.everybody", Read: []string{"name"}, Update: []string{"name"}})
		s.Functions = append(s.Functions, "public.loud", "public.early")
	})
	w.pg.Exec(t, w.db, `CREATE FUNCTION early() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE NOTICE 'card'; RETURN 1; END $$;
CREATE TABLE notes (id int, body text); CREATE VIEW everybody AS SELECT id, name, card FROM customers; GRANT ALL ON everybody TO app;
CREATE FUNCTION loud(int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RAISE EXCEPTION 'card %', (SELECT card FROM customers WHERE id = $1); END $$;
ALTER TABLE customers ADD CONSTRAINT named CHECK (name <> '');
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name = 'late' THEN RAISE EXCEPTION 'card %', NEW.card; END IF; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON customers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'card %', NEW.card; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER told AFTER UPDATE ON customers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION told()`)
	h := w.raw(t)
	said := func(list ...pgproto3.FrontendMessage) (text string) {
		for _, m := range list {
			h.Frontend.Send(m)
		}
		if err := h.Frontend.Flush(); err != nil {
			t.Fatal(err)
		}
		for {
			m, err := h.Frontend.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if n, ok := m.(*pgproto3.NoticeResponse); ok {
				t.Errorf("a notice: %s", n.Message)
			}
			if e, ok := m.(*pgproto3.ErrorResponse); ok {
				text += fmt.Sprint(e.Code, e.Message, e.Detail, e.Where, e.ConstraintName)
			}
			if isReady(m) {
				return text
			}
		}
	}
	ask := func(sql string) pgproto3.FrontendMessage { return &pgproto3.Query{String: sql} }
	const late = "UPDATE customers SET name = 'late' WHERE id = 3"
	for name, list := range map[string][]pgproto3.FrontendMessage{
		"put off, with another": {ask(late + "; SELECT 1")}, "put off, behind another": {parsed("", late), bound("", ""), &pgproto3.Execute{}, parsed("", "SELECT 1"), bound("", ""), &pgproto3.Execute{}, &pgproto3.Sync{}},
		"check": {ask("UPDATE customers SET name = '' WHERE id = 3")}, "behind a view": {ask("UPDATE everybody SET name = '' WHERE name = 'c3'")}, "put off": {ask(late)},
		"put off, extended": {parsed("", late), bound("", ""), &pgproto3.Execute{}, &pgproto3.Sync{}},
		"put off to Sync":   {parsed("", late), bound("", ""), &pgproto3.Execute{}, &pgproto3.Flush{}, &pgproto3.Sync{}},
	} {
		if s := said(list...); s == "" || !strings.Contains(s, "could show") || strings.Contains(s, "4111") || strings.Contains(s, "42501") {
			t.Errorf("%s: %q", name, s)
		}
	}
	if s := said(parsed("", "UPDATE customers SET name = 'told' WHERE id = 3"), bound("", ""), &pgproto3.Execute{}, &pgproto3.Flush{}, &pgproto3.Sync{}); s != "" {
		t.Errorf("a change: %s", s)
	}
	if s := said(parsed("", "SELECT id FROM customers WHERE id = early()"), bound("", ""), &pgproto3.Sync{}); s != "" { // computed while it is bound
		t.Errorf("bound: %s", s)
	}
	for _, sql := range []string{"BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT card FROM customers WHERE loud(id) = 1"} {
		if s := said(ask(sql)); s != "" {
			t.Fatalf("%s: %s", sql, s)
		}
	}
	if s := said(ask("COMMIT")); !strings.Contains(s, "could show") || strings.Contains(s, "4111") {
		t.Errorf("COMMIT: %q", s)
	}
	for sql, want := range map[string]string{"SELECT 1/0": "division by zero", "UPDATE orders SET status = repeat('x', -1) || (1/0) WHERE id = 1": "division by zero"} {
		if s := said(ask(sql)); !strings.Contains(s, want) {
			t.Errorf("%s: %q", sql, s)
		}
	}
}

func shown(row [][]byte) string {
	var out []string
	for _, v := range row {
		if v == nil {
			out = append(out, "NULL")
		} else {
			out = append(out, string(v))
		}
	}
	return strings.Join(out, " ")
}

// asked returns the rows of a query in each way to ask.
func asked(t *testing.T, c *pgconn.PgConn, sql string) map[string][][][]byte {
	t.Helper()
	out := make(map[string][][][]byte)
	list, err := c.Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Errorf("%s: %v", sql, err)
		return nil
	}
	out["simple"] = list[0].Rows
	r := c.ExecParams(t.Context(), sql, nil, nil, nil, nil).Read()
	if r.Err != nil {
		t.Errorf("%s: extended: %v", sql, r.Err)
	}
	if !strings.HasPrefix(sql, "FETCH") {
		out["extended"] = r.Rows
		if d, err := c.Prepare(t.Context(), "", sql, nil); err != nil || len(d.Fields) == 0 {
			t.Errorf("%s: prepare: %v", sql, err)
		} else if r := c.ExecPrepared(t.Context(), "", nil, nil, nil).Read(); r.Err != nil {
			t.Errorf("%s: prepared: %v", sql, r.Err)
		} else {
			out["prepared"] = r.Rows
		}
	}
	return out
}
