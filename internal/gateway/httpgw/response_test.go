package httpgw_test

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// get makes one permitted GET through a gate whose upstream answers with h.
func get(t *testing.T, change func(*policy.Document), h http.HandlerFunc) (*testgate.Gate, *http.Response, string, error) {
	t.Helper()
	g := testgate.New(t, testgate.Config{Upstream: testgate.NewUpstream(t, h), Doors: []testgate.Door{door}, Policy: change})
	resp, err := g.Client(g.Wide(1), g.Holder(0), "refund").Get("https://" + g.Addrs[0] + "/t/shop/v1/orders/1")
	if err != nil {
		return g, nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return g, resp, string(b), err
}

// pieces writes s in pieces of n bytes, each flushed.
func pieces(w http.ResponseWriter, s string, n int) {
	for len(s) > 0 {
		k := min(n, len(s))
		io.WriteString(w, s[:k])
		w.(http.Flusher).Flush()
		s = s[k:]
	}
}

// TestReflectedSecretIsStopped shows a target that echoes the secret.
//
// SPEC HTTPGW-10
// R2 R2/http A16 A8
// guard: scan-stream, scan-whole, scan-header, scan-trailer, scan-body
func TestReflectedSecretIsStopped(t *testing.T) {
	t.Parallel()
	s := testkit.Plain
	b64 := base64.StdEncoding.EncodeToString
	for name, h := range map[string]http.HandlerFunc{
		"raw": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "your key is "+s+" indeed") },
		"echo of the header": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.Header.Get("Authorization"))
		},
		"one byte at a time": func(w http.ResponseWriter, r *http.Request) { pieces(w, strings.Repeat("x", 50)+s+"tail", 1) },
		"cut in the middle":  func(w http.ResponseWriter, r *http.Request) { pieces(w, strings.Repeat("x", 40000)+s, 40010) },
		"base64":             func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, b64([]byte(s))) },
		"base64 at offset 1": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, b64([]byte("."+s+"."))) },
		"base64 at offset 2": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, b64([]byte(".."+s+".."))) },
		"hex":                func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, hex.EncodeToString([]byte(s))) },
		"HEX": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.ToUpper(hex.EncodeToString([]byte(s))))
		},
		"url":                 func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, url.QueryEscape(s)) },
		"a header":            func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Request-Id", s) },
		"a header not passed": func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Debug", b64([]byte(s))) },
		"an error": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			io.WriteString(w, "bad key "+s)
		},
		"a trailer": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "fine")
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, resp, body, err := get(t, nil, h)
			if err == nil && resp.StatusCode < 500 {
				t.Errorf("status %d, whole body of %d bytes", resp.StatusCode, len(body))
			}
			seen := body
			if resp != nil {
				for k, v := range resp.Header {
					seen += k + strings.Join(v, "")
				}
			}
			if strings.Contains(seen, s) || strings.Contains(seen, b64([]byte(s))[:20]) || strings.Contains(strings.ToLower(seen), hex.EncodeToString([]byte(s))) {
				t.Error("the holder received the secret")
			}
			out := g.Receipts(receipt.Outcome)
			if len(out) != 1 || out[0].Outcome.Class != receipt.Stopped || out[0].Note != "secret in response" {
				t.Errorf("want one outcome stopped for the secret, have %d", len(out))
			}
		})
	}
}

// TestResponsePasses shows what a response keeps: also a stream, at once.
func TestResponsePasses(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.Config{Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{door}})
	next := make(chan struct{})
	g.Upstream.Handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			io.WriteString(w, "data: tick\n\n")
			w.(http.Flusher).Flush()
			<-next // the next event comes only when the holder has this one
		}
	})
	resp, err := g.Client(g.Wide(1), g.Holder(0), "refund").Get("https://" + g.Addrs[0] + "/t/shop/v1/orders/1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, len("data: tick\n\n"))
	for range 3 {
		if _, err := io.ReadFull(resp.Body, buf); err != nil {
			t.Fatalf("event: %v", err)
		}
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("after the events: %d bytes, %v", len(rest), err)
	}
}

// TestResponseHeaders shows that response headers pass by list, and that no
// redirect is followed.
//
// SPEC HTTPGW-9
// A8
func TestResponseHeaders(t *testing.T) {
	t.Parallel()
	g, resp, _, err := get(t, func(d *policy.Document) {
		d.Operations[0].Response = &policy.Response{Headers: []string{"x-total"}}
	}, func(w http.ResponseWriter, r *http.Request) {
		for _, h := range []string{"Set-Cookie", "Authentication-Info", "X-Total", "X-Other", "Etag"} {
			w.Header().Set(h, "v")
		}
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(302)
	})
	if err != nil {
		t.Fatal(err)
	}
	for h, want := range map[string]bool{"Set-Cookie": false, "Authentication-Info": false, "X-Other": false, "X-Total": true, "Etag": true, "Location": true} {
		if got := resp.Header.Get(h) != ""; got != want {
			t.Errorf("%s passed: %v, want %v", h, got, want)
		}
	}
	if resp.StatusCode != 302 || len(g.Upstream.Seen()) != 1 {
		t.Errorf("status %d after %d requests", resp.StatusCode, len(g.Upstream.Seen()))
	}
}

// TestResponseConstraints shows that what the policy demands of a result is
// applied, or there is no result.
//
// SPEC HTTPGW-10
// R7 R7/http
// guard: response-size-stream, redact-json-only, content-encoding, upgrade, scan-redacted
func TestResponseConstraints(t *testing.T) {
	t.Parallel()
	const card = "4242-4242"
	redact := func(d *policy.Document) {
		d.Operations[0].Response = &policy.Response{Redact: []string{"card", "items.card"}}
	}
	small := func(d *policy.Document) { d.Operations[0].Response = &policy.Response{MaxBytes: 100} }
	for name, tt := range map[string]struct {
		policy func(*policy.Document)
		h      http.HandlerFunc
		ok     bool
	}{
		"redacted": {redact, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"id":1,"card":"`+card+`","items":[{"card":"`+card+`","n":2}]}`)
		}, true},
		"the secret beside them": {redact, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"card":"`+card+`","key":"`+testkit.Plain+`"}`)
		}, false},
		"not JSON": {redact, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			io.WriteString(w, `{"id":1,"n":2,"card":"`+card+`"}`)
		}, false},
		"JSON that two readers take for two things": {redact, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"card":1,"card":"`+card+`"}`)
		}, false},
		"too large, as it says": {small, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Repeat("x", 101)+card)
		}, false},
		"too large, as it turns out": {small, func(w http.ResponseWriter, r *http.Request) {
			pieces(w, strings.Repeat("x", 101)+card, 30)
		}, false},
		"compressed": {nil, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, card)
		}, false},
		"switches protocols": {nil, func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: t\r\nConnection: Upgrade\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"+card)
				c.Close()
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, resp, body, err := get(t, tt.policy, tt.h)
			if ok := err == nil && resp.StatusCode == 200; ok != tt.ok {
				t.Errorf("whole and permitted: %v, want %v", ok, tt.ok)
			}
			if strings.Contains(body, card) {
				t.Error("the holder received what the policy takes out")
			}
			if tt.ok && body != `{"id":1,"items":[{"n":2}]}` {
				t.Errorf("body %s", body)
			}
		})
	}
}
