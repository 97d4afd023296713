package httpgw_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// TestEvents shows that server-sent events pass at once, over both versions of
// HTTP, and for longer than a request may take to arrive or a client to read.
//
// SPEC HTTPGW-9
func TestEvents(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]way{"HTTP/1.1": {}, "HTTP/2": {http2: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := testgate.New(t, testgate.Config{
				Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{{Protocol: httpgw.Quick, Config: config}},
			})
			const event = "data: tick\n\n"
			next := make(chan struct{})
			g.Upstream.Handle(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for range 3 {
					io.WriteString(w, event)
					w.(http.Flusher).Flush()
					<-next                               // the next event comes only when the holder has this one,
					<-time.After(250 * time.Millisecond) // and later than anything else may take
				}
			})
			c := g.Call(w.of(g.Wide(1), g.Holder(0)))
			r, err := http.NewRequest("POST", "https://"+g.Addrs[0]+"/t/shop/v1/refunds", strings.NewReader(refund))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			buf := make([]byte, len(event))
			for range 3 {
				if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != event {
					t.Fatalf("event: %q, %v", buf, err)
				}
				next <- struct{}{}
			}
			if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 || resp.ProtoMajor == 2 != w.http2 {
				t.Errorf("after the events: %d bytes, %v, %s", len(rest), err, resp.Proto)
			}
		})
	}
}

// TestBodiesPass shows responses of every size and framing, byte for byte.
//
// SPEC HTTPGW-9, HTTPGW-10
// guard: scan-body
func TestBodiesPass(t *testing.T) {
	t.Parallel()
	for _, w := range []way{{}, {http2: true}} {
		g := newGate(t, nil)
		c := g.Call(w.of(g.Wide(1), g.Holder(0)))
		for _, n := range []int{0, 1, 200, 4 << 10, 32 << 10, 32<<10 + 1, 200 << 10} {
			body := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
			for _, chunked := range []bool{false, true} {
				g.Upstream.Handle(func(w http.ResponseWriter, _ *http.Request) {
					if chunked {
						w.(http.Flusher).Flush()
					}
					w.Write(body)
				})
				if status, got := send(t, c, call{"GET", orders(g), ""}); status != 200 || got != string(body) {
					t.Errorf("%d bytes, chunked %v: status %d, %d bytes", n, chunked, status, len(got))
				}
			}
		}
		g.Upstream.Handle(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x"+testkit.Plain) })
		if status, got := send(t, c, call{"GET", orders(g), ""}); status != 502 || strings.Contains(got, testkit.Plain) {
			t.Errorf("the secret: status %d", status)
		}
		if n := len(g.Receipts(receipt.Outcome)); n != 15 {
			t.Errorf("%d outcomes", n)
		}
	}
}

// TestHead shows a response that says how long it would be.
func TestHead(t *testing.T) {
	t.Parallel()
	for _, w := range []way{{}, {http2: true}} {
		g := newGate(t, func(d *policy.Document) {
			d.Operations[0].Actions = append(d.Operations[0].Actions, "http:HEAD")
			d.Rules += `@id("head") permit (principal, action == Action::"http:HEAD", resource);`
		})
		c := g.Call(w.of(g.Wide(1), g.Holder(0)))
		for _, length := range []string{"0", "5", "100000"} {
			g.Upstream.Handle(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", length) })
			for range 2 {
				resp, err := c.Head(orders(g))
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != 200 || resp.Header.Get("Content-Length") != length {
					t.Errorf("status %d, length %s, want %s", resp.StatusCode, resp.Header.Get("Content-Length"), length)
				}
			}
		}
		if n := g.Upstream.Connections(); n != 1 {
			t.Errorf("%d connections", n)
		}
	}
}

// TestBodyBounds shows bodies that are refused before they are read.
//
// SPEC HTTPGW-4
// R11
// guard: body-size, body-budget
func TestBodyBounds(t *testing.T) {
	t.Parallel()
	head := "POST /t/shop/v1/refunds HTTP/1.1\r\nHost: x\r\nContent-Length: "
	g := testgate.New(t, testgate.Config{
		Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{{Protocol: httpgw.Small(100), Config: config}},
	})
	for length, status := range map[string]int{"2097153": 413, "2000000": 503, "101": 503, "-1": 400, "1e3": 400} {
		if resp := raw(t, g, []byte(head+length+"\r\n\r\n")); resp.StatusCode != status {
			t.Errorf("%s bytes: status %d, want %d", length, resp.StatusCode, status)
		}
	}
	for range 8 { // what is taken is given back
		status, body := send(t, g.Client(g.Wide(1), g.Holder(0), "refund"), call{"POST", "https://" + g.Addrs[0] + "/t/shop/v1/refunds", refund})
		if status != 200 {
			t.Fatalf("status %d: %s", status, body)
		}
	}
}
