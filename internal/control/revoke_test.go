package control_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/control"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// byHolder returns the revocation of the second of two blocks by the holder of the
// first, of a grant by the issuer.
func (w *world) byHolder(t *testing.T, grant credential.Grant, issuer sign.Signer, task string) *sign.Envelope {
	t.Helper()
	c, err := credential.Issue(grant, issuer)
	if err != nil {
		t.Fatal(err)
	}
	terms := c.Last()
	terms.Holder, terms.Task = credential.NewHolderKey(w.Holder(1).Public()), task
	if c, err = c.Narrow(w.Holder(0), "", terms); err != nil {
		t.Fatal(err)
	}
	return testkit.Envelope(t, zone.RevokeType, zone.RevokeRecord{
		Zone: w.Root.Zone(), Alias: grant.Alias, Kind: zone.RevokeBlock, ID: c.Blocks()[1], Reason: "test", Credential: c.Text(),
	}, w.Holder(0))
}

// TestRevocationsDoNotFillTheLog shows revocations that anybody can make, or send
// again, without end.
//
// SPEC CTRL-17
// R11 R44 A31
// guard: revoke-vouched, holder-rate
func TestRevocationsDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	h := w.api.Remote()
	size := func() (n uint64) {
		w.Server.View(func(z *zone.Zone) { n = z.Size() })
		return n
	}
	before := size()
	for _, alias := range []string{testkit.Alias, "no/such/line"} { // by an issuer that is none
		grant := w.Grant()
		grant.ID, grant.Alias = credential.NewID(), alias
		status, body := ask(h, "POST", "/v1/log", encode(t, w.byHolder(t, grant, w.Holder(9), "")))
		if status != 403 || code(t, body) != api.CodeRefused {
			t.Errorf("a stranger's revocation for %s: %d %s", alias, status, body)
		}
	}
	if size() != before {
		t.Errorf("%d entries by strangers", size()-before)
	}
	good := encode(t, w.byHolder(t, w.Grant(), w.Key("iris"), ""))
	first := ""
	for range 3 {
		status, body := ask(h, "POST", "/v1/log", good)
		if status != 200 || first != "" && body != first {
			t.Errorf("a holder's revocation: %d %s, before: %s", status, body, first)
		}
		first = body
	}
	if size() != before+1 {
		t.Errorf("%d entries by one revocation", size()-before)
	}
	limited := false
	for i := range 100 {
		status, _ := ask(h, "POST", "/v1/log", encode(t, w.byHolder(t, w.Grant(), w.Key("iris"), string(rune('a'+i)))))
		limited = limited || status == http.StatusTooManyRequests
	}
	if !limited || size() > before+50 {
		t.Errorf("%d entries by the holders of one grant", size()-before)
	}
	other := w.Grant()
	other.ID = credential.NewID()
	if status, body := ask(h, "POST", "/v1/log", encode(t, w.byHolder(t, other, w.Key("iris"), ""))); status != 200 {
		t.Errorf("a holder of another grant: %d %s", status, body)
	}
}

// TestOldRevocationIsNoVeto sends a key's revocation again, by nobody, while a
// successor waits to be put in force: it still can be.
//
// SPEC CTRL-17
// R36 R44
func TestOldRevocationIsNoVeto(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	old := encode(t, testkit.Envelope(t, zone.RevokeType, zone.RevokeRecord{
		Zone: w.Root.Zone(), Alias: testkit.Alias, Kind: zone.RevokeKey, ID: canon.Hash([]byte("a key")), Reason: "test",
	}, w.Key("ana")))
	if status, body := ask(w.api.Remote(), "POST", "/v1/log", old); status != 200 {
		t.Fatalf("revocation: %d %s", status, body)
	}
	w.api = w.sealed(t) // one that remembers nothing
	w.open()
	h := w.api.Remote()
	d := testkit.Next(w.Law)
	d.Expires--
	e := testkit.Envelope(t, policy.PayloadType, d, w.Key("ana"), w.Key("bo"))
	p, err := policy.Verify(e, w.Root, w.Law)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := ask(h, "POST", "/v1/log", encode(t, e)); status != 200 {
		t.Fatalf("successor: %d %s", status, body)
	}
	if status, body := ask(h, "POST", "/v1/log", old); status != 403 || code(t, body) != api.CodeRefused {
		t.Errorf("the revocation again: %d %s", status, body)
	}
	if status, body := ask(h, "POST", "/v1/log", encode(t, w.Alias(p))); status != 200 {
		t.Errorf("putting the successor in force: %d %s", status, body)
	}
}

// TestSocketHasItsOwnShare shows that strangers cannot take the writes of the
// machine's owner: a revocation still gets in.
//
// SPEC CTRL-7
// R11 A31
func TestSocketHasItsOwnShare(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	h := w.api.Remote()
	status := 0
	for range 1000 {
		if status, _ = ask(h, "POST", "/v1/log", "x"); status == http.StatusTooManyRequests {
			break
		}
	}
	if status != http.StatusTooManyRequests {
		t.Fatalf("status %d", status)
	}
	if status, body := ask(w.api.Local(), "POST", "/v1/log", "x"); status != http.StatusBadRequest {
		t.Errorf("over the socket: %d %s", status, body)
	}
}

// TestConnections shows that a listener closes what is too many, and gives places
// back.
//
// SPEC CTRL-18
// R11
// guard: control-connections
func TestConnections(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, l, http.NotFoundHandler()) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	var open []net.Conn
	closed := func(c net.Conn) bool {
		c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		nerr, ok := err.(net.Error)
		return !ok || !nerr.Timeout()
	}
	for range 256 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		open = append(open, c)
	}
	many, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer many.Close()
	if !closed(many) || closed(open[0]) {
		t.Error("a connection too many stays, or another was closed for it")
	}
	open[1].Close()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); { // until the server has seen it
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _ := c.Read(make([]byte, 1))
		c.Close()
		if n == 1 {
			return
		}
	}
	t.Error("no place was given back")
}
