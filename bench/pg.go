package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/internal/testpg"
)

const (
	pgUser    = "app" // on the server; its password is the world's secret
	pgScale   = 10    // of pgbench: a million accounts
	pgSeconds = 2     // of one run
	pgRounds  = 5     // pairs in turns, of a figure that has a mark
	pgFewer   = 3     // of the others
)

// A pgLoad is what pgbench does in one run.
type pgLoad struct {
	name    string // of the figure
	mode    string // of pgbench: simple or prepared
	clients int
	script  string // "" is pgbench -S
	rounds  int
	seconds int // 0: pgSeconds
}

// Statements of pgbench's own kind, in its own tables.
const (
	joinScript = `\set aid random(1, 1000000)
SELECT a.aid, a.abalance, b.bbalance, t.tid, t.tbalance FROM pgbench_accounts a JOIN pgbench_branches b ON b.bid = a.bid JOIN pgbench_tellers t ON t.bid = b.bid WHERE a.aid = :aid;
`
	rowsScript = `\set aid random(1, 990000)
\set last :aid + 999
SELECT aid, bid, abalance FROM pgbench_accounts WHERE aid BETWEEN :aid AND :last;
`
)

var (
	pgLoads = []pgLoad{
		{"simple_8", "simple", 8, "", pgRounds, 0},
		{"prepared_8", "prepared", 8, "", pgRounds, 0},
		{"prepared_32", "prepared", 32, "", pgRounds, 0},
		{"simple_32", "simple", 32, "", pgFewer, 0},
		{"join_simple_8", "simple", 8, joinScript, pgFewer, 0},
		{"join_prepared_8", "prepared", 8, joinScript, pgFewer, 0},
		{"rows_simple_8", "simple", 8, rowsScript, pgFewer, 0},
		{"rows_prepared_8", "prepared", 8, rowsScript, pgFewer, 0},
	}
	// pgAlone are those whose latency is looked at.
	pgAlone = []pgLoad{{"simple_1", "simple", 1, "", pgFewer, 0}, {"prepared_1", "prepared", 1, "", pgFewer, 0}}
)

// overPG compares the gate with pgbouncer, both over TLS on both sides before the
// same server, with the load of pgbench.
func overPG(b *testing.B, f figures) {
	w := newPGBench(b)
	w.maps(b, f)
	g := w.gate(b, "buffered")
	f["pg.idle_1000_mb"] = w.idle(b, g, 1000)
	g.stop(b)
	g = w.gate(b, "buffered")
	for _, l := range pgAlone {
		w.alone(b, f, g, l)
	}
	if w.sessions(b) == 0 {
		fatal(b, "pgbouncer has no session")
	}
	for _, l := range pgLoads {
		w.compare(b, f, g, l)
	}
	g.stop(b)
	g = w.gate(b, "durable")
	for _, l := range pgLoads[:3] {
		l.rounds = pgFewer
		w.compare(b, f, g, l)
	}
	g.stop(b)
	w.bouncer.stop(b)
	w.arrived(b)
}

// A pgBench is a server, the ways to it, and what went to it.
type pgBench struct {
	pg      *testpg.Server
	db, dir string
	direct  way
	bouncer *bouncer
	gates   int
	before  int64 // transactions of the database before the first run
	done    int64 // transactions that pgbench says were done
}

func newPGBench(b *testing.B) *pgBench {
	if testpg.Programs() == "" {
		missing(b, "postgresql")
	}
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		missing(b, "pgbouncer")
	}
	w := &pgBench{pg: testpg.Start(b, "max_connections=1100"), dir: b.TempDir()}
	w.db = w.pg.Database(b)
	fill := exec.CommandContext(b.Context(), filepath.Join(testpg.Programs(), "pgbench"), "-i", "-q", "-s", strconv.Itoa(pgScale), w.pg.Local(w.db))
	out, err := fill.CombinedOutput()
	if err != nil {
		fatal(b, "pgbench -i: %v\n%s", err, out)
	}
	w.pg.Exec(b, w.db, fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD '%s'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO %[1]s`, pgUser, testkit.Plain))
	w.direct = newWay(b, w.pg.Addr, "PGUSER="+pgUser, "PGPASSWORD="+testkit.Plain, "PGDATABASE="+w.db)
	w.bouncer = startBouncer(b, path, w)
	w.before = w.committed(b)
	return w
}

// gate starts a gate whose receipts are in the mode.
func (w *pgBench) gate(b *testing.B, mode string) *gateProcess {
	c := gateConfig{Origin: "postgres://" + w.pg.Addr + "/" + w.db, Pin: w.pg.Pin, Mode: mode, Dir: w.dir}
	if *profiles != "" {
		w.gates++
		c.Profile = filepath.Join(*profiles, fmt.Sprintf("gate-%d-%s.pprof", w.gates, mode))
	}
	return startGate(b, c)
}

// A way is how libpq reaches the server, directly or not, always over TLS.
type way struct{ env []string }

func newWay(b *testing.B, addr string, env ...string) way {
	host, port, err := net.SplitHostPort(addr)
	must(b, err)
	return way{append([]string{"PGHOST=" + host, "PGPORT=" + port, "PGSSLMODE=require", "PGAPPNAME=bench"}, env...)}
}

// pgbench returns the command that runs l over a way.
func (w *pgBench) pgbench(ctx context.Context, b *testing.B, to way, l pgLoad) *exec.Cmd {
	args := []string{"-n", "-M", l.mode, "-c", strconv.Itoa(l.clients), "-j", strconv.Itoa(min(l.clients, runtime.NumCPU())), "-T", strconv.Itoa(cmp.Or(l.seconds, pgSeconds))}
	if l.script == "" {
		args = append(args, "-S")
	} else {
		name := filepath.Join(w.dir, l.name+".sql")
		must(b, os.WriteFile(name, []byte(l.script), 0o600))
		args = append(args, "-f", name)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(testpg.Programs(), "pgbench"), args...)
	cmd.Env = to.env
	return cmd
}

// rate returns transactions a second.
func (w *pgBench) rate(b *testing.B, to way, l pgLoad) float64 {
	b.Helper()
	out, err := w.pgbench(b.Context(), b, to, l).CombinedOutput()
	if err != nil {
		fatal(b, "pgbench %s: %v\n%s", l.name, err, out)
	}
	n, failed, tps := after(b, out, "transactions actually processed: "), after(b, out, "failed transactions: "), after(b, out, "tps = ")
	if failed > 0 || n == 0 {
		fatal(b, "pgbench %s: %.0f of %.0f failed\n%s", l.name, failed, n, out)
	}
	w.done += int64(n)
	return tps
}

// after returns the number that stands in out behind a text.
func after(b *testing.B, out []byte, text string) (v float64) {
	b.Helper()
	_, rest, ok := bytes.Cut(out, []byte(text))
	if !ok {
		fatal(b, "pgbench does not say %q:\n%s", text, out)
	}
	_, err := fmt.Sscan(string(rest), &v)
	must(b, err)
	return v
}

// through is rate over the gate, which must have two receipts of each transaction.
func (w *pgBench) through(b *testing.B, g *gateProcess, l pgLoad) float64 {
	b.Helper()
	had, done := g.receipts(b), w.done
	tps := w.rate(b, g.way, l)
	if n := g.receipts(b) - had; n < 2*(w.done-done) {
		fatal(b, "%s: %d receipts of %d transactions", l.name, n, w.done-done)
	}
	return tps
}

// compare takes pairs in turns, over pgbouncer and over the gate.
func (w *pgBench) compare(b *testing.B, f figures, g *gateProcess, l pgLoad) {
	var ratios, bouncer, gate []float64
	for range l.rounds {
		x, y := w.rate(b, w.bouncer.way, l), w.through(b, g, l)
		ratios, bouncer, gate = append(ratios, y/x), append(bouncer, x), append(gate, y)
	}
	suffix := map[string]string{"buffered": "", "durable": "_durable"}[g.mode]
	f["pg."+l.name+"_vs_pgbouncer"+suffix] = median(ratios)
	f["pg."+l.name+"_tps"+suffix], f["pg."+l.name+"_pgbouncer_tps"+suffix] = median(gate), median(bouncer)
}

// alone measures what the two add to the latency of one client.
func (w *pgBench) alone(b *testing.B, f figures, g *gateProcess, l pgLoad) {
	var direct, bouncer, gate []float64
	for range l.rounds {
		d := 1e6 / w.rate(b, w.direct, l)
		direct = append(direct, d)
		bouncer = append(bouncer, 1e6/w.rate(b, w.bouncer.way, l)-d)
		gate = append(gate, 1e6/w.through(b, g, l)-d)
	}
	name := map[string]string{"simple_1": "", "prepared_1": "prepared_"}[l.name]
	f["pg."+name+"direct_us_1"] = median(direct)
	f["pg."+name+"pgbouncer_added_us_1"], f["pg."+name+"added_us_1"] = median(bouncer), median(gate)
	f["pg."+name+"added_beyond_pgbouncer_us_1"] = median(gate) - median(bouncer)
}

// idle returns how many MB the gate's process has more when n sessions of clients
// that do nothing are open.
func (w *pgBench) idle(b *testing.B, g *gateProcess, n int) float64 {
	one := w.pgbench(b.Context(), b, g.way, pgLoad{"one", "simple", 1, "\\sleep 1 s\n", 1, 1})
	must(b, one.Run()) // the catalog is there
	before := resident(b, g.cmd.Process)
	ctx, cancel := context.WithCancel(b.Context())
	hold := w.pgbench(ctx, b, g.way, pgLoad{"idle", "simple", n, "\\sleep 600 s\n", 1, 600})
	var out bytes.Buffer
	hold.Stdout, hold.Stderr = &out, &out
	must(b, hold.Start())
	defer func() {
		cancel()
		hold.Wait()
	}()
	deadline := time.Now().Add(2 * time.Minute)
	for open := 0; open < n; {
		time.Sleep(100 * time.Millisecond)
		if open = w.sessions(b); time.Now().After(deadline) {
			fatal(b, "%d of %d sessions after two minutes\n%s", open, n, &out)
		}
	}
	time.Sleep(2 * time.Second) // idle
	return resident(b, g.cmd.Process) - before
}

// sessions returns how many there are on the server, all of which speak TLS 1.3.
func (w *pgBench) sessions(b *testing.B) (n int) {
	c := w.pg.Connect(b, w.pg.Local(w.db))
	defer c.Close(b.Context())
	rows, err := testpg.Rows{PgConn: c}.Query(b.Context(), "SELECT s.version, count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = '"+pgUser+"' GROUP BY 1")
	must(b, err)
	for _, r := range rows {
		if r[0] != "TLSv1.3" {
			fatal(b, "a session with the server speaks %q", r[0])
		}
		n, err = strconv.Atoi(r[1])
		must(b, err)
	}
	return n
}

// committed returns the transactions of the database.
func (w *pgBench) committed(b *testing.B) int64 {
	c := w.pg.Connect(b, w.pg.Local(testpg.Superuser))
	defer c.Close(b.Context())
	rows, err := testpg.Rows{PgConn: c}.Query(b.Context(), "SELECT xact_commit FROM pg_stat_database WHERE datname = '"+w.db+"'")
	must(b, err)
	n, err := strconv.ParseInt(rows[0][0], 10, 64)
	must(b, err)
	return n
}

// arrived fails if the server does not know of all that pgbench has done. It counts
// a session's transactions when that ends.
func (w *pgBench) arrived(b *testing.B) {
	var n int64
	for deadline := time.Now().Add(10 * time.Second); n < w.done; time.Sleep(100 * time.Millisecond) {
		if n = w.committed(b) - w.before; time.Now().After(deadline) {
			fatal(b, "pgbench did %d transactions, and the server has seen %d", w.done, n)
		}
	}
	fmt.Fprintf(os.Stderr, "%d transactions, the server has seen %d, ", w.done, n)
}
