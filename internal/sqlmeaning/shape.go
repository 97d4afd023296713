package sqlmeaning

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op/sql"
)

// shapes are the statements that were mapped for any integers in them: clients write
// numbers into texts, so that each text is new. ADR 8, SPEC SQL-14.
type shapes struct {
	mu   sync.RWMutex
	of   map[string]*outline // guarded by mu; by the text without integers
	held int                 // guarded by mu; about the bytes of their shapes
}

// An outline is a text without its integers.
type outline struct {
	once sync.Once
	free []bool // which of the integers can be any; empty: none

	mu sync.RWMutex
	of map[string]*shape // guarded by mu; by the integers that cannot; nil: it has none
}

// A shape is what a statement does and its text, but for the integers in it.
type shape struct {
	statement sql.Statement
	form      *sql.Form
	pieces    []string // of the text that runs
	order     []int    // of the free integers that stand between them
}

// byShape returns what a text does if one of its outline was seen before and integers
// in it change nothing; else nil.
func (m *Meaning) byShape(g sqlanalyze.Grammar, text string) []sqlanalyze.Mapped {
	s, ok := scan(text)
	if !ok {
		return nil
	}
	o, seen := m.shapes.outline(s.outline())
	if !seen { // most texts do not come in another form
		return nil
	}
	o.once.Do(func() { o.free = s.free(g) })
	if len(o.free) == 0 {
		return nil
	}
	x := o.shape(s.fixed(o.free), func() *shape {
		x := m.shape(g, s, o.free)
		if x != nil {
			m.shapes.grow(len(text) + weight(&sqlanalyze.Mapped{Form: x.form}))
		}
		return x
	})
	if x == nil {
		return nil
	}
	list := []sqlanalyze.Mapped{{Statement: x.statement, Text: x.text(s.chosen(o.free))}}
	list[0].Form = x.form.For(&list[0].Statement)
	return list
}

// grow counts a shape of n bytes, and forgets all if they are too many.
func (s *shapes) grow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held += n; s.held > maxShapes { //guard:R11 shapes-bound
		s.of, s.held = nil, 0
	}
}

// outline returns the outline of a text, and whether one of it was seen before.
func (s *shapes) outline(key []byte) (o *outline, seen bool) {
	s.mu.RLock()
	o = s.of[string(key)]
	s.mu.RUnlock()
	if o != nil {
		return o, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil || len(s.of) >= maxOutlines {
		s.of, s.held = make(map[string]*outline), 0
	}
	s.of[string(key)] = new(outline)
	return nil, false
}

// shape returns the shape for integers that are not free, which is made by of if there
// was none.
func (o *outline) shape(fixed string, of func() *shape) *shape {
	o.mu.RLock()
	x, ok := o.of[fixed]
	full := len(o.of) >= maxFixed
	o.mu.RUnlock()
	if ok || full { // to make one costs as much as to map two texts
		return x
	}
	x = of()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = make(map[string]*shape)
	}
	o.of[fixed] = x
	return x
}

// shape maps a text with two sets of integers in place of those that are free: if what
// it does is the same, and each integer stands in the text that runs once and by
// itself, both hold for any; else it returns nil.
func (m *Meaning) shape(g sqlanalyze.Grammar, s *scanned, free []bool) *shape {
	one, two := m.marked(g, s, free, firstMark), m.marked(g, s, free, secondMark)
	if one == nil || two == nil || !reflect.DeepEqual(one.Statement, two.Statement) { //guard:R5/sql shape-facts
		return nil
	}
	form, err := sql.NewForm(&one.Statement)
	if err != nil {
		return nil
	}
	x := &shape{statement: one.Statement, form: form}
	if !x.cut(one.Text, len(s.chosen(free))) || x.text(marks(free, secondMark)) != two.Text { //guard:R5/sql shape-text
		return nil
	}
	return x
}

// marked maps the text with marks in place of the integers that are free.
func (m *Meaning) marked(g sqlanalyze.Grammar, s *scanned, free []bool, mark int) *sqlanalyze.Mapped {
	list, err := m.analyzer.Map(g, s.with(free, marks(free, mark)))
	if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0].Effect, sqlanalyze.Effect{}) {
		return nil
	}
	return &list[0]
}

// marks returns integers that can be told from others, as many as are free.
func marks(free []bool, mark int) (out []string) {
	for _, f := range free {
		if f {
			out = append(out, strconv.Itoa(mark+len(out)))
		}
	}
	return out
}

// cut takes a text with n first marks apart, and reports whether each stands in it once
// and by itself.
func (x *shape) cut(text string, n int) bool {
	at := 0
	for i := 0; i < len(text); {
		end := i
		for end < len(text) && wordly(text[end]) {
			end++
		}
		if k, ok := markIn(text[i:end], n); ok {
			x.pieces, x.order = append(x.pieces, text[at:i]), append(x.order, k)
			at = end
		}
		i = max(end, i+1)
	}
	x.pieces = append(x.pieces, text[at:])
	for i, k := range slices.Sorted(slices.Values(x.order)) {
		if i != k {
			return false
		}
	}
	return len(x.order) == n
}

// markIn returns which of n first marks a word is.
func markIn(word string, n int) (k int, ok bool) {
	v, err := strconv.Atoi(word)
	return v - firstMark, err == nil && v >= firstMark && v < firstMark+n
}

// text returns the text that runs with the integers.
func (x *shape) text(integers []string) string {
	var b strings.Builder
	for i, k := range x.order {
		b.WriteString(x.pieces[i])
		b.WriteString(integers[k])
	}
	b.WriteString(x.pieces[len(x.pieces)-1])
	return b.String()
}

// A scanned is a text with its integers.
type scanned struct {
	text     string
	integers [][2]int // where each begins and ends
}

// scan finds the integers of a text, if it is one in which each is a token of its own
// whatever its digits are: nothing in it is in quotes, a comment or a parameter.
func scan(text string) (s *scanned, ok bool) {
	if len(text) > maxShaped {
		return nil, false
	}
	s = &scanned{text: text}
	for i := 0; i < len(text); {
		end := i
		for end < len(text) && wordly(text[end]) {
			end++
		}
		switch {
		case end == i && !separate(text, i): //guard:R5/sql shape-plain
			return nil, false
		case end > i && integer(text, i, end):
			s.integers = append(s.integers, [2]int{i, end})
		}
		i = max(end, i+1)
	}
	return s, len(s.integers) > 0 && len(s.integers) <= maxIntegers
}

// wordly reports whether c can be in one token with a digit.
func wordly(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '.'
}

// separate reports whether what stands at i ends a word, and begins nothing in which
// the rules are others. Source: PostgreSQL, scan.l.
func separate(text string, i int) bool {
	next := byte(0)
	if i+1 < len(text) {
		next = text[i+1]
	}
	switch c := text[i]; c {
	case '-':
		return next != '-'
	case '/':
		return next != '*'
	default:
		return strings.IndexByte(" \t\r\n(),;:[]+*<>=~!@#%^&|?", c) >= 0
	}
}

// integer reports whether a word is an integer that is written as the server writes it,
// and of type int4. Minus nothing is another than it.
func integer(text string, i, end int) bool {
	for _, c := range []byte(text[i:end]) {
		if c < '0' || c > '9' {
			return false
		}
	}
	if text[i] == '0' {
		before := strings.TrimRight(text[:i], " \t\r\n(")
		return end == i+1 && !strings.HasSuffix(before, "-")
	}
	return end-i <= maxDigits //guard-true:R5/sql shape-digits
}

// outline returns the text without its integers.
func (s *scanned) outline() []byte {
	b := make([]byte, 0, len(s.text))
	at := 0
	for _, p := range s.integers {
		b = append(append(b, s.text[at:p[0]]...), '$') // which stands nowhere else in it
		at = p[1]
	}
	return append(b, s.text[at:]...)
}

// free finds out which of the integers can be any.
func (s *scanned) free(g sqlanalyze.Grammar) []bool {
	every := make([]bool, len(s.integers))
	for i := range every {
		every[i] = true
	}
	found, err := sqltree.Free(g, s.with(every, marks(every, firstMark)))
	if err != nil || len(found) == 0 {
		return nil
	}
	for i := range every {
		every[i] = found[firstMark+i]
	}
	return every
}

// with returns the text with others in place of the integers that are free.
func (s *scanned) with(free []bool, others []string) string {
	var b strings.Builder
	at, k := 0, 0
	for i, p := range s.integers {
		if !free[i] {
			continue
		}
		b.WriteString(s.text[at:p[0]])
		b.WriteString(others[k])
		at, k = p[1], k+1
	}
	b.WriteString(s.text[at:])
	return b.String()
}

// chosen returns the integers that are free.
func (s *scanned) chosen(free []bool) []string { return s.which(free, true) }

// fixed returns those that are not, in one text.
func (s *scanned) fixed(free []bool) string { return strings.Join(s.which(free, false), " ") }

func (s *scanned) which(free []bool, is bool) (out []string) {
	for i, p := range s.integers {
		if free[i] == is {
			out = append(out, s.text[p[0]:p[1]])
		}
	}
	return out
}
