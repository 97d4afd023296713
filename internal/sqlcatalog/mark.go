package sqlcatalog

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// A Mark is a look at users' own objects.
type Mark struct {
	State string // another one once something was defined, changed or dropped
	At    uint64 // what was seen: of two looks that differ, the one with more is the later
	Now   bool   // it was of the moment, and not of a transaction's snapshot that was taken before
}

// mark counts the rows of users' own objects, and adds up the transactions that
// wrote them: what is made, changed or taken away changes one of the two. Objects
// of users have numbers from 16384 on, also in pg_catalog. A transaction that has
// begun before this statement, and keeps to one snapshot, shows that one.
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
	return "SELECT pg_catalog.concat_ws(' ', " + strings.Join(parts, ", ") + "), pg_catalog.txid_snapshot_xmax(pg_catalog.txid_current_snapshot())," +
		" pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.=) 'read committed' OR pg_catalog.statement_timestamp() OPERATOR(pg_catalog.=) pg_catalog.transaction_timestamp()"
}()

// Look returns the mark of q's server, at the price of one look at users' own objects.
// Errors wrap [ErrCatalog].
func Look(ctx context.Context, q Querier) (*Mark, error) {
	rows, err := q.Query(ctx, mark)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCatalog, err)
	}
	if len(rows) != 1 || len(rows[0]) != 3 || rows[0][0] == "" {
		return nil, fmt.Errorf("%w: no mark", ErrCatalog)
	}
	at, err := strconv.ParseUint(rows[0][1], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: mark: %w", ErrCatalog, err)
	}
	return &Mark{State: rows[0][0], At: at, Now: rows[0][2] == "t"}, nil
}
