package canon

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrJSON is wrapped by the errors of [ParseJSON].
var ErrJSON = errors.New("canon: bad JSON")

// A Kind is the kind of a JSON [Value]. Its zero is no kind.
type Kind byte

// The kinds of JSON values.
const (
	Invalid Kind = iota
	Null
	False
	True
	Number
	String
	Array
	Object
)

// A Value is one parsed JSON value. It is immutable once parsed.
type Value struct {
	Kind    Kind
	Text    string   // String: the decoded text; Number: the lexeme, as it was sent
	Items   []Value  // Array
	Members []Member // Object, in the order of the text
}

// A Member is one name and value of an object.
type Member struct {
	Name  string
	Value Value
}

// Get returns the member of v with the name, and whether there is one.
func (v *Value) Get(name string) (*Value, bool) {
	for i := range v.Members {
		if v.Members[i].Name == name {
			return &v.Members[i].Value, true
		}
	}
	return nil, false
}

// ParseJSON returns the one value that b holds. The value keeps a copy of b.
//
// It is stricter than RFC 8259 requires: names in an object are unique, text is
// valid UTF-8 without unpaired surrogates, nothing follows the value, and depth
// and count are bounded ([MaxJSONDepth], [MaxJSONNodes]). Numbers keep their
// lexeme. Errors wrap [ErrJSON] and give a position, never the text.
// SPEC CANON-4.
func ParseJSON(b []byte) (*Value, error) { return parseJSON(b, false) }

func parseJSON(b []byte, exact bool) (*Value, error) {
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrJSON)
	}
	p := jsonParser{b: string(b), nodes: MaxJSONNodes, exact: exact}
	var v Value
	p.space()
	if err := p.value(&v, MaxJSONDepth); err != nil {
		return nil, err
	}
	p.space()
	if p.at < len(b) {
		return nil, p.errorf("something follows the value")
	}
	if p.other { //guard:R1 json-exact
		return nil, fmt.Errorf("%w: JSON: white space, or an escape that need not be", ErrForm)
	}
	return &v, nil
}

// ParseExactJSON returns the value that b holds, as [ParseJSON] does, if b is
// what [AppendJSON] writes for it: no white space, and no character escaped that
// need not be. Otherwise its error wraps [ErrForm] or [ErrJSON]. It costs less
// than writing the value again and comparing. SPEC CANON-4.
func ParseExactJSON(b []byte) (*Value, error) { return parseJSON(b, true) }

type jsonParser struct {
	b     string // all of it, so that text without escapes is a part of it
	at    int
	nodes int
	exact bool // look for what AppendJSON does not write
	other bool // there was some
}

func (p *jsonParser) errorf(what string) error {
	return fmt.Errorf("%w: byte %d: %s", ErrJSON, p.at, what)
}

func (p *jsonParser) space() {
	for p.at < len(p.b) {
		switch p.b[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
			p.other = p.exact
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end; a NUL is never valid outside a
// string, so the two need no telling apart.
func (p *jsonParser) peek() byte {
	if p.at < len(p.b) {
		return p.b[p.at]
	}
	return 0
}

func (p *jsonParser) value(v *Value, depth int) error {
	if p.nodes--; p.nodes < 0 {
		return p.errorf("too many values")
	}
	if depth == 0 {
		return p.errorf("nested too deep")
	}
	switch c := p.peek(); {
	case c == '{':
		return p.object(v, depth)
	case c == '[':
		return p.array(v, depth)
	case c == '"':
		s, err := p.text()
		v.Kind, v.Text = String, s
		return err
	case c == '-' || c >= '0' && c <= '9':
		return p.number(v)
	case c == 'n':
		return p.word(v, "null", Null)
	case c == 't':
		return p.word(v, "true", True)
	case c == 'f':
		return p.word(v, "false", False)
	}
	return p.errorf("want a value")
}

func (p *jsonParser) word(v *Value, w string, k Kind) error {
	if len(p.b)-p.at < len(w) || p.b[p.at:p.at+len(w)] != w {
		return p.errorf("unknown word")
	}
	p.at += len(w)
	v.Kind = k
	return nil
}

func (p *jsonParser) number(v *Value) error {
	start := p.at
	digits := func() bool {
		from := p.at
		for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
			p.at++
		}
		return p.at > from
	}
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !digits() {
		return p.errorf("number without digits")
	}
	if p.peek() == '.' {
		p.at++
		if !digits() {
			return p.errorf("number without digits after the point")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !digits() {
			return p.errorf("number without digits in the exponent")
		}
	}
	if p.at-start > maxNumberBytes {
		return p.errorf("number too long")
	}
	v.Kind, v.Text = Number, p.b[start:p.at]
	return nil
}

func (p *jsonParser) array(v *Value, depth int) error {
	v.Kind = Array
	p.at++
	p.space()
	if p.peek() == ']' {
		p.at++
		return nil
	}
	for {
		var item Value
		p.space()
		if err := p.value(&item, depth-1); err != nil {
			return err
		}
		v.Items = append(v.Items, item)
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			return nil
		default:
			return p.errorf("want , or ]")
		}
	}
}

func (p *jsonParser) object(v *Value, depth int) error {
	v.Kind = Object
	p.at++
	p.space()
	if p.peek() == '}' {
		p.at++
		return nil
	}
	var seen names
	for {
		p.space()
		if p.peek() != '"' {
			return p.errorf("want a name")
		}
		name, err := p.text()
		if err != nil {
			return err
		}
		if seen.has(v.Members, name) { //guard:A11 json-duplicate-name
			return p.errorf("name stands twice in one object")
		}
		p.space()
		if p.peek() != ':' {
			return p.errorf("want :")
		}
		p.at++
		p.space()
		m := Member{Name: name}
		if err := p.value(&m.Value, depth-1); err != nil {
			return err
		}
		if v.Members == nil {
			v.Members = make([]Member, 0, firstMembers)
		}
		v.Members = append(v.Members, m)
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			return nil
		default:
			return p.errorf("want , or }")
		}
	}
}

// names finds names that stand twice in an object: in a small one by comparing,
// since a map costs more than parsing does. The zero value is ready for use.
type names struct{ set map[string]bool }

// has reports whether name is that of one of the members, which have only grown
// since the last call.
func (n *names) has(members []Member, name string) bool {
	if len(members) < minNameSet {
		for i := range members {
			if members[i].Name == name {
				return true
			}
		}
		return false
	}
	if n.set == nil {
		n.set = make(map[string]bool, 2*len(members))
		for i := range members {
			n.set[members[i].Name] = true
		}
	}
	if n.set[name] {
		return true
	}
	n.set[name] = true
	return false
}
