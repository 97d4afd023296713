package http

import (
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

// Wire is one request as a gateway read it from the wire. The gateway has
// decided where the message begins and ends; it has not unescaped, joined or
// normalised anything.
type Wire struct {
	Method   string
	Target   string      // id of the target, from the gateway's route
	Origin   string      // the target's, from configuration: never from Host or Forwarded
	RawPath  string      // what follows the route; begins with /, or is empty
	RawQuery string      // without the ?
	Header   [][2]string // names and values in the order received; no trailers
	Body     []byte      // after transfer decoding, all of it
	HasBody  bool        // the framing says that there is a body, even if it is empty
}

// Map returns the document of w under d, which has passed [Mapper.Check].
//
// It refuses whatever two readers could take for two different requests, and
// whatever d does not list; headers that d does not list are dropped. What it
// returns, [Mapper.View] accepts under d. w is at most [MaxBodyBytes] or
// [MaxOpaqueBytes] of body and is not kept. Errors wrap [ErrHTTP] and a [Kind].
// SPEC HTTP-2, HTTP-4, HTTP-6, HTTP-9, HTTP-11.
func Map(w Wire, d *op.Declaration) (*Asked, error) {
	if !knownMethod(w.Method) { //guard:R15 method-known
		return nil, refuse(UnknownMethod, "method")
	}
	if !validID(w.Target) {
		return nil, refuse(UndeclaredTarget, "target")
	}
	if err := checkOrigin(w.Origin); err != nil {
		return nil, err
	}
	path, err := canonicalPath(w.RawPath)
	if err != nil {
		return nil, err
	}
	if len(w.RawQuery) > maxQueryBytes { //guard:R15 query-length
		return nil, refuse(TooLong, "query")
	}
	query, err := parsePairs(w.RawQuery, inQuery)
	if err != nil {
		return nil, err
	}
	h, err := readHeaders(w.Header, d.Headers)
	if err != nil {
		return nil, err
	}
	body, tree, err := readBody(&w, h, d)
	if err != nil {
		return nil, err
	}
	a := &Asked{Method: w.Method, Target: w.Target, Origin: w.Origin, Path: path, Query: query, Headers: h.listed, Body: body}
	if a.view, err = view(a, tree, d); err != nil {
		return nil, err
	}
	a.decl = d
	return a, nil
}

// NewOperation returns the operation of w under d, which has passed
// [Mapper.Check]. The salt is fresh random bytes from the gate, so that the
// operation's digest cannot be guessed. Errors are those of [Map].
// SPEC HTTP-1, OP-3.
func NewOperation(w Wire, d *op.Declaration, salt [SaltBytes]byte) (*op.Operation, error) {
	a, err := Map(w, d)
	if err != nil {
		return nil, err
	}
	return a.Operation(salt)
}

// Operation returns the operation of a with the salt. Only encoding can fail,
// for values that [Map] and [Parse] do not return.
func (a *Asked) Operation(salt [SaltBytes]byte) (*op.Operation, error) {
	asked, err := a.Encode()
	if err != nil {
		return nil, err
	}
	found, err := canon.EncodeCBOR(op.Facts{Salt: salt[:]})
	if err != nil {
		return nil, err
	}
	o := &op.Operation{Type: DocumentType, Asked: asked, Found: found}
	if a.view != nil {
		o.Remember(a.decl, a.view)
	}
	return o, nil
}
