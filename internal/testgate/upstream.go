package testgate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
)

// Certificate returns a certificate for 127.0.0.1 on a key of its own.
func Certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// An Upstream is an HTTPS server that remembers everything that reached it.
type Upstream struct {
	Origin string
	Pin    string

	mu       sync.Mutex
	requests []Seen           // guarded by mu
	conns    int              // guarded by mu; all that were made
	closed   int              // guarded by mu; those of them that ended
	handler  http.HandlerFunc // guarded by mu
	forget   bool             // guarded by mu
}

// A Seen is one request that reached the upstream.
type Seen struct {
	Method, URI, Host string
	Header            http.Header
	Body              []byte
	Remote            string // address of the connection
	Key               []byte // that the client proved in TLS, as X.509 writes it; nil: none
}

// NewUpstream returns a running upstream that answers each request with h; nil
// answers 200 and {"ok":true}.
func NewUpstream(t testing.TB, h http.HandlerFunc) *Upstream {
	t.Helper()
	return NewUpstreamTLS(t, h, func(*tls.Config) {})
}

// NewUpstreamTLS is [NewUpstream] with another configuration of TLS.
func NewUpstreamTLS(t testing.TB, h http.HandlerFunc, change func(*tls.Config)) *Upstream {
	t.Helper()
	cert := Certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &Upstream{Origin: "https://" + l.Addr().String(), Pin: canon.Hash(cert.Leaf.RawSubjectPublicKeyInfo).String(), handler: h}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	change(cfg)
	s := &http.Server{
		Handler: http.HandlerFunc(u.serve), TLSConfig: cfg,
		ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, st http.ConnState) {
			u.mu.Lock()
			defer u.mu.Unlock()
			switch st {
			case http.StateNew:
				u.conns++
			case http.StateClosed, http.StateHijacked:
				u.closed++
			}
		},
	}
	go s.ServeTLS(l, "", "")
	t.Cleanup(func() { s.Close() })
	return u
}

func (u *Upstream) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	seen := Seen{r.Method, r.RequestURI, r.Host, r.Header.Clone(), body, r.RemoteAddr, nil}
	if len(r.TLS.PeerCertificates) > 0 {
		seen.Key = r.TLS.PeerCertificates[0].RawSubjectPublicKeyInfo
	}
	u.mu.Lock()
	if !u.forget {
		u.requests = append(u.requests, seen)
	}
	h := u.handler
	u.mu.Unlock()
	if h == nil {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"ok":true}`)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h(w, r)
}

// Forget makes the upstream remember no further request.
func (u *Upstream) Forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forget = true
}

// Handle makes h answer from now on.
func (u *Upstream) Handle(h http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.handler = h
}

// Seen returns the requests that reached the upstream so far.
func (u *Upstream) Seen() []Seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]Seen(nil), u.requests...)
}

// Open returns how many connections to the upstream are open, as it sees them.
func (u *Upstream) Open() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.conns - u.closed
}

// Connections returns how many connections were made to the upstream.
func (u *Upstream) Connections() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.conns
}
