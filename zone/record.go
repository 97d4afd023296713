// Package zone is the state of one trust zone: which root, policies, secrets and
// revocations are in force. It is derived by replaying the entries of the policy
// log, each by its own signatures; nothing in it is taken on trust.
//
// The package is pure: no I/O and no clock. Rules that need a time use the time
// that the entry was logged at, so that every replay gives the same state.
package zone

import (
	"errors"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/sign"
)

// The errors of this package; all wrap [ErrZone].
var (
	ErrZone = errors.New("zone")
	// ErrRefused is wrapped by the error for an entry that carries no authority. It
	// stays in the log and changes nothing.
	ErrRefused = fmt.Errorf("%w: entry refused", ErrZone)
	// ErrAgain is wrapped by the error for a policy that is published already, and
	// waits to be put in force.
	ErrAgain = fmt.Errorf("%w: the policy is published already", ErrRefused)
	// ErrOrder is wrapped by the error for a log that is not one history: nothing
	// in it can be trusted.
	ErrOrder = fmt.Errorf("%w: log out of order", ErrZone)
)

// Payload types of records. Policies and roots have their own.
const (
	AliasType  = "application/vnd.writ.alias.v1+json"
	SecretType = "application/vnd.writ.secret.v1+json"
	RevokeType = "application/vnd.writ.revoke.v1+json"
)

// An Entry is one leaf of the policy log: a signed document and when the log
// took it. Source: spec/zone.md. SPEC ZONE-1.
type Entry struct {
	LoggedAt int64          `json:"logged_at"` // Unix seconds, never decreasing
	Envelope *sign.Envelope `json:"envelope"`
}

// Encode returns the entry's bytes.
func (e *Entry) Encode() ([]byte, error) { return canon.EncodeJSON(e) }

// ParseEntry returns the entry in b. It verifies nothing.
func ParseEntry(b []byte) (*Entry, error) {
	if len(b) > MaxEntryBytes {
		return nil, fmt.Errorf("%w: entry of %d bytes; at most %d", ErrZone, len(b), MaxEntryBytes)
	}
	var e Entry
	if err := canon.DecodeJSON(b, &e); err != nil {
		return nil, fmt.Errorf("%w: entry: %w", ErrZone, err)
	}
	if e.Envelope == nil || e.LoggedAt < 1 {
		return nil, fmt.Errorf("%w: entry: envelope or logged_at is missing", ErrZone)
	}
	return &e, nil
}

// An AliasRecord puts a policy in force. It takes the same quorum as the policy.
type AliasRecord struct {
	Zone    canon.Digest `json:"zone"`
	Alias   string       `json:"alias"`
	Version int64        `json:"version"`
	Policy  canon.Digest `json:"policy"`
}

// A State says what may be done with a version of a secret. The zero State is
// refused.
type State string

// The states of secret versions.
const (
	Active    State = "active"
	Retired   State = "retired"
	Destroyed State = "destroyed"
)

// A SecretRecord names the sealed bytes of one version of a secret. A new version
// takes the sealers of the policy in force; the same version under a successor
// is a re-seal and takes one gate of the recipient group.
type SecretRecord struct {
	Zone      canon.Digest   `json:"zone"`
	Alias     string         `json:"alias"`
	ID        string         `json:"id"`
	Version   int64          `json:"version"`
	Policy    canon.Digest   `json:"policy"` // sealed under
	Sealed    canon.Digest   `json:"sealed"` // SHA-256 of the sealed bytes
	Statement *sign.Envelope `json:"statement"`
	State     State          `json:"state"`
}

// A RevokeKind is the kind of thing that is revoked.
type RevokeKind string

// The kinds of revocations.
const (
	RevokePolicy     RevokeKind = "policy"     // id: the policy's digest
	RevokeBlock      RevokeKind = "block"      // id: a block's digest; ends the credential from there on
	RevokeKey        RevokeKind = "key"        // id: a public key's thumbprint as a digest
	RevokeGate       RevokeKind = "gate"       // id: SHA-256 of the gate's id
	RevokeCredential RevokeKind = "credential" // id: the grant block's digest; the same as block
)

// A RevokeRecord revokes. It only adds: there is no record that takes it back.
type RevokeRecord struct {
	Zone   canon.Digest `json:"zone"`
	Alias  string       `json:"alias"` // whose namespace has the authority
	Kind   RevokeKind   `json:"kind"`
	ID     canon.Digest `json:"id"`
	Reason string       `json:"reason"`
	// Credential is the chain, in text form, of a block that an ancestor's holder
	// revokes by the ancestor's key; "" when the namespace revokes.
	Credential string `json:"credential,omitempty"`
}

// NewEnvelope returns an unsigned envelope of the record.
func NewEnvelope(payloadType string, record any) (*sign.Envelope, error) {
	b, err := canon.EncodeJSON(record)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrZone, err)
	}
	return &sign.Envelope{PayloadType: payloadType, Payload: b}, nil
}

func parseRecord(e *sign.Envelope, v any) error {
	if len(e.Payload) > maxRecordBytes {
		return fmt.Errorf("%w: record of %d bytes; at most %d", ErrRefused, len(e.Payload), maxRecordBytes)
	}
	if err := canon.DecodeJSON(e.Payload, v); err != nil {
		return fmt.Errorf("%w: record: %w", ErrRefused, err)
	}
	return nil
}
