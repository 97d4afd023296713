package sqlcatalog

import (
	"context"
	"fmt"
	"strings"
)

// mark counts the rows of users' own objects, and adds up the transactions that
// wrote them: what is made, changed or taken away changes one of the two. Objects
// of users have numbers from 16384 on, also in pg_catalog.
var mark = func() string {
	const own = " WHERE oid OPERATOR(pg_catalog.>=) 16384"
	var parts []string
	for _, from := range []string{
		"pg_class" + own, "pg_proc" + own, "pg_type" + own, "pg_operator" + own, "pg_cast" + own, "pg_rewrite" + own, "pg_constraint" + own,
		"pg_attribute WHERE attrelid OPERATOR(pg_catalog.>=) 16384 AND attnum OPERATOR(pg_catalog.>) 0", "pg_index WHERE indexrelid OPERATOR(pg_catalog.>=) 16384",
		"pg_namespace", "pg_inherits", "pg_policy", "pg_attrdef",
	} {
		parts = append(parts, "(SELECT pg_catalog.concat(pg_catalog.count(*), '/', pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog."+from+")")
	}
	return "SELECT pg_catalog.concat_ws(' ', " + strings.Join(parts, ", ") + ")"
}()

// Mark returns a text that is another one once something was defined, changed or
// dropped since, at the price of one look at users' own objects. Within a
// transaction of one snapshot it is that snapshot's. Errors wrap [ErrCatalog].
func Mark(ctx context.Context, q Querier) (string, error) {
	rows, err := q.Query(ctx, mark)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrCatalog, err)
	}
	if len(rows) != 1 || len(rows[0]) != 1 || rows[0][0] == "" {
		return "", fmt.Errorf("%w: no mark", ErrCatalog)
	}
	return rows[0][0], nil
}
