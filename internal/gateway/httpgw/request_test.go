package httpgw_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/zone"
)

// A call is one request.
type call struct{ method, url, body string }

// send makes the call and returns status and body.
func send(t *testing.T, c *http.Client, q call) (int, string) {
	t.Helper()
	r, err := http.NewRequest(q.method, q.url, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	if q.body == "" {
		r.Body = nil
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// read reads an order as the holder of a wide credential.
func read(t *testing.T, g *testgate.Gate) (int, string) {
	t.Helper()
	return send(t, g.Client(g.Wide(1), g.Holder(0), "refund"), call{"GET", orders(g), ""})
}

// orders returns the address of an order.
func orders(g *testgate.Gate) string { return "https://" + g.Addrs[0] + "/t/shop/v1/orders/1" }

func newGate(t *testing.T, change func(*policy.Document)) *testgate.Gate {
	t.Helper()
	return testgate.New(t, testgate.Config{Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{door}, Policy: change})
}

// TestSentIsWhatWasDecided shows that what goes upstream is written from the
// operation.
//
// SPEC HTTPGW-1
// R5 R15
func TestSentIsWhatWasDecided(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	r, err := http.NewRequest("POST", "https://"+g.Addrs[0]+"/t/shop/v1/%72efunds", strings.NewReader("{ \"amount\" : 100,\n\"order\":\"\\u0041\" }"))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Content-Type": "application/json", "X-Reason": "broken", "X-Other": "dropped", "Cookie": "a=b", "Authorization": "Bearer mine",
		"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example",
	} {
		r.Header.Set(k, v)
	}
	r.Host = "evil.example"
	resp, err := g.Client(g.Wide(1), g.Holder(0), "refund").Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	seen := g.Upstream.Seen()
	if resp.StatusCode != 200 || len(seen) != 1 {
		t.Fatalf("status %d, %d requests upstream", resp.StatusCode, len(seen))
	}
	s := seen[0]
	if s.Method != "POST" || s.URI != "/v1/refunds" || string(s.Body) != `{"amount":100,"order":"A"}` || "https://"+s.Host != g.Upstream.Origin {
		t.Errorf("upstream saw %s %s for %s: %s", s.Method, s.URI, s.Host, s.Body)
	}
	var names []string
	for k := range s.Header {
		names = append(names, k)
	}
	slices.Sort(names)
	if want := "Accept-Encoding Authorization Content-Length Content-Type X-Reason"; strings.Join(names, " ") != want {
		t.Errorf("headers upstream: %v; want %s", names, want)
	}
	if s.Header.Get("Authorization") != "Bearer "+testkit.Plain {
		t.Error("the secret is not where the policy puts it")
	}
}

// TestRefusedRequests shows requests that reach nothing, each with its code.
//
// SPEC HTTPGW-4, HTTPGW-5, HALL-8
// R3 R3/http R9 R13 R15 R4
// A10 A11
// guard: framing, trailers
func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	c := g.Wide(1)
	base := string(way{}.wire(t, g, c, g.Holder(0)))
	head, body, _ := strings.Cut(base, "\r\n\r\n")
	for name, tt := range map[string]struct {
		wire   string
		status int
	}{
		"chunked":                {strings.Replace(head, fmt.Sprintf("Content-Length: %d", len(body)), "Transfer-Encoding: chunked", 1) + "\r\n\r\n1a\r\n" + body + "\r\n0\r\n\r\n", 411},
		"length and chunked":     {head + "\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n" + body + "\r\n0\r\n\r\n", 411},
		"two lengths":            {head + "\r\nContent-Length: 3\r\n\r\n" + body, 400},
		"trailers":               {head + "\r\nTrailer: X-A\r\n\r\n" + body, 400},
		"another route":          {strings.Replace(base, "/t/shop", "/x/shop", 1), 404},
		"an absolute target":     {strings.Replace(base, "POST /", "POST https://elsewhere.example/", 1), 404},
		"a second content type":  {head + "\r\nContent-Type: application/json\r\n\r\n" + body, 401},
		"a listed header, added": {head + "\r\nX-Reason: unsigned\r\n\r\n" + body, 401},
		"another body":           {head + "\r\n\r\n" + strings.Replace(body, "100", "101", 1), 401},
		"another path":           {strings.Replace(base, "/v1/refunds", "/v1/refundz", 1), 401},
		"a query, added":         {strings.Replace(base, "/v1/refunds", "/v1/refunds?a=b", 1), 401},
		"another method":         {strings.Replace(base, "POST", "PUT", 1), 401},
		"no credential":          {strings.Replace(base, "Writ-Credential:", "X-Credential:", 1), 401},
		"no signature":           {strings.Replace(base, "Signature-Input:", "X-Input:", 1), 401},
		"override":               {strings.Replace(base, "POST", "BREW", 1), 401},
	} {
		resp := raw(t, g, []byte(tt.wire))
		if resp.StatusCode != tt.status {
			b, _ := io.ReadAll(resp.Body)
			t.Errorf("%s: status %d, want %d: %s", name, resp.StatusCode, tt.status, b)
		}
	}
	if n := len(g.Upstream.Seen()); n != 0 || g.Upstream.Connections() != 0 {
		t.Errorf("%d refused requests upstream", n)
	}
	if n := len(g.Receipts(receipt.Denial, receipt.Intent)); n != 0 {
		t.Errorf("%d receipts for people who did not prove anything", n)
	}
	if g.Server.Tallied()[op.ProofInvalid] == 0 {
		t.Error("the refusals were not tallied")
	}
	if resp := raw(t, g, []byte(base)); resp.StatusCode != 200 {
		t.Errorf("the request that all of these came from: status %d", resp.StatusCode)
	}
	if resp := raw(t, g, []byte(base)); resp.StatusCode != 409 {
		t.Errorf("the same once more: status %d, want 409", resp.StatusCode)
	}
}

// TestProofIsForThisGate shows that a proof for another gate or credential is
// none.
//
// R18 A10
// guard: hall-proof, proof-audience
func TestProofIsForThisGate(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	wide, narrow := g.Wide(1), g.Credential(t, 1)
	url := "https://" + g.Addrs[0] + "/t/shop/v1/orders/1"

	other := g.Client(wide, g.Holder(0), "refund")
	transport(other).Audience = "prod/2"
	if resp, err := other.Get(url); err != nil || resp.StatusCode != 401 {
		t.Errorf("audience of another gate: %v, %v", resp, err)
	}
	thief := g.Client(wide, g.Key("thief"), "refund")
	if resp, err := thief.Get(url); err != nil || resp.StatusCode != 401 {
		t.Errorf("credential without its key: %v, %v", resp, err)
	}
	// Both chains are held by one key: a signature over one must not carry the other.
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := proven(t, g.Client(narrow, g.Holder(0), "refund"), r)
	b64 := base64.StdEncoding.EncodeToString
	swapped := strings.Replace(string(b), b64(narrow.Bytes()), b64(wide.Bytes()), 1)
	if resp := raw(t, g, []byte(swapped)); resp.StatusCode != 401 {
		t.Errorf("swapped credential: status %d", resp.StatusCode)
	}
	if n := len(g.Upstream.Seen()); n != 0 {
		t.Errorf("%d requests upstream", n)
	}
}

// TestWhereConnectionsGo shows that the secret goes where the policy says: to the
// pinned key, at an address that was checked.
//
// SPEC HALL-5
// A6 R7
// guard: private-address
func TestWhereConnectionsGo(t *testing.T) {
	t.Parallel()
	t.Run("another key", func(t *testing.T) {
		t.Parallel()
		g := newGate(t, func(d *policy.Document) { d.Targets[0].Pins = []string{"sha256:" + strings.Repeat("ab", 32)} })
		if status, _ := read(t, g); status != 502 || len(g.Upstream.Seen()) != 0 {
			t.Errorf("status %d, %d requests upstream", status, len(g.Upstream.Seen()))
		}
		if out := g.Receipts(receipt.Outcome); len(out) != 1 || out[0].Outcome.Class != receipt.NotSent {
			t.Errorf("want one outcome not_sent")
		}
	})
	t.Run("private address", func(t *testing.T) {
		t.Parallel()
		g := newGate(t, func(d *policy.Document) { d.Targets[0].Private = false })
		if status, _ := read(t, g); status != 502 || g.Upstream.Connections() != 0 {
			t.Errorf("status %d, %d connections upstream", status, g.Upstream.Connections())
		}
	})
	t.Run("a name", func(t *testing.T) {
		t.Parallel()
		up, asked := testgate.NewUpstream(t, nil), []string(nil)
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(up.Origin, "https://"))
		g := testgate.New(t, testgate.Config{
			Upstream: up, Doors: []testgate.Door{door},
			Policy: func(d *policy.Document) { d.Targets[0].Origin = "https://shop.example:" + port },
			Resolve: func(_ context.Context, host string) ([]net.IP, error) {
				asked = append(asked, host)
				return []net.IP{net.IPv4(127, 0, 0, 1)}, nil
			},
		})
		status, body := read(t, g)
		if status != 200 || up.Connections() != 1 {
			t.Errorf("status %d, %d connections upstream: %s", status, up.Connections(), body)
		}
		if !slices.Equal(asked, []string{"shop.example"}) { // the address that was checked is the one dialled
			t.Errorf("resolved %v", asked)
		}
		if seen := up.Seen(); len(seen) == 1 && seen[0].Host != "shop.example:"+port {
			t.Errorf("the target was called as %s", seen[0].Host)
		}
	})
	t.Run("rebinding", func(t *testing.T) {
		t.Parallel()
		up, asked := testgate.NewUpstream(t, nil), 0
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(up.Origin, "https://"))
		g := testgate.New(t, testgate.Config{
			Upstream: up, Doors: []testgate.Door{door},
			Policy: func(d *policy.Document) {
				d.Targets[0].Origin, d.Targets[0].Private = "https://shop.example:"+port, false
			},
			Resolve: func(context.Context, string) ([]net.IP, error) {
				asked++
				if asked == 1 {
					return nil, errors.New("no such host")
				}
				return []net.IP{net.IPv4(127, 0, 0, 1)}, nil // what was public is loopback now
			},
		})
		for range 2 {
			if status, _ := read(t, g); status != 502 {
				t.Errorf("status %d", status)
			}
		}
		if asked != 2 || up.Connections() != 0 {
			t.Errorf("resolved %d times, %d connections upstream", asked, up.Connections())
		}
	})
}

// TestStreamEndsOnRevocation shows that a response that goes on is cut when its
// credential is revoked.
//
// R28 A13
// guard: stream-ends
func TestStreamEndsOnRevocation(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	g.Upstream.Handle(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done() // for ever, as far as the target is concerned
	})
	c := g.Wide(1)
	resp, err := g.Client(c, g.Holder(0), "refund").Get("https://" + g.Addrs[0] + "/t/shop/v1/orders/1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	g.Revoke(zone.RevokeCredential, c.Blocks()[0])
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, resp.Body)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the stream ended as if it were whole")
		}
	case <-time.After(20 * time.Second):
		t.Error("the stream goes on")
	}
}
