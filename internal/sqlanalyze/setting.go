package sqlanalyze

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op/sql"
)

// transaction counts BEGIN, COMMIT, SAVEPOINT and the like, but not those in two
// phases: what they prepare outlives the session.
func (v *visitor) transaction(n *pg.TransactionStmt) {
	switch n.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_PREPARE, pg.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED, pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		deny("a transaction in two phases is not mapped")
	}
	switch n.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		v.effect.Kind = Commit
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		v.effect.Kind = Rollback
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		v.effect = Effect{Kind: RollbackTo, Name: n.SavepointName}
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		v.effect = Effect{Kind: Savepoint, Name: n.SavepointName}
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		v.effect = Effect{Kind: Release, Name: n.SavepointName}
	}
	v.Kinds["transaction"] = true
	v.modes(n.Options)
}

// modes counts a transaction that is to write, whatever the session was begun with:
// as the setting that says so.
func (v *visitor) modes(list []*pg.Node) {
	for _, n := range list {
		d := n.GetDefElem()
		if d.GetDefname() == sql.ReadOnly && d.GetArg().GetAConst().GetIval().GetIval() != 1 {
			v.Set = &sql.Setting{Name: sql.ReadOnly, Value: "off"}
		}
	}
}

// setting counts SET and RESET. How a transaction runs is one of its own kind.
func (v *visitor) setting(n *pg.VariableSetStmt) {
	name := strings.ToLower(n.Name)
	switch n.Kind {
	case pg.VariableSetKind_VAR_RESET_ALL:
		v.effect.Kind = ResetAll
		v.Kinds[sql.Session] = true
		return
	case pg.VariableSetKind_VAR_SET_MULTI:
		if name != "transaction" && name != "session characteristics" {
			deny("SET %s is not mapped", n.Name)
		}
		v.Kinds["transaction"] = true
		v.modes(n.Args)
		return
	case pg.VariableSetKind_VAR_SET_DEFAULT, pg.VariableSetKind_VAR_RESET:
		if sqltree.Pinned[name] { // the session began with what is pinned
			if name == "search_path" {
				v.effect.Kind = ResetPath
			}
			v.Kinds[sql.Session] = true
			return
		}
	case pg.VariableSetKind_VAR_SET_VALUE:
		if n.IsLocal && (name == "search_path" || name == sql.PurposeSetting) { // a gate would have to follow transactions
			deny("SET LOCAL %s: set it for the session", name)
		}
		if name == "search_path" {
			v.setPath(n)
			return
		}
	default:
		deny("SET FROM CURRENT is not mapped")
	}
	value := ""
	for i, a := range n.Args {
		if i > 0 {
			value += ", "
		}
		value += settingValue(a)
	}
	if sqltree.Pinned[name] && !harmless(name, value) { //guard:A17 setting-pinned
		deny("%s is pinned: what names and literals mean hangs on it", name)
	}
	v.Kinds["set"] = true
	v.Set = &sql.Setting{Name: name, Value: value}
}

// harmless reports whether a pinned setting keeps what it is pinned for: with
// row_security off, rows that a policy of the server hides are an error.
func harmless(name, value string) bool {
	return name == "client_encoding" && sqltree.UTF8(value) || name == "row_security" && strings.ToLower(value) == "off"
}

func settingValue(n *pg.Node) string {
	value, ok := sqltree.SettingValue(n)
	if !ok {
		deny("the value of a setting is a literal")
	}
	return value
}
