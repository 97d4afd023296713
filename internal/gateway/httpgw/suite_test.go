package httpgw_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway/gatewaytest"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// door is the HTTP gateway under test.
var door = testgate.Door{Protocol: httpgw.Protocol, Config: config}

func config(addr string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"origin":"https://%s"}`, addr))
}

// A way is how a holder speaks to the door.
type way struct{ http2, channel bool }

// ways are those that the suite runs over: both versions of HTTP, both levels.
var ways = map[string]way{"HTTP/1.1 signed": {}, "HTTP/2 certificate": {http2: true, channel: true}}

// of returns the caller that holds c by the key.
func (w way) of(c *credential.Chain, k sign.Signer) testgate.Caller {
	return testgate.Caller{Credential: c, Key: k, Purpose: "refund", HTTP2: w.http2, Channel: w.channel}
}

type client struct {
	*http.Client
	url string
}

func (w way) client(_ testing.TB, g *testgate.Gate, c *credential.Chain, k sign.Signer) gatewaytest.Client {
	return &client{g.Call(w.of(c, k)), "https://" + g.Addrs[0] + "/t/shop"}
}

func (c *client) do(path string) (a gatewaytest.Answer) {
	resp, err := c.Get(c.url + path)
	if err != nil {
		a.Failed = true
		return a
	}
	defer resp.Body.Close()
	a.Text, _ = httputil.DumpResponse(resp, true)
	var p httpgw.Problem
	switch {
	case resp.Header.Get("Content-Type") != "application/problem+json":
		a.OK = resp.StatusCode == 200
	case json.Unmarshal(a.Text[bytes.Index(a.Text, []byte("\r\n\r\n")):], &p) != nil || p.Code == "not_decided":
		a.Failed = true
	default:
		a.Code = string(p.Code)
	}
	return a
}

func (c *client) Permitted() gatewaytest.Answer { return c.do("/v1/orders/1") }
func (c *client) Denied() gatewaytest.Answer    { return c.do("/v1/customers") }
func (c *client) Close()                        { c.CloseIdleConnections() }

// upstream is the target of the suite.
type upstream struct{ *testgate.Upstream }

func (u *upstream) Operations() (out []string) {
	for _, s := range u.Seen() {
		out = append(out, s.Remote)
	}
	return out
}

func (u *upstream) Behave(b gatewaytest.Behaviour) {
	u.Handle(map[gatewaytest.Behaviour]http.HandlerFunc{
		gatewaytest.Works: nil,
		gatewaytest.Refuses: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "out of order", http.StatusInternalServerError)
		},
		gatewaytest.Reflects: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			r.Header.Write(w)
		},
		gatewaytest.HangsUp: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}[b])
}

func (u *upstream) Hold() (<-chan struct{}, func()) {
	reached, let := make(chan struct{}), make(chan struct{})
	u.Handle(func(w http.ResponseWriter, _ *http.Request) {
		close(reached)
		<-let
		io.WriteString(w, "late")
	})
	return reached, func() { close(let) }
}

// transport returns the proving transport of a client of testgate.
func transport(c *http.Client) *api.Transport { return c.Transport.(*api.Transport) }

// capture proves a request and keeps it instead of sending it.
type capture struct {
	http2 bool
	wire  []byte
}

func (c *capture) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.http2 {
		c.wire = frames(r)
		return nil, fmt.Errorf("captured")
	}
	var b bytes.Buffer
	err := r.Write(&b)
	c.wire = b.Bytes()
	return nil, fmt.Errorf("captured: %w", err)
}

func (w way) wire(t testing.TB, g *testgate.Gate, c *credential.Chain, k sign.Signer) []byte {
	t.Helper()
	method, path, body := "POST", "/v1/refunds", io.Reader(strings.NewReader(`{"order":"1","amount":100}`))
	if w.channel { // the usual policy wants a signature for POST
		method, path, body = "GET", "/v1/orders/1", nil
	}
	r, err := http.NewRequest(method, "https://"+g.Addrs[0]+"/t/shop"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return proven(t, g.Call(w.of(c, k)), r)
}

// proven returns the bytes of r as the transport of h would send it.
func proven(t testing.TB, h *http.Client, r *http.Request) []byte {
	t.Helper()
	base, ok := transport(h).Base.(*http.Transport)
	c := &capture{http2: ok && base.Protocols != nil && base.Protocols.HTTP2()}
	(&http.Client{Transport: testgate.Over(h, c)}).Do(r)
	if len(c.wire) == 0 {
		t.Fatal("nothing was captured")
	}
	return c.wire
}

func (w way) dial(t testing.TB, g *testgate.Gate) net.Conn {
	t.Helper()
	cfg := g.TLS()
	if w.channel {
		cfg = g.TLSAs(g.Holder(0))
	}
	if w.http2 {
		cfg.NextProtos = []string{"h2"}
	}
	conn, err := tls.Dial("tcp", g.Addrs[0], cfg)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestSuite runs what every gateway must do.
//
// SPEC HALL-1, HALL-2, HALL-3, HALL-4
// R2 R3/http R5 R11 R13 R15 R16 R20 R28 R43 R56 R59
// A3 A6 A13
// guard: decision-respected, use-decided, opened-before-act
func TestSuite(t *testing.T) {
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gatewaytest.Run(t, driver(w))
		})
	}
}

func driver(w way) gatewaytest.Driver {
	d := gatewaytest.Driver{
		Protocol: httpgw.Protocol,
		Quick:    httpgw.Quick,
		Config:   config,
		Bad: []json.RawMessage{
			json.RawMessage(`{}`), json.RawMessage(`{"origin":"gate.example"}`), json.RawMessage(`{"origin":"https://gate.example/"}`),
		},
		Upstream: func(t testing.TB) gatewaytest.Upstream { return &upstream{testgate.NewUpstream(t, nil)} },
		Policy: func(d *policy.Document, up gatewaytest.Upstream, host string) {
			u := up.(*upstream)
			t := &d.Targets[0]
			if t.Origin, t.Pins, t.Private = u.Origin, []string{u.Pin}, true; host != "" {
				t.Origin = strings.Replace(t.Origin, "127.0.0.1", host, 1)
			}
		},
		Client: w.client,
		Wire:   w.wire,
		Dial:   w.dial,
		Junk: map[string]func(net.Conn) error{
			"a header without end": func(c net.Conn) error {
				_, err := io.Copy(c, io.MultiReader(strings.NewReader("GET /t/shop/v1/orders/1 HTTP/1.1\r\nHost: x\r\nX-A: "), endless('a', 1<<20)))
				return err
			},
			"headers without end": func(c net.Conn) error {
				if _, err := io.WriteString(c, "GET /t/shop/v1/orders/1 HTTP/1.1\r\nHost: x\r\n"); err != nil {
					return err
				}
				for i := range 20000 {
					if _, err := fmt.Fprintf(c, "X-%d: aaaaaaaaaaaaaaaaaaaa\r\n", i); err != nil {
						return err
					}
				}
				return nil
			},
			"a body too large": func(c net.Conn) error {
				_, err := io.Copy(c, io.MultiReader(strings.NewReader("POST /t/shop/v1/refunds HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"), endless('a', 8<<20)))
				return err
			},
			"a header that stops": func(c net.Conn) error {
				_, err := io.WriteString(c, "GET /t/shop/v1/orders/1 HTTP/1.1\r\nHost: x\r\nX-A: ")
				return err
			},
			"a body that stops": func(c net.Conn) error {
				_, err := io.WriteString(c, "POST /t/shop/v1/refunds HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
				return err
			},
			"not HTTP": func(c net.Conn) error {
				_, err := c.Write(bytes.Repeat([]byte{0, 1, 2, 3}, 64<<10))
				return err
			},
		},
	}
	if w.http2 {
		d.Junk = junk2
	}
	return d
}

func endless(b byte, n int64) io.Reader { return io.LimitReader(repeat(b), n) }

type repeat byte

func (r repeat) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r)
	}
	return len(b), nil
}

// raw sends bytes to the gate and returns the response.
func raw(t testing.TB, g *testgate.Gate, wire []byte) *http.Response {
	t.Helper()
	conn := way{}.dial(t, g)
	t.Cleanup(func() { conn.Close() })
	stop := context.AfterFunc(t.Context(), func() { conn.Close() })
	t.Cleanup(func() { stop() })
	if _, err := conn.Write(wire); err != nil {
		t.Fatalf("write: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("read response: %v", err)
	}
	return resp
}
