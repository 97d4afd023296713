package sqlanalyze

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op/sql"
)

// setPath counts SET search_path.
func (v *visitor) setPath(n *pg.VariableSetStmt) {
	var path []string
	for _, a := range n.Args {
		path = append(path, settingValue(a))
	}
	path = v.newPath(path)
	n.Args = nil
	for _, s := range sqltree.Around(path) {
		n.Args = append(n.Args, pg.MakeAConstStrNode(s, -1))
	}
	v.Kinds["set"] = true
}

// newPath notes the path that a statement sets. SPEC SQL-13.
func (v *visitor) newPath(path []string) []string {
	path = slices.DeleteFunc(path, func(s string) bool { return s == "" })
	for i, s := range path {
		if s == "$user" || strings.ContainsAny(s, `",`) || strings.HasPrefix(s, "pg_temp") || strings.HasPrefix(s, "pg_toast") || slices.Contains(path[:i], s) { //guard:A17 path-plain
			deny("the schema %q in a search path, or one that stands twice, is not mapped", s)
		}
	}
	v.Set = &sql.Setting{Name: "search_path", Value: strings.Join(path, ", ")}
	if v.effect.Kind == Ordinary {
		v.effect.Kind = SetPath
	}
	return path
}

// configured counts set_config, of a setting that is named by a literal.
func (v *visitor) configured(c *pg.FuncCall) {
	name, value := c.Args[0].GetAConst().GetSval().GetSval(), c.Args[1].GetAConst().GetSval()
	if sqltree.IsName(c.Args[0]) {
		name = v.row
	}
	if name == "" || v.Set != nil { //guard:A17 set-config-named
		deny("set_config of a setting that is not named by a literal, or of two")
	}
	n := strings.ToLower(name)
	if n == "search_path" {
		v.configuredPath(c, value)
		return
	}
	if sqltree.Pinned[n] { //guard:A17 set-config-pinned
		deny("%s is pinned: what names and literals mean hangs on it", n)
	}
	v.Set = &sql.Setting{Name: n, Value: value.GetSval()}
}

func (v *visitor) configuredPath(c *pg.FuncCall, value *pg.String) {
	local := c.Args[2].GetAConst()
	if t := c.Args[2].GetTypeCast(); t != nil {
		local = t.Arg.GetAConst()
	}
	plain := local.GetBoolval() != nil && !local.GetBoolval().GetBoolval() || local.GetSval().GetSval() == "f"
	path, ok := sqltree.SplitPath(value.GetSval())
	if value == nil || !plain || !ok {
		deny("set_config of search_path: want plain names in a literal, for the session")
	}
	value.Sval = sqltree.QuotePath(v.newPath(path))
}
