package house

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
)

// namesOfNothing are package names that say nothing of what is inside.
var namesOfNothing = []string{
	"util", "utils", "common", "helper", "helpers", "types", "manager", "service", "base",
}

// changing are types whose only use in a package-level variable is to change.
var changing = map[string][]string{
	"sync":        {"Mutex", "RWMutex", "Map", "WaitGroup"},
	"sync/atomic": {"Bool", "Int32", "Int64", "Uint32", "Uint64", "Uintptr", "Pointer", "Value"},
}

// noInit checks that no package has an init function, a package-level variable
// that changes after its declaration, or a name that says nothing. Tests are
// exempt.
func noInit(t *Tree) []Finding {
	var found []Finding
	for dir, files := range t.packages() {
		files = slices.DeleteFunc(slices.Clone(files), func(f *File) bool { return f.Test })
		info := resolve(t, dir, files)
		for _, f := range files {
			add := func(pos token.Pos, format string, args ...any) {
				found = append(found, Finding{f.Name, t.line(pos), fmt.Sprintf(format, args...)})
			}
			if slices.Contains(namesOfNothing, f.AST.Name.Name) {
				add(f.AST.Name.Pos(), "package %s: name it after what it holds", f.AST.Name.Name)
			}
			findChanges(f, info, add)
		}
	}
	return sorted(found)
}

// resolve returns what the identifiers of one package mean. Imported packages
// are not read: their names stay unknown, which is no hindrance here.
func resolve(t *Tree, dir string, files []*File) *types.Info {
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{
		Importer: noImports{},
		Error:    func(error) {}, // every use of an imported name is one
	}
	var trees []*ast.File
	for _, f := range files {
		trees = append(trees, f.AST)
	}
	// The error is the first of those that Error was given.
	_, _ = conf.Check(dir, t.Fset, trees, info)
	return info
}

// noImports is an importer that finds nothing.
type noImports struct{}

// Import returns an error.
func (noImports) Import(string) (*types.Package, error) { return nil, errors.ErrUnsupported }

// findChanges reports init functions and changes of package-level variables.
func findChanges(f *File, info *types.Info, add func(token.Pos, string, ...any)) {
	target := func(e ast.Expr) {
		if name := globalOf(e, info); name != "" {
			add(e.Pos(), "package-level variable %s is changed", name)
		}
	}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				add(n.Pos(), "func init")
			}
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				target(e)
			}
		case *ast.IncDecStmt:
			target(n.X)
		case *ast.RangeStmt:
			target(n.Key)
			target(n.Value)
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"clear", "copy", "delete"}, id.Name) {
				target(n.Args[0])
			}
		}
		return true
	})
	for _, d := range f.AST.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				checkType(s.(*ast.ValueSpec), f, add)
			}
		}
	}
}

// globalOf returns the name of the package-level variable that an assignment to
// e would change, in this package or another, or nothing.
func globalOf(e ast.Expr, info *types.Info) string {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.SelectorExpr:
			if id, ok := x.X.(*ast.Ident); ok {
				if _, ok := info.Uses[id].(*types.PkgName); ok {
					return id.Name + "." + x.Sel.Name
				}
			}
			e = x.X
		case *ast.Ident:
			v, ok := info.Uses[x].(*types.Var)
			if ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
				return x.Name
			}
			return ""
		default:
			return ""
		}
	}
}

// checkType reports a package-level variable of a type that is made to change.
func checkType(s *ast.ValueSpec, f *File, add func(token.Pos, string, ...any)) {
	exprs := append([]ast.Expr{s.Type}, s.Values...)
	for _, e := range exprs {
		switch x := e.(type) {
		case *ast.CompositeLit:
			e = x.Type
		case *ast.IndexExpr: // atomic.Pointer[T]
			e = x.X
		}
		if sel, ok := e.(*ast.SelectorExpr); ok {
			p := importedAs(f, sel.X)
			if slices.Contains(changing[p], sel.Sel.Name) {
				add(s.Pos(), "package-level variable %s of a type that is made to change", s.Names[0].Name)
			}
		}
	}
}
