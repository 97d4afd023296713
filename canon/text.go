package canon

import (
	"unicode/utf16"
	"unicode/utf8"
)

// text parses a string at p.at, which is a quotation mark.
func (p *jsonParser) text() (string, error) {
	p.at++
	start := p.at - 1
	rest := p.b[p.at:]
	i := plainRun(rest)
	p.at += i
	if i == len(rest) {
		return "", p.errorf("string does not end")
	}
	switch rest[i] {
	case '"':
		p.at++
		return rest[:i], nil
	case '\\':
		s, err := p.escaped([]byte(rest[:i]))
		if p.exact && err == nil && string(appendText(nil, s)) != p.b[start:p.at] {
			p.other = true
		}
		return s, err
	}
	return "", p.errorf("control character in a string")
}

// plainRun returns how many bytes s has before the first that a JSON string
// holds only escaped: a quotation mark, a backslash, a control character.
func plainRun(s string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		q, b := w^ones*'"', w^ones*'\\'
		// A top bit is set in x-n &^ x if a byte of x, the lowest at least, is below n.
		if ((w-ones*0x20)&^w|(q-ones)&^q|(b-ones)&^b)&tops != 0 {
			break
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			break
		}
	}
	return i
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
	if p.at == len(p.b) {
		return 0, p.errorf("escape is cut short")
	}
	c := p.b[p.at]
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
