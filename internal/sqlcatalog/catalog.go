package sqlcatalog

import (
	"slices"
	"strings"

	"github.com/writhq/writ/op/sql"
)

// A Catalog is what a server's system catalogs say of names, at one moment. It is
// immutable once it is in use.
type Catalog struct {
	Version   string // of the content: two catalogs with one version are the same
	Relations map[Name]*Relation
	Functions map[Name][]*Function
	Operators map[string][]*Operator // by name, without schema
	Types     map[Name]*Type
	OIDs      map[uint32]*Relation // of this moment
	Casts     []string             // signatures of the functions behind casts that are neither the server's own nor an extension's
}

// A Name is a schema and what is in it.
type Name struct{ Schema, Name string }

// String returns the name with a point between its parts.
func (n Name) String() string { return n.Schema + "." + n.Name }

// A Kind is the kind of a relation, as pg_class.relkind has it.
type Kind byte

// The kinds of relations that statements speak of.
const (
	Table       Kind = 'r'
	Partitioned Kind = 'p'
	View        Kind = 'v'
	Matview     Kind = 'm'
	Foreign     Kind = 'f'
	Sequence    Kind = 'S'
)

// A Relation is a table or what is like one.
type Relation struct {
	Name
	Kind        Kind
	Columns     []string            // in their order, without dropped ones
	Numbers     []uint16            // of those, as result columns name them
	Constraints map[string][]string // columns of those that ON CONFLICT can name
	Behind      []Name              // what a view reads, or the rules and policies of a table, at any depth
	Underlying  []Name              // that, and the children and partitions of a table
	Calls       []string            // signatures of the functions that run in its rules and policies, at any depth
	Fills       []string            // the same in its defaults, checks and indices; and sequences
	Checks      map[string][]string // the same in the checks of domains that the columns are made of, if there are any
}

// Origin returns the column that a result column says it comes from.
func (c *Catalog) Origin(table uint32, number uint16) (sql.Column, bool) {
	r := c.OIDs[table]
	if r == nil {
		return sql.Column{}, false
	}
	i := slices.Index(r.Numbers, number)
	if i < 0 {
		return sql.Column{}, false
	}
	return r.Column(r.Columns[i]), true
}

// Column returns the column of the name, which r need not have.
func (r *Relation) Column(name string) sql.Column {
	return sql.Column{Schema: r.Schema, Table: r.Name.Name, Name: name}
}

// A Function is a function, procedure, aggregate or window function.
type Function struct {
	Name
	Args     []string // types, qualified outside pg_catalog
	Defaults int      // how many of the last ones may be left out
	Variadic bool     // the last one takes any number
	Outs     int      // of a procedure: how many more a CALL gives, in whose place come results
	Volatile byte     // i, s or v
	Kind     byte     // f, p, a or w
	Columns  []string // of the rows it returns; nil if it returns one value
	Open     bool     // its columns hang on what it is called with
	Calls    []string // signatures of the functions in the defaults of its arguments and the checks of domains that its types are made of

	signature string // that String has made; "": it has not
}

// String returns the function's signature, such as pg_catalog.lower(text).
func (f *Function) String() string {
	if f.signature != "" {
		return f.signature
	}
	return f.Schema + "." + f.Name.Name + "(" + strings.Join(f.Args, ",") + ")"
}

// Takes reports whether a call with n arguments can be one of f.
func (f *Function) Takes(n int) bool {
	n -= f.Outs
	if f.Variadic && n >= len(f.Args)-1 {
		return true
	}
	return n <= len(f.Args) && n >= len(f.Args)-f.Defaults
}

// Fits reports whether a call with so many arguments, from least to most, can be one
// of f.
func (f *Function) Fits(least, most int) bool {
	for n := least; n <= most; n++ {
		if f.Takes(n) {
			return true
		}
	}
	return false
}

// An Operator is an operator and the function behind it.
type Operator struct {
	Schema   string
	Function string // signature
}

// A Type is a data type.
type Type struct {
	Name
	Checks []string // signatures of the functions in the checks of domains that it is made of
}
