package http

import (
	"slices"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

const (
	typeName    = "http"
	typeVersion = 1
)

// Mapper is the meaning of http/1 documents, version 1. Its zero value is
// ready for use and safe for concurrent use.
type Mapper struct{}

var _ op.Mapper = Mapper{}

// Type returns "http".
func (Mapper) Type() string { return typeName }

// Version returns 1. Views of this version are pinned by vectors/http: a fix
// that changes one is a new version.
func (Mapper) Version() int { return typeVersion }

// Check returns an error that wraps [ErrHTTP] and [BadDeclaration] and names
// the field if d is not a declaration of this type: lists of at most 64
// entries, no entry twice, no member that could be taken for another.
// SPEC HTTP-15.
func (Mapper) Check(d *op.Declaration) error { return checkDeclaration(d) }

// Shape returns what views under d look like. d has passed Check. SPEC HTTP-16.
func (Mapper) Shape(d *op.Declaration) op.Shape { return shape(d) }

// View returns what rules see of o under d, which has passed Check.
//
// It reads the document alone and compares all of it with d again, so that an
// auditor's answer is the gate's. A document that is not in its one form, says
// more than d lists, or has no salt gives an error that wraps [ErrHTTP].
// SPEC HTTP-3, HTTP-17.
func (Mapper) View(o *op.Operation, d *op.Declaration) (*op.View, error) {
	if o.Type != DocumentType { //guard:R15 document-type
		return nil, refuse(BadDocument, "type")
	}
	if v, ok := o.Recall(d); ok {
		return v, nil
	}
	if err := checkFound(o.Found); err != nil {
		return nil, err
	}
	a, tree, err := parse(o.Asked)
	if err != nil {
		return nil, err
	}
	return view(a, tree, d)
}

// foundHead is how [op.Facts] with a salt of [SaltBytes] begins: a map of one,
// key 1, a byte string of 16. Source: RFC 8949, section 3.
const foundHead = "\xa1\x01\x50"

// checkFound refuses facts without a salt, or with anything else.
func checkFound(b []byte) error {
	if len(b) != len(foundHead)+SaltBytes || string(b[:len(foundHead)]) != foundHead { //guard:A37 salt-present
		return refuse(BadDocument, "found")
	}
	return nil
}

// view returns what rules see of a, whose JSON body is tree, and refuses what d
// does not list.
func view(a *Asked, tree *canon.Value, d *op.Declaration) (*op.View, error) {
	action := actionPrefix + a.Method
	if !slices.Contains(d.Actions, action) { //guard:R15 action-declared
		return nil, refuse(UndeclaredAction, "method")
	}
	if !slices.Contains(d.Targets, a.Target) { //guard:R15 target-declared
		return nil, refuse(UndeclaredTarget, "target")
	}
	q := record{members: d.Query, where: inQuery}
	query, err := q.pairs(a.Query)
	if err != nil {
		return nil, err
	}
	headers := make(map[string]any, len(a.Headers))
	for _, h := range a.Headers {
		if !slices.Contains(d.Headers, h.Name) { //guard:R15 header-listed
			return nil, refuse(UndeclaredHeader, "headers")
		}
		headers[attribute(h.Name)] = h.Value
	}
	v := &op.View{
		Action: action,
		Target: a.Target,
		Resource: map[string]any{
			"method": a.Method, "origin": a.Origin, "path": a.Path, "depth": depth(a.Path),
		},
		Context: map[string]any{"query": query, "headers": headers},
	}
	if err := viewBody(v, a, tree, d); err != nil {
		return nil, err
	}
	return v, nil
}

func viewBody(v *op.View, a *Asked, tree *canon.Value, d *op.Declaration) error {
	if a.Body == nil {
		return noBody(d)
	}
	if err := bodyDeclared(a.Method, a.Body.Type, d); err != nil {
		return err
	}
	v.Resource["content_type"] = a.Body.Type
	v.Resource["content_length"] = a.Body.length()
	var body map[string]any
	var err error
	switch kindOf(a.Body.Type) {
	case jsonBody:
		r := record{members: d.Body.Members, where: inBody}
		if body, err = r.object(tree, ""); err == nil {
			err = r.complete()
		}
	case formBody:
		r := record{members: d.Body.Members, where: inForm}
		body, err = r.pairs(a.Body.Form)
	default:
		return nil
	}
	if err == nil && visible(d.Body.Members, "") {
		v.Context["body"] = body
	}
	return err
}

// noBody refuses a request without a body where a member of it is required.
func noBody(d *op.Declaration) error {
	if d.Body == nil {
		return nil
	}
	r := record{members: d.Body.Members, where: inBody}
	return r.complete()
}
