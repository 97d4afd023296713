package canon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
)

// AppendJSON appends v to b with members in the order they have in v, without
// white space, with RFC 8785's escapes, and with numbers as their lexemes. It is
// how a body is written again from what was parsed.
func AppendJSON(b []byte, v *Value) []byte {
	switch v.Kind {
	case Null:
		return append(b, "null"...)
	case False:
		return append(b, "false"...)
	case True:
		return append(b, "true"...)
	case Number:
		return append(b, v.Text...)
	case String:
		return appendText(b, v.Text)
	case Array:
		b = append(b, '[')
		for i := range v.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendJSON(b, &v.Items[i])
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i := range v.Members {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, v.Members[i].Name)
			b = append(b, ':')
			b = AppendJSON(b, &v.Members[i].Value)
		}
		return append(b, '}')
	}
	panic("canon: AppendJSON of an invalid value")
}

// Source: RFC 8785, section 3.2.2.2 "Serialization of Strings".
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for {
		n := plainRun(s)
		b = append(b, s[:n]...)
		if n == len(s) {
			return append(b, '"')
		}
		b = appendEscape(b, s[n])
		s = s[n+1:]
	}
}

func appendEscape(b []byte, c byte) []byte {
	const hexDigits = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// sortMembers puts the members of every object in v in JCS order: by the UTF-16
// code units of their names. Source: RFC 8785, section 3.2.3.
func sortMembers(v *Value) {
	slices.SortFunc(v.Members, func(a, b Member) int {
		return slices.Compare(utf16.Encode([]rune(a.Name)), utf16.Encode([]rune(b.Name)))
	})
	for i := range v.Members {
		sortMembers(&v.Members[i].Value)
	}
	for i := range v.Items {
		sortMembers(&v.Items[i])
	}
}

// onlyIntegers reports whether every number in v is an integer that JCS writes
// as it stands: no fraction, no exponent, no -0, at most 2^53-1 in size; and that
// there is no null.
func onlyIntegers(v *Value) bool {
	switch v.Kind {
	case Null:
		return false
	case Number:
		n, err := strconv.ParseInt(v.Text, 10, 64)
		return err == nil && n >= -MaxSafeInteger && n <= MaxSafeInteger && strconv.FormatInt(n, 10) == v.Text
	}
	for i := range v.Items {
		if !onlyIntegers(&v.Items[i]) {
			return false
		}
	}
	for i := range v.Members {
		if !onlyIntegers(&v.Members[i].Value) {
			return false
		}
	}
	return true
}

// EncodeJSON returns v in the form of RFC 8785, restricted to integers. It gives
// an error wrapping [ErrForm] if v holds other numbers, null, or text that is
// not UTF-8. SPEC CANON-5.
func EncodeJSON(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	if replaced(raw) {
		return nil, fmt.Errorf("%w: JSON: text that is not UTF-8", ErrForm)
	}
	t, err := ParseJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
	}
	if !onlyIntegers(t) {
		return nil, fmt.Errorf("%w: JSON: null, or a number that is not an integer within 2^53", ErrForm)
	}
	sortMembers(t)
	return AppendJSON(nil, t), nil
}

// replaced reports whether encoding/json wrote an escaped U+FFFD. It does so
// only in place of bytes that are not UTF-8, where no form is right; U+FFFD
// itself it writes as it is.
func replaced(raw []byte) bool {
	const escaped = `\ufffd`
	for rest := raw; ; {
		i := bytes.Index(rest, []byte(escaped))
		if i < 0 {
			return false
		}
		before := 0 // backslashes
		for before < i && rest[i-1-before] == '\\' {
			before++
		}
		if before%2 == 0 {
			return true
		}
		rest = rest[i+len(escaped):]
	}
}

// DecodeJSON sets *v, a pointer to a struct, to what b says.
//
// It accepts b only if encoding *v gives b again, byte for byte. This closes
// what encoding/json leaves open: duplicate names, names that differ in case,
// unknown fields, other spellings of a string or number. Errors wrap [ErrForm]
// or [ErrJSON]. SPEC CANON-5.
func DecodeJSON(b []byte, v any) error {
	if _, err := ParseJSON(b); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: JSON: %w", ErrForm, withoutValue(err))
	}
	again, err := EncodeJSON(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) { //guard:R1 json-roundtrip
		return fmt.Errorf("%w: JSON: differs from its own encoding at byte %d", ErrForm, firstDifference(again, b))
	}
	return nil
}

// withoutValue returns err without the number that encoding/json puts into it.
// The names of fields stay: whoever wrote the document needs them.
func withoutValue(err error) error {
	e, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("byte %d: field %q is not a %s", e.Offset, e.Field, e.Type)
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
