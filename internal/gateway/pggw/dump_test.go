package pggw_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/holder/pg"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/policy"
)

// dumps lets pg_dump of version 15 do its work, by the recipe of the cookbook.
func dumps(t *testing.T) func(*policy.Document) {
	t.Helper()
	const recipe = "../../../docs/cookbook/postgres-dump"
	text, err := os.ReadFile(recipe + ".jsonc")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile(recipe + ".cedar")
	if err != nil {
		t.Fatal(err)
	}
	var plain strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "//") {
			plain.WriteString(line)
		}
	}
	var from policy.Document
	if err := json.Unmarshal([]byte(plain.String()), &struct {
		Operations *[]policy.Operation
	}{&from.Operations}); err != nil {
		t.Fatal(err)
	}
	return func(d *policy.Document) { d.Operations, d.Rules = from.Operations, string(rules) }
}

// TestDump has pg_dump make through the gate what it makes at the server: with the
// holder's key, and over a local socket.
//
// SPEC SQL-13, PGGW-11
func TestDump(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dumps(t))
	w.pg.Exec(t, w.db, `CREATE TABLE items (id serial PRIMARY KEY, name text DEFAULT 'x' CHECK (name <> ''), price numeric); INSERT INTO items (name, price) SELECT 'i' || n, n FROM generate_series(1, 50) n;
CREATE VIEW cheap AS SELECT id FROM items WHERE price < 10; CREATE INDEX ON items (price); COMMENT ON TABLE items IS 'it''s'; GRANT SELECT ON items, cheap, items_id_seq TO app`)
	got := w.run(t, "postgresql-client", "pg_dump", "--no-password", testkit.Target)
	host, port, _ := strings.Cut(w.pg.Addr, ":")
	direct := exec.Command("pg_dump", "--no-password", w.db)
	direct.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER="+testpg.Superuser, "PGPASSWORD="+w.pg.Password, "PGSSLMODE=require")
	want, err := direct.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, want)
	}
	if local := kept(w.local(t, "pg_dump", "--no-password", testkit.Target)); local != kept(got) {
		t.Errorf("over a socket:\n%.3000s", local)
	}
	if a, b := kept(got), kept(string(want)); a != b || !strings.Contains(a, "CREATE VIEW public.cheap") || !strings.Contains(a, "50\ti50\t50") {
		t.Errorf("through the gate:\n%.3000s\nat the server:\n%.3000s", a, b)
		for _, r := range w.Receipts() {
			if r.Kind == "denial" {
				fmt.Println(r.Action, r.Decision, r.Note)
			}
		}
	}
}

// local runs a client of a local socket, whose relay has key and credential.
func (w *world) local(t *testing.T, program string, args ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "writ-pg-") // the test's own has too long a name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	r, err := pg.New(pg.Config{Gate: w.Addrs[0], Roots: w.TLS().RootCAs, Credential: w.Wide(1), Key: w.Holder(0), Purpose: "refund"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := pg.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx, l) }()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "PGHOST="+dir, "PGUSER=me")
	out, err := cmd.CombinedOutput()
	if cancel(); err != nil {
		t.Errorf("%s over a socket: %v", program, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return string(out)
}

// kept returns a dump without its comments and what hangs on the moment.
func kept(dump string) string {
	var out []string
	for line := range strings.Lines(dump) {
		if !strings.HasPrefix(line, "--") && !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}
