package sqlanalyze

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op/sql"
)

// rename gives an entry its alias, and the first columns the names that follow.
func rename(e *entry, a *pg.Alias) {
	e.alias, e.named, e.seen = a.Aliasname, true, true
	given := names(a.Colnames)
	if len(given) == 0 {
		return
	}
	if e.open() {
		e.columns = append(plain(given), e.columns...)
		return
	}
	if len(given) > len(e.columns) {
		deny("%s has more column names than columns", a.Aliasname)
	}
	e.columns = slices.Clone(e.columns)
	for i, n := range given {
		e.columns[i].name = n
	}
}

// from adds what FROM lists to s: each item sees those before it only where it
// says LATERAL, or is a function.
func (v *visitor) from(items []*pg.Node, s *scope) {
	for _, n := range items {
		v.spend(heavy * len(s.entries))
		s.entries = append(s.entries, v.item(n, s)...)
	}
}

// item returns the entries of one item of FROM; s has what stands before it.
func (v *visitor) item(n *pg.Node, s *scope) []*entry {
	switch n := n.Node.(type) {
	case *pg.Node_RangeVar:
		return []*entry{v.rangeVar(n.RangeVar, s)}
	case *pg.Node_RangeSubselect:
		around := s
		if !n.RangeSubselect.Lateral {
			around = s.seeing(nil)
		}
		q := n.RangeSubselect.Subquery.GetSelectStmt()
		e := &entry{columns: plain(v.query(q, around)), seen: true}
		if n.RangeSubselect.Alias != nil {
			rename(e, n.RangeSubselect.Alias)
		}
		*s.rows = append(*s.rows, locked{alias: e.alias, inner: v.rows[q]})
		return []*entry{e}
	case *pg.Node_RangeFunction:
		return []*entry{v.rangeFunction(n.RangeFunction, s)}
	case *pg.Node_RangeTableSample:
		v.samplemethod(n.RangeTableSample, s)
		return v.item(n.RangeTableSample.Relation, s)
	case *pg.Node_JoinExpr:
		return v.join(n.JoinExpr, s)
	}
	deny("an item of FROM is not mapped")
	return nil
}

// rangeVar returns the entry of a table or common table expression.
func (v *visitor) rangeVar(r *pg.RangeVar, s *scope) *entry {
	if r.Schemaname == "" {
		if columns, ok := s.cte(r.Relname); ok {
			if columns == nil {
				deny("the columns of %s are not known before it is defined", r.Relname)
			}
			e := &entry{alias: r.Relname, columns: plain(columns), named: true, seen: true}
			if r.Alias != nil {
				rename(e, r.Alias)
			}
			return e
		}
	}
	rel, e := v.table(r, sql.Read)
	*s.rows = append(*s.rows, locked{alias: e.alias, relation: rel})
	return e
}

func plain(names []string) []output {
	out := make([]output, len(names))
	for i, n := range names {
		out[i].name = n
	}
	return out
}

func (v *visitor) samplemethod(t *pg.RangeTableSample, s *scope) {
	if m := names(t.Method); len(m) != 1 || m[0] != "system" && m[0] != "bernoulli" {
		deny("a sampling method that is not the server's own")
	}
	v.exprs(t.Args, s)
	v.expr(t.Repeatable, s)
}

// join returns the entries of a join. The condition sees its two sides only.
func (v *visitor) join(j *pg.JoinExpr, s *scope) []*entry {
	left := v.item(j.Larg, s)
	right := v.item(j.Rarg, s.seeing(append(slices.Clone(s.entries), left...)))
	both := append(slices.Clone(left), right...)
	v.spend(heavy * (len(s.entries) + len(both)))
	v.expr(j.Quals, s.seeing(both))
	e := v.merged(j, left, right)
	if j.JoinUsingAlias != nil {
		u := &entry{columns: e.columns[:len(names(j.UsingClause))]}
		rename(u, j.JoinUsingAlias)
		u.seen = false
		both = append(both, u)
	}
	if j.Alias != nil {
		rename(e, j.Alias)
		return []*entry{e}
	}
	out := []*entry{e}
	for _, x := range both {
		if !x.named { // a join within this one: nothing finds it any more
			continue
		}
		side := *x
		side.seen = false
		out = append(out, &side)
	}
	return out
}

// merged returns the entry of a join's own columns: first those that USING and
// NATURAL make one of, then the others of the left side and of the right.
func (v *visitor) merged(j *pg.JoinExpr, left, right []*entry) *entry {
	l, r := v.all(left), v.all(right)
	shared := names(j.UsingClause)
	if j.IsNatural {
		if l.open() || r.open() {
			deny("a NATURAL join of what has columns that are not known")
		}
		v.spend(len(l.columns) * len(r.columns))
		shared = common(l, r)
	}
	e := &entry{seen: true}
	if len(shared) > 0 {
		v.operator([]string{"="})
	}
	for _, c := range shared {
		a, okA := l.find(c)
		b, okB := r.find(c)
		if !okA && !l.open() || !okB && !r.open() {
			absent(noColumn, "there is no column %s on both sides of a join", c)
		}
		from := append(slices.Clone(a), b...)
		v.readAll(from)
		e.columns = append(e.columns, output{c, from})
	}
	v.spend(len(shared) * (len(l.columns) + len(r.columns)))
	for _, c := range append(slices.Clone(l.columns), r.columns...) {
		if !slices.Contains(shared, c.name) {
			e.columns = append(e.columns, c)
		}
	}
	return e
}

// all returns the columns that can be named alone of several entries, as those of one.
func (v *visitor) all(list []*entry) *entry {
	e := &entry{}
	v.spend(heavy * (&scope{entries: list}).width())
	for _, x := range list {
		if x.seen {
			e.columns = append(e.columns, x.columns...)
		}
	}
	return e
}

// common returns the names that columns on both sides have.
func common(left, right *entry) (out []string) {
	for _, c := range left.columns {
		if _, ok := right.find(c.name); ok && !slices.Contains(out, c.name) {
			out = append(out, c.name)
		}
	}
	return out
}

// rangeFunction returns the entry of functions in FROM.
func (v *visitor) rangeFunction(r *pg.RangeFunction, s *scope) *entry {
	e := &entry{seen: true}
	for i, f := range r.Functions {
		call := f.GetList().GetItems()
		if len(call) == 0 {
			deny("an item of FROM is not mapped")
		}
		v.expr(call[0], s)
		name := sqltree.ColumnName(call[0], v.columns)
		if i == 0 { // of several, the server takes the first one's name
			e.alias, e.named = name, true
		}
		columns, scalar := v.rowOf(call[0])
		if scalar && r.Alias != nil && len(r.Functions) == 1 { // its column takes the alias's name
			name = r.Alias.Aliasname
		}
		if scalar {
			columns = []string{name}
		}
		list := r.Coldeflist
		if len(call) > 1 && call[1].GetNode() != nil {
			list = call[1].GetList().GetItems()
		}
		if len(list) > 0 {
			columns = v.columnDefinitions(list)
		}
		e.columns = append(e.columns, plain(columns)...)
	}
	if r.Ordinality {
		e.columns = append(e.columns, output{name: "ordinality"})
	}
	if r.Alias != nil {
		rename(e, r.Alias)
	}
	return e
}

// columnDefinitions returns the names in AS t (name type, …), and qualifies the types.
func (v *visitor) columnDefinitions(list []*pg.Node) (columns []string) {
	for _, n := range list {
		d := n.GetColumnDef()
		if d == nil {
			deny("a list of columns is not mapped")
		}
		v.typeName(d.TypeName)
		columns = append(columns, d.Colname)
	}
	return columns
}

// rowOf returns the names of the columns of the rows that a call in FROM returns,
// and whether it returns one value instead, whose column its name or alias names.
// Where that hangs on which function it is, or on what it is called with, the
// columns are open.
func (v *visitor) rowOf(n *pg.Node) (columns []string, scalar bool) {
	c := n.GetFuncCall()
	if c == nil && n.GetSqlvalueFunction() != nil {
		return nil, true
	}
	if c == nil { // COALESCE, CAST …: it may be a row
		return []string{open}, false
	}
	parts := names(c.Funcname) // qualified by now
	args, first := sqltree.ArityOf(c), true
	for _, f := range v.Catalog.Functions[sqlcatalog.Name{Schema: parts[0], Name: parts[len(parts)-1]}] {
		if !f.Fits(args.Least, args.Most) {
			continue
		}
		if f.Open || !first && !slices.Equal(columns, f.Columns) {
			return []string{open}, false
		}
		columns, first = f.Columns, false
	}
	return columns, columns == nil
}
