package house

import (
	"fmt"
	"go/ast"
)

// sizes checks the length of functions, files and packages and the number of
// parameters. Tests are held to the length of files and to the parameters only.
func sizes(t *Tree) []Finding {
	var found []Finding
	for dir, files := range t.packages() {
		total := 0
		for _, f := range files {
			n := lines(f.Src)
			if n > maxFileLines {
				found = append(found, Finding{f.Name, n, fmt.Sprintf("file of %d lines, at most %d", n, maxFileLines)})
			}
			if !f.Test {
				total += n
			}
			found = append(found, functionSizes(t, f)...)
		}
		if total > maxPackageLines {
			text := fmt.Sprintf("package %s has %d lines without tests, at most %d", dir, total, maxPackageLines)
			found = append(found, Finding{files[0].Name, 1, text})
		}
	}
	return sorted(found)
}

// functionSizes checks the functions of one file, and the methods of the
// interfaces that it declares.
func functionSizes(t *Tree, f *File) []Finding {
	var found []Finding
	check := func(name string, ft *ast.FuncType) {
		if n := parameters(ft); n > maxParameters {
			text := fmt.Sprintf("%s has %d parameters, at most %d", name, n, maxParameters)
			found = append(found, Finding{f.Name, t.line(ft.Pos()), text})
		}
	}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			check(n.Name.Name, n.Type)
			size := t.line(n.End()) - t.line(n.Pos()) + 1
			if !f.Test && size > maxFunctionLines {
				text := fmt.Sprintf("%s has %d lines, at most %d", n.Name.Name, size, maxFunctionLines)
				found = append(found, Finding{f.Name, t.line(n.Pos()), text})
			}
		case *ast.InterfaceType:
			for _, m := range n.Methods.List {
				if ft, ok := m.Type.(*ast.FuncType); ok {
					check(m.Names[0].Name, ft)
				}
			}
		}
		return true
	})
	return found
}

// parameters counts the parameters of a function; one without a name counts.
func parameters(ft *ast.FuncType) int {
	n := 0
	for _, field := range ft.Params.List {
		n += max(1, len(field.Names))
	}
	return n
}
