// Package testpg starts a real PostgreSQL server for tests: one of its own, in a
// temporary folder, which it removes again.
package testpg

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testgate"
)

// A Server is a running server.
type Server struct {
	Addr     string              // host:port, with TLS
	Pin      string              // sha256: of its key
	Password string              // of the superuser, by SCRAM
	Who      *syscall.Credential // whom it runs as; nil: whoever runs the test
	socket   string              // folder of its Unix socket, on which the superuser needs no password
	port     string
}

// Superuser is the superuser's name, and that of the first database.
const Superuser = "postgres"

// Programs returns the folder of the newest server's programs, or "".
func Programs() string {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return ""
	}
	version := func(p string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(p))))
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
}

// Start starts a server that stops with the test, with settings beside the usual
// ones, each name=value. It skips the test if there is none to start.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	bin := Programs()
	if bin == "" {
		t.Skip("MISSING: postgresql")
	}
	dir, err := os.MkdirTemp("", "writ-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	who := unprivileged(t, dir)
	s := &Server{Password: random(), Who: who, socket: dir, port: freePort(t)}
	s.Addr = "127.0.0.1:" + s.port
	cert := testgate.Certificate(t)
	s.Pin = canon.Hash(cert.Leaf.RawSubjectPublicKeyInfo).String()
	writePEM(t, cert, filepath.Join(dir, "server"))
	data, pwfile := filepath.Join(dir, "data"), filepath.Join(dir, "password")
	if err := os.WriteFile(pwfile, []byte(s.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	own(t, who, dir)
	run := func(name string, args ...string) {
		t.Helper()
		c := exec.Command(filepath.Join(bin, name), args...)
		c.SysProcAttr, c.Dir = &syscall.SysProcAttr{Credential: who}, dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run("initdb", "-D", data, "-U", Superuser, "--pwfile", pwfile, "--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync")
	args := []string{
		"-D", data, "-k", dir, "-p", s.port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
		"-c", "ssl=on", "-c", "ssl_cert_file=" + filepath.Join(dir, "server.crt"), "-c", "ssl_key_file=" + filepath.Join(dir, "server.key"),
		"-c", "max_connections=200", "-c", "log_min_messages=fatal",
	}
	for _, kv := range settings {
		args = append(args, "-c", kv)
	}
	c := exec.Command(filepath.Join(bin, "postgres"), args...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGQUIT}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGQUIT)
		c.Wait()
	})
	s.wait(t)
	return s
}

// wait returns when the server answers.
func (s *Server) wait(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for {
		c, err := pgconn.Connect(ctx, s.Local(Superuser))
		if err == nil {
			c.Close(ctx)
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the server does not answer: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Local returns how the superuser connects to a database without TLS or password.
func (s *Server) Local(database string) string {
	return fmt.Sprintf("host=%s port=%s user=%s dbname=%s", s.socket, s.port, Superuser, database)
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

// unprivileged returns whom the server runs as: it refuses to be root.
func unprivileged(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Skip("MISSING: postgresql")
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func own(t testing.TB, who *syscall.Credential, dir string) {
	t.Helper()
	if who == nil {
		return
	}
	err := filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, int(who.Uid), int(who.Gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// writePEM writes base.crt and base.key.
func writePEM(t testing.TB, c tls.Certificate, base string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{
		".crt": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, ".key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(base+name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func random() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
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
