package sqlanalyze

import (
	"fmt"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/writhq/writ/op/sql"
)

// A Grammar parses and writes statements. It may crash on some texts, and so runs
// elsewhere; a crash is an error.
type Grammar interface {
	// Parse returns the tree of a text.
	Parse(text string) (*pg.ParseResult, error)
	// Render returns a text of the tree, and the tree of that text.
	Render(tree *pg.ParseResult) (text string, again *pg.ParseResult, err error)
}

// A Mapped is a statement with what it does and the text that does it.
type Mapped struct {
	sql.Statement
	Text string // qualified
}

// Map returns the statements of a text, each with what it does. Errors wrap
// [ErrUnmapped]. SPEC SQL-3, SQL-5.
func (a *Analyzer) Map(g Grammar, text string) ([]Mapped, error) {
	if len(text) > maxText || strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) { //guard:A18 text-bound
		return nil, fmt.Errorf("%w: more than %d bytes, a NUL, or not UTF-8", ErrUnmapped, maxText)
	}
	tree, err := g.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnmapped, err)
	}
	if len(tree.Stmts) > maxStatements { //guard:A18 statements-bound
		return nil, fmt.Errorf("%w: more than %d statements", ErrUnmapped, maxStatements)
	}
	out := make([]Mapped, 0, len(tree.Stmts))
	for _, raw := range tree.Stmts {
		s, err := a.Analyze(raw)
		if err != nil {
			return nil, err
		}
		m := Mapped{Statement: *s}
		if m.Text, err = render(g, &pg.ParseResult{Version: tree.Version, Stmts: []*pg.RawStmt{raw}}); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// render returns the text of a tree, which must be the tree of that text: else
// something else would run than was looked at.
func render(g Grammar, tree *pg.ParseResult) (string, error) {
	text, again, err := g.Render(tree)
	if err != nil {
		return "", fmt.Errorf("%w: write again: %w", ErrUnmapped, err)
	}
	unplaced(tree.ProtoReflect())
	unplaced(again.ProtoReflect())
	if !proto.Equal(tree, again) { //guard:R5/sql rendered-same
		return "", fmt.Errorf("%w: written again, it is another statement", ErrUnmapped)
	}
	return text, nil
}

// unplaced takes out of a tree where in the text its nodes stood.
func unplaced(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case strings.HasSuffix(string(fd.Name()), "location") || fd.Name() == "stmt_len":
			m.Clear(fd)
		case fd.Kind() != protoreflect.MessageKind:
		case fd.IsList():
			for i := range v.List().Len() {
				unplaced(v.List().Get(i).Message())
			}
		default:
			unplaced(v.Message())
		}
		return true
	})
}
