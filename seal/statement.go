package seal

import (
	"crypto/rand"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// StatementType is the DSSE payload type of a sealer's statement.
const StatementType = "application/vnd.writ.sealer.v1+cbor"

const statementTyp = "writ-sealer/1"

// A Statement is what sealers vouch for: the value of one version of a secret,
// by commitment. It outlives re-sealing, so that a re-seal can change neither
// the value nor the policy it was given under.
type Statement struct {
	Typ        string       `cbor:"1,keyasint"`
	Zone       canon.Digest `cbor:"2,keyasint"`
	Alias      string       `cbor:"3,keyasint"`
	ID         string       `cbor:"4,keyasint"`
	Version    int64        `cbor:"5,keyasint"` // 1 or more, growing
	Policy     canon.Digest `cbor:"6,keyasint"` // id of the policy at first sealing
	Commitment canon.Digest `cbor:"7,keyasint"`
	Kind       string       `cbor:"8,keyasint"`
	IssuedAt   int64        `cbor:"9,keyasint"` // Unix seconds
}

// A Signed is a statement with its sealers' signatures.
type Signed struct {
	Statement Statement
	envelope  *sign.Envelope
}

// Digest returns the statement's id.
func (s *Signed) Digest() canon.Digest { return s.envelope.Digest() }

// Envelope returns the signed bytes.
func (s *Signed) Envelope() *sign.Envelope { return s.envelope }

// NewValue returns v with a fresh salt.
func NewValue(v secret.Bytes) *Value {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	return &Value{v, salt}
}

func commitment(v *Value) (d canon.Digest) {
	v.Secret.Use(func(b []byte) error {
		d = canon.Sum("writ-sc/1", v.Salt, b)
		return nil
	})
	return d
}

// A Name says which version of which secret of a policy a statement is about.
type Name struct {
	ID       string // of the secret in the policy
	Version  int64  // 1 or more, growing
	IssuedAt int64  // Unix seconds
}

// NewStatement returns the statement that v is the value of n under p, for
// sealers to sign. Errors wrap [ErrSeal].
func NewStatement(p *policy.Verified, n Name, v *Value) (*Signed, error) {
	if p == nil || p.Document() == nil {
		return nil, fmt.Errorf("%w: there is no verified policy", ErrSeal)
	}
	d, ok := p.Document().Secret(n.ID)
	if !ok {
		return nil, fmt.Errorf("%w: %s does not list secret %q", ErrSeal, p.Document().Alias, n.ID)
	}
	payload, err := canon.EncodeCBOR(&Statement{
		Typ: statementTyp, Zone: p.Zone(), Alias: p.Document().Alias, ID: n.ID, Version: n.Version,
		Policy: p.ID(), Commitment: commitment(v), Kind: d.Kind, IssuedAt: n.IssuedAt,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSeal, err)
	}
	return ParseStatement(&sign.Envelope{PayloadType: StatementType, Payload: payload})
}

// ParseStatement returns the statement in e. It verifies no signature. SPEC
// SEAL-6.
func ParseStatement(e *sign.Envelope) (*Signed, error) {
	if len(e.Payload) > maxStatementBytes || len(e.Signatures) > maxStatementSigned {
		return nil, fmt.Errorf("%w: statement: too large", ErrSeal)
	}
	s := &Signed{envelope: e}
	if err := canon.DecodeCBOR(e.Payload, &s.Statement); err != nil {
		return nil, fmt.Errorf("%w: statement: %w", ErrSeal, err)
	}
	if s.Statement.Typ != statementTyp || s.Statement.Version < 1 {
		return nil, fmt.Errorf("%w: statement: not %s, or version below 1", ErrSeal, statementTyp)
	}
	return s, nil
}

// Verify returns nil if the sealers whom the named policy lists vouch for the
// statement, and that policy is p or one of its ancestors: a sealer is judged
// under the policy that the statement names. Errors wrap [ErrSeal]. SPEC SEAL-7.
func (s *Signed) Verify(r *policy.Root, p *policy.Verified) error {
	if p == nil || p.Document() == nil {
		return fmt.Errorf("%w: statement: there is no verified policy", ErrSeal)
	}
	if s.Statement.Zone != r.Zone() || s.Statement.Zone != p.Zone() { //guard:A1 statement-zone
		return fmt.Errorf("%w: statement: of another zone", ErrSeal)
	}
	for q := p; q != nil; q = q.Prev() {
		if q.ID() != s.Statement.Policy {
			continue
		}
		d, ok := q.Document().Secret(s.Statement.ID)
		if !ok || q.Document().Alias != s.Statement.Alias || d.Kind != s.Statement.Kind { //guard:A4 statement-declared
			return fmt.Errorf("%w: statement: its policy does not list the secret", ErrSeal)
		}
		if _, err := s.envelope.Verify(StatementType, d.Sealers, r.Keys(policy.UseSealer)); err != nil { //guard:R1 statement-quorum
			return fmt.Errorf("%w: statement: %w", ErrSeal, err)
		}
		return nil
	}
	return fmt.Errorf("%w: statement: its policy is not %s or an ancestor", ErrSeal, p.Document().Alias)
}
