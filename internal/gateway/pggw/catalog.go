package pggw

import (
	"errors"

	"github.com/writhq/writ/internal/sqlnames"
	"github.com/writhq/writ/internal/sqltree"
)

// upToDate has the session know the server's names as they are. It asks only at
// the beginning of a series, and not in a transaction that has failed, where
// nothing runs.
func (x *session) upToDate() error {
	quiet := x.owed == 0 && !x.dirty && x.up.Tx != 'E'
	if quiet {
		if err := x.followPath(); err != nil {
			return err
		}
	}
	k, fresh := x.server.Now(x.path, x.age)
	if k == nil || !fresh && quiet {
		var err error
		if k, err = x.server.Read(x.ctx, x.up, x.path, x.age); err != nil {
			x.hall.Log().Error("the server's catalog cannot be read", "target", x.target, "err", err)
			return errUpstream
		}
	}
	x.known = k
	return nil
}

// errChanged is the error for a prepared statement whose names mean something else
// since.
var errChanged = errors.New("what it names has changed on the server since it was prepared: prepare it again")

// now has p mean what its names mean now, under which the server has the same text.
func (x *session) now(p *sqlnames.Prepared) error {
	if p.Known == x.known || p.Mapped == nil {
		return nil
	}
	rest, _ := sqltree.Tail(p.Text)
	list, err := x.known.Statements(x.parsers, rest)
	if err != nil {
		return err
	}
	if len(list) != 1 || list[0].Text != p.Mapped.Text { //guard:R5/sql catalog-changed
		return errChanged
	}
	p.Known, p.Mapped = x.known, &list[0]
	return nil
}
