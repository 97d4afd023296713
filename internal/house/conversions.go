package house

import (
	"go/ast"
	"go/token"
	"strings"
)

const stringMarker = "//secret:string"

// secretStrings checks that a secret is made a string only where a comment
// "//secret:string why", on the same line or the one above, says why it must.
// A secret is what a function literal given to a method Use is called with. It
// also returns how many markers there are. Tests are exempt. SPEC SECRET-8.
func secretStrings(t *Tree) (found []Finding, markers int) {
	found = t.sources(func(f *File, add func(token.Pos, string, ...any)) {
		marked := make(map[int]bool)
		for _, group := range f.AST.Comments {
			for _, c := range group.List {
				why, ok := strings.CutPrefix(c.Text, stringMarker)
				if !ok {
					continue
				}
				markers++
				marked[t.line(c.Pos())] = true
				if strings.TrimSpace(why) == "" {
					add(c.Pos(), "%s: say why", stringMarker)
				}
			}
		}
		for _, call := range stringsInUse(f.AST) {
			if line := t.line(call.Pos()); !marked[line] && !marked[line-1] {
				add(call.Pos(), "a secret becomes a string: mark it %s and say why", stringMarker)
			}
		}
	})
	return found, markers
}

// stringsInUse returns each conversion to string inside a function literal that
// is an argument of a call of some x.Use.
func stringsInUse(tree *ast.File) []*ast.CallExpr {
	var calls []*ast.CallExpr
	ast.Inspect(tree, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || sel.Sel.Name != "Use" {
			return true
		}
		for _, arg := range call.Args {
			if lit, ok := arg.(*ast.FuncLit); ok {
				ast.Inspect(lit.Body, func(n ast.Node) bool {
					if c, ok := n.(*ast.CallExpr); ok && isStringOf(c) {
						calls = append(calls, c)
					}
					return true
				})
			}
		}
		return true
	})
	return calls
}

// isStringOf reports whether c is string(x) for an x that is not a literal.
func isStringOf(c *ast.CallExpr) bool {
	id, ok := c.Fun.(*ast.Ident)
	if !ok || id.Name != "string" || len(c.Args) != 1 {
		return false
	}
	_, literal := c.Args[0].(*ast.BasicLit)
	return !literal
}
