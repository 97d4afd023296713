package sql

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

// A Form is a statement that was checked and written once for all of its executions.
// Nobody changes the statement. The nil Form is of no statement.
type Form struct {
	of      *Statement
	encoded []byte
}

// NewForm returns the form of s, which keeps s. Errors wrap [ErrSQL].
func NewForm(s *Statement) (*Form, error) {
	b, err := canon.EncodeCBOR(s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSQL, err)
	}
	if err := canon.DecodeCBOR(b, new(Statement)); err != nil { //guard:R15/sql form-decodes
		return nil, fmt.Errorf("%w: %w", ErrSQL, err)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return &Form{s, b}, nil
}

// Size returns how many bytes the statement is written in; 0 of nil.
func (f *Form) Size() int {
	if f == nil {
		return 0
	}
	return len(f.encoded)
}

// For returns f for a copy of its statement, which nobody has changed.
func (f *Form) For(s *Statement) *Form { return &Form{s, f.encoded} }

// Of reports whether f is the form of this very s: a copy may have been changed.
func (f *Form) Of(s *Statement) bool {
	return f != nil && f.of == s //guard-true:R5/sql form-own
}

// An Execution is what one execution of a statement has of its own in what was found.
type Execution struct {
	Salt    [saltBytes]byte // fresh random bytes from the gate
	Text    string          // with every name qualified
	Catalog string
}

// Operation returns the operation of one execution, as [NewOperation] does of the same
// parts. It refuses what [Mapper.View] would, and keeps the view under d, which may be
// nil. Errors wrap [ErrSQL]. SPEC SQL-1.
func (f *Form) Operation(a *Asked, e *Execution, d *op.Declaration) (*op.Operation, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	if !a.valid() || !utf8.ValidString(e.Text) || !utf8.ValidString(e.Catalog) || len(e.Text) > 2*maxText { //guard:R15/sql form-text
		return nil, fmt.Errorf("%w: text that is not UTF-8, or too large", ErrSQL)
	}
	asked, err := canon.EncodeCBOR(a)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSQL, err)
	}
	o := &op.Operation{Type: DocumentType, Asked: asked, Found: f.found(e)}
	if d != nil {
		if v, err := view(a, &Found{Facts: op.Facts{Salt: e.Salt[:]}, Statement: *f.of, Text: e.Text, Catalog: e.Catalog}, d); err == nil { // else View says why
			o.Remember(d, v)
		}
	}
	return o, nil
}

// found returns what [canon.EncodeCBOR] does of a [Found].
func (f *Form) found(e *Execution) []byte {
	const integer, bytes, text, pairs = 0, 2, 3, 5 // Source: RFC 8949, section 3.1 "Major Types"
	b := make([]byte, 0, len(f.encoded)+len(e.Text)+len(e.Catalog)+saltBytes+20)
	n := 4
	if e.Catalog == "" {
		n--
	}
	b = appendHead(b, pairs, n)
	b = append(appendHead(appendHead(b, integer, 1), bytes, saltBytes), e.Salt[:]...)
	b = append(appendHead(b, integer, 2), f.encoded...)
	b = append(appendHead(appendHead(b, integer, 3), text, len(e.Text)), e.Text...)
	if e.Catalog != "" {
		b = append(appendHead(appendHead(b, integer, 4), text, len(e.Catalog)), e.Catalog...)
	}
	return b
}

// appendHead appends the head of an item of CBOR, in its shortest form.
func appendHead(b []byte, major byte, n int) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
}

// check refuses what is not in its one form, of what a decoder takes.
func (a *Asked) check() error {
	if a.Source != "" && a.Source != ByComment && a.Source != BySetting {
		return fmt.Errorf("%w: an unknown source of the purpose", ErrSQL)
	}
	if a.Target == "" || len(a.Text) > maxText || len(a.Params) > maxParams || len(a.Types) > maxParams { //guard:R11 asked-bound
		return fmt.Errorf("%w: no target, or too large", ErrSQL)
	}
	return nil
}

// valid reports whether a decoder takes the texts of a.
func (a *Asked) valid() bool {
	ok := utf8.ValidString(a.Target) && utf8.ValidString(a.Text)
	for _, p := range a.Params {
		ok = ok && (p == nil || utf8.ValidString(*p))
	}
	return ok
}
