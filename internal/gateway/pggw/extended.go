package pggw

import (
	"bytes"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/internal/sqlanalyze"
	"github.com/writhq/writ/internal/sqlnames"
	"github.com/writhq/writ/internal/sqltree"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
)

// parse takes a statement: what it does is known from here on, and nothing of it
// runs before an execution is permitted. A statement that the policy does not
// declare does not reach the server.
func (x *session) parse(m *pgproto3.Parse) error {
	if slices.ContainsFunc(m.ParameterOIDs, func(t uint32) bool { return t >= firstOwn }) { //guard:R15/sql type-own
		return x.refuseUntilSync(x.record(op.Deny(op.OperationInvalid, "a parameter of a type that is not the server's own is given by a cast in the text, so that the type can be seen")))
	}
	rest, _ := sqltree.Tail(m.Query)
	list, err := x.known.Statements(x.parsers, rest)
	if err != nil {
		return x.refuseUntilSync(x.record(err))
	}
	if len(list) > 1 {
		return x.refuseUntilSync(x.record(errors.New("a prepared statement is one statement")))
	}
	if x.Full(len(m.Query)) {
		return x.refuseUntilSync(errFull)
	}
	p := &sqlnames.Prepared{Text: m.Query, Known: x.known, Types: slices.Clone(m.ParameterOIDs)}
	text := ""
	if len(list) == 1 {
		p.Mapped = &list[0]
		text = p.Mapped.Text
		if d := x.undeclared(p.Mapped); d != nil && !p.Mapped.Effect.ByName() {
			return x.refuseUntilSync(x.recordDenied(p, d))
		}
	}
	x.Prepare(m.Name, p)
	x.up.Wire.Send(&pgproto3.Parse{Name: m.Name, Query: text, ParameterOIDs: m.ParameterOIDs})
	return x.answered(1)
}

// firstOwn is the first number of a type that is not the server's own. Source:
// PostgreSQL, FirstNormalObjectId.
const firstOwn = 16384

var errFull = op.Deny(op.QuotaExceeded, "too many prepared statements and portals, or too large; close some")

// undeclared returns why the policy does not speak about what m does, or nil. The
// gate looks again at each execution.
func (x *session) undeclared(m *sqlanalyze.Mapped) *op.Denial {
	d, _, ok := x.holder.Lookup(m.Action(), x.target)
	if !ok {
		return op.Deny(op.NotDeclared, m.Action()+" is not among the policy's operations on this target")
	}
	if err := (&sql.Found{Statement: m.Statement, Text: m.Text}).Prepared(d); err != nil {
		return op.Deny(op.NotDeclared, err.Error())
	}
	return nil
}

// recordDenied has the statement decided, which says no, and returns that.
func (x *session) recordDenied(p *sqlnames.Prepared, d *op.Denial) error {
	r := x.request(&use{text: p.Text, mapped: p.Mapped})
	r.Denial = d
	return x.denied(r)
}

// bind takes values for a statement.
func (x *session) bind(m *pgproto3.Bind) error {
	p := x.Prepared[m.PreparedStatement]
	if p == nil {
		return x.refuseUntilSync(op.Deny(op.OperationInvalid, "there is no such prepared statement"))
	}
	if x.unsettled(p.Mapped, &x.Names) { //guard:A17 bind-stale
		return x.refuseUntilSync(x.record(errMoved))
	}
	kept := &pgproto3.Bind{
		DestinationPortal: m.DestinationPortal, PreparedStatement: m.PreparedStatement,
		ParameterFormatCodes: slices.Clone(m.ParameterFormatCodes), ResultFormatCodes: slices.Clone(m.ResultFormatCodes),
	}
	for _, v := range m.Parameters { // they are the reader's until the next message
		kept.Parameters = append(kept.Parameters, bytes.Clone(v))
	}
	if opened := (&sqlnames.Portal{Prepared: p, Bind: kept, Path: x.path}); x.Full(opened.Size()) {
		return x.refuseUntilSync(errFull)
	} else if opened.Size()-len(p.Text) > maxValues { //guard:R11 values-bound
		return x.refuseUntilSync(x.record(op.Deny(op.OperationInvalid, "the values of one execution have at most 900 KiB together, since its receipt keeps them: COPY takes more")))
	} else {
		x.Open(m.DestinationPortal, opened)
	}
	if p.Mapped != nil {
		x.seconds = pgwire.Least(x.seconds, x.holder.Bounds(p.Mapped.Action(), x.target).MaxSeconds)
	}
	x.up.Wire.Send(kept)
	return x.answered(1)
}

func (x *session) describe(m *pgproto3.Describe) error {
	if m.ObjectType == 'S' && x.Prepared[m.Name] == nil || m.ObjectType == 'P' && x.Portals[m.Name] == nil {
		return x.refuseUntilSync(op.Deny(op.OperationInvalid, "there is no such statement or portal"))
	}
	x.up.Wire.Send(&pgproto3.Describe{ObjectType: m.ObjectType, Name: m.Name})
	if m.ObjectType == 'S' {
		x.Describing = append(x.Describing, x.Prepared[m.Name])
		return x.answered(2) // parameters, then rows
	}
	return x.answered(1)
}

// described keeps the types that the server says parameters have, of those that the
// client left open.
func (x *session) described(m *pgproto3.ParameterDescription) {
	if len(x.Describing) == 0 {
		return
	}
	p := x.Describing[0]
	x.Describing = x.Describing[1:]
	types := slices.Clone(m.ParameterOIDs)
	for i, t := range p.Types {
		if t != 0 && i < len(types) {
			types[i] = t
		}
	}
	p.Form = types
}

func (x *session) close(m *pgproto3.Close) error {
	if m.ObjectType == 'S' {
		x.Unprepare(m.Name)
	} else {
		x.Shut(m.Name)
	}
	x.up.Wire.Send(&pgproto3.Close{ObjectType: m.ObjectType, Name: m.Name})
	return x.answered(1)
}

// answered notes that the server owes the client n messages, which are read with
// the next execution or Sync, or when they or what waits for the server are many.
func (x *session) answered(n int) error {
	x.owed += n
	x.dirty = true
	if x.owed >= maxOwed || x.up.Wire.Held() >= maxOut { //guard:R11 series-bound
		return x.collect()
	}
	return nil
}

// confirmed notes that the server has taken all that it was sent.
func (x *session) confirmed() {
	x.owed = 0
	x.Confirm()
}

// takeBack forgets the names that the server has not confirmed.
func (x *session) takeBack() {
	x.owed = 0
	x.Undo()
}

// execute asks the gate about one execution with its values, and runs it. A Sync
// that has come behind it goes to the server with it.
func (x *session) execute(m *pgproto3.Execute) error {
	p := x.Portals[m.Portal]
	if p == nil {
		return x.refuseUntilSync(op.Deny(op.OperationInvalid, "there is no such portal"))
	}
	if p.Prepared.Mapped == nil {
		x.up.Wire.Send(&pgproto3.Execute{Portal: m.Portal, MaxRows: m.MaxRows})
		return x.answered(1)
	}
	if p.Begun && p.Prepared.Mapped.Effect.ByName() { //guard:R5/sql portal-again
		return x.refuseUntilSync(x.record(op.Deny(op.OperationInvalid, "a portal of EXECUTE or FETCH is executed once: what stands behind the name may be another by now")))
	}
	if err := x.along(p); err != nil {
		return x.refuseUntilSync(x.record(err))
	}
	if err := x.now(p.Prepared); err != nil {
		return x.refuseUntilSync(x.record(err))
	}
	u, err := x.newUse(p.Prepared.Text, p.Prepared.Mapped, &x.Names)
	if err != nil {
		return x.refuseUntilSync(x.record(err))
	}
	if u.bind == nil {
		u.bind, u.types, u.form = p.Bind, p.Prepared.Types, p.Prepared.Form
	}
	if u.mask != nil { // what is owed comes first: then the next description is the gate's
		if err := x.collect(); err != nil || x.skipping {
			return err
		}
	}
	portal, rows, synced := m.Portal, m.MaxRows, false
	err = x.together([]*use{u}, func() error {
		if u.describes = u.mask != nil; u.describes {
			x.up.Wire.Send(&pgproto3.Describe{ObjectType: 'P', Name: portal})
		}
		x.up.Wire.Send(&pgproto3.Execute{Portal: portal, MaxRows: rows})
		x.dirty, u.sent, p.Begun = true, true, true
		if u.effect.Kind != sqlanalyze.CopyIn && x.client.In.Next() == 'S' {
			m, err := x.client.Wire.Receive()
			if _, ok := m.(*pgproto3.Sync); err != nil || !ok {
				return errEnd
			}
			x.up.Wire.Send(&pgproto3.Sync{})
			synced = true
		}
		return x.relay([]*use{u}, synced)
	})
	switch {
	case err == nil, fatal(err):
		return err
	case !errors.Is(err, errSaid):
		return x.refuseUntilSync(err)
	}
	x.skipping = !synced
	return nil
}

// refuseUntilSync tells the client no, and passes over what it sends until Sync.
// What the server said before comes first.
func (x *session) refuseUntilSync(err error) error {
	if x.ctx.Err() != nil {
		return errEnd
	}
	if fatal(err) {
		return err
	}
	if err := x.collect(); err != nil || x.skipping { // then the client was told already
		return err
	}
	x.deny(err)
	x.skipping, x.broken = true, true
	return nil
}

// collect reads what the server owes.
func (x *session) collect() error {
	if x.owed == 0 {
		return nil
	}
	x.up.Wire.Send(&pgproto3.Flush{})
	sent := x.up.Send()
	brake := pgwire.NewBrake(x.ctx, x.up, x.upTLS, x.seconds) // the server computes what it takes for constant
	defer brake.End()
	for x.owed > 0 {
		m, err := x.up.Wire.Receive()
		if err != nil {
			return errUpstream
		}
		if e, ok := m.(*pgproto3.ErrorResponse); ok {
			x.takeBack()
			x.skipping = true
			return settled(sent, x.failed(e, brake))
		}
		if _, ok := m.(*pgproto3.NoticeResponse); ok && len(x.masks) > 0 { //guard:A17 mask-notice-bind
			continue
		}
		if !pgwire.Unasked(m) {
			x.owed--
		}
		if err := x.pass(m); err != nil {
			return err
		}
	}
	x.confirmed()
	return settled(sent, nil)
}

// failed tells the client of an error of the server that is of no one execution.
func (x *session) failed(m *pgproto3.ErrorResponse, brake *pgwire.Brake) error {
	x.Undone = true
	if brake.Late() {
		x.deny(x.record(tooLong(x.seconds)))
		return nil
	}
	if len(x.masks) > 0 {
		m = pgwire.Wordless(m)
	}
	x.client.Wire.Send(m)
	return nil
}

// sync ends a series of messages. One that was refused fails the transaction
// upstream too, as an error of the server would have.
func (x *session) sync() error {
	if !x.skipping {
		if err := x.collect(); err != nil {
			return err
		}
	}
	if x.broken && (x.up.Tx == 'T' || x.dirty) {
		x.up.Wire.Send(&pgproto3.Parse{Query: "writ_denied"})
	}
	x.up.Wire.Send(&pgproto3.Sync{})
	sent := x.up.Send()
	quiet := x.broken || x.skipping
	brake := pgwire.NewBrake(x.ctx, x.up, x.upTLS, x.seconds) // what was put off to the end of a transaction
	defer brake.End()
	for {
		m, err := x.up.Wire.Receive()
		if err != nil {
			return errUpstream
		}
		if r, ok := m.(*pgproto3.ReadyForQuery); ok {
			x.ready(r.TxStatus)
			x.client.Wire.Send(r)
			return settled(sent, nil)
		}
		if _, ok := m.(*pgproto3.NoticeResponse); ok && len(x.masks) > 0 { //guard:A17 mask-notice
			continue
		}
		e, failed := m.(*pgproto3.ErrorResponse)
		x.Undone = x.Undone || failed
		switch {
		case quiet && !pgwire.Unasked(m):
		case failed:
			err = x.failed(e, brake)
		default:
			err = x.pass(m)
		}
		if err != nil {
			return err
		}
	}
}
