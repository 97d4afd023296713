// Package release is the operation type release/1: giving out a secret in the
// clear. What is released is ungoverned from then on, so no policy allows it
// unless it declares this type by name.
//
// The package is pure. Its functions are safe for concurrent use.
package release

import (
	"errors"
	"fmt"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

// ErrRelease is wrapped by every error of this package.
var ErrRelease = errors.New("release operation")

const (
	// DocumentType is the type of the documents of this package.
	DocumentType = "release/1"
	// Action is the one action of this type.
	Action = "release:secret"
)

// Asked is the document of one release. SPEC RELEASE-1.
type Asked struct {
	Target string `cbor:"1,keyasint"` // id of the target in the policy, whose secret it is
}

// NewOperation returns the operation of releasing the secret of target. The salt
// is fresh random bytes from the gate.
func NewOperation(target string, salt [16]byte) (*op.Operation, error) {
	if target == "" || len(target) > maxNameBytes {
		return nil, fmt.Errorf("%w: target of %d bytes", ErrRelease, len(target))
	}
	asked, err := canon.EncodeCBOR(&Asked{target})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRelease, err)
	}
	found, err := canon.EncodeCBOR(&op.Facts{Salt: salt[:]})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRelease, err)
	}
	return &op.Operation{Type: DocumentType, Asked: asked, Found: found}, nil
}

// Mapper is the meaning of release/1 documents, version 1. Its zero value is
// ready for use.
type Mapper struct{}

var _ op.Mapper = Mapper{}

// Type returns "release".
func (Mapper) Type() string { return "release" }

// Version returns 1.
func (Mapper) Version() int { return 1 }

// Check returns an error that wraps [ErrRelease] unless d lists targets, the one
// action, and nothing else. SPEC RELEASE-2.
func (Mapper) Check(d *op.Declaration) error {
	if len(d.Targets) == 0 || len(d.Actions) != 1 || d.Actions[0] != Action {
		return fmt.Errorf("%w: targets must be listed, and actions be [%q]", ErrRelease, Action)
	}
	if d.Headers != nil || d.Query != nil || d.Body != nil {
		return fmt.Errorf("%w: a release has no headers, query or body", ErrRelease)
	}
	return nil
}

// Shape returns what rules see: the target's id.
func (Mapper) Shape(*op.Declaration) op.Shape {
	return op.Shape{Resource: []op.Field{{Name: "target", Type: op.Text, Required: true}}}
}

// View returns what rules see of o. A document that is not in its one form, or
// has no salt, gives an error that wraps [ErrRelease].
func (Mapper) View(o *op.Operation, _ *op.Declaration) (*op.View, error) {
	if o.Type != DocumentType { //guard:R61 release-type
		return nil, fmt.Errorf("%w: not %s", ErrRelease, DocumentType)
	}
	var a Asked
	if err := canon.DecodeCBOR(o.Asked, &a); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRelease, err)
	}
	var f op.Facts
	if err := canon.DecodeCBOR(o.Found, &f); err != nil || len(f.Salt) != 16 {
		return nil, fmt.Errorf("%w: no salt", ErrRelease)
	}
	if a.Target == "" || len(a.Target) > maxNameBytes {
		return nil, fmt.Errorf("%w: target of %d bytes", ErrRelease, len(a.Target))
	}
	return &op.View{Action: Action, Target: a.Target, Resource: map[string]any{"target": a.Target}}, nil
}
