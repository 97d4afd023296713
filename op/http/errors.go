package http

import (
	"errors"

	"github.com/writhq/writ/op"
)

// ErrHTTP is wrapped by every error of this package.
var ErrHTTP = errors.New("http operation refused")

// A Kind says what is wrong with a request, a document or a declaration. Kinds
// are errors, so that [errors.Is] finds them, and wire values: they stand in
// vectors and never change their meaning. SPEC HTTP-2.
type Kind string

// The kinds. Where a rule has an exception, "unless declared" means that the
// declaration lists the thing by name.
const (
	BadDeclaration   Kind = "declaration"         // the declaration itself; the error names the field
	BadDocument      Kind = "document"            // not a document of this type in its one form
	BadOrigin        Kind = "origin"              // not scheme://host[:port] in its one form
	UnknownMethod    Kind = "unknown_method"      // not in the closed list
	MethodOverride   Kind = "method_override"     // a header or member that overrides the method, unless declared
	UndeclaredAction Kind = "undeclared_action"   // the method is known, the declaration does not list it
	UndeclaredTarget Kind = "undeclared_target"   // another target
	NotAbsolute      Kind = "path_not_absolute"   // the path does not begin with /
	DotSegment       Kind = "dot_segment"         // a segment of dots, or of dots and spaces
	EmptySegment     Kind = "empty_segment"       // two slashes in a row
	EncodedSlash     Kind = "encoded_slash"       // %2F
	Backslash        Kind = "backslash"           // raw or as %5C
	Semicolon        Kind = "semicolon"           // raw, or in a path as %3B
	EncodedDelimiter Kind = "encoded_delimiter"   // %3F or %23 in a path
	DoubleEncoding   Kind = "double_encoding"     // %25 and two hexadecimal digits in a path
	BadEscape        Kind = "bad_escape"          // % without two hexadecimal digits
	ControlByte      Kind = "control_byte"        // below 0x20, or 0x7F, raw or escaped
	NonASCII         Kind = "non_ascii"           // a raw byte above 0x7F
	BadCharacter     Kind = "bad_character"       // any other that may not stand there
	BadText          Kind = "bad_text"            // what is escaped is not UTF-8, or not a letter, mark or digit in a path
	EmptyPair        Kind = "empty_pair"          // && or a name without = or an empty name
	BadName          Kind = "bad_name"            // a name that is not printable ASCII
	Duplicate        Kind = "duplicate"           // a name twice, also in another case
	Undeclared       Kind = "undeclared_member"   // a query or body member that is not declared
	Brackets         Kind = "brackets"            // an array or record key that is not declared
	Missing          Kind = "missing_member"      // a required member
	WrongType        Kind = "wrong_type"          // a member of another type than declared
	BadNumber        Kind = "bad_number"          // not an integer literal or decimal in range
	TooLong          Kind = "too_long"            // a bound of limits.go
	BadHeader        Kind = "bad_header"          // a name that is no token, or a value with control bytes
	UndeclaredHeader Kind = "undeclared_header"   // a document with a header that is not listed
	Upgrade          Kind = "upgrade"             // Upgrade
	TransferCodings  Kind = "te"                  // TE
	Range            Kind = "range"               // Range, unless listed
	Expect           Kind = "expect"              // Expect, other than 100-continue
	ContentEncoding  Kind = "content_encoding"    // a body under a content coding
	UndeclaredBody   Kind = "undeclared_body"     // a body where the declaration has none
	BodyOnMethod     Kind = "body_on_method"      // a body on GET, HEAD, DELETE or OPTIONS, unless declared
	NoContentType    Kind = "no_content_type"     // a body without one
	BadContentType   Kind = "bad_content_type"    // not a media type, or with parameters other than charset=utf-8
	Multipart        Kind = "multipart"           // multipart/*
	UndeclaredType   Kind = "undeclared_type"     // a media type that is not declared
	JSONAsText       Kind = "json_as_text"        // JSON under text/plain
	BadJSON          Kind = "bad_json"            // not JSON, or a name twice in one object
	BodyDiffers      Kind = "body_digest_differs" // an opaque body that is not the document's
)

// Error returns the kind as it stands in vectors.
func (k Kind) Error() string { return string(k) }

// Code returns the code of the denial that this kind leads to:
// [op.NotDeclared] where a policy could have listed it, else
// [op.OperationInvalid].
func (k Kind) Code() op.Code {
	switch k {
	case UndeclaredAction, UndeclaredTarget, Undeclared, Brackets, Missing, WrongType, BadNumber,
		UndeclaredHeader, Range, UndeclaredBody, BodyOnMethod, UndeclaredType, MethodOverride:
		return op.NotDeclared
	}
	return op.OperationInvalid
}

// An Error is one refusal. It wraps [ErrHTTP] and its Kind.
type Error struct {
	Kind  Kind
	Where string // such as "query member 2" or a declared name; never input
}

// Error returns where and what, never what was sent.
func (e *Error) Error() string {
	return ErrHTTP.Error() + ": " + e.Where + ": " + string(e.Kind)
}

// Unwrap returns [ErrHTTP] and the kind.
func (e *Error) Unwrap() []error { return []error{ErrHTTP, e.Kind} }

// Deny returns err as a denial: code, kind and place for an error of this
// package, and [op.OperationInvalid] without detail for any other.
func Deny(err error) *op.Denial {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return op.Deny(op.OperationInvalid, "the request is not one HTTP operation")
	}
	return op.Deny(e.Kind.Code(), "the request is refused: "+e.Where+": "+string(e.Kind))
}

func refuse(k Kind, where string) error { return &Error{Kind: k, Where: where} }
