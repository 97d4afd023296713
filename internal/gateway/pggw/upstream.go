package pggw

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway"
)

// An upstream is the gate's own connection to the server, of one session.
type upstream struct {
	net.Conn
	wire   *pgproto3.Frontend
	params map[string]string // what the server reports of its settings
	pid    uint32
	key    []byte
	tx     byte // state of the transaction: I, T or E
	dial   func(context.Context) (net.Conn, error)
}

// pinned are the settings of every session upstream: what names and literals mean
// must not hang on what a role or a database has been set to. SPEC PGGW-3.
func pinned(path []string) map[string]string {
	quoted := make([]string, 0, len(path)+2)
	for _, s := range append(append([]string{"pg_catalog"}, path...), "pg_temp") { // pg_temp last: else it comes first
		quoted = append(quoted, `"`+strings.ReplaceAll(s, `"`, `""`)+`"`)
	}
	return map[string]string{
		"search_path": strings.Join(quoted, ", "), "standard_conforming_strings": "on", "client_encoding": "UTF8",
		"backslash_quote": "safe_encoding", "transform_null_equals": "off",
	}
}

// reported are those of the pinned settings that a server reports when they change.
// Source: PostgreSQL, "Asynchronous Operations".
var reported = map[string]string{"standard_conforming_strings": "on", "client_encoding": "UTF8"}

// connect reaches the server as the policy says, and is let in with the secret.
func connect(ctx context.Context, a *gateway.Act, c *client, path []string) (*upstream, error) {
	u, err := url.Parse(a.Target.Origin)
	if err != nil {
		return nil, fmt.Errorf("postgres: origin: %w", err)
	}
	cfg, err := pgconn.ParseConfig("host=placeholder user=placeholder sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	cfg.Host, cfg.Port, cfg.Fallbacks = u.Hostname(), 5432, nil
	cfg.Database, cfg.User = strings.TrimPrefix(u.Path, "/"), a.Target.Inject.Name
	cfg.RequireAuth, cfg.ConnectTimeout = "scram-sha-256", maxConnect
	cfg.TLSConfig = a.TLS()
	cfg.RuntimeParams = startupParams(c, path)
	var dialled net.Conn
	dial := func(ctx context.Context) (net.Conn, error) { return a.Dial(ctx) }
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{cfg.Host}, nil } // the hall looks it up
	cfg.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := dial(ctx)
		dialled = c
		return c, err
	}
	err = a.Secret.Use(func(b []byte) error {
		cfg.Password = string(b) //secret:string the library that speaks SCRAM takes one
		return nil
	})
	if err != nil {
		return nil, err
	}
	p, err := pgconn.ConnectConfig(ctx, cfg)
	cfg.Password = ""
	if err != nil {
		if dialled != nil {
			dialled.Close()
		}
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	return hijack(ctx, p, dial)
}

// startupParams returns what a session is begun with upstream: what is pinned, and
// of what the client said what changes only how it looks.
func startupParams(c *client, path []string) map[string]string {
	out := pinned(path)
	for _, k := range []string{"application_name", "datestyle", "timezone", "extra_float_digits", "intervalstyle"} {
		for name, v := range c.params {
			if strings.EqualFold(name, k) {
				out[k] = v
			}
		}
	}
	return out
}

func hijack(ctx context.Context, p *pgconn.PgConn, dial func(context.Context) (net.Conn, error)) (*upstream, error) {
	if err := p.SyncConn(ctx); err != nil {
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	h, err := p.Hijack()
	if err != nil {
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	return &upstream{Conn: h.Conn, wire: h.Frontend, params: h.ParameterStatuses, pid: h.PID, key: h.SecretKey, tx: h.TxStatus, dial: dial}, nil
}

// Query runs one query of the gate's own and returns its rows; see
// [sqlcatalog.Querier].
func (u *upstream) Query(ctx context.Context, sql string) (rows [][]string, err error) {
	stop := context.AfterFunc(ctx, func() { u.Close() })
	defer stop()
	u.wire.SendQuery(&pgproto3.Query{String: sql})
	if err := u.wire.Flush(); err != nil {
		return nil, fmt.Errorf("postgres: query: %w", err)
	}
	var refused error
	for {
		m, err := u.wire.Receive()
		if err != nil {
			return nil, fmt.Errorf("postgres: query: %w", err)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			row := make([]string, len(m.Values))
			for i, v := range m.Values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		case *pgproto3.ErrorResponse:
			refused = fmt.Errorf("postgres: query: %s", m.Code)
		case *pgproto3.ReadyForQuery:
			u.tx = m.TxStatus
			return rows, refused
		}
	}
}

// cancel asks the server to stop what it does for u.
func (u *upstream) cancel(ctx context.Context, cfg *tls.Config) {
	ctx, stop := context.WithTimeout(ctx, maxConnect)
	defer stop()
	c, err := u.dial(ctx)
	if err != nil {
		return // the client hears nothing of it either way
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(maxConnect)) //nolint:errcheck // else the reads fail at once
	if cfg != nil {
		if t, err := encryptTo(ctx, c, cfg); err == nil {
			c = t
		} else {
			return
		}
	}
	c.Write(cancelMessage(u.pid, u.key))
	c.Read(make([]byte, 1)) // the server closes when it has seen it
}

// encryptTo asks a server for TLS.
func encryptTo(ctx context.Context, c net.Conn, cfg *tls.Config) (net.Conn, error) {
	b, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if _, err := c.Write(b); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	var answer [1]byte
	if _, err := c.Read(answer[:]); err != nil || answer[0] != 'S' {
		return nil, errEnd
	}
	t := tls.Client(c, cfg)
	return t, t.HandshakeContext(ctx)
}
