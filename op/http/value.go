package http

import (
	"strconv"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

// The types of members. Source: [op.Member].
const (
	typeInt     = "int"
	typeDecimal = "decimal"
	typeString  = "string"
	typeBool    = "bool"
	typeSet     = "set"
	typeAny     = "any"
)

// jsonValue returns what rules see of v as the type: nil for any. SPEC HTTP-14.
func jsonValue(t string, v *canon.Value) (any, Kind) {
	switch {
	case t == typeAny:
		return nil, ""
	case t == typeSet && v.Kind == canon.Array:
		return setValue(v)
	case t == typeBool && (v.Kind == canon.True || v.Kind == canon.False):
		return v.Kind == canon.True, ""
	case t == typeString && v.Kind == canon.String:
		return bounded(v.Text)
	case (t == typeInt || t == typeDecimal) && v.Kind == canon.Number:
		return number(t, v.Text)
	}
	return nil, WrongType
}

func setValue(v *canon.Value) (any, Kind) {
	if len(v.Items) > maxSetItems { //guard:A18 set-length
		return nil, TooLong
	}
	set := make([]string, len(v.Items))
	for i := range v.Items {
		if v.Items[i].Kind != canon.String { //guard:A11 set-of-strings
			return nil, WrongType
		}
		if _, k := bounded(v.Items[i].Text); k != "" {
			return nil, k
		}
		set[i] = v.Items[i].Text
	}
	return set, ""
}

// textValue returns what rules see of a query or form value as the type: nil
// for any. The value of a set is one string of it. SPEC HTTP-13.
func textValue(t, s string) (any, Kind) {
	switch t {
	case typeAny:
		return nil, ""
	case typeString, typeSet:
		return bounded(s)
	case typeInt, typeDecimal:
		return number(t, s)
	case typeBool:
		if s == "true" || s == "false" {
			return s == "true", ""
		}
	}
	return nil, WrongType
}

func bounded(s string) (any, Kind) {
	if len(s) > maxTextBytes { //guard:A18 string-length
		return nil, TooLong
	}
	return s, ""
}

func number(t, lexeme string) (any, Kind) {
	if t == typeInt {
		return integer(lexeme)
	}
	return decimal(lexeme)
}

// integer returns the value of an integer literal within 64 bits. 1.0 and 1e2
// are none: readers differ about them. Neither is -0.
func integer(lexeme string) (any, Kind) {
	n, err := strconv.ParseInt(lexeme, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != lexeme { //guard:A11 integer-literal
		return nil, BadNumber
	}
	return n, ""
}

// decimal returns a number with at most four digits after its point, within
// Cedar's range, as [op.Decimal]: an integer literal gets ".0".
//
// Source: Cedar, "Data types", decimal: 64 bits over 10^-4.
func decimal(lexeme string) (any, Kind) {
	whole, fraction, point := strings.Cut(lexeme, ".")
	digits := strings.TrimPrefix(whole, "-")
	if !allDigits(digits) || len(digits) > 1 && digits[0] == '0' || point && !allDigits(fraction) {
		return nil, BadNumber
	}
	if len(fraction) > 4 { //guard:A11 decimal-digits
		return nil, BadNumber
	}
	n, err := strconv.ParseInt(whole+fraction+"0000"[len(fraction):], 10, 64)
	if err != nil { //guard:A11 decimal-range
		return nil, BadNumber
	}
	if n == 0 && whole != digits { //guard:A11 decimal-minus-zero
		return nil, BadNumber
	}
	if !point {
		lexeme += ".0"
	}
	return op.Decimal(lexeme), ""
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
