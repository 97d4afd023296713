package pggw

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlmeaning"
	"github.com/writhq/writ/internal/sqlnames"
	"github.com/writhq/writ/internal/sqlparser"
	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op"
)

// A session is one client that was let in, and its connection to the server. It
// is one act of the gate, which ends when credential or policy do; every
// execution in it is another.
type session struct {
	*handler
	client *client
	holder *gateway.Session
	target string
	proof  gateway.Proof
	begun  bool // the client was told that it is connected

	up       *pgwire.Upstream
	upTLS    *tls.Config
	readOnly bool     // transactions upstream are
	masks    []string // columns of the target that the policy masks
	path     []string // schemas that unqualified names are looked for in
	known    *sqlmeaning.Meaning
	ctx      context.Context
	server   *sqlmeaning.Server
	moved    bool // the path was changed once
	stale    bool // it was changed, and not asked for since
	idler

	sqlnames.Names
	hushed     bool  // what was put off in this series could show what is masked
	skipping   bool  // until Sync: a message before it was refused
	broken     bool  // the gate refused it: the server does not know
	dirty      bool  // something was sent upstream since the last Sync
	owed       int   // answers of the server that the client has not got
	seconds    int64 // that what was bound since the last Sync is given; 0 is any
	waitingOut int   // messages that wait for the client
	received   uint64
}

// run is the act of a session.
func (x *session) run(ctx context.Context, a *gateway.Act) (gateway.Outcome, error) {
	x.path = []string{"pg_catalog", "public"}
	x.upTLS = a.TLS()
	up, err := x.connect(ctx, a)
	a.Secret.Wipe() // a session goes on for long after the server has let it in
	if ctx.Err() != nil {
		return x.cut(ctx)
	}
	if err != nil {
		x.hall.Log().Error("the server did not let the gate in", "target", x.target, "err", err)
		return gateway.Outcome{Class: gateway.Failed, Note: "connect"}, &op.Denial{
			Code: op.TargetRefused, Reason: "the server cannot be reached, or does not let the gate in", Receipt: a.Receipt,
		}
	}
	defer up.Close()
	x.up, x.ctx, x.Names = up, ctx, sqlnames.New()
	defer context.AfterFunc(ctx, x.abort)()
	x.server = x.servers.Get(sqlmeaning.Key{Origin: a.Target.Origin, User: a.Target.Inject.Name})
	if x.known, err = x.server.Read(ctx, up, x.path, x.age); ctx.Err() != nil {
		return x.cut(ctx)
	} else if err != nil {
		x.hall.Log().Error("the server's catalog cannot be read", "target", x.target, "err", err)
		return gateway.Outcome{Class: gateway.Failed, Note: "catalog"}, &op.Denial{Code: op.TargetRefused, Reason: "the server's catalog cannot be read", Receipt: a.Receipt}
	}
	err = x.speak()
	x.ended(ctx, err)
	out := gateway.Outcome{Class: gateway.OK, Received: x.received}
	switch {
	case ctx.Err() != nil:
		out.Class, out.Note = gateway.Stopped, "no longer allowed"
	case errors.Is(err, errStopping):
		out.Note = "the gate stops"
	case err != nil && !errors.Is(err, errEnd):
		out.Class, out.Note = gateway.Failed, "connection"
	}
	return out, nil
}

// abort ends a session that is no longer good, and what it has the server do: of a
// connection that is closed the server knows only when it has done that.
func (x *session) abort() {
	x.client.SetReadDeadline(past)
	x.client.SetWriteDeadline(time.Now().Add(maxFarewell))
	if !x.waiting.Load() { //guard:R28/sql under-way-ends
		x.up.Cancel(context.WithoutCancel(x.ctx), x.upTLS)
	}
	x.up.Close()
}

// cut ends a session that stopped being good before it had begun.
func (x *session) cut(ctx context.Context) (gateway.Outcome, error) {
	x.begun = true
	x.ended(ctx, errEnd)
	return gateway.Outcome{Class: gateway.Stopped, Note: "no longer allowed"}, nil
}

// speak tells the client that it is connected and answers it until it leaves.
func (x *session) speak() error {
	data, forget := x.cancels.Add(x.client.Key, func() {
		if !x.own.Load() {
			x.up.Cancel(x.ctx, x.upTLS)
		}
	})
	defer forget()
	x.begun = true
	x.up.Aside = x.pass
	c := x.client
	c.Wire.Bound(maxMessage)
	c.Wire.Send(&pgproto3.AuthenticationOk{})
	for k, v := range x.up.Params {
		c.Wire.Send(&pgproto3.ParameterStatus{Name: k, Value: v})
	}
	c.Wire.Send(data)
	c.Wire.Send(&pgproto3.ReadyForQuery{TxStatus: x.up.Tx})
	for {
		if err := x.flush(); err != nil {
			return err
		}
		m, err := x.await()
		if err != nil {
			return err
		}
		if err := x.message(m); err != nil {
			x.flush() //nolint:errcheck // the client may have gone
			return err
		}
	}
}

// flush sends what waits for the client.
func (x *session) flush() error {
	x.waitingOut = 0
	if x.ctx.Err() == nil {
		x.client.SetWriteDeadline(time.Now().Add(x.stall)) //guard-call:R11 pg-answer-stall
	}
	if err := x.client.Wire.Flush(); err != nil {
		return errEnd
	}
	return nil
}

// message takes one message of the client. SPEC PGGW-4.
func (x *session) message(m pgproto3.FrontendMessage) error {
	if x.skipping {
		switch m.(type) {
		case *pgproto3.Sync, *pgproto3.Terminate:
		default:
			return nil
		}
	}
	if slices.ContainsFunc(sqlnames.In(m), func(name string) bool { return len(name) > sqlnames.MaxName || name == pgwire.OwnName }) { //guard:R5/sql name-length
		return x.refuseUntilSync(op.Deny(op.OperationInvalid, fmt.Sprintf("the name of a statement or portal has at most %d bytes, and is not the gate's own", sqlnames.MaxName)))
	}
	if err := x.upToDate(m); err != nil {
		return x.unread(m, err)
	}
	if x.skipping {
		if _, ok := m.(*pgproto3.Sync); !ok { // what stood before it has failed
			return nil
		}
	}
	switch m := m.(type) {
	case *pgproto3.Query:
		return x.query(m.String)
	case *pgproto3.Parse:
		return x.parse(m)
	case *pgproto3.Bind:
		return x.bind(m)
	case *pgproto3.Describe:
		return x.describe(m)
	case *pgproto3.Execute:
		return x.execute(m)
	case *pgproto3.Close:
		return x.close(m)
	case *pgproto3.Sync:
		return x.sync()
	case *pgproto3.Flush:
		return x.collect()
	case *pgproto3.Terminate:
		return errEnd
	case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
		return nil // what was on its way when a COPY was refused
	}
	x.client.refuse(op.Deny(op.OperationInvalid, fmt.Sprintf("%T is not taken by this gate", m)))
	return errEnd
}

// deny tells the client no. In the extended protocol what follows is passed over
// until Sync. SPEC PGGW-5.
func (x *session) deny(err error) {
	if x.ctx.Err() != nil {
		return // the session ends, and says why
	}
	x.client.Wire.Send(pgwire.Problem(err))
}

// query runs the statements of a simple query, if all of them are permitted.
func (x *session) query(text string) error {
	if err := x.collect(); err != nil || x.skipping {
		return err
	}
	x.Unnamed()
	rest, _ := sqltree.Tail(text)
	list, err := x.known.Statements(x.parsers, rest)
	if err != nil {
		x.deny(x.record(err))
		return x.refused()
	}
	if len(list) == 0 {
		x.client.Wire.Send(&pgproto3.EmptyQueryResponse{})
		if x.dirty { // it ends the series, and what was done in that
			return x.sync()
		}
		x.client.Wire.Send(&pgproto3.ReadyForQuery{TxStatus: x.up.Tx})
		return nil
	}
	uses, err := x.uses(text, list)
	if err == nil {
		err = x.alone(uses)
	}
	if err != nil {
		x.deny(x.record(err))
		return x.refused()
	}
	whole := ""
	for i := range list {
		whole += list[i].Text + ";"
	}
	err = x.together(uses, func() error {
		for _, u := range uses {
			u.sent = true
		}
		x.up.Wire.Send(&pgproto3.Query{String: whole})
		return x.relay(uses, true)
	})
	return x.after(err)
}

// after ends a simple query: a denial is told, another error ends the session.
func (x *session) after(err error) error {
	if err == nil || errors.Is(err, errSaid) {
		return nil
	}
	if fatal(err) {
		return err
	}
	x.deny(err)
	return x.refused()
}

// refused makes a denial in a transaction what an error of the server is there.
func (x *session) refused() error {
	if x.ctx.Err() != nil {
		return errEnd
	}
	if x.up.Tx == 'T' || x.dirty { // also what was executed since the last Sync is one transaction
		if err := x.fail(); err != nil {
			return err
		}
	}
	x.client.Wire.Send(&pgproto3.ReadyForQuery{TxStatus: x.up.Tx})
	return nil
}

// fail makes the transaction upstream fail, by a statement that is none.
func (x *session) fail() error {
	if _, err := x.up.Query(x.ctx, "writ_denied"); err != nil && !errors.Is(err, pgwire.ErrRefused) || x.up.Tx == 'T' {
		return errUpstream
	}
	x.Undone = true
	x.ready(x.up.Tx)
	return nil
}

// ready notes that the server has ended a series: what it did not confirm it does
// not have, and portals live no longer than their transaction.
func (x *session) ready(tx byte) {
	x.up.Tx = tx
	x.takeBack()
	x.skipping, x.broken, x.dirty, x.owed, x.seconds = false, false, false, 0, 0
	if tx == 'I' {
		x.End(!x.Undone)
	}
	x.Ended, x.hushed = false, false
}

// together asks the gate about all uses, and calls fn if all are permitted.
func (x *session) together(uses []*use, fn func() error) error {
	u := uses[0]
	return x.holder.Do(x.ctx, x.request(u), func(_ context.Context, a *gateway.Act) (gateway.Outcome, error) {
		u.bounds, u.receipt = a.Response, a.Receipt
		var err error
		if len(uses) > 1 {
			err = x.together(uses[1:], fn)
		} else {
			err = fn()
		}
		return u.outcome(err)
	})
}

// denied has the gate record r, which it must deny, and returns the denial.
func (x *session) denied(r *gateway.Request) error {
	return x.holder.Do(x.ctx, r, func(context.Context, *gateway.Act) (gateway.Outcome, error) {
		return gateway.Outcome{Class: gateway.NotSent}, errors.New("postgres: a denial that was none")
	})
}

// record has a statement that could not be mapped denied on the record.
func (x *session) record(why error) error {
	d, ok := errors.AsType[*op.Denial](why)
	state := ""
	if !ok {
		reason := why.Error()
		if u, ok := errors.AsType[*sqlanalyze.Denial](why); ok {
			reason, state = u.Reason, u.State
		} else if _, text, ok := strings.Cut(reason, sqlparser.ErrParser.Error()+": "); ok && !errors.Is(why, sqlparser.ErrEnded) {
			reason, state = text, pgwire.CodeSyntax
		}
		d = op.Deny(op.OperationInvalid, reason)
	}
	err := x.denied(&gateway.Request{Action: "sql:unknown", Target: x.target, Proof: x.proof, Denial: d})
	if state != "" {
		err = pgwire.WithState(err, state)
	}
	return err
}
