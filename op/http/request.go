package http

import (
	"bytes"
	"strings"

	"github.com/writhq/writ/canon"
)

// Request is what goes upstream, without the secret. All of it comes from the
// document; the bytes of an opaque body have the document's digest.
type Request struct {
	Method  string
	URL     string      // origin, path and query
	Header  [][2]string // lower case, sorted, content-type among them; no Host, no framing
	Body    []byte
	HasBody bool
}

// Request returns the request that a stands for. a comes from [Map] or
// [Parse].
//
// opaque is the body as received; it is used, and compared with the document,
// only where the document holds the body's digest alone. It gives
// [BodyDiffers] if they differ. SPEC HTTP-8.
func (a *Asked) Request(opaque []byte) (*Request, error) {
	r := &Request{Method: a.Method, URL: a.url()}
	for _, h := range a.Headers {
		r.Header = append(r.Header, [2]string{h.Name, h.Value})
	}
	if a.Body == nil {
		return r, nil
	}
	at := 0
	for at < len(r.Header) && r.Header[at][0] < "content-type" {
		at++
	}
	line := [2]string{"content-type", a.Body.contentType()}
	r.Header = append(r.Header[:at], append([][2]string{line}, r.Header[at:]...)...)
	b, err := a.Body.bytes(opaque)
	r.Body, r.HasBody = b, true
	return r, err
}

func (a *Asked) url() string {
	b := make([]byte, 0, len(a.Origin)+len(a.Path)+64*len(a.Query))
	b = append(b, a.Origin...)
	b = append(b, a.Path...)
	if len(a.Query) > 0 {
		b = append(b, '?')
		b = appendPairs(b, a.Query)
	}
	return string(b)
}

// contentType names the character set of text, since readers differ about what
// it is without.
func (b *Body) contentType() string {
	if strings.HasPrefix(b.Type, "text/") {
		return b.Type + "; charset=utf-8"
	}
	return b.Type
}

func (b *Body) bytes(opaque []byte) ([]byte, error) {
	switch kindOf(b.Type) {
	case jsonBody:
		return b.JSON, nil
	case formBody:
		return appendPairs(nil, b.Form), nil
	}
	d := canon.Hash(opaque)
	if !bytes.Equal(d[:], b.Digest) || int64(len(opaque)) != b.Length { //guard:R15 opaque-digest
		return nil, refuse(BodyDiffers, "body")
	}
	return opaque, nil
}

// Covered returns the components that a signature over the whole operation
// must cover, beside those of the credential and its context: in lower case,
// no component twice. Source: RFC 9421, sections 2.1 and 2.2. SPEC HTTP-18.
func Covered(a *Asked) []string {
	c := []string{"@method", "@target-uri"}
	if a.Body != nil {
		c = append(c, "content-type", "content-digest")
	}
	for _, h := range a.Headers {
		c = append(c, h.Name)
	}
	return c
}
