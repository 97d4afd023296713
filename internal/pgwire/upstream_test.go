package pgwire

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// scripted returns a connection to a server that says that to one series, and goes.
func scripted(t *testing.T, said ...pgproto3.BackendMessage) *Upstream {
	t.Helper()
	gate, server := net.Pipe()
	t.Cleanup(func() { gate.Close(); server.Close() })
	go func() {
		b := pgproto3.NewBackend(server, server)
		for {
			m, err := b.Receive()
			if err != nil {
				return
			}
			if _, ok := m.(*pgproto3.Sync); ok {
				break
			}
		}
		for _, m := range said {
			b.Send(m)
		}
		b.Flush() //nolint:errcheck // the test sees what comes
		server.Close()
	}()
	return &Upstream{Conn: gate, Wire: NewServer(gate)}
}

// TestQuery asks a server that says more than the answer.
//
// A17
// guard: unasked-heard
func TestQuery(t *testing.T) {
	t.Parallel()
	notice, changed := &pgproto3.NotificationResponse{Channel: "jobs"}, &pgproto3.ParameterStatus{Name: "client_encoding", Value: "SJIS"}
	row, ready := &pgproto3.DataRow{Values: [][]byte{[]byte("1"), nil}}, &pgproto3.ReadyForQuery{TxStatus: 'T'}
	var heard []pgproto3.BackendMessage
	u := scripted(t, &pgproto3.ParseComplete{}, notice, row, changed, &pgproto3.CommandComplete{}, ready)
	u.Aside = func(m pgproto3.BackendMessage) error {
		heard = append(heard, m)
		return nil
	}
	rows, err := u.Query(t.Context(), "SELECT 1, NULL")
	if err != nil || len(rows) != 1 || !slices.Equal(rows[0], []string{"1", ""}) || u.Tx != 'T' {
		t.Errorf("%q, %v, in %q", rows, err, u.Tx)
	}
	if len(heard) != 2 {
		t.Errorf("heard %v", heard)
	}
	u = scripted(t, changed, ready)
	no := errors.New("no")
	u.Aside = func(pgproto3.BackendMessage) error { return no }
	if _, err := u.Query(t.Context(), "SELECT 1"); !errors.Is(err, no) || !errors.Is(err, ErrWire) || errors.Is(err, ErrRefused) {
		t.Errorf("what is heard ends it: %v", err)
	}
	refused := &pgproto3.ErrorResponse{Code: "42601", Message: "at a value"}
	if _, err := scripted(t, refused, ready).Query(t.Context(), "SELEC"); !errors.Is(err, ErrWire) || !errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "value") {
		t.Errorf("refused: %v", err)
	}
	if _, err := scripted(t, refused).Query(t.Context(), "SELEC"); !errors.Is(err, ErrWire) || errors.Is(err, ErrRefused) {
		t.Errorf("refused, and gone: %v", err)
	}
}
