// Package clients runs the clients that people have, unmodified, against a gate
// before a real server.
package clients

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/internal/holder/pg"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
)

// TestMain makes the test's binary the parser when it is started as one.
func TestMain(m *testing.M) { os.Exit(new(testpg.Lazy).Main(m)) }

// role is the server's user of every gate. Its password is the sealed secret.
var role = fmt.Sprintf(`CREATE ROLE app LOGIN PASSWORD '%s'`, testkit.Plain)

const schema = `
CREATE TABLE customers (id int PRIMARY KEY, name text, card text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total int, status text);
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88));
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
INSERT INTO customers SELECT i, 'c' || i, '4111-' || i FROM generate_series(1, 20) i;
INSERT INTO orders SELECT i, i % 20 + 1, i * 10, 'open' FROM generate_series(1, 100) i;
INSERT INTO pgbench_branches VALUES (1, 0);
INSERT INTO pgbench_accounts SELECT i, 1, 0 FROM generate_series(1, 100000) i;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
`

// world is a gate before a database of its own, and a holder's key and credential.
type world struct {
	*testgate.Gate
	key   sign.PrivateKey
	chain *credential.Chain
}

// newWorld returns a gate before the server, and its holder with a key of the
// algorithm. A holder of Ed25519 has a short credential, one of P-256 a long one.
func newWorld(t *testing.T, s *testpg.Server, alg sign.Algorithm) *world {
	t.Helper()
	db := s.Database(t)
	s.Exec(t, db, schema)
	w := &world{}
	w.Gate = testgate.New(t, testgate.Config{
		Policy: func(d *policy.Document) { setPolicy(d, s, db) },
		Doors:  []testgate.Door{{Protocol: pggw.Protocol, Config: func(string) json.RawMessage { return json.RawMessage(`{}`) }}},
	})
	w.key, w.chain = w.Holder(0), w.Wide(1)
	if alg == sign.P256 {
		for _, k := range []sign.PrivateKey{w.Holder(1), w.Holder(2), w.Holder(3), w.KeyP256("holder")} {
			w.lengthen(t, k)
		}
		if n := len(w.chain.Text()); n < 20_000 {
			t.Fatalf("a credential of %d characters is not a long one", n)
		}
	}
	return w
}

// lengthen hands the credential on to the holder of k, with rules that say nothing
// at length.
func (w *world) lengthen(t testing.TB, k sign.PrivateKey) {
	t.Helper()
	terms := w.chain.Last()
	terms.Holder = credential.NewHolderKey(k.Public())
	terms.Rules = `@id("all") permit (principal, action, resource); // ` + strings.Repeat("all ", 880)
	terms.Language = &policy.Language{Cedar: "4", Mappers: map[string]int{"sql": 1}}
	chain, err := w.chain.Narrow(w.key, "", terms)
	if err != nil {
		t.Fatal(err)
	}
	w.key, w.chain = k, chain
}

// setPolicy lets orders be read and their status be changed, and customers be read
// but for their cards.
func setPolicy(d *policy.Document, s *testpg.Server, db string) {
	d.Language.Mappers = map[string]int{"sql": 1}
	d.Targets = []policy.Target{{
		ID: testkit.Target, Kind: "postgres", Origin: "postgres://" + s.Addr + "/" + db, Pins: []string{s.Pin}, Private: true,
		Inject: policy.Inject{How: "password", Name: "app"}, Secret: testkit.SecretID,
	}}
	d.Operations = []policy.Operation{
		{Declaration: op.Declaration{Type: "sql", Targets: []string{testkit.Target}, Actions: []string{"sql:connect"}}},
		{Declaration: op.Declaration{
			Type: "sql", Targets: []string{testkit.Target}, Actions: []string{"sql:select", "sql:update", "sql:transaction", "sql:set", "sql:show"}, SQL: &op.SQL{
				Relations: []op.SQLRelation{
					{Name: "public.customers", Read: []string{"id", "name"}},
					{Name: "public.orders", Read: []string{"*"}, Update: []string{"status"}},
					{Name: "public.pgbench_accounts", Read: []string{"aid", "abalance"}},
					{Name: "public.pgbench_branches", Read: []string{"*"}},
				},
				Functions: []string{"@scalar", "@aggregates", "@sets"}, Settings: []string{"application_name", "extra_float_digits"},
			},
		}},
	}
	d.Rules = `@id("connect") permit (principal, action == Action::"sql:connect", resource);
@id("read") permit (principal, action == Action::"sql:select", resource);
@id("other") permit (principal, action in [Action::"sql:transaction", Action::"sql:set", Action::"sql:show"], resource);
@id("update") permit (principal, action == Action::"sql:update", resource) when { context.where };`
	d.Quotas, d.Pop = nil, policy.Pop{Default: op.Channel}
}

// settings are a client's, by the names that libpq knows them under in the
// environment.
type settings map[string]string

// env returns s as an environment beside the test's own, of which nothing that names
// a server goes on.
func (s settings) env() []string {
	out := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
	for k, v := range s {
		out = append(out, k+"="+v)
	}
	return out
}

// settings returns how w's holder connects to the gate: a short credential is given
// as it is, a long one by a file.
func (w *world) settings(t *testing.T) settings {
	t.Helper()
	dir := t.TempDir()
	host, port, err := net.SplitHostPort(w.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	c := w.TLSAs(w.key).Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if kind != "" {
			der = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		}
		if err := os.WriteFile(file, der, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("holder.pk8", "", der) // JDBC takes DER
	out := settings{
		"PGHOST": host, "PGPORT": port, "PGDATABASE": testkit.Target, "PGUSER": "me", "PGOPTIONS": "-c writ.purpose=refund",
		"PGSSLMODE": "verify-full", "PGSSLROOTCERT": write("gate.crt", "CERTIFICATE", w.Certificate().Raw),
		"PGSSLCERT": write("holder.crt", "CERTIFICATE", c.Certificate[0]), "PGSSLKEY": write("holder.key", "PRIVATE KEY", der),
	}
	if w.key.Public().Algorithm() == sign.Ed25519 {
		out["PGPASSWORD"] = w.chain.Text()
	} else {
		out["PGPASSFILE"] = write("passfile", "", []byte("*:*:*:me:"+w.chain.Text()+"\n"))
	}
	return out
}

// socket returns what a client needs at a local socket, whose relay has the rest.
func (w *world) socket(t *testing.T) settings {
	r, dir := w.relay(t)
	l, err := pg.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	run(t, func(ctx context.Context) error { return r.Run(ctx, l) })
	return settings{"PGHOST": dir, "PGPORT": "5432", "PGDATABASE": testkit.Target, "PGUSER": "me"}
}

// port returns what a client needs at a port of this machine.
func (w *world) port(t *testing.T) settings {
	r, dir := w.relay(t)
	p, err := pg.ListenPort(t.Context(), dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	run(t, func(ctx context.Context) error { return r.RunPort(ctx, p, p.Token) })
	return settings{"PGHOST": "127.0.0.1", "PGPORT": strconv.Itoa(p.Number()), "PGDATABASE": testkit.Target, "PGUSER": "me", "PGPASSFILE": p.File}
}

// relay returns a relay, and a folder for what it listens on.
func (w *world) relay(t *testing.T) (*pg.Relay, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "writ-pg-") // the test's own has too long a name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r, err := pg.New(pg.Config{Gate: w.Addrs[0], Roots: w.TLS().RootCAs, Credential: w.chain, Key: w.key, Purpose: "refund"})
	if err != nil {
		t.Fatal(err)
	}
	return r, dir
}

// run runs f until the test ends.
func run(t *testing.T, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// counts returns how many receipts there are of what a story does, by kind and
// action. What a client sends of its own, such as SET, hangs on its version.
func (w *world) counts() map[string]int {
	out := map[string]int{}
	for _, r := range w.Receipts(receipt.Intent, receipt.Denial) {
		switch action := strings.TrimPrefix(r.Action, "sql:"); action {
		case "connect", "select", "insert", "update", "delete", "transaction":
			out[string(r.Kind)+" "+action]++
		}
	}
	return out
}
