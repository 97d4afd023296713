package house

import "testing"

// TestFloors holds the packages and their imports to docs/FLOORS.txt.
func TestFloors(t *testing.T) {
	found, err := floors(repo(t))
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

// imports returns a Go file that imports packages of the module.
func imports(pkg string, paths ...string) string {
	s := "package " + pkg + "\n"
	for _, p := range paths {
		s += "import _ \"" + module + "/" + p + "\"\n"
	}
	return s
}

func TestFloorsOnSmallTrees(t *testing.T) {
	const f = floorsFile
	for name, c := range map[string]struct {
		files files
		want  []string
	}{
		"good":                         {files{f: "2 a top\n1 b below\n#later 3 c to come\n\n# comment\n", "a/a.go": imports("a", "b"), "b/b.go": imports("b")}, nil},
		"package not listed":           {files{f: "1 b below\n", "b/b.go": "package b\n", "a/a.go": "package a\n"}, []string{"a/a.go:1"}},
		"listed, no package":           {files{f: "1 b below\n2 a gone\n", "b/b.go": "package b\n"}, []string{f + ":2"}},
		"planned, but there":           {files{f: "#later 1 b below\n", "b/b.go": "package b\n"}, []string{f + ":1"}},
		"listed twice":                 {files{f: "1 b below\n1 b below\n", "b/b.go": "package b\n"}, []string{f + ":2"}},
		"no responsibility":            {files{f: "1 b below\n1 c\n", "b/b.go": "package b\n"}, []string{f + ":2"}},
		"sideways":                     {files{f: "1 a one\n1 b two\n", "a/a.go": imports("a", "b"), "b/b.go": "package b\n"}, []string{"a/a.go:2"}},
		"up":                           {files{f: "6a a one\n6b b two\n", "a/a.go": imports("a", "b"), "b/b.go": "package b\n"}, []string{"a/a.go:2"}},
		"down half a floor":            {files{f: "6b a one\n6a b two\n", "a/a.go": imports("a", "b"), "b/b.go": "package b\n"}, nil},
		"tests only":                   {files{f: "2 a one\n0 b kit\n", "a/a.go": imports("a", "b"), "b/b.go": "package b\n"}, []string{"a/a.go:2"}},
		"tests may":                    {files{f: "2 a one\n0 b kit\n", "a/a_test.go": imports("a", "b"), "b/b.go": imports("b", "a")}, nil},
		"not on its list":              {files{f: "2 a one -> c\n1 b two\n1 c x\n", "a/a.go": imports("a", "b", "c"), "b/b.go": "package b\n", "c/c.go": "package c\n"}, []string{"a/a.go:2"}},
		"empty list":                   {files{f: "2 a one ->\n1 b two\n", "a/a.go": imports("a", "b"), "b/b.go": "package b\n"}, []string{"a/a.go:2"}},
		"not an importer":              {files{f: "2 a one\n1 b two <- c\n2 c x\n", "a/a.go": imports("a", "b"), "b/b.go": "package b\n", "c/c.go": imports("c", "b")}, []string{"a/a.go:2"}},
		"importer by pattern":          {files{f: "2 a/x one\n1 b two <- a/*\n", "a/x/x.go": imports("x", "b"), "b/b.go": "package b\n"}, nil},
		"list names nothing":           {files{f: "2 a one -> d e/*\n1 b two <- f\n", "a/a.go": "package a\n", "b/b.go": "package b\n"}, []string{f + ":1", f + ":1", f + ":2"}},
		"list names a room to come":    {files{f: "2 a one -> d\n#later 1 d x\n", "a/a.go": "package a\n"}, nil},
		"other modules":                {files{f: "2 a one\n", "a/a.go": "package a\nimport _ \"fmt\"\nimport _ \"example.org/b\"\n"}, nil},
		"gateway without list":         {files{f: "#later 6b internal/gateway/xgw door\n"}, []string{f + ":1"}},
		"gateway that reaches custody": {files{f: "#later 6b internal/gateway/xgw door -> internal/custody op\n#later 4b internal/custody x\n#later 2a op x\n"}, []string{f + ":1"}},
		"gateway, good":                {files{f: "#later 6b internal/gateway/xgw door -> op op/* canon\n#later 2b op/x x\n#later 2a op x\n#later 1 canon x\n"}, nil},
		"gateway with engines":         {files{f: "#later 6b internal/gateway/xgw door -> internal/engine/kv\n#later 4b internal/engine/kv x\n"}, []string{f + ":1"}},
		"vault gateway with engines":   {files{f: "#later 6b internal/gateway/vaultgw door -> internal/engine/kv\n#later 4b internal/engine/kv x\n"}, nil},
		"holder that reaches a gate":   {files{f: "#later 6b internal/holder/x port -> internal/gate\n#later 5 internal/gate x\n"}, []string{f + ":1"}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := floors(c.files.tree(t))
			if err != nil {
				t.Fatal(err)
			}
			want(t, found, c.want...)
		})
	}
}

func TestFloorsNeedsItsFile(t *testing.T) {
	if _, err := floors(files{"a/a.go": "package a\n"}.tree(t)); err == nil {
		t.Error("no error without " + floorsFile)
	}
}
