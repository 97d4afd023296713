package pg

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
)

// Kinds of authentication. Source: PostgreSQL, "Message Formats", Authentication….
const (
	authOK        = 0
	authCleartext = 3
)

// Reach connects to the gate as clients are connected, and leaves again: it says
// whether there is a gate, and who it is.
func (r *Relay) Reach(ctx context.Context) error {
	g, err := r.dial(ctx)
	if err != nil {
		return err
	}
	return g.Close()
}

// dial connects to the gate by TLS, from the first byte, and verifies who it is. The
// certificate of the relay is over the holder's key. SPEC HPG-2.
func (r *Relay) dial(ctx context.Context) (*tls.Conn, error) {
	ctx, stop := context.WithTimeout(ctx, maxStartup)
	defer stop()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", r.c.Gate)
	if err != nil {
		return nil, fmt.Errorf("%w: connect to gate: %w", ErrRelay, err)
	}
	g := tls.Client(c, r.tls)
	if err := g.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("%w: connect to gate: %w", ErrRelay, err)
	}
	return g, nil
}

// login has the gate let the client in: it answers the one question for a password
// with the credential, and passes on what the client has to know. SPEC HPG-4.
func (r *Relay) login(c net.Conn, g *tls.Conn, hello []byte) error {
	if _, err := g.Write(hello); err != nil {
		return fmt.Errorf("%w: %w: %w", ErrRelay, errClosed, err)
	}
	asked := false
	for range maxAnswers {
		m, err := receive(g)
		if err != nil {
			return err
		}
		if m.kind == 'R' && m.code == authCleartext && !asked {
			asked = true
			if _, err := g.Write(password(r.c.Credential.Text())); err != nil {
				return fmt.Errorf("%w: %w: %w", ErrRelay, errClosed, err)
			}
			continue
		}
		if !m.passes(asked) { //guard:R11 relay-no-gate
			return fmt.Errorf("%w: %w: it does not ask for a credential, once", ErrRelay, errNoGate)
		}
		if _, err := c.Write(m.raw); err != nil || m.kind == 'E' {
			return errEnd
		}
		if m.kind == 'R' {
			return nil
		}
	}
	return fmt.Errorf("%w: %w: it goes on without letting anybody in", ErrRelay, errNoGate)
}

// passes reports whether m may reach a client before it is let in: an error, a notice,
// a version, and that it is let in, once a credential was asked for.
func (m *message) passes(asked bool) bool {
	switch m.kind {
	case 'E', 'N', 'v':
		return true
	}
	return m.kind == 'R' && m.code == authOK && len(m.raw) == 9 && asked
}

func password(text string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'p'}, uint32(4+len(text)+1))
	return append(append(b, text...), 0)
}
