package pggw

import (
	"fmt"
	"slices"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlnames"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

// newUse returns the use that executing m is, for a session that has the names n:
// FETCH and EXECUTE are what was declared or prepared under their name. SPEC PGGW-10.
func (x *session) newUse(text string, m *sqlanalyze.Mapped, n *sqlnames.Names) (*use, error) {
	u := &use{text: text, mapped: m, effect: m.Effect, path: x.path}
	if m.Set != nil && m.Set.Name == sql.ReadOnly && slices.Contains(m.Kinds, "transaction") && !x.readOnly { // it says what is so anyway
		plain := *m
		plain.Set, u.mapped = nil, &plain
	}
	if err := x.resolve(u, n); err != nil {
		return nil, err
	}
	if x.unsettled(u.mapped, n) { //guard:A17 path-stale
		return nil, errMoved
	}
	x.masked(u)
	return u, x.purposed(u, n)
}

// resolve finds what stands behind the name that u has, if it has one.
func (x *session) resolve(u *use, n *sqlnames.Names) error {
	m := u.mapped
	switch m.Effect.Kind {
	case sqlanalyze.Declare, sqlanalyze.Prepare:
		if n.Full(len(m.Effect.Text)) {
			return errFull
		}
	case sqlanalyze.Savepoint:
		if n.Deep() {
			return errFull
		}
	case sqlanalyze.Fetch, sqlanalyze.Move:
		p := n.Portals[m.Effect.Name]
		if p == nil || p.Prepared.Mapped == nil { //guard:R5/sql cursor-known
			return op.Deny(op.OperationInvalid, fmt.Sprintf("this session has no cursor %q", m.Effect.Name))
		}
		if err := x.along(p); err != nil {
			return err
		}
		u.bind, u.types, u.form = p.Bind, p.Prepared.Types, p.Prepared.Form
		return x.inside(u, p.Prepared)
	case sqlanalyze.Execute:
		p := n.Prepared[m.Effect.Name]
		if p == nil || p.Mapped == nil { //guard:R5/sql statement-known
			return op.Deny(op.OperationInvalid, fmt.Sprintf("this session has no prepared statement %q", m.Effect.Name))
		}
		u.values, u.types = m.Effect.Values, p.Types
		return x.inside(u, p)
	}
	return nil
}

// inside makes u a use of p's statement too. Behind one that itself stands for another,
// such as an EXECUTE that was prepared, that other would not be seen.
func (x *session) inside(u *use, p *sqlnames.Prepared) error {
	if p.Mapped.Effect.Kind != sqlanalyze.Ordinary { //guard:R5/sql name-behind-name
		return op.Deny(op.OperationInvalid, "what is executed or fetched from by its name is a statement of its own, and not one that does what has another name")
	}
	if err := x.now(p); err != nil {
		return err
	}
	u.mapped = &sqlanalyze.Mapped{Statement: *u.mapped.With(&p.Mapped.Statement), Text: p.Mapped.Text}
	return nil
}

// uses returns the uses that the statements of a text are, one after the other.
func (x *session) uses(text string, list []sqlanalyze.Mapped) ([]*use, error) {
	n := &x.Names
	if len(list) > 1 {
		n = n.Clone()
	}
	out := make([]*use, len(list))
	for i := range list {
		u, err := x.newUse(text, &list[i], n)
		if err != nil {
			return nil, err
		}
		if out[i] = u; len(list) > 1 { // what follows sees it
			n.Carry(u.done(x.up.Tx != 'E'))
		}
	}
	return out, nil
}
