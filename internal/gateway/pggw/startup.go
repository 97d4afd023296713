package pggw

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/proof"
)

// client is a connection of someone who may not be known yet.
type client struct{ *pgwire.Caller }

// errEnd is the error for a connection that is over without a fault.
var errEnd = errors.New("postgres: end")

// serve speaks with one client from its first byte to its last.
func (h *handler) serve(ctx context.Context, raw net.Conn) {
	raw.SetDeadline(time.Now().Add(h.startup))
	caller, err := pgwire.Accept(ctx, raw, h.hall.TLS("postgresql"), h.cancels.Cancel)
	c := &client{caller}
	if errors.Is(err, pgwire.ErrPlain) {
		c.refuse(op.Deny(op.ProofRequired, "the gate speaks TLS only; connect with sslmode=verify-full"))
	}
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
		if d, ok := errors.AsType[*op.Denial](err); ok && d.Code == op.NotDeclared {
			d.Next = "the client's database is the id of a target in the policy: writ policy show ALIAS"
		}
		c.refuse(err)
	}
}

// known asks for the credential and returns the session of its holder, with the
// operation of connecting. SPEC PGGW-2.
func (h *handler) known(c *client) (*gateway.Session, *gateway.Request, error) {
	c.Wire.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := c.Wire.Flush(); err != nil {
		return nil, nil, errEnd
	}
	c.Wire.Bound(maxPassword)
	m, err := c.Wire.Receive()
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
	v := &proof.Invocation{Audience: h.hall.Domain(), Purpose: c.Option(sql.PurposeSetting)}
	pr, err := s.ProveChannel(c.SPKI, v)
	if err != nil {
		return nil, nil, err
	}
	target := c.Params["database"]
	req := &gateway.Request{Action: "sql:connect", Target: target, Proof: pr, Session: true, Remote: c.RemoteAddr().String()}
	req.Operation, req.Denial = connectOperation(target)
	return s, req, nil
}

// refuse ends the connection with a fatal error.
func (c *client) refuse(err error) {
	if errors.Is(err, errEnd) {
		return
	}
	e := pgwire.Problem(err)
	e.Severity, e.SeverityUnlocalized = "FATAL", "FATAL"
	c.SetWriteDeadline(time.Now().Add(maxStall))
	c.Wire.Send(e)
	c.Wire.Flush()
}
