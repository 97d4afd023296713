package house

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// The least that the checks must find in the repository. Raise them as it grows.
const (
	wantPackages = 9
	wantFiles    = 55
	wantClauses  = 0
	wantPure     = 8
)

// repository loads the real tree once.
var repository = sync.OnceValues(func() (*Tree, error) { return Load(os.DirFS("../..")) })

// repo returns the repository's own tree.
func repo(t *testing.T) *Tree {
	t.Helper()
	tree, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	if p, f := len(tree.packages()), len(tree.Files); p < wantPackages || f < wantFiles {
		t.Fatalf("found only %d packages and %d files", p, f)
	}
	return tree
}

// files are the contents of a small tree, by name.
type files map[string]string

// fsys returns the files as a file system.
func (fs files) fsys() fstest.MapFS {
	m := make(fstest.MapFS)
	for name, text := range fs {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// tree returns the files as a tree.
func (fs files) tree(t *testing.T) *Tree {
	t.Helper()
	tree, err := Load(fs.fsys())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// report fails the test for each finding in the repository.
func report(t *testing.T, found []Finding) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

// want checks that the findings are at these places, each "file:line".
func want(t *testing.T, found []Finding, places ...string) {
	t.Helper()
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%s:%d", f.File, f.Line))
	}
	slices.Sort(got)
	slices.Sort(places)
	if !slices.Equal(got, places) {
		t.Errorf("findings at %v, want %v; they are:", got, places)
		for _, f := range found {
			t.Error(f)
		}
	}
}

func TestLoadLeavesOutWhatGitAndGoIgnore(t *testing.T) {
	tree := files{
		".gitignore":        "/bin/\n/made.go\nother\n",
		"a/a.go":            "package a\n",
		"bin/x.go":          "package x\n",
		"made.go":           "package made\n",
		".git/x.go":         "package x\n",
		"a/testdata/x.go":   "not Go",
		"_old/x.go":         "not Go",
		"a/node_modules/x/": "not Go",
	}.tree(t)
	if len(tree.Files) != 1 || tree.Files[0].Name != "a/a.go" {
		t.Errorf("loaded %d files", len(tree.Files))
	}
}

func TestLoadRefusesWhatDoesNotParse(t *testing.T) {
	if _, err := Load(files{"a/a.go": "package"}.fsys()); err == nil {
		t.Error("loaded a file that does not parse")
	}
}

func TestFindingNamesFileAndLine(t *testing.T) {
	if s := (Finding{"a/a.go", 7, "x"}).String(); !strings.HasPrefix(s, "a/a.go:7:") {
		t.Errorf("finding is %q", s)
	}
}
