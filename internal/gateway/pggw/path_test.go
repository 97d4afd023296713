package pggw_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// TestSearchPath shows a policy that lets the search path be set: what names mean
// follows the server, also when a transaction takes the change back.
//
// SPEC SQL-13
// A17
// guard: path-alone, path-stale, path-as-told
func TestSearchPath(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, pggw.Watchful, func(d *policy.Document) {
		broad(d)
		o := d.Operations[1].SQL
		o.Settings = append(o.Settings, "search_path")
		o.Functions = append(o.Functions, "pg_catalog.set_config", "public.behind")
		o.Relations = append(o.Relations, op.SQLRelation{Name: "s.orders", Read: []string{"id"}})
	})
	w.pg.Exec(t, w.db, `CREATE SCHEMA s; CREATE TABLE s.orders (id int); INSERT INTO s.orders VALUES (-1); GRANT USAGE ON SCHEMA s TO app; GRANT SELECT ON s.orders TO app;
CREATE TABLE notes (id int); CREATE SCHEMA t; CREATE TABLE t.orders (id int)`)
	c := w.client(t)
	const read = "SELECT id FROM orders ORDER BY id LIMIT 1"
	for _, tt := range []struct {
		sql  string
		rows string // "-": a denial
	}{
		{read, "1"},
		{"SET search_path TO s, public", ""}, {read, "-1"}, {"SELECT total FROM public.orders WHERE id = 2", "20"}, {"SHOW search_path", "pg_catalog, s, public, pg_temp"},
		{"BEGIN", ""}, {"SET search_path TO public", ""}, {read, "1"}, {"ROLLBACK", ""}, {read, "-1"},
		{"RESET search_path", ""}, {read, "1"},
		{"SELECT set_config('search_path', 's', false)", `"pg_catalog", "s", "pg_temp"`}, {read, "-1"}, {"SELECT total FROM orders", "-"}, {"SET search_path TO public; " + read, "-"}, {read, "-1"},
		{"BEGIN", ""}, {"SET search_path TO public", ""}, {"SELECT 1/0", "!"}, {"ROLLBACK", ""}, {read, "-1"},
		{"SET search_path TO t", ""}, {read, "-"},
		{"SET search_path TO public; " + read, "-"}, {"DISCARD ALL", ""}, {read, "1"},
		{"SET search_path TO ''", ""}, {read, "-"}, {"SELECT id FROM s.orders", "-1"}, {"RESET ALL", ""}, {read, "1"},
	} {
		list, err := c.Exec(t.Context(), tt.sql).ReadAll()
		got := ""
		if err == nil && len(list[0].Rows) > 0 {
			got = string(list[0].Rows[0][0])
		}
		switch {
		case tt.rows == "!" && err != nil:
		case tt.rows == "-" && denied(err) != nil:
		case err == nil && got == tt.rows:
		default:
			t.Errorf("%s: %q, %v; want %s", tt.sql, got, err, tt.rows)
		}
	}
	if _, err := query(t, c, "SET search_path TO s"); err != nil {
		t.Fatal(err)
	}
	w.pg.Exec(t, w.db, `CREATE FUNCTION public.behind() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 's, public', false) $$`)
	if _, err := query(t, c, "SELECT public.behind()"); err != nil {
		t.Fatal(err)
	}
	if _, err := query(t, c, read); err == nil {
		t.Error("a function of the server has changed the path, and the session goes on")
	}
	h, sync := w.raw(t), &pgproto3.Sync{}
	set := []pgproto3.FrontendMessage{&pgproto3.Parse{Query: "SET search_path TO s"}, &pgproto3.Bind{}, &pgproto3.Execute{}}
	then := []pgproto3.FrontendMessage{&pgproto3.Parse{Query: read}, &pgproto3.Bind{}, &pgproto3.Execute{}, sync}
	if rows, failed := talk(t, h, isReady, append(set, then...)...); failed == "" || len(rows) > 0 {
		t.Errorf("in one series: %q, %s", rows, failed)
	}
	if _, failed := talk(t, h, isReady, append(set, sync)...); failed != "" {
		t.Error(failed)
	}
	if rows, failed := talk(t, h, isReady, then...); failed != "" || len(rows) != 1 || rows[0] != "-1" {
		t.Errorf("in the next: %q, %s", rows, failed)
	}
}
