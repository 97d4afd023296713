// Package identity says who is calling: the key of a client's certificate, and
// what the root lets that key do. It also keeps people's keys in files.
//
// Its functions are safe for concurrent use.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// The errors of this package; all wrap [ErrIdentity].
var (
	ErrIdentity = errors.New("identity")
	// ErrKeyFile is wrapped by the error for a file that gives no key.
	ErrKeyFile = fmt.Errorf("%w: key file", ErrIdentity)
	// ErrNobody is wrapped by the error for a caller who may not read.
	ErrNobody = fmt.Errorf("%w: not a reader", ErrIdentity)
)

// Certificate returns a self-signed certificate over k for a TLS client. Only its
// key says who the client is; all else in it means nothing. SPEC CTRL-3.
func Certificate(k sign.PrivateKey) (tls.Certificate, error) {
	signer := k.Crypto()
	if signer == nil {
		return tls.Certificate{}, fmt.Errorf("%w: certificate: no key", ErrIdentity)
	}
	t := template("writ")
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, t, signer.Public(), signer)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%w: certificate: %w", ErrIdentity, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer}, nil
}

func template(name string) *x509.Certificate {
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] &= 0x7f
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// NewServerCertificate returns a self-signed certificate for the hosts, names or
// addresses, and its key, both in PEM: for clients that are given the certificate.
func NewServerCertificate(hosts []string) (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: certificate: %w", ErrIdentity, err)
	}
	t := template("writ gate")
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, t.KeyUsage|x509.KeyUsageCertSign // it vouches for itself
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, k.Public(), k)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: certificate: %w", ErrIdentity, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: certificate: %w", ErrIdentity, err)
	}
	defer clear(pkcs8)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// Reader returns the principal who reads on the connection: the owner of the
// client certificate's key, if the zone's root lists that key for reading. A key
// that was revoked does not count in it. Errors wrap [ErrNobody]. SPEC CTRL-3.
func Reader(cs *tls.ConnectionState, z *zone.Zone) (string, error) {
	if cs == nil || cs.Version != tls.VersionTLS13 || cs.DidResume || len(cs.PeerCertificates) == 0 { //guard:A13 reader-channel
		return "", fmt.Errorf("%w: no client certificate on a full TLS 1.3 handshake", ErrNobody)
	}
	k, err := sign.FromCrypto(cs.PeerCertificates[0].PublicKey)
	if err != nil {
		return "", fmt.Errorf("%w: the certificate's key: %w", ErrNobody, err)
	}
	if !z.Root().HasUse(k.ID(), policy.UseReader) { //guard:R44 reader-listed
		return "", fmt.Errorf("%w: the root does not list key %s for reading", ErrNobody, k.ID())
	}
	return z.Root().Owner(k.ID()), nil
}
