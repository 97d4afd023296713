// Command bench measures what docs/performance.md reports, and writes
// bench/results.json: one flat object of name and number. With an argument it
// runs one part and merges its figures.
//
// Nothing here is asserted in tests: machines are noisy. Ratios are taken in one
// run, in pairs that alternate.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/internal/sqlparser"
)

const resultsFile = "bench/results.json"

// figures are the results of a run, by name.
type figures map[string]float64

// A part measures some figures.
type part struct {
	name string
	run  func(b *testing.B, f figures)
}

// parts are all parts, in the order they run.
var parts = []part{
	{"machine", machine},
	{"crypto", crypto},
	{"evaluate", evaluate},
	{"ledger", ledgers},
	{"http", overHTTP},
	{"server", servers},
	{"pg", overPG},
}

// goal is a figure's mark in the issue: at most, or at least.
type goal struct {
	name  string
	least bool
	mark  float64
	unit  string
}

var goals = []goal{
	{"verify.cold_us", false, 250, "µs"},
	{"verify.warm_us", false, 2, "µs"},
	{"evaluate.warm_us", false, 15, "µs"},
	{"evaluate.scale_100k", false, 1.2, "x"},
	{"unseal.cold_us", false, 240, "µs"},
	{"http.level2_vs_reverseproxy", true, 0.80, "x"},
	{"http.level3_vs_reverseproxy", true, 0.55, "x"},
	{"http.level2_vs_reverseproxy_durable", true, 0, "x"},
	{"http.level3_vs_reverseproxy_durable", true, 0, "x"},
	{"ledger.durable_per_s_64", true, 60000, "/s"},
	{"audit.verify_100k_s", false, 5, "s"},
	{"server.start_ms", false, 300, "ms"},
	{"server.idle_mb", false, 60, "MB"},
	{"server.binary_mb", false, 60, "MB"},
	{"pg.simple_8_vs_pgbouncer", true, 0.85, "x"},
	{"pg.prepared_8_vs_pgbouncer", true, 0.80, "x"},
	{"pg.prepared_32_vs_pgbouncer", true, 0.85, "x"},
	{"pg.simple_8_vs_pgbouncer_durable", true, 0, "x"},
	{"pg.prepared_8_vs_pgbouncer_durable", true, 0, "x"},
	{"pg.prepared_32_vs_pgbouncer_durable", true, 0, "x"},
	{"pg.added_us_1", false, 0, "µs"},
	{"pg.pgbouncer_added_us_1", false, 0, "µs"},
	{"pg.added_beyond_pgbouncer_us_1", false, 40, "µs"},
	{"pg.map_seen_us", false, 20, "µs"},
	{"pg.map_new_point_us", false, 120, "µs"},
	{"pg.map_new_join_us", false, 350, "µs"},
	{"pg.idle_1000_mb", false, 120, "MB"},
	{"machine.ed25519_verify_us", false, 0, "µs"},
	{"machine.fdatasync_us", false, 0, "µs"},
	{"machine.tls_get_us", false, 0, "µs"},
}

// others are what this program is in the processes that it starts.
var others = map[string]func() error{
	"load":            func() error { return load(os.Args[2:]) },
	"gate":            pgGate,
	sqlparser.Command: func() error { return sqlparser.Serve(os.Stdin, os.Stdout) },
}

// profiles is the folder for profiles of the processor time of gates; "" for none.
var profiles = flag.String("profiles", "", "write profiles of the gates that have processes of their own to this folder")

func main() {
	if len(os.Args) > 1 {
		if other, ok := others[os.Args[1]]; ok {
			if err := other(); err != nil {
				fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}
	testing.Init()
	flag.Parse()
	if err := run(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(only string) error {
	f, err := earlier(only)
	if err != nil {
		return err
	}
	known := false
	for _, p := range parts {
		if only != "" && p.name != only {
			continue
		}
		known = true
		start := time.Now()
		fmt.Fprintf(os.Stderr, "%-10s ", p.name)
		if err := measured(p, f); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%.0f s\n", time.Since(start).Seconds())
	}
	if !known {
		return fmt.Errorf("no part %q", only)
	}
	table(f)
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(resultsFile, append(b, '\n'), 0o644)
}

// measured runs a part once, inside a benchmark of one iteration, so that it has
// what tests have: folders, cleanups.
func measured(p part, f figures) (err error) {
	failed := true
	testing.Benchmark(func(b *testing.B) {
		if !failed {
			return
		}
		defer func() { failed = failed && !b.Skipped() }()
		p.run(b, f)
		failed = b.Failed()
	})
	if failed {
		return fmt.Errorf("part %s failed", p.name)
	}
	return nil
}

// earlier returns the figures of an earlier run, when one part is to be merged.
func earlier(only string) (figures, error) {
	f := figures{}
	if only == "" {
		return f, nil
	}
	b, err := os.ReadFile(resultsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	return f, json.Unmarshal(b, &f)
}

func table(f figures) {
	fmt.Printf("%s, %d cores, %s\n\n%-40s %12s %14s\n", runtime.Version(), runtime.NumCPU(), time.Now().UTC().Format("2006-01-02"), "", "measured", "mark")
	seen := make(map[string]bool)
	for _, g := range goals {
		v, ok := f[g.name]
		if !ok {
			continue
		}
		seen[g.name] = true
		mark, verdict := "", ""
		if g.mark > 0 {
			mark = map[bool]string{true: "≥ ", false: "≤ "}[g.least] + number(g.mark) + " " + g.unit
			if g.least && v < g.mark || !g.least && v > g.mark {
				verdict = "  missed"
			}
		}
		fmt.Printf("%-40s %9s %-3s %13s%s\n", g.name, number(v), g.unit, mark, verdict)
	}
	var rest []string
	for n := range f {
		if !seen[n] {
			rest = append(rest, n)
		}
	}
	slices.Sort(rest)
	for _, n := range rest {
		fmt.Printf("%-40s %9s\n", n, number(f[n]))
	}
}

func number(v float64) string {
	s := fmt.Sprintf("%.2f", v)
	if v >= 100 {
		s = fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSuffix(s, ".00")
}

// perOp returns the microseconds of one call of fn, the least of three runs of
// slower returns how many times as long a takes as b. They run in turns that are
// short against a collection of garbage, so that one meets both.
func slower(a, b func()) float64 {
	var took [2]time.Duration
	for range 25 {
		for i, fn := range []func(){a, b} {
			start := time.Now()
			for range 1000 {
				fn()
			}
			took[i] += time.Since(start)
		}
	}
	return float64(took[0]) / float64(took[1])
}

// at least a fifth of a second.
func perOp(fn func()) float64 {
	best := 0.0
	for range 3 {
		n, start := 0, time.Now()
		for time.Since(start) < 200*time.Millisecond {
			for range 10 {
				fn()
			}
			n += 10
		}
		us := float64(time.Since(start).Nanoseconds()) / 1000 / float64(n)
		if best == 0 || us < best {
			best = us
		}
	}
	return best
}

// median returns the middle of v.
func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// must ends the part on an error.
func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		fatal(b, "%v", err)
	}
}

// fatal ends the part, and says why: a benchmark by itself keeps that.
func fatal(b *testing.B, format string, args ...any) {
	b.Helper()
	fmt.Fprintf(os.Stderr, format+" ", args...)
	b.FailNow()
}

// missing passes the part over for want of a Debian package.
func missing(b *testing.B, pkg string) {
	fmt.Fprintf(os.Stderr, "MISSING: %s ", pkg)
	b.SkipNow()
}

func tempFile(b *testing.B) string { return filepath.Join(b.TempDir(), "f") }
