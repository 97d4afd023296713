package pggw

import (
	"slices"

	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlmeaning"
	"github.com/writhq/writ/internal/sqlnames"
	"github.com/writhq/writ/op"
)

// moves reports whether u changes where the server looks for names, or may: to reset
// that, and to take back what was done, as COMMIT does to what has failed, changes
// something only if it was ever changed.
func (x *session) moves(u *use) bool {
	switch u.effect.Kind {
	case sqlanalyze.ResetPath, sqlanalyze.ResetAll, sqlanalyze.DiscardAll:
		return x.moved
	}
	if u.effect.Ends() || u.effect.Kind == sqlanalyze.RollbackTo { //guard:A17 path-taken-back
		return x.moved
	}
	if slices.Contains(u.mapped.Kinds, "call") { // a procedure can end transactions
		return x.moved
	}
	s := u.mapped.Set
	return s != nil && s.Name == "search_path" && !slices.Contains(u.mapped.Kinds, "show")
}

// errMoved is the denial of what stands behind a change of the search path in the same
// series: its names were found, or would be, by the path before.
var errMoved = op.Deny(op.OperationInvalid, "the search path changes in this series, or a failed transaction ends in it: do that in a query of its own")

// alone returns errMoved if one of several statements changes the path. SPEC SQL-13.
func (x *session) alone(uses []*use) error {
	if len(uses) > 1 && slices.ContainsFunc(uses, x.moves) { //guard:A17 path-alone
		return errMoved
	}
	return nil
}

// unsettled reports whether names in m may be looked for along another path than is
// known, or in another catalog: because that has changed in this series, or because a
// transaction that had failed, in which nothing could be asked, has ended in it.
func (x *session) unsettled(m *sqlanalyze.Mapped, n *sqlnames.Names) bool {
	if m == nil || slices.Equal(m.Kinds, []string{"transaction"}) { // without names
		return false
	}
	if x.up.Tx == 'E' {
		return n.Ended
	}
	return x.stale
}

// errFoundElse is the error for a portal that is used when names are looked for along
// another path than when it was made: what is decided about would be another statement.
var errFoundElse = op.Deny(op.OperationInvalid, "the search path has changed since this portal or cursor was made: make it again")

// along returns errFoundElse if p was made by another search path.
func (x *session) along(p *sqlnames.Portal) error {
	if !slices.Equal(p.Path, x.path) { //guard:A17 portal-path
		return errFoundElse
	}
	return nil
}

// followPath asks the server where it looks for names, which was changed once: a
// transaction that is rolled back, say, changes it back.
func (x *session) followPath() error {
	path, err := sqlmeaning.Path(x.ctx, x.up)
	if err != nil {
		return err
	}
	x.path, x.stale = path, false
	return nil
}
