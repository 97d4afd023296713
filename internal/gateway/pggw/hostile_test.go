package pggw_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/policy"
)

// TestHostileText sends what is no ordinary statement: each is refused, and the
// session and the gate go on.
//
// SPEC SQL-6, PGGW-5
// R11 A17 A18
func TestHostileText(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.client(t)
	for name, sql := range map[string]string{
		"a megabyte":                   "SELECT '" + strings.Repeat("a", 1<<20) + "'",
		"too long by a byte":           "SELECT '" + strings.Repeat("a", 256<<10) + "'",
		"what overflows a stack of C":  "SELECT 1" + strings.Repeat("+1", 60<<10),
		"deep parentheses":             "SELECT " + strings.Repeat("(", 50000) + "1" + strings.Repeat(")", 50000),
		"deep subqueries":              strings.Repeat("SELECT (", 2000) + "SELECT 1" + strings.Repeat(")", 2000),
		"deep CASE":                    "SELECT " + strings.Repeat("CASE WHEN true THEN ", 2000) + "1" + strings.Repeat(" END", 2000),
		"not UTF-8":                    "SELECT '\xff\xfe'",
		"half of a character":          "SELECT 'a\xc3' FROM orders; --'",
		"an escape that is none":       `SELECT 'a\'; DELETE FROM orders; --'`,
		"an escape that is one":        `SELECT E'a\\'; DELETE FROM orders; --'`,
		"a comment in a comment":       "SELECT 1 /* /* */ ; DELETE FROM orders; -- */",
		"a dollar quote":               "SELECT $a$ $b$ $a$; DELETE FROM orders",
		"literals continued":           "SELECT 'a'\n'b'; DELETE FROM orders",
		"Unicode escapes":              `DELETE FROM U&"\006frders"`,
		"a name in full width":         "SELECT * FROM ｏrders",
		"strings as they once were":    "SET standard_conforming_strings = off",
		"another encoding":             "SET client_encoding = 'SJIS'",
		"another encoding's name":      "SET NAMES 'GBK'",
		"many statements":              strings.Repeat("SELECT 1;", 65),
		"a parameter beyond the last":  "SELECT $65536",
		"a password for another role":  "CREATE ROLE evil LOGIN PASSWORD 'x'",
		"a password for the same role": "ALTER ROLE app PASSWORD 'x'",
	} {
		for way, err := range map[string]error{
			"simple":   func() error { _, err := query(t, c, sql); return err }(),
			"extended": c.ExecParams(t.Context(), sql, nil, nil, nil, nil).Read().Err,
		} {
			if err == nil {
				t.Errorf("%s (%s): it was taken", name, way)
			}
		}
		if n, err := query(t, c, "SELECT id FROM orders"); n == 0 || denied(err) == nil && err != nil {
			t.Fatalf("%s: after it: %d rows, %v", name, n, err)
		}
	}
}

// TestManyValues binds as many values as the protocol can count, and more.
//
// SPEC PGGW-4
// R11
func TestManyValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) { d.Operations[1].Response = nil })
	for _, n := range []int{1000, 65535} {
		c := w.client(t)
		var sql strings.Builder
		sql.WriteString("SELECT id FROM orders WHERE id IN ($1")
		values := [][]byte{[]byte("1")}
		for i := 2; i <= n; i++ {
			if i <= 200 { // a text is bounded before that many are named
				fmt.Fprintf(&sql, ",$%d", i)
			}
			values = append(values, []byte("2"))
		}
		sql.WriteString(")")
		r := c.ExecParams(t.Context(), sql.String(), values, nil, nil, nil).Read()
		if n > 200 && r.Err == nil { // the server says that it takes 200
			t.Errorf("%d values for 200: taken", n)
		}
		if _, err := query(t, c, "SELECT 1"); err != nil {
			t.Errorf("after %d values: %v", n, err)
		}
	}
	// A count that has come round: 65,536 values say that they are none.
	h := w.raw(t)
	b := []byte{0, 0, 0, 0, 0, 0} // portal, statement, formats, values
	b = append(b, bytes.Repeat([]byte{0, 0, 0, 1, '1'}, 65536)...)
	m := binary.BigEndian.AppendUint32([]byte{'B'}, uint32(len(b)+4))
	if _, err := h.Conn.Write(append(m, b...)); err != nil {
		t.Fatal(err)
	}
	if _, failed := talk(t, h, isReady, &pgproto3.Execute{}, &pgproto3.Sync{}); failed == "" {
		t.Error("a message that is none was taken")
	}
	if rows, failed := talk(t, h, isReady, &pgproto3.Query{String: "SELECT 7"}); failed != "" || len(rows) != 1 {
		t.Errorf("after it: %q, %s", rows, failed)
	}
}

// wire returns messages as a client sends them.
func wire(t testing.TB, list ...pgproto3.FrontendMessage) (b []byte) {
	t.Helper()
	for _, m := range list {
		var err error
		if b, err = m.Encode(b); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// TestJunkInSession says what is no conversation, after the credential: series of
// messages cut off at each byte, and with bytes changed. Each may be refused, and must
// not panic, hang, or keep the next client from its work. (Messages themselves are
// fuzzed in pgwire.)
//
// SPEC PGGW-4
// R11
func TestJunkInSession(t *testing.T) {
	t.Parallel()
	parse := &pgproto3.Parse{Name: "s", Query: "SELECT id FROM orders WHERE id = $1", ParameterOIDs: []uint32{23}}
	bind := &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("1")}}
	end := &pgproto3.Sync{}
	random := rand.New(rand.NewPCG(1, 2))
	var junk [][]byte
	for _, list := range [][]pgproto3.FrontendMessage{
		{&pgproto3.Query{String: "SELECT id FROM orders"}},
		{&pgproto3.Query{String: "COPY notes FROM STDIN"}, &pgproto3.CopyData{Data: []byte("1\ta\n")}, &pgproto3.CopyDone{}},
		{&pgproto3.Query{String: "BEGIN; DECLARE c CURSOR FOR SELECT id FROM orders; FETCH 2 FROM c"}, &pgproto3.Query{String: "CLOSE c; COMMIT"}},
		{parse, bind, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{MaxRows: 1}, &pgproto3.Execute{}, end},
		{parse, &pgproto3.Describe{ObjectType: 'S', Name: "s"}, &pgproto3.Flush{}, bind, &pgproto3.Execute{}, &pgproto3.Close{ObjectType: 'S', Name: "s"}, end},
		{&pgproto3.Query{String: "LISTEN jobs"}, &pgproto3.Query{String: "NOTIFY jobs"}, &pgproto3.Terminate{}},
		{&pgproto3.CopyFail{}, &pgproto3.FunctionCall{}},
	} {
		b := wire(t, list...)
		for i := range b {
			junk = append(junk, b[:i+1])
			changed := bytes.Clone(b)
			changed[i] ^= byte(1 + random.IntN(255))
			junk = append(junk, changed)
		}
	}
	w := newWorld(t, func(d *policy.Document) { broad(d) })
	w.pg.Exec(t, w.db, "CREATE TABLE notes (id int, body text); GRANT SELECT, INSERT ON notes TO app")
	hello := append(startup(), wire(t, &pgproto3.PasswordMessage{Password: w.Wide(1).Text()})...)
	var at atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for i := int(at.Add(1)) - 1; i < len(junk); i = int(at.Add(1)) - 1 {
				c := dial(t, w.Gate)
				c.SetDeadline(time.Now().Add(60 * time.Second))
				c.Write(append(bytes.Clone(hello), junk[i]...))
				c.CloseWrite()
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("it hangs over %q", junk[i])
				}
				c.Close()
			}
		})
	}
	clients.Wait()
	if log := w.Logged.Bytes(); bytes.Contains(log, []byte(`"panic"`)) {
		t.Errorf("%.2000s", log)
	}
	if n, err := query(t, w.client(t), "SELECT id FROM orders WHERE id = 1"); n != 1 || err != nil || len(junk) < 800 {
		t.Errorf("after %d of them: %d rows, %v", len(junk), n, err)
	}
}

func dial(t testing.TB, g *testgate.Gate) *tls.Conn {
	t.Helper()
	cfg := g.TLSAs(g.Holder(0))
	cfg.NextProtos = []string{"postgresql"}
	c, err := tls.Dial("tcp", g.Addrs[0], cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
