// Package house holds the code to docs/FLOORS.txt, to the clauses of spec/ and
// to the rules of style that a program can check.
//
// Each rule is a function from a [Tree] to findings. The tests of this package
// run every rule twice: on small trees in memory, good and bad, which shows
// that the rule can fail; and on the repository. Everything is read from files
// by this process, so that go test's cache sees what was read; the output of a
// command would be served from the cache after a change.
package house

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const module = "github.com/writhq/writ"

// A Finding is one breach of a rule.
type Finding struct {
	File string // slash-separated, relative to the root of the tree
	Line int    // from 1; 0 if the finding is about the whole file or package
	Text string
}

// String returns the finding in the form "file:line: text".
func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text) }

// A File is one parsed Go file.
type File struct {
	Name string // slash-separated, relative to the root of the tree
	Dir  string // the folder, which is the package's path within the module
	Test bool   // the name ends in _test.go
	Src  []byte
	AST  *ast.File
}

// A Tree is the source of a module. It is not changed after [Load], and is safe
// for concurrent use. The zero Tree is empty.
type Tree struct {
	FS    fs.FS
	Fset  *token.FileSet
	Files []*File // every Go file, in order of name
}

// Load reads and parses every Go file below the root of fsys, except those that
// the go command or git ignores.
func Load(fsys fs.FS) (*Tree, error) {
	t := &Tree{FS: fsys, Fset: token.NewFileSet()}
	err := Walk(fsys, func(name string) error {
		if !strings.HasSuffix(name, ".go") || !inPackage(name) {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(t.Fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		t.Files = append(t.Files, &File{
			Name: name, Dir: path.Dir(name), Test: strings.HasSuffix(name, "_test.go"), Src: src, AST: f,
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load tree: %w", err)
	}
	return t, nil
}

// inPackage reports whether the go command would look at the file name.
func inPackage(name string) bool {
	for _, part := range strings.Split(name, "/") {
		if part[0] == '.' || part[0] == '_' || part == "testdata" || part == "vendor" || part == "node_modules" {
			return false
		}
	}
	return true
}

// Walk calls fn with the name of every file of fsys that git would track: not
// the folder .git, and not what an anchored line of .gitignore ("/bin/") names.
func Walk(fsys fs.FS, fn func(name string) error) error {
	ignored := map[string]bool{".git": true}
	if text, err := fs.ReadFile(fsys, ".gitignore"); err == nil {
		for _, line := range strings.Split(string(text), "\n") {
			if name, ok := strings.CutPrefix(line, "/"); ok {
				ignored[strings.TrimSuffix(name, "/")] = true
			}
		}
	}
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ignored[name] && d.IsDir():
			return fs.SkipDir
		case ignored[name] || !d.Type().IsRegular():
			return nil
		}
		return fn(name)
	})
}

// packages returns the files of each folder, tests too, by folder.
func (t *Tree) packages() map[string][]*File {
	pkgs := make(map[string][]*File)
	for _, f := range t.Files {
		pkgs[f.Dir] = append(pkgs[f.Dir], f)
	}
	return pkgs
}

// line returns the line of pos within its file.
func (t *Tree) line(pos token.Pos) int { return t.Fset.PositionFor(pos, false).Line }

// lines returns how many lines src has.
func lines(src []byte) int {
	n := bytes.Count(src, []byte("\n"))
	if len(src) > 0 && src[len(src)-1] != '\n' {
		n++
	}
	return n
}

// sorted returns the findings in order of file and line.
func sorted(findings []Finding) []Finding {
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	return findings
}

// sources returns the findings of rule for each file that is not a test.
func (t *Tree) sources(rule func(f *File, add func(token.Pos, string, ...any))) []Finding {
	var found []Finding
	for _, f := range t.Files {
		if f.Test {
			continue
		}
		rule(f, func(pos token.Pos, format string, args ...any) {
			found = append(found, Finding{f.Name, t.line(pos), fmt.Sprintf(format, args...)})
		})
	}
	return sorted(found)
}
