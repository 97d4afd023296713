// Package sign makes and verifies signatures: keys with their one text form,
// DSSE envelopes with thresholds that count principals, and COSE_Sign1 blocks.
//
// The algorithm of a signature always follows from the trusted key, never from
// the message. The package is pure; its values are safe for concurrent use.
package sign

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"filippo.io/edwards25519"

	"github.com/writhq/writ/canon"
)

// The errors of this package; all wrap [ErrSign].
var (
	ErrSign      = errors.New("sign")
	ErrKey       = fmt.Errorf("%w: bad key", ErrSign)
	ErrSignature = fmt.Errorf("%w: signature does not hold", ErrSign)
	ErrThreshold = fmt.Errorf("%w: not enough signers", ErrSign)
)

// An Algorithm is a signature algorithm, by its fully specified COSE number. The
// zero Algorithm verifies nothing.
//
// Source: RFC 9864, section 2.
type Algorithm int

// The algorithms.
const (
	Ed25519 Algorithm = -19
	P256    Algorithm = -9 // ECDSA with SHA-256, r ‖ s, low s
)

// String returns the name that stands before a key of this algorithm.
func (a Algorithm) String() string {
	switch a {
	case Ed25519:
		return "ed25519"
	case P256:
		return "p256"
	}
	return "unknown"
}

// A KeyID is the SHA-256 thumbprint of a public key's JWK.
//
// Source: RFC 7638; RFC 8037, appendix A.3.
type KeyID canon.Digest

// String returns the thumbprint in base64url, as JOSE writes it.
func (k KeyID) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// A PublicKey verifies. The zero PublicKey verifies nothing.
type PublicKey struct {
	alg Algorithm
	raw string // 32 bytes, or a compressed point of 33
	id  KeyID  // follows from the two
}

// Algorithm returns the key's algorithm.
func (k PublicKey) Algorithm() Algorithm { return k.alg }

// IsZero reports whether k is the zero PublicKey.
func (k PublicKey) IsZero() bool { return k.alg == 0 }

// Bytes returns the key's bytes: 32, or a compressed point of 33.
func (k PublicKey) Bytes() []byte { return []byte(k.raw) }

// String returns the key's one text form, such as "ed25519:" and base64url.
func (k PublicKey) String() string {
	if k.IsZero() {
		return ""
	}
	return k.alg.String() + ":" + base64.RawURLEncoding.EncodeToString([]byte(k.raw))
}

// NewPublicKey returns the key with the algorithm and bytes.
//
// It refuses points that are not on the curve or not in their one encoding, and
// Ed25519 points of small order, under which one signature can hold for many
// messages. Errors wrap [ErrKey]. SPEC SIGN-1.
func NewPublicKey(a Algorithm, raw []byte) (PublicKey, error) {
	switch a {
	case Ed25519:
		p, err := new(edwards25519.Point).SetBytes(raw)
		if err != nil || string(p.Bytes()) != string(raw) {
			return PublicKey{}, fmt.Errorf("%w: ed25519: not a point in its one encoding", ErrKey)
		}
		if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 { //guard:A22 key-small-order
			return PublicKey{}, fmt.Errorf("%w: ed25519: point of small order", ErrKey)
		}
	case P256:
		if uncompressed(raw) == nil {
			return PublicKey{}, fmt.Errorf("%w: p256: not a compressed point on the curve", ErrKey)
		}
	default:
		return PublicKey{}, fmt.Errorf("%w: unknown algorithm", ErrKey)
	}
	k := PublicKey{alg: a, raw: string(raw)}
	k.id = k.thumbprint()
	return k, nil
}

// uncompressed returns a compressed point of P-256 as 0x04 ‖ x ‖ y, or nil if
// raw is not the one compressed form of a point on the curve.
func uncompressed(raw []byte) []byte {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), raw)
	if x == nil {
		return nil
	}
	b := make([]byte, 1+2*p256CoordinateSize)
	b[0] = 4
	x.FillBytes(b[1 : 1+p256CoordinateSize])
	y.FillBytes(b[1+p256CoordinateSize:])
	return b
}

// decodeBase64 decodes s, which must be what enc writes and nothing else: the
// decoder alone skips line breaks, also in strict mode.
func decodeBase64(enc *base64.Encoding, s string) ([]byte, bool) {
	b, err := enc.Strict().DecodeString(s)
	return b, err == nil && enc.EncodedLen(len(b)) == len(s)
}

// ParsePublicKey returns the key that String wrote as s.
func ParsePublicKey(s string) (PublicKey, error) {
	name, text, _ := strings.Cut(s, ":")
	if len(text) > maxKeyText {
		return PublicKey{}, fmt.Errorf("%w: %d characters; at most %d", ErrKey, len(text), maxKeyText)
	}
	raw, ok := decodeBase64(base64.RawURLEncoding, text)
	if !ok {
		return PublicKey{}, fmt.Errorf("%w: not base64url", ErrKey)
	}
	for _, a := range []Algorithm{Ed25519, P256} {
		if a.String() == name {
			return NewPublicKey(a, raw)
		}
	}
	return PublicKey{}, fmt.Errorf("%w: want ed25519: or p256: before the key", ErrKey)
}

// MarshalText implements [encoding.TextMarshaler].
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *PublicKey) UnmarshalText(b []byte) (err error) {
	*k, err = ParsePublicKey(string(b))
	return err
}

// ID returns the key's thumbprint.
func (k PublicKey) ID() KeyID { return k.id }

func (k PublicKey) thumbprint() KeyID {
	b64 := base64.RawURLEncoding.EncodeToString
	var jwk string
	switch k.alg {
	case Ed25519:
		jwk = `{"crv":"Ed25519","kty":"OKP","x":"` + b64([]byte(k.raw)) + `"}`
	case P256:
		xy := uncompressed([]byte(k.raw))[1:]
		jwk = `{"crv":"P-256","kty":"EC","x":"` + b64(xy[:p256CoordinateSize]) + `","y":"` + b64(xy[p256CoordinateSize:]) + `"}`
	}
	return KeyID(sha256.Sum256([]byte(jwk)))
}

// ecdsa returns k, a key of P-256, as the standard library's type.
func (k PublicKey) ecdsa() *ecdsa.PublicKey {
	p, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), uncompressed([]byte(k.raw)))
	if err != nil {
		panic("sign: a PublicKey that is not on the curve")
	}
	return p
}

// Crypto returns k as the standard library's type, for TLS and the like; nil for
// the zero PublicKey.
func (k PublicKey) Crypto() any {
	switch k.alg {
	case Ed25519:
		return ed25519.PublicKey(k.raw)
	case P256:
		return k.ecdsa()
	}
	return nil
}

// FromCrypto returns the PublicKey for a key of the standard library's types.
func FromCrypto(key any) (PublicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return NewPublicKey(Ed25519, k)
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			break
		}
		b, err := k.Bytes()
		if err != nil {
			return PublicKey{}, fmt.Errorf("%w: p256: not a point on the curve", ErrKey)
		}
		compressed := append([]byte{2 | b[len(b)-1]&1}, b[1:1+p256CoordinateSize]...)
		return NewPublicKey(P256, compressed)
	}
	return PublicKey{}, fmt.Errorf("%w: unknown algorithm", ErrKey)
}

// Verify returns nil if sig is k's signature over msg, and otherwise an error
// that wraps [ErrSignature]. SPEC SIGN-2.
func (k PublicKey) Verify(msg, sig []byte) error {
	ok := false
	switch k.alg {
	case Ed25519:
		ok = len(sig) == ed25519.SignatureSize && ed25519.Verify(ed25519.PublicKey(k.raw), msg, sig)
	case P256:
		ok = k.verifyP256(msg, sig)
	}
	if !ok { //guard:R1 signature
		return ErrSignature
	}
	return nil
}

func (k PublicKey) verifyP256(msg, sig []byte) bool {
	if len(sig) != p256SignatureSize {
		return false
	}
	r, s := new(big.Int).SetBytes(sig[:p256CoordinateSize]), new(big.Int).SetBytes(sig[p256CoordinateSize:])
	if s.Cmp(halfOrder()) > 0 { //guard:A22 signature-low-s
		return false // the other s of the pair: a second form of the same signature
	}
	h := sha256.Sum256(msg)
	return ecdsa.Verify(k.ecdsa(), h[:], r, s)
}

func halfOrder() *big.Int { return new(big.Int).Rsh(elliptic.P256().Params().N, 1) }
