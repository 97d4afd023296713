package pggw

import (
	"maps"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlmeaning"
)

// names are what a session's statements and portals are called: those of the
// protocol, and of PREPARE and DECLARE, which the server keeps in one place. What
// stands here the server has confirmed, or will have before it is used. SPEC PGGW-4.
type names struct {
	prepared   map[string]*prepared
	portals    map[string]*portal
	held       int         // bytes of their texts and values
	listening  bool        // to other sessions
	purpose    string      // that was set; "": that of the connection
	describing []*prepared // whose parameters the server will describe, in that order
	unsure     []func()    // take back those that the server has not confirmed
}

func newNames() names {
	return names{prepared: make(map[string]*prepared), portals: make(map[string]*portal)}
}

// prepared is a statement that the client has named.
type prepared struct {
	text   string
	types  []uint32            // of its parameters, as far as the client gave them
	form   []uint32            // the same as the server says; nil: it was not asked
	mapped *sqlanalyze.Mapped  // nil: empty
	known  *sqlmeaning.Meaning // by which it was mapped
}

// portal is a prepared statement with values.
type portal struct {
	prepared *prepared
	bind     *pgproto3.Bind // nil: of DECLARE
	hold     bool           // it outlives its transaction
}

func (p *portal) size() (n int) {
	if n = len(p.prepared.text); p.bind == nil {
		return n
	}
	for _, v := range p.bind.Parameters {
		n += len(v)
	}
	return n
}

// full reports whether there is no room for another of n bytes.
func (n *names) full(size int) bool {
	if len(n.prepared) >= maxPrepared || len(n.portals) >= maxPrepared || n.held+size > maxHeld { //guard:R11 names-bound
		return true
	}
	return false
}

// prepare names a statement that was sent and is not confirmed.
func (n *names) prepare(name string, p *prepared) {
	n.setPrepared(name, p)
	n.unsure = append(n.unsure, func() { n.unprepare(name) })
}

// open names a portal that was sent and is not confirmed.
func (n *names) open(name string, p *portal) {
	n.setPortal(name, p)
	n.unsure = append(n.unsure, func() { n.shut(name) })
}

func (n *names) setPrepared(name string, p *prepared) {
	n.unprepare(name)
	n.prepared[name] = p
	n.held += len(p.text)
}

func (n *names) setPortal(name string, p *portal) {
	n.shut(name)
	n.portals[name] = p
	n.held += p.size()
}

// clone returns a copy that can change by itself.
func (n *names) clone() *names {
	c := *n
	c.prepared, c.portals, c.unsure = maps.Clone(n.prepared), maps.Clone(n.portals), nil
	return &c
}

// unprepare forgets a statement.
func (n *names) unprepare(name string) {
	if p := n.prepared[name]; p != nil {
		n.held -= len(p.text)
		delete(n.prepared, name)
	}
}

// shut forgets a portal.
func (n *names) shut(name string) {
	if p := n.portals[name]; p != nil {
		n.held -= p.size()
		delete(n.portals, name)
	}
}

// unnamed forgets the unnamed ones: a simple query ends them.
func (n *names) unnamed() {
	n.unprepare("")
	n.shut("")
}

// undo forgets what the server has not confirmed: it may have others under those
// names, and what is decided about must be what it executes.
func (n *names) undo() {
	for _, f := range n.unsure {
		f() //guard-call:R5/sql name-unconfirmed
	}
	n.unsure = nil
}

// over forgets the portals, which live no longer than their transaction: all of
// them, or those that do not outlive it.
func (n *names) over(all bool) {
	for name, p := range n.portals {
		if all || !p.hold {
			n.shut(name)
		}
	}
}

// deallocate forgets a statement by its name, or with "" all of them.
func (n *names) deallocate(name string) {
	if name != "" {
		n.unprepare(name)
		return
	}
	for name := range n.prepared {
		n.unprepare(name)
	}
}
