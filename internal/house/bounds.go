package house

import (
	"go/ast"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

const limitsFile = "limits.go"

var limitName = regexp.MustCompile(`^(max|Max)[A-Z0-9]|.Limit$`)

// bounds checks that constants which name a bound are declared in the package's
// limits.go, each with a comment that gives unit and reason, and that a package
// of FLOORS.txt with a Parse function has that file.
func bounds(t *Tree) ([]Finding, error) {
	found := t.sources(func(f *File, add func(token.Pos, string, ...any)) {
		inLimits := path.Base(f.Name) == limitsFile
		ast.Inspect(f.AST, func(n ast.Node) bool {
			d, ok := n.(*ast.GenDecl)
			if !ok || d.Tok != token.CONST {
				return true
			}
			for _, s := range d.Specs {
				checkBound(d, s.(*ast.ValueSpec), inLimits, add)
			}
			return true
		})
	})
	rooms, _, err := readRooms(t.FS)
	if err != nil {
		return nil, err
	}
	for _, f := range t.Files {
		if _, listed := rooms[f.Dir]; f.Test || !listed {
			continue
		}
		if _, err := fs.Stat(t.FS, path.Join(f.Dir, limitsFile)); err == nil {
			continue
		}
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Parse") {
				found = append(found, Finding{f.Name, t.line(fn.Pos()), f.Dir + " parses, but has no " + limitsFile})
			}
		}
	}
	return sorted(found), nil
}

// checkBound checks one line of a const declaration.
func checkBound(d *ast.GenDecl, s *ast.ValueSpec, inLimits bool, add func(token.Pos, string, ...any)) {
	for i, name := range s.Names {
		if !limitName.MatchString(name.Name) || !isNumber(s, i) {
			continue
		}
		if !inLimits {
			add(name.Pos(), "%s belongs in %s", name.Name, limitsFile)
		} else if d.Doc.Text()+s.Doc.Text()+s.Comment.Text() == "" {
			add(name.Pos(), "%s: want a comment with unit and reason", name.Name)
		}
	}
}

// isNumber reports whether the i-th constant of s can be an integer or a
// duration: not text, not a truth value, not a member of an enumeration.
func isNumber(s *ast.ValueSpec, i int) bool {
	switch x := s.Type.(type) {
	case *ast.Ident:
		if !strings.HasPrefix(x.Name, "int") && !strings.HasPrefix(x.Name, "uint") && x.Name != "byte" && x.Name != "rune" {
			return false
		}
	case *ast.SelectorExpr:
		if x.Sel.Name != "Duration" {
			return false
		}
	}
	if i >= len(s.Values) {
		return false // the implicit repetition of an enumeration
	}
	number := true
	ast.Inspect(s.Values[i], func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			number = number && (n.Kind == token.INT || n.Kind == token.CHAR)
		case *ast.Ident:
			number = number && n.Name != "iota" && n.Name != "true" && n.Name != "false"
		}
		return true
	})
	return number
}
