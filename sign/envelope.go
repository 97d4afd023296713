package sign

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/writhq/writ/canon"
)

// An Envelope is a DSSE envelope: a payload and signatures over it. Nothing in
// it is trusted until [Envelope.Verify].
//
// Source: DSSE v1.0.0, "Envelope".
type Envelope struct {
	PayloadType string
	Payload     []byte
	Signatures  []Signature
}

// A Signature is one signature of an Envelope. Key is a hint.
type Signature struct {
	Key KeyID
	Sig []byte
}

type envelopeJSON struct {
	Payload     string          `json:"payload"`
	PayloadType string          `json:"payloadType"`
	Signatures  []signatureJSON `json:"signatures"`
}

type signatureJSON struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// Encode returns the envelope as JSON.
func (e *Envelope) Encode() ([]byte, error) {
	j := envelopeJSON{
		Payload:     base64.StdEncoding.EncodeToString(e.Payload),
		PayloadType: e.PayloadType,
		Signatures:  []signatureJSON{},
	}
	for _, s := range e.Signatures {
		j.Signatures = append(j.Signatures, signatureJSON{s.Key.String(), base64.StdEncoding.EncodeToString(s.Sig)})
	}
	return canon.EncodeJSON(j)
}

// ParseEnvelope returns the envelope that [Envelope.Encode] wrote as b; at most
// 512 KiB and 64 signatures. It checks no signature. Errors wrap
// [canon.ErrForm] or [canon.ErrJSON]. SPEC SIGN-3.
func ParseEnvelope(b []byte) (*Envelope, error) {
	if len(b) > maxEnvelopeBytes {
		return nil, fmt.Errorf("%w: envelope of %d bytes; at most %d", canon.ErrForm, len(b), maxEnvelopeBytes)
	}
	var j envelopeJSON
	if err := canon.DecodeJSON(b, &j); err != nil {
		return nil, fmt.Errorf("parse envelope: %w", err)
	}
	if len(j.Signatures) > maxSignatures {
		return nil, fmt.Errorf("%w: envelope with %d signatures; at most %d", canon.ErrForm, len(j.Signatures), maxSignatures)
	}
	e := &Envelope{PayloadType: j.PayloadType}
	var ok bool
	if e.Payload, ok = decodeBase64(base64.StdEncoding, j.Payload); !ok {
		return nil, fmt.Errorf("%w: envelope: payload is not base64", canon.ErrForm)
	}
	for i, s := range j.Signatures {
		id, ok := decodeBase64(base64.RawURLEncoding, s.KeyID)
		if !ok || len(id) != len(KeyID{}) {
			return nil, fmt.Errorf("%w: envelope: signature %d: keyid is not a thumbprint", canon.ErrForm, i)
		}
		sig, ok := decodeBase64(base64.StdEncoding, s.Sig)
		if !ok {
			return nil, fmt.Errorf("%w: envelope: signature %d: not base64", canon.ErrForm, i)
		}
		e.Signatures = append(e.Signatures, Signature{KeyID(id), sig})
	}
	return e, nil
}

// MarshalJSON implements [json.Marshaler], so that envelopes can stand in other
// documents.
func (e *Envelope) MarshalJSON() ([]byte, error) { return e.Encode() }

// UnmarshalJSON implements [json.Unmarshaler] with the checks of ParseEnvelope.
func (e *Envelope) UnmarshalJSON(b []byte) error {
	v, err := ParseEnvelope(b)
	if err != nil {
		return err
	}
	*e = *v
	return nil
}

var (
	_ json.Marshaler   = (*Envelope)(nil)
	_ json.Unmarshaler = (*Envelope)(nil)
)

// Digest returns the id of the document in e: the digest of exactly what is
// signed, so that adding a signature does not change it. SPEC SIGN-4.
func (e *Envelope) Digest() canon.Digest { return canon.Hash(canon.PAE(e.PayloadType, e.Payload)) }

// Sign adds s's signature to e, in place of an earlier one by the same key.
func (e *Envelope) Sign(s Signer) error {
	sig, err := s.Sign(canon.PAE(e.PayloadType, e.Payload))
	if err != nil {
		return fmt.Errorf("sign envelope: %w", err)
	}
	id := s.Public().ID()
	e.Signatures = slices.DeleteFunc(e.Signatures, func(o Signature) bool { return o.Key == id })
	e.Signatures = append(e.Signatures, Signature{id, sig})
	return nil
}

// A Quorum says who must sign: Threshold distinct principals out of Members.
type Quorum struct {
	Members   []string `json:"members"`
	Threshold int      `json:"threshold"`
}

// Check returns an error unless q can be met and cannot be met by nobody.
func (q Quorum) Check() error {
	seen := make(map[string]bool)
	for _, m := range q.Members {
		if m == "" || seen[m] {
			return fmt.Errorf("%w: quorum: member is empty or listed twice", canon.ErrForm)
		}
		seen[m] = true
	}
	if q.Threshold < 1 || q.Threshold > len(q.Members) { //guard:R35 quorum-possible
		return fmt.Errorf("%w: quorum: threshold %d of %d members", canon.ErrForm, q.Threshold, len(q.Members))
	}
	return nil
}

// Keys tells which keys a principal has for the use that the caller has in
// mind.
type Keys func(principal string) []PublicKey

// Verify returns the distinct members of q whose keys signed e, in q's order, if
// they are q.Threshold or more and e has the payload type. It stops for nobody:
// two keys of one principal count once. Errors wrap [ErrThreshold].
// SPEC SIGN-5.
func (e *Envelope) Verify(payloadType string, q Quorum, keys Keys) ([]string, error) {
	if e.PayloadType != payloadType { //guard:R21 envelope-type
		return nil, fmt.Errorf("%w: payload type is not %s", ErrThreshold, payloadType)
	}
	if err := q.Check(); err != nil {
		return nil, err
	}
	pae := canon.PAE(e.PayloadType, e.Payload)
	var signers []string
	for _, m := range q.Members {
		if slices.ContainsFunc(keys(m), func(k PublicKey) bool { return e.signedBy(k, pae) }) {
			signers = append(signers, m)
		}
	}
	if len(signers) < q.Threshold { //guard:R35 quorum-met
		return nil, fmt.Errorf("%w: %d of %d: %v", ErrThreshold, len(signers), q.Threshold, signers)
	}
	return signers, nil
}

func (e *Envelope) signedBy(k PublicKey, pae []byte) bool {
	id := k.ID()
	for _, s := range e.Signatures {
		if s.Key == id && k.Verify(pae, s.Sig) == nil {
			return true
		}
	}
	return false
}
