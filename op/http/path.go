package http

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const upperHex = "0123456789ABCDEF"

// canonicalPath returns the one form of a path as sent: escapes in upper case,
// unreserved characters decoded, nothing else changed.
//
// Source: RFC 3986, sections 3.3 "Path" and 6.2.2 "Syntax-Based
// Normalization". SPEC HTTP-4.
func canonicalPath(raw string) (string, error) {
	if len(raw) > maxPathBytes { //guard:A18 path-length
		return "", refuse(TooLong, "path")
	}
	if raw == "" {
		return "/", nil
	}
	if raw[0] != '/' { //guard:R15 path-absolute
		return "", refuse(NotAbsolute, "path")
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '%' {
			if k := rawPathByte(c); k != "" {
				return "", refuse(k, "path")
			}
			out = append(out, c)
			continue
		}
		v, ok := unescape(raw[i:])
		if !ok { //guard:R15 path-escape
			return "", refuse(BadEscape, "path")
		}
		if k := escapedPathByte(v); k != "" {
			return "", refuse(k, "path")
		}
		if unreserved(v) {
			out = append(out, v)
		} else {
			out = append(out, '%', upperHex[v>>4], upperHex[v&15])
		}
		i += 2
	}
	path := string(out)
	return path, checkSegments(path)
}

// rawPathByte returns why c may not stand unescaped in a path, "" if it may.
func rawPathByte(c byte) Kind {
	switch {
	case c < 0x20 || c == 0x7f: //guard:R15 path-control
		return ControlByte
	case c >= 0x80: //guard:R15 path-raw-non-ascii
		return NonASCII
	case c == '\\': //guard:R15 path-raw-backslash
		return Backslash
	case c == ';': //guard:R15 path-raw-semicolon
		return Semicolon
	case pchar(c) || c == '/':
		return ""
	}
	return BadCharacter
}

// escapedPathByte returns why c may not stand escaped in a path, "" if it may.
// A reader that decodes once too often would see another path.
func escapedPathByte(c byte) Kind {
	switch {
	case c == '/': //guard:R15 path-encoded-slash
		return EncodedSlash
	case c == '\\': //guard:R15 path-encoded-backslash
		return Backslash
	case c == ';': //guard:R15 path-encoded-semicolon
		return Semicolon
	case c == '?' || c == '#': //guard:R15 path-encoded-delimiter
		return EncodedDelimiter
	case c < 0x20 || c == 0x7f: //guard:R15 path-encoded-control
		return ControlByte
	}
	return ""
}

// checkSegments refuses a path that some reader would shorten or decode again.
// It runs on the canonical form, where %2e is a dot and %25%34%31 is %2541.
func checkSegments(path string) error {
	if strings.Contains(path, "//") { //guard:R15 path-empty-segment
		return refuse(EmptySegment, "path")
	}
	for rest := path; ; {
		i := strings.Index(rest, "%25")
		if i < 0 {
			break
		}
		rest = rest[i+3:]
		if len(rest) >= 2 && isHex(rest[0]) && isHex(rest[1]) { //guard:R15 path-double-encoding
			return refuse(DoubleEncoding, "path")
		}
	}
	for seg := range strings.SplitSeq(path[1:], "/") {
		if seg != "" && dotsOnly(seg) { //guard:R15 path-dot-segment
			return refuse(DotSegment, "path")
		}
	}
	if strings.IndexByte(path, '%') >= 0 && !plainText(path) { //guard:R15 path-text
		return refuse(BadText, "path")
	}
	return nil
}

// dotsOnly reports whether seg is made of dots and escaped spaces: some file
// systems drop both at the end of a name.
func dotsOnly(seg string) bool {
	return strings.Trim(strings.ReplaceAll(seg, "%20", ""), ".") == ""
}

// plainText reports whether the escapes of a canonical path are UTF-8 and its
// characters beyond ASCII letters, marks or digits. Overlong forms of a slash
// are not UTF-8; full-width dots, slashes and semicolons are punctuation.
func plainText(path string) bool {
	decoded := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			c, _ = unescape(path[i:])
			i += 2
		}
		decoded = append(decoded, c)
	}
	if !utf8.Valid(decoded) {
		return false
	}
	for _, r := range string(decoded) {
		if r >= utf8.RuneSelf && !unicode.In(r, unicode.L, unicode.M, unicode.Nd) {
			return false
		}
	}
	return true
}

// depth returns how many segments a canonical path has that are not empty.
func depth(path string) int64 {
	n := int64(strings.Count(path, "/"))
	if strings.HasSuffix(path, "/") {
		n--
	}
	return n
}

// unescape returns the byte that s, which begins with %, escapes.
func unescape(s string) (byte, bool) {
	if len(s) < 3 || !isHex(s[1]) || !isHex(s[2]) {
		return 0, false
	}
	return hexValue(s[1])<<4 | hexValue(s[2]), true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

// unreserved: RFC 3986, section 2.3.
func unreserved(c byte) bool { return alnum(c) || c == '-' || c == '.' || c == '_' || c == '~' }

func alnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// pchar: RFC 3986, section 3.3, without % and with ; (which callers refuse).
func pchar(c byte) bool {
	return unreserved(c) || strings.IndexByte("!$&'()*+,;=:@", c) >= 0
}
