package pggw

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlnames"
	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op"
)

// upToDate has the session know the server's names as they are before m: at the
// beginning of a series, and in one that takes long. In a transaction that has failed
// nothing runs; and what begins one is not to come after a look.
func (x *session) upToDate(m pgproto3.FrontendMessage) error {
	switch m.(type) {
	case *pgproto3.Query, *pgproto3.Parse, *pgproto3.Bind, *pgproto3.Execute:
	default:
		return nil
	}
	begins := x.owed == 0 && !x.dirty && x.up.Tx != 'E'
	if begins && x.moved {
		if err := x.asked(x.followPath); err != nil {
			return err
		}
	}
	age := x.age
	if !begins {
		age = x.within
	}
	k, fresh := x.server.Now(x.path, age)
	if fresh || x.up.Tx == 'E' || x.light(m) {
		x.known = k
		return nil
	}
	var q interface {
		Query(ctx context.Context, sql string) ([][]string, error)
	} = x.up
	if !begins { //guard:A17 series-long
		if err := x.collect(); err != nil || x.skipping {
			return err
		}
		q = x.up.Series()
	}
	return x.asked(func() (err error) {
		k, err = x.server.Read(x.ctx, q, x.path, age)
		if err == nil {
			x.known = k
		}
		return err
	})
}

// asked calls what asks the server something that is the gate's own: a client's request
// to cancel is not for that.
func (x *session) asked(fn func() error) error {
	x.own.Store(true)
	defer x.own.Store(false)
	err := fn()
	switch {
	case err == nil, fatal(err):
		return err
	case errors.Is(err, pgwire.ErrRefused):
		x.Undone = true
		return op.Deny(op.StateUnavailable, "the server has not told the gate its catalog: the client cancelled, or its statement_timeout is too short for that")
	}
	x.hall.Log().Error("the server's catalog cannot be read", "target", x.target, "err", err)
	return errUpstream
}

// unread answers m, before which the catalog was not read.
func (x *session) unread(m pgproto3.FrontendMessage, err error) error {
	if fatal(err) {
		return err
	}
	if _, ok := m.(*pgproto3.Query); !ok {
		return x.refuseUntilSync(x.record(err))
	}
	x.deny(x.record(err))
	return x.refused()
}

// light reports whether m is of statements that have no names, such as SET TRANSACTION,
// nor what stands behind one.
func (x *session) light(m pgproto3.FrontendMessage) bool {
	var list []sqlanalyze.Mapped
	of := func(p *sqlnames.Prepared) {
		if p != nil && p.Mapped != nil {
			list = append(list, *p.Mapped)
		}
	}
	switch m := m.(type) {
	case *pgproto3.Query:
		rest, _ := sqltree.Tail(m.String)
		list, _ = x.known.Statements(x.parsers, rest)
	case *pgproto3.Parse:
		rest, _ := sqltree.Tail(m.Query)
		list, _ = x.known.Statements(x.parsers, rest)
	case *pgproto3.Bind:
		of(x.Prepared[m.PreparedStatement])
	case *pgproto3.Execute:
		if p := x.Portals[m.Portal]; p != nil {
			of(p.Prepared)
		}
	}
	return sqlnames.Light(list)
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
