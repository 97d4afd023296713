package pggw_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// let makes the server let users in by these lines of its pg_hba.conf.
func (w *world) let(t *testing.T, lines ...string) {
	t.Helper()
	lines = append([]string{"local all all trust"}, lines...)
	w.pg.Exec(t, w.db, fmt.Sprintf(`DO $$ BEGIN
EXECUTE format('COPY (SELECT unnest(%%L::text[])) TO %%L', ARRAY['%s'], current_setting('hba_file')); PERFORM pg_reload_conf(); END $$`, strings.Join(lines, "','")))
}

// comes connects, which may take until the server has read its configuration.
func (w *world) comes(t *testing.T) *pgconn.PgConn {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := pgconn.ConnectConfig(t.Context(), w.config(t, w.Wide(1), w.Holder(0)))
		if err == nil {
			t.Cleanup(func() { c.Close(t.Context()) })
			return c
		}
		if time.Now().After(end) {
			t.Fatalf("%v\n%s", err, w.Logged.Bytes())
		}
	}
}

// TestLogins shows the other ways into a server: md5, and a client certificate,
// which is the secret.
//
// SPEC PGGW-3
func TestLogins(t *testing.T) {
	t.Parallel()
	login := func(how, user string) func(*policy.Document) {
		return func(d *policy.Document) { d.Targets[0].Inject = policy.Inject{How: how, Name: user} }
	}
	md5 := newWorldOn(t, testpg.Start(t), pggw.Protocol, login("md5", "old"))
	md5.pg.Exec(t, md5.db, fmt.Sprintf("SET password_encryption = md5; CREATE ROLE old LOGIN PASSWORD '%s'; GRANT SELECT ON orders TO old", testkit.Plain))
	md5.let(t, "host all old 127.0.0.1/32 md5", "host all app 127.0.0.1/32 scram-sha-256")
	if n, err := query(t, md5.comes(t), "SELECT id FROM orders WHERE id = 1"); n != 1 || err != nil {
		t.Errorf("md5: %d rows, %v", n, err)
	}

	w := newWorldOn(t, testpg.Start(t), pggw.Protocol, login("client_certificate", "test"))
	cert := testgate.Certificate(t) // for a user of that name
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	chain := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
	w.pg.Exec(t, w.db, fmt.Sprintf(`CREATE ROLE test LOGIN; GRANT SELECT ON orders TO test;
DO $$ BEGIN EXECUTE format('COPY (SELECT unnest(%%L::text[])) TO %%L', string_to_array('%s', E'\n'), current_setting('data_directory') || '/client-ca.crt'); END $$`, strings.TrimSpace(chain)))
	w.pg.Exec(t, w.db, "ALTER SYSTEM SET ssl_ca_file = 'client-ca.crt'")
	w.let(t, "hostssl all test 127.0.0.1/32 cert")
	w.PutSecret(2, chain+string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	if n, err := query(t, w.comes(t), "SELECT id FROM orders WHERE id = 1"); n != 1 || err != nil {
		t.Errorf("client certificate: %d rows, %v", n, err)
	}
}

// TestRogueServers shows servers that ask for less than the policy says, and one
// that stands between the gate and the real one: none of them gets the password, or
// what could be used in its place.
//
// SPEC PGGW-3
// A17 R2/sql
func TestRogueServers(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]pgproto3.BackendMessage{
		"cleartext": &pgproto3.AuthenticationCleartextPassword{}, "md5": &pgproto3.AuthenticationMD5Password{Salt: [4]byte{1, 2, 3, 4}},
		"nothing": &pgproto3.AuthenticationOk{}, "no channel binding, and md5": &pgproto3.AuthenticationSASL{AuthMechanisms: []string{"PLAIN"}},
	} {
		r := newRogue(t, ask)
		w := newWorld(t, func(d *policy.Document) {
			d.Targets[0].Origin, d.Targets[0].Pins = "postgres://"+r.addr+"/shop", []string{r.pin}
		})
		_, err := pgconn.ConnectConfig(t.Context(), w.config(t, w.Wide(1), w.Holder(0)))
		if err == nil || !strings.Contains(err.Error(), "does not let the gate in") {
			t.Errorf("%s: %v", name, err)
		}
		r.mu.Lock()
		if bytes.Contains(r.got, []byte(testkit.Plain)) || bytes.Contains(r.got, []byte("md5")) || r.asked == 0 {
			t.Errorf("%s: it was asked %d times, and got %q", name, r.asked, r.got)
		}
		r.mu.Unlock()
	}
	w := newWorld(t, nil)
	m := newMiddle(t, w.pg)
	m.tls = true
	w.Succeed(func(d *policy.Document) { usualPolicy(d, m.addr, m.db, m.pin) })
	if _, err := pgconn.ConnectConfig(t.Context(), w.config(t, w.Wide(1), w.Holder(0))); err == nil || !strings.Contains(string(w.Logged.Bytes()), "channel binding") {
		t.Errorf("one in the middle: %v\n%s", err, w.Logged.Bytes())
	}
}

// A rogue is a server that asks for something else.
type rogue struct {
	addr, pin string

	mu    sync.Mutex
	asked int    // guarded by mu
	got   []byte // guarded by mu; after it asked
}

func newRogue(t *testing.T, ask pgproto3.BackendMessage) *rogue {
	t.Helper()
	cert := testgate.Certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &rogue{addr: l.Addr().String(), pin: canon.Hash(cert.Leaf.RawSubjectPublicKeyInfo).String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(c, cert, ask)
		}
	}()
	return r
}

func (r *rogue) serve(raw net.Conn, cert tls.Certificate, ask pgproto3.BackendMessage) {
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := raw.Read(make([]byte, 8)); err != nil || say(raw, []byte{'S'}) != nil {
		return
	}
	c := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
	b := pgproto3.NewBackend(c, c)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	r.mu.Lock()
	r.asked++ // before it can be refused
	r.mu.Unlock()
	b.Send(ask)
	if b.Flush() != nil {
		return
	}
	for buf := make([]byte, 4096); ; {
		n, err := c.Read(buf)
		r.mu.Lock()
		r.got = append(r.got, buf[:n]...)
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// TestReadOnly shows a policy that lets nothing be written: the server holds it too.
//
// SPEC PGGW-3
// R3/sql
// guard: read-only-session
func TestReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) {
		o := &d.Operations[1]
		o.Actions = []string{"sql:select", "sql:transaction", "sql:set", "sql:show"}
		o.SQL.Relations[1].Update = nil
		o.SQL.Relations = append(o.SQL.Relations, op.SQLRelation{Name: "public.report", Read: []string{"*"}})
		d.Rules = strings.Replace(d.Rules, `@id("update") permit (principal, action == Action::"sql:update", resource) when { context.where };`, "", 1)
	})
	w.pg.Exec(t, w.db, `CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS 'UPDATE orders SET total = 0 RETURNING 1';
CREATE VIEW report AS SELECT writes() n; GRANT SELECT ON report TO app`)
	c := w.client(t)
	for _, sql := range []string{"SELECT n FROM report", "BEGIN; SELECT n FROM report"} {
		if _, err := query(t, c, sql); err == nil || !strings.Contains(err.Error(), "25006") {
			t.Errorf("%s: %v", sql, err)
		}
		if _, err := query(t, c, "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		"BEGIN READ WRITE", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE", "SET TRANSACTION READ WRITE", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
		"SET transaction_read_only = off", "SET default_transaction_read_only TO off", "SET SESSION default_transaction_read_only = 0",
	} {
		if _, err := query(t, c, sql); denied(err) == nil || !strings.Contains(err.Error(), "transaction_read_only is not declared") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for _, sql := range []string{"BEGIN READ ONLY", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "ROLLBACK"} {
		if _, err := query(t, c, sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}
