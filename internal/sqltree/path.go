package sqltree

import (
	"slices"
	"strings"
)

// Around returns a search path as the server is told it: with its own schema first,
// where that is not named, and temporary tables last, which else come first. Of no
// schema at all it is told so: every name is qualified, and operators of temporary
// schemas are never found.
func Around(path []string) []string {
	if len(path) == 0 {
		return []string{""}
	}
	if !slices.Contains(path, "pg_catalog") {
		path = append([]string{"pg_catalog"}, path...)
	}
	return append(slices.Clip(path), "pg_temp")
}

// QuotePath returns Around of a path as the value of the setting.
func QuotePath(path []string) string {
	quoted := Around(path)
	for i, s := range quoted {
		quoted[i] = `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return strings.Join(quoted, ", ")
}

// SplitPath returns the names in the value of a search path, if each is plain: small
// letters, digits and underscores, or anything but quotes and commas in quotes.
func SplitPath(s string) (path []string, ok bool) {
	bad := func(c rune) bool { return !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_') }
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if inner, quoted := strings.CutPrefix(part, `"`); quoted {
			if inner, quoted = strings.CutSuffix(inner, `"`); !quoted || strings.Contains(inner, `"`) {
				return nil, false
			}
			part = inner
		} else if strings.ContainsFunc(part, bad) {
			return nil, false
		}
		path = append(path, part)
	}
	return path, true
}

// Pinned are the settings on which it hangs what a statement means.
var Pinned = map[string]bool{
	"search_path": true, "standard_conforming_strings": true, "client_encoding": true, "backslash_quote": true, "transform_null_equals": true,
	"escape_string_warning": true, "array_nulls": true, "session_replication_role": true, "session_authorization": true, "role": true,
	"row_security": true, "check_function_bodies": true, "allow_system_table_mods": true, "dynamic_library_path": true, "local_preload_libraries": true,
}
