package sqlnames

import (
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/op/sql"
)

// A Done is a statement that the server has carried out, or will have before what
// follows it.
type Done struct {
	Effect    *sqlanalyze.Effect
	Statement *sql.Statement
	Bind      *pgproto3.Bind // nil: without values
	Types     []uint32       // of those, as far as the client gave them
	Form      []uint32       // the same as the server says
	Path      []string       // by which its names were found
	Well      bool           // of COMMIT: what it ends has not failed
}

// Carry keeps what the server now has under names by d.
func (n *Names) Carry(d *Done) {
	e := d.Effect
	switch e.Kind {
	case sqlanalyze.Declare:
		inner := &sqlanalyze.Mapped{Statement: *d.Statement, Text: e.Text}
		n.SetPortal(e.Name, &Portal{Prepared: &Prepared{Text: e.Text, Types: d.Types, Form: d.Form, Mapped: inner}, Bind: d.Bind, Path: d.Path, Hold: e.Hold})
	case sqlanalyze.Prepare:
		inner := &sqlanalyze.Mapped{Statement: *d.Statement, Text: e.Text}
		n.SetPrepared(e.Name, &Prepared{Text: e.Text, Types: e.Types, Mapped: inner})
	case sqlanalyze.Close:
		if e.Name != "" {
			n.Shut(e.Name)
		} else {
			n.ShutAll()
		}
	case sqlanalyze.Deallocate:
		n.Deallocate(e.Name)
	case sqlanalyze.DiscardAll:
		n.Deallocate("")
		n.ShutAll()
		n.Listening = false
	case sqlanalyze.Commit:
		n.End(d.Well)
	case sqlanalyze.Rollback:
		n.End(false)
	case sqlanalyze.Savepoint:
		n.Save(e.Name)
	case sqlanalyze.Release:
		n.Release(e.Name)
	case sqlanalyze.RollbackTo:
		n.GoBack(e.Name)
	}
	if slices.Contains(d.Statement.Kinds, "listen") {
		n.Listening = true
	}
	if purpose, ok := d.SetsPurpose(); ok {
		n.Purpose = purpose
	}
}

// SetsPurpose returns the purpose that is the session's after d, if d sets it; "" is
// that of the connection.
func (d *Done) SetsPurpose() (purpose string, ok bool) {
	switch s := d.Statement.Set; {
	case d.Effect.Kind == sqlanalyze.DiscardAll, d.Effect.Kind == sqlanalyze.ResetAll:
		return "", true
	case s != nil && s.Name == sql.PurposeSetting && slices.Contains(d.Statement.Kinds, "set"):
		return s.Value, true
	}
	return "", false
}

// Light reports whether statements have no names, such as SET TRANSACTION, nor what
// stands behind one.
func Light(list []sqlanalyze.Mapped) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(m sqlanalyze.Mapped) bool {
		if m.Effect.ByName() { //guard:A17 look-by-name
			return true
		}
		return slices.ContainsFunc(m.Kinds, func(k string) bool { return k != "transaction" && k != "set" && k != "show" && k != sql.Session })
	})
}
