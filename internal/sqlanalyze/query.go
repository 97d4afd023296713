package sqlanalyze

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op/sql"
)

// query counts a SELECT, VALUES or set operation inside outer, and returns the
// names of its columns.
func (v *visitor) query(q *pg.SelectStmt, outer *scope) []string {
	return v.queryTold(q, outer, func([]string) {})
}

// queryTold is query, which says what the columns of the first part of a set
// operation are before it goes on to the second, which may refer to them.
func (v *visitor) queryTold(q *pg.SelectStmt, outer *scope, tell func([]string)) (columns []string) {
	if q == nil {
		deny("a query of another kind is not mapped")
	}
	s := inside(outer)
	v.with(q.WithClause, s)
	v.Kinds["select"] = true
	switch {
	case q.Op != pg.SetOperation_SETOP_NONE:
		columns = v.query(q.Larg, s)
		tell(columns)
		v.query(q.Rarg, s)
		v.order(q.SortClause, columns, s.seeing(nil)) // the columns and no others
	case len(q.ValuesLists) > 0:
		columns = v.values(q, s)
	default:
		columns = v.plainSelect(q, s)
	}
	v.expr(q.LimitCount, s)
	v.expr(q.LimitOffset, s)
	v.locks(q.LockingClause, s)
	v.columns[q], v.rows[q] = columns, *s.rows
	return columns
}

func (v *visitor) plainSelect(q *pg.SelectStmt, s *scope) []string {
	defer func(before string) { v.row = before }(v.row)
	v.row = "" // which is of the rows of this query, and not of one in its FROM or around it
	v.from(q.FromClause, s)
	v.row = sqltree.SettingRow(q)
	top := s.outer == nil
	columns := v.targets(q.TargetList, s, top)
	v.expr(q.WhereClause, s)
	for _, n := range q.DistinctClause {
		if n.GetNode() != nil && !v.isOutput(n, columns, s) {
			v.expr(n, s)
		}
	}
	v.grouping(q.GroupClause, columns, s)
	v.expr(q.HavingClause, s)
	for _, w := range q.WindowClause {
		v.window(w.GetWindowDef(), s)
	}
	v.order(q.SortClause, columns, s)
	if top {
		v.arranged(q)
	}
	return columns
}

func (v *visitor) values(q *pg.SelectStmt, s *scope) (columns []string) {
	for _, row := range q.ValuesLists {
		v.exprs(row.GetList().GetItems(), s)
	}
	for i := range q.ValuesLists[0].GetList().GetItems() {
		columns = append(columns, sqltree.ValueColumn(i))
	}
	v.order(q.SortClause, columns, s)
	return columns
}

// with counts common table expressions and makes their names known in s. Each
// sees those before it, and with RECURSIVE itself and those after it, whose
// columns must be listed.
func (v *visitor) with(w *pg.WithClause, s *scope) {
	if w == nil {
		return
	}
	s.ctes = make(map[string][]string)
	if w.Recursive {
		for _, n := range w.Ctes {
			c := n.GetCommonTableExpr()
			s.ctes[c.Ctename] = nil
			if given := names(c.Aliascolnames); len(given) > 0 {
				s.ctes[c.Ctename] = append(given, open)
			}
		}
	}
	for _, n := range w.Ctes {
		c := n.GetCommonTableExpr()
		name := func(columns []string) { s.ctes[c.Ctename] = cteColumns(c, columns) }
		q := c.Ctequery.GetSelectStmt()
		if w.Recursive && q != nil && q.Op == pg.SetOperation_SETOP_UNION {
			name(v.queryTold(q, s, name))
			continue
		}
		name(v.cteQuery(c.Ctequery, s))
	}
}

// cteColumns returns the names of the columns of c, whose query has columns.
func cteColumns(c *pg.CommonTableExpr, columns []string) []string {
	given := names(c.Aliascolnames)
	if slices.Contains(columns, open) {
		if len(given) > 0 {
			return append(given, columns...)
		}
		return columns
	}
	if len(given) > len(columns) {
		deny("%s has more column names than columns", c.Ctename)
	}
	return append(append(make([]string, 0, len(columns)), given...), columns[len(given):]...)
}

func (v *visitor) cteQuery(n *pg.Node, s *scope) []string {
	switch n := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		return v.query(n.SelectStmt, s)
	case *pg.Node_InsertStmt:
		return v.insert(n.InsertStmt, s)
	case *pg.Node_UpdateStmt:
		return v.update(n.UpdateStmt, s)
	case *pg.Node_DeleteStmt:
		return v.delete(n.DeleteStmt, s)
	}
	deny("a common table expression of this kind is not mapped")
	return nil
}

// targets counts a select list and returns the names of its columns. If those are
// the statement's own, a column that stands alone is only shown.
func (v *visitor) targets(list []*pg.Node, s *scope, top bool) (columns []string) {
	for _, n := range list {
		t := n.GetResTarget()
		ref := t.Val.GetColumnRef()
		v.plain = top && ref != nil
		v.expr(t.Val, s)
		v.plain = false
		if ref != nil && sqltree.IsStar(ref.Fields) {
			e := v.starred(ref, s)
			v.spend(heavy * len(e.columns))
			columns = append(columns, e.names()...)
			v.show(top, e.columns...)
			continue
		}
		if i := t.Val.GetAIndirection(); i != nil && sqltree.IsStar(i.Indirection) {
			columns = append(columns, open)
			v.show(top, output{name: open})
			continue
		}
		name := t.Name
		if name == "" {
			name = sqltree.ColumnName(t.Val, v.columns)
		}
		columns = append(columns, name)
		shown := output{name: name}
		if ref != nil {
			shown.from = v.referred(ref, s)
		}
		v.show(top, shown)
	}
	if len(columns) > maxColumns { //guard:R11 analyze-columns
		deny("a query has at most %d columns", maxColumns)
	}
	return columns
}

// show notes columns that the statement returns.
func (v *visitor) show(top bool, list ...output) {
	if top {
		v.shown = append(v.shown, list...)
	}
}

// referred returns what a reference that was counted reads.
func (v *visitor) referred(c *pg.ColumnRef, s *scope) (from []sql.Column) {
	v.spend(s.reach(len(c.Fields)))
	parts := names(c.Fields)
	if len(parts) == 1 {
		from, _ = s.with(parts[0])
		return from
	}
	from, _ = v.entryOf(parts[:len(parts)-1], s).find(parts[len(parts)-1])
	return from
}

// arranged counts the columns that the statement returns and puts into an order or
// groups by, by their name or place: that shows more of them than NULL in their place.
// SPEC SQL-12.
func (v *visitor) arranged(q *pg.SelectStmt) {
	all := len(q.DistinctClause) > 0 || len(q.GroupClause) > 0
	for _, n := range q.SortClause {
		node := n.GetSortBy().GetNode()
		name, named := sqltree.Single(node)
		if node.GetAConst() != nil {
			all = true
		}
		v.spend(len(v.shown))
		for _, o := range v.shown {
			if named && (o.name == name || o.name == open) {
				v.readAll(o.from)
			}
		}
	}
	for _, o := range v.shown {
		if all {
			v.readAll(o.from)
		}
	}
}

// starred returns the entry whose columns * or t.* stands for.
func (v *visitor) starred(c *pg.ColumnRef, s *scope) *entry {
	if parts := names(c.Fields[:len(c.Fields)-1]); len(parts) > 0 {
		return v.entryOf(parts, s)
	}
	return v.all(s.entries)
}

// grouping counts GROUP BY: a name is a column of FROM first, then one of the
// select list.
func (v *visitor) grouping(list []*pg.Node, columns []string, s *scope) {
	for _, n := range list {
		if g := n.GetGroupingSet(); g != nil {
			v.grouping(g.Content, columns, s)
			continue
		}
		if r := n.GetRowExpr(); r != nil && r.RowFormat == pg.CoercionForm_COERCE_IMPLICIT_CAST {
			v.grouping(r.Args, columns, s)
			continue
		}
		if name, ok := sqltree.Single(n); ok {
			v.spend(s.width())
			from, how := (&scope{entries: s.entries}).with(name)
			if how == found {
				v.readAll(from)
				continue
			}
		}
		if !v.isOutput(n, columns, s) {
			v.expr(n, s)
		}
	}
}

// order counts ORDER BY: a name alone is a column of the select list first.
func (v *visitor) order(list []*pg.Node, columns []string, s *scope) {
	for _, n := range list {
		b := n.GetSortBy()
		if v.isOutput(b.GetNode(), columns, s) {
			if len(b.UseOp) > 0 {
				v.operator(names(b.UseOp))
			}
			continue
		}
		v.expr(n, s)
	}
}

// isOutput reports whether n is the name of a column of the select list, which
// reads nothing more. If those are not all known, it could be of FROM as well.
func (v *visitor) isOutput(n *pg.Node, columns []string, s *scope) bool {
	name, ok := sqltree.Single(n)
	if !ok {
		return false
	}
	v.spend(s.width() + len(columns))
	if slices.Contains(columns, name) {
		return true
	}
	if !slices.Contains(columns, open) {
		return false
	}
	from, how := s.with(name)
	if how != found && s.entry("", name) != nil { // a whole row
		return false
	}
	v.readAll(from)
	return true
}

// locks counts FOR UPDATE and the like: they lock what FROM has, also inside
// subqueries and joins.
func (v *visitor) locks(list []*pg.Node, s *scope) {
	for _, n := range list {
		l := n.GetLockingClause()
		if len(l.LockedRels) == 0 {
			v.lockAll(*s.rows)
		}
		for _, r := range l.LockedRels {
			name, one := r.GetRangeVar(), false
			for _, x := range *s.rows {
				if x.alias == name.GetRelname() {
					v.lockAll([]locked{x})
					one = true
				}
			}
			if name.GetSchemaname() != "" || !one {
				deny("FOR UPDATE names what is not in FROM")
			}
		}
	}
}

func (v *visitor) lockAll(rows []locked) {
	for _, x := range rows {
		if x.relation != nil {
			v.relation(x.relation.Name, sql.Lock)
		}
		v.lockAll(x.inner)
	}
}
