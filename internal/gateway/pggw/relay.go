package pggw

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlmeaning"
	"github.com/writhq/writ/op"
)

var (
	// errSaid is the error for a use of which the client was told already that it
	// failed.
	errSaid = errors.New("postgres: the server refused")
	// errUpstream is the error for a server that has gone.
	errUpstream = errors.New("postgres: the server closed the connection")
	// errStopping is the error for a gate that stops.
	errStopping = errors.New("postgres: the gate is stopping")
)

// fatal reports whether a session cannot go on after err.
func fatal(err error) bool {
	return errors.Is(err, errUpstream) || errors.Is(err, errEnd) || errors.Is(err, errStopping)
}

// result is how far one execution came.
type result struct {
	done    bool // the server said that it is complete
	rows    int64
	bytes   int64
	failed  bool // the server said that it failed
	stopped bool // by a bound of the policy

	passedOver bool // one before it in the same query failed
}

// tag takes the number of rows of a statement that returned none: the last word of
// the tag.
func (r *result) tag(tag []byte) {
	if r.rows > 0 {
		return
	}
	if n, err := strconv.ParseInt(string(tag[bytes.LastIndexByte(tag, ' ')+1:]), 10, 64); err == nil {
		r.rows = n
	}
}

// outcome returns what became of u.
func (u *use) outcome(err error) (gateway.Outcome, error) {
	r := &u.result
	o := gateway.Outcome{Class: gateway.OK, Sent: uint64(len(u.mapped.Text)), Received: uint64(r.bytes), Note: fmt.Sprintf("%d rows", r.rows)}
	if u.effect.Kind == sqlanalyze.CopyIn {
		o.Sent, o.Received = o.Sent+o.Received, 0
	}
	switch {
	case r.stopped:
		o.Class, o.Note = gateway.Stopped, fmt.Sprintf("after %d rows", r.rows)
	case r.failed:
		o.Class = gateway.Failed
	case r.done:
	case !u.sent: // one beside it was denied
		o.Class, o.Sent, o.Note = gateway.NotSent, 0, "not sent"
	case r.passedOver:
		o.Class, o.Note = gateway.Failed, "not run: one before it failed"
	default:
		o.Class, o.Note = gateway.Unknown, "connection"
	}
	return o, err
}

// An answer is what the server says to executions that were sent, from the first
// to the last.
type answer struct {
	*session
	uses    []*use
	at      int          // the one that it speaks of
	sent    func() error // waits until they are
	synced  bool         // a Sync went with them: the answer ends when the server is ready
	failed  bool         // the client was told of an error
	stopped error        // the client gets no more of it; why
	brake   *pgwire.Brake
	held    pgproto3.BackendMessage // that came while the client copied; nil: none
}

// relay sends what waits and passes the server's answer on until it ends. Without a
// Sync that is when the last execution has ended.
func (x *session) relay(uses []*use, synced bool) error {
	if !synced {
		x.up.Wire.Send(&pgproto3.Flush{})
	}
	sent := x.up.Send()
	a := &answer{session: x, uses: uses, sent: sent, synced: synced, brake: pgwire.NewBrake(x.ctx, x.up, x.upTLS, seconds(uses))}
	defer a.brake.End()
	for {
		m, err := a.held, error(nil)
		if a.held = nil; m == nil {
			m, err = x.up.Wire.Receive()
		}
		if err != nil {
			return errUpstream
		}
		if _, ok := m.(*pgproto3.CopyInResponse); ok { // then the client sends more
			err = sent()
		}
		if err != nil {
			return errUpstream
		}
		if done, err := a.take(m); done || err != nil {
			return settled(sent, err)
		}
	}
}

// settled returns err once all was sent, if the session goes on.
func settled(sent func() error, err error) error {
	if fatal(err) {
		return err
	}
	if sent() != nil {
		return errUpstream
	}
	return err
}

// seconds returns the least time that one of the uses is given; 0 is any.
func seconds(uses []*use) (n int64) {
	for _, u := range uses {
		n = pgwire.Least(n, u.bounds.MaxSeconds)
	}
	return n
}

// tooLong returns the denial of what takes longer than the policy gives it.
func tooLong(n int64) *op.Denial {
	d := op.Deny(op.ResponseStopped, fmt.Sprintf("the policy stops a statement after %d seconds", n))
	d.Next = "ask for less, or for less at a time"
	return d
}

func (a *answer) use() *use { return a.uses[min(a.at, len(a.uses)-1)] }

// take takes one message, and reports whether it was the last.
func (a *answer) take(m pgproto3.BackendMessage) (done bool, err error) {
	switch m := m.(type) {
	case *pgproto3.ReadyForQuery:
		return true, a.over(m)
	case *pgproto3.ErrorResponse:
		return a.refused(m)
	case *pgproto3.CommandComplete, *pgproto3.PortalSuspended: // and not what is said to an empty statement, of which the gate sends none with a use
		return a.completed(m)
	case *pgproto3.RowDescription, *pgproto3.NoData:
		if a.description(m) {
			return false, nil
		}
	case *pgproto3.NoticeResponse:
		if a.hushed || a.wordless(a.use()) {
			return false, nil
		}
	case *pgwire.Row:
		return false, a.row(m)
	default:
		if taken, err := a.copying(m); taken {
			return false, err
		}
	}
	if a.stopped != nil {
		return false, nil
	}
	return false, a.pass(m)
}

// row takes one row: as it came, but for what is masked.
func (a *answer) row(m *pgwire.Row) error {
	u := a.use()
	if a.stopped == nil && u.mask != nil {
		a.stop(u.veil(m))
	}
	if a.stopped == nil {
		a.stop(a.count(u, m.Size()))
	}
	if a.stopped != nil {
		return nil
	}
	return a.pass(m)
}

// description takes the description of a result, if columns of it are masked, and
// reports whether the client is not to see it: the gate has asked for it.
func (a *answer) description(m pgproto3.BackendMessage) (own bool) {
	u := a.use()
	if d, ok := m.(*pgproto3.RowDescription); ok && u.mask != nil && a.stopped == nil {
		a.stop(a.hide(u, d))
	}
	own, u.describes = u.describes, false
	return own
}

// stop keeps the rest of the answer from the client, if err says so.
func (a *answer) stop(err error) {
	if err != nil {
		a.use().result.stopped = true
		a.stopped = err
		a.brake.Pull()
	}
}

// completed notes that one execution is complete.
func (a *answer) completed(m pgproto3.BackendMessage) (done bool, err error) {
	u := a.use()
	u.result.done = true
	if c, ok := m.(*pgproto3.CommandComplete); ok {
		u.result.tag(c.CommandTag)
		a.Carry(u.done(!bytes.HasPrefix(c.CommandTag, []byte("ROLLBACK"))))
	}
	if slices.Contains(u.mapped.Kinds, "call") && (a.up.Tx != 'T' || a.Ended) { //guard:R5/sql call-ends
		a.End(false) // the procedure may have ended the transaction
	}
	a.hushed = a.hushed || a.wordless(u) // what it has put off comes later
	if a.moves(u) {                      //guard:A17 path-noted
		a.moved, a.stale = true, true
	}
	a.at++
	a.confirmed()
	if a.stopped == nil {
		err = a.pass(m)
	}
	if a.synced || a.at < len(a.uses) || err != nil {
		return false, err
	}
	return true, a.stopped
}

// refused takes an error of the server.
func (a *answer) refused(m *pgproto3.ErrorResponse) (done bool, err error) {
	u := a.use()
	if a.brake.Late() && a.stopped == nil {
		u.result.stopped = true
		d := tooLong(seconds(a.uses))
		d.Receipt, a.stopped = u.receipt, d
	}
	u.result.failed, a.Undone = true, true
	if a.up.Tx == 'I' { // those before it are taken back with it
		for i := min(a.at, len(a.uses)) - 1; i >= 0 && !a.uses[i].effect.Ends(); i-- {
			a.uses[i].result.failed = a.uses[i].mapped.Changes()
		}
	}
	for _, later := range a.uses[min(a.at+1, len(a.uses)):] {
		later.result.passedOver = true
	}
	if a.stopped == nil {
		a.failed = true
		if a.hushed || a.wordless(u) { //guard:A17 mask-error
			m = pgwire.Wordless(m)
		}
		a.client.Wire.Send(m)
	}
	if a.synced {
		return false, nil
	}
	a.takeBack()
	if a.stopped != nil {
		return true, a.stopped
	}
	return true, errSaid
}

// over ends an answer whose Sync went with it.
func (a *answer) over(m *pgproto3.ReadyForQuery) error {
	a.brake.End()
	a.ready(m.TxStatus)
	if a.stopped != nil {
		a.deny(a.stopped)
		if m.TxStatus == 'T' { //guard:R7/sql stop-fails
			if err := errors.Join(settled(a.sent, nil), a.fail()); err != nil {
				return err
			}
		}
	}
	a.client.Wire.Send(&pgproto3.ReadyForQuery{TxStatus: a.up.Tx})
	if a.stopped != nil || a.failed {
		return errSaid
	}
	return nil
}

// count counts a row of n bytes against the bounds of the policy.
func (x *session) count(u *use, n int64) error {
	if max := u.bounds.MaxRows; max > 0 && u.result.rows >= max { //guard:R7/sql rows-bound
		return u.tooMuch("%d rows", max)
	}
	if max := u.bounds.MaxBytes; max > 0 && u.result.bytes+n > max { //guard:R7/sql bytes-bound
		return u.tooMuch("%d bytes", max)
	}
	u.result.rows++
	u.result.bytes += n
	x.received += uint64(n)
	return nil
}

// tooMuch returns the denial of what is more than the policy lets through.
func (u *use) tooMuch(format string, n int64) error {
	d := op.Deny(op.ResponseStopped, "the policy lets "+fmt.Sprintf(format, n)+" through")
	d.Next, d.Receipt = "ask for less, with LIMIT, or copy less at a time; outside a transaction, what it or another statement of the query changes may be done", u.receipt
	return d
}

// pass sends what the server said on to the client, in pieces that the two can
// hold. What would hand the protocol to something else is not passed.
func (x *session) pass(m pgproto3.BackendMessage) error {
	switch m := m.(type) {
	case *pgproto3.ParameterDescription:
		x.described(m)
	case *pgproto3.CopyInResponse, *pgproto3.CopyOutResponse, *pgproto3.CopyBothResponse, *pgproto3.FunctionCallResponse:
		return errUpstream // no statement that was sent leads to it
	case *pgproto3.ParameterStatus:
		if want, ok := sqlmeaning.Reported[m.Name]; ok && m.Value != want { //guard:A17 pinned-watched
			x.hall.Log().Error("a pinned setting was changed behind the gate", "target", x.target, "setting", m.Name)
			return errUpstream
		}
	}
	x.client.Wire.Send(m)
	if x.waitingOut++; x.waitingOut >= flushEvery || x.client.Wire.Held() >= flushBytes {
		return x.flush()
	}
	return nil
}
