package httpgw_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
)

const refund = `{"order":"1","amount":100}`

// codeOf returns the code of a refusal.
func codeOf(t *testing.T, body string) op.Code {
	t.Helper()
	var p httpgw.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return p.Code
}

// TestLevels shows that each proof counts for what it shows, that the policy
// decides whether that is enough, and that receipts say which it was.
//
// R4 R18
// A12 A13
func TestLevels(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		g := newGate(t, func(d *policy.Document) { d.Pop.Default = op.Presentation })
		c := g.Wide(2)
		k := g.Holder(1)
		signed := g.Call(testgate.Caller{Credential: c, Key: k, Purpose: "refund", HTTP2: http2})
		channel := g.Call(testgate.Caller{Credential: c, Key: k, Purpose: "refund", HTTP2: http2, Channel: true})
		dpop := newHolder(g, c, k).over(t, http2)
		refunds := "https://" + g.Addrs[0] + "/t/shop/v1/refunds"
		for _, tt := range []struct {
			c      *http.Client
			q      call
			status int
			level  op.Level
		}{
			{signed, call{"GET", orders(g), ""}, 200, op.Signed},
			{signed, call{"POST", refunds, refund}, 200, op.Signed},
			{channel, call{"GET", orders(g), ""}, 200, op.Channel},
			{channel, call{"POST", refunds, refund}, 401, op.Channel},
			{dpop, call{"GET", orders(g), ""}, 200, op.Presentation},
			{dpop, call{"POST", refunds, refund}, 401, op.Presentation},
		} {
			status, body := send(t, tt.c, tt.q)
			last := g.Receipts(receipt.Intent, receipt.Denial)
			if len(last) == 0 || status != tt.status || last[len(last)-1].Level != tt.level || last[len(last)-1].Purpose != "refund" {
				t.Fatalf("%s at level %d: status %d, want %d; %d receipts: %s", tt.q.method, tt.level, status, tt.status, len(last), body)
			}
			if status == 401 && codeOf(t, body) != op.ProofInsufficient {
				t.Errorf("code %s", codeOf(t, body))
			}
		}
		if n := len(g.Upstream.Seen()); n != 4 {
			t.Errorf("%d requests upstream, want 4", n)
		}
	}
}

// TestOtherKeys shows a holder whose key is of P-256.
func TestOtherKeys(t *testing.T) {
	t.Parallel()
	g := newGate(t, func(d *policy.Document) { d.Pop.Default = op.Presentation })
	c, k := g.Wide(1), g.KeyP256("holder")
	terms := c.Last()
	terms.Holder = credential.NewHolderKey(k.Public())
	c, err := c.Narrow(g.Holder(0), "", terms)
	if err != nil {
		t.Fatal(err)
	}
	for name, client := range map[string]*http.Client{
		"signed": g.Call(testgate.Caller{Credential: c, Key: k, Purpose: "refund"}), "certificate": g.Call(testgate.Caller{Credential: c, Key: k, Purpose: "refund", Channel: true}),
		"DPoP": newHolder(g, c, k).over(t, false),
	} {
		if status, body := send(t, client, call{"GET", orders(g), ""}); status != 200 {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
	}
}

// TestOnlyTheChannelsKeyCounts shows certificates that prove nothing, and
// headers by which a proxy would say that there was one.
//
// SPEC HALL-6, HTTPGW-6
// R4 R18
// A13
// guard: channel-key, proof-audience
func TestOnlyTheChannelsKeyCounts(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	c := g.Wide(1)
	cert, err := api.ClientCertificate(g.Holder(0))
	if err != nil {
		t.Fatal(err)
	}
	der := base64.StdEncoding.EncodeToString(cert.Certificate[0])
	text := strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})), "\n", " ")
	told := http.Header{
		"Client-Cert": {":" + der + ":"}, "Client-Cert-Chain": {":" + der + ":"}, "X-Client-Cert": {text}, "X-Forwarded-Client-Cert": {`Cert="` + text + `"`},
		"X-Ssl-Client-Cert": {text}, "X-Ssl-Client-Verify": {"SUCCESS"}, "Ssl-Client-Cert": {text}, "X-Writ-Level": {"3"},
	}
	other := testgate.Caller{Credential: c, Key: g.Key("thief"), Purpose: "refund", Channel: true}
	none := g.Call(other)
	transport(none).Base = &http.Transport{TLSClientConfig: g.TLS()}
	wrongGate := g.Call(testgate.Caller{Credential: c, Key: g.Holder(0), Purpose: "refund", Channel: true})
	transport(wrongGate).Audience = "prod/2"
	badContext := g.Call(testgate.Caller{Credential: c, Key: g.Holder(0), Purpose: "refund", Channel: true})
	transport(badContext).Base = changed{transport(badContext).Base, func(r *http.Request) { r.Header.Set("Writ-Context", `pur="refund"`) }}
	badSignature := g.Call(testgate.Caller{Credential: c, Key: g.Holder(0), Purpose: "refund", Channel: true})
	transport(badSignature).Base = changed{transport(badSignature).Base, func(r *http.Request) { r.Header.Set("Signature", "writ=:AAAA:") }}
	for name, tt := range map[string]struct {
		c    *http.Client
		code op.Code
	}{
		"the certificate of another key": {g.Call(other), op.ProofRequired},
		"no certificate":                 {none, op.ProofRequired},
		"another gate":                   {wrongGate, op.ProofInvalid},
		"a context in another form":      {badContext, op.ProofInvalid},
		"a signature that does not hold": {badSignature, op.ProofInvalid},
	} {
		transport(tt.c).Base = changed{transport(tt.c).Base, func(r *http.Request) {
			for n, v := range told {
				r.Header[n] = v
			}
		}}
		status, body := send(t, tt.c, call{"GET", orders(g), ""})
		if status != 401 || codeOf(t, body) != tt.code {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
	}
	if n := g.Upstream.Connections(); n != 0 {
		t.Errorf("%d connections upstream", n)
	}
	if n := len(g.Receipts(receipt.Intent, receipt.Denial)); n != 0 {
		t.Errorf("%d receipts for people who did not prove anything", n)
	}
	if n := g.Server.Tallied()[op.ProofRequired]; n != 2 {
		t.Errorf("%d tallied", n)
	}
}

// TestTLSEndsHere shows what TLS must be for its keys to count: no old version,
// and each connection proves the key anew.
//
// SPEC HTTPGW-6
// A13
// guard: tls-hardened
func TestTLSEndsHere(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	old := g.TLSAs(g.Holder(0))
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if conn, err := tls.Dial("tcp", g.Addrs[0], old); err == nil {
		conn.Close()
		t.Error("TLS 1.2 was taken")
	}
	cfg := g.TLSAs(g.Holder(0))
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 3 {
		c := g.Call(testgate.Caller{Credential: g.Wide(1), Key: g.Holder(0), Purpose: "refund", Channel: true})
		transport(c).Base = &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
		resp, err := c.Get(orders(g))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.TLS.DidResume || resp.StatusCode != 200 {
			t.Errorf("resumed: %v, status %d", resp.TLS.DidResume, resp.StatusCode)
		}
	}
}

// holder proves requests by DPoP, as a client with code of its own does.
type holder struct {
	g      *testgate.Gate
	c      *credential.Chain
	k      sign.Signer
	nonce  string
	change func(*proof.DPoP, *http.Request) // nil: none
	base   http.RoundTripper
}

func newHolder(g *testgate.Gate, c *credential.Chain, k sign.Signer) *holder {
	return &holder{g: g, c: c, k: k}
}

// over returns a client of h.
func (h *holder) over(t testing.TB, http2 bool) *http.Client {
	tr := &http.Transport{TLSClientConfig: h.g.TLS()}
	t.Cleanup(tr.CloseIdleConnections)
	tr.Protocols = new(http.Protocols)
	tr.Protocols.SetHTTP1(!http2)
	tr.Protocols.SetHTTP2(http2)
	h.base = tr
	return &http.Client{Transport: h}
}

// RoundTrip proves r, and once more if the gate offers a nonce.
func (h *holder) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	for {
		d := &proof.DPoP{JTI: base64.RawURLEncoding.EncodeToString(proof.NewJTI()), IssuedAt: h.g.Clock.Now().Unix(), Nonce: h.nonce}
		out := r.Clone(r.Context())
		if body != nil {
			out.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		out.Header.Set("Writ-Credential", proof.ByteSequence(h.c.Bytes()))
		out.Header.Set("Writ-Context", (&proof.Invocation{Audience: testkit.Domain, Purpose: "refund"}).Context())
		m := &proof.Message{Method: r.Method, TargetURI: r.URL.String()}
		token, err := d.Sign(m, h.c.Digest(), h.k)
		if err != nil {
			return nil, err
		}
		out.Header.Set("Dpop", token)
		if h.change != nil {
			h.change(d, out)
		}
		resp, err := h.base.RoundTrip(out)
		if err != nil || resp.StatusCode != 401 || !strings.Contains(resp.Header.Get("Www-Authenticate"), "use_dpop_nonce") {
			return resp, err
		}
		resp.Body.Close()
		if n := resp.Header.Get("Dpop-Nonce"); n == "" || n == h.nonce {
			return resp, err
		}
		h.nonce = resp.Header.Get("Dpop-Nonce")
	}
}

// TestDPoP shows the proof of level 1: with a nonce that the gate offers, once.
//
// SPEC HTTPGW-7
// R18
// A12 A14
// guard: hall-dpop, one-proof
func TestDPoP(t *testing.T) {
	t.Parallel()
	g := newGate(t, func(d *policy.Document) { d.Pop.Default = op.Presentation })
	h := newHolder(g, g.Wide(1), g.Holder(0))
	c := h.over(t, false)
	if status, body := send(t, c, call{"GET", orders(g), ""}); status != 200 || h.nonce == "" {
		t.Fatalf("status %d: %s", status, body)
	}
	var first string
	var change func(*http.Request)
	h.change = func(_ *proof.DPoP, r *http.Request) { change(r) }
	signed := g.Client(h.c, h.k, "refund")
	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
		code   op.Code
	}{
		"again": {func(r *http.Request) {
			if first == "" {
				first = r.Header.Get("Dpop")
				r.Header.Set("X-First", "yes")
				return
			}
			r.Header.Set("Dpop", first)
		}, 409, op.Replayed},
		"another path":   {func(r *http.Request) { r.URL.Path = "/t/shop/v1/orders/2" }, 401, op.ProofInvalid},
		"another method": {func(r *http.Request) { r.Method = "DELETE" }, 401, op.ProofInvalid},
		"no context":     {func(r *http.Request) { r.Header.Del("Writ-Context") }, 401, op.ProofInvalid},
		"another gate":   {func(r *http.Request) { r.Header.Set("Writ-Context", `aud="prod/2"`) }, 401, op.ProofInvalid},
		"two proofs":     {func(r *http.Request) { r.Header.Add("Dpop", r.Header.Get("Dpop")) }, 401, op.ProofInvalid},
		"no proof":       {func(r *http.Request) { r.Header.Del("Dpop") }, 401, op.ProofRequired},
		"and a signature": {func(r *http.Request) {
			wire := proven(t, signed, func() *http.Request { q := r.Clone(t.Context()); q.Header = http.Header{}; return q }())
			for line := range strings.SplitSeq(string(wire), "\r\n") {
				if name, v, ok := strings.Cut(line, ": "); ok && (strings.HasPrefix(name, "Signature") || name == "Writ-Context") {
					r.Header.Set(name, v)
				}
			}
		}, 401, op.ProofInvalid},
		"a query more": {func(r *http.Request) { r.URL.RawQuery = "a=b" }, 403, op.NotDeclared}, // not covered: the policy decides
	} {
		change = tt.change
		if name == "again" {
			if status, _ := send(t, c, call{"GET", orders(g), ""}); status != 200 {
				t.Fatalf("status %d", status)
			}
		}
		status, body := send(t, c, call{"GET", orders(g), ""})
		if status != tt.status || codeOf(t, body) != tt.code {
			t.Errorf("%s: status %d: %s", name, status, body)
		}
	}
	if n := len(g.Upstream.Seen()); n != 2 {
		t.Errorf("%d requests upstream, want 2", n)
	}
}

// TestDPoPNonce shows that a nonce ends, and that the gate offers another.
//
// A12 A14
func TestDPoPNonce(t *testing.T) {
	t.Parallel()
	g := newGate(t, func(d *policy.Document) { d.Pop.Default = op.Presentation; d.Freshness.MaxStalenessS = 60 })
	h := newHolder(g, g.Wide(1), g.Holder(0))
	c := h.over(t, true)
	var nonces []string
	if resp, err := c.Get("https://" + g.Addrs[0] + "/t/shop/v1/customers"); err != nil || resp.StatusCode != 403 || resp.Header.Get("Dpop-Nonce") == "" {
		t.Errorf("a denial: %v, or without the next nonce", err)
	}
	for range 3 {
		if status, body := send(t, c, call{"GET", orders(g), ""}); status != 200 {
			t.Fatalf("status %d: %s", status, body)
		}
		nonces = append(nonces, h.nonce)
		g.Clock.Add(proof.NonceLifetime * time.Second)
	}
	slices.Sort(nonces)
	if len(slices.Compact(nonces)) != 3 {
		t.Errorf("nonces %v", nonces)
	}
}

// TestCredentialRef shows the short form: known here or sent whole, and for the
// credential that it names only.
//
// SPEC HTTPGW-8
// R18
// A10
func TestCredentialRef(t *testing.T) {
	t.Parallel()
	g := newGate(t, nil)
	c, own := g.Wide(1), g.Wide(2)
	ref := func(to *credential.Chain, k sign.Signer) (int, string) {
		t.Helper()
		now := g.Clock.Now().Unix()
		d := to.Digest()
		m := &proof.Message{Method: "GET", TargetURI: orders(g), Fields: [][2]string{{proof.FieldCredentialRef, proof.ByteSequence(d[:])}}}
		v := &proof.Invocation{Purpose: "refund", JTI: proof.NewJTI(), IssuedAt: now, Expires: now + 60, Audience: testkit.Domain}
		if err := proof.SignHTTP(m, v, k, nil); err != nil {
			t.Fatal(err)
		}
		base := g.Client(to, k, "refund").Transport.(*api.Transport).Base
		return send(t, &http.Client{Transport: changed{base, func(r *http.Request) {
			for _, f := range m.Fields {
				r.Header.Set(f[0], f[1])
			}
		}}}, call{"GET", orders(g), ""})
	}
	if status, _ := ref(c, g.Holder(0)); status != 428 {
		t.Errorf("unknown: status %d, want 428", status)
	}
	for _, chain := range []*credential.Chain{c, own} {
		k := g.Holder(len(chain.Delegations))
		if status, body := send(t, g.Client(chain, k, "refund"), call{"GET", orders(g), ""}); status != 200 {
			t.Fatalf("whole: status %d: %s", status, body)
		}
		if status, body := ref(chain, k); status != 200 {
			t.Errorf("known: status %d: %s", status, body)
		}
	}
	if status, body := ref(c, g.Holder(1)); status != 401 || codeOf(t, body) != op.ProofInvalid {
		t.Errorf("another holder's: status %d: %s", status, body)
	}
	if n := len(g.Upstream.Seen()); n != 4 {
		t.Errorf("%d requests upstream, want 4", n)
	}
}

// spied counts the requests that carry the whole credential, and those that refer
// to it.
type spied struct {
	base         http.RoundTripper
	whole, short int
	other        bool // the next reference is to a credential that nobody knows
}

func (s *spied) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get(proof.FieldCredentialRef) != "" {
		s.short++
		if s.other {
			s.other = false
			r.Header.Set(proof.FieldCredentialRef, proof.ByteSequence(make([]byte, 32)))
		}
	} else {
		s.whole++
	}
	return s.base.RoundTrip(r)
}

// TestTransportRefers shows the transport of package api before a gate that does not know
// what it refers to: the credential goes whole once, by its digest then, and whole again when it is
// asked for.
//
// SPEC HTTPGW-8
func TestTransportRefers(t *testing.T) {
	t.Parallel()
	for name, w := range ways {
		g := newGate(t, nil)
		h := g.Call(w.of(g.Wide(1), g.Holder(0)))
		s := &spied{base: transport(h).Base}
		c := &http.Client{Transport: testgate.Over(h, s)}
		for range 3 {
			if status, body := send(t, c, call{"GET", orders(g), ""}); status != 200 {
				t.Fatalf("%s: status %d: %s", name, status, body)
			}
		}
		if s.whole != 1 || s.short != 2 {
			t.Errorf("%s: %d whole and %d short, want 1 and 2", name, s.whole, s.short)
		}
		s.other = true
		if status, body := send(t, c, call{"GET", orders(g), ""}); status != 200 {
			t.Errorf("%s: forgotten: status %d: %s", name, status, body)
		}
		if s.whole != 2 || s.short != 3 || len(g.Upstream.Seen()) != 4 {
			t.Errorf("%s: %d whole and %d short, %d upstream", name, s.whole, s.short, len(g.Upstream.Seen()))
		}
	}
}

// TestTargetCannotAskAgain shows a target that answers in the gate's name, that it
// does not know the credential: the transport must not make two requests of one.
//
// SPEC HTTPGW-8
// A10
// guard: own-headers
func TestTargetCannotAskAgain(t *testing.T) {
	t.Parallel()
	g := newGate(t, func(d *policy.Document) {
		d.Operations[0].Response = &policy.Response{Headers: []string{"writ-credential-ref"}}
	})
	c := g.Client(g.Wide(1), g.Holder(0), "refund")
	g.Upstream.Handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Writ-Credential-Ref", "unknown")
		w.WriteHeader(428)
	})
	for i := range 2 {
		if status, _ := send(t, c, call{"GET", orders(g), ""}); status != 428 {
			t.Errorf("status %d", status)
		}
		if n := len(g.Upstream.Seen()); n != i+1 {
			t.Errorf("%d requests upstream for %d", n, i+1)
		}
	}
}
