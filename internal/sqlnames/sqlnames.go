// Package sqlnames keeps what a session at a PostgreSQL server has under names:
// statements, portals and cursors.
package sqlnames

import (
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlmeaning"
)

// Names are what a session's statements and portals are called: those of the
// protocol, and of PREPARE and DECLARE, which the server keeps in one place. What
// stands here the server has confirmed, or will have before it is used. SPEC PGGW-4.
type Names struct {
	Prepared   map[string]*Prepared
	Portals    map[string]*Portal
	Listening  bool        // to other sessions
	Purpose    string      // that was set; "": that of the connection
	Describing []*Prepared // whose parameters the server will describe, in that order
	Undone     bool        // something has failed since the last transaction or savepoint
	Ended      bool        // a transaction, or what was done since a savepoint, in this series

	held   int      // bytes of texts and values
	saves  []string // savepoints of the transaction
	unsure []func() // take back those that the server has not confirmed
}

// In returns the names of statements and portals in a message.
func In(m pgproto3.FrontendMessage) []string {
	switch m := m.(type) {
	case *pgproto3.Parse:
		return []string{m.Name}
	case *pgproto3.Bind:
		return []string{m.DestinationPortal, m.PreparedStatement}
	case *pgproto3.Describe:
		return []string{m.Name}
	case *pgproto3.Execute:
		return []string{m.Portal}
	case *pgproto3.Close:
		return []string{m.Name}
	}
	return nil
}

// New returns the names of a session that has none.
func New() Names {
	return Names{Prepared: make(map[string]*Prepared), Portals: make(map[string]*Portal)}
}

// A Prepared is a statement that the client has named.
type Prepared struct {
	Text   string
	Types  []uint32            // of its parameters, as far as the client gave them
	Form   []uint32            // the same as the server says; nil: it was not asked
	Mapped *sqlanalyze.Mapped  // nil: empty
	Known  *sqlmeaning.Meaning // by which it was mapped
}

// A Portal is a prepared statement with values.
type Portal struct {
	Prepared *Prepared
	Bind     *pgproto3.Bind // nil: of DECLARE
	Path     []string       // by which the server found what it is of
	Hold     bool           // it outlives its transaction
	Begun    bool           // it was executed

	kept  bool // it outlives its transaction, which has ended well
	depth int  // savepoints that there were when it was made
}

// Size returns how many bytes its text and values have.
func (p *Portal) Size() (n int) {
	if n = len(p.Prepared.Text); p.Bind == nil {
		return n
	}
	for _, v := range p.Bind.Parameters {
		n += len(v)
	}
	return n
}

// Full reports whether there is no room for another of n bytes.
func (n *Names) Full(size int) bool {
	if len(n.Prepared) >= maxPrepared || len(n.Portals) >= maxPrepared || n.held+size > maxHeld { //guard:R11 names-bound
		return true
	}
	return false
}

// Prepare names a statement that was sent and is not confirmed.
func (n *Names) Prepare(name string, p *Prepared) {
	n.SetPrepared(name, p)
	n.unsure = append(n.unsure, func() { n.Unprepare(name) })
}

// Open names a portal that was sent and is not confirmed.
func (n *Names) Open(name string, p *Portal) {
	n.SetPortal(name, p)
	n.unsure = append(n.unsure, func() { n.Shut(name) })
}

// SetPrepared names a statement that the server has.
func (n *Names) SetPrepared(name string, p *Prepared) {
	n.Unprepare(name)
	n.Prepared[name] = p
	n.held += len(p.Text)
}

// SetPortal names a portal that the server has.
func (n *Names) SetPortal(name string, p *Portal) {
	n.Shut(name)
	p.depth = len(n.saves)
	n.Portals[name] = p
	n.held += p.Size()
}

// Clone returns a copy that can change by itself.
func (n *Names) Clone() *Names {
	c := *n
	c.Prepared, c.Portals, c.saves, c.unsure = maps.Clone(n.Prepared), make(map[string]*Portal), slices.Clone(n.saves), nil
	for name, p := range n.Portals {
		own := *p
		c.Portals[name] = &own
	}
	return &c
}

// Unprepare forgets a statement.
func (n *Names) Unprepare(name string) {
	if p := n.Prepared[name]; p != nil {
		n.held -= len(p.Text)
		delete(n.Prepared, name)
	}
}

// Shut forgets a portal.
func (n *Names) Shut(name string) {
	if p := n.Portals[name]; p != nil {
		n.held -= p.Size()
		delete(n.Portals, name)
	}
}

// Unnamed forgets the unnamed ones: a simple query ends them.
func (n *Names) Unnamed() {
	n.Unprepare("")
	n.Shut("")
}

// Confirm notes that the server has taken all that it was sent.
func (n *Names) Confirm() { n.unsure, n.Describing = nil, nil }

// Undo forgets what the server has not confirmed: it may have others under those
// names, and what is decided about must be what it executes.
func (n *Names) Undo() {
	for _, f := range n.unsure {
		f() //guard-call:R5/sql name-unconfirmed
	}
	n.Confirm()
}

// End ends the transaction: portals go with it, but for those that outlive it, if it has
// ended well.
func (n *Names) End(well bool) {
	for name, p := range n.Portals {
		if p.kept = p.kept || p.Hold && well; !p.kept { //guard:R5/sql portal-kept
			n.Shut(name)
		}
	}
	n.Undone, n.Ended, n.saves = false, true, nil
}

// Deep reports whether there is no room for another savepoint.
func (n *Names) Deep() bool {
	if len(n.saves) >= maxPrepared { //guard:R11 saves-bound
		return true
	}
	return false
}

// Save makes a savepoint.
func (n *Names) Save(name string) { n.saves = append(n.saves, name) }

// Release ends a savepoint, and those after it: what was made since is of what is around.
func (n *Names) Release(name string) {
	at := n.save(name)
	n.saves = n.saves[:at]
	for _, p := range n.Portals {
		p.depth = min(p.depth, at)
	}
}

// GoBack forgets the portals that were made since a savepoint, to which the transaction
// has gone back.
func (n *Names) GoBack(name string) {
	at := n.save(name)
	for other, p := range n.Portals {
		if p.depth > at && !p.kept { //guard:R5/sql portal-nested
			n.Shut(other)
		}
	}
	n.saves = n.saves[:min(at+1, len(n.saves))]
	n.Undone, n.Ended = false, true
}

// save returns the place of the last savepoint of the name, or 0.
func (n *Names) save(name string) int {
	for i, s := range slices.Backward(n.saves) {
		if s == name {
			return i
		}
	}
	return 0
}

// ShutAll forgets all portals.
func (n *Names) ShutAll() {
	for name := range n.Portals {
		n.Shut(name)
	}
}

// Deallocate forgets a statement by its name, or with "" all of them.
func (n *Names) Deallocate(name string) {
	if name != "" {
		n.Unprepare(name)
		return
	}
	for name := range n.Prepared {
		n.Unprepare(name)
	}
}
