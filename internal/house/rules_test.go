package house

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestClauses holds spec/ to the code and the tests.
func TestClauses(t *testing.T) {
	found, n, err := clauses(repo(t))
	if err != nil {
		t.Fatal(err)
	}
	if n < wantClauses {
		t.Fatalf("found only %d clauses", n)
	}
	report(t, found)
}

func TestClausesOnSmallTrees(t *testing.T) {
	const two = "- **SEAL-1.** One.\n- **OP-HTTP-2.** Two.\n"
	for name, c := range map[string]struct {
		files files
		want  []string
	}{
		"good": {files{
			"spec/a.md":        two,
			"a/a.go":           "package a\n\n// F does. SPEC SEAL-1,\n// OP-HTTP-2.\nfunc F() {}\n",
			"a/a_test.go":      "package a\n\n// SPEC SEAL-1\n",
			"testdata/x.txtar": "# SPEC OP-HTTP-2\n",
		}, nil},
		"not in code":       {files{"spec/a.md": "- **A-1.** x\n", "a/a_test.go": "package a\n\n// SPEC A-1\n"}, []string{"spec/a.md:1"}},
		"not in a test":     {files{"spec/a.md": "- **A-1.** x\n", "a/a.go": "package a\n\n// SPEC A-1\n"}, []string{"spec/a.md:1"}},
		"dangling":          {files{"a/a.go": "package a\n\n// SPEC A-1\n", "a/a_test.go": "package a\n\n// SPEC A-2\n"}, []string{"a/a.go:3", "a/a_test.go:3"}},
		"dangling script":   {files{"a/testdata/x.txtar": "x\n# SPEC A-1\n"}, []string{"a/testdata/x.txtar:2"}},
		"defined twice":     {files{"spec/a.md": "- **A-1.** x\n- **A-1.** y\n", "a/a.go": "package a // SPEC A-1\n", "a/a_test.go": "package a // SPEC A-1\n"}, []string{"spec/a.md:2"}},
		"in a string":       {files{"a/a.go": "package a\n\nconst s = `SPEC A-1`\n"}, nil},
		"elsewhere in docs": {files{"docs/a.md": "- **A-1.** x\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, _, err := clauses(c.files.tree(t))
			if err != nil {
				t.Fatal(err)
			}
			want(t, found, c.want...)
		})
	}
}

// TestSizes holds functions, files, packages and parameters to their bounds.
func TestSizes(t *testing.T) { report(t, sizes(repo(t))) }

func TestSizesOnSmallTrees(t *testing.T) {
	function := func(n int) string { return "func f() {\n" + strings.Repeat("\t_ = 0\n", n-2) + "}\n" }
	for name, c := range map[string]struct {
		files files
		want  []string
	}{
		"function at the bound": {files{"a/a.go": "package a\n" + function(maxFunctionLines)}, nil},
		"function over it":      {files{"a/a.go": "package a\n" + function(maxFunctionLines+1)}, []string{"a/a.go:2"}},
		"long test":             {files{"a/a_test.go": "package a\n" + function(maxFunctionLines+1)}, nil},
		"file at the bound":     {files{"a/a.go": "package a\n" + strings.Repeat("\n", maxFileLines-1)}, nil},
		"file over it":          {files{"a/a.go": "package a\n" + strings.Repeat("\n", maxFileLines)}, []string{fmt.Sprintf("a/a.go:%d", maxFileLines+1)}},
		"test file over it":     {files{"a/a_test.go": "package a\n" + strings.Repeat("\n", maxFileLines)}, []string{fmt.Sprintf("a/a_test.go:%d", maxFileLines+1)}},
		"four parameters":       {files{"a/a.go": "package a\nfunc (r T) f(a, b int, c string, d ...int) {}\n"}, nil},
		"five parameters":       {files{"a/a.go": "package a\nfunc f(a, b int, c string, _, _ int) {}\n"}, []string{"a/a.go:2"}},
		"five in a test":        {files{"a/a_test.go": "package a\nfunc f(a, b, c, d, e int) {}\n"}, []string{"a/a_test.go:2"}},
		"five without names":    {files{"a/a.go": "package a\ntype I interface {\n\tf(int, int, int, int, int)\n\tinterface{ g() }\n}\n"}, []string{"a/a.go:3"}},
	} {
		t.Run(name, func(t *testing.T) { want(t, sizes(c.files.tree(t)), c.want...) })
	}
	t.Run("package", func(t *testing.T) {
		fs := make(files)
		for i := range maxPackageLines / 500 {
			fs[fmt.Sprintf("a/a%d.go", i)] = "package a\n" + strings.Repeat("\n", 499)
			fs[fmt.Sprintf("a/a%d_test.go", i)] = "package a\n"
		}
		want(t, sizes(fs.tree(t)))
		fs["a/b.go"] = "package a\n"
		want(t, sizes(fs.tree(t)), "a/a0.go:1")
	})
}

// TestNoInit holds packages to having no state and a name that says something.
func TestNoInit(t *testing.T) { report(t, noInit(repo(t))) }

func TestNoInitOnSmallTrees(t *testing.T) {
	const vars = "package a\n\nvar v int\nvar m = map[string]int{}\nvar p = &s{}\n\ntype s struct{ x int }\n\n" // the next line is 9
	for name, c := range map[string]struct {
		src  string
		want []string
	}{
		"init":             {"func init() {}", []string{"a/b.go:9"}},
		"method init":      {"func (s) init() {}", nil},
		"assigned":         {"func f() { v = 1 }", []string{"a/b.go:9"}},
		"one of several":   {"func f() { _, v = 1, 2 }", []string{"a/b.go:9"}},
		"counted":          {"func f() { v++ }", []string{"a/b.go:9"}},
		"element":          {"func f() { m[\"a\"] = 1 }", []string{"a/b.go:9"}},
		"deleted":          {"func f() { delete(m, \"a\") }", []string{"a/b.go:9"}},
		"field":            {"func f() { p.x = 1 }", []string{"a/b.go:9"}},
		"pointed to":       {"func f() { (*p) = s{} }", []string{"a/b.go:9"}},
		"range":            {"func f() { for v = range 3 {} }", []string{"a/b.go:9"}},
		"of other package": {"func f() { http.DefaultClient = nil }", []string{"a/b.go:9"}},
		"read":             {"func f() int { x := v; x = 2; return x + m[\"a\"] }", nil},
		"shadowed":         {"func f() { v := 1; v = 2; _ = v }", nil},
		"parameter":        {"func f(v int, m map[string]int) { v = 2; m[\"b\"] = 2 }", nil},
		"mutex":            {"var mu sync.Mutex", []string{"a/b.go:9"}},
		"atomic":           {"var n = atomic.Int64{}", []string{"a/b.go:9"}},
		"atomic pointer":   {"var n atomic.Pointer[int]", []string{"a/b.go:9"}},
		"once":             {"var once = sync.OnceValue(func() int { return 1 })", nil},
		"local mutex":      {"func f() { var mu sync.Mutex; mu.Lock() }", nil},
	} {
		t.Run(name, func(t *testing.T) {
			head := strings.Replace(vars, "package a\n", "package a; import (\"net/http\"; \"sync\"; \"sync/atomic\")\n", 1)
			want(t, noInit(files{"a/b.go": head + c.src + "\n"}.tree(t)), c.want...)
		})
	}
	want(t, noInit(files{"a/a.go": vars, "a/b.go": "package a\nfunc f() { v = 1 }\n"}.tree(t)), "a/b.go:2")
	want(t, noInit(files{"a/a.go": vars, "a/b_test.go": "package a\nfunc f() { v = 1 }\nfunc init() {}\n"}.tree(t)))
	for _, name := range namesOfNothing {
		want(t, noInit(files{"a/a.go": "package " + name + "\n"}.tree(t)), "a/a.go:1")
	}
}

// TestWords keeps one machine's paths out of the tree, and unfinished code.
func TestWords(t *testing.T) {
	found, n, err := words(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if n < wantFiles {
		t.Fatalf("read only %d files", n)
	}
	report(t, found)
}

func TestWordsOnSmallTrees(t *testing.T) {
	slash := "/"
	for name, c := range map[string]struct {
		files files
		want  []string
	}{
		"path in docs":    {files{"a.md": "x\nsee " + slash + "tmp/x\n"}, []string{"a.md:2"}},
		"path in a test":  {files{"a/a_test.go": "package a\nconst x = \"" + slash + "root/x\"\n"}, []string{"a/a_test.go:2"}},
		"path in .ci":     {files{".ci/run": slash + "work/x\n"}, []string{".ci/run:1"}},
		"host":            {files{"a.md": "proxy" + ".golang.org\n"}, []string{"a.md:1"}},
		"inside a path":   {files{"a.md": "docs/work/x a/root/y https://x.org/tmp/z\n"}, nil},
		"route":           {files{"a.md": "GET " + slash + "root\n"}, nil},
		"unfinished":      {files{"a/a.go": "package a\n\n// TO" + "DO: x\n"}, []string{"a/a.go:3"}},
		"unfinished test": {files{"a/a_test.go": "package a\n\n// TO" + "DO: x\n"}, nil},
		"part of a word":  {files{"a/a.go": "package a\n\nvar xXXXx, TODOS int\n"}, nil},
		"bytes, not text": {files{"a.bin": "\x00 " + slash + "tmp/x\n"}, nil},
		"ignored by git":  {files{".gitignore": "/bin/\n", "bin/a": slash + "tmp/x\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, _, err := words(c.files.fsys())
			if err != nil {
				t.Fatal(err)
			}
			want(t, found, c.want...)
		})
	}
}
