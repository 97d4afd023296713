package http

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/writhq/writ/op"
)

// A place is where members stand.
type place string

const (
	inQuery place = "query"
	inForm  place = "form"
	inBody  place = "body" // JSON
)

func (p place) maxPairs() int {
	if p == inForm {
		return maxFormPairs
	}
	return maxQueryPairs
}

// member names the member at index i, or the one with a declared path.
func (p place) member(i int) string         { return string(p) + " member " + strconv.Itoa(i+1) }
func (p place) declared(m op.Member) string { return string(p) + " member " + m.Path }

// parsePairs returns the names and values of a query or form, decoded.
//
// Source: WHATWG URL, "application/x-www-form-urlencoded parsing", without what
// that lets pass. SPEC HTTP-6.
func parsePairs(raw string, p place) ([]Pair, error) {
	if raw == "" {
		return nil, nil
	}
	n := strings.Count(raw, "&") + 1
	if n > p.maxPairs() {
		return nil, refuse(TooLong, string(p))
	}
	pairs := make([]Pair, 0, n)
	for part := range strings.SplitSeq(raw, "&") {
		name, value, ok := strings.Cut(part, "=")
		if !ok || name == "" { //guard:R15 pair-form
			return nil, refuse(EmptyPair, p.member(len(pairs)))
		}
		var d Pair
		var k Kind
		if d.Name, k = decodePart(name); k == "" {
			d.Value, k = decodePart(value)
		}
		if k != "" {
			return nil, refuse(k, p.member(len(pairs)))
		}
		pairs = append(pairs, d)
	}
	return pairs, checkPairs(pairs, p)
}

// decodePart returns a name or value decoded, or why it cannot be.
func decodePart(s string) (string, Kind) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			out = append(out, ' ')
		case c == '%':
			v, ok := unescape(s[i:])
			if !ok { //guard:R15 query-escape
				return "", BadEscape
			}
			out = append(out, v)
			i += 2
		default:
			if k := rawPathByte(c); k != "" && c != '?' && c != '[' && c != ']' {
				return "", k
			}
			out = append(out, c)
		}
	}
	return string(out), ""
}

// checkPairs refuses decoded pairs that two readers could take for different
// ones: names twice, also in another case; text that is not plain. SPEC HTTP-7.
func checkPairs(pairs []Pair, p place) error {
	if len(pairs) > p.maxPairs() { //guard:R15 pair-count
		return refuse(TooLong, string(p))
	}
	for i := range pairs {
		name := pairs[i].Name
		if !validKey(name) { //guard:A11 query-name
			return refuse(BadName, p.member(i))
		}
		if k := checkText(pairs[i].Value, p); k != "" {
			return refuse(k, p.member(i))
		}
		if twin(pairs[:i], name) { //guard:A11 query-duplicate
			return refuse(Duplicate, p.member(i))
		}
	}
	return nil
}

// twin reports whether name stands in pairs already. Only an array key may, and
// only in the same case.
func twin(pairs []Pair, name string) bool {
	array := strings.HasSuffix(name, "[]")
	for i := range pairs {
		if strings.EqualFold(pairs[i].Name, name) && !(array && pairs[i].Name == name) {
			return true
		}
	}
	return false
}

func checkText(s string, p place) Kind {
	for i := range len(s) {
		c := s[i]
		if p == inForm && (c == '\n' || c == '\r' || c == '\t') {
			continue
		}
		if c < 0x20 || c == 0x7f { //guard:R15 query-control
			return ControlByte
		}
	}
	if !utf8.ValidString(s) { //guard:R15 query-text
		return BadText
	}
	return ""
}

// validKey reports whether s can be the name of a query or form member: names
// of [nameByte]s and dots, then any number of [name], then perhaps [].
func validKey(s string) bool {
	base, rest := s, ""
	if i := strings.IndexByte(s, '['); i >= 0 {
		base, rest = s[:i], s[i:]
	}
	if base == "" || len(s) > maxNameBytes || !validName(base, true) {
		return false
	}
	for rest != "" && rest != "[]" {
		end := strings.IndexByte(rest, ']')
		if end < 2 || rest[0] != '[' || !validName(rest[1:end], false) {
			return false
		}
		rest = rest[end+1:]
	}
	return true
}

// validName reports whether s is one name, or with dots names joined by them.
func validName(s string, dots bool) bool {
	for i := range len(s) {
		if !nameByte(s[i]) && !(dots && s[i] == '.') {
			return false
		}
	}
	return s != "" && len(s) <= maxNameBytes
}

// nameByte reports whether c may stand in a member's name: printable ASCII
// without what separates names somewhere.
func nameByte(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte("\"%&=+#;[].\\", c) < 0
}

// appendPairs appends pairs in their one escaped form: unreserved characters
// as they are, every other byte as %XX, a space as %20. SPEC HTTP-8.
func appendPairs(b []byte, pairs []Pair) []byte {
	for i := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = appendEscaped(b, pairs[i].Name)
		b = append(b, '=')
		b = appendEscaped(b, pairs[i].Value)
	}
	return b
}

func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}
