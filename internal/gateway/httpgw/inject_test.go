package httpgw_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// TestInjection shows the other places that a secret can go to.
//
// SPEC HTTPGW-2
func TestInjection(t *testing.T) {
	t.Parallel()
	for how, tt := range map[string]struct {
		inject policy.Inject
		found  func(testgate.Seen) bool
	}{
		"basic": {policy.Inject{How: "basic", Name: "user"}, func(s testgate.Seen) bool {
			return s.Header.Get("Authorization") == "Basic "+base64.StdEncoding.EncodeToString([]byte("user:"+testkit.Plain))
		}},
		"query":  {policy.Inject{How: "query", Name: "key"}, func(s testgate.Seen) bool { return s.URI == "/v1/orders/1?key="+testkit.Plain }},
		"header": {policy.Inject{How: "header", Name: "x-api-key"}, func(s testgate.Seen) bool { return s.Header.Get("X-Api-Key") == testkit.Plain }},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, func(d *policy.Document) { d.Targets[0].Inject = tt.inject })
			status, _ := read(t, g)
			if seen := g.Upstream.Seen(); status != 200 || len(seen) != 1 || !tt.found(seen[0]) {
				t.Errorf("status %d, %d requests upstream, or the secret is not in its place", status, len(seen))
			}
		})
	}
}

// TestSecretThatBreaksTheRequest shows a secret that would add a header.
//
// R2
// guard: secret-control-bytes
func TestSecretThatBreaksTheRequest(t *testing.T) {
	t.Parallel()
	g := testgate.New(t, testgate.Config{Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{door}, NoSecret: true})
	g.PutSecret(1, "key\r\nX-Admin: yes")
	if status, _ := read(t, g); status == 200 || g.Upstream.Connections() != 0 {
		t.Errorf("status %d, %d connections upstream", status, g.Upstream.Connections())
	}
}

// secretGate returns a gate whose target takes the secret as in says.
func secretGate(t *testing.T, up *testgate.Upstream, in policy.Inject, plain string) *testgate.Gate {
	t.Helper()
	g := testgate.New(t, testgate.Config{
		Upstream: up, Doors: []testgate.Door{door}, NoSecret: true, Policy: func(d *policy.Document) { d.Targets[0].Inject = in },
	})
	g.PutSecret(1, plain)
	return g
}

// signedAgain returns the authorization that the AWS signer gives the request
// that the upstream saw.
func signedAgain(t *testing.T, s testgate.Seen, key aws.Credentials, name string) string {
	t.Helper()
	r, err := http.NewRequest(s.Method, "https://"+s.Host+s.URI, strings.NewReader(string(s.Body)))
	if err != nil {
		t.Fatal(err)
	}
	for n, v := range s.Header {
		if n != "Authorization" && n != "Content-Length" && n != "X-Amz-Date" && n != "X-Amz-Security-Token" {
			r.Header[n] = v
		}
	}
	at, err := time.Parse("20060102T150405Z", s.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Fatalf("date: %v", err)
	}
	sum := sha256.Sum256(s.Body)
	region, service, _ := strings.Cut(name, "/")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	if err := signer.SignHTTP(t.Context(), key, r, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		t.Fatal(err)
	}
	return r.Header.Get("Authorization")
}

// TestSigV4 shows requests that are signed instead of carrying the secret: the
// upstream, which has the same key, comes to the same signature.
//
// SPEC HTTPGW-3
// R2 R5 R15
func TestSigV4(t *testing.T) {
	t.Parallel()
	const id, key, token = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session-token-of-the-test"
	for name, tt := range map[string]struct {
		name, secret string
		key          aws.Credentials
	}{
		"short":          {"eu-central-1/execute-api", id + ":" + key, aws.Credentials{AccessKeyID: id, SecretAccessKey: key}},
		"an object":      {"us-east-1/s3", `{"AccessKeyId":"` + id + `","SecretAccessKey":"` + key + `"}`, aws.Credentials{AccessKeyID: id, SecretAccessKey: key}},
		"with a session": {"us-east-1/s3", `{"AccessKeyId":"` + id + `","SecretAccessKey":"` + key + `","SessionToken":"` + token + `"}`, aws.Credentials{AccessKeyID: id, SecretAccessKey: key, SessionToken: token}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := secretGate(t, testgate.NewUpstream(t, nil), policy.Inject{How: "sigv4", Name: tt.name}, tt.secret)
			c := g.Client(g.Wide(1), g.Holder(0), "refund")
			for _, q := range []call{
				{"GET", orders(g), ""}, {"GET", "https://" + g.Addrs[0] + "/t/shop/v1/orders/a%20b,c", ""},
				{"POST", "https://" + g.Addrs[0] + "/t/shop/v1/refunds", refund},
			} {
				if status, body := send(t, c, q); status != 200 {
					t.Fatalf("%s %s: status %d: %s", q.method, q.url, status, body)
				}
			}
			seen := g.Upstream.Seen()
			for _, s := range seen {
				auth := s.Header.Get("Authorization")
				if auth != signedAgain(t, s, tt.key, tt.name) || !strings.HasPrefix(auth, "AWS4-HMAC-SHA256 Credential="+id) {
					t.Errorf("%s %s: %s", s.Method, s.URI, auth)
				}
				if s.Method == "POST" && !strings.Contains(auth, "content-type;host;x-amz-content-sha256") && !strings.Contains(auth, "content-length;content-type;host;x-amz-content-sha256") {
					t.Errorf("not covered: %s", auth)
				}
				if s.Header.Get("X-Amz-Security-Token") != tt.key.SessionToken || strings.Contains(strings.Join(s.Header["Authorization"], ""), key) {
					t.Error("the session is not in its place, or the secret was sent")
				}
			}
			if len(seen) != 3 {
				t.Errorf("%d requests upstream", len(seen))
			}
			g.Upstream.Handle(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "your key is "+key) })
			if status, body := send(t, c, call{"GET", orders(g), ""}); status != 502 || strings.Contains(body, key) {
				t.Errorf("the key came back: status %d", status)
			}
		})
	}
}

// TestSigV4Secrets shows secrets that are no key: nothing is sent.
func TestSigV4Secrets(t *testing.T) {
	t.Parallel()
	for _, plain := range []string{
		"no colon", ":no-id", "no-key:", `{"AccessKeyId":"a"}`, `{"AccessKeyId":"a","SecretAccessKey":"b","Extra":1}`, "{", "id:key\r\nX-Admin: yes",
	} {
		g := secretGate(t, testgate.NewUpstream(t, nil), policy.Inject{How: "sigv4", Name: "us-east-1/s3"}, plain)
		status, _ := read(t, g)
		out := g.Receipts(receipt.Outcome)
		if status != 503 || g.Upstream.Connections() != 0 || len(out) != 1 || out[0].Outcome.Class != receipt.NotSent {
			t.Errorf("%q: status %d, %d connections upstream, %d outcomes", plain, status, g.Upstream.Connections(), len(out))
		}
		if len(plain) > 1 && strings.Contains(string(g.Logged.Bytes()), plain) {
			t.Errorf("%q is in the log", plain)
		}
	}
}

// bundle returns a certificate and its key in PEM, and the key as X.509 writes it.
func bundle(t *testing.T) (text string, spki []byte) {
	t.Helper()
	cert := testgate.Certificate(t)
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	return string(append(b, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)), cert.Leaf.RawSubjectPublicKeyInfo
}

// TestClientCertificate shows a target that wants a client certificate: it gets
// the sealed one, and the request carries nothing else.
//
// SPEC HTTPGW-3, HALL-4
// R2 R20
// A6
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	text, spki := bundle(t)
	up := testgate.NewUpstreamTLS(t, nil, func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })
	g := secretGate(t, up, policy.Inject{How: gateway.ClientCertificate}, text)
	for range 2 {
		if status, body := read(t, g); status != 200 {
			t.Fatalf("status %d: %s", status, body)
		}
	}
	for _, s := range up.Seen() {
		if string(s.Key) != string(spki) || s.Header.Get("Authorization") != "" {
			t.Error("another certificate, or the secret in the request")
		}
	}
	if len(up.Seen()) != 2 || up.Connections() != 2 {
		t.Errorf("%d requests on %d connections; each credential has its own", len(up.Seen()), up.Connections())
	}
	other, key := bundle(t)
	c := g.Client(g.Wide(1), g.Holder(0), "refund")
	if status, _ := send(t, c, call{"GET", orders(g), ""}); status != 200 {
		t.Fatalf("status %d", status)
	}
	g.PutSecret(2, other)
	if status, _ := send(t, c, call{"GET", orders(g), ""}); status != 200 {
		t.Fatalf("after the rotation: status %d", status)
	}
	if seen := up.Seen(); string(seen[len(seen)-1].Key) != string(key) {
		t.Error("after the rotation the old certificate is used")
	}
	g.PutSecret(3, "not PEM")
	if status, _ := send(t, c, call{"GET", orders(g), ""}); status != 502 || len(up.Seen()) != 4 {
		t.Errorf("without a certificate: status %d", status)
	}
	block, _ := pem.Decode([]byte(other[strings.Index(other, "-----BEGIN PRIVATE"):]))
	g.PutSecret(4, other)
	up.Handle(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, base64.StdEncoding.EncodeToString(block.Bytes))
	})
	if status, _ := send(t, c, call{"GET", orders(g), ""}); status != 502 {
		t.Errorf("the key came back: status %d", status)
	}
}
