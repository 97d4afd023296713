package house

import (
	"go/ast"
	"regexp"
	"strings"
)

// A TestFunc is one test function, fuzz target or example, with the comment
// lines directly above it and inside it.
type TestFunc struct {
	Name  string
	File  *File
	Line  int
	Notes []Note
}

// A Note is one comment line, without its slashes and the spaces around it.
type Note struct {
	Text string
	Line int
}

var testName = regexp.MustCompile(`^(Test|Fuzz|Example)([^a-z]|$)`)

// isTest reports whether the go command runs a function of this name.
func isTest(name string) bool { return name != "TestMain" && testName.MatchString(name) }

// TestFuncs returns the test functions of the tree, in order of file and line.
func TestFuncs(t *Tree) []TestFunc {
	var all []TestFunc
	for _, f := range t.Files {
		if !f.Test {
			continue
		}
		for _, d := range f.AST.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && isTest(fn.Name.Name) {
				all = append(all, TestFunc{fn.Name.Name, f, t.line(fn.Pos()), notes(t, f, fn)})
			}
		}
	}
	return all
}

// notes returns the lines of the comments of fn.
func notes(t *Tree, f *File, fn *ast.FuncDecl) []Note {
	var all []Note
	for _, group := range f.AST.Comments {
		if group != fn.Doc && (group.Pos() < fn.Pos() || group.End() > fn.End()) {
			continue
		}
		for _, c := range group.List {
			if text, ok := strings.CutPrefix(c.Text, "//"); ok {
				all = append(all, Note{strings.TrimSpace(text), t.line(c.Pos())})
			}
		}
	}
	return all
}
