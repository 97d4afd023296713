package pggw_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
)

// shared is the server of the tests that change nothing of it as a whole.
var shared = new(testpg.Lazy)

// TestMain starts it when it is needed, and stops it.
func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

const schema = `
CREATE TABLE customers (id int PRIMARY KEY, name text, card text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total int, status text);
INSERT INTO customers SELECT i, 'c' || i, '4111-' || i FROM generate_series(1, 20) i;
INSERT INTO orders SELECT i, i % 20 + 1, i * 10, 'open' FROM generate_series(1, 100) i;
`

// tap is a relay before a server that counts what goes to it.
type tap struct {
	net.Listener
	sent  atomic.Int64
	conns atomic.Int64
	last  atomic.Pointer[net.Conn] // to the server
}

func newTap(t testing.TB, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			p.conns.Add(1)
			p.last.Store(&up)
			go func() {
				io.Copy(c, up)
				c.Close()
			}()
			go func() {
				io.Copy(io.MultiWriter(counter{&p.sent}, up), c) // counted before it can be answered
				up.Close()
			}()
		}
	}()
	return p
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// world is a gate before a real server.
type world struct {
	*testgate.Gate
	pg  *testpg.Server
	db  string
	tap *tap

	asked *pgconn.PgConn // a client that a test goes on with
}

func newWorld(t testing.TB, change func(*policy.Document)) *world {
	t.Helper()
	return newWorldAt(t, pggw.Steady, change)
}

// newDatabase makes a database with the schema, which the role app may use.
func newDatabase(t testing.TB, s *testpg.Server) string {
	t.Helper()
	db := s.Database(t)
	s.Exec(t, db, schema)
	s.Exec(t, db, fmt.Sprintf(`DO $$ BEGIN CREATE ROLE app LOGIN PASSWORD '%s'; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app`, testkit.Plain))
	return db
}

func newWorldAt(t testing.TB, p gateway.Protocol, change func(*policy.Document)) *world {
	t.Helper()
	return newWorldOn(t, shared.Get(t), p, change)
}

// newWorldOn returns a gate before that server.
func newWorldOn(t testing.TB, s *testpg.Server, p gateway.Protocol, change func(*policy.Document)) *world {
	t.Helper()
	w := &world{pg: s, db: newDatabase(t, s), tap: newTap(t, s.Addr)}
	w.Gate = testgate.New(t, testgate.Config{
		Policy: func(d *policy.Document) {
			w.policy(d)
			if change != nil {
				change(d)
			}
		},
		Doors: []testgate.Door{{Protocol: p, Config: func(string) json.RawMessage { return json.RawMessage(`{}`) }}},
	})
	return w
}

// policy is the usual policy: orders may be read and their status changed, customers
// be read but for their cards.
func (w *world) policy(d *policy.Document) { usualPolicy(d, w.tap.Addr().String(), w.db, w.pg.Pin) }

func usualPolicy(d *policy.Document, addr, db, pin string) {
	d.Language.Mappers = map[string]int{"sql": 1}
	d.Targets = []policy.Target{{
		ID: testkit.Target, Kind: "postgres", Origin: "postgres://" + addr + "/" + db, Pins: []string{pin}, Private: true,
		Inject: policy.Inject{How: "password", Name: "app"}, Secret: testkit.SecretID,
	}}
	d.Operations = []policy.Operation{
		{Declaration: op.Declaration{Type: "sql", Targets: []string{testkit.Target}, Actions: []string{"sql:connect"}}},
		{
			Declaration: op.Declaration{
				Type: "sql", Targets: []string{testkit.Target}, Actions: []string{"sql:select", "sql:update", "sql:transaction", "sql:set", "sql:show"}, SQL: &op.SQL{
					Relations: []op.SQLRelation{
						{Name: "public.customers", Read: []string{"id", "name"}},
						{Name: "public.orders", Read: []string{"*"}, Update: []string{"status"}},
					},
					Functions: []string{"@scalar", "@aggregates", "@sets"}, Settings: []string{"application_name"},
				},
			},
			Response: &policy.Response{MaxRows: 50},
		},
	}
	d.Rules = `@id("connect") permit (principal, action == Action::"sql:connect", resource);
@id("read") permit (principal, action == Action::"sql:select", resource);
@id("other") permit (principal, action in [Action::"sql:transaction", Action::"sql:set", Action::"sql:show"], resource);
@id("update") permit (principal, action == Action::"sql:update", resource) when { context.where };
@id("no-hash") forbid (principal, action == Action::"sql:select", resource) when { context.functions.contains("pg_catalog.md5(text)") };`
	d.Quotas, d.Pop = nil, policy.Pop{Default: op.Channel}
}

// config returns how a client of this library connects, with the credential as
// password.
func (w *world) config(t testing.TB, c *credential.Chain, k sign.Signer) *pgconn.Config {
	t.Helper()
	return clientConfig(t, w.Gate, c, k)
}

func clientConfig(t testing.TB, w *testgate.Gate, c *credential.Chain, k sign.Signer) *pgconn.Config {
	t.Helper()
	u := &url.URL{
		Scheme: "postgres", Host: w.Addrs[0], Path: "/" + testkit.Target, User: url.UserPassword("me", c.Text()),
		RawQuery: "sslmode=require&options=-c%20writ.purpose%3Drefund",
	}
	cfg, err := pgconn.ParseConfig(u.String())
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLSConfig = w.TLSAs(k)
	return cfg
}

func (w *world) connect(t testing.TB, cfg *pgconn.Config) *pgconn.PgConn {
	t.Helper()
	c, err := pgconn.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatalf("connect: %v\n%s", err, w.Logged.Bytes())
	}
	t.Cleanup(func() { c.Close(t.Context()) })
	return c
}

// client returns a connected client with the usual credential.
func (w *world) client(t testing.TB) *pgconn.PgConn {
	t.Helper()
	return w.connect(t, w.config(t, w.Wide(1), w.Holder(0)))
}

// count returns how many receipts of the kind there are for the action, "" for any.
func (w *world) count(kind receipt.Kind, action string) (n int) {
	for _, r := range w.Receipts(kind) {
		if action == "" || r.Action == action {
			n++
		}
	}
	return n
}

// writeKey writes k and its certificate as files and returns their names.
func (w *world) writeKey(t testing.TB, k sign.Signer) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	c := w.TLSAs(k).Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "holder.crt"), filepath.Join(dir, "holder.key")
	for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// run runs a program as a client of the gate and returns what it printed.
func (w *world) run(t testing.TB, pkg, program string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip("MISSING: " + pkg)
	}
	cert, key := w.writeKey(t, w.Holder(0))
	host, port, err := net.SplitHostPort(w.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGDATABASE="+testkit.Target, "PGUSER=me", "PGSSLMODE=require", "PGSSLCERT="+cert, "PGSSLKEY="+key,
		"PGOPTIONS=-c writ.purpose=refund", "PGPASSWORD="+w.Wide(1).Text())
	out, err := cmd.CombinedOutput()
	t.Logf("%s %s: %v", program, strings.Join(args, " "), err)
	return string(out)
}
