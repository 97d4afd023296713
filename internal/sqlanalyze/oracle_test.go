package sqlanalyze_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/op/sql"
)

// strict takes from PUBLIC what it has of functions and catalogs, and gives the
// role probe what no statement names: what stands behind the server's own
// operators and casts. PostgreSQL asks for EXECUTE on those as well.
const strict = `
CREATE ROLE probe;
GRANT USAGE ON SCHEMA public, s2, pg_catalog TO probe;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog, public, s2 FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA pg_catalog, information_schema, public, s2 FROM PUBLIC;
DO $$ DECLARE f regprocedure; BEGIN
 FOR f IN SELECT o.oprcode FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname = 'pg_catalog' AND o.oprcode <> 0
  UNION SELECT castfunc FROM pg_cast WHERE castfunc <> 0 AND oid < 16384
  UNION SELECT typinput FROM pg_type UNION SELECT typoutput FROM pg_type
 LOOP EXECUTE 'GRANT EXECUTE ON FUNCTION ' || f || ' TO probe'; END LOOP; END $$;
GRANT EXECUTE ON FUNCTION trunc(numeric, int) TO probe; -- the body of trunc(numeric)`

// An oracle is a server that says whether what was mapped is all that a statement
// needs.
type oracle struct {
	*pgconn.PgConn
	analyzer  *sqlanalyze.Analyzer
	functions map[string]string // how GRANT names a function, by its signature in facts
	rows      map[string]string // what a COPY gets, by its text up to FROM
}

// path is what the search path upstream is pinned to.
const path = "SET search_path TO pg_catalog, public, pg_temp"

func newOracle(t *testing.T, schema string) *oracle {
	t.Helper()
	s := testpg.Start(t)
	db := s.Database(t)
	s.Exec(t, db, schema)
	s.Exec(t, db, strict)
	o := &oracle{PgConn: s.Connect(t, s.Local(db)), functions: make(map[string]string), rows: make(map[string]string)}
	t.Cleanup(func() { o.Close(t.Context()) })
	o.must(t, path+"; SET statement_timeout = '2s'; SET jit = off")
	cat, err := sqlcatalog.Load(t.Context(), testpg.Rows{PgConn: o.PgConn})
	if err != nil {
		t.Fatal(err)
	}
	o.analyzer = &sqlanalyze.Analyzer{Catalog: cat, Path: []string{"pg_catalog", "public"}}
	rows, err := testpg.Rows{PgConn: o.PgConn}.Query(t.Context(), functionNames)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		o.functions[r[1]] = r[0]
	}
	return o
}

// functionNames has how GRANT names each function, its signature in facts, and its
// language.
const functionNames = `SELECT p.oid::regprocedure, n.nspname || '.' || p.proname || '(' || coalesce((SELECT string_agg(
 CASE tn.nspname WHEN 'pg_catalog' THEN '' ELSE tn.nspname || '.' END || t.typname, ',' ORDER BY x.i) FROM unnest(p.proargtypes) WITH ORDINALITY x(t, i)
 JOIN pg_type t ON t.oid = x.t JOIN pg_namespace tn ON tn.oid = t.typnamespace), '') || ')', l.lanname
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang`

func (o *oracle) must(t *testing.T, text string) {
	t.Helper()
	if _, err := o.Exec(t.Context(), text).ReadAll(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// run runs text, and gives a COPY from the client a row that is in the table: what
// runs for a row does then, though the row may not stay.
func (o *oracle) run(t *testing.T, text string) error {
	t.Helper()
	if !strings.HasPrefix(text, "COPY ") {
		_, err := o.Exec(t.Context(), text).ReadAll()
		return err
	}
	before, _, in := strings.Cut(text, " FROM STDIN")
	if !in {
		_, err := o.CopyTo(t.Context(), io.Discard, text)
		return err
	}
	_, err := o.CopyFrom(t.Context(), strings.NewReader(o.rows[before]), text)
	return err
}

// keepRows keeps what a COPY from the client is given: the table's own rows.
func (o *oracle) keepRows(t *testing.T, text string) {
	t.Helper()
	before, _, in := strings.Cut(text, " FROM STDIN")
	if !in || !strings.HasPrefix(text, "COPY ") {
		return
	}
	var b strings.Builder
	if _, err := o.CopyTo(t.Context(), &b, before+" TO STDOUT"); err == nil {
		o.rows[before] = b.String()
	}
}

// code runs text in a transaction that ends before it returns, after before, and
// returns the SQLSTATE and message of its error.
func (o *oracle) code(t *testing.T, before, text string) (code, message string) {
	t.Helper()
	o.must(t, "BEGIN; "+before)
	defer o.must(t, "ROLLBACK; DEALLOCATE ALL")
	err := o.run(t, text)
	var e *pgconn.PgError
	switch {
	case errors.As(err, &e):
		return e.Code, e.Message
	case err != nil:
		t.Fatalf("%v\n%s", err, text)
	}
	return "", ""
}

// grants returns the statements that give probe what s needs and nothing more.
func (o *oracle) grants(s *sql.Statement) string {
	rights := make(map[string][]string) // of a table
	columns := make(map[string]bool)
	add := func(verb string, list []sql.Column) {
		by := make(map[string][]string)
		for _, c := range list {
			t := ident(c.Schema) + "." + ident(c.Table)
			by[t] = append(by[t], ident(c.Name))
			columns[verb+t] = true
		}
		for t, list := range by {
			rights[t] = append(rights[t], verb+" ("+strings.Join(list, ", ")+")")
		}
	}
	sequences := make(map[string]bool)
	cat := o.analyzer.Catalog
	for n, r := range cat.Relations {
		if r.Kind == sqlcatalog.Sequence {
			sequences[n.String()] = true
		}
	}
	add("SELECT", s.Reads)
	add("INSERT", s.Inserts)
	var updates []sql.Column
	for _, c := range s.Updates {
		if !sequences[c.Schema+"."+c.Table] { // the right is one on the whole sequence
			updates = append(updates, c)
		}
	}
	add("UPDATE", updates)
	for _, r := range s.Relations {
		t := ident(r.Schema) + "." + ident(r.Name)
		first := ""
		if c := cat.Relations[sqlcatalog.Name{Schema: r.Schema, Name: r.Name}].Columns; len(c) > 0 {
			first = " (" + ident(c[0]) + ")"
		}
		switch r.Mode {
		case sql.Read:
			if !columns["SELECT"+t] {
				rights[t] = append(rights[t], "SELECT"+first)
			}
		case sql.Lock:
			rights[t] = append(rights[t], "UPDATE"+first)
			if slices.Contains(s.Kinds, "lock") { // the whole table, and what is asked for hangs on how
				rights[t] = append(rights[t], "SELECT", "UPDATE")
			}
		case sql.Truncate:
			rights[t] = append(rights[t], "TRUNCATE")
		case sql.Delete:
			rights[t] = append(rights[t], "DELETE")
		case sql.Usage:
			rights[t] = append(rights[t], "USAGE")
		case sql.Update:
			if sequences[r.Schema+"."+r.Name] {
				rights[t] = append(rights[t], "UPDATE")
			}
		}
	}
	functions := make(map[string]bool)
	for _, f := range slices.Concat(s.Functions, s.Operators, s.Underlying) {
		if name, ok := o.functions[f]; ok {
			functions[name] = true
		}
		if sequences[f] {
			schema, name, _ := strings.Cut(f, ".")
			t := ident(schema) + "." + ident(name)
			rights[t] = append(rights[t], "USAGE")
		}
	}
	var out strings.Builder
	for t, list := range rights {
		out.WriteString("GRANT " + strings.Join(list, ", ") + " ON " + t + " TO probe; ")
	}
	if len(functions) > 0 {
		out.WriteString("GRANT EXECUTE ON ROUTINE " + strings.Join(slices.Sorted(maps.Keys(functions)), ", ") + " TO probe; ")
	}
	return out.String()
}

func ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// asMapped runs what m says as a role that may do what m says and nothing more.
func (o *oracle) asMapped(t *testing.T, m *sqlanalyze.Mapped) (code, message string) {
	t.Helper()
	return o.code(t, o.grants(&m.Statement)+"SET LOCAL ROLE probe", m.Text)
}

// together returns what the statements of a text do as one: FETCH and EXECUTE do
// what was declared or prepared before them.
func together(list []sqlanalyze.Mapped) *sqlanalyze.Mapped {
	out := list[0]
	for _, m := range list[1:] {
		out.Statement = *m.With(&out.Statement)
		out.Text += "; " + m.Text
	}
	return &out
}

// statements returns how many statements to generate.
func statements(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("WRIT_ORACLE"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 600
}

// TestOracle runs generated statements as a role that was granted exactly what
// they were mapped to. That the server asks for anything else is an under-report.
// SPEC SQL-3.
//
// R3/sql, R15/sql
func TestOracle(t *testing.T) {
	o := newOracle(t, oracleSchema)
	n := statements(t)
	seed := uint64(1)
	if s := os.Getenv("WRIT_ORACLE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	var valid, mapped, validMapped, failed int
	why, invalid := make(map[string]int), make(map[string]int)
	for i := range n {
		if i%1000 == 999 { // grants that were rolled back are rows that nobody sees
			o.must(t, "VACUUM pg_catalog.pg_proc, pg_catalog.pg_class, pg_catalog.pg_attribute")
		}
		g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(i)))}
		text := g.statement()
		o.keepRows(t, text)
		code, message := o.code(t, "", text)
		if code == "23505" && strings.HasPrefix(text, "COPY ") { // the row is there already: all of it ran
			code = ""
		}
		if code == "" {
			valid++
		} else {
			invalid[code+" "+message]++
		}
		list, err := o.analyzer.Map(direct{}, text)
		if err != nil {
			if code == "" {
				why[err.Error()]++
				if os.Getenv("WRIT_ORACLE_LOG") != "" {
					t.Logf("%v\n  %s", err, text)
				}
			}
			continue
		}
		mapped++
		if code == "" {
			validMapped++
		}
		m := together(list)
		o.keepRows(t, m.Text)
		got, message2 := o.asMapped(t, m)
		sampled := strings.Contains(text, "TABLESAMPLE") // which rows that gives is chance
		if got == "42501" || code == "" && got != "" && got != "57014" && got != "23505" && !sampled {
			failed++
			facts, _ := json.Marshal(m.Statement)
			t.Errorf("statement %d: %s %s\n  %s\n  %s\n  %s", i, got, message2, text, m.Text, facts)
			if failed > 20 {
				t.Fatal("too many")
			}
		}
	}
	t.Logf("oracle: %d generated, %d valid, %d mapped, %d of the valid mapped", n, valid, mapped, validMapped)
	logMost(t, "not mapped though valid", why)
	logMost(t, "not valid", invalid)
	if valid*100 < n*60 {
		t.Errorf("too few of the statements are valid")
	}
	if validMapped*100 < valid*95 {
		t.Errorf("too few of the valid statements are mapped")
	}
}

// logMost logs what was counted most.
func logMost(t *testing.T, what string, counts map[string]int) {
	t.Helper()
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return counts[b] - counts[a] })
	for _, k := range keys[:min(len(keys), 12)] {
		t.Logf("%s: %d %s", what, counts[k], k)
	}
}
