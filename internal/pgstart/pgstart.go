// Package pgstart starts a PostgreSQL server of one's own in a folder, from the
// programs that are installed. It never touches a server that is already there.
package pgstart

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The errors of this package; ErrMissing wraps [ErrStart].
var (
	ErrStart = errors.New("start postgres")
	// ErrMissing is wrapped by the error where PostgreSQL is not installed.
	ErrMissing = fmt.Errorf("%w: it is not installed", ErrStart)
)

// Superuser is the superuser's name, and that of the first database.
const Superuser = "postgres"

// A Config is what a server is started with. Dir, Cert and Password are required.
type Config struct {
	Dir      string          // empty, and for this server alone; who starts it removes it
	Cert     tls.Certificate // of TLS
	Password []byte          // of the superuser, by SCRAM
	Settings []string        // beside the usual ones, each name=value
	Log      io.Writer       // optional
}

// A Server is a running server.
type Server struct {
	Addr string              // host:port, with TLS
	Who  *syscall.Credential // whom it runs as; nil: whoever started it

	socket string // folder of its Unix socket, on which the superuser needs no password
	port   string
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended
}

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

// Start starts a server and returns when it answers. It ends with Stop, or with this
// process. Errors wrap [ErrStart].
func Start(ctx context.Context, c Config) (*Server, error) {
	bin := Programs()
	if bin == "" {
		return nil, ErrMissing
	}
	s := &Server{socket: c.Dir, ended: make(chan struct{})}
	var err error
	if s.Who, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.port, err = freePort(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	s.Addr = net.JoinHostPort("127.0.0.1", s.port)
	if err := s.prepare(ctx, bin, c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	s.cmd = exec.Command(filepath.Join(bin, "postgres"), s.args(c)...)
	s.cmd.SysProcAttr, s.cmd.Stdout, s.cmd.Stderr = attributes(s.Who, true), c.Log, c.Log
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	if err := s.wait(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// prepare makes the files that a server begins with.
func (s *Server) prepare(ctx context.Context, bin string, c Config) error {
	if err := writePEM(c.Cert, filepath.Join(c.Dir, "server")); err != nil {
		return err
	}
	password := filepath.Join(c.Dir, "password")
	if err := os.WriteFile(password, c.Password, 0o600); err != nil {
		return err
	}
	if err := s.own(c.Dir); err != nil {
		return err
	}
	init := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(c.Dir, "data"), "-U", Superuser, "--pwfile", password,
		"--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync")
	init.SysProcAttr, init.Dir = attributes(s.Who, false), c.Dir
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return os.Remove(password)
}

func (s *Server) args(c Config) []string {
	out := []string{
		"-D", filepath.Join(c.Dir, "data"), "-k", c.Dir, "-p", s.port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
		"-c", "ssl=on", "-c", "ssl_cert_file=" + filepath.Join(c.Dir, "server.crt"), "-c", "ssl_key_file=" + filepath.Join(c.Dir, "server.key"),
		"-c", "max_connections=200", "-c", "log_min_messages=fatal",
	}
	for _, kv := range c.Settings {
		out = append(out, "-c", kv)
	}
	return out
}

// wait returns when the server answers.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxStart)
	defer cancel()
	for {
		c, err := pgconn.Connect(ctx, s.Local(Superuser))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-s.ended:
			return fmt.Errorf("%w: it ended at once", ErrStart)
		case <-ctx.Done():
			return fmt.Errorf("%w: it does not answer: %w", ErrStart, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Local returns how the superuser connects to a database without TLS or password.
func (s *Server) Local(database string) string {
	return fmt.Sprintf("host='%s' port=%s user=%s dbname=%s", s.socket, s.port, Superuser, database)
}

// Stop ends the server, and what is under way there, and returns when it has ended.
func (s *Server) Stop() {
	s.cmd.Process.Signal(syscall.SIGQUIT)
	<-s.ended
}

// unprivileged returns whom the server runs as: it refuses to be root.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// own gives the folder to whom the server runs as.
func (s *Server) own(dir string) error {
	if s.Who == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(s.Who.Uid), int(s.Who.Gid))
	})
}

// writePEM writes base.crt and base.key.
func writePEM(c tls.Certificate, base string) error {
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	return errors.Join(os.WriteFile(base+".crt", cert, 0o600), os.WriteFile(base+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
