// Package testpg starts a real PostgreSQL server for tests: one of its own, in a
// temporary folder, which it removes again.
package testpg

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/pgstart"
	"github.com/writhq/writ/internal/testgate"
)

// A Server is a running server.
type Server struct {
	*pgstart.Server
	Pin      string // sha256: of its key
	Password string // of the superuser, by SCRAM
}

// Superuser is the superuser's name, and that of the first database.
const Superuser = pgstart.Superuser

// Programs returns the folder of the newest server's programs, or "".
func Programs() string { return pgstart.Programs() }

// Start starts a server that stops with the test, with settings beside the usual
// ones, each name=value. It skips the test if there is none to start.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "writ-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cert := testgate.Certificate(t)
	s := &Server{Password: random(), Pin: canon.Hash(cert.Leaf.RawSubjectPublicKeyInfo).String()}
	s.Server, err = pgstart.Start(t.Context(), pgstart.Config{Dir: dir, Cert: cert, Password: []byte(s.Password), Settings: settings})
	if errors.Is(err, pgstart.ErrMissing) {
		t.Skip("MISSING: postgresql")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Exec runs statements as the superuser.
func (s *Server) Exec(t testing.TB, database, sql string) {
	t.Helper()
	c := s.Connect(t, s.Local(database))
	defer c.Close(t.Context())
	if _, err := c.Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

// Connect connects.
func (s *Server) Connect(t testing.TB, config string) *pgconn.PgConn {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Database makes a database and returns its name.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := "test_" + random()[:12]
	s.Exec(t, Superuser, "CREATE DATABASE "+name)
	return name
}

func random() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// Rows runs one query as text and returns its rows; it implements the Querier of
// package sqlcatalog.
type Rows struct{ *pgconn.PgConn }

// Query implements that interface.
func (r Rows) Query(ctx context.Context, sql string) ([][]string, error) {
	res := r.ExecParams(ctx, sql, nil, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, res.Err
	}
	out := make([][]string, len(res.Rows))
	for i, row := range res.Rows {
		out[i] = make([]string, len(row))
		for j, c := range row {
			out[i][j] = string(c)
		}
	}
	return out, nil
}
