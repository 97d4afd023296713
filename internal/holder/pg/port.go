package pg

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/writhq/writ/secret"
)

// passName is a password file for the clients of a port. Source: PostgreSQL, "The
// Password File".
const passName = "pgpass"

// A Port is a port of this machine, for clients that do not speak to sockets.
type Port struct {
	net.Listener
	Token secret.Bytes // what clients give as their password
	File  string       // a password file that has it
}

// ListenPort opens a port of the loopback interface; 0 is any. Its token is new, and
// stands in a password file in dir, which is of this user alone. SPEC HPG-7.
func ListenPort(ctx context.Context, dir string, port uint16) (*Port, error) {
	const host = "127.0.0.1"
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("%w: port: %w", ErrRelay, err)
	}
	p := &Port{Listener: l, Token: secret.Take([]byte(rand.Text())), File: filepath.Join(dir, passName)}
	err = p.Token.Use(func(b []byte) error {
		line := fmt.Appendf(nil, "%s:%d:*:*:%s\n", host, p.Number(), b)
		defer clear(line)
		if err := os.Remove(p.File); err != nil && !errors.Is(err, os.ErrNotExist) { // of a relay before this one
			return err
		}
		return writeNew(p.File, line)
	})
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("%w: port: %w", ErrRelay, err)
	}
	return p, nil
}

// writeNew writes a file that only its user can read, and that was not there.
func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// Number returns the port's number.
func (p *Port) Number() int { return p.Addr().(*net.TCPAddr).Port }

// Close closes the port and takes the password file away.
func (p *Port) Close() error {
	os.Remove(p.File)
	p.Token.Wipe()
	return p.Listener.Close()
}

// knows asks a client for a password, and reports whether that is the token.
func knows(c net.Conn, token secret.Bytes) bool {
	if _, err := c.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, authCleartext}); err != nil {
		return false
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(c, head); err != nil {
		return false
	}
	n := binary.BigEndian.Uint32(head[1:])
	if head[0] != 'p' || n < 5 || n > maxTokenBytes { //guard:R11 relay-token-size
		return false
	}
	b := make([]byte, n-4)
	if _, err := io.ReadFull(c, b); err != nil {
		return false
	}
	said := secret.Take(b[:len(b)-1]) // a NUL ends it
	defer said.Wipe()
	if n == 5 || !said.Equal(token) { //guard:R4 relay-token
		refuse(c, codePassword, "this port wants the token of this run as password", "the password file that writ connect names has it: passfile=FILE, or PGPASSFILE")
		return false
	}
	return true
}
