package pggw

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/pgwire"
)

// past is a deadline that ends a read at once.
var past = time.Unix(1, 0)

// An idler waits for the client, and is told when that is over: because the gate
// stops, or because what the session hangs on does no longer hold.
type idler struct {
	waiting  atomic.Bool // for the client, with nothing under way
	stopping atomic.Bool
	own      atomic.Bool // the gate asks the server something of its own
}

// stop ends the session when nothing is under way in it.
func (x *session) stop() {
	x.stopping.Store(true)
	if x.waiting.Load() {
		x.client.SetReadDeadline(past)
	}
}

// await returns the client's next message. While it waits, what the server says on
// its own goes to a client that listens.
func (x *session) await() (pgproto3.FrontendMessage, error) {
	x.waiting.Store(true)
	defer x.waiting.Store(false)
	if x.stopping.Load() {
		return nil, errStopping
	}
	var heard func() error
	if x.Listening && !x.dirty && x.owed == 0 && x.client.In.Next() == 0 {
		heard = x.listen()
	}
	m, err := x.client.Wire.Receive()
	if heard != nil {
		if err := heard(); err != nil {
			return nil, err
		}
	}
	switch {
	case err == nil:
		return m, nil
	case x.stopping.Load():
		return nil, errStopping
	}
	return nil, errEnd
}

// listen passes notifications on until the function that it returns is called.
func (x *session) listen() (stop func() error) {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				x.hall.Panicked(r)
				done <- errUpstream
			}
		}()
		err := x.heard()
		if err != nil {
			x.client.SetReadDeadline(past) // there is nothing to wait for
		}
		done <- err
	}()
	return func() error {
		x.up.SetReadDeadline(past)
		err := <-done
		x.up.SetReadDeadline(time.Time{})
		return err
	}
}

// heard passes on what the server says until a read is ended.
func (x *session) heard() error {
	for {
		m, err := x.up.Wire.Receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return errUpstream
		}
		if err := x.pass(m); err != nil {
			return err
		}
		if err := x.flush(); err != nil {
			return err
		}
	}
}

// ended tells the client why its session is over, if it still takes anything. SPEC
// PGGW-8.
func (x *session) ended(ctx context.Context, err error) {
	why, code := "", pgwire.CodeShutdown
	switch {
	case ctx.Err() != nil:
		why = gateway.Why(ctx)
	case errors.Is(err, errStopping):
		why = "the gate is stopping"
	case errors.Is(err, errUpstream):
		why, code = "the server closed the connection; what it was doing may be done or not", pgwire.CodeConnection
	default:
		return
	}
	e := &pgproto3.ErrorResponse{
		Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "writ: the session has ended: " + why, Hint: "connect again",
	}
	x.client.SetWriteDeadline(time.Now().Add(maxFarewell))
	x.client.Wire.Send(e)
	x.client.Wire.Flush()
}
