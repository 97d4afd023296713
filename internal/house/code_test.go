package house

import "testing"

// TestDocComments holds every exported name and package to having a comment.
func TestDocComments(t *testing.T) { report(t, docComments(repo(t))) }

func TestDocCommentsOnSmallTrees(t *testing.T) {
	const head = "// Package a is.\npackage a\n\n" // the next line is 4
	for name, c := range map[string]struct {
		src  string
		want []string
	}{
		"function":             {"// F does.\nfunc F() {}", nil},
		"function without":     {"func F() {}", []string{"a/a.go:4"}},
		"other name":           {"// Does F.\nfunc F() {}", []string{"a/a.go:5"}},
		"longer name":          {"// Fx does.\nfunc F() {}", []string{"a/a.go:5"}},
		"unexported":           {"func f() {}\n\ntype t int\n\nfunc (t) M() {}", nil},
		"method":               {"// T is.\ntype T int\n\nfunc (*T) M() {}", []string{"a/a.go:7"}},
		"method of a generic":  {"// T is.\ntype T[X any] struct{}\n\nfunc (*T[X]) M() {}", []string{"a/a.go:7"}},
		"adjacent, named":      {"// F and G do.\nfunc F() {}\nfunc G() {}", nil},
		"adjacent, not named":  {"// F does.\nfunc F() {}\nfunc G() {}", []string{"a/a.go:6"}},
		"apart, named":         {"// F and G do.\nfunc F() {}\n\nfunc G() {}", []string{"a/a.go:7"}},
		"type with article":    {"// A T is.\ntype T int", nil},
		"type without":         {"type T int", []string{"a/a.go:4"}},
		"types in a block":     {"// Types.\ntype (\n\t// T is.\n\tT int\n\tU int\n)", []string{"a/a.go:8"}},
		"variable":             {"// V is.\nvar V int", nil},
		"variable without":     {"var V int", []string{"a/a.go:4"}},
		"constant, wrong name": {"// Is.\nconst C = 1", []string{"a/a.go:5"}},
		"block with comment":   {"// Numbers.\nconst (\n\tC = 1\n\tD = 2\n)", nil},
		"block, line comments": {"const (\n\tC = 1 // is one\n\t// D is two.\n\tD = 2\n\tE = 3\n)", []string{"a/a.go:8"}},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, docComments(files{"a/a.go": head + c.src + "\n"}.tree(t)), c.want...)
		})
	}
	want(t, docComments(files{"a/a.go": "package a\n", "a/b.go": "package a\n"}.tree(t)), "a/a.go:1")
	want(t, docComments(files{"a/a.go": head, "a/b.go": head}.tree(t)), "a/b.go:1")
	want(t, docComments(files{"a/a.go": "// About a.\npackage a\n"}.tree(t)), "a/a.go:1")
	want(t, docComments(files{"a/a.go": "// Writ is.\npackage main\n"}.tree(t)))
	want(t, docComments(files{"a/a_test.go": "package a\n\nfunc F() {}\n"}.tree(t)))
}

// TestLimits holds bounds to being in limits.go.
func TestLimits(t *testing.T) {
	found, err := bounds(repo(t))
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

func TestLimitsOnSmallTrees(t *testing.T) {
	const f = "1 a x\n"
	for name, c := range map[string]struct {
		files files
		want  []string
	}{
		"in limits.go":       {files{"a/limits.go": "package a\n\nconst maxX = 1 << 10 // bytes\n"}, nil},
		"in limits.go, bare": {files{"a/limits.go": "package a\n\nconst maxX = 1 << 10\n"}, []string{"a/limits.go:3"}},
		"elsewhere":          {files{"a/a.go": "package a\n\nconst maxX = 1 << 10 // bytes\n"}, []string{"a/a.go:3"}},
		"exported":           {files{"a/a.go": "package a\n\nconst MaxX = other + 1\n"}, []string{"a/a.go:3"}},
		"other ending":       {files{"a/a.go": "package a\n\nconst bodyLimit int64 = 5\n"}, []string{"a/a.go:3"}},
		"duration":           {files{"a/a.go": "package a\n\nconst maxWait time.Duration = 5 * time.Second\n"}, []string{"a/a.go:3"}},
		"in a function":      {files{"a/a.go": "package a\n\nfunc f() {\n\tconst maxX = 3\n}\n"}, []string{"a/a.go:4"}},
		"in a test":          {files{"a/a_test.go": "package a\n\nconst maxX = 1\n"}, nil},
		"text":               {files{"a/a.go": "package a\n\nconst codeLimit = \"limit\"\n"}, nil},
		"enumeration":        {files{"a/a.go": "package a\n\nconst (\n\tKindLimit Kind = iota\n\tOtherLimit\n)\n"}, nil},
		"other names":        {files{"a/a.go": "package a\n\nconst maximal, limits, Maxwell = 1, 2, 3\n"}, nil},
		"parses":             {files{"a/a.go": "package a\n\nfunc ParseX() {}\n"}, []string{"a/a.go:3"}},
		"parses, with file":  {files{"a/a.go": "package a\n\nfunc ParseX() {}\n", "a/limits.go": "package a\n"}, nil},
		"parses, not listed": {files{"b/a.go": "package b\n\nfunc ParseX() {}\n"}, nil},
		"parses for itself":  {files{"a/a.go": "package a\n\nfunc parseX() {}\nfunc (T) ParseX() {}\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.files[floorsFile] = f
			found, err := bounds(c.files.tree(t))
			if err != nil {
				t.Fatal(err)
			}
			want(t, found, c.want...)
		})
	}
}

// TestPurity keeps I/O, clocks and contexts out of floors 1 to 3.
func TestPurity(t *testing.T) {
	found, n, err := purity(repo(t))
	if err != nil {
		t.Fatal(err)
	}
	if n < wantPure {
		t.Fatalf("looked at only %d packages", n)
	}
	report(t, found)
}

func TestPurityOnSmallTrees(t *testing.T) {
	const f = "3c a x\n1 secret x\n4a b x\n0 k x\n"
	for name, c := range map[string]struct {
		file, src string
		want      []string
	}{
		"good":            {"a/a.go", "package a\nimport (\"net/url\"; \"net/netip\"; \"crypto/rand\"; \"time\")\nvar d = time.Second\n", nil},
		"os":              {"a/a.go", "package a\nimport \"os\"\n", []string{"a/a.go:2"}},
		"os, renamed":     {"a/a.go", "package a\nimport x \"os/exec\"\n", []string{"a/a.go:2"}},
		"net":             {"a/a.go", "package a\nimport \"net\"\n", []string{"a/a.go:2"}},
		"net/http":        {"a/a.go", "package a\nimport \"net/http\"\n", []string{"a/a.go:2"}},
		"context":         {"a/a.go", "package a\nimport \"context\"\n", []string{"a/a.go:2"}},
		"log":             {"a/a.go", "package a\nimport \"log\"\n", []string{"a/a.go:2"}},
		"log/slog":        {"a/a.go", "package a\nimport \"log/slog\"\n", []string{"a/a.go:2"}},
		"slog in secret":  {"secret/a.go", "package secret\nimport \"log/slog\"\n", nil},
		"log in secret":   {"secret/a.go", "package secret\nimport \"log\"\n", []string{"secret/a.go:2"}},
		"random":          {"a/a.go", "package a\nimport \"math/rand/v2\"\n", []string{"a/a.go:2"}},
		"clock":           {"a/a.go", "package a\nimport \"time\"\nvar t = time.Now()\n", []string{"a/a.go:3"}},
		"clock, as value": {"a/a.go", "package a\nimport \"time\"\nvar now = time.Now\n", []string{"a/a.go:3"}},
		"clock, renamed":  {"a/a.go", "package a\nimport t \"time\"\nvar s = t.Since(x)\n", []string{"a/a.go:3"}},
		"waiting":         {"a/a.go", "package a\nimport \"time\"\nfunc f() { <-time.After(1) }\n", []string{"a/a.go:3"}},
		"in a test":       {"a/a_test.go", "package a\nimport \"os\"\n", nil},
		"floor 4":         {"b/a.go", "package b\nimport \"os\"\n", nil},
		"floor 0":         {"k/a.go", "package k\nimport \"os\"\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, _, err := purity(files{floorsFile: f, c.file: c.src}.tree(t))
			if err != nil {
				t.Fatal(err)
			}
			want(t, found, c.want...)
		})
	}
}

// TestSecretStrings counts the places where a secret becomes a string.
//
// SPEC SECRET-8
func TestSecretStrings(t *testing.T) {
	tree := repo(t)
	claims, err := ReadClaims(tree.FS)
	if err != nil {
		t.Fatal(err)
	}
	found, n := secretStrings(tree)
	report(t, found)
	if n != claims.SecretStrings {
		t.Errorf("%d markers %s, but %s says secret-strings %d", n, stringMarker, claimsFile, claims.SecretStrings)
	}
}

func TestSecretStringsOnSmallTrees(t *testing.T) {
	for name, c := range map[string]struct {
		src  string
		n    int
		want []string
	}{
		"marked after":    {"s.Use(func(b []byte) error {\nx = string(b) //secret:string header\nreturn nil })", 1, nil},
		"marked above":    {"s.Use(func(b []byte) error {\n//secret:string header\nx = string(b)\nreturn nil })", 1, nil},
		"without reason":  {"s.Use(func(b []byte) error {\nx = string(b) //secret:string\nreturn nil })", 1, []string{"a/a.go:4"}},
		"not marked":      {"s.Use(func(b []byte) error {\nx = string(b)\nreturn nil })", 0, []string{"a/a.go:4"}},
		"a part of it":    {"s.Use(ctx, r, func(b []byte) error { return f(string(b[:3])) })", 0, []string{"a/a.go:3"}},
		"in a func in it": {"s.Use(func(b []byte) error { return g(func() { x = string(b) }) })", 0, []string{"a/a.go:3"}},
		"two away":        {"s.Use(func(b []byte) error {\n//secret:string header\n\nx = string(b)\nreturn nil })", 1, []string{"a/a.go:6"}},
		"literal":         {"s.Use(func(b []byte) error { x = string(\"a\"); return nil })", 0, nil},
		"outside":         {"x = string(b)", 0, nil},
		"prose":           {"// marked //secret:string why", 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			src := "package a\nfunc f() {\n" + c.src + "\n}\n"
			found, n := secretStrings(files{"a/a.go": src, "a/a_test.go": src}.tree(t))
			want(t, found, c.want...)
			if n != c.n {
				t.Errorf("%d markers, want %d", n, c.n)
			}
		})
	}
}
