package pggw

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/proof"
)

// A client is a connection of someone who may not be known yet.
type client struct {
	net.Conn
	in     *pgwire.Frames
	wire   *pgproto3.Backend
	spki   []byte // of the key that it proved in TLS
	params map[string]string
}

// errEnd is the error for a connection that is over without a fault.
var errEnd = errors.New("postgres: end")

// serve speaks with one client from its first byte to its last.
func (h *handler) serve(ctx context.Context, raw net.Conn) {
	raw.SetDeadline(time.Now().Add(h.startup))
	c, err := h.accept(ctx, raw)
	if err != nil {
		return
	}
	s, req, err := h.known(c)
	if err != nil {
		c.refuse(err)
		return
	}
	c.SetDeadline(time.Time{})
	x := &session{handler: h, client: c, holder: s, target: req.Target, proof: req.Proof}
	defer h.drains.Add(x.stop)()
	if err := s.Use(ctx, req, x.run); err != nil && !x.begun {
		c.refuse(err)
	}
}

// accept brings a connection to its startup message: over TLS, asked for in
// either way. A request to cancel is carried out here. SPEC PGGW-1.
func (h *handler) accept(ctx context.Context, raw net.Conn) (*client, error) {
	c := &client{Conn: raw, in: pgwire.NewFrames(raw)}
	if first, err := c.in.First(); err != nil {
		return nil, errEnd
	} else if first == recordHandshake { // TLS at once
		if err := h.encrypt(ctx, c); err != nil {
			return nil, err
		}
	}
	for range maxRounds {
		c.wire = pgproto3.NewBackend(c.in, c)
		m, err := c.wire.ReceiveStartupMessage()
		if err != nil {
			return nil, fmt.Errorf("postgres: startup: %w", err)
		}
		switch m := m.(type) {
		case *pgproto3.SSLRequest:
			if c.encrypted() || c.in.Waiting() > 0 { // what was sent ahead was not sent over TLS
				return nil, errEnd
			}
			if _, err := c.Write([]byte{'S'}); err != nil {
				return nil, errEnd
			}
			if err := h.encrypt(ctx, c); err != nil {
				return nil, err
			}
		case *pgproto3.GSSEncRequest:
			if _, err := c.Write([]byte{'N'}); err != nil {
				return nil, errEnd
			}
		case *pgproto3.CancelRequest:
			h.cancels.Cancel(m)
			return nil, errEnd
		case *pgproto3.StartupMessage:
			if !c.encrypted() { //guard:R2/sql client-tls
				c.refuse(op.Deny(op.ProofRequired, "the gate speaks TLS only; connect with sslmode=verify-full"))
				return nil, errEnd
			}
			return c, c.begin(m)
		}
	}
	return nil, errEnd
}

// recordHandshake is the first byte of TLS. Source: RFC 8446, section 5.1.
const recordHandshake = 22

func (h *handler) encrypt(ctx context.Context, c *client) error {
	cfg := h.hall.TLS("postgresql")
	if cfg == nil {
		return errEnd
	}
	t := tls.Server(&peeked{c.Conn, c.in.Raw()}, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("postgres: TLS: %w", err)
	}
	if certs := t.ConnectionState().PeerCertificates; len(certs) > 0 {
		c.spki = certs[0].RawSubjectPublicKeyInfo
	}
	c.Conn, c.in = t, pgwire.NewFrames(t)
	return nil
}

func (c *client) encrypted() bool {
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

// begin keeps the parameters of a startup message.
func (c *client) begin(m *pgproto3.StartupMessage) error {
	if len(m.Parameters) > maxParameters {
		return errEnd
	}
	c.in.Typed()
	c.params = make(map[string]string, len(m.Parameters))
	var extensions []string
	for k, v := range m.Parameters {
		if strings.HasPrefix(k, "_pq_.") {
			extensions = append(extensions, k)
			continue
		}
		c.params[k] = v
	}
	if m.ProtocolVersion != pgproto3.ProtocolVersion30 || len(extensions) > 0 {
		c.wire.Send(&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: pgproto3.ProtocolVersion30, UnrecognizedOptions: extensions})
	}
	return nil
}

// known asks for the credential and returns the session of its holder, with the
// operation of connecting. SPEC PGGW-2.
func (h *handler) known(c *client) (*gateway.Session, *gateway.Request, error) {
	c.wire.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := c.wire.Flush(); err != nil {
		return nil, nil, errEnd
	}
	c.wire.SetMaxBodyLen(maxPassword)
	if err := c.wire.SetAuthType(pgproto3.AuthTypeCleartextPassword); err != nil {
		return nil, nil, errEnd
	}
	m, err := c.wire.Receive()
	if err != nil {
		return nil, nil, fmt.Errorf("postgres: %w", err)
	}
	p, ok := m.(*pgproto3.PasswordMessage)
	if !ok {
		return nil, nil, h.hall.Refuse(op.Deny(op.CredentialInvalid, "the credential comes as the password"))
	}
	s, err := h.hall.SessionText(p.Password)
	if err != nil {
		return nil, nil, err
	}
	v := &proof.Invocation{Audience: h.hall.Domain(), Purpose: c.purpose()}
	pr, err := s.ProveChannel(c.spki, v)
	if err != nil {
		return nil, nil, err
	}
	target := c.params["database"]
	req := &gateway.Request{Action: "sql:connect", Target: target, Proof: pr, Session: true, Remote: c.RemoteAddr().String()}
	req.Operation, req.Denial = connectOperation(target)
	return s, req, nil
}

// purpose returns the purpose that the connection was made for: the value of
// -c writ.purpose among the options.
func (c *client) purpose() string {
	const name = "writ.purpose="
	fields := strings.Fields(c.params["options"])
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

// refuse ends the connection with a fatal error.
func (c *client) refuse(err error) {
	if errors.Is(err, errEnd) {
		return
	}
	e := pgwire.Problem(err)
	e.Severity, e.SeverityUnlocalized = "FATAL", "FATAL"
	c.SetWriteDeadline(time.Now().Add(maxStall))
	c.wire.Send(e)
	c.wire.Flush()
}
