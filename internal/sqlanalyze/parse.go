package sqlanalyze

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op/sql"
)

// A Grammar parses and writes statements.
type Grammar = sqltree.Grammar

// A Mapped is a statement with what it does and the text that does it.
type Mapped struct {
	sql.Statement
	Form   *sql.Form // of Statement; may be nil
	Text   string    // qualified
	Effect Effect
}

// Map returns the statements of a text, each with what it does. Errors wrap
// [ErrUnmapped]. SPEC SQL-3, SQL-5.
func (a *Analyzer) Map(g Grammar, text string) ([]Mapped, error) {
	tree, err := sqltree.Parse(g, text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnmapped, err)
	}
	out := make([]Mapped, 0, len(tree.Stmts))
	for _, raw := range tree.Stmts {
		m, inner, err := a.analyze(raw)
		if err != nil {
			return nil, err
		}
		if m.Text, err = render(g, tree.Version, raw); err != nil {
			return nil, err
		}
		if inner != nil {
			if m.Effect.Text, err = render(g, tree.Version, &pg.RawStmt{Stmt: inner}); err != nil {
				return nil, err
			}
		}
		out = append(out, *m)
	}
	return out, nil
}

func render(g Grammar, version int32, raw *pg.RawStmt) (string, error) {
	text, err := sqltree.Render(g, &pg.ParseResult{Version: version, Stmts: []*pg.RawStmt{raw}})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnmapped, err)
	}
	return text, nil
}
