package pggw

import (
	"errors"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writhq/writ/internal/pgwire"
	"github.com/writhq/writ/internal/sqlanalyze"
)

// copying takes the messages of COPY, where the statement is one, and reports
// whether m was such a message. SPEC PGGW-11.
func (a *answer) copying(m pgproto3.BackendMessage) (taken bool, err error) {
	u := a.use()
	switch m := m.(type) {
	case *pgproto3.CopyOutResponse:
		if u.effect.Kind != sqlanalyze.CopyOut {
			return true, errUpstream
		}
		a.client.Wire.Send(m)
	case *pgproto3.CopyInResponse:
		if u.effect.Kind != sqlanalyze.CopyIn {
			return true, errUpstream
		}
		a.client.Wire.Send(m)
		return true, a.copyIn(u)
	case *pgproto3.CopyData: // one row each
		if a.stopped == nil {
			a.stop(a.count(u, int64(len(m.Data))))
		}
		if a.stopped == nil {
			return true, a.pass(m)
		}
	case *pgproto3.CopyDone:
		if a.stopped == nil {
			return true, a.pass(m)
		}
	default:
		return false, nil
	}
	return true, nil
}

// copyIn sends on what the client copies, until it has ended or is too much. A Sync
// in between says nothing, as at a server.
func (a *answer) copyIn(u *use) error {
	if err := a.flush(); err != nil {
		return err
	}
	for waiting := 0; ; {
		m, err := a.client.Wire.Receive()
		if err != nil {
			return errEnd
		}
		switch m := m.(type) {
		case *pgproto3.CopyData:
			if max := u.bounds.MaxBytes; max > 0 && u.result.bytes+int64(len(m.Data)) > max { //guard:R7/sql copy-bytes
				u.result.stopped = true
				a.stopped = u.tooMuch("%d bytes", max)
				return a.ended(&pgproto3.CopyFail{Message: "stopped"})
			}
			u.result.bytes += int64(len(m.Data))
			a.up.Wire.Send(m)
			if waiting += len(m.Data); waiting < copyPiece && a.client.In.Next() != 0 {
				continue
			}
			waiting = 0
			if err := a.write(); err != nil {
				return err
			}
		case *pgproto3.CopyDone, *pgproto3.CopyFail:
			return a.ended(m)
		case *pgproto3.Flush, *pgproto3.Sync:
		default:
			return errEnd
		}
	}
}

// ended tells the server that the client copies no more.
func (a *answer) ended(m pgproto3.FrontendMessage) error {
	a.up.Wire.Send(m)
	if !a.synced {
		a.up.Wire.Send(&pgproto3.Flush{})
	}
	return a.write()
}

// write sends what was copied. A server that has something to say, such as notices of
// triggers, takes no more before that is heard.
func (a *answer) write() (err error) {
	a.held, err = a.up.Deliver(a.held, func(m pgproto3.BackendMessage) error {
		_, err := a.take(m)
		return err
	})
	if errors.Is(err, pgwire.ErrWire) {
		return errUpstream
	}
	return err
}
