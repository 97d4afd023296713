package http

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

// A bodyKind is how the bytes of a body are read.
type bodyKind int

const (
	opaqueBody bodyKind = iota
	jsonBody
	formBody
)

const formType = "application/x-www-form-urlencoded"

func kindOf(mediaType string) bodyKind {
	switch {
	case mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"):
		return jsonBody
	case mediaType == formType:
		return formBody
	}
	return opaqueBody
}

// mediaType returns the media type in a content-type value, in lower case. The
// only parameter that may stand there is charset=utf-8.
//
// Source: RFC 9110, section 8.3.1 "Media Type". SPEC HTTP-11.
func mediaType(v string) (string, error) {
	t, params, more := strings.Cut(v, ";")
	if more && !utf8Charset(params) { //guard:R15 content-type-parameters
		return "", refuse(BadContentType, "content-type")
	}
	t = strings.ToLower(strings.TrimRight(t, " \t"))
	major, minor, ok := strings.Cut(t, "/")
	if !ok || !token(major) || !token(minor) || len(t) > maxMediaTypeBytes {
		return "", refuse(BadContentType, "content-type")
	}
	if major == "multipart" { //guard:A11 multipart
		return "", refuse(Multipart, "content-type")
	}
	return t, nil
}

func utf8Charset(params string) bool {
	name, value, _ := strings.Cut(strings.Trim(params, " \t"), "=")
	return strings.EqualFold(name, "charset") && (strings.EqualFold(value, "utf-8") || strings.EqualFold(value, `"utf-8"`))
}

// readBody returns the body of w, nil if it has none. SPEC HTTP-11, HTTP-12.
func readBody(w *Wire, h *headers, d *op.Declaration) (*Body, *canon.Value, error) {
	if !w.HasBody {
		if len(w.Body) > 0 { //guard:R15 body-framing
			return nil, nil, refuse(UndeclaredBody, "body")
		}
		return nil, nil, nil
	}
	if h.coded { //guard:A11 body-coded
		return nil, nil, refuse(ContentEncoding, "content-encoding")
	}
	if h.contentType == "" { //guard:A11 content-type-present
		return nil, nil, refuse(NoContentType, "body")
	}
	t, err := mediaType(h.contentType)
	if err != nil {
		return nil, nil, err
	}
	if t == "text/plain" && looksLikeJSON(w.Body) { //guard:A11 json-as-text
		return nil, nil, refuse(JSONAsText, "body")
	}
	if err := bodyDeclared(w.Method, t, d); err != nil {
		return nil, nil, err
	}
	return parseBody(w.Body, t)
}

// bodyDeclared refuses a body of the type unless d allows one.
func bodyDeclared(method, mediaType string, d *op.Declaration) error {
	if d.Body == nil && bodiless(method) { //guard:A11 body-on-method
		return refuse(BodyOnMethod, "body")
	}
	if d.Body == nil { //guard:A11 body-declared
		return refuse(UndeclaredBody, "body")
	}
	if !slices.Contains(d.Body.Types, mediaType) { //guard:A11 media-type-declared
		return refuse(UndeclaredType, "content-type")
	}
	return nil
}

func parseBody(b []byte, t string) (*Body, *canon.Value, error) {
	k := kindOf(t)
	if k != opaqueBody && len(b) > MaxBodyBytes || len(b) > MaxOpaqueBytes { //guard:R15 body-length
		return nil, nil, refuse(TooLong, "body")
	}
	out := &Body{Type: t}
	switch k {
	case jsonBody:
		tree, err := canon.ParseJSON(b)
		if err != nil {
			return nil, nil, refuse(BadJSON, "body")
		}
		out.JSON = canon.AppendJSON(make([]byte, 0, len(b)), tree)
		return out, tree, nil
	case formBody:
		var err error
		if out.Form, err = parsePairs(string(b), inForm); err != nil {
			return nil, nil, err
		}
		if out.length() > MaxBodyBytes {
			return nil, nil, refuse(TooLong, "body")
		}
		return out, nil, nil
	}
	if strings.HasPrefix(t, "text/") && !utf8.Valid(b) { //guard:R15 text-utf8
		return nil, nil, refuse(BadText, "body")
	}
	digest := canon.Hash(b)
	out.Digest, out.Length = digest[:], int64(len(b))
	return out, nil, nil
}

// looksLikeJSON reports whether a reader that sniffs would take b for a JSON
// object or array.
func looksLikeJSON(b []byte) bool {
	s := strings.TrimLeft(strings.TrimPrefix(string(b[:min(len(b), maxTextBytes)]), "\ufeff"), " \t\r\n")
	return s != "" && (s[0] == '{' || s[0] == '[')
}
