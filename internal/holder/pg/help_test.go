package pg_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/holder/pg"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
)

// patience bounds what would otherwise hang.
const patience = 20 * time.Second

// A gate is a fake: it fails the test if a relay does not prove who its holder is, or
// says more than it should.
type gate struct {
	net.Listener
	t     *testing.T
	zone  *testkit.Zone
	chain *credential.Chain
	roots *x509.CertPool
	conns atomic.Int64

	mu      sync.Mutex
	params  []map[string]string // guarded by mu
	cancels []pgproto3.CancelRequest
}

// newGate returns a gate, which answers by talk once a relay has connected by TLS.
func newGate(t *testing.T, talk func(*gate, *tls.Conn)) *gate {
	t.Helper()
	cert := testgate.Certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{"postgresql"},
	})
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, t: t, zone: testkit.NewZone(t), roots: x509.NewCertPool()}
	g.roots.AddCert(cert.Leaf)
	if g.chain, err = credential.Issue(g.zone.Grant(), g.zone.Key("iris")); err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.conns.Add(1)
			conns.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				talk(g, c.(*tls.Conn))
			})
		}
	})
	return g
}

// let lets a holder in, as the real gate does, and calls then.
func let(then func(*tls.Conn)) func(*gate, *tls.Conn) {
	return func(g *gate, c *tls.Conn) {
		b, ok := g.hello(c)
		if !ok {
			return
		}
		b.Send(&pgproto3.AuthenticationCleartextPassword{})
		b.Flush()
		b.SetAuthType(pgproto3.AuthTypeCleartextPassword)
		m, err := b.Receive()
		if p, ok := m.(*pgproto3.PasswordMessage); !ok || p.Password != g.chain.Text() {
			g.t.Errorf("for a password the relay said %T, %v", m, err)
			return
		}
		b.Send(&pgproto3.AuthenticationOk{})
		b.Send(&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		b.Flush()
		then(c)
	}
}

// hello takes what a connection begins with; it is over if that is a request to
// cancel.
func (g *gate) hello(c *tls.Conn) (*pgproto3.Backend, bool) {
	if err := c.Handshake(); err != nil {
		return nil, false // a relay that does not trust this gate
	}
	key, err := x509.MarshalPKIXPublicKey(g.zone.Holder(0).Public().Crypto())
	if s := c.ConnectionState(); err != nil || s.NegotiatedProtocol != "postgresql" || !bytes.Equal(s.PeerCertificates[0].RawSubjectPublicKeyInfo, key) {
		g.t.Errorf("another key, or protocol %q, %v", s.NegotiatedProtocol, err)
	}
	b := pgproto3.NewBackend(c, c)
	m, err := b.ReceiveStartupMessage()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch m := m.(type) {
	case *pgproto3.StartupMessage:
		g.params = append(g.params, m.Parameters)
		return b, true
	case *pgproto3.CancelRequest:
		g.cancels = append(g.cancels, *m)
	default:
		if err != io.EOF { // a look whether there is a gate
			g.t.Errorf("the relay begins with %T, %v", m, err)
		}
	}
	return nil, false
}

// relay returns a relay to g, and the folder of its socket. It ends with the test, or
// when end is called.
func (g *gate) relay(t *testing.T, change func(*pg.Config), before ...func(*pg.Relay)) (r *pg.Relay, dir string, end func()) {
	t.Helper()
	c := pg.Config{Gate: g.Addr().String(), Roots: g.roots, Credential: g.chain, Key: g.zone.Holder(0), Purpose: "refund"}
	if change != nil {
		change(&c)
	}
	r, err := pg.New(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range before {
		f(r)
	}
	dir = folder(t)
	l, err := pg.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, l) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return r, dir, end
}

// folder returns a folder of its own with a name that is short enough for a socket.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "writ-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// dial connects to the socket, without a word.
func dial(t *testing.T, dir string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// connect connects as a client does that knows nothing of a gate.
func connect(t *testing.T, dir, more string) (*pgconn.PgConn, error) {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), "host="+dir+" user=me dbname=shop "+more)
	if err == nil {
		t.Cleanup(func() { c.Close(context.Background()) })
	}
	return c, err
}
