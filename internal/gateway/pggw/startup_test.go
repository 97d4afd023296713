package pggw_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway/pggw"
	"github.com/writhq/writ/internal/testpg"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// TestStrangers shows connections of those who are not known, or not over TLS.
//
// SPEC PGGW-1, PGGW-2
// R2/sql R18/sql
// guard: client-tls
func TestStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	good := func() *pgconn.Config { return w.config(t, w.Wide(1), w.Holder(0)) }
	for name, tt := range map[string]struct {
		change func(*pgconn.Config)
		code   string
	}{
		"no TLS":           {func(c *pgconn.Config) { c.TLSConfig, c.Password = nil, "not asked for" }, "pop_required"},
		"no certificate":   {func(c *pgconn.Config) { c.TLSConfig.Certificates = nil }, "pop_required"},
		"another's key":    {func(c *pgconn.Config) { c.TLSConfig = w.TLSAs(w.Holder(1)) }, "pop_required"},
		"no credential":    {func(c *pgconn.Config) { c.Password = "secret" }, "credential_invalid"},
		"cut short":        {func(c *pgconn.Config) { c.Password = c.Password[:len(c.Password)-40] }, "credential_invalid"},
		"no purpose":       {func(c *pgconn.Config) { delete(c.RuntimeParams, "options") }, "purpose_invalid"},
		"another purpose":  {func(c *pgconn.Config) { c.RuntimeParams["options"] = "-c writ.purpose=fun" }, "purpose_invalid"},
		"unknown target":   {func(c *pgconn.Config) { c.Database = "bank" }, "not_declared"},
		"another's grants": {func(c *pgconn.Config) { c.Password = "writ1.AAAA" }, "credential_invalid"},
	} {
		cfg := good()
		tt.change(cfg)
		before := w.tap.conns.Load()
		_, err := pgconn.ConnectConfig(t.Context(), cfg)
		e, ok := errors.AsType[*pgconn.PgError](err)
		if name == "no TLS" && (!ok || !strings.Contains(e.Message, "TLS only")) {
			t.Errorf("%s: %v", name, err)
		}
		if !ok || e.Severity != "FATAL" || !strings.Contains(e.Detail, "code "+tt.code) || w.tap.conns.Load() != before {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
	}
	w.client(t)
}

// TestSlow shows clients that say nothing, stop in the middle, or do not take what
// they asked for.
//
// SPEC PGGW-1
// R11
// guard: pg-answer-stall
func TestSlow(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, pggw.Quick, func(d *policy.Document) {
		d.Operations[1].SQL.Functions = append(d.Operations[1].SQL.Functions, "pg_catalog.repeat")
		d.Operations[1].Response = nil
	})
	cfg := w.config(t, w.Wide(1), w.Holder(0))
	for name, say := range map[string]func(net.Conn){
		"nothing":             func(net.Conn) {},
		"half a startup":      func(c net.Conn) { c.Write([]byte{0, 0, 0, 80, 0, 3}) },
		"no TLS after asking": func(c net.Conn) { c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}) },
		"half a handshake":    func(c net.Conn) { c.Write([]byte{22, 3, 1, 2}) },
		"a startup too long":  func(c net.Conn) { c.Write([]byte{0x7f, 0, 0, 0, 0, 3, 0, 0}) },
		"something else":      func(c net.Conn) { c.Write([]byte("GET / HTTP/1.1\r\n\r\n")) },
		"TLS and nothing": func(c net.Conn) {
			if err := tls.Client(c, cfg.TLSConfig).Handshake(); err != nil {
				t.Errorf("handshake: %v", err)
			}
		},
	} {
		c, err := net.Dial("tcp", w.Addrs[0])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		say(c)
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays", name)
		}
	}
	h, err := w.connect(t, cfg).Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Conn.Close()
	h.Frontend.Send(&pgproto3.Query{String: "SELECT repeat('x', 50000) FROM generate_series(1, 2000)"})
	if err := h.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); w.count(receipt.Outcome, "") < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a session goes on whose client takes nothing")
		}
	}
}

// TestBounds shows how much one session may have.
//
// SPEC PGGW-4
// R11
// guard: names-bound
func TestBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, more := range map[string]func(i int) pgproto3.FrontendMessage{
		"statements": func(i int) pgproto3.FrontendMessage { return &pgproto3.Parse{Name: fmt.Sprint(i), Query: "SELECT 1"} },
		"portals": func(i int) pgproto3.FrontendMessage {
			return &pgproto3.Bind{DestinationPortal: fmt.Sprint(i), PreparedStatement: "s"}
		},
	} {
		h, err := w.client(t).Hijack()
		if err != nil {
			t.Fatal(err)
		}
		defer h.Conn.Close()
		h.Frontend.Send(&pgproto3.Parse{Name: "s", Query: "SELECT 1"})
		for i := range 1100 {
			h.Frontend.Send(more(i))
		}
		h.Frontend.Send(&pgproto3.Sync{})
		go h.Frontend.Flush()
		refused := false
		for done := false; !done; {
			m, err := h.Frontend.Receive()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch m := m.(type) {
			case *pgproto3.ErrorResponse:
				refused = strings.Contains(m.Detail, "quota_exceeded")
			case *pgproto3.ReadyForQuery:
				done = true
			}
		}
		if !refused {
			t.Errorf("%s: 1100 are taken", name)
		}
	}
}

// TestUnknownMessages shows what this gate does not take: the session ends.
//
// SPEC PGGW-4
// R15/sql
func TestUnknownMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, m := range map[string]pgproto3.FrontendMessage{
		"function call": &pgproto3.FunctionCall{Function: 1}, "a password again": &pgproto3.PasswordMessage{Password: "x"},
	} {
		h, err := w.client(t).Hijack()
		if err != nil {
			t.Fatal(err)
		}
		defer h.Conn.Close()
		h.Frontend.Send(m)
		h.Frontend.Flush()
		h.Conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, h.Conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the session goes on", name)
		}
	}
}

// TestPinned shows what a client's startup parameters change, and what neither they
// nor the role's own settings do.
//
// SPEC PGGW-3
// A17
func TestPinned(t *testing.T) {
	t.Parallel()
	names := []string{"search_path", "standard_conforming_strings", "client_encoding", "application_name", "backslash_quote"}
	w := newWorldOn(t, testpg.Start(t), pggw.Protocol, func(d *policy.Document) { d.Operations[1].SQL.Settings = names })
	w.pg.Exec(t, w.db, `CREATE SCHEMA evil; CREATE TABLE evil.orders (id int); GRANT USAGE ON SCHEMA evil TO app; GRANT SELECT ON evil.orders TO app;
ALTER ROLE app SET search_path = evil, public; ALTER ROLE app SET standard_conforming_strings = off; ALTER ROLE app SET client_encoding = 'SJIS'`)
	cfg := w.config(t, w.Wide(1), w.Holder(0))
	for k, v := range map[string]string{"search_path": "evil", "standard_conforming_strings": "off", "client_encoding": "SQL_ASCII", "application_name": "reports", "backslash_quote": "on"} {
		cfg.RuntimeParams[k] = v
	}
	c := w.connect(t, cfg)
	for i, want := range []string{`"pg_catalog", "public", "pg_temp"`, "on", "UTF8", "reports", "safe_encoding"} {
		r := c.ExecParams(t.Context(), "SHOW "+names[i], nil, nil, nil, nil).Read()
		if r.Err != nil || string(r.Rows[0][0]) != want {
			t.Errorf("%s is %q, %v", names[i], r.Rows, r.Err)
		}
	}
	if n, err := query(t, c, "SELECT id FROM orders LIMIT 5"); n != 5 || err != nil {
		t.Errorf("another table of the name is read: %d rows, %v", n, err)
	}
}

// TestDirectTLS connects with TLS from the first byte, and by a newer protocol.
//
// SPEC PGGW-1
func TestDirectTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	cfg := w.config(t, w.Wide(1), w.Holder(0))
	cfg.SSLNegotiation = "direct"
	cfg.TLSConfig.NextProtos = []string{"postgresql"}
	if n, err := query(t, w.connect(t, cfg), "SELECT id FROM orders WHERE id = 1"); n != 1 || err != nil {
		t.Errorf("direct: %d, %v", n, err)
	}
	raw, err := tls.Dial("tcp", w.Addrs[0], cfg.TLSConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.Close()
	for _, tt := range []struct {
		asked, spoken uint32 // minor versions
		options       int
		negotiated    bool
	}{{0, 0, 0, false}, {0, 0, 1, true}, {1, 0, 0, true}, {2, 2, 0, false}, {2, 2, 1, true}, {3, 2, 0, true}, {9999, 2, 1, true}} {
		raw, err := tls.Dial("tcp", w.Addrs[0], cfg.TLSConfig)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		m := &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30 + tt.asked, Parameters: map[string]string{"user": "me", "database": "shop"}}
		if tt.options > 0 {
			m.Parameters["_pq_.x"] = "1"
		}
		f := pgproto3.NewFrontend(raw, raw)
		f.Send(m)
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		got, err := f.Receive()
		n, ok := got.(*pgproto3.NegotiateProtocolVersion)
		if err != nil || ok != tt.negotiated || ok && (n.NewestMinorProtocol != pgproto3.ProtocolVersion30+tt.spoken || len(n.UnrecognizedOptions) != tt.options) {
			t.Errorf("protocol 3.%d: %#v, %v", tt.asked, got, err)
		}
	}
}
