package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"

	"github.com/writhq/writ/internal/house"
)

// A guard is one security check that a comment marks.
type guard struct {
	tokens []house.Token // what it serves; at least one
	name   string        // unique in the tree
	file   *house.File
	line   int
	edits  []edit // switch it off
	tests  []house.TestFunc
}

// String returns the guard as "R5 R9 permit-digest".
func (g *guard) String() string {
	var b strings.Builder
	for _, k := range g.tokens {
		b.WriteString(k.String() + " ")
	}
	return b.String() + g.name
}

// at returns where the guard is.
func (g *guard) at() string { return fmt.Sprintf("%s:%d", g.file.Name, g.line) }

var (
	marker = regexp.MustCompile(`^//(guard|guard-call|guard-true):(.*)$`)
	kebab  = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	spaces = regexp.MustCompile(`[ ,]+`)
)

// scan returns the guards of the tree with the tests named for them, in order
// of token and name, and what is wrong with the marks.
func scan(t *house.Tree) (guards []*guard, problems []string) {
	byName := make(map[string]*guard)
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		for _, group := range f.AST.Comments {
			for _, c := range group.List {
				m := marker.FindStringSubmatch(c.Text)
				if m == nil {
					continue
				}
				g := &guard{file: f, line: line(t, c.Pos())}
				err := g.read(m[2])
				if err == nil {
					g.edits, err = switchOff(t, g, m[1])
				}
				if err == nil && byName[g.name] != nil {
					err = fmt.Errorf("guard %s is also at %s", g.name, byName[g.name].at())
				}
				if err != nil {
					problems = append(problems, fmt.Sprintf("%s: %v", g.at(), err))
					continue
				}
				byName[g.name] = g
				guards = append(guards, g)
			}
		}
	}
	problems = append(problems, nameTests(t, byName)...)
	slices.SortFunc(guards, func(a, b *guard) int {
		return cmp.Or(a.tokens[0].Compare(b.tokens[0]), cmp.Compare(a.name, b.name))
	})
	return guards, problems
}

// read takes in the text of a mark: tokens, then the name.
func (g *guard) read(text string) error {
	words := spaces.Split(strings.TrimSpace(text), -1)
	for _, w := range words[:len(words)-1] {
		k, err := house.ReadToken(w)
		if err != nil {
			return err
		}
		g.tokens = append(g.tokens, k)
	}
	g.name = words[len(words)-1]
	if len(g.tokens) == 0 || !kebab.MatchString(g.name) {
		return fmt.Errorf("want requirements or attacks and then a name-like-this, have %q", text)
	}
	slices.SortFunc(g.tokens, house.Token.Compare)
	return nil
}

// nameTests gives each guard the tests that name it ("// guard: a, b"), and
// returns the names that are of no guard.
func nameTests(t *house.Tree, byName map[string]*guard) (problems []string) {
	for _, fn := range house.TestFuncs(t) {
		for _, n := range fn.Notes {
			rest, ok := strings.CutPrefix(n.Text, "guard:")
			if !ok {
				continue
			}
			for _, name := range spaces.Split(strings.TrimSpace(rest), -1) {
				g := byName[name]
				if g == nil {
					problems = append(problems, fmt.Sprintf("%s:%d: %s names guard %q, which does not exist", fn.File.Name, n.Line, fn.Name, name))
					continue
				}
				g.tests = append(g.tests, fn)
			}
		}
	}
	return problems
}

// line returns the line of pos within its file.
func line(t *house.Tree, pos token.Pos) int { return t.Fset.PositionFor(pos, false).Line }

// An edit inserts text at an offset of a file.
type edit struct {
	offset int
	text   string
}

// apply returns src with the edits made.
func apply(src []byte, edits []edit) []byte {
	edits = slices.Clone(edits)
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.offset, b.offset) })
	var out []byte
	last := 0
	for _, e := range edits {
		out = append(append(out, src[last:e.offset]...), e.text...)
		last = e.offset
	}
	return append(out, src[last:]...)
}

// switchOff returns the edits that keep the check marked on g's line from ever
// firing. They only add text around what is there, so that all it uses stays
// used, and the file still compiles.
func switchOff(t *house.Tree, g *guard, kind string) ([]edit, error) {
	var found [][]edit
	around := func(before string, n ast.Node, after string) []edit {
		return []edit{
			{t.Fset.PositionFor(n.Pos(), false).Offset, before},
			{t.Fset.PositionFor(n.End(), false).Offset, after},
		}
	}
	on := func(pos ...token.Pos) bool {
		return slices.ContainsFunc(pos, func(p token.Pos) bool { return line(t, p) == g.line })
	}
	ast.Inspect(g.file.AST, func(n ast.Node) bool {
		if n == nil || line(t, n.Pos()) > g.line || line(t, n.End()) < g.line {
			return false
		}
		switch n := n.(type) {
		case *ast.IfStmt:
			if kind == "guard" && on(n.Pos(), n.Body.Lbrace) {
				found = append(found, around("false && (", n.Cond, ")"))
			}
		case *ast.SwitchStmt:
			for _, s := range n.Body.List {
				c := s.(*ast.CaseClause)
				if kind == "guard" && n.Tag == nil && len(c.List) > 0 && on(c.Pos(), c.Colon) {
					var edits []edit
					for _, e := range c.List {
						edits = append(edits, around("false && (", e, ")")...)
					}
					found = append(found, edits)
				}
			}
		case *ast.ReturnStmt:
			if kind == "guard-true" && len(n.Results) == 1 && on(n.Pos(), n.End()) {
				found = append(found, around("true || (", n.Results[0], ")"))
			}
		case ast.Stmt:
			if kind == "guard-call" && isCall(n) && on(n.Pos(), n.End()) {
				found = append(found, around("if false { ", n, " }"))
				return false // not the calls inside this one
			}
		}
		return true
	})
	if len(found) != 1 {
		want := map[string]string{"guard": "one if or case", "guard-call": "one call", "guard-true": "one return of one value"}
		return nil, fmt.Errorf("//%s marks a line with %s, found %d", kind, want[kind], len(found))
	}
	return found[0], nil
}

// isCall reports whether s calls something and declares nothing.
func isCall(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ExprStmt, *ast.DeferStmt:
		return true
	case *ast.AssignStmt:
		return s.Tok == token.ASSIGN
	}
	return false
}
