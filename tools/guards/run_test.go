package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	exit := &exec.ExitError{}
	for name, c := range map[string]struct {
		out         string
		err         error
		caught, why bool
	}{
		"passed":          {"ok  \ta\t0.1s\n", nil, false, false},
		"nothing to run":  {"ok  \ta\t0.1s [no tests to run]\n", nil, false, true},
		"failed":          {"--- FAIL: TestA (0.00s)\nFAIL\n", exit, true, false},
		"only a subtest":  {"    --- FAIL: TestA/x (0.00s)\nFAIL\n", exit, false, true},
		"did not build":   {"# a\na.go:1: x\nFAIL\ta [build failed]\n", exit, false, true},
		"no such package": {"FAIL\ta [setup failed]\n", exit, false, true},
		"crashed":         {"panic: runtime error\n\ngoroutine 7\nFAIL\n", exit, true, false},
		"hung":            {"panic: test timed out after 2m0s\nFAIL\n", exit, false, true},
		"exited":          {"exit status 1\nFAIL\ta\n", exit, false, true},
		"go is missing":   {"", errors.New("not found"), false, true},
	} {
		if v := judge(c.out, c.err); v.caught != c.caught || (v.why != "") != c.why {
			t.Errorf("%s: verdict is %+v", name, v)
		}
	}
}

// module is a small module with two checks that tests see, and with checks that
// no test sees, whose test is skipped, and that no test names.
var module = map[string]string{
	"go.mod":          "module example.org/m\n\ngo 1.26\n",
	"docs/claims.txt": "claim R1\n",
	"a/a.go": `package a

func Small(n int) bool {
	if n < 0 { //guard:A7 negative
		return false
	}
	if n > 100 { //guard:R7 large
		return false
	}
	return n != 5 && n != six() //guard-true:R1 five
}

func six() int { return 6 }

func Untested(n int) bool {
	if n < six() { //guard:R3 untested
		return true
	}
	six() //guard-call:R3/http broken
	return false
}

func Even(n int) bool {
	if n%2 != 0 { //guard:R2 odd
		return false
	}
	return true
}
`,
	"a/a_test.go": `package a

import "testing"

// guard: negative, large
func TestSmall(t *testing.T) {
	if Small(-1) || !Small(1) {
		t.Error("wrong")
	}
}

// guard: five
func TestFive(t *testing.T) {
	if Small(5) {
		t.Error("wrong")
	}
}

// guard: odd
func TestEven(t *testing.T) {
	t.Skip("not here")
}
`,
}

// write writes the files below a new folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestRun(t *testing.T) {
	root := write(t, module)
	var b strings.Builder
	if err := run(t.Context(), &b, options{root: root}); err == nil {
		t.Error("no error though four guards are not caught")
	}
	for _, line := range []string{
		"ok   R1 five  caught by TestFive\n",
		"FAIL R2 odd  a/a.go:",
		"FAIL R3 untested  a/a.go:",
		"FAIL R7 large  a/a.go:",
		"ok   A7 negative  caught by TestSmall\n",
		"guards for each: R1 1, R2 1, R3 2, R7 1, A7 1\n6 guards, 2 caught\n",
	} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no line %q in\n%s", line, &b)
		}
	}
	b.Reset()
	if err := run(t.Context(), &b, options{root: root, only: "negative|five"}); err != nil {
		t.Errorf("%v:\n%s", err, &b)
	}
	if !strings.HasSuffix(b.String(), "2 guards, 2 caught\n") {
		t.Errorf("with -only:\n%s", &b)
	}
	if err := run(t.Context(), &b, options{root: root, only: "^none$"}); err == nil {
		t.Error("no error though -only matches nothing")
	}
	b.Reset()
	if err := run(t.Context(), &b, options{root: root, list: true}); err != nil || strings.Count(b.String(), "\n") != 7 {
		t.Errorf("-list: %v:\n%s", err, &b)
	}
}

func TestRunNeedsTestsThatPass(t *testing.T) {
	broken := map[string]string{
		"a/a_test.go": "package a\n\nimport \"testing\"\n\n// guard: negative, large, five, odd\nfunc TestSmall(t *testing.T) { t.Error(Small(1)) }\n",
	}
	for name, text := range module {
		if broken[name] == "" {
			broken[name] = text
		}
	}
	var b strings.Builder
	if err := run(t.Context(), &b, options{root: write(t, broken)}); err == nil || strings.Contains(b.String(), "ok ") {
		t.Errorf("a test that always fails was taken for a catch: %v\n%s", err, &b)
	}
}
