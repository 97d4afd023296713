package pgwire

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgproto3"
)

// A writer gathers messages and sends them together.
type writer struct {
	w    io.Writer
	lent *[buffer]byte // nil: nothing waits
	out  []byte
	err  error // of a message that could not be written as bytes
}

// Send adds a message to those that wait for [writer.Flush], which returns its error.
func (w *writer) Send(m pgproto3.Message) {
	if w.err != nil {
		return
	}
	if w.lent == nil {
		w.lent = buffers.Get().(*[buffer]byte)
		w.out = w.lent[:0]
	}
	out, err := m.Encode(w.out)
	if err != nil {
		w.err = fmt.Errorf("%w: %w", ErrWire, err)
		return
	}
	w.out = out
}

// Held returns how many bytes wait.
func (w *writer) Held() int { return len(w.out) }

// Flush sends what waits, in one write.
func (w *writer) Flush() (err error) {
	if w.err == nil && len(w.out) > 0 {
		_, err = w.w.Write(w.out)
	} else {
		err = w.err
	}
	giveBack(w.lent, len(w.out))
	w.lent, w.out, w.err = nil, nil, nil
	return err
}

// A Client is a connection to a client, as a server has it. What Receive returns is
// valid until the next call.
type Client struct {
	*Frames
	writer
	query    pgproto3.Query
	parse    pgproto3.Parse
	bind     pgproto3.Bind
	describe pgproto3.Describe
	execute  pgproto3.Execute
	data     pgproto3.CopyData
}

// NewClient returns the connection that f reads, and w writes.
func NewClient(f *Frames, w io.Writer) *Client { return &Client{Frames: f, writer: writer{w: w}} }

// Bound sets how many bytes the body of a message may have.
func (c *Client) Bound(n int) { c.max = n }

// Startup returns the first message, which has no type: a [pgproto3.StartupMessage], or
// what comes instead of one.
func (c *Client) Startup() (pgproto3.FrontendMessage, error) {
	const head = 4
	h, err := c.peek(head)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(h))
	if n < 2*head || n > maxStartupBytes {
		return nil, fmt.Errorf("%w: a startup message of %d bytes", ErrWire, n)
	}
	b, err := c.peek(n)
	if err != nil {
		return nil, err
	}
	c.from += n
	b = b[head:]
	var m pgproto3.FrontendMessage
	switch binary.BigEndian.Uint32(b) { // Source: PostgreSQL, "Message Formats"
	case 80877102:
		m = &pgproto3.CancelRequest{}
	case 80877103:
		m = &pgproto3.SSLRequest{}
	case 80877104:
		m = &pgproto3.GSSEncRequest{}
	default:
		return startupMessage(b)
	}
	return m, m.Decode(b)
}

// startupMessage returns a startup message of any minor version.
func startupMessage(b []byte) (*pgproto3.StartupMessage, error) {
	m, version := &pgproto3.StartupMessage{}, binary.BigEndian.Uint32(b)
	if version>>16 == pgproto3.ProtocolVersion30>>16 { // the library knows two of them, and they are the same here
		b = append(binary.BigEndian.AppendUint32(nil, pgproto3.ProtocolVersion30), b[4:]...)
	}
	err := m.Decode(b)
	m.ProtocolVersion = version
	return m, err
}

// Receive returns the next message.
func (c *Client) Receive() (pgproto3.FrontendMessage, error) {
	kind, body, err := c.message()
	if err != nil {
		return nil, err
	}
	m := c.of(kind)
	if m == nil {
		return nil, fmt.Errorf("%w: a message of the type %d", ErrWire, kind)
	}
	return m, m.Decode(body)
}

// of returns what a message of the type is decoded into; nil if there is no such type.
func (c *Client) of(kind byte) pgproto3.FrontendMessage {
	switch kind {
	case 'B':
		return &c.bind
	case 'C':
		return &pgproto3.Close{}
	case 'c':
		return &pgproto3.CopyDone{}
	case 'D':
		return &c.describe
	case 'd':
		return &c.data
	case 'E':
		return &c.execute
	case 'F':
		return &pgproto3.FunctionCall{}
	case 'f':
		return &pgproto3.CopyFail{}
	case 'H':
		return &pgproto3.Flush{}
	case 'P':
		return &c.parse
	case 'p':
		return &pgproto3.PasswordMessage{}
	case 'Q':
		return &c.query
	case 'S':
		return &pgproto3.Sync{}
	case 'X':
		return &pgproto3.Terminate{}
	}
	return nil
}

// A Server is a connection to a server that has let someone in, as a client has it.
// What Receive returns is valid until the next call.
type Server struct {
	frames Frames
	writer
	columns  pgproto3.RowDescription
	row      Row
	complete pgproto3.CommandComplete
	ready    pgproto3.ReadyForQuery
	data     pgproto3.CopyData
}

// NewServer returns the connection rw.
func NewServer(rw io.ReadWriter) *Server {
	return &Server{frames: Frames{r: rw}, writer: writer{w: rw}}
}

// Receive returns the next message. A row is a [Row].
func (s *Server) Receive() (pgproto3.BackendMessage, error) {
	kind, body, err := s.frames.message()
	if err != nil {
		return nil, err
	}
	m := s.of(kind)
	if m == nil {
		return nil, fmt.Errorf("%w: a message of the type %d", ErrWire, kind)
	}
	if err := m.Decode(body); err != nil {
		return nil, err
	}
	if m == &s.ready && s.frames.Waiting() == 0 {
		s.frames.rest() // it says nothing until it is asked
	}
	return m, nil
}

// of returns what a message of the type is decoded into; nil if there is no such type.
func (s *Server) of(kind byte) pgproto3.BackendMessage {
	switch kind {
	case 'C':
		return &s.complete
	case 'D':
		return &s.row
	case 'd':
		return &s.data
	case 'Z':
		return &s.ready
	case '1':
		return &pgproto3.ParseComplete{}
	case '2':
		return &pgproto3.BindComplete{}
	case '3':
		return &pgproto3.CloseComplete{}
	case 'A':
		return &pgproto3.NotificationResponse{}
	case 'c':
		return &pgproto3.CopyDone{}
	case 'E':
		return &pgproto3.ErrorResponse{}
	case 'G':
		return &pgproto3.CopyInResponse{}
	case 'H':
		return &pgproto3.CopyOutResponse{}
	case 'I':
		return &pgproto3.EmptyQueryResponse{}
	case 'N':
		return &pgproto3.NoticeResponse{}
	case 'n':
		return &pgproto3.NoData{}
	case 'S':
		return &pgproto3.ParameterStatus{}
	case 's':
		return &pgproto3.PortalSuspended{}
	case 'T':
		return &s.columns
	case 't':
		return &pgproto3.ParameterDescription{}
	case 'V':
		return &pgproto3.FunctionCallResponse{}
	case 'W':
		return &pgproto3.CopyBothResponse{}
	}
	return nil
}
