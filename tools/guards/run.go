package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A verdict says what became of the tests of a guard that was switched off.
type verdict struct {
	caught bool
	by     []string // the tests that failed
	why    string   // why not, if it was not caught
}

// A runner runs tests of the module in root. Its methods may run at once.
type runner struct {
	root string // absolute
	work string // absolute; a folder for modified copies
}

// goTest runs the named tests of one package and returns what go test printed.
// Its error is that of the command, and says only that it did not exit with 0.
func (r runner) goTest(ctx context.Context, dir string, names []string, flags ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, maxRun)
	defer cancel()
	args := append([]string{"test", "-vet=off", "-count=1", "-timeout=" + maxTest.String()}, flags...)
	args = append(args, "-run", "^("+strings.Join(names, "|")+")$", "./"+dir)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.root
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go test passes it on to the tests
	cmd.WaitDelay = maxStop
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// try switches g off in a copy, and runs its tests until one fails.
func (r runner) try(ctx context.Context, g *guard) verdict {
	overlay, err := r.overlay(g)
	if err != nil {
		return verdict{why: err.Error()}
	}
	dirs, names := g.packages()
	for _, dir := range dirs {
		out, err := r.goTest(ctx, dir, names[dir], "-overlay="+overlay)
		v := judge(out, err)
		if v.caught || v.why != "" {
			return v
		}
	}
	return verdict{why: "every test passed without it: " + strings.Join(slices.Concat(values(dirs, names)...), ", ")}
}

// overlay writes the copy of g's file with g switched off, and the file that
// tells the go command to use it.
func (r runner) overlay(g *guard) (string, error) {
	dir := filepath.Join(r.work, g.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	copied := filepath.Join(dir, filepath.Base(g.file.Name))
	if err := os.WriteFile(copied, apply(g.file.Src, g.edits), 0o600); err != nil {
		return "", err
	}
	original := filepath.Join(r.root, filepath.FromSlash(g.file.Name))
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{original: copied}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, text, 0o600)
}

// packages returns the folders of g's tests in order, and the tests in each.
func (g *guard) packages() (dirs []string, names map[string][]string) {
	names = make(map[string][]string)
	for _, fn := range g.tests {
		dir := fn.File.Dir
		if !slices.Contains(names[dir], fn.Name) {
			names[dir] = append(names[dir], fn.Name)
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs, names
}

// values returns the values of m in the order of keys.
func values(keys []string, m map[string][]string) [][]string {
	var all [][]string
	for _, k := range keys {
		all = append(all, m[k])
	}
	return all
}

var (
	failed  = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
	passed  = regexp.MustCompile(`(?m)^--- PASS: (\w+)`)
	crashed = regexp.MustCompile(`(?m)^(panic|fatal error): `)
)

// judge reads what go test printed with a guard switched off. The zero verdict
// means that the tests ran and passed. A copy that does not build, or tests that
// hang, show nothing, and are never counted as a catch.
func judge(out string, err error) verdict {
	if err == nil {
		if strings.Contains(out, "[no tests to run]") || strings.Contains(out, "[no test files]") {
			return verdict{why: "its tests do not run here (build tags?)"}
		}
		return verdict{}
	}
	if strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]") {
		return verdict{why: "the copy without it does not build, which is a fault of this tool or of the mark:\n" + out}
	}
	var by []string
	for _, m := range failed.FindAllStringSubmatch(out, -1) {
		by = append(by, m[1])
	}
	var exit *exec.ExitError
	switch {
	case len(by) > 0:
		return verdict{caught: true, by: by}
	case !errors.As(err, &exit):
		return verdict{why: err.Error()}
	case strings.Contains(out, "panic: test timed out"):
		return verdict{why: "its tests hang without it"}
	case crashed.MatchString(out):
		return verdict{caught: true, by: []string{"a crash"}}
	}
	return verdict{why: "go test ended without a failed test:\n" + out}
}

// baseline runs the tests of all guards on the code as it is, and returns those
// that passed, as "dir.Test". One that fails or is skipped would show nothing.
func (r runner) baseline(ctx context.Context, guards []*guard) (map[string]bool, error) {
	all := &guard{}
	for _, g := range guards {
		all.tests = append(all.tests, g.tests...)
	}
	ok := make(map[string]bool)
	dirs, names := all.packages()
	for _, dir := range dirs {
		out, err := r.goTest(ctx, dir, names[dir], "-v")
		if err != nil {
			return nil, fmt.Errorf("the tests of %s fail before any guard is switched off:\n%s", dir, out)
		}
		for _, m := range passed.FindAllStringSubmatch(out, -1) {
			ok[dir+"."+m[1]] = true
		}
	}
	return ok, nil
}
