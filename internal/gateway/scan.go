package gateway

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/secret"
)

// ErrSecretSeen is returned by a [Scanner] that found the secret.
var ErrSecretSeen = fmt.Errorf("%w: the response holds the secret", ErrGateway)

// A Scanner looks for a secret in a stream, however it is cut: as it is, in
// base64 at each of its three offsets, in hexadecimal, percent-encoded, escaped
// as JSON and HTML writers do, and reversed. It is not safe for concurrent use.
// Wipe it when the stream ends.
//
// It stops accidents and simple reflection, not a target that transforms the
// secret on purpose. SPEC HALL-7.
type Scanner struct {
	patterns [][]byte
	arena    []byte // what patterns are parts of
	held     []byte // the end of what came so far, if a pattern may begin in it
	text     []byte // room for Text
}

// NewScanner returns a Scanner for the forms in which the secret is sent: the
// secret itself, and the same between prefix and suffix, such as user:secret in
// base64. A secret shorter than six bytes is not looked for.
func NewScanner(forms ...secret.Bytes) *Scanner {
	s := &Scanner{patterns: make([][]byte, 0, 16*len(forms))}
	for _, f := range forms {
		f.Use(func(b []byte) error {
			if len(b) >= minScannedSecret {
				s.add(b)
			}
			return nil
		})
	}
	return s
}

// add makes the forms of b in one buffer, so that wiping it wipes all of them.
func (s *Scanner) add(b []byte) {
	old, plain := s.arena, !slices.ContainsFunc(b, func(c byte) bool { return !unreserved(c) })
	room := 28 * len(b)
	if !plain {
		room += (len(textForms)*6 + 3*3) * len(b)
	}
	s.arena = append(make([]byte, 0, len(old)+room+64), old...)
	for i, p := range s.patterns { // they are parts of the new one from now on
		at := cap(old) - cap(p)
		s.patterns[i] = s.arena[at : at+len(p)]
	}
	clear(old)
	s.pattern(func(out []byte) []byte { return append(out, b...) })
	s.pattern(func(out []byte) []byte {
		out = append(out, b...)
		slices.Reverse(out[len(out)-len(b):])
		return out
	})
	for _, digits := range []string{"0123456789abcdef", "0123456789ABCDEF"} {
		s.pattern(func(out []byte) []byte {
			for _, c := range b {
				out = append(out, digits[c>>4], digits[c&15])
			}
			return out
		})
		for _, space := range []string{"%20", "+"} {
			s.pattern(func(out []byte) []byte { return percent{digits, space, ""}.append(out, b) })
		}
	}
	if !plain {
		s.addTexts(b)
	}
	for off := range 3 {
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			s.pattern(func(out []byte) []byte { return appendBase64(out, enc, b, off) })
		}
	}
}

// textForms are the ways in which common writers of JSON and HTML escape bytes
// that stand in secrets: the byte, and what they write for it.
var textForms = [...][]string{
	{`"\"`, `\\\`, "\n\\n", "\r\\r", "\t\\t"},                                                                        // JSON
	{`"\"`, `\\\`, "\n\\n", "\r\\r", "\t\\t", `/\/`},                                                                 // PHP
	{`"\"`, `\\\`, "\n\\n", "\r\\r", "\t\\t", `<\u003c`, `>\u003e`, `&\u0026`},                                       // Go, Ruby
	{`"\"`, `\\\`, "\n\\n", "\r\\r", "\t\\t", `<\u003c`, `>\u003e`, `&\u0026`, `=\u003d`, `'\u0027`},                 // Java
	{`"\u0022`, `\\\`, "\n\\n", "\r\\r", "\t\\t", `<\u003C`, `>\u003E`, `&\u0026`, `+\u002B`, `'\u0027`, "`\\u0060"}, // .NET
	{`&&amp;`, `<&lt;`, `>&gt;`, `"&#34;`, `'&#39;`},
	{`&&amp;`, `<&lt;`, `>&gt;`, `"&quot;`, `'&#x27;`},
	{`&&amp;`, `<&lt;`, `>&gt;`, `"&quot;`, `'&#039;`},
	{`&&amp;`, `<&lt;`, `>&gt;`}, // in text, where quotes may stand
}

// addTexts makes the forms of b that only differ from it if it has more than
// unreserved characters.
func (s *Scanner) addTexts(b []byte) {
	for _, plain := range []string{"/", "!'()*", ";,/?:@&=+$!'()*#"} { // Python and Java; browsers: a component, a whole address
		s.pattern(func(out []byte) []byte { return percent{"0123456789ABCDEF", "%20", plain}.append(out, b) })
	}
	for _, form := range textForms {
		s.pattern(func(out []byte) []byte {
			for _, c := range b {
				i := slices.IndexFunc(form, func(e string) bool { return e[0] == c })
				if i < 0 {
					out = append(out, c)
				} else {
					out = append(out, form[i][1:]...)
				}
			}
			return out
		})
	}
}

// pattern takes the pattern that write appends, unless it is too short to mean
// anything or is there already.
func (s *Scanner) pattern(write func([]byte) []byte) {
	from := len(s.arena)
	whole := write(s.arena)
	p := whole[from:]
	if len(p) < minScannedSecret || slices.ContainsFunc(s.patterns, func(q []byte) bool { return bytes.Equal(p, q) }) {
		clear(p)
		return
	}
	s.arena, s.patterns = whole, append(s.patterns, p)
}

// percent is a way of percent-encoding: its digits, what it writes for a space,
// and what it leaves as it is beside the unreserved characters.
type percent struct{ digits, space, plain string }

// append appends b percent-encoded. Source: RFC 3986, section 2.1.
func (p percent) append(out, b []byte) []byte {
	for _, c := range b {
		switch {
		case unreserved(c) || strings.IndexByte(p.plain, c) >= 0:
			out = append(out, c)
		case c == ' ':
			out = append(out, p.space...)
		default:
			out = append(out, '%', p.digits[c>>4], p.digits[c&15])
		}
	}
	return out
}

// unreserved: RFC 3986, section 2.3.
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// appendBase64 appends the characters that b gives in base64 wherever it begins
// at an offset of off modulo 3, without those that its neighbours take part in.
func appendBase64(out []byte, enc *base64.Encoding, b []byte, off int) []byte {
	skip := (3 - off) % 3 // bytes up to the first whole group
	from := len(out)
	if off > 0 {
		var group [3]byte
		copy(group[off:], b[:skip])
		out = enc.AppendEncode(out, group[:])
		keep := out[from+(off*8+5)/6:]
		out = out[:from+copy(out[from:], keep)]
		clear(group[:])
	}
	out = enc.AppendEncode(out, b[skip:])
	if (len(b)-skip)%3 != 0 {
		out = out[:len(out)-1] // it has bits of what follows
	}
	return out
}

// Next takes the next bytes of the stream and returns those that can be passed
// on: all, but for an end in which a form of the secret may begin. The result is
// valid until the next call. It returns [ErrSecretSeen] if a form is whole.
func (s *Scanner) Next(b []byte) ([]byte, error) {
	data := b
	if len(s.held) > 0 {
		data = append(s.held, b...)
	}
	if err := s.Whole(data); err != nil { //guard:R2 scan-stream
		return nil, err
	}
	keep := s.partial(data)
	out := data[:len(data)-keep]
	s.held = bytes.Clone(data[len(data)-keep:])
	return out, nil
}

// Rest returns what is held at the end of the stream.
func (s *Scanner) Rest() []byte {
	r := s.held
	s.held = nil
	return r
}

// partial returns the length of the longest end of data that is the beginning of
// a pattern.
func (s *Scanner) partial(data []byte) int {
	longest := 0
	for _, p := range s.patterns {
		for k := min(len(p)-1, len(data)); k > longest; k-- {
			if data[len(data)-k] == p[0] && bytes.HasPrefix(p, data[len(data)-k:]) {
				longest = k
			}
		}
	}
	return longest
}

// Whole returns [ErrSecretSeen] if a form of the secret is in b, which is all of a
// stream.
func (s *Scanner) Whole(b []byte) error {
	for _, p := range s.patterns {
		if bytes.Contains(b, p) { //guard:R2 scan-whole
			return ErrSecretSeen
		}
	}
	return nil
}

// Text returns [ErrSecretSeen] if a form of the secret is in one of the texts:
// headers, an error.
func (s *Scanner) Text(texts ...string) error {
	s.text = s.text[:0]
	for _, t := range texts {
		s.text = append(append(s.text, t...), '\n')
	}
	return s.Whole(s.text)
}

// Wipe overwrites the forms of the secret.
func (s *Scanner) Wipe() {
	clear(s.arena)
	clear(s.text)
	s.patterns, s.arena, s.text = nil, nil, nil
}

// IsSecretSeen reports whether err is a Scanner's.
func IsSecretSeen(err error) bool { return errors.Is(err, ErrSecretSeen) }
