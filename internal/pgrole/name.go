package pgrole

import (
	"errors"
	"strings"
	"unicode"
)

// errName is the cause where a name cannot be written.
var errName = errors.New("its name is empty, longer than the server takes, or has a NUL")

// quote returns s as an identifier that means s whatever is in it. Source:
// PostgreSQL, "Identifiers and Key Words".
func quote(s string) (string, error) {
	if s == "" || len(s) > maxIdentBytes || strings.Contains(s, "\x00") { //guard:R3/sql grant-name
		return "", errName
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`, nil
}

// literal returns s as a text that means s, whatever standard_conforming_strings is.
// Source: PostgreSQL, "String Constants".
func literal(s string) string {
	quoted := strings.ReplaceAll(strings.ReplaceAll(s, "'", "''"), `\`, `\\`)
	if strings.Contains(s, `\`) {
		return "E'" + quoted + "'"
	}
	return "'" + quoted + "'"
}

// qualified returns schema.name, as it stands in a policy, for SQL, and its schema.
func qualified(s string) (name, schema string, err error) {
	schema, n, _ := strings.Cut(s, ".")
	if strings.Contains(n, ".") { //guard:R3/sql grant-two-dots
		return "", "", errors.New("its name has a dot, so that it does not say where the schema ends")
	}
	q, err := quote(schema)
	if err != nil {
		return "", "", err
	}
	p, err := quote(n)
	return q + "." + p, schema, err
}

// routine returns a signature or a name for GRANT. A name alone works where it is
// that of one function.
func routine(s string) (name, schema string, err error) {
	head, types, whole := strings.Cut(s, "(")
	if name, schema, err = qualified(head); err != nil || !whole {
		return name, schema, err
	}
	list, ok := strings.CutSuffix(types, ")")
	if !ok || strings.ContainsAny(list, "()") {
		return "", "", errors.New("it is not a signature")
	}
	var args []string
	for _, t := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		if !strings.Contains(t, ".") {
			t = "pg_catalog." + t
		}
		q, _, err := qualified(t)
		if err != nil {
			return "", "", err
		}
		args = append(args, q)
	}
	return name + "(" + strings.Join(args, ", ") + ")", schema, nil
}

// comment returns s as one line that stays one: what comes from a policy may have
// characters that end it.
func comment(s string) string {
	return "-- " + strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, s)
}
