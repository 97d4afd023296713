package proof

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/writhq/writ/canon"
)

// context returns what Writ-Context says of v: the part of an invocation that
// HTTP has no other place for. Its form is a structured-field dictionary with
// the members in one order.
func (v *Invocation) context() string {
	b := make([]byte, 0, 64+len(v.Audience)+len(v.Purpose)+len(v.Idem)+48*len(v.Lineage))
	b = appendText(b, `aud=`, v.Audience)
	if v.Purpose != "" {
		b = appendText(b, `, pur=`, v.Purpose)
	}
	if v.Idem != "" {
		b = appendText(b, `, idem=`, v.Idem)
	}
	if v.Policy != nil {
		b = append(b, ", pol="...)
		b = appendBytes(b, v.Policy[:])
	}
	for i := range v.Lineage {
		if i == 0 {
			b = append(b, ", lin=("...)
		} else {
			b = append(b, ' ')
		}
		b = appendBytes(b, v.Lineage[i][:])
	}
	if len(v.Lineage) > 0 {
		b = append(b, ')')
	}
	return string(b)
}

// appendText appends a member whose value is a string. A value that is not plain
// text gets escapes, which no reader takes: it must not become other members.
func appendText(b []byte, key, value string) []byte {
	return strconv.AppendQuote(append(b, key...), value)
}

func appendBytes(b, value []byte) []byte {
	b = append(b, ':')
	return append(base64.StdEncoding.AppendEncode(b, value), ':')
}

// ContextUnverified returns what Writ-Context says, which nothing covers unless
// a signature does: audience, purpose, idempotency key, policy and lineage.
// SPEC PROOF-11.
func (m *Message) ContextUnverified() (*Invocation, error) {
	text, ok := m.field(FieldContext)
	if !ok {
		return nil, fmt.Errorf("%w: %s is absent or stands twice", ErrProof, FieldContext)
	}
	v, err := parseContext(text)
	if err != nil {
		return nil, err
	}
	if !v.bounded() {
		return nil, fmt.Errorf("%w: %s: a member is missing or too long", ErrProof, FieldContext)
	}
	return v, nil
}

// bounded reports whether what Writ-Context says is within bounds.
func (v *Invocation) bounded() bool {
	return len(v.Purpose) <= maxTokenBytes && len(v.Idem) <= maxTokenBytes && v.Audience != "" && len(v.Audience) <= maxTokenBytes && len(v.Lineage) <= maxLineage
}

// Context returns what Writ-Context says of v.
func (v *Invocation) Context() string { return v.context() }

// parseContext parses Writ-Context: it accepts what [Invocation.context] writes,
// byte for byte, and nothing else. SPEC PROOF-7.
func parseContext(s string) (*Invocation, error) {
	if len(s) > maxContextBytes {
		return nil, fmt.Errorf("%w: %s of %d bytes; at most %d", ErrProof, FieldContext, len(s), maxContextBytes)
	}
	v := &Invocation{}
	for part := range strings.SplitSeq(s, ", ") {
		key, value, _ := strings.Cut(part, "=")
		var err error
		switch key {
		case "aud":
			v.Audience, err = unquote(value)
		case "pur":
			v.Purpose, err = unquote(value)
		case "idem":
			v.Idem, err = unquote(value)
		case "pol":
			var d canon.Digest
			d, err = digestSequence(value)
			v.Policy = &d
		case "lin":
			v.Lineage, err = parseLineage(value)
		default:
			err = ErrProof
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: a member is unknown or malformed", ErrProof, FieldContext)
		}
	}
	if v.context() != s { //guard:A15 context-one-form
		return nil, fmt.Errorf("%w: %s is not in its one form: aud, pur, idem, pol, lin", ErrProof, FieldContext)
	}
	return v, nil
}

func digestSequence(s string) (canon.Digest, error) {
	b, err := byteSequence(s)
	if err != nil || len(b) != len(canon.Digest{}) {
		return canon.Digest{}, ErrProof
	}
	return canon.Digest(b), nil
}

func parseLineage(s string) ([]canon.Digest, error) {
	if len(s) < 2 || s[0] != '(' || s[len(s)-1] != ')' {
		return nil, ErrProof
	}
	var out []canon.Digest
	for item := range strings.SplitSeq(s[1:len(s)-1], " ") {
		d, err := digestSequence(item)
		if err != nil || len(out) == maxLineage {
			return nil, ErrProof
		}
		out = append(out, d)
	}
	return out, nil
}
