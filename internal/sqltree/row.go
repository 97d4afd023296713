package sqltree

import pg "github.com/pganalyze/pg_query_go/v6"

// SettingRow returns the setting whose row of pg_catalog.pg_settings a query reads and
// nothing else: SELECT … FROM pg_settings WHERE name = 'setting', the relation being
// qualified by now. For another query it returns "".
func SettingRow(q *pg.SelectStmt) string {
	if len(q.FromClause) != 1 {
		return ""
	}
	r, e := q.FromClause[0].GetRangeVar(), q.WhereClause.GetAExpr()
	if r.GetSchemaname() != "pg_catalog" || r.GetRelname() != "pg_settings" || r.GetAlias() != nil || e.GetKind() != pg.A_Expr_Kind_AEXPR_OP {
		return ""
	}
	column := Names(e.GetLexpr().GetColumnRef().GetFields())
	if o := Names(e.GetName()); len(o) != 1 || o[0] != "=" || len(column) != 1 || column[0] != "name" {
		return ""
	}
	return e.GetRexpr().GetAConst().GetSval().GetSval()
}

// IsName reports whether n is the column name, alone.
func IsName(n *pg.Node) bool {
	column := Names(n.GetColumnRef().GetFields())
	return len(column) == 1 && column[0] == "name"
}
