package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
)

// A bouncer is pgbouncer in a process of its own.
type bouncer struct {
	way
	cmd *exec.Cmd
}

// bouncerConfig is pgbouncer as it is, but for session mode, room, and TLS on both
// sides with what the gate has: a key of P-256, SCRAM with the server.
const bouncerConfig = `[databases]
%[1]s = host=%[2]s port=%[3]s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %[4]s
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %[5]s/users
admin_users = %[6]s
pool_mode = session
default_pool_size = 64
client_tls_sslmode = require
client_tls_cert_file = %[5]s/bouncer.crt
client_tls_key_file = %[5]s/bouncer.key
server_tls_sslmode = require
`

func startBouncer(b *testing.B, path string, w *pgBench) *bouncer {
	dir, err := os.MkdirTemp("", "writ-bench-") // not below the benchmark's own, which only root may enter
	must(b, err)
	b.Cleanup(func() { os.RemoveAll(dir) })
	host, port, err := net.SplitHostPort(w.pg.Addr)
	must(b, err)
	addr := freeAddr(b)
	_, listen, err := net.SplitHostPort(addr)
	must(b, err)
	writePair(b, testgate.Certificate(b), filepath.Join(dir, "bouncer"))
	must(b, os.WriteFile(filepath.Join(dir, "bouncer.ini"), fmt.Appendf(nil, bouncerConfig, w.db, host, port, listen, dir, pgUser), 0o600))
	must(b, os.WriteFile(filepath.Join(dir, "users"), fmt.Appendf(nil, "%q %q\n", pgUser, testkit.Plain), 0o600))
	if who := w.pg.Who; who != nil { // pgbouncer refuses to be root too
		for _, name := range []string{"", "bouncer.crt", "bouncer.key", "bouncer.ini", "users"} {
			must(b, os.Chown(filepath.Join(dir, name), int(who.Uid), int(who.Gid)))
		}
	}
	s := &bouncer{way: newWay(b, addr, "PGUSER="+pgUser, "PGPASSWORD="+testkit.Plain, "PGDATABASE="+w.db)}
	s.cmd = exec.CommandContext(b.Context(), path, "-q", filepath.Join(dir, "bouncer.ini"))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: w.pg.Who, Pdeathsig: syscall.SIGTERM}
	must(b, s.cmd.Start())
	s.check(b, fmt.Sprintf("host=127.0.0.1 port=%s user=%s password=%s dbname=pgbouncer sslmode=require", listen, pgUser, testkit.Plain))
	return s
}

// check waits until pgbouncer answers, and fails if it does not speak TLS 1.3 with
// its clients, as the gate does.
func (s *bouncer) check(b *testing.B, config string) {
	var c *pgconn.PgConn
	var err error
	for deadline := time.Now().Add(10 * time.Second); c == nil; time.Sleep(5 * time.Millisecond) {
		if c, err = pgconn.Connect(b.Context(), config); err != nil && time.Now().After(deadline) {
			fatal(b, "pgbouncer does not answer: %v", err)
		}
	}
	defer c.Close(b.Context())
	res, err := c.Exec(b.Context(), "SHOW CLIENTS").ReadAll()
	must(b, err)
	for i, f := range res[0].FieldDescriptions {
		if f.Name == "tls" && strings.HasPrefix(string(res[0].Rows[0][i]), "TLSv1.3/") {
			return
		}
	}
	fatal(b, "pgbouncer does not speak TLS 1.3")
}

func (s *bouncer) stop(b *testing.B) {
	must(b, s.cmd.Process.Signal(syscall.SIGTERM))
	s.cmd.Wait() // it was asked to end, by a signal
}

// freeAddr returns an address on which nobody listens.
func freeAddr(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	defer l.Close()
	return l.Addr().String()
}

// writePair writes a certificate and its key to base.crt and base.key.
func writePair(b *testing.B, c tls.Certificate, base string) {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	must(b, err)
	must(b, os.WriteFile(base+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600))
	must(b, os.WriteFile(base+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
}
