package pgwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jackc/pgx/v5/pgproto3"
)

// fromClients are messages of every type that clients send.
var fromClients = []pgproto3.FrontendMessage{
	&pgproto3.Query{String: "SELECT 1"}, &pgproto3.Parse{Name: "s", Query: "SELECT $1", ParameterOIDs: []uint32{23}}, &pgproto3.Sync{}, &pgproto3.Flush{}, &pgproto3.Terminate{},
	&pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s", ParameterFormatCodes: []int16{1}, Parameters: [][]byte{[]byte("a"), nil, {}}, ResultFormatCodes: []int16{0}},
	&pgproto3.Describe{ObjectType: 'S', Name: "s"}, &pgproto3.Execute{Portal: "p", MaxRows: 7}, &pgproto3.Close{ObjectType: 'P', Name: "p"}, &pgproto3.CopyData{Data: []byte("1\t2\n")},
	&pgproto3.CopyDone{}, &pgproto3.CopyFail{Message: "no"}, &pgproto3.FunctionCall{Function: 1, Arguments: [][]byte{[]byte("x")}, ArgFormatCodes: []uint16{0}}, &pgproto3.PasswordMessage{Password: "x"},
	&pgproto3.Query{String: strings.Repeat("x", 3*idleBuffer)}, &pgproto3.Query{String: "SELECT 2"}, &pgproto3.CopyData{Data: bytes.Repeat([]byte("y"), 3*buffer)}, &pgproto3.Query{String: strings.Repeat("z", buffer)},
}

// fromServers are messages of every type that servers send to one who was let in.
var fromServers = []pgproto3.BackendMessage{
	&pgproto3.ParseComplete{}, &pgproto3.BindComplete{}, &pgproto3.CloseComplete{}, &pgproto3.NoData{}, &pgproto3.EmptyQueryResponse{}, &pgproto3.PortalSuspended{}, &pgproto3.CopyDone{},
	&pgproto3.ParameterDescription{ParameterOIDs: []uint32{23}}, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("id"), TableOID: 9}}},
	&pgproto3.DataRow{Values: [][]byte{[]byte("one"), nil, {}}}, &pgproto3.DataRow{}, &pgproto3.DataRow{Values: [][]byte{bytes.Repeat([]byte("y"), 3*buffer)}},
	&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}, &pgproto3.ErrorResponse{Severity: "ERROR", Code: "42501", Message: "no"}, &pgproto3.NoticeResponse{Severity: "NOTICE", Code: "00000"},
	&pgproto3.NotificationResponse{PID: 1, Channel: "c", Payload: "p"}, &pgproto3.ParameterStatus{Name: "a", Value: "b"}, &pgproto3.CopyData{Data: []byte("1")},
	&pgproto3.CopyInResponse{ColumnFormatCodes: []uint16{0}}, &pgproto3.CopyOutResponse{ColumnFormatCodes: []uint16{0}}, &pgproto3.CopyBothResponse{ColumnFormatCodes: []uint16{0}},
	&pgproto3.FunctionCallResponse{Result: []byte("x")}, &pgproto3.ReadyForQuery{TxStatus: 'I'},
}

func encoded(t testing.TB, m pgproto3.Message) []byte {
	t.Helper()
	b, err := m.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readers give a stream in pieces of several sizes.
var readers = map[string]func(io.Reader) io.Reader{
	"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "at the end": iotest.DataErrReader,
}

// TestClient reads what clients send, in pieces of any size, as pgproto3 does.
func TestClient(t *testing.T) {
	t.Parallel()
	var stream []byte
	for _, m := range fromClients {
		stream = append(stream, encoded(t, m)...)
	}
	for name, of := range readers {
		c := NewClient(NewFrames(of(bytes.NewReader(stream))), nil)
		want := pgproto3.NewBackend(bytes.NewReader(stream), nil)
		for i := range fromClients {
			got, err := c.Receive()
			if err != nil {
				t.Fatalf("%s: message %d: %v", name, i, err)
			}
			if w, err := want.Receive(); err != nil || !reflect.DeepEqual(got, w) {
				t.Errorf("%s: %#v, want %#v, %v", name, got, w, err)
			}
		}
		if m, err := c.Receive(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the end %v, %v", name, m, err)
		}
	}
	if c := NewClient(NewFrames(bytes.NewReader(stream[:len(stream)-1])), nil); true {
		for range len(fromClients) - 1 {
			c.Receive()
		}
		if m, err := c.Receive(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a part: %v, %v", m, err)
		}
	}
}

// TestServer reads what servers send, in pieces of any size, and sends it on as the
// same bytes.
func TestServer(t *testing.T) {
	t.Parallel()
	var stream []byte
	for _, m := range fromServers {
		stream = append(stream, encoded(t, m)...)
	}
	for name, of := range readers {
		s := NewServer(struct {
			io.Reader
			io.Writer
		}{of(bytes.NewReader(stream)), nil})
		var on bytes.Buffer
		c := NewClient(NewFrames(nil), &on)
		for i := range fromServers {
			got, err := s.Receive()
			if err != nil {
				t.Fatalf("%s: message %d: %v", name, i, err)
			}
			if r, ok := got.(*Row); ok {
				if d, err := r.Values(); err != nil || !reflect.DeepEqual(encoded(t, d), encoded(t, fromServers[i])) {
					t.Errorf("%s: row %v, %v, want %v", name, d, err, fromServers[i])
				}
			} else if reflect.TypeOf(got) != reflect.TypeOf(fromServers[i]) {
				t.Errorf("%s: %T, want %T", name, got, fromServers[i])
			}
			c.Send(got)
		}
		if held := c.Held(); held != len(stream) {
			t.Errorf("%s: %d bytes wait", name, held)
		}
		if err := c.Flush(); err != nil || !bytes.Equal(on.Bytes(), stream) || c.Held() != 0 {
			t.Errorf("%s: sent on, other bytes: %v", name, err)
		}
	}
	if m, err := NewServer(bytes.NewBuffer([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3})).Receive(); err == nil { // to be let in again
		t.Errorf("a message of no session: %v", m)
	}
}

// A stuttering reader says that the time is over before each byte.
type stuttering struct {
	r    io.Reader
	over bool
}

func (s *stuttering) Read(b []byte) (int, error) {
	if s.over = !s.over; s.over {
		return 0, os.ErrDeadlineExceeded
	}
	return s.r.Read(b[:1])
}

// TestDeadlines ends reads in the middle of messages: nothing of them is lost.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	m := &pgproto3.Query{String: strings.Repeat("x", idleBuffer)}
	s := NewClient(NewFrames(&stuttering{r: bytes.NewReader(append(encoded(t, m), encoded(t, m)...))}), nil)
	ended := 0
	for range 2 {
		for {
			got, err := s.Receive()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				ended++
				continue
			}
			if err != nil || !reflect.DeepEqual(got, m) {
				t.Fatalf("%v, %v", got, err)
			}
			break
		}
	}
	if ended < 2*idleBuffer {
		t.Errorf("%d reads ended", ended)
	}
}

// TestMessageBound refuses a message that is larger than any may be, and one that is
// less than nothing, and makes no room for what has not come.
//
// SPEC PGGW-1
// R11
// guard: message-bound
func TestMessageBound(t *testing.T) {
	t.Parallel()
	head := func(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{'d'}, n) }
	whole := func(n int) []byte { return append(head(uint32(n+4)), make([]byte, n)...) }
	for name, c := range map[string]struct {
		b  []byte
		ok bool
	}{"all": {whole(100), true}, "too large": {whole(101), false}, "less than nothing": {head(3), false}} {
		r := NewClient(NewFrames(bytes.NewReader(c.b)), nil)
		r.Bound(100)
		if _, err := r.Receive(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := NewFrames(bytes.NewReader(append(head(1<<30), make([]byte, buffer)...)))
	if _, _, err := f.message(); !errors.Is(err, io.ErrUnexpectedEOF) || len(f.buf) > 2*buffer {
		t.Errorf("a message of 1 GiB that does not come: %v, %d bytes held", err, len(f.buf))
	}
}

// TestIdle has no large buffer for a connection that waits, and wipes what was in one.
//
// R2
func TestIdle(t *testing.T) { // not beside others, which could have the buffer by then
	m := &pgproto3.Query{String: strings.Repeat("x", 2*idleBuffer)}
	f := NewFrames(bytes.NewReader(encoded(t, m)))
	c := NewClient(f, io.Discard)
	if _, err := c.Receive(); err != nil {
		t.Fatal(err)
	}
	had := f.lent
	if had == nil || !bytes.Contains(had[:], []byte("xxx")) {
		t.Fatal("nothing was in the buffer")
	}
	if _, err := c.Receive(); !errors.Is(err, io.EOF) || f.lent != nil || len(f.buf) != idleBuffer {
		t.Errorf("it waits with %d bytes, %v", len(f.buf), err)
	}
	c.Send(m)
	c.Flush()
	if c.writer.lent != nil {
		t.Error("nothing is to be sent, and there is a buffer for it")
	}
	s := NewServer(bytes.NewBuffer(encoded(t, &pgproto3.ReadyForQuery{TxStatus: 'I'})))
	if _, err := s.Receive(); err != nil || s.frames.lent != nil {
		t.Errorf("a server that is ready: %v", err)
	}
	if bytes.Contains(had[:], []byte("x")) {
		t.Error("a buffer was given back with what was in it")
	}
}

// TestRow counts what is in a row, and takes no other. SPEC PGGW-6.
//
// R7/sql
// guard: row-whole
func TestRow(t *testing.T) {
	t.Parallel()
	body := encoded(t, &pgproto3.DataRow{Values: [][]byte{[]byte("one"), nil, []byte("three")}})[5:]
	var r Row
	if err := r.Decode(body); err != nil || r.Size() != 8 {
		t.Fatalf("%d bytes, %v", r.Size(), err)
	}
	for n := range body {
		if err := new(Row).Decode(body[:n]); err == nil {
			t.Errorf("the first %d bytes are a row", n)
		}
	}
	if err := new(Row).Decode(append(bytes.Clone(body), 0)); err == nil {
		t.Error("a byte behind a row was taken")
	}
	if err := new(Row).Decode([]byte{0, 1, 0x80, 0, 0, 0}); err == nil {
		t.Error("a value of less than nothing was taken")
	}
	if r.Hide([]bool{true}) || r.Hide(nil) {
		t.Error("another number of values was hidden")
	}
	want := encoded(t, &pgproto3.DataRow{Values: [][]byte{nil, nil, []byte("three")}})
	if !r.Hide([]bool{true, true, false}) || !bytes.Equal(encoded(t, &r), want) || r.Size() != 5 {
		t.Errorf("hidden: %x of %d bytes", encoded(t, &r), r.Size())
	}
}

// FuzzRow takes a row as pgproto3 does, with nothing behind it, and sends on the bytes
// that pgproto3 would.
//
// R7/sql
func FuzzRow(f *testing.F) {
	for _, m := range fromServers {
		f.Add(encoded(f, m)[5:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d pgproto3.DataRow
		var r Row
		bad := d.Decode(b)
		err := r.Decode(b)
		if err == nil && bad != nil {
			t.Fatalf("it is no row: %v", bad)
		}
		if bad != nil {
			return
		}
		same := bytes.Equal(encoded(t, &d)[5:], b)
		if (err == nil) != same || same && !bytes.Equal(encoded(t, &r)[5:], b) {
			t.Errorf("taken: %v, same bytes: %v", err, same)
		}
	})
}

// FuzzClient reads anything as the messages of a client: each is whole or an error, and
// none is read beyond what has come.
//
// R11
func FuzzClient(f *testing.F) {
	var b []byte
	for _, m := range []pgproto3.FrontendMessage{
		&pgproto3.Parse{Name: "s", Query: "SELECT 1", ParameterOIDs: []uint32{23}}, &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("1"), nil}, ParameterFormatCodes: []int16{0, 1}},
		&pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{MaxRows: 5}, &pgproto3.Close{ObjectType: 'S'}, &pgproto3.CopyData{Data: []byte("a")}, &pgproto3.CopyDone{}, &pgproto3.CopyFail{Message: "x"},
		&pgproto3.FunctionCall{}, &pgproto3.PasswordMessage{Password: "p"}, &pgproto3.Query{String: "SELECT 1"}, &pgproto3.Flush{}, &pgproto3.Sync{}, &pgproto3.Terminate{},
	} {
		one, err := m.Encode(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(one)
		b = append(b, one...)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		const most = 1 << 20
		c := NewClient(NewFrames(bytes.NewReader(b)), io.Discard)
		c.Bound(most)
		for n := 0; ; n++ {
			if _, err := c.Receive(); err != nil {
				return
			}
			if n > len(b)/5 {
				t.Fatalf("%d messages of %d bytes", n, len(b))
			}
		}
	})
}
