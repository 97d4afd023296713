package main

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/writhq/writ/internal/house"
)

// scanOf scans a tree of one package with this code and these tests.
func scanOf(t *testing.T, code, tests string) ([]*guard, []string) {
	t.Helper()
	tree, err := house.Load(fstest.MapFS{
		"a/a.go":      {Data: []byte(code)},
		"a/a_test.go": {Data: []byte("package a\n" + tests)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return scan(tree)
}

// namesX is a test that names guard x.
const namesX = "\n// guard: x\nfunc TestX(t *testing.T) {}\n"

func TestSwitchOff(t *testing.T) {
	for name, c := range map[string]struct{ code, want string }{
		"if":             {"if a != b { //guard:R5 x\n}", "if false && (a != b) { //guard:R5 x\n}"},
		"if with init":   {"if err := v(); err != nil || c { //guard:R5 A7 x\n}", "if err := v(); false && (err != nil || c) { //guard:R5 A7 x\n}"},
		"else if":        {"if a {\n} else if b { //guard:R3/http x\n}", "if a {\n} else if false && (b) { //guard:R3/http x\n}"},
		"if on lines":    {"if a ||\n\tb { //guard:R5 x\n}", "if false && (a ||\n\tb) { //guard:R5 x\n}"},
		"if in an if":    {"if a {\n\tif b { //guard:R5 x\n\t}\n}", "if a {\n\tif false && (b) { //guard:R5 x\n\t}\n}"},
		"case":           {"switch {\ncase a, b: //guard:R5 x\n\tf()\n}", "switch {\ncase false && (a), false && (b): //guard:R5 x\n\tf()\n}"},
		"call":           {"s.Wipe() //guard-call:R2 x\n", "if false { s.Wipe() } //guard-call:R2 x\n"},
		"deferred":       {"defer s.Wipe() //guard-call:R2 x\n", "if false { defer s.Wipe() } //guard-call:R2 x\n"},
		"assigned":       {"_ = s.Wipe() //guard-call:R2 x\n", "if false { _ = s.Wipe() } //guard-call:R2 x\n"},
		"call on lines":  {"s.Use(func() {\n\tg()\n}) //guard-call:R2 x\n", "if false { s.Use(func() {\n\tg()\n}) } //guard-call:R2 x\n"},
		"call in a call": {"s.Use(func() {\n\tg() //guard-call:R2 x\n})\n", "s.Use(func() {\n\tif false { g() } //guard-call:R2 x\n})\n"},
		"return":         {"return a && b //guard-true:R1 x\n", "return true || (a && b) //guard-true:R1 x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			const head, tail = "package a\n\nfunc f() {\n", "\n}\n"
			guards, problems := scanOf(t, head+c.code+tail, namesX)
			if len(guards) != 1 || len(problems) != 0 {
				t.Fatalf("%d guards, problems %q", len(guards), problems)
			}
			got := string(apply(guards[0].file.Src, guards[0].edits))
			if got != head+c.want+tail {
				t.Errorf("rewritten to\n%s", got)
			}
			if _, err := parser.ParseFile(token.NewFileSet(), "a.go", got, 0); err != nil {
				t.Error(err)
			}
			if len(guards[0].tests) != 1 || guards[0].tests[0].Name != "TestX" {
				t.Errorf("tests are %v", guards[0].tests)
			}
		})
	}
}

func TestBadMarks(t *testing.T) {
	for name, c := range map[string]struct{ code, tests, names string }{
		"not an if":           {"f() //guard:R5 x", namesX, "a/a.go:4"},
		"case with a tag":     {"switch v {\ncase a: //guard:R5 x\n}", namesX, "a/a.go:5"},
		"default":             {"switch {\ndefault: //guard:R5 x\n}", namesX, "a/a.go:5"},
		"line below":          {"if a {\n\t//guard:R5 x\n}", namesX, "a/a.go:5"},
		"call that declares":  {"v := f() //guard-call:R5 x", namesX, "a/a.go:4"},
		"return of two":       {"return a, b //guard-true:R5 x", namesX, "a/a.go:4"},
		"return of none":      {"return //guard-true:R5 x", namesX, "a/a.go:4"},
		"no requirement":      {"if a { //guard: x\n}", namesX, "a/a.go:4"},
		"no name":             {"if a { //guard:R5\n}", namesX, "a/a.go:4"},
		"odd name":            {"if a { //guard:R5 Xy\n}", namesX, "a/a.go:4"},
		"unknown requirement": {"if a { //guard:R64 x\n}", namesX, "a/a.go:4"},
		"same name twice":     {"if a { //guard:R5 x\n}\nif a { //guard:R6 x\n}", namesX, "a/a.go:6"},
		"test of no guard":    {"if a { //guard:R5 x\n}", namesX + "\n// guard: x, y\nfunc TestY(t *testing.T) {}\n", "a/a_test.go:6"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := scanOf(t, "package a\n\nfunc f() {\n"+c.code+"\n}\n", c.tests)
			if len(problems) == 0 || !strings.HasPrefix(problems[0], c.names) {
				t.Errorf("problems %q, want one at %s", problems, c.names)
			}
		})
	}
}

func TestGuardsAreOrdered(t *testing.T) {
	guards, _ := scanOf(t, "package a\n\nfunc f() {\nif a { //guard:A1 x\n}\nif a { //guard:R12 z\n}\nif a { //guard:R12 R2 y\n}\n}\n", namesX)
	var got []string
	for _, g := range guards {
		got = append(got, g.String())
	}
	if strings.Join(got, "; ") != "R2 R12 y; R12 z; A1 x" {
		t.Errorf("order is %q", got)
	}
}

func TestMissing(t *testing.T) {
	guards, _ := scanOf(t, "package a\n\nfunc f() {\nif a { //guard:R3/http x\n}\n}\n", namesX)
	claims := func(text string) house.Claims {
		c, err := house.ReadClaims(fstest.MapFS{"docs/claims.txt": {Data: []byte(text)}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for text, n := range map[string]int{
		"":                                   0,
		"guards-min 1":                       0,
		"guards-min 2":                       1,
		"claim R3\nclaim R3/http\nclaim A7":  0,
		"claim R5\nclaim R5/http":            1,
		"claim R5\nno-guard R5 for a reason": 0,
	} {
		if problems := missing(guards, claims(text)); len(problems) != n {
			t.Errorf("claims %q: problems %q, want %d", text, problems, n)
		}
	}
}
