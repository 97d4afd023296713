package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/writhq/writ/internal/house"
)

// missing returns what docs/claims.txt asks for and the guards do not give.
func missing(guards []*guard, claims house.Claims) (problems []string) {
	if len(guards) < claims.GuardsMin {
		problems = append(problems, fmt.Sprintf("%d guards, but docs/claims.txt asks for %d", len(guards), claims.GuardsMin))
	}
	counts := countByToken(guards)
	done := make(map[int]bool)
	for _, k := range claims.Tokens {
		if k.Kind != 'R' || done[k.Number] {
			continue
		}
		done[k.Number] = true
		if counts[house.Token{Kind: 'R', Number: k.Number}] == 0 && claims.NoGuard[k.Number] == "" {
			problems = append(problems, fmt.Sprintf("R%d is claimed, but has no guard, and no line no-guard says why", k.Number))
		}
	}
	return problems
}

// countByToken returns how many guards each requirement and attack has; a facet
// counts for its requirement.
func countByToken(guards []*guard) map[house.Token]int {
	counts := make(map[house.Token]int)
	for _, g := range guards {
		seen := make(map[house.Token]bool)
		for _, k := range g.tokens {
			k.Facet = ""
			if !seen[k] {
				seen[k] = true
				counts[k]++
			}
		}
	}
	return counts
}

// printCounts writes one line with the number of guards for each requirement.
func printCounts(w io.Writer, guards []*guard) {
	counts := countByToken(guards)
	var parts []string
	requirements, attacks := house.Total()
	for i := range requirements {
		k := house.Token{Kind: 'R', Number: i + 1}
		if counts[k] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", k, counts[k]))
		}
	}
	for i := range attacks {
		k := house.Token{Kind: 'A', Number: i + 1}
		if counts[k] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", k, counts[k]))
		}
	}
	fmt.Fprintln(w, "guards for each:", strings.Join(parts, ", "))
}

// printList writes one line for each guard.
func printList(w io.Writer, guards []*guard) {
	for _, g := range guards {
		dirs, names := g.packages()
		fmt.Fprintf(w, "%s  %s  ", g, g.at())
		for i, dir := range dirs {
			if i > 0 {
				fmt.Fprint(w, ", ")
			}
			fmt.Fprintf(w, "%s (%s)", strings.Join(names[dir], ", "), dir)
		}
		fmt.Fprintln(w)
	}
}

// tryAll tries the guards, maxJobs at once, writes one line for each in order,
// and returns how many were caught.
func tryAll(ctx context.Context, w io.Writer, root string, guards []*guard) (caught int, err error) {
	work, err := os.MkdirTemp("", "guards")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	r := runner{root, work}
	passing, err := r.baseline(ctx, guards)
	if err != nil {
		return 0, err
	}
	verdicts := make([]chan verdict, len(guards))
	for i := range verdicts {
		verdicts[i] = make(chan verdict, 1)
	}
	free := make(chan bool, maxJobs)
	go func() {
		for i, g := range guards {
			free <- true
			go func() {
				verdicts[i] <- r.tryPassing(ctx, g, passing)
				<-free
			}()
		}
	}()
	for i, g := range guards {
		v := <-verdicts[i]
		if v.caught {
			caught++
			fmt.Fprintf(w, "ok   %s  caught by %s\n", g, strings.Join(v.by, ", "))
		} else {
			fmt.Fprintf(w, "FAIL %s  %s: %s\n", g, g.at(), v.why)
		}
	}
	return caught, ctx.Err()
}

// tryPassing tries g with those of its tests that passed on the code as it is.
func (r runner) tryPassing(ctx context.Context, g *guard, passing map[string]bool) verdict {
	tried := *g
	tried.tests = nil
	for _, fn := range g.tests {
		if passing[fn.File.Dir+"."+fn.Name] {
			tried.tests = append(tried.tests, fn)
		}
	}
	switch {
	case len(g.tests) == 0:
		return verdict{why: "no test names it"}
	case len(tried.tests) == 0:
		return verdict{why: "its tests were skipped, or do not run on this machine"}
	}
	return r.try(ctx, &tried)
}
