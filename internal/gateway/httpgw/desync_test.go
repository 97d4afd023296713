package httpgw_test

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// TestRefusedBodyEndsTheConnection hides a request behind a body that is refused,
// and that does not end where it says: nothing after it is a request.
//
// SPEC HTTPGW-4
// R15
// guard: refused-body
func TestRefusedBodyEndsTheConnection(t *testing.T) {
	t.Parallel()
	for _, first := range []string{
		"Transfer-Encoding: chunked\r\n\r\nXX\r\n",
		"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdeXX",
		"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nXX\r\n",
		"Content-Length: 4\r\nTrailer: x-sum\r\n\r\nabcd",
	} {
		g := newGate(t, nil)
		r, err := http.NewRequest("GET", "https://"+g.Addrs[0]+"/t/shop/v1/orders/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		hidden := string(proven(t, g.Client(g.Wide(1), g.Holder(0), "refund"), r))
		c := way{}.dial(t, g)
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(c, "POST /t/shop/v1/refunds HTTP/1.1\r\nHost: x\r\n"+first+hidden)
		in := bufio.NewReader(c)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode < 400 || !resp.Close {
			t.Fatalf("%q: %v", first, err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp, err := http.ReadResponse(in, nil); err == nil {
			t.Errorf("%q: a second answer: %s", first, resp.Status)
		}
		if n := len(g.Upstream.Seen()); n != 0 {
			t.Errorf("%q: %d requests upstream", first, n)
		}
	}
}

// TestSecretStandsAlone shows policies that let a holder write where the secret
// goes: a target would see two, and might take the first.
//
// SPEC HTTPGW-2
// R15
// guard: inject-once
func TestSecretStandsAlone(t *testing.T) {
	t.Parallel()
	for how, tt := range map[string]struct {
		inject policy.Inject
		query  string
		header http.Header
	}{
		"header": {policy.Inject{How: "header", Name: "x-api-key"}, "", http.Header{"X-Api-Key": {"mine"}}},
		"query":  {policy.Inject{How: "query", Name: "api_key"}, "?API_key=mine", nil},
	} {
		g := newGate(t, func(d *policy.Document) {
			d.Targets[0].Inject = tt.inject
			o := &d.Operations[0]
			o.Headers, o.Query = append(o.Headers, "x-api-key"), append(o.Query, op.Member{Path: "API_key", Type: "string"})
		})
		r, err := http.NewRequest("GET", "https://"+g.Addrs[0]+"/t/shop/v1/orders/1"+tt.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = tt.header
		if r.Header == nil {
			r.Header = http.Header{}
		}
		cl := g.Client(g.Wide(1), g.Holder(0), "refund")
		resp, err := cl.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		out := g.Receipts(receipt.Outcome)
		if resp.StatusCode == 200 || len(g.Upstream.Seen()) != 0 || len(out) != 1 || out[0].Outcome.Class != receipt.NotSent {
			t.Errorf("%s: %s, %d upstream, %d outcomes", how, resp.Status, len(g.Upstream.Seen()), len(out))
		}
	}
}
