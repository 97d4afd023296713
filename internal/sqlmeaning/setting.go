package sqlmeaning

import (
	"context"
	"fmt"
	"slices"

	"github.com/writhq/writ/internal/sqlcatalog"
	"github.com/writhq/writ/internal/sqltree"
)

// Pinned returns the settings of every session at a server: what names and literals
// mean must not hang on what a role or a database has been set to. SPEC PGGW-3.
func Pinned(path []string) map[string]string {
	return map[string]string{
		"search_path": sqltree.QuotePath(path), "standard_conforming_strings": "on", "client_encoding": "UTF8",
		"backslash_quote": "safe_encoding", "transform_null_equals": "off",
	}
}

// Reported are those of the pinned settings that a server reports when they change.
// Source: PostgreSQL, "Asynchronous Operations".
var Reported = map[string]string{"standard_conforming_strings": "on", "client_encoding": "UTF8"}

// Path returns the search path that q's session has now, without the temporary schema,
// which is last: else there is an error. SPEC SQL-13.
func Path(ctx context.Context, q sqlcatalog.Querier) ([]string, error) {
	rows, err := q.Query(ctx, "SHOW search_path")
	if err != nil || len(rows) != 1 || len(rows[0]) != 1 {
		return nil, fmt.Errorf("%w: search path: %w", sqlcatalog.ErrCatalog, err)
	}
	if s := rows[0][0]; s == "" || s == `""` {
		return nil, nil
	}
	path, ok := sqltree.SplitPath(rows[0][0])
	if n := len(path) - 1; !ok || n < 1 || path[n] != "pg_temp" || slices.Index(path, "pg_temp") != n || !slices.Contains(path, "pg_catalog") { //guard:A17 path-as-told
		return nil, fmt.Errorf("%w: the search path is not as it was told: %q", sqlcatalog.ErrCatalog, rows[0][0])
	}
	return path[:len(path)-1], nil
}
