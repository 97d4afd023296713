package pgwire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

var (
	// ErrPlain is wrapped by the error for a caller that does not speak TLS; it can be
	// told so.
	ErrPlain = fmt.Errorf("%w: without TLS", ErrWire)
	// errOver is the error for a connection that is over without a fault.
	errOver = errors.New("postgres: over")
)

// A Caller is a connection of someone who may not be known yet.
type Caller struct {
	net.Conn
	In     *Frames
	Wire   *Client
	SPKI   []byte            // of the key that it proved in TLS
	Params map[string]string // of its startup message
	Key    int               // bytes of a key to cancel, by the protocol that is spoken
}

// Accept brings a connection to its startup message: over TLS, asked for in either
// way; with no configuration there is none. A request to cancel is given to cancel.
// SPEC PGGW-1.
func Accept(ctx context.Context, raw net.Conn, cfg *tls.Config, cancel func(*pgproto3.CancelRequest)) (*Caller, error) {
	c := &Caller{Conn: raw, In: NewFrames(raw)}
	if first, err := c.In.First(); err != nil {
		return nil, errOver
	} else if first == recordHandshake { // TLS at once
		if err := c.encrypt(ctx, cfg); err != nil {
			return nil, err
		}
	}
	for range maxRounds {
		c.Wire = NewClient(c.In, c)
		m, err := c.Wire.Startup()
		if err != nil {
			return nil, fmt.Errorf("%w: startup: %w", ErrWire, err)
		}
		switch m := m.(type) {
		case *pgproto3.SSLRequest:
			if c.encrypted() || c.In.Waiting() > 0 { // what was sent ahead was not sent over TLS
				return nil, errOver
			}
			if _, err := c.Write([]byte{'S'}); err != nil {
				return nil, errOver
			}
			if err := c.encrypt(ctx, cfg); err != nil {
				return nil, err
			}
		case *pgproto3.GSSEncRequest:
			if _, err := c.Write([]byte{'N'}); err != nil {
				return nil, errOver
			}
		case *pgproto3.CancelRequest:
			cancel(m)
			return nil, errOver
		case *pgproto3.StartupMessage:
			if !c.encrypted() { //guard:R2/sql client-tls
				return c, ErrPlain
			}
			return c, c.begin(m)
		}
	}
	return nil, errOver
}

// recordHandshake is the first byte of TLS. Source: RFC 8446, section 5.1.
const recordHandshake = 22

func (c *Caller) encrypt(ctx context.Context, cfg *tls.Config) error {
	if cfg == nil {
		return errOver
	}
	t := tls.Server(&peeked{c.Conn, c.In.Raw()}, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: TLS: %w", ErrWire, err)
	}
	if certs := t.ConnectionState().PeerCertificates; len(certs) > 0 {
		c.SPKI = certs[0].RawSubjectPublicKeyInfo
	}
	c.Conn, c.In = t, NewFrames(t)
	return nil
}

func (c *Caller) encrypted() bool {
	_, ok := c.Conn.(*tls.Conn)
	return ok
}

// peeked is a connection of which something was looked at.
type peeked struct {
	net.Conn
	r io.Reader
}

// Read reads from the connection.
func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// Option returns the value that a client gave to a setting by -c among its options, or
// "".
func (c *Caller) Option(setting string) string {
	name := setting + "="
	fields := strings.Fields(c.Params["options"])
	for i, f := range fields {
		if v, ok := strings.CutPrefix(f, "-c"+name); ok {
			return v
		}
		if v, ok := strings.CutPrefix(f, name); ok && i > 0 && fields[i-1] == "-c" {
			return v
		}
		if v, ok := strings.CutPrefix(f, "--"+name); ok {
			return v
		}
	}
	return ""
}

// Bytes of keys to cancel, in protocol 3.0 and 3.2. Source: PostgreSQL 18,
// "Message Formats", BackendKeyData.
const (
	shortKey = 4
	longKey  = 32
)

// begin keeps the parameters of a startup message, and settles which protocol is spoken.
func (c *Caller) begin(m *pgproto3.StartupMessage) error {
	if len(m.Parameters) > maxParameters {
		return errOver
	}
	c.Params = make(map[string]string, len(m.Parameters))
	var extensions []string
	for k, v := range m.Parameters {
		if strings.HasPrefix(k, "_pq_.") {
			extensions = append(extensions, k)
			continue
		}
		c.Params[k] = v
	}
	spoken := uint32(pgproto3.ProtocolVersion30)
	c.Key = shortKey
	if m.ProtocolVersion >= pgproto3.ProtocolVersion32 {
		spoken, c.Key = pgproto3.ProtocolVersion32, longKey
	}
	if m.ProtocolVersion != spoken || len(extensions) > 0 {
		c.Wire.Send(&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: spoken, UnrecognizedOptions: extensions})
	}
	return nil
}
