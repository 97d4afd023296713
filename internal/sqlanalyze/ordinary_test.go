package sqlanalyze_test

import (
	_ "embed"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/testpg"
)

// ordinary are statements as psql, pg_dump, pgbench, drivers and mappers of
// objects write them.
//
//go:embed testdata/ordinary.sql
var ordinary string

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
	list, err := pg.SplitWithScanner(ordinary, true)
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
	if len(list) < 400 {
		t.Errorf("only %d ordinary statements", len(list))
	}
}
