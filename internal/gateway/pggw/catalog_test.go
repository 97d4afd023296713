package pggw_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// TestCatalogChanges shows what is defined on the server while a session is open:
// what statements touch is found anew, also those that were prepared before.
//
// SPEC PGGW-9
// A17
// guard: catalog-checked, catalog-changed, look-by-name
func TestCatalogChanges(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, pggw.Watchful, func(d *policy.Document) {
		broad(d)
		r := d.Operations[1].SQL
		for i := range r.Relations {
			if r.Relations[i].Name == "public.orders" {
				r.Relations[i].Read = []string{"id", "customer_id", "total", "status"}
			}
		}
		r.Types = []string{"public.mood"}
	})
	w.pg.Exec(t, w.db, "CREATE DOMAIN public.mood AS text")
	c := w.client(t)
	const all, one, typed = "SELECT * FROM orders WHERE id = 1", "SELECT lower(status) FROM orders WHERE id = 1", "SELECT 'a'::mood"
	for name, sql := range map[string]string{"all": all, "one": one, "typed": typed} {
		if _, err := c.Prepare(t.Context(), name, sql, nil); err != nil {
			t.Fatal(err)
		}
	}
	exec := func(name string) error { return c.ExecPrepared(t.Context(), name, nil, nil, nil).Read().Err }
	refused := func(err error) bool { // by the gate, or by the server before it came to that
		e, ok := errors.AsType[*pgconn.PgError](err)
		return ok && (denied(err) != nil || e.Code == "0A000" || e.Code == "42P01")
	}
	try := func(when string, good bool) {
		t.Helper()
		before := w.count(receipt.Denial, "")
		if _, err := query(t, c, all); (err == nil) != good || !good && denied(err) == nil {
			t.Errorf("%s: %v", when, err)
		}
		if err := exec("all"); (err == nil) != good || !good && !refused(err) {
			t.Errorf("%s, prepared: %v", when, err)
		}
		if n := w.count(receipt.Denial, "") - before; !good && n != 2 {
			t.Errorf("%s: %d denials", when, n)
		}
	}
	behind := w.client(t) // which asks for nothing but what it has prepared by SQL
	if _, err := query(t, behind, "PREPARE behind AS "+all); err != nil {
		t.Fatal(err)
	}
	try("at first", true)
	w.pg.Exec(t, w.db, "ALTER TABLE orders ADD COLUMN card text")
	if _, err := query(t, behind, "EXECUTE behind"); !refused(err) || denied(err) == nil {
		t.Errorf("by EXECUTE: %v", err)
	}
	behind.Close(t.Context())
	try("another column", false)
	w.pg.Exec(t, w.db, "ALTER TABLE orders DROP COLUMN card")
	w.pg.Exec(t, w.db, "ALTER TABLE orders RENAME COLUMN total TO sum")
	try("another name", false)
	w.pg.Exec(t, w.db, "ALTER TABLE orders RENAME COLUMN sum TO total")
	if err := exec("one"); err != nil {
		t.Errorf("a function: %v", err)
	}
	w.pg.Exec(t, w.db, "CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1'")
	if err := exec("one"); denied(err) == nil || !strings.Contains(err.Error(), "say which") {
		t.Errorf("another function of the name: %v", err)
	}
	w.pg.Exec(t, w.db, "DROP FUNCTION public.lower(text)")
	if err := exec("one"); err != nil {
		t.Errorf("the function alone again: %v", err)
	}
	if err := exec("typed"); err != nil {
		t.Errorf("a type: %v", err)
	}
	w.pg.Exec(t, w.db, "CREATE DOMAIN pg_catalog.mood AS text")
	if err := exec("typed"); denied(err) == nil || !strings.Contains(err.Error(), "prepare it again") {
		t.Errorf("another type of the name comes first: %v", err)
	}
	w.pg.Exec(t, w.db, "ALTER TABLE orders RENAME TO past; CREATE VIEW orders AS SELECT * FROM past; GRANT SELECT ON orders TO app")
	if err := exec("one"); err != nil {
		t.Errorf("a view in its place, which the policy declares: %v", err)
	}
	w.pg.Exec(t, w.db, "DROP VIEW orders; CREATE SCHEMA s; ALTER TABLE past RENAME TO orders; ALTER TABLE orders SET SCHEMA s")
	if err := exec("one"); !refused(err) {
		t.Errorf("the table is gone: %v", err)
	}
}

// TestCatalogLeavesNames shows that a look at the catalog between Parse and Bind does
// not end the unnamed statement.
//
// SPEC PGGW-9
func TestCatalogLeavesNames(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, pggw.Watchful, nil)
	h, sync := w.raw(t), &pgproto3.Sync{}
	for range 2 {
		talk(t, h, isReady, &pgproto3.Parse{Query: "SELECT id FROM orders WHERE id = $1"}, &pgproto3.Describe{ObjectType: 'S'}, sync)
		rows, failed := talk(t, h, isReady, &pgproto3.Bind{Parameters: [][]byte{[]byte("3")}}, &pgproto3.Execute{}, sync)
		if failed != "" || len(rows) != 1 {
			t.Errorf("%q, %s", rows, failed)
		}
		talk(t, h, isReady, &pgproto3.Query{String: "BEGIN"})
		talk(t, h, isReady, &pgproto3.Parse{Query: "SELECT id FROM orders"}, &pgproto3.Bind{}, sync)
		if rows, failed := talk(t, h, isReady, &pgproto3.Execute{MaxRows: 3}, sync); failed != "" || len(rows) != 3 {
			t.Errorf("a portal in a transaction: %q, %s", rows, failed)
		}
		talk(t, h, isReady, &pgproto3.Query{String: "COMMIT"})
	}
}
