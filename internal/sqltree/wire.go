package sqltree

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A message is a kind of message in the bytes of a tree: they are looked at as they
// are, which costs a tenth of what it costs to look at what they are decoded to.
type message struct {
	name   protoreflect.Name
	known  bool     // to the visitor
	fields []*field // by their numbers; nil where there is none
}

// A field is one of a kind of message.
type field struct {
	name  protoreflect.Name
	known bool
	place bool // where in the text a node stood, which says nothing about the statement
	typ   protowire.Type
	of    *message // nil: it holds a value
}

// field returns the field of that number, or nil.
func (m *message) field(n protowire.Number) *field {
	if int(n) >= len(m.fields) {
		return nil
	}
	return m.fields[n]
}

// result is the kind of a whole tree.
var result = sync.OnceValue(func() *message {
	k := make(kinds)
	d := (&pg.ParseResult{}).ProtoReflect().Descriptor()
	m := k.message(d, true)
	// What is around each statement is known there, and denied anywhere else.
	list := d.Fields().ByName("stmts")
	m.fields[list.Number()].of = k.message(list.Message(), true)
	return m
})

// kinds are the messages of the grammar, those of nodes by their names.
type kinds map[protoreflect.Name]*message

// node returns the kind of a message that is part of a statement.
func (k kinds) node(d protoreflect.MessageDescriptor) *message {
	if k[d.Name()] == nil {
		k[d.Name()] = new(message)
		*k[d.Name()] = *k.message(d, d.Name() == "Node")
	}
	return k[d.Name()]
}

// message returns the kind of d; all of its fields are known if it is around nodes.
func (k kinds) message(d protoreflect.MessageDescriptor, around bool) *message {
	names, ok := known[d.Name()]
	m := &message{name: d.Name(), known: ok || around}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := &field{name: fd.Name(), known: around || names[fd.Name()], place: strings.HasSuffix(string(fd.Name()), "location") || fd.Name() == "stmt_len"}
		switch fd.Kind() {
		case protoreflect.MessageKind:
			f.typ, f.of = protowire.BytesType, k.node(fd.Message())
		case protoreflect.StringKind:
			f.typ = protowire.BytesType
		default:
			f.typ = protowire.VarintType // the grammar has no others
		}
		for int(fd.Number()) >= len(m.fields) {
			m.fields = append(m.fields, nil)
		}
		m.fields[fd.Number()] = f
	}
	return m
}

// next returns the field that b begins with, what it holds, and what comes after it. A
// message is held without its length.
func (m *message) next(b []byte) (f *field, value, rest []byte, err error) {
	n, typ, head := protowire.ConsumeTag(b)
	if head < 0 {
		return nil, nil, nil, fmt.Errorf("%w: not a tree", ErrTree)
	}
	if f = m.field(n); f == nil {
		return nil, nil, nil, fmt.Errorf("%w: field %d of %s is not mapped", ErrTree, n, m.name)
	}
	b = b[head:]
	size := protowire.ConsumeFieldValue(n, typ, b)
	if size < 0 || typ != f.typ {
		return nil, nil, nil, fmt.Errorf("%w: not a tree", ErrTree)
	}
	value, rest = b[:size], b[size:]
	if f.of != nil {
		value, _ = protowire.ConsumeBytes(value)
	}
	return f, value, rest, nil
}

// closed returns nil if every node and field in b is in the grammar's table, and
// nothing is deeper than maxDepth; else an error that wraps [ErrTree]. SPEC SQL-4,
// SQL-6.
func closed(b []byte, m *message, depth int) error {
	if depth > maxDepth { //guard:A18 tree-depth
		return fmt.Errorf("%w: it is nested deeper than %d", ErrTree, maxDepth)
	}
	if !m.known { //guard:R15/sql node-known
		return fmt.Errorf("%w: %s is not mapped", ErrTree, m.name)
	}
	for len(b) > 0 {
		f, value, rest, err := m.next(b)
		if err != nil {
			return err
		}
		if !f.known { //guard:R15/sql field-known
			return fmt.Errorf("%w: %s of %s is not mapped", ErrTree, f.name, m.name)
		}
		if f.of != nil {
			if err := closed(value, f.of, depth+1); err != nil {
				return err
			}
		}
		b = rest
	}
	return nil
}

// same reports whether a and b are one tree, but for where in a text its nodes stood.
// It holds them against each other as they are written, so that one tree in two forms
// is two.
func same(a, b []byte, m *message) bool {
	for {
		f, x, resta, erra := m.placed(a)
		g, y, restb, errb := m.placed(b)
		switch {
		case erra != nil || errb != nil || f != g:
			return false
		case f == nil: // both have ended
			return true
		case f.of == nil && !bytes.Equal(x, y):
			return false
		case f.of != nil && !same(x, y, f.of):
			return false
		}
		a, b = resta, restb
	}
}

// placed is next without the fields that say where something stood, and nil at the end.
func (m *message) placed(b []byte) (f *field, value, rest []byte, err error) {
	for rest = b; len(rest) > 0; {
		if f, value, rest, err = m.next(rest); err != nil || !f.place {
			return f, value, rest, err
		}
	}
	return nil, nil, nil, nil
}
