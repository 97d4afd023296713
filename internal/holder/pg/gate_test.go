package pg_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/holder/pg"
	"github.com/writhq/writ/internal/testgate"
)

// answer makes a gate that says m to whatever it is told.
func answer(m ...pgproto3.BackendMessage) func(*gate, *tls.Conn) {
	return func(g *gate, c *tls.Conn) {
		b, ok := g.hello(c)
		if !ok {
			return
		}
		for _, m := range m {
			b.Send(m)
		}
		b.Flush()
		io.Copy(io.Discard, c)
	}
}

// TestNoGate shows what is no gate, though its certificate is trusted: the client
// learns that, and of what it said nothing.
//
// SPEC HPG-4, HPG-6
// R11
// guard: relay-no-gate, relay-answer-size
func TestNoGate(t *testing.T) {
	t.Parallel()
	ask, in := &pgproto3.AuthenticationCleartextPassword{}, &pgproto3.AuthenticationOk{}
	ready := &pgproto3.ReadyForQuery{TxStatus: 'I'}
	notices := make([]pgproto3.BackendMessage, 20)
	for i := range notices {
		notices[i] = &pgproto3.NoticeResponse{Severity: "NOTICE", Message: "again"}
	}
	for name, talk := range map[string]func(*gate, *tls.Conn){
		"lets anybody in":      answer(in, ready),
		"asks twice":           answer(ask, ask),
		"asks for a hash":      answer(&pgproto3.AuthenticationMD5Password{}),
		"asks for SCRAM":       answer(&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}}),
		"sends rows first":     answer(ask, &pgproto3.DataRow{Values: [][]byte{[]byte("x")}}),
		"is ready at once":     answer(ready),
		"only talks":           answer(notices...),
		"a message too long":   answer(&pgproto3.NoticeResponse{Message: strings.Repeat("x", pg.MaxAnswerBytes)}, ask, in, ready),
		"closes":               func(g *gate, c *tls.Conn) { g.hello(c) },
		"closes in the middle": func(g *gate, c *tls.Conn) { g.hello(c); c.Write([]byte{'R', 0, 0}) },
		"a message of no bytes": func(g *gate, c *tls.Conn) {
			g.hello(c)
			c.Write(binary.BigEndian.AppendUint32([]byte{'R'}, 3))
			io.Copy(io.Discard, c)
		},
	} {
		g := newGate(t, talk)
		_, dir, _ := g.relay(t, nil)
		_, err := connect(t, dir, "")
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "08001" || e.Severity != "FATAL" || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRefusalPasses shows a gate that says no: the client reads it as it is, before it
// was asked anything.
//
// SPEC HPG-4
func TestRefusalPasses(t *testing.T) {
	t.Parallel()
	no := &pgproto3.ErrorResponse{Severity: "FATAL", Code: "42501", Message: "writ: no", Detail: "code purpose_invalid", Hint: "another"}
	for _, before := range [][]pgproto3.BackendMessage{nil, {&pgproto3.AuthenticationCleartextPassword{}}, {&pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: 196608}}} {
		g := newGate(t, answer(append(before, no)...))
		_, dir, _ := g.relay(t, nil)
		_, err := connect(t, dir, "")
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != no.Code || e.Detail != no.Detail || e.Hint != no.Hint {
			t.Errorf("%v: %v", before, err)
		}
	}
}

// TestUntrusted shows gates that are not reached, or not who they should be: nothing
// of holder or client goes there.
//
// SPEC HPG-2, HPG-6
// R4
func TestUntrusted(t *testing.T) {
	t.Parallel()
	good := newGate(t, let(stay))
	var seen atomic.Int64
	other := newGate(t, func(_ *gate, c *tls.Conn) {
		n, _ := io.Copy(io.Discard, c)
		seen.Add(n)
	})
	other.zone, other.chain = good.zone, good.chain
	gone := newGate(t, nil)
	gone.Close()
	web, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{testgate.Certificate(t)}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	go func() {
		c, err := web.Accept()
		if err == nil {
			c.(*tls.Conn).Handshake()
			c.Close()
		}
	}()
	for name, change := range map[string]func(*pg.Config){
		"another certificate": func(c *pg.Config) { c.Gate = other.Addr().String() },
		"another name":        func(c *pg.Config) { c.Gate = strings.Replace(c.Gate, "127.0.0.1", "127.0.0.2", 1) },
		"nobody there":        func(c *pg.Config) { c.Gate = gone.Addr().String() },
		"a server of HTTP":    func(c *pg.Config) { c.Gate = web.Addr().String() },
		"the system's roots":  func(c *pg.Config) { c.Roots = nil },
		"no roots":            func(c *pg.Config) { c.Roots = x509.NewCertPool() },
	} {
		r, dir, _ := good.relay(t, change)
		if name != "a server of HTTP" { // it answers once
			if err := r.Reach(t.Context()); !errors.Is(err, pg.ErrRelay) {
				t.Errorf("%s: reached, %v", name, err)
			}
		}
		_, err := connect(t, dir, "")
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "08001" || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := seen.Load(); n != 0 || other.conns.Load() == 0 {
		t.Errorf("%d bytes went to another, in %d connections", n, other.conns.Load())
	}
	r, _, _ := good.relay(t, nil)
	if err := r.Reach(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestConfig shows what a relay is not made of.
func TestConfig(t *testing.T) {
	t.Parallel()
	g := newGate(t, let(stay))
	good := pg.Config{Gate: "gate.example:5432", Credential: g.chain, Key: g.zone.Holder(0)}
	if _, err := pg.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*pg.Config){
		"no gate": func(c *pg.Config) { c.Gate = "" }, "no port": func(c *pg.Config) { c.Gate = "gate.example" }, "no host": func(c *pg.Config) { c.Gate = ":5432" },
		"no credential": func(c *pg.Config) { c.Credential = nil }, "another's key": func(c *pg.Config) { c.Key = g.zone.Holder(1) },
		"two options": func(c *pg.Config) { c.Purpose = "refund -c role=x" }, "a long purpose": func(c *pg.Config) { c.Purpose = strings.Repeat("x", 129) },
	} {
		c := good
		change(&c)
		if _, err := pg.New(c); !errors.Is(err, pg.ErrRelay) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
