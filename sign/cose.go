package sign

import (
	"fmt"

	"github.com/writhq/writ/canon"
)

// sign1 is COSE_Sign1. Source: RFC 9052, section 4.2.
type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[int]any
	Payload     []byte
	Signature   []byte
}

// protected is the protected header: alg (1) and typ (16, RFC 9596).
type protected struct {
	Alg Algorithm `cbor:"1,keyasint"`
	Typ string    `cbor:"16,keyasint"`
}

type sigStructure struct {
	_         struct{} `cbor:",toarray"`
	Context   string
	Protected []byte
	External  []byte
	Payload   []byte
}

func toBeSigned(header, payload []byte) ([]byte, error) {
	return canon.EncodeCBOR(sigStructure{Context: "Signature1", Protected: header, External: []byte{}, Payload: payload})
}

// Sign1 returns a COSE_Sign1 block of payload by s, with typ as its type. The
// block is untagged and its unprotected header is empty.
//
// Source: RFC 9052, section 4.2; RFC 9596. SPEC SIGN-6.
func Sign1(s Signer, typ string, payload []byte) ([]byte, error) {
	if payload == nil {
		payload = []byte{} // an empty payload is not an absent one
	}
	header, err := canon.EncodeCBOR(protected{s.Public().Algorithm(), typ})
	if err != nil {
		return nil, err
	}
	tbs, err := toBeSigned(header, payload)
	if err != nil {
		return nil, err
	}
	sig, err := s.Sign(tbs)
	if err != nil {
		return nil, fmt.Errorf("sign block: %w", err)
	}
	return canon.EncodeCBOR(sign1{Protected: header, Unprotected: map[int]any{}, Payload: payload, Signature: sig})
}

// Verify1 returns the payload of a COSE_Sign1 block that has type typ and is
// signed by k. The algorithm is k's; the header's must agree. Errors wrap
// [canon.ErrForm] or [ErrSignature]. SPEC SIGN-6.
func Verify1(k PublicKey, typ string, block []byte) ([]byte, error) {
	m, header, err := parse1(block)
	if err != nil {
		return nil, err
	}
	if header.Typ != typ || header.Alg != k.alg { //guard:R63 block-type
		return nil, fmt.Errorf("%w: block is not %s by a key of this algorithm", ErrSignature, typ)
	}
	tbs, err := toBeSigned(m.Protected, m.Payload)
	if err != nil {
		return nil, err
	}
	if err := k.Verify(tbs, m.Signature); err != nil {
		return nil, err
	}
	return m.Payload, nil
}

// PayloadUnverified returns the payload of a block without checking who signed
// it: to find the key that must have.
func PayloadUnverified(block []byte) ([]byte, error) {
	m, _, err := parse1(block)
	if err != nil {
		return nil, err
	}
	return m.Payload, nil
}

func parse1(block []byte) (m sign1, header protected, err error) {
	if len(block) > maxBlockBytes {
		return m, header, fmt.Errorf("%w: block of %d bytes; at most %d", canon.ErrForm, len(block), maxBlockBytes)
	}
	if err := canon.DecodeCBOR(block, &m); err != nil {
		return m, header, fmt.Errorf("parse block: %w", err)
	}
	if m.Protected == nil || m.Payload == nil || m.Signature == nil { // null, which CBOR has beside the empty string
		return m, header, fmt.Errorf("%w: block: a part is null", canon.ErrForm)
	}
	if m.Unprotected == nil || len(m.Unprotected) > 0 { //guard:A22 cose-unprotected-empty
		return m, header, fmt.Errorf("%w: block: unprotected header is not empty", canon.ErrForm)
	}
	if err := canon.DecodeCBOR(m.Protected, &header); err != nil {
		return m, header, fmt.Errorf("parse block header: %w", err)
	}
	return m, header, nil
}
