// Package sqlanalyze says what a statement does: it walks the tree that
// PostgreSQL's own grammar makes of the text, finds every name in a catalog, and
// qualifies it, so that the server understands the names as this package did.
//
// A statement is mapped as a whole or not at all. What the package does not know
// is an error; a catalog that is not the server's is the caller's to prevent. It
// is pure: its functions are safe for concurrent use if nobody changes a Catalog.
package sqlanalyze

import (
	"fmt"
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/sqlfacts"
	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op/sql"
)

// An Analyzer maps statements for sessions that look for names in one way.
type Analyzer struct {
	Catalog *sqlcatalog.Catalog
	Path    []string // schemas that unqualified names are looked for in, after pg_catalog
}

// analyze returns what one statement does, without its text, and the statement inside
// one that declares or prepares. It qualifies the names in raw. SPEC SQL-3.
func (a *Analyzer) analyze(raw *pg.RawStmt) (m *Mapped, inner *pg.Node, err error) {
	defer caught(&err)
	if raw.GetStmt().GetNode() == nil {
		deny("it is empty")
	}
	v := &visitor{Analyzer: a, Facts: sqlfacts.New(), columns: make(map[*pg.SelectStmt][]string), rows: make(map[*pg.SelectStmt][]locked)}
	v.visit(raw.Stmt)
	return &Mapped{Statement: *v.Statement(), Effect: v.effect}, v.inner, nil
}

// visit counts a statement.
func (v *visitor) visit(stmt *pg.Node) {
	switch {
	case v.preparable(stmt), v.carries(stmt):
		for _, f := range v.Catalog.Casts { // any expression may hold one that is not written
			v.Functions[f] = true
		}
	case v.alone(stmt):
	default:
		deny("a statement of this kind is not mapped")
	}
}

// preparable counts a statement that others can be around, and reports whether it is
// one.
func (v *visitor) preparable(stmt *pg.Node) bool {
	switch n := stmt.GetNode().(type) {
	case *pg.Node_SelectStmt:
		v.query(n.SelectStmt, nil)
		if n, ok := sqltree.LimitOf(n.SelectStmt); ok {
			v.Limit = n
		}
	case *pg.Node_InsertStmt:
		v.insert(n.InsertStmt, nil)
	case *pg.Node_UpdateStmt:
		v.update(n.UpdateStmt, nil)
	case *pg.Node_DeleteStmt:
		v.delete(n.DeleteStmt, nil)
	case *pg.Node_MergeStmt:
		v.merge(n.MergeStmt)
	default:
		return false
	}
	return true
}

// A visitor walks one statement.
type visitor struct {
	*Analyzer
	*sqlfacts.Facts
	columns map[*pg.SelectStmt][]string // of the queries that were visited
	rows    map[*pg.SelectStmt][]locked
	source  *pg.Node // of the last assignment to several columns
	effect  Effect
	inner   *pg.Node // of Declare and Prepare

	plain bool     // what is read now is returned as it is
	shown []output // columns that the statement returns
	row   string   // of settings, that the query reads; see [sqltree.SettingRow]

	effort int // that was spent; see maxEffort
}

// spend denies a statement that takes too much effort.
func (v *visitor) spend(n int) {
	if v.effort += n; v.effort > maxEffort { //guard:R11 analyze-effort
		deny("it names too many columns in too many places")
	}
}

// table returns the relation that r names, with its entry, and qualifies r.
func (v *visitor) table(r *pg.RangeVar, mode string) (*sqlcatalog.Relation, *entry) {
	rel := v.lookup(r.Schemaname, r.Relname)
	if mode != sql.Read && rel.Schema == "pg_catalog" { //guard:A17 catalog-written
		deny("a change of %s could change what statements mean", rel.Name)
	}
	r.Schemaname = rel.Schema
	v.relation(rel.Name, mode)
	stands := rel.Underlying
	if !r.Inh { // ONLY: its rules and policies run as well
		stands = rel.Behind
	}
	for _, u := range stands {
		v.Underlying[u.String()] = true
	}
	v.Runs(rel.Calls)
	if mode == sql.Insert || mode == sql.Update {
		v.Runs(rel.Fills)
	}
	v.spend(heavy * len(rel.Columns))
	e := &entry{alias: r.Relname, schema: rel.Schema, relation: rel, named: true, seen: true}
	for _, c := range rel.Columns {
		e.columns = append(e.columns, output{c, []sql.Column{rel.Column(c)}})
	}
	if r.Alias != nil {
		e.schema = ""
		rename(e, r.Alias)
	}
	return rel, e
}

func (v *visitor) relation(n sqlcatalog.Name, mode string) {
	v.Relations[sql.Relation{Schema: n.Schema, Name: n.Name, Mode: mode}] = true
}

// lookup finds a relation as the server does: in pg_catalog first, then along the
// path. Temporary tables are not on it.
func (v *visitor) lookup(schema, name string) *sqlcatalog.Relation {
	if schema != "" {
		r, ok := v.Catalog.Relations[sqlcatalog.Name{Schema: schema, Name: name}]
		if !ok {
			absent(noRelation, "there is no relation %s.%s", schema, name)
		}
		return r
	}
	for _, s := range v.schemas() {
		if r, ok := v.Catalog.Relations[sqlcatalog.Name{Schema: s, Name: name}]; ok {
			return r
		}
	}
	absent(noRelation, "there is no relation %s", name)
	return nil
}

// schemas returns where the server looks for names, in that order.
func (v *visitor) schemas() []string {
	if slices.Contains(v.Path, "pg_catalog") {
		return v.Path
	}
	return append([]string{"pg_catalog"}, v.Path...)
}

func names(list []*pg.Node) []string { return sqltree.Names(list) }
func quoted(parts []string) string   { return fmt.Sprintf("%q", parts) }
