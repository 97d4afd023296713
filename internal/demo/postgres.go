package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/writhq/writ/internal/pgstart"
)

// A query is one statement that psql sends, with what is expected of it.
type query struct {
	what string
	sql  string
	want string // "" for permitted, or the code of the denial
}

// queries are those of the act.
var queries = []query{
	{"names and totals, joined", "SELECT c.name, sum(o.total) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name ORDER BY 1", ""},
	{"a column that is not listed", "SELECT name, card FROM customers", "not_declared"},
	{"a DELETE", "DELETE FROM orders WHERE id = 1", "not_declared"},
	{"a DELETE hidden in a WITH", "WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone", "not_declared"},
	{"a file of the server", "SELECT pg_read_file('/etc/passwd')", "not_declared"},
	{"five orders", "SELECT id, total FROM orders ORDER BY id LIMIT 5", ""},
	{"all orders: a sixth row where five are let", "SELECT id, total FROM orders", stopped},
}

// stopped is the code of an answer that was cut: the statement was permitted, and ran.
const stopped = "response_stopped"

// postgres shows a database, statement by statement, if PostgreSQL is installed.
func (s *story) postgres(ctx context.Context) error {
	const name, title = "postgres", "7. A database: psql through the gate, statement by statement"
	if s.w.database == nil {
		s.say("\n%s\n  left out: PostgreSQL is not installed here (Debian: postgresql)", title)
		s.r.Acts = append(s.r.Acts, ActResult{Name: name, Skipped: "PostgreSQL is not installed"})
		return nil
	}
	defer s.begin(name, title)()
	doc := s.w.reports()
	if err := s.w.database.grant(ctx, doc); err != nil {
		return err
	}
	s.say("  a server of the demo's own at %s; the role %s has what writ pg grants prints, and no more", s.w.database.server.Addr, reportsUser)
	law, err := s.w.publish(ctx, doc)
	if err != nil {
		return err
	}
	s.say("  %s version 1: read orders and the names of customers, %d rows at a time, for the purpose report", reportsAlias, mostRows)
	if err := s.w.sealSecret(ctx, sealing{law, reportsSecret, s.w.database.password}); err != nil {
		return err
	}
	if s.reports, err = s.reader(); err != nil {
		return err
	}
	s.say("  sam sealed the password; psql has a credential instead, and a key")
	for _, q := range queries {
		if err := s.ask(ctx, q); err != nil {
			return err
		}
	}
	code, err := s.w.database.past(ctx, "SELECT card FROM public.customers")
	if err != nil {
		return err
	}
	s.expect(code == "42501", "past the gate, the role reads cards: %q", code)
	s.say("  with the password itself, past the gate, the server refuses the role the cards too: %s", code)
	return nil
}

// ask runs one statement by psql, tells of it, and counts it.
func (s *story) ask(ctx context.Context, q query) error {
	before := s.w.database.statements()
	a, rows, err := s.psql(ctx, q.sql)
	if err != nil {
		return err
	}
	reached := s.w.database.statements() - before
	switch a.code {
	case "", stopped:
		s.r.Permitted++
		s.act.Permitted++
		s.expect(reached == 1, "%s: the server saw %d statements", q.what, reached)
	default:
		s.r.Denied++
		s.act.Denied++
		s.expect(reached == 0, "%s: denied, but the server saw it", q.what)
	}
	switch a.code {
	case "":
		s.say("  yes  %-42s -> %s", q.what, rows)
	case stopped:
		s.say("  cut  %-42s -> %s: %s", q.what, a.code, a.detail)
	default:
		s.say("  no   %-42s -> %s: %s", q.what, a.code, a.detail)
	}
	s.expect(a.code == q.want, "%s: got %q, want %q", q.what, a.code, q.want)
	s.expect(a.code == "" || a.receipt != "", "%s: no receipt", q.what)
	return nil
}

// detailForm finds the code of a denial and its receipt in what psql prints.
var detailForm = regexp.MustCompile(`(?m)^DETAIL:  code ([a-z_]+)(?:, .*)?, receipt (sha256:[0-9a-f]+)$`)

// psql runs a statement in a process of its own, and returns the gate's answer and the
// rows. What it prints is kept, to be searched for the password.
func (s *story) psql(ctx context.Context, sql string) (a answer, rows string, err error) {
	host, port, err := net.SplitHostPort(s.w.postgresAddr)
	if err != nil {
		return a, "", err
	}
	path := func(name string) string { return filepath.Join(s.Dir, name) }
	c := exec.CommandContext(ctx, filepath.Join(pgstart.Programs(), "psql"), "-X", "-A", "-t", "-w", "-c", sql)
	c.Env = []string{
		"PGHOST=" + host, "PGPORT=" + port, "PGDATABASE=" + shop, "PGUSER=me", "PGSSLMODE=verify-full", "PGSSLROOTCERT=" + path("gate.crt"),
		"PGSSLCERT=" + path("reports.crt"), "PGSSLKEY=" + path("reports.tls.key"), "PGOPTIONS=-c writ.purpose=report", "PGPASSWORD=" + s.reports.Text(),
		"LC_ALL=C", "PGAPPNAME=psql", "PGPASSFILE=" + os.DevNull,
	}
	var out, failed bytes.Buffer
	c.Stdout, c.Stderr = &out, &failed
	err = c.Run()
	s.printed = append(append(s.printed, out.Bytes()...), failed.Bytes()...)
	if err == nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return a, fmt.Sprintf("%d rows: %s", len(lines), strings.Join(lines, ", ")), nil
	}
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		return a, "", err
	}
	m := detailForm.FindStringSubmatch(failed.String())
	if m == nil {
		return a, "", fmt.Errorf("%w: psql: %s", ErrDemo, failed.String())
	}
	a.code, a.receipt = m[1], m[2]
	first, _, _ := strings.Cut(failed.String(), "\n")
	a.detail = strings.TrimPrefix(first, "ERROR:  writ: ")
	return a, "", nil
}
