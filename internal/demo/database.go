package demo

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/internal/pgrole"
	"github.com/writhq/writ/internal/pgstart"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
)

const (
	reportsAlias  = "payments/reports"
	reportsSecret = "shop-db"
	shop          = "shop" // the target, and its database
	reportsUser   = "app"
	mostRows      = 5
)

// tables are those of the shop: twelve orders, and cards that are nobody's business.
const tables = `CREATE TABLE customers (id int PRIMARY KEY, name text, card text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, total int);
INSERT INTO customers VALUES (1, 'Ada', '4111 1111 1111 1111'), (2, 'Grace', '5500 0000 0000 0004'), (3, 'Edsger', '3400 0000 0000 009');
INSERT INTO orders SELECT i, i % 3 + 1, 1000 * i FROM generate_series(1, 12) i;`

// reportsRules let the role connect and read.
const reportsRules = `// What reports may do with the shop's database. What they may read is in the policy's fields.
@id("connect") permit(principal, action == Action::"sql:connect", resource in Target::"shop");
@id("read") permit(principal, action == Action::"sql:select", resource in Target::"shop");
`

// A database is the PostgreSQL server that the demo protects beside the API.
type database struct {
	server   *pgstart.Server
	dir      string // for its files; removed in the end
	log      string // file with each statement that it was sent
	pin      string // of its TLS key
	password []byte // of the role, as the database's owner has it
	direct   int64  // statements of the role that came past the gate
}

// installed reports whether PostgreSQL is, server and psql.
func installed() bool {
	bin := pgstart.Programs()
	_, err := os.Stat(filepath.Join(bin, "psql"))
	return bin != "" && err == nil
}

// newDatabase starts a server of the demo's own, with the shop's tables.
func newDatabase(ctx context.Context) (_ *database, err error) {
	cert, err := selfSigned("127.0.0.1")
	if err != nil {
		return nil, err
	}
	d := &database{pin: canon.Hash(cert.Leaf.RawSubjectPublicKeyInfo).String(), password: newKey()}
	if d.dir, err = os.MkdirTemp(temp(), "writ-demo-pg-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	log, err := os.CreateTemp(temp(), "writ-demo-pg-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close() // the server has it open
	d.log = log.Name()
	d.server, err = pgstart.Start(ctx, pgstart.Config{
		Dir: d.dir, Cert: cert, Password: newKey(), Log: log,
		Settings: []string{"log_statement=all", "log_min_messages=log", "log_line_prefix=%u: ", "password_encryption=scram-sha-256"},
	})
	if err != nil {
		return nil, err
	}
	if err := d.run(ctx, pgstart.Superuser, "CREATE DATABASE "+shop); err != nil {
		return nil, err
	}
	return d, d.run(ctx, shop, tables)
}

// temp returns the folder for temporary ones. The server of a demo that root runs is
// another user's, who may have no way into root's own.
func temp() string {
	dir := os.TempDir()
	for p := dir; os.Getuid() == 0 && p != "/" && p != "."; p = filepath.Dir(p) {
		if st, err := os.Stat(p); err != nil || st.Mode()&0o001 == 0 {
			return "/tmp"
		}
	}
	return dir
}

// run runs statements as the superuser.
func (d *database) run(ctx context.Context, database, sql string) error {
	c, err := pgconn.Connect(ctx, d.server.Local(database))
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, sql).ReadAll()
	return errors.Join(err, c.Close(ctx))
}

// grant makes the role that the policy takes: what writ pg grants prints, with a
// password.
func (d *database) grant(ctx context.Context, doc *policy.Document) error {
	roles, err := pgrole.Of(doc, "")
	if err != nil {
		return err
	}
	for _, r := range roles {
		if err := d.run(ctx, r.Database, r.Text()+strings.Join(r.Others, "\n")); err != nil {
			return err
		}
	}
	return d.run(ctx, shop, fmt.Sprintf("SET log_statement = none; ALTER ROLE %s PASSWORD '%s'", reportsUser, d.password))
}

// past returns the SQLSTATE of a statement that the role runs past the gate, with the
// real password; "" if it ran.
func (d *database) past(ctx context.Context, sql string) (string, error) {
	c, err := pgconn.ParseConfig(d.server.Local(shop))
	if err != nil {
		return "", err
	}
	c.User, c.Password = reportsUser, string(d.password) //secret:string the demo's own, made to be searched for; pgconn takes a string
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return "", err
	}
	_, err = conn.Exec(ctx, sql).ReadAll()
	conn.Close(ctx)
	d.direct++
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code, nil
	}
	return "", err
}

// statements returns how many statements on the shop's tables, or on files, the role
// has sent to the server. A statement is in the log before it runs.
func (d *database) statements() (n int64) {
	b, err := os.ReadFile(d.log)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if bytes.HasPrefix(line, []byte(reportsUser+": LOG: ")) && (bytes.Contains(line, []byte("public.")) || bytes.Contains(line, []byte("pg_read_file"))) {
			n++
		}
	}
	return n
}

func (d *database) close() error {
	if d.server != nil {
		d.server.Stop()
	}
	err := os.RemoveAll(d.dir)
	if d.log != "" {
		err = errors.Join(err, os.Remove(d.log))
	}
	return err
}

// reports returns the policy payments/reports: read orders and the names of customers,
// five rows at a time.
func (w *world) reports() *policy.Document {
	d := w.document(1, 0, canon.Digest{})
	d.Alias, d.Language.Mappers, d.Rules = reportsAlias, map[string]int{"sql": 1}, reportsRules
	d.Pop = policy.Pop{Default: op.Channel}
	d.Purposes = []policy.Purpose{{ID: "report", Text: "Write the monthly report"}}
	d.Targets = []policy.Target{{
		ID: shop, Kind: "postgres", Origin: "postgres://" + w.database.server.Addr + "/" + shop, Pins: []string{w.database.pin}, Private: true, Region: "eu",
		Inject: policy.Inject{How: "password", Name: reportsUser}, Secret: reportsSecret,
	}}
	d.Secrets[0].ID, d.Secrets[0].Kind = reportsSecret, "postgres-password"
	d.Operations = []policy.Operation{
		{Declaration: op.Declaration{Type: "sql", Targets: []string{shop}, Actions: []string{"sql:connect"}}},
		{
			Declaration: op.Declaration{Type: "sql", Targets: []string{shop}, Actions: []string{"sql:select"}, SQL: &op.SQL{
				Relations: []op.SQLRelation{{Name: "public.customers", Read: []string{"id", "name"}}, {Name: "public.orders", Read: []string{"*"}}},
				Functions: []string{"@aggregates"},
			}},
			Response: &policy.Response{MaxRows: mostRows},
		},
	}
	d.Receipts.Mode = string(receipt.Durable)
	return d
}

// reader makes a credential for reports, and writes it with its key as psql reads them.
func (s *story) reader() (*credential.Chain, error) {
	k, err := sign.Generate(sign.Ed25519)
	if err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	c, err := credential.Issue(credential.Grant{
		Zone: s.w.root.Zone(), Alias: reportsAlias, MinVersion: 1, Subject: "svc/reports",
		Terms: credential.Terms{Holder: credential.NewHolderKey(k.Public()), NotBefore: now - 30, Expires: now + 86400, Depth: 1},
	}, s.w.people["iris"])
	if err != nil {
		return nil, err
	}
	cert, err := identity.Certificate(k)
	if err != nil {
		return nil, err
	}
	plain, err := k.Marshal()
	if err != nil {
		return nil, err
	}
	defer plain.Wipe()
	files := map[string][]byte{
		"reports.writ": []byte(c.Text() + "\n"), "reports.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		"gate.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.w.cert}),
	}
	plain.Use(func(b []byte) error {
		files["reports.tls.key"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
		return nil
	})
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(s.Dir, name), b, 0o600); err != nil {
			return nil, err
		}
	}
	return c, nil
}
