// Guards switches each marked security check off in turn, in a temporary copy of
// its file, and fails if the tests named for it still pass.
//
// Usage: go run ./tools/guards [-list] [-only REGEXP]
//
// A mark is a comment at the end of a line: requirements or attacks, then a name
// that no other guard has.
//
//	if d != p.digest { //guard:R5 permit-digest          never true
//	case len(b) > maxBody: //guard:R11 A18 body-size     never true
//	s.Wipe() //guard-call:R2 wipe-after-use              not called
//	return ok && fresh //guard-true:R1 statement-fresh   always true
//
// A test names the guards that it would miss, directly above or inside it:
//
//	// guard: permit-digest, body-size
//
// A guard counts when at least one of its tests fails without it. The tool also
// fails if there are fewer guards than docs/claims.txt asks for ("guards-min N"),
// or if a requirement that is claimed there has none and no "no-guard" line.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"

	"github.com/writhq/writ/internal/house"
)

func main() {
	list := flag.Bool("list", false, "list the guards and their tests; run nothing")
	only := flag.String("only", "", "try only guards whose line in -list matches `REGEXP`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root, err := os.Getwd()
	if err == nil {
		err = run(ctx, os.Stdout, options{root, *list, *only})
	}
	if err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "guards:", err)
		os.Exit(1)
	}
}

// An options value holds what the command line says.
type options struct {
	root string // folder of the module, absolute
	list bool
	only string // regular expression; empty: all
}

// run does what the command does. Its error says how many problems it printed.
func run(ctx context.Context, w io.Writer, o options) error {
	re, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("read -only: %w", err)
	}
	fsys := os.DirFS(o.root)
	claims, err := house.ReadClaims(fsys)
	if err != nil {
		return err
	}
	tree, err := house.Load(fsys)
	if err != nil {
		return err
	}
	guards, problems := scan(tree)
	if o.only == "" {
		problems = append(problems, missing(guards, claims)...)
	}
	chosen := slices.DeleteFunc(slices.Clone(guards), func(g *guard) bool { return !re.MatchString(g.String()) })
	if o.only != "" && len(chosen) == 0 {
		problems = append(problems, "no guard matches -only "+o.only)
	}
	caught := 0
	if o.list {
		printList(w, chosen)
	} else if caught, err = tryAll(ctx, w, o.root, chosen); err != nil {
		return err
	} else if caught < len(chosen) {
		problems = append(problems, fmt.Sprintf("%d guards were not caught", len(chosen)-caught))
	}
	for _, p := range problems {
		fmt.Fprintln(w, "FAIL", p)
	}
	printCounts(w, chosen)
	if !o.list {
		fmt.Fprintf(w, "%d guards, %d caught\n", len(chosen), caught)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d problems", len(problems))
	}
	return nil
}
