// Requirements lists which tests show which requirements and attacks, and fails
// where docs/claims.txt and the tests differ.
//
// Usage: go run ./tools/requirements
//
// A test claims a requirement by a comment line directly above it or inside it:
//
//	// R12
//	// R3/http, A7: the holder writes instead of reading
//
// A script below testdata (.txtar or .txt) does it by a line that begins "# ".
// The line must begin with the tokens, and end or go on with ":" or "." after
// them: prose that begins with a token is not a claim.
package main

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/writhq/writ/internal/house"
)

func main() {
	problems, err := run(os.DirFS("."), os.Stdout)
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, "requirements:", p)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
}

// A carrier is a test, or a script, that carries a token.
type carrier struct {
	name, dir string // of the test; the folder of its package
	at        string // file:line of the claim
}

// run prints the table of what is shown in the tree of fsys, and returns what is
// wrong with it.
func run(fsys fs.FS, w io.Writer) (problems []string, err error) {
	claims, err := house.ReadClaims(fsys)
	if err != nil {
		return nil, err
	}
	shown, problems, err := carriers(fsys)
	if err != nil {
		return nil, err
	}
	printTable(w, shown, claims.Without)
	for _, k := range claims.Tokens {
		if len(shown[k]) == 0 {
			problems = append(problems, fmt.Sprintf("%s is claimed in docs/claims.txt, but no test carries it", k))
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(shown), house.Token.Compare) {
		if !slices.Contains(claims.Tokens, k) {
			c := shown[k][0]
			problems = append(problems, fmt.Sprintf("%s: %s carries %s, which docs/claims.txt does not claim", c.at, c.name, k))
		}
	}
	return problems, nil
}

// carriers returns the tests and scripts that carry each token, and what is
// wrong with their lines.
func carriers(fsys fs.FS) (map[house.Token][]carrier, []string, error) {
	tree, err := house.Load(fsys)
	if err != nil {
		return nil, nil, err
	}
	shown, problems := make(map[house.Token][]carrier), []string(nil)
	take := func(line string, c carrier) {
		tokens, err := claim(line)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", c.at, err))
		}
		for _, k := range tokens {
			shown[k] = append(shown[k], c)
		}
	}
	for _, fn := range house.TestFuncs(tree) {
		for _, n := range fn.Notes {
			take(n.Text, carrier{fn.Name, fn.File.Dir, fmt.Sprintf("%s:%d", fn.File.Name, n.Line)})
		}
	}
	err = house.Walk(fsys, func(name string) error {
		dir, _, ok := cutTestdata(name)
		if ext := path.Ext(name); !ok || ext != ".txtar" && ext != ".txt" {
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		for i, line := range strings.Split(string(text), "\n") {
			if rest, ok := strings.CutPrefix(line, "# "); ok {
				script := strings.TrimSuffix(path.Base(name), path.Ext(name))
				take(strings.TrimSpace(rest), carrier{script, dir, fmt.Sprintf("%s:%d", name, i+1)})
			}
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read scripts: %w", err)
	}
	return shown, problems, nil
}

// cutTestdata returns the folders above and below the first "testdata" in name.
func cutTestdata(name string) (above, below string, ok bool) {
	if below, ok = strings.CutPrefix(name, "testdata/"); ok {
		return ".", below, true
	}
	return strings.Cut(name, "/testdata/")
}

var (
	claimLine = regexp.MustCompile(`^([RA][0-9]+(?:/[a-z0-9-]+)?(?:[ ,]+[RA][0-9]+(?:/[a-z0-9-]+)?)*)[ ,]*(?:$|:|\.(?:$| ))`)
	separator = regexp.MustCompile(`[ ,]+`)
)

// claim returns the tokens with which line claims requirements and attacks, or
// none if it is not of that form. It is an error if one does not exist.
func claim(line string) ([]house.Token, error) {
	m := claimLine.FindStringSubmatch(line)
	if m == nil {
		return nil, nil
	}
	var tokens []house.Token
	for _, s := range separator.Split(m[1], -1) {
		k, err := house.ReadToken(s)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, k)
	}
	return tokens, nil
}

// printTable writes one line for each token, and the counts. A requirement is shown
// by tests that carry it without a facet; a facet is the case of one protocol. What
// of one is not shown yet stands behind its tests.
func printTable(w io.Writer, shown map[house.Token][]carrier, without map[house.Token]string) {
	counts := map[byte]int{}
	for _, k := range slices.SortedFunc(maps.Keys(shown), house.Token.Compare) {
		if k.Facet == "" {
			counts[k.Kind]++
		}
		missing := ""
		if m := without[k]; m != "" {
			missing = "; without: " + m
		}
		fmt.Fprintf(w, "%s  %s%s\n", k, list(shown[k]), missing)
	}
	requirements, attacks := house.Total()
	if len(without) > 0 {
		fmt.Fprintf(w, "%d of them in part: see \"without\"\n", len(without))
	}
	fmt.Fprintf(w, "%d of %d requirements, %d of %d attacks shown\n", counts['R'], requirements, counts['A'], attacks)
}

// list returns the names of the carriers, once each, by folder: "TestA, TestB
// (op), TestC (policy)".
func list(all []carrier) string {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b carrier) int {
		return cmp.Or(cmp.Compare(a.dir, b.dir), cmp.Compare(a.name, b.name))
	})
	all = slices.CompactFunc(all, func(a, b carrier) bool { return a.dir == b.dir && a.name == b.name })
	var b strings.Builder
	for i, c := range all {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.name)
		if i == len(all)-1 || all[i+1].dir != c.dir {
			fmt.Fprintf(&b, " (%s)", c.dir)
		}
	}
	return b.String()
}
