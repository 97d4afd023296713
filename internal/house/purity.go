package house

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// impure are the packages that floors 1 to 3 may not import: whatever reads or
// writes the world, or varies from run to run. A package below one is impure
// too, unless pure names it. (crypto/rand is allowed: what is made new needs it.)
var impure = []string{"os", "net", "io/ioutil", "syscall", "context", "log", "math/rand", "flag", "plugin"}

// pure are exceptions: they only parse.
var pure = []string{"net/url", "net/netip", "net/textproto"}

// clocks are the functions of package time that read the clock or wait for it.
var clocks = []string{
	"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTicker", "NewTimer",
}

// isImpure reports whether the package dir may not import p.
func isImpure(dir, p string) bool {
	if slices.Contains(pure, p) || dir == "secret" && p == "log/slog" { // secret hides itself from slog
		return false
	}
	return slices.ContainsFunc(impure, func(bad string) bool { return p == bad || strings.HasPrefix(p, bad+"/") })
}

// purity checks that packages on floors 1 to 3 do no I/O, read no clock and
// take no context. It also returns how many packages it looked at.
func purity(t *Tree) ([]Finding, int, error) {
	rooms, _, err := readRooms(t.FS)
	if err != nil {
		return nil, 0, err
	}
	seen := make(map[string]bool)
	found := t.sources(func(f *File, add func(token.Pos, string, ...any)) {
		if fl := rooms[f.Dir].floor; fl == "" || fl[0] < '1' || fl[0] > '3' {
			return
		}
		seen[f.Dir] = true
		for _, im := range f.AST.Imports {
			if p, err := strconv.Unquote(im.Path.Value); err == nil && isImpure(f.Dir, p) {
				add(im.Pos(), "%s is pure and may not import %s", f.Dir, p)
			}
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if ok && importedAs(f, sel.X) == "time" && slices.Contains(clocks, sel.Sel.Name) {
				add(sel.Pos(), "%s is pure and may not use time.%s: take the time as an argument", f.Dir, sel.Sel.Name)
			}
			return true
		})
	})
	return found, len(seen), nil
}

// importedAs returns the path of the package that e names in f, or nothing. A
// local variable of the same name is taken for the package.
func importedAs(f *File, e ast.Expr) string {
	id, ok := e.(*ast.Ident)
	if !ok {
		return ""
	}
	for _, im := range f.AST.Imports {
		p, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(p)
		if im.Name != nil {
			name = im.Name.Name
		}
		if name == id.Name {
			return p
		}
	}
	return ""
}
