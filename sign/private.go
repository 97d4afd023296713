package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"

	"github.com/writhq/writ/secret"
)

// A Signer signs with one key. Implementations are safe for concurrent use.
type Signer interface {
	// Public returns the key that verifies.
	Public() PublicKey
	// Sign returns the signature over msg.
	Sign(msg []byte) ([]byte, error)
}

// A PrivateKey is a signing key in memory. Its zero value signs nothing. It
// prints as its type and nothing else. SPEC SIGN-7.
type PrivateKey struct {
	public PublicKey
	key    func() crypto.Signer // a closure, so that fmt cannot print the key
}

// Generate returns a new key of the algorithm.
func Generate(a Algorithm) (PrivateKey, error) {
	switch a {
	case Ed25519:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return PrivateKey{}, fmt.Errorf("generate key: %w", err)
		}
		return newPrivate(k)
	case P256:
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return PrivateKey{}, fmt.Errorf("generate key: %w", err)
		}
		return newPrivate(k)
	}
	return PrivateKey{}, fmt.Errorf("%w: unknown algorithm", ErrKey)
}

func newPrivate(k crypto.Signer) (PrivateKey, error) {
	pub, err := FromCrypto(k.Public())
	if err != nil {
		return PrivateKey{}, err
	}
	return PrivateKey{pub, func() crypto.Signer { return k }}, nil
}

// FromSeed returns the Ed25519 key with the seed of 32 bytes.
func FromSeed(seed []byte) (PrivateKey, error) {
	if len(seed) != ed25519.SeedSize {
		return PrivateKey{}, fmt.Errorf("%w: seed of %d bytes", ErrKey, len(seed))
	}
	return newPrivate(ed25519.NewKeyFromSeed(seed))
}

// Marshal returns the key in PKCS #8.
func (k PrivateKey) Marshal() (secret.Bytes, error) {
	if k.key == nil {
		return secret.Bytes{}, fmt.Errorf("%w: no key", ErrKey)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k.key())
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("marshal key: %w", err)
	}
	return secret.Take(b), nil
}

// ParsePrivateKey returns the key in PKCS #8, in the form that Marshal writes: the
// standard library alone takes what follows a key, and another's public key beside
// it. Errors wrap [ErrKey]. SPEC SIGN-7.
func ParsePrivateKey(s secret.Bytes) (PrivateKey, error) {
	var key any
	err := s.Use(func(b []byte) (err error) {
		key, err = x509.ParsePKCS8PrivateKey(b)
		return err
	})
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: not PKCS #8", ErrKey)
	}
	k, ok := key.(crypto.Signer)
	if !ok {
		return PrivateKey{}, fmt.Errorf("%w: not a signing key", ErrKey)
	}
	p, err := newPrivate(k)
	if err != nil {
		return PrivateKey{}, err
	}
	again, err := p.Marshal()
	if err != nil {
		return PrivateKey{}, err
	}
	defer again.Wipe()
	if !again.Equal(s) { //guard:A22 private-key-form
		return PrivateKey{}, fmt.Errorf("%w: PKCS #8 in another form", ErrKey)
	}
	return p, nil
}

// Public returns the key that verifies.
func (k PrivateKey) Public() PublicKey { return k.public }

// Crypto returns the key as the standard library's type, for TLS and the like;
// nil for the zero PrivateKey.
func (k PrivateKey) Crypto() crypto.Signer {
	if k.key == nil {
		return nil
	}
	return k.key()
}

// Format writes "sign.PrivateKey" for every verb and flag.
func (PrivateKey) Format(f fmt.State, _ rune) { io.WriteString(f, "sign.PrivateKey") }

// Sign returns the signature over msg.
func (k PrivateKey) Sign(msg []byte) ([]byte, error) {
	switch k.public.alg {
	case Ed25519:
		return k.key().Sign(nil, msg, crypto.Hash(0))
	case P256:
		h := sha256.Sum256(msg)
		der, err := k.key().Sign(rand.Reader, h[:], crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		return rawP256(der)
	}
	return nil, fmt.Errorf("%w: no key", ErrKey)
}

// rawP256 returns an ASN.1 signature as r ‖ s with the lower s.
func rawP256(der []byte) ([]byte, error) {
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if v.S.Cmp(halfOrder()) > 0 {
		v.S.Sub(elliptic.P256().Params().N, v.S)
	}
	out := make([]byte, p256SignatureSize)
	v.R.FillBytes(out[:p256CoordinateSize])
	v.S.FillBytes(out[p256CoordinateSize:])
	return out, nil
}
