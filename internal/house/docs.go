package house

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
)

// docComments checks that every package has one package comment, and every
// exported name a comment that begins with it. One comment above a const or var
// block serves the block. One comment above adjacent one-line functions serves
// all that it names.
func docComments(t *Tree) []Finding {
	found := t.sources(func(f *File, add func(token.Pos, string, ...any)) {
		var prev *ast.FuncDecl
		var shared string
		for _, d := range f.AST.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				doc := d.Doc.Text()
				if doc == "" && prev != nil && t.line(d.Pos()) == t.line(prev.End())+1 && hasWord(shared, d.Name.Name) {
					doc = d.Name.Name
				} else {
					shared = doc
				}
				prev = d
				if d.Name.IsExported() && exportedReceiver(d) {
					checkDoc(d.Name, doc, add)
				}
			case *ast.GenDecl:
				prev = nil
				checkGroup(d, add)
			}
		}
	})
	return sorted(append(found, packageComments(t)...))
}

// packageComments checks that each package has one comment, in one file.
func packageComments(t *Tree) []Finding {
	var found []Finding
	for dir, files := range t.packages() {
		n, first := 0, (*File)(nil)
		for _, f := range files {
			if f.Test {
				continue
			}
			if first == nil {
				first = f
			}
			text := f.AST.Doc.Text()
			if text == "" {
				continue
			}
			n++
			name := f.AST.Name.Name
			if name != "main" && !strings.HasPrefix(text, "Package "+name) {
				found = append(found, Finding{f.Name, 1, "the package comment begins: Package " + name})
			}
			if n > 1 {
				found = append(found, Finding{f.Name, 1, "second package comment of " + dir})
			}
		}
		if first != nil && n == 0 {
			found = append(found, Finding{first.Name, 1, dir + " has no package comment"})
		}
	}
	return found
}

// checkGroup checks the names of one type, const or var declaration.
func checkGroup(d *ast.GenDecl, add func(token.Pos, string, ...any)) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			doc := s.Doc.Text()
			if doc == "" && !d.Lparen.IsValid() {
				doc = d.Doc.Text()
			}
			if s.Name.IsExported() {
				checkDoc(s.Name, doc, add)
			}
		case *ast.ValueSpec:
			group := d.Lparen.IsValid() && d.Doc.Text() != ""
			own := s.Doc.Text() + s.Comment.Text()
			for _, name := range s.Names {
				if !name.IsExported() || group || d.Lparen.IsValid() && own != "" {
					continue
				}
				checkDoc(name, d.Doc.Text(), add)
			}
		}
	}
}

// checkDoc checks that doc begins with the name, possibly after an article.
func checkDoc(name *ast.Ident, doc string, add func(token.Pos, string, ...any)) {
	rest := doc
	for _, article := range []string{"A ", "An ", "The "} {
		rest = strings.TrimPrefix(rest, article)
	}
	if !hasWord(rest, name.Name) || !strings.HasPrefix(rest, name.Name) {
		add(name.Pos(), "%s: want a comment that begins with its name", name.Name)
	}
}

// hasWord reports whether word stands in text as a whole word.
func hasWord(text, word string) bool {
	return regexp.MustCompile(`(^|[^\pL\pN_])` + regexp.QuoteMeta(word) + `($|[^\pL\pN_])`).MatchString(text)
}

// exportedReceiver reports whether d is a function, or a method on an exported
// type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}
