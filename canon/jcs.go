package canon

import (
	"bytes"
	"encoding/json"
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
	const hexDigits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if c < 0x20 {
				b = append(b, `\u00`...)
				b = append(b, hexDigits[c>>4], hexDigits[c&15])
			} else {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
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
// an error wrapping [ErrForm] if v holds other numbers or null.
func EncodeJSON(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode JSON: %w", err)
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
		return fmt.Errorf("%w: JSON: %w", ErrForm, err)
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

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
