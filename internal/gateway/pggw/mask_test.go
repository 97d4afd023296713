package pggw_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/internal/gateway/pggw"
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
	h, err := c.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Conn.Close()
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
