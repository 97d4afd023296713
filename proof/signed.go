package proof

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/sign"
)

// A Signed is a proof of level 3 over HTTP as evidence keeps it: what the holder
// signed, the signature, and the body that the signature covers by its digest.
// Nothing of it is trusted before [VerifySigned]. SPEC PROOF-12.
type Signed struct {
	Typ       string `cbor:"1,keyasint"`
	Base      []byte `cbor:"2,keyasint"`           // signature base. Source: RFC 9421, section 2.5
	Signature []byte `cbor:"3,keyasint"`           // 64 bytes
	Body      []byte `cbor:"4,keyasint,omitempty"` // as received; absent if it is longer than 256 KiB
}

const signedTyp = "writ-signed-http/1"

// Evidence returns the proof in m, whose signature base [VerifyHTTP] returned, for
// the evidence. Errors wrap [ErrProof].
func Evidence(m *Message, base []byte) ([]byte, error) {
	sig, ok := m.signature()
	if !ok {
		return nil, fmt.Errorf("%w: %s is not one byte sequence named %s", ErrProof, FieldSignature, httpLabel)
	}
	s := Signed{Typ: signedTyp, Base: base, Signature: sig}
	if len(m.Body) <= maxKeptBody {
		s.Body = m.Body
	}
	b, err := canon.EncodeCBOR(&s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	return b, nil
}

// VerifySigned returns the request that k's holder signed, and the invocation that
// it makes, out of evidence b. The request has the fields that were covered, and
// HasBody without a Body if that was too long to be kept. Neither time nor
// credential is checked: the caller compares them with what a receipt says. Errors
// wrap [ErrProof]. SPEC PROOF-12.
func VerifySigned(b []byte, k sign.PublicKey) (*Message, *Invocation, error) {
	if len(b) > maxSignedBytes {
		return nil, nil, fmt.Errorf("%w: evidence of %d bytes; at most %d", ErrProof, len(b), maxSignedBytes)
	}
	var s Signed
	if err := canon.DecodeCBOR(b, &s); err != nil {
		return nil, nil, fmt.Errorf("%w: evidence: %w", ErrProof, err)
	}
	if s.Typ != signedTyp { //guard:A32 signed-type
		return nil, nil, fmt.Errorf("%w: evidence: not %s", ErrProof, signedTyp)
	}
	if err := k.Verify(s.Base, lowS(k, s.Signature)); err != nil { //guard:A32 signed-signature
		return nil, nil, fmt.Errorf("%w: evidence: %w", ErrProof, err)
	}
	m, in, err := parseBase(string(s.Base))
	if err != nil {
		return nil, nil, err
	}
	if in.keyID != k.ID().String() || in.tag != httpTag { //guard:A12 signed-tag
		return nil, nil, fmt.Errorf("%w: evidence: keyid is not the holder's key, or tag is not %s", ErrProof, httpTag)
	}
	digest, covered := m.field(FieldDigest)
	if m.HasBody, m.Body = covered, s.Body; len(s.Body) > 0 && digest != ContentDigest(s.Body) { //guard:R5 signed-kept-body
		return nil, nil, fmt.Errorf("%w: evidence: the body is not the one that was signed", ErrProof)
	}
	v, err := m.invocation(in)
	if err != nil {
		return nil, nil, err
	}
	return m, v, nil
}

// parseBase reads a signature base: a line for each component in the order of the
// parameters, which come last. Writing it again gives the same bytes.
func parseBase(base string) (*Message, *input, error) {
	i := strings.LastIndex(base, "\n")
	params, ok := strings.CutPrefix(base[i+1:], `"@signature-params": `)
	if !ok || i < 0 {
		return nil, nil, fmt.Errorf("%w: evidence: no signature parameters", ErrProof)
	}
	in, err := parseInput(httpLabel + "=" + params)
	if err != nil {
		return nil, nil, err
	}
	m := &Message{}
	lines := strings.Split(base[:i], "\n")
	if len(lines) != len(in.names) {
		return nil, nil, fmt.Errorf("%w: evidence: other components than the parameters list", ErrProof)
	}
	for j, l := range lines {
		value, ok := strings.CutPrefix(l, `"`+in.names[j]+`": `)
		if !ok {
			return nil, nil, fmt.Errorf("%w: evidence: other components than the parameters list", ErrProof)
		}
		switch in.names[j] {
		case "@method":
			m.Method = value
		case "@target-uri":
			m.TargetURI = value
		default:
			m.Fields = append(m.Fields, [2]string{in.names[j], value})
		}
	}
	again, err := m.base(in.names, in.params)
	if err != nil || string(again) != base || m.Method == "" || m.TargetURI == "" { //guard:A32 base-one-form
		return nil, nil, fmt.Errorf("%w: evidence: the base is not in its one form", ErrProof)
	}
	return m, in, nil
}

// signature returns the bytes of m's signature field, if it has one in its form.
func (m *Message) signature() ([]byte, bool) {
	text, ok := m.field(FieldSignature)
	b64, okP := strings.CutPrefix(text, httpLabel+"=:")
	b64, okS := strings.CutSuffix(b64, ":")
	sig, okB := decodeBase64(base64.StdEncoding, b64)
	return sig, ok && okP && okS && okB
}
