package op_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/writhq/writ/op"
)

// TestAdvice shows that every code of a denial says what to do next.
//
// SPEC OP-6
// R14
func TestAdvice(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "denial.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(f, func(node ast.Node) bool {
		v, ok := node.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		typ, ok := v.Type.(*ast.Ident)
		if !ok || typ.Name != "Code" {
			return true
		}
		text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if n++; op.Code(text).Advice() == "" {
			t.Errorf("%s: nothing to do next", text)
		}
		return true
	})
	if n < 27 {
		t.Errorf("%d codes", n)
	}
	if op.Code("other").Advice() != "" {
		t.Error("advice about a code that is none")
	}
}
