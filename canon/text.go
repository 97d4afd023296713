package canon

import (
	"unicode/utf16"
	"unicode/utf8"
)

// text parses a string at p.at, which is a quotation mark.
func (p *jsonParser) text() (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.b) {
		switch c := p.b[p.at]; {
		case c == '"':
			s := string(p.b[start:p.at])
			p.at++
			return s, nil
		case c == '\\':
			return p.escaped(append([]byte(nil), p.b[start:p.at]...))
		case c < 0x20:
			return "", p.errorf("control character in a string")
		default:
			p.at++
		}
	}
	return "", p.errorf("string does not end")
}

// escaped parses the rest of a string whose beginning is out and whose next
// byte is a backslash.
func (p *jsonParser) escaped(out []byte) (string, error) {
	for p.at < len(p.b) {
		switch c := p.b[p.at]; {
		case c == '"':
			p.at++
			return string(out), nil
		case c < 0x20:
			return "", p.errorf("control character in a string")
		case c != '\\':
			out = append(out, c)
			p.at++
		default:
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return "", p.errorf("string does not end")
}

func (p *jsonParser) escape() (rune, error) {
	p.at++
	c := p.peek()
	p.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return p.unicode()
	}
	return 0, p.errorf("unknown escape")
}

func (p *jsonParser) unicode() (rune, error) {
	hi, err := p.hex4()
	if err != nil || !utf16.IsSurrogate(hi) {
		return hi, err
	}
	if len(p.b)-p.at < 6 || p.b[p.at] != '\\' || p.b[p.at+1] != 'u' {
		return 0, p.errorf("half a surrogate pair")
	}
	p.at += 2
	lo, err := p.hex4()
	if err != nil {
		return 0, err
	}
	r := utf16.DecodeRune(hi, lo)
	if r == utf8.RuneError {
		return 0, p.errorf("half a surrogate pair")
	}
	return r, nil
}

func (p *jsonParser) hex4() (rune, error) {
	if len(p.b)-p.at < 4 {
		return 0, p.errorf("escape is cut short")
	}
	var r rune
	for _, c := range p.b[p.at : p.at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, p.errorf("escape is not hexadecimal")
		}
		r = r<<4 | rune(c)
	}
	p.at += 4
	return r, nil
}
