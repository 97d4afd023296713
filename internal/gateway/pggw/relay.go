package pggw

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/op"
)

var (
	// errSaid is the error for a use of which the client was told already that it
	// failed: the server said so.
	errSaid = errors.New("postgres: the server refused")
	// errUpstream is the error for a server that has gone.
	errUpstream = errors.New("postgres: the server closed the connection")
)

// errSeveral is the error for a prepared text of several statements.
var errSeveral = errors.New("a prepared statement is one statement")

func isSaid(err error) bool { return errors.Is(err, errSaid) }

// fatal reports whether a session cannot go on after err.
func fatal(err error) bool { return errors.Is(err, errUpstream) || errors.Is(err, errEnd) }

// result is how far one execution came.
type result struct {
	done    bool // the server said that it is complete
	rows    int64
	bytes   int64
	failed  bool // the server said that it failed
	stopped bool // by a bound of the policy

	passedOver bool // one before it in the same query failed
}

// outcome returns what became of u.
func (u *use) outcome(err error) (gateway.Outcome, error) {
	r := &u.result
	o := gateway.Outcome{Class: gateway.OK, Sent: uint64(len(u.mapped.Text)), Received: uint64(r.bytes), Note: fmt.Sprintf("%d rows", r.rows)}
	switch {
	case r.stopped:
		o.Class, o.Note = gateway.Stopped, fmt.Sprintf("after %d rows", r.rows)
	case r.done:
	case r.failed:
		o.Class = gateway.Failed
	case !u.sent: // one beside it was denied
		o.Class, o.Sent, o.Note = gateway.NotSent, 0, "not sent"
	case r.passedOver:
		o.Class, o.Note = gateway.Failed, "not run: one before it failed"
	default:
		o.Class, o.Note = gateway.Unknown, "connection"
	}
	return o, err
}

// relay sends what waits and passes the server's answers on until it is ready. In
// a simple query each use ends with its own completion.
func (x *session) relay(uses []*use) error {
	if err := x.up.wire.Flush(); err != nil {
		return errUpstream
	}
	var failed, stopped error
	at := 0
	for {
		m, err := x.up.wire.Receive()
		if err != nil {
			return errUpstream
		}
		u := uses[min(at, len(uses)-1)]
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			x.ready(m)
			if stopped != nil {
				x.halted()
				x.deny(stopped)
			}
			x.client.wire.Send(m)
			if stopped != nil || failed != nil {
				return errSaid
			}
			return nil
		case *pgproto3.ErrorResponse:
			u.result.failed, failed = true, errSaid
			for _, later := range uses[min(at+1, len(uses)):] {
				later.result.passedOver = true
			}
			if stopped == nil {
				x.client.wire.Send(m)
			}
			continue
		case *pgproto3.CommandComplete, *pgproto3.EmptyQueryResponse:
			u.result.done = true
			at++
		case *pgproto3.DataRow:
			if stopped != nil {
				continue
			}
			if stopped = x.count(u, m); stopped != nil {
				x.halt()
				continue
			}
		}
		if stopped == nil {
			if err := x.pass(m); err != nil {
				return err
			}
		}
	}
}

// halt asks the server to stop what it does, and halted waits until it was asked: a
// request that comes late would stop the next statement. SPEC PGGW-6.
func (x *session) halt() {
	done := make(chan struct{})
	x.halting = done
	go func() {
		defer close(done)
		x.up.cancel(x.ctx, x.act.TLS())
	}()
}

func (x *session) halted() {
	<-x.halting // cancel takes a bounded time
}

// count counts a row against the bounds of the policy.
func (x *session) count(u *use, m *pgproto3.DataRow) error {
	n := int64(0)
	for _, v := range m.Values {
		n += int64(len(v))
	}
	if max := u.bounds.MaxRows; max > 0 && u.result.rows >= max { //guard:R7/sql rows-bound
		u.result.stopped = true
		return &op.Denial{Code: op.ResponseStopped, Reason: fmt.Sprintf("the policy lets %d rows through", max), Next: "ask for less, with LIMIT", Receipt: u.receipt}
	}
	if max := u.bounds.MaxBytes; max > 0 && u.result.bytes+n > max { //guard:R7/sql bytes-bound
		u.result.stopped = true
		return &op.Denial{Code: op.ResponseStopped, Reason: fmt.Sprintf("the policy lets %d bytes through", max), Next: "ask for less, with LIMIT", Receipt: u.receipt}
	}
	u.result.rows++
	u.result.bytes += n
	x.received += uint64(n)
	return nil
}

// pass sends what the server said on to the client, in pieces that the two can
// hold. What would hand the protocol to something else is not passed.
func (x *session) pass(m pgproto3.BackendMessage) error {
	switch m := m.(type) {
	case *pgproto3.CopyInResponse, *pgproto3.CopyOutResponse, *pgproto3.CopyBothResponse, *pgproto3.FunctionCallResponse:
		return errUpstream // no statement that was sent leads to it
	case *pgproto3.ParameterStatus:
		x.up.params[m.Name] = m.Value
	}
	x.client.wire.Send(m)
	if x.waiting++; x.waiting >= flushEvery {
		x.waiting = 0
		return x.flush()
	}
	return nil
}
