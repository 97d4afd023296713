// Package sql is the operation type sql/1: one execution of one SQL statement,
// as PostgreSQL understands it. The package holds the document and how rules see
// it; who reads a statement is not here, so that it stays pure and small.
//
// Its functions are safe for concurrent use.
package sql

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
)

// ErrSQL is wrapped by every error of this package.
var ErrSQL = errors.New("sql operation")

// DocumentType is the type of the documents of this package.
const DocumentType = "sql/1"

// The modes of a relation in a statement.
const (
	Read     = "read"     // SELECT on the columns read, or on any if there are none
	Insert   = "insert"   // INSERT
	Update   = "update"   // UPDATE
	Delete   = "delete"   // DELETE
	Truncate = "truncate" // TRUNCATE
	Lock     = "lock"     // rows or the table are locked
	Usage    = "usage"    // of a sequence
)

// A Relation is a table, or what is like one, and what is done with it.
type Relation struct {
	Schema string `cbor:"1,keyasint"`
	Name   string `cbor:"2,keyasint"`
	Mode   string `cbor:"3,keyasint"`
}

// Compare orders relations.
func (r Relation) Compare(o Relation) int {
	return cmp.Or(cmp.Compare(r.Schema, o.Schema), cmp.Compare(r.Name, o.Name), cmp.Compare(r.Mode, o.Mode))
}

// A Column is a column of a table.
type Column struct {
	Schema string `cbor:"1,keyasint"`
	Table  string `cbor:"2,keyasint"`
	Name   string `cbor:"3,keyasint"`
}

// String returns the three names with points between them.
func (c Column) String() string { return c.Schema + "." + c.Table + "." + c.Name }

// Compare orders columns.
func (c Column) Compare(o Column) int {
	return cmp.Or(cmp.Compare(c.Schema, o.Schema), cmp.Compare(c.Table, o.Table), cmp.Compare(c.Name, o.Name))
}

// A Statement is what one statement does, in the server's own names. All lists
// are sorted and name each thing once. SPEC SQL-2.
type Statement struct {
	Kinds      []string   `cbor:"1,keyasint"`           // select, insert … at any depth
	Relations  []Relation `cbor:"2,keyasint,omitempty"` // named in the statement
	Reads      []Column   `cbor:"3,keyasint,omitempty"` // a reference of any kind is a read
	Inserts    []Column   `cbor:"4,keyasint,omitempty"`
	Updates    []Column   `cbor:"13,keyasint,omitempty"`
	Functions  []string   `cbor:"5,keyasint,omitempty"` // signatures of all that a call can resolve to
	Operators  []string   `cbor:"6,keyasint,omitempty"` // signatures of functions behind operators outside pg_catalog
	Types      []string   `cbor:"7,keyasint,omitempty"` // outside pg_catalog
	Underlying []string   `cbor:"8,keyasint,omitempty"` // what views read, and children of tables
	Where      bool       `cbor:"9,keyasint"`           // every UPDATE and DELETE has a condition
	Limit      int64      `cbor:"10,keyasint"`          // of the outermost SELECT, or NoLimit
	Params     int        `cbor:"11,keyasint"`          // bind values that the text names
	Set        *Setting   `cbor:"12,keyasint,omitempty"`
	Shown      []Column   `cbor:"15,keyasint,omitempty"` // of Reads: returned as they are, and no more
	Channels   []string   `cbor:"14,keyasint,omitempty"` // that LISTEN, UNLISTEN and NOTIFY name
}

// With returns what s does where it carries out inner, as FETCH and EXECUTE do: what
// both do, and of the kinds of inner. SPEC SQL-9.
func (s *Statement) With(inner *Statement) *Statement {
	out := *inner
	out.Kinds = union(inner.Kinds, slices.DeleteFunc(slices.Clone(s.Kinds), func(k string) bool { return k == Session }), strings.Compare)
	out.Relations = union(s.Relations, inner.Relations, Relation.Compare)
	out.Reads = union(s.Reads, inner.Reads, Column.Compare)
	out.Shown = slices.DeleteFunc(union(s.Shown, inner.Shown, Column.Compare), func(c Column) bool { return s.uses(c) || inner.uses(c) })
	out.Inserts = union(s.Inserts, inner.Inserts, Column.Compare)
	out.Updates = union(s.Updates, inner.Updates, Column.Compare)
	out.Functions = union(s.Functions, inner.Functions, strings.Compare)
	out.Operators = union(s.Operators, inner.Operators, strings.Compare)
	out.Types = union(s.Types, inner.Types, strings.Compare)
	out.Underlying = union(s.Underlying, inner.Underlying, strings.Compare)
	out.Channels = union(s.Channels, inner.Channels, strings.Compare)
	out.Where = s.Where && inner.Where
	return &out
}

// uses reports whether s does more with a column than return it.
func (s *Statement) uses(c Column) bool {
	has := func(list []Column) bool {
		_, ok := slices.BinarySearchFunc(list, c, Column.Compare)
		return ok
	}
	return has(s.Reads) && !has(s.Shown)
}

// union returns what is in either list, sorted.
func union[T comparable](a, b []T, compare func(a, b T) int) []T {
	out := slices.Concat(a, b)
	slices.SortFunc(out, compare)
	return slices.Compact(out)
}

// ReadOnly is the setting that transactions that are to write are said to set.
const ReadOnly = "transaction_read_only"

// PurposeSetting is the setting by which a session names the purpose of what it does from
// then on, where the policy declares that setting. SPEC PGGW-12.
const PurposeSetting = "writ.purpose"

// A Setting is what SET, SHOW or the mode of a transaction names.
type Setting struct {
	Name  string `cbor:"1,keyasint"`
	Value string `cbor:"2,keyasint,omitempty"`
}

// Asked is what a client asked for: the part of the document that follows from
// the wire. SPEC SQL-1.
type Asked struct {
	Target string    `cbor:"1,keyasint"`
	Text   string    `cbor:"2,keyasint"`           // as it came
	Params []*string `cbor:"3,keyasint,omitempty"` // bind values in text form; nil is NULL
	Types  []uint32  `cbor:"4,keyasint,omitempty"` // OIDs of their types, as far as the client gave them; 0 is none
	Source Source    `cbor:"5,keyasint,omitempty"` // of the purpose; "": with the connection, or the request
}

// A Source says where a statement's purpose stood, if not beside the statement.
type Source string

// The sources in SQL itself.
const (
	ByComment Source = "comment"
	BySetting Source = "set"
)

// Found is what the gate found: what the text means on that server, and what runs
// there instead of it.
type Found struct {
	op.Facts
	Statement Statement `cbor:"2,keyasint"`
	Text      string    `cbor:"3,keyasint"`           // with every name qualified
	Catalog   string    `cbor:"4,keyasint,omitempty"` // version of the catalog that names were resolved in
}

// NewOperation returns the operation of one execution. The salt is fresh random
// bytes from the gate. Errors wrap [ErrSQL].
func NewOperation(a *Asked, f *Found) (*op.Operation, error) {
	asked, err := canon.EncodeCBOR(a)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSQL, err)
	}
	found, err := canon.EncodeCBOR(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSQL, err)
	}
	return &op.Operation{Type: DocumentType, Asked: asked, Found: found}, nil
}

// Changes reports whether s does something to a relation beside reading it, or may.
func (s *Statement) Changes() bool {
	return slices.Contains(s.Kinds, "call") || slices.ContainsFunc(s.Relations, func(r Relation) bool { return r.Mode != Read })
}

// Writes reports whether s changes a table that has one of the columns,
// schema.table.column, or one behind which such a table stands.
func (s *Statement) Writes(columns []string) bool {
	holds := func(table string) bool {
		return slices.ContainsFunc(columns, func(c string) bool { return strings.HasPrefix(c, table+".") })
	}
	return slices.ContainsFunc(s.Relations, func(r Relation) bool { return r.Mode != Read && holds(r.Schema+"."+r.Name) }) ||
		s.Changes() && slices.ContainsFunc(s.Underlying, holds)
}
