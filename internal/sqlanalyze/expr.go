package sqlanalyze

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op/sql"
)

func (v *visitor) exprs(list []*pg.Node, s *scope) {
	for _, n := range list {
		v.expr(n, s)
	}
}

func (v *visitor) readAll(columns []sql.Column) {
	v.spend(heavy * len(columns))
	for _, c := range columns {
		v.Reads[c] = true
		if v.plain {
			continue
		}
		v.Uses[c] = true
		if r := v.Catalog.Relations[sqlcatalog.Name{Schema: c.Schema, Name: c.Table}]; r != nil { // what is made of its value is checked again
			v.Runs(r.Checks[c.Name])
		}
	}
}

// expr counts what an expression reads and calls. A nil node has nothing.
func (v *visitor) expr(n *pg.Node, s *scope) {
	switch n := n.GetNode().(type) {
	case nil, *pg.Node_AConst, *pg.Node_SetToDefault, *pg.Node_String_, *pg.Node_Integer, *pg.Node_AStar:
	case *pg.Node_ColumnRef:
		v.column(n.ColumnRef, s)
	case *pg.Node_ParamRef:
		v.Params = max(v.Params, int(n.ParamRef.Number))
	case *pg.Node_AExpr:
		v.operatorsOf(n.AExpr)
		v.expr(n.AExpr.Lexpr, s)
		v.expr(n.AExpr.Rexpr, s)
	case *pg.Node_List:
		v.exprs(n.List.Items, s)
	case *pg.Node_BoolExpr:
		v.exprs(n.BoolExpr.Args, s)
	case *pg.Node_NullTest:
		v.expr(n.NullTest.Arg, s)
	case *pg.Node_BooleanTest:
		v.expr(n.BooleanTest.Arg, s)
	case *pg.Node_SubLink:
		v.expr(n.SubLink.Testexpr, s)
		switch {
		case len(n.SubLink.OperName) > 0:
			v.operator(names(n.SubLink.OperName))
		case n.SubLink.Testexpr != nil: // IN
			v.operator([]string{"="})
		}
		if n.SubLink.SubLinkType == pg.SubLinkType_ARRAY_SUBLINK { // it packs rows as that does
			v.Functions["pg_catalog.array_agg(anynonarray)"] = true
		}
		v.query(n.SubLink.Subselect.GetSelectStmt(), s)
	case *pg.Node_FuncCall:
		v.call(n.FuncCall, s)
	case *pg.Node_TypeCast:
		v.expr(n.TypeCast.Arg, s)
		v.typeName(n.TypeCast.TypeName)
	default:
		v.more(n, s)
	}
}

// more is expr for the less usual nodes.
func (v *visitor) more(n any, s *scope) {
	switch n := n.(type) {
	case *pg.Node_NamedArgExpr:
		v.expr(n.NamedArgExpr.Arg, s)
	case *pg.Node_CollateClause:
		v.expr(n.CollateClause.Arg, s)
	case *pg.Node_CaseExpr:
		if n.CaseExpr.Arg != nil { // it is compared with each WHEN
			v.operator([]string{"="})
		}
		v.expr(n.CaseExpr.Arg, s)
		v.exprs(n.CaseExpr.Args, s)
		v.expr(n.CaseExpr.Defresult, s)
	case *pg.Node_CaseWhen:
		v.expr(n.CaseWhen.Expr, s)
		v.expr(n.CaseWhen.Result, s)
	case *pg.Node_CoalesceExpr:
		v.exprs(n.CoalesceExpr.Args, s)
	case *pg.Node_MinMaxExpr:
		v.exprs(n.MinMaxExpr.Args, s)
	case *pg.Node_RowExpr:
		v.exprs(n.RowExpr.Args, s)
	case *pg.Node_AArrayExpr:
		v.exprs(n.AArrayExpr.Elements, s)
	case *pg.Node_AIndirection:
		v.expr(n.AIndirection.Arg, s)
		v.indices(n.AIndirection.Indirection, s)
	case *pg.Node_MultiAssignRef:
		if n.MultiAssignRef.Colno == 1 { // the others have copies of its source
			v.expr(n.MultiAssignRef.Source, s)
			v.source = n.MultiAssignRef.Source
		}
		n.MultiAssignRef.Source = v.source
	case *pg.Node_GroupingFunc:
		v.exprs(n.GroupingFunc.Args, s)
	case *pg.Node_GroupingSet:
		v.exprs(n.GroupingSet.Content, s)
	case *pg.Node_XmlExpr:
		v.exprs(n.XmlExpr.NamedArgs, s)
		v.exprs(n.XmlExpr.Args, s)
	case *pg.Node_XmlSerialize:
		v.expr(n.XmlSerialize.Expr, s)
		v.typeName(n.XmlSerialize.TypeName)
	case *pg.Node_SortBy:
		if len(n.SortBy.UseOp) > 0 {
			v.operator(names(n.SortBy.UseOp))
		}
		v.expr(n.SortBy.Node, s)
	case *pg.Node_SqlvalueFunction:
		v.Functions["pg_catalog."+sqltree.ValueFunctions[n.SqlvalueFunction.Op]+"()"] = true
	case *pg.Node_ResTarget:
		v.indices(n.ResTarget.Indirection, s)
		v.expr(n.ResTarget.Val, s)
	default:
		deny("an expression is not mapped")
	}
}

// column counts what a reference reads: a column, a whole row, or all of them.
func (v *visitor) column(c *pg.ColumnRef, s *scope) {
	v.spend(s.reach(len(c.Fields)))
	last := len(c.Fields) - 1
	_, star := c.Fields[last].Node.(*pg.Node_AStar)
	parts := names(c.Fields)
	if star {
		parts = parts[:last]
	}
	switch {
	case star && len(parts) == 0:
		v.readEntry(v.all(s.entries))
	case star:
		v.readEntry(v.entryOf(parts, s))
	case len(parts) == 1:
		from, how := s.with(parts[0])
		v.readAll(from)
		if how == nowhere || how == possible && s.entry("", parts[0]) != nil {
			v.plain = false
			v.readEntry(v.entryOf(parts, s)) // a whole row
		}
	default:
		v.field(v.entryOf(parts[:last], s), parts[last])
	}
}

// field counts e.name: a column, or else a function of the whole row.
func (v *visitor) field(e *entry, name string) {
	v.spend(len(e.columns))
	from, ok := e.find(name)
	v.readAll(from)
	if ok {
		return
	}
	v.plain = false
	v.readEntry(e)
	if !v.attribute(name) && !e.open() {
		absent(noColumn, "there is no column %s in %s", name, e.alias)
	}
}

// attribute counts the functions that x.name can call where x has no field of
// that name, and reports whether there are any. The server looks for them on the
// path. Source: PostgreSQL, ParseFuncOrColumn.
func (v *visitor) attribute(name string) (any bool) {
	if name == "nextval" || name == "currval" { //guard:R15/sql sequence-attribute
		deny("%s of a sequence that is not named by a literal", name)
	}
	for _, schema := range v.schemas() {
		for _, f := range v.Catalog.Functions[sqlcatalog.Name{Schema: schema, Name: name}] {
			if f.Takes(1) {
				v.Functions[f.String()], any = true, true
				v.Runs(f.Calls)
			}
		}
	}
	return any
}

// entryOf returns what alias or schema.table stands for.
func (v *visitor) entryOf(parts []string, s *scope) *entry {
	if len(parts) > 2 {
		deny("a column of another database")
	}
	schema, alias := "", parts[len(parts)-1]
	if len(parts) == 2 {
		schema = parts[0]
	}
	e := s.entry(schema, alias)
	if e == nil || alias == "" {
		absent(noColumn, "there is no table or column %s here", quoted(parts))
	}
	return e
}

func (v *visitor) readEntry(e *entry) {
	for _, c := range e.columns {
		v.readAll(c.from)
	}
}

// indices counts what stands behind x in (x).name, (x).* and x[i].
func (v *visitor) indices(list []*pg.Node, s *scope) {
	for _, n := range list {
		switch n := n.Node.(type) {
		case *pg.Node_AIndices:
			v.expr(n.AIndices.Lidx, s)
			v.expr(n.AIndices.Uidx, s)
		case *pg.Node_String_: // a field, or else a function of x, whatever its type is
			v.attribute(n.String_.Sval)
		case *pg.Node_AStar:
		default:
			deny("an index is not mapped")
		}
	}
}

// operatorsOf counts the operators of an expression: those of BETWEEN are named
// otherwise.
func (v *visitor) operatorsOf(e *pg.A_Expr) {
	switch e.Kind {
	case pg.A_Expr_Kind_AEXPR_BETWEEN, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN, pg.A_Expr_Kind_AEXPR_BETWEEN_SYM, pg.A_Expr_Kind_AEXPR_NOT_BETWEEN_SYM:
		for _, o := range []string{">=", "<=", "<", ">"} {
			v.operator([]string{o})
		}
	default:
		v.operator(names(e.Name))
	}
}

// operator counts what stands behind an operator: nothing if it is the server's
// own whatever its operands are.
func (v *visitor) operator(parts []string) {
	name, schema := parts[len(parts)-1], ""
	if len(parts) == 2 {
		schema = parts[0]
	}
	found := false
	for _, o := range v.Catalog.Operators[name] {
		if schema == "" && !slices.Contains(v.schemas(), o.Schema) || schema != "" && o.Schema != schema {
			continue
		}
		if found = true; o.Schema != "pg_catalog" {
			v.Operators[o.Function] = true
		}
	}
	if !found && name != "<>" && name != "!=" || len(parts) > 2 { // the two are one
		absent(noFunction, "there is no operator %s", quoted(parts))
	}
}

// call counts a function call, and qualifies it.
func (v *visitor) call(c *pg.FuncCall, s *scope) {
	parts, n := names(c.Funcname), sqltree.ArityOf(c)
	name := parts[len(parts)-1]
	schema := ""
	switch len(parts) {
	case 1:
		schema = v.schemaOf(name, n)
	case 2:
		schema = parts[0]
	default:
		deny("a function of another database")
	}
	found := false
	for _, f := range v.Catalog.Functions[sqlcatalog.Name{Schema: schema, Name: name}] {
		if f.Fits(n.Least, n.Most) {
			v.Functions[f.String()], found = true, true
			v.Runs(f.Calls)
		}
	}
	if !found {
		absent(noFunction, "there is no function %s.%s with %d arguments", schema, name, n.Most)
	}
	if len(parts) == 1 {
		c.Funcname = []*pg.Node{pg.MakeStrNode(schema), pg.MakeStrNode(name)}
	}
	v.named(sqlcatalog.Name{Schema: schema, Name: name}, c)
	v.exprs(c.Args, s)
	v.exprs(c.AggOrder, s)
	v.expr(c.AggFilter, s)
	v.window(c.Over, s)
}

// named counts what the server's own functions find by a text that they are given.
func (v *visitor) named(n sqlcatalog.Name, c *pg.FuncCall) {
	switch n {
	case sqlcatalog.Name{Schema: "pg_catalog", Name: "nextval"}, sqlcatalog.Name{Schema: "pg_catalog", Name: "currval"}:
		v.sequence(c, sql.Usage)
	case sqlcatalog.Name{Schema: "pg_catalog", Name: "setval"}:
		v.Updates[v.sequence(c, sql.Update).Column("last_value")] = true
	case sqlcatalog.Name{Schema: "pg_catalog", Name: "set_config"}:
		v.configured(c)
	case sqlcatalog.Name{Schema: "pg_catalog", Name: "lastval"}, sqlcatalog.Name{Schema: "pg_catalog", Name: "pg_sequence_parameters"}, sqlcatalog.Name{Schema: "pg_catalog", Name: "currtid2"}:
		deny("%s finds a relation that the statement does not name; currval names its sequence", n)
	}
}

// schemaOf returns the one schema on the path in which there are functions of the
// name that take so many arguments. In several the server would choose by their types.
func (v *visitor) schemaOf(name string, n sqltree.Arity) (schema string) {
	for _, s := range v.schemas() {
		if !slices.ContainsFunc(v.Catalog.Functions[sqlcatalog.Name{Schema: s, Name: name}], func(f *sqlcatalog.Function) bool { return f.Fits(n.Least, n.Most) }) {
			continue
		}
		if schema != "" { //guard:R15/sql function-one-schema
			deny("the function %s is in the schemas %s and %s; say which", name, schema, s)
		}
		schema = s
	}
	if schema == "" {
		absent(noFunction, "there is no function %s with %d arguments", name, n.Most)
	}
	return schema
}

// sequence counts the sequence that a call names, and qualifies it.
func (v *visitor) sequence(c *pg.FuncCall, mode string) *sqlcatalog.Relation {
	arg := c.Args[0]
	if t := arg.GetTypeCast(); t != nil {
		arg = t.Arg
	}
	text := arg.GetAConst().GetSval()
	if text == nil {
		deny("a sequence that is not named by a literal")
	}
	schema, name, ok := sqltree.SplitName(text.Sval)
	if !ok {
		deny("a sequence whose name is not plain")
	}
	r := v.lookup(schema, name)
	if r.Kind != sqlcatalog.Sequence {
		deny("%s is not a sequence", r.Name)
	}
	v.relation(r.Name, mode)
	text.Sval = sqltree.QuoteName(r.Name.Schema, r.Name.Name)
	return r
}

func (v *visitor) window(w *pg.WindowDef, s *scope) {
	if w == nil {
		return
	}
	v.exprs(w.PartitionClause, s)
	v.exprs(w.OrderClause, s)
	v.expr(w.StartOffset, s)
	v.expr(w.EndOffset, s)
}

// typeName counts a type, and qualifies it.
func (v *visitor) typeName(t *pg.TypeName) {
	parts := names(t.Names)
	name := parts[len(parts)-1]
	if len(parts) > 2 {
		deny("a type of another database")
	}
	var typ *sqlcatalog.Type
	if len(parts) == 2 {
		typ = v.Catalog.Types[sqlcatalog.Name{Schema: parts[0], Name: name}]
	} else {
		for _, schema := range v.schemas() {
			if typ = v.Catalog.Types[sqlcatalog.Name{Schema: schema, Name: name}]; typ != nil {
				break
			}
		}
	}
	if typ == nil {
		absent(noObject, "there is no type %s", quoted(parts))
	}
	if typ.Schema != "pg_catalog" {
		v.Types[typ.Name.String()] = true
		v.Runs(typ.Checks)
	}
	if len(parts) == 1 {
		t.Names = []*pg.Node{pg.MakeStrNode(typ.Schema), pg.MakeStrNode(name)}
	}
}
