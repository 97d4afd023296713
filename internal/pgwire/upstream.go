package pgwire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/secret"
)

// ErrWire is wrapped by every error of this package, ErrRefused beside it where the
// server has said no.
var (
	ErrWire    = errors.New("postgres")
	ErrRefused = errors.New("refused by the server")
)

// A Login is how a server lets someone in.
type Login struct {
	Origin string // postgres://host[:port]/database
	User   string
	Method Method
	TLS    *tls.Config
	Params map[string]string // of the startup message
	Dial   func(context.Context) (net.Conn, error)
}

// A Method is how a user shows to a server that it is one. A server that asks for
// another gets nothing.
type Method string

// The methods. SCRAM binds to the channel where the server offers it.
const (
	SCRAM       Method = "scram-sha-256"
	MD5         Method = "md5"
	Certificate Method = "none" // in TLS, so that the server asks for nothing
)

// An Upstream is a connection to a server, of one session.
type Upstream struct {
	net.Conn
	Wire   *Server
	Params map[string]string // what the server reports of its settings
	Tx     byte              // state of the transaction: I, T or E

	// Aside takes what the server says unasked while [Upstream.Query] waits for its
	// answer; nil: nobody is there yet to hear it.
	Aside func(pgproto3.BackendMessage) error

	pid  uint32
	key  []byte
	dial func(context.Context) (net.Conn, error)
}

// usualPort is a server's that names none.
const usualPort = 5432

// Connect reaches the server and is let in with the secret.
func Connect(ctx context.Context, l *Login, s secret.Bytes) (*Upstream, error) {
	cfg, err := pgconn.ParseConfig("host=placeholder user=placeholder sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWire, err)
	}
	at, err := url.Parse(l.Origin)
	if err != nil {
		return nil, fmt.Errorf("%w: origin: %w", ErrWire, err)
	}
	cfg.Host, cfg.Port, cfg.Fallbacks, cfg.ValidateConnect = at.Hostname(), usualPort, nil, nil // nothing of the environment counts
	if n, err := strconv.ParseUint(at.Port(), 10, 16); err == nil {
		cfg.Port = uint16(n) // for messages: Dial knows where it goes
	}
	cfg.Database, cfg.User, cfg.RuntimeParams = strings.TrimPrefix(at.Path, "/"), l.User, l.Params
	cfg.RequireAuth, cfg.ConnectTimeout, cfg.TLSConfig = string(l.Method), maxConnect, l.TLS
	var dialled net.Conn
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{cfg.Host}, nil } // Dial looks it up
	cfg.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := l.Dial(ctx)
		dialled = c
		return c, err
	}
	cfg.Password = ""
	if l.Method != Certificate {
		err = s.Use(func(b []byte) error {
			cfg.Password = string(b) //secret:string the library that speaks SCRAM takes one
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWire, err)
	}
	p, err := pgconn.ConnectConfig(ctx, cfg)
	cfg.Password = ""
	if err != nil {
		if dialled != nil {
			dialled.Close()
		}
		return nil, fmt.Errorf("%w: connect: %w", ErrWire, err)
	}
	return hijack(ctx, p, l.Dial)
}

func hijack(ctx context.Context, p *pgconn.PgConn, dial func(context.Context) (net.Conn, error)) (*Upstream, error) {
	if err := p.SyncConn(ctx); err != nil {
		return nil, fmt.Errorf("%w: connect: %w", ErrWire, err)
	}
	h, err := p.Hijack()
	if err != nil {
		return nil, fmt.Errorf("%w: connect: %w", ErrWire, err)
	}
	return &Upstream{Conn: h.Conn, Wire: NewServer(h.Conn), Params: h.ParameterStatuses, Tx: h.TxStatus, pid: h.PID, key: h.SecretKey, dial: dial}, nil
}

// OwnName is the name of statements and portals that are nobody's else: what runs
// under the empty name would end what a client has under it.
const OwnName = "writ.own"

// Query runs one query and returns its rows as text. Nothing else is under way, and
// what has a name stays. Errors wrap [ErrRefused], or the connection is of no more use.
func (u *Upstream) Query(ctx context.Context, sql string) (rows [][]string, err error) {
	return u.ask(ctx, sql, &pgproto3.Sync{})
}

// A Series is an Upstream in the middle of a series of messages, all of whose answers
// were read: what it is asked does not end the series, unless it is refused.
type Series struct{ u *Upstream }

// Series returns u as one.
func (u *Upstream) Series() Series { return Series{u} }

// Query is [Upstream.Query].
func (s Series) Query(ctx context.Context, sql string) ([][]string, error) {
	return s.u.ask(ctx, sql, &pgproto3.Flush{})
}

func (u *Upstream) ask(ctx context.Context, sql string, end pgproto3.FrontendMessage) (rows [][]string, err error) {
	stop := context.AfterFunc(ctx, func() { u.Close() })
	defer stop()
	u.Wire.Send(&pgproto3.Close{ObjectType: 'S', Name: OwnName}) // of one that was refused
	u.Wire.Send(&pgproto3.Parse{Name: OwnName, Query: sql})
	u.Wire.Send(&pgproto3.Bind{DestinationPortal: OwnName, PreparedStatement: OwnName})
	u.Wire.Send(&pgproto3.Execute{Portal: OwnName})
	u.Wire.Send(&pgproto3.Close{ObjectType: 'P', Name: OwnName})
	u.Wire.Send(&pgproto3.Close{ObjectType: 'S', Name: OwnName})
	u.Wire.Send(end)
	if err := u.Wire.Flush(); err != nil {
		return nil, fmt.Errorf("%w: query: %w", ErrWire, err)
	}
	var refused error
	_, series := end.(*pgproto3.Flush)
	for closed := 0; ; {
		m, err := u.Wire.Receive()
		if err != nil {
			return nil, fmt.Errorf("%w: query: %w", ErrWire, err)
		}
		if Unasked(m) && u.Aside != nil { //guard:A17 unasked-heard
			if err := u.Aside(m); err != nil {
				return nil, fmt.Errorf("%w: query: %w", ErrWire, err)
			}
			continue
		}
		switch m := m.(type) {
		case *Row:
			d, err := m.Values()
			if err != nil {
				return nil, err
			}
			row := make([]string, len(d.Values))
			for i, v := range d.Values {
				row[i] = string(v)
			}
			rows = append(rows, row)
		case *pgproto3.ErrorResponse:
			refused = fmt.Errorf("%w: query: %w: %s", ErrWire, ErrRefused, m.Code)
			if series {
				return nil, refused
			}
		case *pgproto3.CloseComplete:
			if closed++; series && closed == 3 {
				return rows, nil
			}
		case *pgproto3.ReadyForQuery:
			u.Tx = m.TxStatus
			return rows, refused
		}
	}
}

// Send writes what waits for the server, and returns what waits until that is done. Much
// of it is written beside: a server that answers before it has read all would wait for
// its answers to be taken.
func (u *Upstream) Send() (sent func() error) {
	if u.Wire.Held() <= maxAtOnce {
		err := u.Wire.Flush()
		return func() error { return err }
	}
	done := make(chan error, 1)
	go func() { done <- u.Wire.Flush() }()
	return sync.OnceValue(func() error { return <-done })
}

// Deliver writes what waits for the server. While that does not take it, what it says
// unasked goes to aside; an answer is held, and returned, as held is if there was one.
// Errors are aside's, or wrap [ErrWire].
func (u *Upstream) Deliver(held pgproto3.BackendMessage, aside func(pgproto3.BackendMessage) error) (pgproto3.BackendMessage, error) {
	done := make(chan error, 1)
	go func() { done <- u.Wire.Flush() }()
	for {
		select {
		case err := <-done:
			if err != nil {
				err = fmt.Errorf("%w: %w", ErrWire, err)
			}
			return held, err
		case <-time.After(patience):
		}
		if held != nil {
			continue
		}
		var err error
		if held, err = u.hear(aside); err != nil {
			return nil, err
		}
	}
}

// hear gives aside what the server says unasked for a while, and returns an answer.
func (u *Upstream) hear(aside func(pgproto3.BackendMessage) error) (pgproto3.BackendMessage, error) {
	u.SetReadDeadline(time.Now().Add(patience))
	defer u.SetReadDeadline(time.Time{})
	for {
		m, err := u.Wire.Receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrWire, err)
		case !Unasked(m):
			return m, nil
		}
		if err := aside(m); err != nil {
			return nil, err
		}
	}
}

// Unasked reports whether a server says m by itself: notices and the like are no
// answers.
func Unasked(m pgproto3.BackendMessage) bool {
	switch m.(type) {
	case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus, *pgproto3.NotificationResponse:
		return true
	}
	return false
}

// Cancel asks the server to stop what it does for u.
func (u *Upstream) Cancel(ctx context.Context, cfg *tls.Config) {
	ctx, stop := context.WithTimeout(ctx, maxConnect)
	defer stop()
	c, err := u.dial(ctx)
	if err != nil {
		return // the client hears nothing of it either way
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(maxConnect)) //nolint:errcheck // else the reads fail at once
	if cfg != nil {
		if c, err = Encrypt(ctx, c, cfg); err != nil {
			return
		}
	}
	b, err := (&pgproto3.CancelRequest{ProcessID: u.pid, SecretKey: u.key}).Encode(nil)
	if err != nil {
		return
	}
	c.Write(b)
	c.Read(make([]byte, 1)) // the server closes when it has seen it
}

// Encrypt asks a server for TLS, and shakes hands. Errors are of the connection, of the
// handshake, or wrap [ErrWire].
func Encrypt(ctx context.Context, c net.Conn, cfg *tls.Config) (*tls.Conn, error) {
	b, err := (&pgproto3.SSLRequest{}).Encode(nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWire, err)
	}
	if _, err := c.Write(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWire, err)
	}
	var answer [1]byte
	if _, err := c.Read(answer[:]); err != nil || answer[0] != 'S' {
		return nil, fmt.Errorf("%w: the server does not speak TLS", ErrWire)
	}
	t := tls.Client(c, cfg)
	return t, t.HandshakeContext(ctx)
}
