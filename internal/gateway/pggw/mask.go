package pggw

import (
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

// masked notes which columns the declaration of u's action masks, if u reads one.
func (x *session) masked(u *use) {
	d, _, ok := x.holder.Lookup(u.mapped.Action(), x.target)
	if ok && d.SQL != nil && slices.ContainsFunc(u.mapped.Reads, func(c sql.Column) bool { return slices.Contains(d.SQL.Mask, c.String()) }) {
		u.mask = d.SQL.Mask
	}
}

// hide finds out which columns of a result are masked: by where the server says that
// they come from. One of which that is not known could be any. SPEC PGGW-13.
func (x *session) hide(u *use, m *pgproto3.RowDescription) error {
	u.hidden = make([]bool, len(m.Fields))
	for i, f := range m.Fields {
		c, ok := x.known.Origin(f.TableOID, f.TableAttributeNumber)
		if !ok || !slices.Contains(u.mapped.Reads, c) { //guard:R7/sql mask-origin
			return &op.Denial{
				Code: op.ResponseStopped, Reason: "the server does not say where the column " + string(f.Name) + " comes from, and others in the statement are masked",
				Next: "ask for what is computed in a statement of its own", Receipt: u.receipt,
			}
		}
		u.hidden[i] = slices.Contains(u.mask, c.String())
	}
	return nil
}

// veil takes masked values out of a row. One of which nothing was said is no row.
func (u *use) veil(m *pgwire.Row) error {
	if !m.Hide(u.hidden) {
		return &op.Denial{Code: op.ResponseStopped, Reason: "the server gave a row that it has not described, and columns are masked", Receipt: u.receipt}
	}
	return nil
}

// wordless reports whether what the server says of u could show what is masked: u reads
// it, writes into a table that has it, or ends what was put off till then. A17.
func (x *session) wordless(u *use) bool {
	if u.mask != nil || len(x.masks) == 0 {
		return u.mask != nil
	}
	return slices.Contains(u.mapped.Kinds, "transaction") || slices.Contains(u.mapped.Kinds, "call") || u.mapped.Writes(x.masks)
}
