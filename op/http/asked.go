// Package http is the operation type http/1: one HTTP request as a canonical
// document, how it is made from wire bytes, how rules see it, and the request
// that is made from it again. What cannot be mapped to exactly one document is
// refused, and what goes upstream comes from the document alone.
//
// The package is pure: no I/O and no clock. Its functions are safe for
// concurrent use; documents are not to be changed once made.
package http

import (
	"errors"
	"slices"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

// DocumentType is the type of the documents of this package, as it stands in
// [op.Operation].
const DocumentType = "http/1"

// Asked is the document of one HTTP request: all of it that goes upstream, and
// nothing else. SPEC HTTP-1.
type Asked struct {
	Method  string `cbor:"1,keyasint"`           // upper case, out of the closed list
	Target  string `cbor:"2,keyasint"`           // id in the policy
	Origin  string `cbor:"3,keyasint"`           // scheme://host[:port], from configuration
	Path    string `cbor:"4,keyasint"`           // escaped, in its one form
	Query   []Pair `cbor:"5,keyasint,omitempty"` // decoded, in the order of the wire
	Headers []Pair `cbor:"6,keyasint,omitempty"` // the listed ones; names in lower case, sorted
	Body    *Body  `cbor:"7,keyasint,omitempty"` // nil: none

	decl *op.Declaration // with view: what [Map] made the document under
	view *op.View
}

// A Pair is a name and its value.
type Pair struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	Value string
}

// A Body is the body of a request. What it holds follows from its type: JSON, a
// form, or for any other type (opaque) what the bytes are known by.
type Body struct {
	Type   string `cbor:"1,keyasint"`           // media type in lower case, without parameters
	JSON   []byte `cbor:"2,keyasint,omitempty"` // as canon.AppendJSON writes it
	Form   []Pair `cbor:"3,keyasint,omitempty"` // decoded, in the order of the wire
	Digest []byte `cbor:"4,keyasint,omitempty"` // opaque: SHA-256 of the bytes
	Length int64  `cbor:"5,keyasint,omitempty"` // opaque: how many they are
}

// Encode returns the document in its one form.
func (a *Asked) Encode() ([]byte, error) { return canon.EncodeCBOR(a) }

// Parse returns the document that b encodes.
//
// It refuses everything that [Map] could not have made under some declaration,
// so that a document has one form. Errors wrap [ErrHTTP]. SPEC HTTP-3.
func Parse(b []byte) (*Asked, error) {
	a, _, err := parse(b)
	return a, err
}

func parse(b []byte) (*Asked, *canon.Value, error) {
	if len(b) > maxAskedBytes {
		return nil, nil, refuse(TooLong, "document")
	}
	a := new(Asked)
	if err := canon.DecodeCBOR(b, a); err != nil {
		return nil, nil, refuse(BadDocument, "document")
	}
	if err := a.checkHead(); err != nil {
		return nil, nil, err
	}
	if a.Body == nil {
		return a, nil, nil
	}
	tree, err := a.Body.check()
	if err != nil {
		return nil, nil, err
	}
	return a, tree, nil
}

func (a *Asked) checkHead() error {
	if !knownMethod(a.Method) {
		return refuse(UnknownMethod, "method")
	}
	if !validID(a.Target) {
		return refuse(BadDocument, "target")
	}
	if err := checkOrigin(a.Origin); err != nil {
		return err
	}
	path, err := canonicalPath(a.Path)
	if err != nil {
		return err
	}
	if path != a.Path { //guard:R15 path-one-form
		return refuse(BadDocument, "path")
	}
	if err := checkPairs(a.Query, inQuery); err != nil {
		return err
	}
	return checkHeaderPairs(a.Headers)
}

// check returns the tree of a JSON body, nil for other bodies.
func (b *Body) check() (*canon.Value, error) {
	t, err := mediaType(b.Type)
	if err != nil {
		return nil, err
	}
	if t != b.Type || !b.holdsItsKind() { //guard:R15 body-kind
		return nil, refuse(BadDocument, "body")
	}
	switch kindOf(t) {
	case jsonBody:
		return b.tree()
	case formBody:
		if len(appendPairs(nil, b.Form)) > MaxBodyBytes {
			return nil, refuse(TooLong, "body")
		}
		return nil, checkPairs(b.Form, inForm)
	}
	return nil, nil
}

// holdsItsKind reports whether b has what bodies of its kind have, and no more.
func (b *Body) holdsItsKind() bool {
	opaque := len(b.Digest) == len(canon.Digest{}) && b.Length >= 0 && b.Length <= MaxOpaqueBytes
	none := b.Digest == nil && b.Length == 0
	switch kindOf(b.Type) {
	case jsonBody:
		return none && b.Form == nil
	case formBody:
		return none && b.JSON == nil
	}
	return opaque && b.JSON == nil && b.Form == nil
}

func (b *Body) tree() (*canon.Value, error) {
	if len(b.JSON) > MaxBodyBytes {
		return nil, refuse(TooLong, "body")
	}
	tree, err := canon.ParseExactJSON(b.JSON)
	switch {
	case errors.Is(err, canon.ErrForm): //guard:R15 json-one-form
		return nil, refuse(BadDocument, "body")
	case err != nil:
		return nil, refuse(BadJSON, "body")
	}
	return tree, nil
}

// length returns how many bytes go upstream.
func (b *Body) length() int64 {
	switch kindOf(b.Type) {
	case jsonBody:
		return int64(len(b.JSON))
	case formBody:
		return int64(len(appendPairs(nil, b.Form)))
	}
	return b.Length
}

func checkHeaderPairs(h []Pair) error {
	if len(h) > maxListed {
		return refuse(TooLong, "headers")
	}
	for i, p := range h {
		if !listableHeader(p.Name) || i > 0 && h[i-1].Name >= p.Name { //guard:R15 headers-one-form
			return refuse(BadDocument, "headers")
		}
		v, err := headerValue(p.Value)
		if err != nil {
			return err
		}
		if v != p.Value {
			return refuse(BadDocument, "headers")
		}
	}
	return nil
}

// methods is the closed list. CONNECT and TRACE are not in it: the one makes a
// tunnel that no rule sees into, the other reflects the injected secret.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

func knownMethod(m string) bool { return slices.Contains(methods[:], m) }

// bodiless reports whether requests of the method have no body by custom, so
// that readers differ about one that has. Source: RFC 9110, section 9.3.
func bodiless(m string) bool {
	return m == "GET" || m == "HEAD" || m == "DELETE" || m == "OPTIONS"
}

func validID(s string) bool {
	if s == "" || len(s) > maxIDBytes {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
