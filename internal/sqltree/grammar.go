package sqltree

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// grammar is the part of PostgreSQL's grammar that the visitor knows: each node
// type with the fields that it looks at or that change nothing that is asked of a
// statement. A node or a field that is not here is a denial, so that one which a
// later grammar adds is not passed over. SPEC SQL-4.
var grammar = map[protoreflect.Name]string{
	// Statements.
	"SelectStmt": "distinct_clause target_list from_clause where_clause group_clause group_distinct having_clause window_clause " +
		"values_lists sort_clause limit_offset limit_count limit_option locking_clause with_clause op all larg rarg",
	"InsertStmt": "relation cols select_stmt on_conflict_clause returning_list with_clause override",
	"UpdateStmt": "relation target_list where_clause from_clause returning_list with_clause",
	"DeleteStmt": "relation using_clause where_clause returning_list with_clause",

	"MergeStmt":       "relation source_relation join_condition merge_when_clauses with_clause",
	"MergeWhenClause": "match_kind command_type override condition target_list values",
	"ExplainStmt":     "query options",

	"TransactionStmt":  "kind options savepoint_name chain location",
	"VariableSetStmt":  "kind name args is_local",
	"VariableShowStmt": "name",
	"DefElem":          "defname arg defaction location arg_location", // of transactions, EXPLAIN and COPY

	"DeclareCursorStmt": "portalname options query",
	"FetchStmt":         "direction how_many portalname ismove",
	"ClosePortalStmt":   "portalname",
	"PrepareStmt":       "name argtypes query",
	"ExecuteStmt":       "name params",
	"DeallocateStmt":    "name isall location",
	"DiscardStmt":       "target",
	"CopyStmt":          "relation query attlist is_from options where_clause",
	"CallStmt":          "funccall",
	"TruncateStmt":      "relations behavior",
	"LockStmt":          "relations mode nowait",
	"ListenStmt":        "conditionname",
	"UnlistenStmt":      "conditionname",
	"NotifyStmt":        "conditionname payload payload_location",

	// Clauses.
	"WithClause":       "ctes recursive location",
	"CommonTableExpr":  "ctename aliascolnames ctematerialized ctequery location",
	"OnConflictClause": "action infer target_list where_clause location",
	"InferClause":      "index_elems where_clause conname location",
	"IndexElem":        "name expr ordering nulls_ordering",
	"ResTarget":        "name indirection val location",
	"SortBy":           "node sortby_dir sortby_nulls use_op location",
	"WindowDef":        "name refname partition_clause order_clause frame_options start_offset end_offset location",
	"LockingClause":    "locked_rels strength wait_policy",
	"GroupingSet":      "kind content location",

	// What FROM has.
	"RangeVar":         "schemaname relname inh relpersistence alias location",
	"RangeSubselect":   "lateral subquery alias",
	"RangeFunction":    "lateral ordinality is_rowsfrom functions alias coldeflist",
	"ColumnDef":        "colname type_name is_local location", // of functions
	"RangeTableSample": "relation method args repeatable location",
	"JoinExpr":         "jointype is_natural larg rarg using_clause join_using_alias quals alias",
	"Alias":            "aliasname colnames",

	// Expressions.
	"ColumnRef":        "fields location",
	"ParamRef":         "number location",
	"A_Expr":           "kind name lexpr rexpr location",
	"BoolExpr":         "boolop args location",
	"NullTest":         "arg nulltesttype location",
	"BooleanTest":      "arg booltesttype location",
	"SubLink":          "sub_link_type testexpr oper_name subselect location",
	"FuncCall":         "funcname args agg_order agg_filter over agg_within_group agg_star agg_distinct func_variadic funcformat location",
	"NamedArgExpr":     "arg name argnumber location",
	"TypeCast":         "arg type_name location",
	"TypeName":         "names typmods typemod array_bounds location",
	"CollateClause":    "arg collname location",
	"CaseExpr":         "arg args defresult location",
	"CaseWhen":         "expr result location",
	"CoalesceExpr":     "args location",
	"MinMaxExpr":       "op args location",
	"RowExpr":          "args row_format location",
	"A_ArrayExpr":      "elements location",
	"A_Indirection":    "arg indirection",
	"A_Indices":        "is_slice lidx uidx",
	"A_Star":           "",
	"MultiAssignRef":   "source colno ncolumns",
	"SetToDefault":     "location",
	"SQLValueFunction": "op typmod location",
	"GroupingFunc":     "args location",
	"XmlExpr":          "op name named_args args xmloption location",
	"XmlSerialize":     "xmloption expr type_name location",

	// Values.
	"A_Const":   "isnull ival fval boolval sval bsval location",
	"Integer":   "ival",
	"Float":     "fval",
	"Boolean":   "boolval",
	"String":    "sval",
	"BitString": "bsval",
	"List":      "items",
}

// known is grammar as sets.
var known = func() map[protoreflect.Name]map[protoreflect.Name]bool {
	out := make(map[protoreflect.Name]map[protoreflect.Name]bool, len(grammar))
	for name, fields := range grammar {
		out[name] = make(map[protoreflect.Name]bool)
		for _, f := range strings.Fields(fields) {
			out[name][protoreflect.Name(f)] = true
		}
	}
	return out
}()
