package sqltree

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

const nameless = "?column?"

// Names returns the texts of a list of strings; of another node "".
func Names(list []*pg.Node) []string {
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = n.GetString_().GetSval()
	}
	return out
}

// ValueColumn returns the name that the i-th column of VALUES has.
func ValueColumn(i int) string { return "column" + strconv.Itoa(i+1) }

// ColumnName returns the name that the server gives to an expression of a select
// list without alias. Source: PostgreSQL, FigureColname.
// Those of queries inside it are in known.
func ColumnName(n *pg.Node, known map[*pg.SelectStmt][]string) string {
	name, _ := figurer(known).figure(n)
	if name == "" {
		return nameless
	}
	return name
}

// A figurer has the columns of the queries that were visited.
type figurer map[*pg.SelectStmt][]string

// figure returns the name and how good it is: 2 stands, 1 gives way.
func (f figurer) figure(n *pg.Node) (string, int) {
	switch n := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		return lastName(n.ColumnRef.Fields)
	case *pg.Node_AIndirection:
		if name, ok := lastName(n.AIndirection.Indirection); name != "" {
			return name, ok
		}
		return f.figure(n.AIndirection.Arg)
	case *pg.Node_FuncCall:
		return lastName(n.FuncCall.Funcname)
	case *pg.Node_AExpr:
		if n.AExpr.Kind == pg.A_Expr_Kind_AEXPR_NULLIF {
			return "nullif", 2
		}
	case *pg.Node_TypeCast:
		if name, good := f.figure(n.TypeCast.Arg); good == 2 {
			return name, good
		}
		if t := Names(n.TypeCast.TypeName.GetNames()); len(t) > 0 {
			return t[len(t)-1], 1
		}
	case *pg.Node_CollateClause:
		return f.figure(n.CollateClause.Arg)
	case *pg.Node_GroupingFunc:
		return "grouping", 2
	case *pg.Node_SubLink:
		return f.link(n.SubLink)
	case *pg.Node_CaseExpr:
		if name, good := f.figure(n.CaseExpr.Defresult); good == 2 {
			return name, good
		}
		return "case", 1
	case *pg.Node_AArrayExpr:
		return "array", 2
	case *pg.Node_RowExpr:
		return "row", 2
	case *pg.Node_CoalesceExpr:
		return "coalesce", 2
	case *pg.Node_MinMaxExpr:
		if n.MinMaxExpr.Op == pg.MinMaxOp_IS_GREATEST {
			return "greatest", 2
		}
		return "least", 2
	case *pg.Node_XmlSerialize:
		return "xmlserialize", 2
	case *pg.Node_XmlExpr:
		if name := xmlFunctions[n.XmlExpr.Op]; name != "" {
			return name, 2
		}
	case *pg.Node_SqlvalueFunction:
		return ValueFunctions[n.SqlvalueFunction.Op], 2
	}
	return "", 0
}

var xmlFunctions = map[pg.XmlExprOp]string{
	pg.XmlExprOp_IS_XMLCONCAT: "xmlconcat", pg.XmlExprOp_IS_XMLELEMENT: "xmlelement", pg.XmlExprOp_IS_XMLFOREST: "xmlforest",
	pg.XmlExprOp_IS_XMLPARSE: "xmlparse", pg.XmlExprOp_IS_XMLPI: "xmlpi", pg.XmlExprOp_IS_XMLROOT: "xmlroot",
}

func (f figurer) link(l *pg.SubLink) (string, int) {
	switch l.SubLinkType {
	case pg.SubLinkType_EXISTS_SUBLINK:
		return "exists", 2
	case pg.SubLinkType_ARRAY_SUBLINK:
		return "array", 2
	case pg.SubLinkType_EXPR_SUBLINK:
		if c := f[l.Subselect.GetSelectStmt()]; len(c) > 0 {
			return c[0], 2
		}
	}
	return "", 0
}

// lastName returns the last name in a list, before indices and stars.
func lastName(list []*pg.Node) (string, int) {
	for i := len(list) - 1; i >= 0; i-- {
		if s := list[i].GetString_(); s != nil {
			return s.Sval, 2
		}
	}
	return "", 0
}

// ValueFunctions are the functions that SQL calls without parentheses.
var ValueFunctions = map[pg.SQLValueFunctionOp]string{
	pg.SQLValueFunctionOp_SVFOP_CURRENT_DATE:        "current_date",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME:        "current_time",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIME_N:      "current_time",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP:   "current_timestamp",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_TIMESTAMP_N: "current_timestamp",
	pg.SQLValueFunctionOp_SVFOP_LOCALTIME:           "localtime",
	pg.SQLValueFunctionOp_SVFOP_LOCALTIME_N:         "localtime",
	pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP:      "localtimestamp",
	pg.SQLValueFunctionOp_SVFOP_LOCALTIMESTAMP_N:    "localtimestamp",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_ROLE:        "current_role",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_USER:        "current_user",
	pg.SQLValueFunctionOp_SVFOP_USER:                "user",
	pg.SQLValueFunctionOp_SVFOP_SESSION_USER:        "session_user",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_CATALOG:     "current_catalog",
	pg.SQLValueFunctionOp_SVFOP_CURRENT_SCHEMA:      "current_schema",
}

// SplitName returns the parts of a name in a literal: plain words, or in quotes.
func SplitName(s string) (schema, name string, ok bool) {
	var parts []string
	for s != "" {
		var part string
		if s[0] == '"' {
			end := strings.IndexByte(s[1:], '"')
			if end < 0 {
				return "", "", false
			}
			part, s = s[1:1+end], s[end+2:]
		} else {
			end := strings.IndexAny(s+".", ".\"")
			if part, s = s[:end], s[end:]; part != strings.ToLower(part) {
				return "", "", false
			}
		}
		parts = append(parts, part)
		if s != "" {
			if s[0] != '.' || len(s) == 1 {
				return "", "", false
			}
			s = s[1:]
		}
	}
	switch len(parts) {
	case 1:
		return "", parts[0], parts[0] != ""
	case 2:
		return parts[0], parts[1], parts[0] != "" && parts[1] != ""
	}
	return "", "", false
}

// QuoteName returns the text that the server reads as that name.
func QuoteName(schema, name string) string {
	q := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	return q(schema) + "." + q(name)
}

// IsStar reports whether a reference or an indirection ends in a star.
func IsStar(list []*pg.Node) bool {
	_, ok := list[len(list)-1].GetNode().(*pg.Node_AStar)
	return ok
}

// Single returns the name that n is, if it is one and nothing else.
func Single(n *pg.Node) (string, bool) {
	c := n.GetColumnRef()
	if c == nil || len(c.Fields) != 1 || c.Fields[0].GetString_() == nil {
		return "", false
	}
	return c.Fields[0].GetString_().Sval, true
}
