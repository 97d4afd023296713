package testgate

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/sign"
)

// A Caller says how a holder speaks to the gate's HTTP door. Its zero value with
// Credential and Key signs each request, over HTTP/1.1.
type Caller struct {
	Credential *credential.Chain
	Key        sign.Signer
	Purpose    string
	HTTP2      bool
	Channel    bool // a client certificate over Key proves it; nothing is signed
}

// Client returns an HTTP client that trusts the gate and proves the chain by the
// key, for the purpose.
func (g *Gate) Client(c *credential.Chain, k sign.Signer, purpose string) *http.Client {
	return g.Call(Caller{Credential: c, Key: k, Purpose: purpose})
}

// Call returns the HTTP client of c. It trusts the gate and follows nothing.
func (g *Gate) Call(c Caller) *http.Client {
	cfg := g.TLS()
	if c.Channel {
		cfg = g.TLSAs(c.Key)
	}
	base := &http.Transport{TLSClientConfig: cfg, MaxIdleConnsPerHost: 64}
	if c.HTTP2 {
		base.Protocols = new(http.Protocols)
		base.Protocols.SetHTTP2(true)
	}
	g.t.Cleanup(base.CloseIdleConnections)
	return &http.Client{
		Transport: &api.Transport{
			Credential: c.Credential, Key: c.Key, Audience: testkit.Domain, Purpose: c.Purpose, Channel: c.Channel, Base: base, Now: g.Clock.Now,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Over returns a transport that proves as that of h does, and sends over base. It
// has sent nothing yet: the first request carries the whole credential.
func Over(h *http.Client, base http.RoundTripper) *api.Transport {
	t := h.Transport.(*api.Transport)
	return &api.Transport{
		Credential: t.Credential, Key: t.Key, Audience: t.Audience, Purpose: t.Purpose, Lineage: t.Lineage, Policy: t.Policy,
		Channel: t.Channel, Base: base, Now: t.Now,
	}
}

// Certificate returns the gate's own certificate, which no other signed.
func (g *Gate) Certificate() *x509.Certificate { return g.cert.Leaf }

// TLS returns what a raw client needs to reach the gate.
func (g *Gate) TLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(g.cert.Leaf)
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
}

// TLSAs is TLS with a client certificate over the key, which is a
// [sign.PrivateKey].
func (g *Gate) TLSAs(k sign.Signer) *tls.Config {
	g.t.Helper()
	p, ok := k.(sign.PrivateKey)
	if !ok {
		g.t.Fatalf("a %T cannot speak TLS", k)
	}
	cert, err := api.ClientCertificate(p)
	if err != nil {
		g.t.Fatal(err)
	}
	cfg := g.TLS()
	cfg.Certificates = []tls.Certificate{cert}
	return cfg
}
