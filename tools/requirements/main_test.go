package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

// runOn runs the tool on a small tree.
func runOn(t *testing.T, files map[string]string) (out string, problems []string) {
	t.Helper()
	fsys := make(fstest.MapFS)
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	var b strings.Builder
	problems, err := run(fsys, &b)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), problems
}

const testB = `package b

// TestZ shows it.
//
// R12, R3/http A7: the rest
func TestZ(t *testing.T) {}

func TestA(t *testing.T) {
	// R12.
	// R12 is prose, and so is what R1 says.
	x() // R2
}

// R5

func helper() {
	// R6
}
`

func TestTable(t *testing.T) {
	out, problems := runOn(t, map[string]string{
		"docs/claims.txt":             "claim R12\nclaim R3/http\nclaim A7\nclaim R2\nclaim R10\n",
		"op/http/b_test.go":           testB,
		"a/a_test.go":                 "package a\n\n// R12\nfunc TestQ(t *testing.T) {}\n",
		"cmd/writ/testdata/run.txtar": "# R10 A7\nexec writ\n# R9 is prose\n-- x --\n",
		"cmd/writ/testdata/x.bin":     "# R11\n",
		"docs/other.txt":              "# R11\n",
	})
	const want = `R2  TestA (op/http)
R3/http  TestZ (op/http)
R10  run (cmd/writ)
R12  TestQ (a), TestA, TestZ (op/http)
A7  run (cmd/writ), TestZ (op/http)
3 of 63 requirements, 1 of 45 attacks shown
`
	if out != want {
		t.Errorf("table is\n%s\nwant\n%s", out, want)
	}
	if len(problems) != 0 {
		t.Errorf("problems: %q", problems)
	}
}

func TestProblems(t *testing.T) {
	const carries = "package a\n\n// R12\nfunc TestQ(t *testing.T) {}\n"
	for name, c := range map[string]struct {
		claims, test string
		names        []string // what each problem names
	}{
		"good":                {"claim R12\n", carries, nil},
		"claimed, not shown":  {"claim R12\nclaim R13\n", carries, []string{"R13"}},
		"shown, not claimed":  {"", carries, []string{"R12"}},
		"facet is not enough": {"claim R12\nclaim R12/sql\n", carries, []string{"R12/sql"}},
		"no such requirement": {"", "package a\n\n// R64\nfunc TestQ(t *testing.T) {}\n", []string{"a/a_test.go:3"}},
		"no such attack":      {"", "package a\n\n// A46: x\nfunc TestQ(t *testing.T) {}\n", []string{"a/a_test.go:3"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := runOn(t, map[string]string{"docs/claims.txt": c.claims, "a/a_test.go": c.test})
			if len(problems) != len(c.names) {
				t.Fatalf("problems: %q, want %d", problems, len(c.names))
			}
			for i, p := range problems {
				if !strings.Contains(p, c.names[i]) {
					t.Errorf("problem %q does not name %s", p, c.names[i])
				}
			}
		})
	}
}

func TestClaimLines(t *testing.T) {
	for line, n := range map[string]int{
		"R12": 1, "R3/http, A7": 2, "R1 R2,R3": 3, "R1: x": 1, "R1.": 1, "R1. Then": 1, "R1, A2: x": 2,
		"": 0, "R1 is": 0, "see R1": 0, "R1.5": 0, "R1-R3": 0, "R1, and R2": 0, "A": 0, "RFC 9421": 0, "A1b": 0, "R": 0,
	} {
		tokens, err := claim(line)
		if err != nil || len(tokens) != n {
			t.Errorf("claim(%q) = %v, %v, want %d tokens", line, tokens, err, n)
		}
	}
}

func TestNoClaimsFile(t *testing.T) {
	if _, err := run(fstest.MapFS{}, &strings.Builder{}); err == nil {
		t.Error("no error without docs/claims.txt")
	}
}
