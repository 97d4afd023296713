package proof

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/sign"
)

// Names of the fields that carry credential and proof.
const (
	FieldCredential    = "writ-credential"
	FieldCredentialRef = "writ-credential-ref"
	FieldContext       = "writ-context"
	FieldInput         = "signature-input"
	FieldSignature     = "signature"
	FieldDigest        = "content-digest"
	FieldContentType   = "content-type"
)

// RefUnknown is the value of Writ-Credential-Ref in an answer: the gate does not
// know the credential, and has done nothing. SPEC HTTPGW-8.
const RefUnknown = "unknown"

const (
	httpTag   = "writ-invoke-1"
	httpLabel = "writ"
)

// A Message is an HTTP request as far as a signature can cover it.
type Message struct {
	Method    string
	TargetURI string      // from the gate's configured origin and the request target, never from Host
	Fields    [][2]string // names in lower case, in the order received
	Body      []byte
	HasBody   bool
}

// field returns the one value of the field, without the white space around it. A
// field that is absent, or stands twice, has none.
func (m *Message) field(name string) (string, bool) {
	value, n := "", 0
	for _, f := range m.Fields {
		if f[0] == name {
			value = f[1]
			n++
		}
	}
	return strings.Trim(value, " \t"), n == 1 // RFC 9110, section 5.5: no other white space
}

// Has reports whether the message has the field at all.
func (m *Message) Has(name string) bool {
	return slices.ContainsFunc(m.Fields, func(f [2]string) bool { return f[0] == name })
}

// ContentDigest returns the Content-Digest of body. Source: RFC 9530, section 2.
func ContentDigest(body []byte) string {
	d := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(d[:]) + ":"
}

// components are what every signature covers, besides what the operation has.
func (m *Message) components() []string {
	c := []string{"@method", "@target-uri", FieldContext}
	if m.Has(FieldCredentialRef) {
		c = append(c, FieldCredentialRef)
	} else {
		c = append(c, FieldCredential)
	}
	if m.HasBody {
		c = append(c, FieldDigest, FieldContentType)
	}
	return c
}

// SignHTTP adds the fields of a proof of level 3 to m: Writ-Context,
// Content-Digest if there is a body, Signature-Input and Signature. m has the
// credential field already; cover names the further fields that the operation
// has. Field values must not have changed when m arrives.
//
// Source: RFC 9421, section 3.1. SPEC PROOF-5.
func SignHTTP(m *Message, v *Invocation, holder sign.Signer, cover []string) error {
	if _, err := parseContext(v.context()); err != nil {
		return fmt.Errorf("sign: purpose, audience or idempotency key is not plain text: %w", err)
	}
	m.Fields = append(m.Fields, [2]string{FieldContext, v.context()})
	if m.HasBody {
		m.Fields = append(m.Fields, [2]string{FieldDigest, ContentDigest(m.Body)})
	}
	names := m.components()
	for _, c := range cover {
		if !slices.Contains(names, c) {
			names = append(names, c)
		}
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = `"` + n + `"`
	}
	params := fmt.Sprintf(`(%s);created=%d;expires=%d;nonce="%s";keyid="%s";tag="%s"`,
		strings.Join(quoted, " "), v.IssuedAt, v.Expires,
		base64.RawURLEncoding.EncodeToString(v.JTI), holder.Public().ID(), httpTag)
	base, err := m.base(names, params)
	if err != nil {
		return err
	}
	sig, err := holder.Sign(base)
	if err != nil {
		return fmt.Errorf("%w: sign: %w", ErrProof, err)
	}
	m.Fields = append(m.Fields,
		[2]string{FieldInput, httpLabel + "=" + params},
		[2]string{FieldSignature, httpLabel + "=:" + base64.StdEncoding.EncodeToString(sig) + ":"})
	return nil
}

// base returns the signature base. Source: RFC 9421, section 2.5.
func (m *Message) base(names []string, params string) ([]byte, error) {
	var b []byte
	for _, n := range names {
		var value string
		switch n {
		case "@method":
			value = m.Method
		case "@target-uri":
			value = m.TargetURI
		default:
			v, ok := m.field(n)
			if !ok { //guard:A10 covered-once
				return nil, fmt.Errorf("%w: field %s is absent or stands twice", ErrCovered, n)
			}
			value = v
		}
		if strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("%w: field %s has a line break", ErrCovered, n)
		}
		b = append(b, '"')
		b = append(b, n...)
		b = append(b, `": `...)
		b = append(b, value...)
		b = append(b, '\n')
	}
	b = append(b, `"@signature-params": `...)
	return append(b, params...), nil
}

// VerifyHTTP returns the invocation that m's signature makes if k signed it. The
// signature must cover the method, the target URI, the context, the one
// credential field, digest and type of a body, and every component in cover; it
// must be within its time at the time at, in Unix seconds. It also returns the
// signature base: what the holder signed, for the evidence. Errors wrap
// [ErrProof].
//
// Source: RFC 9421, section 3.2; RFC 9530. SPEC PROOF-5, PROOF-6.
func VerifyHTTP(m *Message, k sign.PublicKey, cover []string, at int64) (*Invocation, []byte, error) {
	raw, ok := m.field(FieldInput)
	if !ok {
		return nil, nil, fmt.Errorf("%w: %s is absent or stands twice", ErrProof, FieldInput)
	}
	in, err := parseInput(raw)
	if err != nil {
		return nil, nil, err
	}
	if m.Has(FieldCredential) == m.Has(FieldCredentialRef) { //guard:A10 one-credential
		return nil, nil, fmt.Errorf("%w: exactly one of %s and %s is needed", ErrProof, FieldCredential, FieldCredentialRef)
	}
	for _, c := range append(m.components(), cover...) {
		if !slices.Contains(in.names, c) { //guard:A10 covered-all
			return nil, nil, fmt.Errorf("%w: %s; sign it and send again", ErrCovered, c)
		}
	}
	if in.keyID != k.ID().String() || in.tag != httpTag { //guard:A12 signature-tag
		return nil, nil, fmt.Errorf("%w: keyid is not the holder's key, or tag is not %s", ErrProof, httpTag)
	}
	base, err := m.base(in.names, in.params)
	if err != nil {
		return nil, nil, err
	}
	if err := m.verifySignature(k, base); err != nil {
		return nil, nil, err
	}
	if d, _ := m.field(FieldDigest); m.HasBody && d != ContentDigest(m.Body) { //guard:R5 signed-body-digest
		return nil, nil, fmt.Errorf("%w: %s is not the body's", ErrProof, FieldDigest)
	}
	v, err := m.invocation(in)
	if err != nil {
		return nil, nil, err
	}
	if err := v.check(at); err != nil {
		return nil, nil, err
	}
	return v, base, nil
}

func (m *Message) verifySignature(k sign.PublicKey, base []byte) error {
	sig, ok := m.signature()
	if !ok {
		return fmt.Errorf("%w: %s is not one byte sequence named %s", ErrProof, FieldSignature, httpLabel)
	}
	if err := k.Verify(base, lowS(k, sig)); err != nil { //guard:R5 http-signature
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	return nil
}

// invocation builds the invocation from the signed fields.
func (m *Message) invocation(in *input) (*Invocation, error) {
	text, _ := m.field(FieldContext)
	v, err := parseContext(text)
	if err != nil {
		return nil, err
	}
	v.Typ, v.JTI, v.IssuedAt, v.Expires = invocationTyp, in.jti, in.created, in.expires
	if ref, ok := m.field(FieldCredentialRef); ok {
		b, err := byteSequence(ref)
		if err != nil || len(b) != len(v.Credential) {
			return nil, fmt.Errorf("%w: %s is not a digest", ErrProof, FieldCredentialRef)
		}
		v.Credential = canon.Digest(b)
		return v, nil
	}
	text, _ = m.field(FieldCredential)
	b, err := byteSequence(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrProof, FieldCredential, err)
	}
	v.Credential = canon.Hash(b)
	return v, nil
}

// Credential returns the bytes of the credential field, or the digest of the
// reference field, whichever m has; unverified.
func (m *Message) Credential() (chain []byte, ref canon.Digest, err error) {
	if text, ok := m.field(FieldCredentialRef); ok {
		b, err := byteSequence(text)
		if err != nil || len(b) != len(ref) {
			return nil, ref, fmt.Errorf("%w: %s is not a digest", ErrProof, FieldCredentialRef)
		}
		return nil, canon.Digest(b), nil
	}
	text, ok := m.field(FieldCredential)
	if !ok {
		return nil, ref, fmt.Errorf("%w: %s is absent or stands twice", ErrProof, FieldCredential)
	}
	chain, err = byteSequence(text)
	return chain, ref, err
}

// ByteSequence returns b as a structured field. Source: RFC 9651, section 3.3.5.
func ByteSequence(b []byte) string { return ":" + base64.StdEncoding.EncodeToString(b) + ":" }

func byteSequence(s string) ([]byte, error) {
	if len(s) < 2 || s[0] != ':' || s[len(s)-1] != ':' {
		return nil, fmt.Errorf("%w: not a byte sequence", ErrProof)
	}
	b, ok := decodeBase64(base64.StdEncoding, s[1:len(s)-1])
	if !ok {
		return nil, fmt.Errorf("%w: not a byte sequence", ErrProof)
	}
	return b, nil
}

// decodeBase64 decodes s, which must be what enc writes and nothing else: the
// decoder alone skips line breaks, also in strict mode.
func decodeBase64(enc *base64.Encoding, s string) ([]byte, bool) {
	b, err := enc.Strict().DecodeString(s)
	return b, err == nil && enc.EncodedLen(len(b)) == len(s)
}

// input is a parsed Signature-Input.
type input struct {
	names            []string
	params           string // as received, from the parenthesis on
	created, expires int64
	jti              []byte
	keyID, tag       string
}

// parseInput parses the closed profile of Signature-Input: one member named
// writ, quoted component names without parameters, and the five parameters,
// each once, in any order. SPEC PROOF-6.
func parseInput(raw string) (*input, error) {
	if len(raw) > maxSignatureInput {
		return nil, fmt.Errorf("%w: %s of %d bytes; at most %d", ErrProof, FieldInput, len(raw), maxSignatureInput)
	}
	params, ok := strings.CutPrefix(raw, httpLabel+"=(")
	list, rest, ok2 := strings.Cut(params, ")")
	if !ok || !ok2 {
		return nil, fmt.Errorf("%w: %s: want one member named %s", ErrProof, FieldInput, httpLabel)
	}
	in := &input{params: "(" + params}
	for part := range strings.SplitSeq(list, " ") {
		name, err := unquote(part)
		if err != nil || name == "" || slices.Contains(in.names, name) || len(in.names) == maxComponents {
			return nil, fmt.Errorf("%w: %s: component %d is not a plain name, or stands twice", ErrProof, FieldInput, len(in.names))
		}
		in.names = append(in.names, name)
	}
	return in, in.parseParams(rest)
}

func (in *input) parseParams(rest string) error {
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(strings.TrimPrefix(rest, ";"), ";") {
		key, value, _ := strings.Cut(part, "=")
		var err error
		switch key {
		case "created":
			in.created, err = unixTime(value)
		case "expires":
			in.expires, err = unixTime(value)
		case "nonce":
			var s string
			if s, err = unquote(value); err == nil {
				in.jti, err = base64.RawURLEncoding.Strict().DecodeString(s) // s has no line breaks
			}
		case "keyid":
			in.keyID, err = unquote(value)
		case "tag":
			in.tag, err = unquote(value)
		default:
			err = ErrProof
		}
		if err != nil || seen[key] {
			return fmt.Errorf("%w: %s: parameter %d is unknown, malformed or stands twice", ErrProof, FieldInput, len(seen))
		}
		seen[key] = true
	}
	if len(seen) != 5 || !strings.HasPrefix(rest, ";") {
		return fmt.Errorf("%w: %s: want created, expires, nonce, keyid and tag", ErrProof, FieldInput)
	}
	return nil
}

func unixTime(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return 0, ErrProof
	}
	return n, nil
}

// unquote returns the text of a structured-field string that has no escapes.
func unquote(s string) (string, error) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", ErrProof
	}
	s = s[1 : len(s)-1]
	for _, c := range []byte(s) {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return "", ErrProof
		}
	}
	return s, nil
}
