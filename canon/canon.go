// Package canon defines the one byte form of every signed document: digests,
// the two encodings (JSON in its JCS form and deterministic CBOR), and the rule
// that what parses encodes back to the same bytes.
//
// The package is pure: no I/O and no clock. Its functions are safe for
// concurrent use.
package canon

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrForm is wrapped by every error about bytes that are not in their one form.
var ErrForm = errors.New("canon: not in canonical form")

const digestPrefix = "sha256:"

// A Digest is a SHA-256 digest. The zero Digest is the digest of nothing that
// exists and is refused wherever one is required.
type Digest [sha256.Size]byte

// Sum returns SHA-256(domain ‖ 0x00 ‖ parts…).
//
// The domain keeps the digest of one kind of document from being taken for the
// digest of another. Every part but the last must have a fixed size, so that
// the boundaries between them are not ambiguous. SPEC CANON-1.
func Sum(domain string, parts ...[]byte) Digest {
	h := sha256.New()
	h.Write([]byte(domain))
	h.Write([]byte{0})
	for _, p := range parts {
		h.Write(p)
	}
	return Digest(h.Sum(nil))
}

// Hash returns the plain SHA-256 of b, for bytes whose kind is fixed by where
// they stand.
func Hash(b []byte) Digest { return sha256.Sum256(b) }

// IsZero reports whether d is the zero Digest.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns d as "sha256:" and 64 hexadecimal digits.
func (d Digest) String() string { return digestPrefix + hex.EncodeToString(d[:]) }

// Short returns the first eight hexadecimal digits of d, for people only.
func (d Digest) Short() string { return hex.EncodeToString(d[:4]) }

// ParseDigest returns the Digest that String wrote as s. Upper case is refused,
// since a digest has one form. SPEC CANON-2.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	h, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(h) != 2*len(d) || strings.ToLower(h) != h {
		return Digest{}, fmt.Errorf("%w: digest: want sha256: and 64 lower-case hexadecimal digits, have %d characters", ErrForm, len(s))
	}
	if _, err := hex.Decode(d[:], []byte(h)); err != nil {
		return Digest{}, fmt.Errorf("%w: digest: not hexadecimal", ErrForm)
	}
	return d, nil
}

// MarshalText implements [encoding.TextMarshaler]; the zero Digest is "".
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]; "" is the zero Digest.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// PAE returns DSSE's pre-authentication encoding of a payload: what is signed,
// and what a document's id is the digest of.
//
// Source: DSSE v1.0.0, "Signature Definition". SPEC CANON-3.
func PAE(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len(payloadType)+len(payload)+32)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}
