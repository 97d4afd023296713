package control_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/control"
	"github.com/writhq/writ/internal/identity"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// A world is a running gate with its control API.
type world struct {
	*testgate.Gate
	api     *control.API
	metrics *control.Metrics
	log     *bytes.Buffer
}

func newWorld(t *testing.T, c testgate.Config) *world {
	t.Helper()
	c.Root = func(d *policy.RootDocument) {
		bo := d.Principals["bo"]
		bo.Keys[0].Use = append(bo.Keys[0].Use, policy.UseReader)
	}
	w := &world{Gate: testgate.New(t, c), metrics: &control.Metrics{}, log: &bytes.Buffer{}}
	w.api = w.sealed(t)
	w.open()
	return w
}

// sealed returns a sealed API that opens for "right".
func (w *world) sealed(t *testing.T) *control.API {
	t.Helper()
	a, err := control.New(control.Config{
		Now: w.Clock.Now, Log: slog.New(slog.NewTextHandler(w.log, nil)), Build: "test", Metrics: w.metrics,
		Unseal: func(_ context.Context, p secret.Bytes) error {
			if p.Equal(secret.Take([]byte("panic"))) {
				panic("the passphrase was " + testkit.Plain)
			}
			if !p.Equal(secret.Take([]byte("right"))) {
				return control.ErrPassphrase
			}
			w.open()
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) open() {
	s := w.Server
	w.api.Open(control.Authority{Publisher: s, Log: s.PolicyLog(), Ledger: s.Ledger(), Gate: s.Member(), Backup: s.Backup, Reach: s.Reach, Held: s.Held, Confirm: s.Confirm, Sessions: s.Sessions, End: s.Hall().End})
}

// ask asks a handler and returns the status and the body.
func ask(h http.Handler, method, path, body string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// code returns the code of a problem.
func code(t *testing.T, body string) string {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil || p.Title == "" || p.Type != "urn:writ:control:"+p.Code {
		t.Fatalf("not a problem: %q", body)
	}
	return p.Code
}

func encode(t *testing.T, e *sign.Envelope) string {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// upload returns version 2 of the secret with the record signed by signer.
func (w *world) upload(t *testing.T, signer string, change func(*api.SecretUpload, *zone.SecretRecord)) string {
	t.Helper()
	v := testkit.Value("another value of the secret")
	st, err := seal.NewStatement(w.Law, seal.Name{ID: testkit.SecretID, Version: 2, IssuedAt: testkit.Now}, v)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Envelope().Sign(w.Key("sam")); err != nil {
		t.Fatal(err)
	}
	blob, err := seal.Seal(w.Law, st, w.Root.Group(testkit.Group), v)
	if err != nil {
		t.Fatal(err)
	}
	rec := zone.SecretRecord{
		Zone: w.Root.Zone(), Alias: testkit.Alias, ID: testkit.SecretID, Version: 2, Policy: w.Law.ID(),
		Sealed: canon.Hash(blob), Statement: st.Envelope(), State: zone.Active,
	}
	u := api.SecretUpload{Sealed: blob}
	if change != nil {
		change(&u, &rec)
	}
	u.Record = testkit.Envelope(t, zone.SecretType, rec, w.Key(signer))
	b, err := canon.EncodeJSON(&u)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// stored reports whether the gate keeps the sealed bytes.
func (w *world) stored(t *testing.T, body string) bool {
	t.Helper()
	var u api.SecretUpload
	if err := json.Unmarshal([]byte(body), &u); err != nil {
		t.Fatal(err)
	}
	_, err := w.Server.Sealed(t.Context(), zone.SecretRecord{Sealed: canon.Hash(u.Sealed)})
	return err == nil
}

// Writes are taken on their own signatures, from anyone, or refused with nothing
// changed. SPEC CTRL-4, CTRL-5, CTRL-7, CTRL-9.
//
// guard: upload-digest, upload-by-sealers, record-with-bytes, control-body-bound
func TestWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{})
	h := w.api.Remote()
	revoke := zone.RevokeRecord{Zone: w.Root.Zone(), Alias: testkit.Alias, Kind: zone.RevokeBlock, ID: canon.Hash([]byte("x")), Reason: "test"}
	size := func() (n uint64) {
		w.Server.View(func(z *zone.Zone) { n = z.Size() })
		return n
	}
	before := size()
	otherBytes := w.upload(t, "sam", func(_ *api.SecretUpload, r *zone.SecretRecord) { r.Sealed = canon.Hash([]byte("other")) })
	byIris := w.upload(t, "iris", nil)
	var alone api.SecretUpload
	if err := json.Unmarshal([]byte(w.upload(t, "sam", nil)), &alone); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"not an envelope", "/v1/log", `{"payload":""}`, 400, api.CodeMalformed},
		{"too large", "/v1/log", strings.Repeat(" ", 1<<20), 413, api.CodeTooLarge},
		{"by nobody", "/v1/log", encode(t, testkit.Envelope(t, zone.RevokeType, revoke)), 403, api.CodeRefused},
		{"by the wrong one", "/v1/log", encode(t, testkit.Envelope(t, zone.RevokeType, revoke, w.Key("sam"))), 403, api.CodeRefused},
		{"a record without its bytes", "/v1/log", encode(t, alone.Record), 400, api.CodeMalformed},
		{"other bytes", "/v1/secrets", otherBytes, 400, api.CodeMalformed},
		{"by no sealer", "/v1/secrets", byIris, 403, api.CodeRefused},
		{"no record", "/v1/secrets", `{"record":null,"sealed":"eA=="}`, 400, api.CodeMalformed},
	} {
		status, body := ask(h, "POST", c.path, c.body)
		if status != c.status || code(t, body) != c.code {
			t.Errorf("%s: %d %s; want %d %s", c.name, status, body, c.status, c.code)
		}
	}
	if size() != before {
		t.Errorf("a refused document is in the log")
	}
	for _, b := range []string{otherBytes, byIris} {
		if w.stored(t, b) {
			t.Errorf("refused bytes are stored")
		}
	}
	good := w.upload(t, "sam", nil)
	if status, body := ask(h, "POST", "/v1/secrets", good); status != 200 || !w.stored(t, good) {
		t.Errorf("a good upload: %d %s", status, body)
	}
	if status, body := ask(h, "POST", "/v1/log", encode(t, testkit.Envelope(t, zone.RevokeType, revoke, w.Key("ana")))); status != 200 {
		t.Errorf("a good revocation: %d %s", status, body)
	}
	if size() != before+2 {
		t.Errorf("%d entries, want %d", size(), before+2)
	}
}

// Writes and guesses are bounded in rate, and both buckets fill again.
// SPEC CTRL-6, CTRL-7.
//
// guard: write-rate, unseal-rate
func TestRates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	h := w.api.Remote()
	limited := 0
	for range 250 {
		if status, body := ask(h, "POST", "/v1/log", "x"); status == 429 && code(t, body) == api.CodeTooMany {
			limited++
		}
	}
	if limited != 50 {
		t.Errorf("%d of 250 writes were limited, want 50", limited)
	}
	w.Clock.Add(time.Second)
	if status, _ := ask(h, "POST", "/v1/log", "x"); status != 400 {
		t.Errorf("a second later: status %d", status)
	}
	w.api = w.sealed(t)
	local := w.api.Local()
	var last int
	for range 6 {
		last, _ = ask(local, "POST", "/v1/unseal", "wrong")
	}
	if last != 429 {
		t.Errorf("sixth guess: status %d", last)
	}
	w.Clock.Add(13 * time.Second)
	if status, body := ask(local, "POST", "/v1/unseal", "right"); status != 200 {
		t.Errorf("the right passphrase, later: %d %s", status, body)
	}
}

// Until the keys are open, nothing is told and nothing taken. SPEC CTRL-1,
// CTRL-2, CTRL-8.
//
// guard: control-sealed, local-only, readyz-honest
func TestSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	w.api = w.sealed(t)
	for _, h := range []http.Handler{w.api.Local(), w.api.Remote()} {
		for _, path := range []string{"/v1/root", "/v1/policies", "/v1/secrets", "/v1/receipts", "/v1/export", "/v1/log/entries", "/readyz"} {
			if status, body := ask(h, "GET", path, ""); status != 503 || code(t, body) != api.CodeSealed {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		if status, _ := ask(h, "GET", "/healthz", ""); status != 200 {
			t.Errorf("healthz: %d", status)
		}
		if status, body := ask(h, "GET", "/v2/anything", ""); status != 404 || code(t, body) != api.CodeNotFound {
			t.Errorf("unknown route: %d %s", status, body)
		}
	}
	if status, body := ask(w.api.Remote(), "POST", "/v1/unseal", "right"); status != 403 || w.isOpen() {
		t.Errorf("unseal over TLS: %d %s", status, body)
	}
	if status, body := ask(w.api.Local(), "POST", "/v1/unseal", "wrong"); status != 403 || code(t, body) != api.CodePassphrase || w.isOpen() {
		t.Errorf("a wrong passphrase: %d %s", status, body)
	}
	if status, body := ask(w.api.Local(), "POST", "/v1/unseal", "right"); status != 200 || !w.isOpen() {
		t.Errorf("the right passphrase: %d %s", status, body)
	}
	if status, body := ask(w.api.Remote(), "GET", "/v1/backup", ""); status != 403 {
		t.Errorf("backup over TLS: %d %s", status, body)
	}
}

func (w *world) isOpen() bool {
	status, _ := ask(w.api.Local(), "GET", "/readyz", "")
	return status == 200
}

// A ledger that cannot be written shows: not ready, and the process is still up.
// SPEC CTRL-8.
//
// R59
// guard: readyz-honest
func TestNotReady(t *testing.T) {
	t.Parallel()
	broken := make(chan struct{})
	w := newWorld(t, testgate.Config{NoSecret: true, Faults: func(c ledger.Call) error {
		select {
		case <-broken:
			return errors.New("no space left")
		default:
			return c.Run(c.Size)
		}
	}})
	if !w.isOpen() {
		t.Fatal("not ready at first")
	}
	close(broken)
	w.Server.Ledger().Append(t.Context(), ledger.Entry{Mode: receipt.Durable, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
		return &receipt.Receipt{Kind: receipt.Admin, Note: "test"}, nil, nil
	}})
	if status, body := ask(w.api.Local(), "GET", "/readyz", ""); status != 503 || code(t, body) != api.CodeNotReady {
		t.Errorf("readyz: %d %s", status, body)
	}
	if status, _ := ask(w.api.Local(), "GET", "/healthz", ""); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	if _, body := ask(w.api.Local(), "GET", "/v1/status", ""); !strings.Contains(body, `"failed"`) {
		t.Errorf("status: %s", body)
	}
}

// serve serves a handler over TLS as a node does, and returns its address.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	cert := testgate.Certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- control.Serve(ctx, tls.NewListener(l, control.TLS(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil })), h)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// read reads a path with the key's certificate, or without one.
func read(t *testing.T, addr, path string, c *tls.Config) (int, string) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: c}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("https://" + addr + path)
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

// Reads take a reader's key, whatever the certificate says, until it is revoked.
// SPEC CTRL-3.
//
// R28
// guard: reader-only, reader-listed
func TestReaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	addr := serve(t, w.api.Remote())
	as := func(name string) *tls.Config {
		c := &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		if name != "" {
			cert, err := identity.Certificate(w.Key(name))
			if err != nil {
				t.Fatal(err)
			}
			c.Certificates = []tls.Certificate{cert}
		}
		return c
	}
	bo := as("bo")
	for _, path := range []string{"/v1/status", "/v1/secrets", "/v1/policies", "/v1/receipts", "/v1/receipts/1.1", "/v1/log/head", "/v1/log/entries", "/v1/export", "/metrics"} {
		for _, name := range []string{"", "ana", "stranger"} {
			if status, body := read(t, addr, path, as(name)); status != 401 || code(t, body) != api.CodeNotReader {
				t.Errorf("%s as %q: %d %s", path, name, status, body)
			}
		}
		for range 2 {
			if status, body := read(t, addr, path, bo); status != 200 {
				t.Errorf("%s as a reader: %d %s", path, status, body)
			}
		}
	}
	if status, _ := read(t, addr, "/v1/root", as("")); status != 200 {
		t.Errorf("the root: %d", status)
	}
	w.Revoke(zone.RevokeKey, canon.Digest(w.Key("bo").Public().ID()))
	if status, _ := read(t, addr, "/v1/status", bo); status != 401 {
		t.Errorf("as a revoked reader: %d", status)
	}
}

// Only TLS 1.3 with a full handshake proves the key. SPEC CTRL-3.
//
// A13: a resumed session skips the proof of the key
// guard: reader-channel
func TestReaderChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	cert, err := identity.Certificate(w.Key("bo"))
	if err != nil {
		t.Fatal(err)
	}
	var seen tls.ConnectionState
	addr := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = *r.TLS }))
	read(t, addr, "/", &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}})
	for name, change := range map[string]func(*tls.ConnectionState){
		"full":        func(*tls.ConnectionState) {},
		"resumed":     func(c *tls.ConnectionState) { c.DidResume = true },
		"TLS 1.2":     func(c *tls.ConnectionState) { c.Version = tls.VersionTLS12 },
		"certificate": func(c *tls.ConnectionState) { c.PeerCertificates = nil },
	} {
		cs := seen
		change(&cs)
		w.Server.View(func(z *zone.Zone) {
			who, err := identity.Reader(&cs, z)
			if (err == nil) != (name == "full") || err == nil && who != "bo" {
				t.Errorf("%s: %q, %v", name, who, err)
			}
		})
	}
}

// Receipts come by id and by place, in pages, signed; evidence only if asked for.
func TestReceipts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	for i := range 150 {
		_, err := w.Server.Ledger().Append(t.Context(), ledger.Entry{Mode: receipt.Buffered, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
			r := &receipt.Receipt{Kind: receipt.Denial, Decision: string(op.Forbidden)}
			ev := receipt.NewEvidence()
			ev.Proof = []byte{byte(i)}
			return r, ev, ev.Commit(r)
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	h := w.api.Local()
	seen, after := 0, ""
	var last api.ReceiptItem
	for {
		_, body := ask(h, "GET", "/v1/receipts?after="+after, "")
		var p api.ReceiptPage
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		for _, item := range p.Receipts {
			seen++
			last = item
			s, err := receipt.ParseSigned(item.Signed)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Verify(w.Key("gate-1").Public()); err != nil || item.Evidence != nil {
				t.Fatalf("%s: %v, evidence %t", item.Place(), err, item.Evidence != nil)
			}
		}
		if after = p.Next; after == "" {
			break
		}
	}
	if uint64(seen) != w.Server.Ledger().Len() || seen < 150 {
		t.Errorf("%d receipts of %d", seen, w.Server.Ledger().Len())
	}
	for _, ref := range []string{last.ID.String(), last.Place()} {
		status, body := ask(h, "GET", "/v1/receipts/"+ref+"?evidence=1", "")
		var item api.ReceiptItem
		if status != 200 || json.Unmarshal([]byte(body), &item) != nil || item.ID != last.ID || item.Evidence == nil {
			t.Errorf("%s: %d %s", ref, status, body)
		}
	}
	for ref, want := range map[string]int{"9.9": 404, canon.Hash(nil).String(): 404, "x": 400, "1": 400} {
		if status, body := ask(h, "GET", "/v1/receipts/"+ref, ""); status != want {
			t.Errorf("%s: %d %s", ref, status, body)
		}
	}
}

// recovered returns what fn panics with.
func recovered(fn func()) (v any) {
	defer func() { v = recover() }()
	fn()
	return nil
}

// TestPanic shows a fault in a route: no answer, a line in the log that says
// nothing of the value, and a count.
//
// SPEC CTRL-20
// R2 R11
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	h := w.sealed(t).Local()
	if v := recovered(func() { ask(h, "POST", "/v1/unseal", "panic") }); v != http.ErrAbortHandler {
		t.Errorf("the server gets the panic %v", v)
	}
	w.metrics.Panics(func() uint64 { return 3 })
	_, body := ask(h, "GET", "/metrics", "")
	for _, want := range []string{`writ_panics_total{where="control"} 1`, `writ_panics_total{where="gate"} 3`} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if log := w.log.String(); !strings.Contains(log, "panic") || !strings.Contains(log, "kind=string") || strings.Contains(log, testkit.Plain) {
		t.Errorf("logged: %s", log)
	}
}

// Metrics count decisions by code, and say nothing else of them. SPEC CTRL-10.
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testgate.Config{NoSecret: true})
	w.metrics.Observe(receipt.Intent, receipt.Permit, 700*time.Microsecond)
	w.metrics.Observe(receipt.Denial, string(op.QuotaExceeded), 3*time.Second)
	w.metrics.Tally(func() map[op.Code]uint64 { return map[op.Code]uint64{op.ProofInvalid: 7} })
	_, body := ask(w.api.Local(), "GET", "/metrics", "")
	for _, want := range []string{
		`writ_decisions_total{result="permit"} 1`, `writ_decisions_total{result="quota_exceeded"} 1`, `writ_tallied_total{code="pop_invalid"} 7`,
		`writ_ledger_append_seconds_bucket{le="0.0005"} 0`, `writ_ledger_append_seconds_bucket{le="0.001"} 1`,
		`writ_ledger_append_seconds_bucket{le="+Inf"} 2`, `writ_ledger_append_seconds_count 2`, "writ_ready 1", `writ_build_info{build="test"} 1`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
}
