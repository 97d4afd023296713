package sqlanalyze

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/op/sql"
)

// insert counts an INSERT inside outer, and returns the columns that it returns.
func (v *visitor) insert(n *pg.InsertStmt, outer *scope) []string {
	s := inside(outer)
	v.with(n.WithClause, s)
	v.Kinds["insert"] = true
	r, target := v.table(n.Relation, sql.Insert)
	v.insertColumns(n.Cols, r, s)
	if n.SelectStmt != nil {
		v.query(n.SelectStmt.GetSelectStmt(), s)
	}
	here := s.seeing([]*entry{target})
	if c := n.OnConflictClause; c != nil {
		v.conflict(c, r, here)
	}
	return v.targets(n.ReturningList, here, outer == nil)
}

// insertColumns counts the columns that are inserted into: all where none are listed.
func (v *visitor) insertColumns(list []*pg.Node, r *sqlcatalog.Relation, s *scope) {
	columns := r.Columns
	if len(list) > 0 {
		columns = nil
		for _, c := range list {
			columns = append(columns, v.assigned(c.GetResTarget(), r, s))
		}
	}
	for _, c := range columns {
		v.Inserts[r.Column(c)] = true
	}
}

// assigned returns the column that a target of INSERT or UPDATE names.
func (v *visitor) assigned(t *pg.ResTarget, r *sqlcatalog.Relation, s *scope) string {
	if !slices.Contains(r.Columns, t.Name) {
		absent(noColumn, "there is no column %s in %s", t.Name, r.Name)
	}
	for _, n := range t.Indirection {
		if n.GetString_() == nil { // a field of the column is no function
			v.indices([]*pg.Node{n}, s)
		}
	}
	return t.Name
}

// conflict counts ON CONFLICT, which reads what it is decided by.
func (v *visitor) conflict(c *pg.OnConflictClause, r *sqlcatalog.Relation, s *scope) {
	if i := c.Infer; i != nil {
		v.infer(i, r, s)
	}
	if len(c.TargetList) == 0 {
		return
	}
	v.relation(r.Name, sql.Update)
	v.Kinds["update"] = true
	excluded := *s.entries[0]
	excluded.alias, excluded.schema = "excluded", ""
	both := s.seeing([]*entry{s.entries[0], &excluded})
	v.assignments(c.TargetList, r, both)
	v.expr(c.WhereClause, both)
}

func (v *visitor) infer(i *pg.InferClause, r *sqlcatalog.Relation, s *scope) {
	if i.Conname != "" {
		columns, ok := r.Constraints[i.Conname]
		if !ok {
			absent(noObject, "there is no constraint %s of %s", i.Conname, r.Name)
		}
		for _, c := range columns {
			v.Reads[r.Column(c)] = true
		}
	}
	for _, n := range i.IndexElems {
		e := n.GetIndexElem()
		if e.Name != "" {
			from, ok := s.entries[0].find(e.Name)
			if !ok {
				absent(noColumn, "there is no column %s in %s", e.Name, r.Name)
			}
			v.readAll(from)
		}
		v.expr(e.Expr, s)
	}
	v.expr(i.WhereClause, s)
}

func (v *visitor) assignments(list []*pg.Node, r *sqlcatalog.Relation, s *scope) {
	for _, n := range list {
		t := n.GetResTarget()
		v.Updates[r.Column(v.assigned(t, r, s))] = true
		v.expr(t.Val, s)
	}
}

// update counts an UPDATE.
func (v *visitor) update(n *pg.UpdateStmt, outer *scope) []string {
	s := inside(outer)
	v.with(n.WithClause, s)
	v.Kinds["update"] = true
	r, target := v.table(n.Relation, sql.Update)
	s.entries = []*entry{target}
	v.from(n.FromClause, s)
	v.assignments(n.TargetList, r, s)
	v.Where = v.Where && n.WhereClause != nil
	v.expr(n.WhereClause, s)
	return v.targets(n.ReturningList, s, outer == nil)
}

// delete counts a DELETE.
func (v *visitor) delete(n *pg.DeleteStmt, outer *scope) []string {
	s := inside(outer)
	v.with(n.WithClause, s)
	v.Kinds["delete"] = true
	_, target := v.table(n.Relation, sql.Delete)
	s.entries = []*entry{target}
	v.from(n.UsingClause, s)
	v.Where = v.Where && n.WhereClause != nil
	v.expr(n.WhereClause, s)
	return v.targets(n.ReturningList, s, outer == nil)
}

// merge counts a MERGE: each of its actions is one of the kinds that it does.
func (v *visitor) merge(n *pg.MergeStmt) {
	s := inside(nil)
	v.with(n.WithClause, s)
	r, target := v.table(n.Relation, sql.Read)
	s.entries = []*entry{target}
	v.from([]*pg.Node{n.SourceRelation}, s)
	v.expr(n.JoinCondition, s)
	for _, w := range n.MergeWhenClauses {
		c := w.GetMergeWhenClause()
		v.expr(c.Condition, s)
		switch c.CommandType {
		case pg.CmdType_CMD_INSERT:
			v.mergeMode(r, "insert", sql.Insert)
			v.insertColumns(c.TargetList, r, s)
			v.exprs(c.Values, s)
		case pg.CmdType_CMD_UPDATE:
			v.mergeMode(r, "update", sql.Update)
			v.assignments(c.TargetList, r, s)
		case pg.CmdType_CMD_DELETE:
			v.mergeMode(r, "delete", sql.Delete)
		case pg.CmdType_CMD_NOTHING:
		default:
			deny("an action of MERGE is not mapped")
		}
	}
}

func (v *visitor) mergeMode(r *sqlcatalog.Relation, kind, mode string) {
	if r.Schema == "pg_catalog" {
		deny("a change of %s could change what statements mean", r.Name)
	}
	v.Kinds[kind] = true
	v.relation(r.Name, mode)
	v.Runs(r.Fills)
}
