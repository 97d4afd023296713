// Package api is the client side of Writ: a transport by which an existing
// program uses a credential, and the client of a server's control API.
package api

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/sign"
)

// ErrAPI is wrapped by every error of this package.
var ErrAPI = errors.New("api")

// A Transport is an [http.RoundTripper] that proves every request to a gate: it
// adds the credential and a signature over method, URI, headers, body, purpose
// and lineage. A program uses a credential by making it the transport of its
// client and sending its requests to https://GATE/t/TARGET/….
//
// A request is sent once and never again: a second attempt would be another
// use. The one exception is a gate that says, before it has decided anything, that
// it does not know the credential: after the first request the credential goes by
// its digest, and whole again where that is asked for. SPEC HTTPGW-8.
//
// All fields but Purpose, Lineage, Policy, Channel, Base and Now are required. It
// is safe for concurrent use if its fields do not change.
type Transport struct {
	Credential *credential.Chain
	Key        sign.Signer // of the credential's last block; not needed with Channel
	Audience   string      // the gate's replay domain
	Purpose    string
	Lineage    []canon.Digest // receipts that led to the request
	Policy     *canon.Digest  // the policy that the holder relies on; nil: any in force
	// Channel leaves the requests unsigned: Base proves the key on each connection
	// by the certificate that [ClientCertificate] returns. It is a proof of level 2,
	// cheaper than a signature, and refused where the policy asks for more.
	Channel bool
	Base    http.RoundTripper
	Now     func() time.Time // nil: the system's clock

	known atomic.Bool // the gate has answered a request with the whole credential
	once  sync.Once
	whole [2]string // the credential's field, and
	short [2]string // the one that refers to it
}

// RoundTrip implements [http.RoundTripper]. It leaves r as it was.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.once.Do(func() {
		d := t.Credential.Digest()
		t.whole = [2]string{proof.FieldCredential, proof.ByteSequence(t.Credential.Bytes())}
		t.short = [2]string{proof.FieldCredentialRef, proof.ByteSequence(d[:])}
	})
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if t.known.Load() {
		resp, err := t.send(r, body, t.short)
		if err != nil || !unknown(resp) {
			return resp, err
		}
		resp.Body.Close()
	}
	resp, err := t.send(r, body, t.whole)
	if err == nil {
		t.known.Store(true)
	}
	return resp, err
}

// unknown reports whether the gate asks for the whole credential. No target can
// say so: a gate passes none of its own names on.
func unknown(resp *http.Response) bool {
	return resp.StatusCode == http.StatusPreconditionRequired && resp.Header.Get(proof.FieldCredentialRef) == proof.RefUnknown
}

// send proves r, with the credential in the field cred, and sends it.
func (t *Transport) send(r *http.Request, body []byte, cred [2]string) (*http.Response, error) {
	m := message(r, body, cred)
	n := len(m.Fields)
	if err := t.prove(m); err != nil {
		return nil, fmt.Errorf("%w: prove request: %w", ErrAPI, err)
	}
	out := *r
	out.Header = make(http.Header, len(r.Header)+len(m.Fields)-n+1)
	maps.Copy(out.Header, r.Header)
	for _, f := range m.Fields[n-1:] {
		out.Header.Set(f[0], f[1])
	}
	out.Body, out.ContentLength, out.GetBody = nil, 0, nil
	if m.HasBody {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	return base.RoundTrip(&out)
}

// prove adds to m what proves it, or with Channel what says what it is for.
func (t *Transport) prove(m *proof.Message) error {
	v := t.invocation()
	if !t.Channel {
		return proof.SignHTTP(m, v, t.Key, covered(m.Fields))
	}
	m.Fields = append(m.Fields, [2]string{proof.FieldContext, v.Context()})
	_, err := m.ContextUnverified()
	return err
}

// ClientCertificate returns a certificate over the holder's key by which a TLS
// client proves that it has the key. It is signed by the key itself, since gates
// look at nothing else in it, and so it has no end.
func ClientCertificate(k sign.PrivateKey) (tls.Certificate, error) {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "writ holder"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, section 4.1.2.5: no end
	}
	if k.Crypto() == nil {
		return tls.Certificate{}, fmt.Errorf("%w: certificate: no key", ErrAPI)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public().Crypto(), k.Crypto())
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w: certificate: %w", ErrAPI, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k.Crypto()}, nil
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBodyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w: read body: %w", ErrAPI, err)
	}
	if len(b) > maxBodyBytes {
		return nil, fmt.Errorf("%w: body of more than %d bytes", ErrAPI, maxBodyBytes)
	}
	return b, nil
}

// message returns r as the gate will see it; cred, the credential, is its last
// field.
func message(r *http.Request, body []byte, cred [2]string) *proof.Message {
	u := *r.URL
	u.Fragment, u.RawFragment = "", ""
	m := &proof.Message{Method: r.Method, TargetURI: u.Scheme + "://" + u.Host + u.RequestURI(), Body: body, HasBody: len(body) > 0}
	if m.Method == "" {
		m.Method = http.MethodGet
	}
	m.Fields = make([][2]string, 0, len(r.Header)+5)
	for name, values := range r.Header {
		for _, v := range values {
			m.Fields = append(m.Fields, [2]string{strings.ToLower(name), v})
		}
	}
	m.Fields = append(m.Fields, cred)
	return m
}

// covered returns the names of the program's own headers: whichever of them the
// policy lists must be signed.
func covered(fields [][2]string) []string {
	var out []string
	for _, f := range fields[:len(fields)-1] {
		if f[0] != "connection" && f[0] != "user-agent" {
			out = append(out, f[0])
		}
	}
	return out
}

func (t *Transport) invocation() *proof.Invocation {
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	at := now().Unix()
	return &proof.Invocation{
		Purpose: t.Purpose, Lineage: t.Lineage, JTI: proof.NewJTI(), IssuedAt: at, Expires: at + proof.MaxLifetime,
		Audience: t.Audience, Policy: t.Policy,
	}
}
