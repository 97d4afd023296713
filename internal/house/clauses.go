package house

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

const clauseID = `[A-Z][A-Z0-9]*(?:-[A-Z][A-Z0-9]*)*-[0-9]+`

var (
	definition = regexp.MustCompile(`^- \*\*(` + clauseID + `)\.\*\* `)
	citation   = regexp.MustCompile(`\bSPEC (` + clauseID + `(?:(?:,| and|, and) ` + clauseID + `)*)`)
	oneClause  = regexp.MustCompile(clauseID)
)

// places maps a clause to where it is defined, or first cited.
type places map[string]Finding

// put records that clause id stands at a place, unless an earlier one is known.
func (p places) put(id, file string, line int) (first bool) {
	if _, ok := p[id]; ok {
		return false
	}
	p[id] = Finding{File: file, Line: line}
	return true
}

// clauses checks that each clause of spec/*.md ("- **SEAL-n.** ...") is cited by
// code and by a test or a script, and that what is cited exists. A citation is
// "SPEC SEAL-n", or "SPEC SEAL-n, SEAL-m", in a comment; in a script, anywhere.
// It also returns how many clauses there are.
func clauses(t *Tree) (found []Finding, n int, err error) {
	defined, inCode, inTest := places{}, places{}, places{}
	err = Walk(t.FS, func(name string) error {
		isSpec, isScript := path.Dir(name) == "spec" && path.Ext(name) == ".md", path.Ext(name) == ".txtar"
		if !isSpec && !isScript {
			return nil
		}
		text, err := fs.ReadFile(t.FS, name)
		for i, line := range strings.Split(string(text), "\n") {
			m := definition.FindStringSubmatch(line)
			if isSpec && m != nil && !defined.put(m[1], name, i+1) {
				found = append(found, Finding{name, i + 1, m[1] + " is defined twice"})
			}
			if isScript {
				inTest.cite(line, name, i+1)
			}
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read clauses: %w", err)
	}
	for _, f := range t.Files {
		into := inCode
		if f.Test {
			into = inTest
		}
		for _, group := range f.AST.Comments {
			into.cite(strings.Join(strings.Fields(group.Text()), " "), f.Name, t.line(group.Pos()))
		}
	}
	return sorted(append(found, uncited(defined, inCode, inTest)...)), len(defined), nil
}

// cite records the clauses that text cites.
func (p places) cite(text, file string, line int) {
	for _, m := range citation.FindAllStringSubmatch(text, -1) {
		for _, id := range oneClause.FindAllString(m[1], -1) {
			p.put(id, file, line)
		}
	}
}

// uncited compares what is defined with what is cited, both ways.
func uncited(defined, inCode, inTest places) []Finding {
	var found []Finding
	for id, at := range defined {
		if _, ok := inCode[id]; !ok {
			found = append(found, Finding{at.File, at.Line, id + ": no code cites it"})
		}
		if _, ok := inTest[id]; !ok {
			found = append(found, Finding{at.File, at.Line, id + ": no test cites it"})
		}
	}
	for _, cited := range []places{inCode, inTest} {
		for id, at := range cited {
			if _, ok := defined[id]; !ok {
				found = append(found, Finding{at.File, at.Line, id + " is cited, but no page of spec/ has it"})
			}
		}
	}
	return found
}
