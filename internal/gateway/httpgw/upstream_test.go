package httpgw_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testgate"
)

// gathered is a connection whose writes are sent together.
type gathered struct {
	net.Conn
	on  bool
	buf bytes.Buffer
}

// Write writes, or keeps for later.
func (g *gathered) Write(b []byte) (int, error) {
	if g.on {
		return g.buf.Write(b)
	}
	return g.Conn.Write(b)
}

// eager is an upstream that says more than it was asked: answer says what, over
// TLS, and returns how many bytes of the records are kept until the next request.
func eager(t *testing.T, answer func(c io.Writer, path string) (keep int)) *testgate.Upstream {
	t.Helper()
	cert := testgate.Certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serve := func(raw net.Conn) {
		g := &gathered{Conn: raw}
		c := tls.Server(g, &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true})
		defer raw.Close()
		r := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			g.on = true
			keep := answer(c, req.URL.Path)
			all := bytes.Clone(g.buf.Bytes())
			g.buf.Reset()
			raw.Write(all[:len(all)-keep])
			g.buf.Write(all[len(all)-keep:])
		}
	}
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go serve(raw)
		}
	}()
	return &testgate.Upstream{Origin: "https://" + l.Addr().String(), Pin: canon.Hash(cert.Leaf.RawSubjectPublicKeyInfo).String()}
}

// TestAnswersAhead shows targets that answer a request before it is made: what TLS
// holds already of such an answer is not taken for the next one's.
//
// SPEC HALL-4
// A6
// guard: tls-quiet
func TestAnswersAhead(t *testing.T) {
	t.Parallel()
	answer := func(s string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
	}
	for name, say := range map[string]func(c io.Writer, path string) int{
		"in a record of its own": func(c io.Writer, path string) int {
			io.WriteString(c, answer(path))
			io.WriteString(c, answer("poison"))
			return 0
		},
		"in a part of a record": func(c io.Writer, path string) int {
			io.WriteString(c, answer(path))
			io.WriteString(c, answer("poison"))
			return 20
		},
		"behind what fills the buffer": func(c io.Writer, path string) int {
			whole := answer(path + strings.Repeat(" ", 16<<10-len(answer(path))-3))
			io.WriteString(c, whole[:10])
			io.WriteString(c, whole[10:16<<10]+answer("poison")[:10])
			io.WriteString(c, answer("poison")[10:])
			return 0
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := testgate.New(t, testgate.Config{Upstream: eager(t, say), Doors: []testgate.Door{door}})
			c := g.Client(g.Wide(1), g.Holder(0), "refund")
			for i := range 3 {
				path := fmt.Sprintf("/v1/orders/%d", i)
				resp, err := c.Get("https://" + g.Addrs[0] + "/t/shop" + path)
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !strings.HasPrefix(string(b), path) {
					t.Errorf("%s: %d %.40q, %v", path, resp.StatusCode, b, err)
				}
			}
		})
	}
}

// TestTwoCodings shows a response that names two content codings in two lines.
//
// SPEC HTTPGW-9
// A16
// guard: content-encoding
func TestTwoCodings(t *testing.T) {
	t.Parallel()
	_, resp, body, err := get(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Encoding"] = []string{"identity", "gzip"}
		io.WriteString(w, "not what it seems")
	})
	if err != nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("%v, %q", err, body)
	}
}
