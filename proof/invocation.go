// Package proof is how a holder shows that it has the key of a credential's last
// block and wants exactly this operation: the signed invocation, and its binding
// to HTTP by message signatures.
//
// The package is pure; its functions are safe for concurrent use.
package proof

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/sign"
)

// The errors of this package; all wrap [ErrProof].
var (
	ErrProof   = errors.New("proof")
	ErrTime    = fmt.Errorf("%w: outside its time", ErrProof)
	ErrCovered = fmt.Errorf("%w: does not cover", ErrProof)
	ErrNonce   = fmt.Errorf("%w: without a nonce of this gate that is still good", ErrProof)
)

const (
	invocationType = "application/writ-invoke+cbor"
	invocationTyp  = "writ-invoke/1"
)

// An Invocation is a holder's request for one operation. Whatever the protocol,
// a proof of level 3 comes down to one. SPEC PROOF-2.
type Invocation struct {
	Typ        string         `cbor:"1,keyasint"`
	Credential canon.Digest   `cbor:"2,keyasint"` // fixes the exact chain
	Operation  canon.Digest   `cbor:"3,keyasint"` // of what is asked; zero in HTTP's form, whose signature covers the message itself
	Purpose    string         `cbor:"4,keyasint,omitempty"`
	Lineage    []canon.Digest `cbor:"5,keyasint,omitempty"` // receipts that led here
	JTI        []byte         `cbor:"6,keyasint"`           // 16 random bytes
	IssuedAt   int64          `cbor:"7,keyasint"`           // Unix seconds
	Expires    int64          `cbor:"8,keyasint"`
	Audience   string         `cbor:"9,keyasint"`            // replay domain of the gate
	Idem       string         `cbor:"10,keyasint,omitempty"` // idempotency key
	Policy     *canon.Digest  `cbor:"11,keyasint,omitempty"` // the policy that the holder saw
}

// NewJTI returns a fresh one-time id.
func NewJTI() []byte {
	b := make([]byte, jtiSize)
	rand.Read(b)
	return b
}

// Sign returns the invocation as a COSE_Sign1 block by the holder.
func (v *Invocation) Sign(holder sign.Signer) ([]byte, error) {
	v.Typ = invocationTyp
	payload, err := canon.EncodeCBOR(v)
	if err != nil {
		return nil, fmt.Errorf("%w: sign: %w", ErrProof, err)
	}
	return sign.Sign1(holder, invocationType, payload)
}

// VerifyInvocation returns the invocation in block if the holder key signed it
// for this operation and it is within its time at the time at, in Unix seconds.
// The caller checks the credential's digest, the audience and that it was not
// used before. Errors wrap [ErrProof]. SPEC PROOF-3.
func VerifyInvocation(k sign.PublicKey, block []byte, o *op.Operation, at int64) (*Invocation, error) {
	if len(block) > maxInvocationBytes {
		return nil, fmt.Errorf("%w: invocation of %d bytes; at most %d", ErrProof, len(block), maxInvocationBytes)
	}
	payload, err := sign.Verify1(k, invocationType, block)
	if err != nil {
		return nil, fmt.Errorf("%w: invocation: %w", ErrProof, err)
	}
	var v Invocation
	if err := canon.DecodeCBOR(payload, &v); err != nil {
		return nil, fmt.Errorf("%w: invocation: %w", ErrProof, err)
	}
	if v.Typ != invocationTyp {
		return nil, fmt.Errorf("%w: not %s", ErrProof, invocationTyp)
	}
	if v.Operation.IsZero() || v.Operation != o.AskedDigest() { //guard:A12 invocation-operation
		return nil, fmt.Errorf("%w: invocation: signed for another operation", ErrProof)
	}
	if err := v.check(at); err != nil {
		return nil, err
	}
	return &v, nil
}

func (v *Invocation) check(at int64) error {
	if len(v.JTI) != jtiSize || !v.bounded() {
		return fmt.Errorf("%w: invocation: a field is missing or too long", ErrProof)
	}
	if v.IssuedAt < 0 || v.Expires <= v.IssuedAt || v.Expires-v.IssuedAt > MaxLifetime { //guard:A14 proof-lifetime
		return fmt.Errorf("%w: valid for more than %d s, or not at all", ErrTime, MaxLifetime)
	}
	if at < v.IssuedAt-Skew || at >= v.Expires+Skew { //guard:R18 proof-time
		return fmt.Errorf("%w: signed at %d, valid until %d, now %d; check the clock", ErrTime, v.IssuedAt, v.Expires, at)
	}
	return nil
}

// ReplayID returns the id under which a used proof is remembered until
// ReplayUntil. SPEC PROOF-4.
func (v *Invocation) ReplayID(holder sign.PublicKey) canon.Digest {
	d, k := canon.Hash([]byte(v.Audience)), holder.ID()
	return canon.Sum("writ-replay/1", d[:], k[:], v.JTI)
}

// ReplayUntil returns the time, in Unix seconds, after which v is refused for
// its age alone.
func (v *Invocation) ReplayUntil() int64 { return v.Expires + Skew }
