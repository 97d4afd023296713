package httpgw_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/receipt"
)

// TestRoundTheGate shows a holder that goes straight to the target, with all that
// it has: the target takes only who has the secret, and the holder never had it.
//
// R16 R2/http
func TestRoundTheGate(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	g.Upstream.Handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+testkit.Plain {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, "an order")
	})
	c := g.Wide(1)
	status, body := send(t, g.Client(c, g.Holder(0), "refund"), call{"GET", orders(g), ""})
	if status != 200 || body != "an order" {
		t.Fatalf("through the gate: status %d: %s", status, body)
	}
	r, err := http.NewRequest("GET", orders(g), nil)
	if err != nil {
		t.Fatal(err)
	}
	proven := proven(t, g.Client(c, g.Holder(0), "refund"), r)
	plain := "GET /v1/orders/1 HTTP/1.1\r\nHost: x\r\n"
	for name, wire := range map[string]string{
		"as the gate would ask":         plain + "\r\n",
		"with what the gate takes":      string(proven),
		"with the gate's path cut off":  strings.Replace(string(proven), "/t/shop", "", 1),
		"with the credential as bearer": plain + "Authorization: Bearer " + c.Text() + "\r\n\r\n",
	} {
		if resp := straight(t, g, wire); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
	seen := g.Upstream.Seen()
	for _, s := range seen[1:] {
		var b bytes.Buffer
		s.Header.Write(&b)
		if strings.Contains(b.String(), testkit.Plain) {
			t.Error("the holder had the secret")
		}
	}
	if n := len(g.Receipts(receipt.Intent)); len(seen) != 5 || n != 1 {
		t.Errorf("%d calls reached the target, %d intents", len(seen), n)
	}
}

// straight sends bytes to the target of g, not to its gate, and returns the answer.
func straight(t *testing.T, g *testgate.Gate, wire string) *http.Response {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(g.Upstream.Origin, "https://"), &tls.Config{InsecureSkipVerify: true}) // whoever it is: nothing secret is sent
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, wire); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}
