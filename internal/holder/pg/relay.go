// Package pg is the holder's local PostgreSQL socket: plain clients connect to it as
// to a server on the same machine, and it proves to the gate, for each of them, that
// the holder is there. It has the holder's key, so that no client needs it.
package pg

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// ErrRelay is wrapped by every error of this package.
var ErrRelay = errors.New("relay")

// Config says who connects to which gate. All fields but Roots, Purpose and Note are
// required.
type Config struct {
	Gate       string         // host:port of a listener for PostgreSQL
	Roots      *x509.CertPool // who may sign the gate's certificate; nil: the system's
	Credential *credential.Chain
	Key        sign.PrivateKey // of the credential's holder
	Purpose    string          // for clients that name none; "": they must
	// Note is told what the one who runs the relay should know: who was refused, and
	// why a gate was not reached. It must be safe for concurrent use.
	Note func(format string, args ...any)
}

// A Relay lets clients of this machine use one credential. It is safe for concurrent
// use.
type Relay struct {
	c        Config
	tls      *tls.Config
	uid      uint32 // whose clients are let in
	max      int64  // sessions
	sessions atomic.Int64
	callers  atomic.Int64 // who have not shown yet that they may have one
}

// New returns a relay that has connected to nothing yet.
func New(c Config) (*Relay, error) {
	host, port, err := net.SplitHostPort(c.Gate)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("%w: gate: want host:port", ErrRelay)
	}
	if c.Credential == nil || c.Key.Public() != c.Credential.Holder() {
		return nil, fmt.Errorf("%w: the key is not that of the credential's holder", ErrRelay)
	}
	if len(c.Purpose) > maxPurposeBytes || strings.ContainsAny(c.Purpose, " \t\r\n\f\v\\\x00") {
		return nil, fmt.Errorf("%w: purpose: a name without spaces is wanted", ErrRelay)
	}
	cert, err := api.ClientCertificate(c.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRelay, err)
	}
	if c.Note == nil {
		c.Note = func(string, ...any) {}
	}
	return &Relay{
		c: c, uid: ownUID(), max: maxSessions,
		tls: &tls.Config{
			RootCAs: c.Roots, ServerName: host, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, NextProtos: []string{"postgresql"},
		},
	}, nil
}

// Run serves clients of this user on the socket l until ctx ends, closes l, ends the
// sessions and returns when all have ended.
func (r *Relay) Run(ctx context.Context, l *net.UnixListener) error { return r.run(ctx, l, r.own) }

// RunPort is Run for a port of this machine, whose clients have the token as their
// password. SPEC HPG-7.
func (r *Relay) RunPort(ctx context.Context, l net.Listener, token secret.Bytes) error {
	return r.run(ctx, l, func(c net.Conn, m *hello) bool { return m.cancel || knows(c, token) })
}

func (r *Relay) run(ctx context.Context, l net.Listener, may func(net.Conn, *hello) bool) error {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: accept: %w", ErrRelay, err)
		}
		sessions.Go(func() {
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			r.serve(ctx, c, may)
		})
	}
}

// serve speaks with one client until it or the gate leaves. One that is refused is told
// so once it has said what it wants: before that many do not listen. SPEC HPG-1, HPG-7.
func (r *Relay) serve(ctx context.Context, c net.Conn, may func(net.Conn, *hello) bool) {
	c.SetDeadline(time.Now().Add(maxStartup))
	m := r.admit(c, may)
	if m == nil {
		return
	}
	defer r.sessions.Add(-1)
	if n := r.sessions.Add(1); n > r.max { //guard:R11 relay-sessions
		refuse(c, codeFull, fmt.Sprintf("there are %d sessions already", r.max), "end some of them")
		return
	}
	if err := r.pass(ctx, c, m); err != nil && !errors.Is(err, errEnd) {
		what, next := Explain(err)
		r.c.Note("%s", what)
		refuse(c, codeUnreached, what, next)
	}
}

// admit returns what a client begins with, or nil for one that may have no session.
func (r *Relay) admit(c net.Conn, may func(net.Conn, *hello) bool) *hello {
	defer r.callers.Add(-1)
	if n := r.callers.Add(1); n > maxCallers { //guard:R11 relay-callers
		return nil
	}
	m, err := startup(c)
	if err != nil || !may(c, m) {
		return nil
	}
	return m
}

// own reports whether a client is of the user whose socket it is.
func (r *Relay) own(c net.Conn, _ *hello) bool {
	if uid, err := peer(c); err != nil || uid != r.uid { //guard:R4 relay-own-user
		r.c.Note("a client of another user (%d) was refused", uid)
		refuse(c, codeUser, "this socket is another user's", "run writ connect as the user whose clients connect")
		return false
	}
	return true
}

// pass connects to the gate for a client, and passes on what the two say.
func (r *Relay) pass(ctx context.Context, c net.Conn, m *hello) error {
	until := time.Now().Add(maxConnect)
	c.SetDeadline(until)
	g, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer g.Close()
	defer context.AfterFunc(ctx, func() { g.Close() })()
	g.SetDeadline(until)
	if m.cancel {
		g.Write(m.raw)
		g.Read(make([]byte, 1)) // the gate closes when it has seen it
		return nil
	}
	if err := r.login(c, g, m.withPurpose(r.c.Purpose)); err != nil {
		return err
	}
	c.SetDeadline(time.Time{})
	g.SetDeadline(time.Time{})
	pipe(c, g)
	return nil
}

// pipe passes on what either says to the other, byte by byte, until the gate has
// said its last. SPEC HPG-5.
func pipe(c net.Conn, g *tls.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(g, c)
		g.CloseWrite() // the gate may have more to say
	}()
	io.Copy(c, g)
	c.Close()
	g.Close()
	<-done
}
