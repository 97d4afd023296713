package sqlanalyze_test

import (
	_ "embed"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/op"
)

// ordinary are statements as psql, pg_dump, pgbench, drivers and mappers of
// objects write them.
//
//go:embed testdata/ordinary.sql
var ordinary string

// introspection are statements by which psql, drivers and mappers of objects learn
// what there is, as they were seen to send them.
//
//go:embed testdata/introspection.sql
var introspection string

// ordinarySchema is what those of ordinary speak of that are not about catalogs.
const ordinarySchema = `
CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, email text UNIQUE, card text, active bool DEFAULT true,
 created_at timestamptz DEFAULT now(), updated_at timestamptz, settings jsonb, tags text[]);
CREATE TABLE orders (id serial PRIMARY KEY, customer_id int REFERENCES customers, total numeric CHECK (total >= 0), status text, note text,
 created_at timestamptz DEFAULT now(), deleted_at timestamptz);
CREATE TABLE items (id serial PRIMARY KEY, order_id int REFERENCES orders, sku text, qty int, price numeric);
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
CREATE TABLE schema_migrations (version varchar PRIMARY KEY, inserted_at timestamp);
CREATE VIEW open_orders AS SELECT * FROM orders WHERE status = 'open';
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE SEQUENCE seq;
CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
`

// ordinaryStatements returns the statements of ordinary.
func ordinaryStatements(t testing.TB) []string {
	t.Helper()
	return append(split(t, ordinary), split(t, introspection)...)
}

func split(t testing.TB, text string) []string {
	t.Helper()
	list, err := pg.SplitWithScanner(text, true)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// analyzerOf returns an analyzer for a new database with the schema.
func analyzerOf(t testing.TB, schema string) *sqlanalyze.Analyzer {
	t.Helper()
	s := testpg.Start(t)
	db := s.Database(t)
	s.Exec(t, db, schema)
	c := s.Connect(t, s.Local(db))
	defer c.Close(t.Context())
	cat, err := sqlcatalog.Load(t.Context(), testpg.Rows{PgConn: c})
	if err != nil {
		t.Fatal(err)
	}
	return &sqlanalyze.Analyzer{Catalog: cat, Path: []string{"public"}}
}

// TestOrdinary maps every statement of the corpus: what is safe because everything
// is refused is of no use.
//
// R15/sql
func TestOrdinary(t *testing.T) {
	a := analyzerOf(t, ordinarySchema)
	list := ordinaryStatements(t)
	for _, text := range list {
		if _, err := a.Map(direct{}, text); err != nil {
			t.Errorf("%v\n  %s", err, strings.Join(strings.Fields(text), " "))
		}
	}
	t.Logf("%d ordinary statements", len(list))
	if len(list) < 500 {
		t.Errorf("only %d ordinary statements", len(list))
	}
}

// introspects returns nil if a statement is declared where nothing but introspection
// is, and the statement's kinds.
func introspects(m *sqlanalyze.Mapped) error {
	d := &op.Declaration{SQL: &op.SQL{Introspection: true}}
	for _, k := range m.Kinds {
		d.Actions = append(d.Actions, "sql:"+k)
	}
	return m.Declared(d)
}

// TestIntrospection declares what clients ask of catalogs, all of it, and nothing that
// could hold a secret, a value of a row or what another session does. SPEC SQL-10.
//
// R3/sql
// guard: introspection-relation, introspection-column, introspection-alone
func TestIntrospection(t *testing.T) {
	a := analyzerOf(t, ordinarySchema)
	list := split(t, introspection)
	for _, text := range list {
		m, err := a.Map(direct{}, text)
		if err != nil {
			t.Errorf("%v\n  %s", err, text)
			continue
		}
		if err := introspects(&m[0]); err != nil {
			t.Errorf("%v\n  %s", err, text)
		}
	}
	if len(list) < 170 {
		t.Errorf("only %d statements", len(list))
	}
	for _, text := range []string{
		`SELECT rolpassword FROM pg_authid`, `SELECT rolname FROM pg_authid`, `SELECT * FROM pg_shadow`, `SELECT * FROM pg_user`, `SELECT rolconfig FROM pg_roles`, `SELECT r FROM pg_roles r`,
		`SELECT * FROM pg_statistic`, `SELECT most_common_vals FROM pg_stats`, `SELECT * FROM pg_stats_ext`, `SELECT stxdmcv FROM pg_statistic_ext_data`,
		`SELECT umoptions FROM pg_user_mapping`, `SELECT * FROM pg_user_mappings`, `SELECT data FROM pg_largeobject`, `SELECT * FROM pg_largeobject_metadata`,
		`SELECT * FROM pg_hba_file_rules`, `SELECT * FROM pg_file_settings`, `SELECT setting FROM pg_settings`, `SELECT * FROM pg_config`, `SELECT * FROM pg_db_role_setting`,
		`SELECT query FROM pg_stat_activity`, `SELECT * FROM pg_stat_ssl`, `SELECT * FROM pg_stat_user_tables`, `SELECT * FROM pg_prepared_statements`, `SELECT * FROM pg_prepared_xacts`, `SELECT * FROM pg_cursors`,
		`SELECT subconninfo FROM pg_subscription`, `SELECT * FROM pg_subscription`, `SELECT srvoptions FROM pg_foreign_server`, `SELECT ftoptions FROM pg_foreign_table`, `SELECT attfdwoptions FROM pg_attribute`,
		`SELECT fdwoptions FROM pg_foreign_data_wrapper`, `SELECT * FROM information_schema.user_mapping_options`, `SELECT * FROM information_schema.foreign_server_options`, `SELECT last_value FROM pg_sequences`,
		`SELECT relname FROM pg_class FOR UPDATE`, `SELECT id FROM orders`, `SELECT relname FROM pg_class, orders`, `SELECT current_setting('data_directory') FROM pg_class`, `SELECT pg_read_file(relname) FROM pg_class`,
		`SELECT query_to_xml('SELECT 1', true, true, '') FROM pg_class`, `SELECT pg_sleep(1)`, `SELECT nextval('seq')`, `SELECT set_config('work_mem', '1', true)`, `SELECT pg_terminate_backend(1)`, `SELECT lo_get(1)`,
	} {
		m, err := a.Map(direct{}, text)
		if err != nil {
			t.Errorf("%v\n  %s", err, text)
			continue
		}
		if introspects(&m[0]) == nil {
			t.Errorf("declared: %s", text)
		}
	}
	rows := &op.Declaration{Actions: []string{"sql:select"}, SQL: &op.SQL{Introspection: true, Relations: []op.SQLRelation{{Name: "public.orders", Read: []string{"*"}}}}}
	for text, want := range map[string]bool{
		`SELECT id FROM orders`: true, `SELECT id, relname, format_type(1, 2) FROM orders, pg_class`: true, `SELECT array_agg(o) FROM orders o`: false,
		`SELECT array_agg(relname) FROM pg_class`: true, `SELECT array_agg(relname) FROM orders, pg_class`: false,
	} {
		m, err := a.Map(direct{}, text)
		if err != nil {
			t.Fatal(err)
		}
		if err := m[0].Declared(rows); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
