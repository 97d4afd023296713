// Package op is the vocabulary of one governed operation: what is about to be
// done, how rules see it, and the two ways it can be refused. Gateways produce
// operations, policies read them; the package knows no protocol.
//
// The package is pure, and its values are safe for concurrent use once made.
package op

import "github.com/writhq/writ/canon"

// A Subject is whom a grant was issued to. Rules speak of it as principal.
type Subject string

// A Level is how strongly a holder proved the possession of its key. The zero
// Level is none at all.
type Level int

// The levels, weakest first. SPEC PROOF-1.
const (
	Bearer       Level = iota // nothing proven
	Presentation              // one-time presentation of the credential; the operation is not covered
	Channel                   // key proven on the channel that carries the operation
	Signed                    // signature over the whole operation, purpose and lineage
	Person                    // Signed, by a person or hardware with user verification
)

// An Operation is the canonical document of what is about to be done.
//
// Asked follows from the wire bytes and the target alone, so a holder can sign
// it; Found holds the facts that the gate adds, among them a salt. Both are
// deterministic CBOR in the format that Type names. SPEC OP-1.
type Operation struct {
	Type  string // such as "http/1"
	Asked []byte
	Found []byte

	decl *Declaration // with view: what Remember was told
	view *View
}

// Remember tells o how it looks under d: a mapper that has just made o from d
// need not look again. Only the mapper of o's type calls it.
func (o *Operation) Remember(d *Declaration, v *View) { o.decl, o.view = d, v }

// Recall returns what Remember was told, if it was of this very d.
func (o *Operation) Recall(d *Declaration) (*View, bool) { return o.view, o.view != nil && o.decl == d }

// AskedDigest returns what a holder signs. SPEC OP-2.
func (o *Operation) AskedDigest() canon.Digest {
	t := canon.Hash([]byte(o.Type))
	return canon.Sum("writ-asked/1", t[:], o.Asked)
}

// Digest returns the operation's digest: over its type, what was asked and what
// was found. SPEC OP-2.
func (o *Operation) Digest() canon.Digest {
	a, f := o.AskedDigest(), canon.Hash(o.Found)
	return canon.Sum("writ-op/1", a[:], f[:])
}

// Facts is the part of an operation that the gate found and every type has.
// A type with more facts embeds it.
type Facts struct {
	// Salt is 16 random bytes: without it the digest of an operation with few
	// possible values could be guessed. SPEC OP-3.
	Salt []byte `cbor:"1,keyasint"`
}

// A View is how rules see an operation.
//
// Values are bool, int64, string, [Decimal], []string (a set) or
// map[string]any (a record) of these. SPEC OP-4.
type View struct {
	Action   string         // such as "http:POST"
	Target   string         // id of the target in the policy
	Resource map[string]any // attributes of Cedar's resource, the same for every declaration of the type
	Context  map[string]any // what the declaration lists: context.query, context.headers, context.body …
}

// A Decimal is the lexeme of a number with one to four digits after its point.
type Decimal string

// A Declaration is one entry of a policy's list of operations: which acts of a
// type the policy can speak about at all. What it does not list is refused
// before a rule is asked. Source: spec/policy.md. SPEC OP-5.
type Declaration struct {
	Type    string   `json:"type"`              // such as "http"
	Targets []string `json:"targets"`           // ids of targets
	Actions []string `json:"actions"`           // such as "http:POST"
	Headers []string `json:"headers,omitempty"` // lower case; forwarded and seen by rules
	Query   []Member `json:"query,omitempty"`
	Body    *Body    `json:"body,omitempty"` // absent: no body
	SQL     *SQL     `json:"sql,omitempty"`  // of type sql
}

// An SQL says what statements may touch, in the server's own names.
type SQL struct {
	Relations []SQLRelation `json:"relations,omitempty"`
	Functions []string      `json:"functions,omitempty"` // schema.name, schema.name(types), or @list
	Types     []string      `json:"types,omitempty"`     // schema.name, outside pg_catalog
	Settings  []string      `json:"settings,omitempty"`  // that SET and SHOW may name
	// Mask lists columns that are returned as NULL: schema.table.column. A statement can
	// return them as they are, and do nothing else with them.
	Mask []string `json:"mask,omitempty"`
	// PurposeComment lets a statement name its purpose in a comment at its end:
	// /*writ_purpose='NAME'*/.
	PurposeComment bool     `json:"purpose_comment,omitempty"`
	Channels       []string `json:"channels,omitempty"` // that LISTEN, UNLISTEN and NOTIFY may name
	// Introspection declares what clients read of catalogs to learn which tables there
	// are, in statements that read nothing else.
	Introspection bool `json:"introspection,omitempty"`
	// Statements, if there are any, are those that may run, and no others.
	Statements []SQLStatement `json:"statements,omitempty"`
}

// An SQLStatement is one statement that may run, as it is written by the gate: with
// every name qualified. Rules see its id and the values that have names.
type SQLStatement struct {
	ID     string     `json:"id"`
	Text   string     `json:"text"`
	Values []SQLValue `json:"values,omitempty"` // of $1, $2 …
	Fixed  []SQLFixed `json:"fixed,omitempty"`  // what rules and quotas see of it beside
}

// An SQLValue says what one bind value may be.
type SQLValue struct {
	Name string   `json:"name"`
	Kind string   `json:"kind"`          // int, text or any
	Min  *int64   `json:"min,omitempty"` // of an int; absent: 0
	Max  *int64   `json:"max,omitempty"`
	In   []string `json:"in,omitempty"`   // of a text; absent: any
	Null bool     `json:"null,omitempty"` // it may be NULL
}

// An SQLFixed is a value that a statement always has, such as an amount of 0 for one
// that moves none: a quota asks every statement for its amount.
type SQLFixed struct {
	Name string `json:"name"`
	Is   int64  `json:"is"`
}

// An SQLRelation is a table, or what is like one, and what may be done with it. A
// list of columns may be ["*"].
type SQLRelation struct {
	Name     string   `json:"name"` // schema.name
	Read     []string `json:"read,omitempty"`
	Insert   []string `json:"insert,omitempty"`
	Update   []string `json:"update,omitempty"`
	Delete   bool     `json:"delete,omitempty"`
	Truncate bool     `json:"truncate,omitempty"`
	Lock     bool     `json:"lock,omitempty"`
	Usage    bool     `json:"usage,omitempty"` // of a sequence
}

// A Body says which bodies an operation may have.
type Body struct {
	Types   []string `json:"types"`             // media types, such as "application/json"
	Members []Member `json:"members,omitempty"` // for JSON and forms
	Opaque  bool     `json:"opaque,omitempty"`  // other types pass by their digest
}

// A Member is one value that a query or body may have, and as what rules see it.
type Member struct {
	Path     string `json:"path"` // names joined by dots
	Type     string `json:"type"` // int, decimal, string, bool, set (of strings), any (passes, rules do not see it)
	Required bool   `json:"required,omitempty"`
}

// A Field describes one attribute in a [Shape].
type Field struct {
	Name     string
	Type     FieldType
	Required bool
	Fields   []Field // of a Record
}

// A FieldType is the type of an attribute as rules see it. Its zero is no type.
type FieldType int

// The types of attributes.
const (
	NoType FieldType = iota
	Bool
	Int
	DecimalNumber
	Text
	Set // of strings
	Record
)

// A Shape is what every [View] of one declaration looks like; rules are
// type-checked against it when a policy is made.
type Shape struct {
	Resource []Field // the same for every declaration of the type
	Context  []Field // such as the records query, headers, body, with the members that d lists
}

// A Mapper is the meaning of one operation type: how its documents look to
// rules. It is pure.
type Mapper interface {
	// Type returns the type's name in declarations, such as "http".
	Type() string
	// Version returns the version that this mapper implements. A fix that
	// changes any view is a new version.
	Version() int
	// Check returns an error that names the field if d is not a declaration of
	// this type.
	Check(d *Declaration) error
	// Shape returns what views under d look like. d has passed Check.
	Shape(d *Declaration) Shape
	// View returns what rules see of o. It gives an error if o is not in its
	// one form, or if d does not list everything that o has; the caller denies.
	View(o *Operation, d *Declaration) (*View, error)
}
