package pggw

import (
	"fmt"
	"slices"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

// newUse returns the use that executing m is, for a session that has the names n:
// FETCH and EXECUTE are what was declared or prepared under their name. SPEC PGGW-10.
func (x *session) newUse(text string, m *sqlanalyze.Mapped, n *names) (*use, error) {
	u := &use{text: text, mapped: m, effect: m.Effect}
	if m.Set != nil && m.Set.Name == sql.ReadOnly && slices.Contains(m.Kinds, "transaction") && !x.readOnly { // it says what is so anyway
		plain := *m
		plain.Set, u.mapped = nil, &plain
	}
	if err := x.resolve(u, n); err != nil {
		return nil, err
	}
	if x.stale && x.up.Tx != 'E' { //guard:A17 path-stale
		return nil, errMoved
	}
	x.masked(u)
	return u, x.purposed(u)
}

// resolve finds what stands behind the name that u has, if it has one.
func (x *session) resolve(u *use, n *names) error {
	m := u.mapped
	switch m.Effect.Kind {
	case sqlanalyze.Declare, sqlanalyze.Prepare:
		if n.full(len(m.Effect.Text)) {
			return errFull
		}
	case sqlanalyze.Fetch, sqlanalyze.Move:
		p := n.portals[m.Effect.Name]
		if p == nil || p.prepared.mapped == nil { //guard:R5/sql cursor-known
			return op.Deny(op.OperationInvalid, fmt.Sprintf("this session has no cursor %q", m.Effect.Name))
		}
		u.bind, u.types, u.form = p.bind, p.prepared.types, p.prepared.form
		return x.inside(u, p.prepared)
	case sqlanalyze.Execute:
		p := n.prepared[m.Effect.Name]
		if p == nil || p.mapped == nil { //guard:R5/sql statement-known
			return op.Deny(op.OperationInvalid, fmt.Sprintf("this session has no prepared statement %q", m.Effect.Name))
		}
		u.values, u.types = m.Effect.Values, p.types
		return x.inside(u, p)
	}
	return nil
}

// inside makes u a use of p's statement too. Behind one that itself stands for another,
// such as an EXECUTE that was prepared, that other would not be seen.
func (x *session) inside(u *use, p *prepared) error {
	if p.mapped.Effect.Kind != sqlanalyze.Ordinary { //guard:R5/sql name-behind-name
		return op.Deny(op.OperationInvalid, "what is executed or fetched from by its name is a statement of its own, and not one that does what has another name")
	}
	if err := x.now(p); err != nil {
		return err
	}
	u.mapped = &sqlanalyze.Mapped{Statement: *u.mapped.With(&p.mapped.Statement), Text: p.mapped.Text}
	return nil
}

// uses returns the uses that the statements of a text are, one after the other.
func (x *session) uses(text string, list []sqlanalyze.Mapped) ([]*use, error) {
	n := &x.names
	if len(list) > 1 {
		n = n.clone()
	}
	out := make([]*use, len(list))
	for i := range list {
		u, err := x.newUse(text, &list[i], n)
		if err != nil {
			return nil, err
		}
		if out[i] = u; len(list) > 1 { // what follows sees it
			n.effect(u)
		}
	}
	return out, nil
}

// effect keeps what the server now has of names by u.
func (n *names) effect(u *use) {
	e := &u.effect
	switch e.Kind {
	case sqlanalyze.Declare:
		inner := &sqlanalyze.Mapped{Statement: u.mapped.Statement, Text: e.Text}
		n.setPortal(e.Name, &portal{prepared: &prepared{text: e.Text, types: u.types, form: u.form, mapped: inner}, bind: u.bind, hold: e.Hold})
	case sqlanalyze.Prepare:
		inner := &sqlanalyze.Mapped{Statement: u.mapped.Statement, Text: e.Text}
		n.setPrepared(e.Name, &prepared{text: e.Text, types: e.Types, mapped: inner})
	case sqlanalyze.Close:
		if e.Name != "" {
			n.shut(e.Name)
		} else {
			n.over(true)
		}
	case sqlanalyze.Deallocate:
		n.deallocate(e.Name)
	case sqlanalyze.DiscardAll:
		n.deallocate("")
		n.over(true)
		n.listening = false
	}
	if slices.Contains(u.mapped.Kinds, "listen") {
		n.listening = true
	}
	n.setPurpose(u)
}
