// Package sqltree holds the trees that PostgreSQL's own grammar makes of texts: which
// of their nodes are known, and that a tree which is written as text again is still
// the same.
//
// It is pure; its functions are safe for concurrent use.
package sqltree

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
)

// ErrTree is wrapped by every error of this package.
var ErrTree = errors.New("sql tree")

// A Grammar parses and writes statements. It may crash on some texts, and so runs
// elsewhere; a crash is an error. Its trees are the bytes of a [pg.ParseResult].
type Grammar interface {
	// Parse returns the tree of a text.
	Parse(text string) (tree []byte, err error)
	// Render returns a text of the tree, and the tree of that text.
	Render(tree []byte) (text string, again []byte, err error)
}

// Parse returns the tree of a text that is within the bounds, if all of it is in the
// grammar's table. Errors wrap [ErrTree]. SPEC SQL-4, SQL-6.
func Parse(g Grammar, text string) (*pg.ParseResult, error) {
	if len(text) > maxText || strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) { //guard:A18 text-bound
		return nil, fmt.Errorf("%w: more than %d bytes, a NUL, or not UTF-8", ErrTree, maxText)
	}
	b, err := g.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	if err := closed(b, result(), -aroundDepth); err != nil {
		return nil, err
	}
	tree := new(pg.ParseResult)
	if err := proto.Unmarshal(b, tree); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTree, err)
	}
	if len(tree.Stmts) > maxStatements { //guard:A18 statements-bound
		return nil, fmt.Errorf("%w: more than %d statements", ErrTree, maxStatements)
	}
	return tree, nil
}

// Render returns the text of a tree, which must be the tree of that text: else
// something else would run than was looked at. Errors wrap [ErrTree]. SPEC SQL-5.
func Render(g Grammar, tree *pg.ParseResult) (string, error) {
	b, err := proto.Marshal(tree)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrTree, err)
	}
	text, again, err := g.Render(b)
	if err != nil {
		return "", fmt.Errorf("%w: write again: %w", ErrTree, err)
	}
	if !same(b, again, result()) { //guard:R5/sql rendered-same
		return "", fmt.Errorf("%w: written again, it is another statement", ErrTree)
	}
	return text, nil
}
