package pggw

import (
	"context"
	"crypto/tls"
	"net"
	"strings"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/internal/sqlmeaning"
	"github.com/writhq/writ/op/sql"
)

// methods are the ways in which a policy has a secret used at a server.
var methods = map[string]pgwire.Method{"password": pgwire.SCRAM, "md5": pgwire.MD5, gateway.ClientCertificate: pgwire.Certificate}

// connect reaches the server as the policy says, and is let in with the secret.
// SPEC PGGW-3.
func (x *session) connect(ctx context.Context, a *gateway.Act) (*pgwire.Upstream, error) {
	l := &pgwire.Login{
		Origin: a.Target.Origin, User: a.Target.Inject.Name, Method: methods[a.Target.Inject.How],
		TLS: x.upTLS, Params: x.startup(), Dial: func(ctx context.Context) (net.Conn, error) {
			c, err := a.Dial(ctx)
			if err != nil { // and no connection, which a nil one would not be
				return nil, err
			}
			return c, nil
		},
	}
	if l.Method == pgwire.Certificate {
		cert, err := a.Certificate()
		if err != nil {
			return nil, err
		}
		l.TLS = x.upTLS.Clone()
		l.TLS.Certificates = []tls.Certificate{*cert}
	}
	return pgwire.Connect(ctx, l, a.Secret)
}

// startup returns what a session is begun with upstream: what is pinned, and of what
// the client said what changes only how it looks. If the policy lets nothing be
// written, transactions are read-only: a second lock.
func (x *session) startup() map[string]string {
	out := sqlmeaning.Pinned(x.path)
	if x.readOnly = sql.OnlyReads(x.holder.Declared(x.target)); x.readOnly { //guard:R3/sql read-only-session
		out["default_transaction_read_only"] = "on"
	}
	for _, d := range x.holder.Declared(x.target) {
		if d.SQL != nil {
			x.masks = append(x.masks, d.SQL.Mask...)
		}
	}
	for _, k := range sql.Looks {
		for name, v := range x.client.Params {
			if strings.EqualFold(name, k) {
				out[k] = v
			}
		}
	}
	return out
}
