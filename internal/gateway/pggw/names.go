package pggw

import (
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/sqlanalyze"
)

// names are what a session's statements and portals are called: those of the
// protocol, and of PREPARE and DECLARE, which the server keeps in one place. What
// stands here the server has confirmed, or will have before it is used. SPEC PGGW-4.
type names struct {
	prepared map[string]*prepared
	portals  map[string]*portal
	unsure   []func() // take back those that the server has not confirmed
}

func newNames() names {
	return names{prepared: make(map[string]*prepared), portals: make(map[string]*portal)}
}

// prepared is a statement that the client has named.
type prepared struct {
	text   string
	mapped *sqlanalyze.Mapped // nil: empty
}

// portal is a prepared statement with values.
type portal struct {
	prepared *prepared
	bind     *pgproto3.Bind
}

// unnamed forgets the unnamed ones: a simple query ends them.
func (n *names) unnamed() {
	delete(n.prepared, "")
	delete(n.portals, "")
}

// prepare names a statement that was sent and is not confirmed.
func (n *names) prepare(name string, p *prepared) {
	n.prepared[name] = p
	n.unsure = append(n.unsure, func() { delete(n.prepared, name) })
}

// open names a portal that was sent and is not confirmed.
func (n *names) open(name string, p *portal) {
	n.portals[name] = p
	n.unsure = append(n.unsure, func() { delete(n.portals, name) })
}

// undo forgets what the server has not confirmed: it may have others under those
// names, and what is decided about must be what it executes.
func (n *names) undo() {
	for _, f := range n.unsure {
		f() //guard-call:R5/sql name-unconfirmed
	}
	n.unsure = nil
}
