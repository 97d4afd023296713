package receipt

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

const (
	saltDomain = "writ-rs/1"
	saltSize   = 16
)

// A Field is a receipt's field whose value is a commitment.
type Field byte

// The fields that are commitments, by their numbers in a receipt.
const (
	FieldOperation Field = 13
	FieldResponse  Field = 24
	FieldContext   Field = 31
	FieldProof     Field = 32
)

// Evidence is what a receipt commits to and does not show: the operation, all
// that evaluation read, and the holder's proof. It is kept apart from the
// receipts, encrypted, and can be erased; the receipts stay verifiable.
// It prints as its type and nothing else. SPEC RCPT-9.
type Evidence struct {
	Key       [32]byte       `cbor:"1,keyasint"`           // rk: random, one for each receipt
	Operation *EvidenceOp    `cbor:"2,keyasint,omitempty"` // absent: the receipt has no operation
	Context   []byte         `cbor:"3,keyasint,omitempty"` // what evaluation read
	Proof     []byte         `cbor:"4,keyasint,omitempty"` // the holder's proof as it was received
	Response  []canon.Digest `cbor:"5,keyasint,omitempty"` // of an outcome: at most one, the digest of the response
}

// An EvidenceOp is an [op.Operation].
type EvidenceOp struct {
	Type  string `cbor:"1,keyasint"`
	Asked []byte `cbor:"2,keyasint"`
	Found []byte `cbor:"3,keyasint"`
}

// NewEvidence returns evidence with a fresh key and nothing else in it.
func NewEvidence() *Evidence {
	e := new(Evidence)
	rand.Read(e.Key[:]) // never fails: package crypto/rand ends the program instead
	return e
}

// Format writes "[evidence]" for every verb: operations have bodies in them.
func (Evidence) Format(f fmt.State, _ rune) { io.WriteString(f, "[evidence]") }

// MarshalJSON returns "[evidence]", so that a log in JSON does not show it
// either. Evidence is written by [Evidence.Encode].
func (Evidence) MarshalJSON() ([]byte, error) { return []byte(`"[evidence]"`), nil }

// SetOperation puts o into e. It keeps o's bytes.
func (e *Evidence) SetOperation(o *op.Operation) {
	e.Operation = &EvidenceOp{o.Type, o.Asked, o.Found}
}

// TheOperation returns the operation in e, or nil.
func (e *Evidence) TheOperation() *op.Operation {
	if e.Operation == nil {
		return nil
	}
	return &op.Operation{Type: e.Operation.Type, Asked: e.Operation.Asked, Found: e.Operation.Found}
}

// value returns the digest of what e has for f, and whether it has it.
func (e *Evidence) value(f Field) (canon.Digest, bool) {
	switch {
	case f == FieldOperation && e.Operation != nil:
		return e.TheOperation().Digest(), true
	case f == FieldContext && len(e.Context) > 0:
		return canon.Hash(e.Context), true
	case f == FieldProof && len(e.Proof) > 0:
		return canon.Hash(e.Proof), true
	case f == FieldResponse && len(e.Response) == 1:
		return e.Response[0], true
	}
	return canon.Digest{}, false
}

// A salter derives the salts of one receipt.
type salter struct {
	mac hash.Hash
	buf [sha256.Size]byte
}

func (e *Evidence) salter() *salter { return &salter{mac: hmac.New(sha256.New, e.Key[:])} }

// salt returns HKDF-Expand(rk, "writ-rs/1" ‖ f), 16 bytes: the beginning of its
// first block, which is one HMAC. There is no extract step, as rk is uniform. The
// salt is valid until the next. Source: RFC 5869, section 2.3 and 3.3. SPEC RCPT-9.
func (s *salter) salt(f Field) []byte {
	s.mac.Reset()
	s.mac.Write(append(append(s.buf[:0], saltDomain...), byte(f), 1))
	return s.mac.Sum(s.buf[:0])[:saltSize]
}

// A Disclosure opens one commitment and none of the others.
type Disclosure struct {
	Field Field
	Salt  []byte // 16 bytes
	Value canon.Digest
}

// Commitment returns what the receipt has in its field. SPEC RCPT-9.
func (d Disclosure) Commitment() canon.Digest {
	b := append(make([]byte, 0, 96), saltDomain...) // as canon.Sum does
	b = append(append(append(b, 0), d.Salt...), byte(d.Field))
	return canon.Hash(append(b, d.Value[:]...))
}

// Check returns nil if d opens r's commitment, else an error that wraps
// [ErrEvidence].
func (d Disclosure) Check(r *Receipt) error {
	have, ok := r.commitment(d.Field)
	if !ok || len(d.Salt) != saltSize || d.Commitment() != have { //guard:A32 disclosure-matches
		return fmt.Errorf("%w: field %d", ErrEvidence, d.Field)
	}
	return nil
}

// commitment returns r's commitment in f, and whether it has one.
func (r *Receipt) commitment(f Field) (canon.Digest, bool) {
	var d canon.Digest
	switch f {
	case FieldOperation:
		d = r.Operation
	case FieldContext:
		d = r.Context
	case FieldProof:
		d = r.Proof
	case FieldResponse:
		if r.Outcome != nil {
			d = r.Outcome.Response
		}
	}
	return d, !d.IsZero()
}

// Disclose returns what opens the commitment in f. Errors wrap [ErrEvidence]:
// e has nothing for f.
func (e *Evidence) Disclose(f Field) (Disclosure, error) {
	v, ok := e.value(f)
	if !ok {
		return Disclosure{}, fmt.Errorf("%w: nothing for field %d", ErrEvidence, f)
	}
	return Disclosure{f, e.salter().salt(f), v}, nil
}

// Commit sets the commitments of r to what e has. SPEC RCPT-9.
func (e *Evidence) Commit(r *Receipt) error {
	s := e.salter()
	set := func(f Field, at *canon.Digest) {
		if v, ok := e.value(f); ok {
			*at = Disclosure{f, s.salt(f), v}.Commitment()
		}
	}
	set(FieldOperation, &r.Operation)
	set(FieldContext, &r.Context)
	set(FieldProof, &r.Proof)
	if r.Outcome != nil {
		set(FieldResponse, &r.Outcome.Response)
	}
	return nil
}

// Check returns nil if e has exactly what r commits to: each commitment opens,
// and e holds nothing that r does not commit to. Errors wrap [ErrEvidence].
// SPEC RCPT-9.
func (e *Evidence) Check(r *Receipt) error {
	for _, f := range []Field{FieldOperation, FieldContext, FieldProof, FieldResponse} {
		_, committed := r.commitment(f)
		_, have := e.value(f)
		if committed != have { //guard:A32 evidence-complete
			return fmt.Errorf("%w: field %d: in one, not in the other", ErrEvidence, f)
		}
		if !have {
			continue
		}
		d, err := e.Disclose(f)
		if err != nil {
			return err
		}
		if err := d.Check(r); err != nil { //guard:A32 evidence-matches
			return err
		}
	}
	return nil
}

// Encode returns e in CBOR, at most 1 MiB. Errors wrap [ErrForm].
func (e *Evidence) Encode() ([]byte, error) {
	b, err := e.AppendTo(nil)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// ParseEvidence returns the evidence that Encode wrote as b. Whether it belongs
// to a receipt, [Evidence.Check] says. Errors wrap [ErrForm].
func ParseEvidence(b []byte) (*Evidence, error) {
	if len(b) > MaxEvidenceBytes {
		return nil, fmt.Errorf("%w: evidence: %d bytes; at most %d", ErrForm, len(b), MaxEvidenceBytes)
	}
	e := new(Evidence)
	if err := canon.DecodeCBOR(b, e); err != nil {
		return nil, fmt.Errorf("%w: evidence: %w", ErrForm, err)
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Evidence) check() error {
	if len(e.Response) > 1 || e.Operation != nil && (e.Operation.Type == "" || e.Operation.Asked == nil || e.Operation.Found == nil) {
		return fault("evidence: operation or response")
	}
	return nil
}
