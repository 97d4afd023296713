// Package pgwire speaks PostgreSQL's protocol where a gateway and what stands at its
// other ends do it alike: messages read one at a time, a server logged into,
// requests to cancel.
package pgwire

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Frames reads from a connection no further than to the end of a message at a
// time: what follows can be looked at, and stays below TLS's reach. SPEC PGGW-1.
// Source: PostgreSQL, "Message Formats".
type Frames struct {
	r     *bufio.Reader
	typed bool // messages begin with a byte that says what they are: after the startup
	left  int  // bytes of the message that were not read
}

// NewFrames returns a reader of the messages of r, a startup message first.
func NewFrames(r io.Reader) *Frames { return &Frames{r: bufio.NewReaderSize(r, frameBuffer)} }

// Read reads of one message.
func (f *Frames) Read(b []byte) (int, error) {
	if f.left == 0 {
		head := 4
		if f.typed {
			head = 5
		}
		h, err := f.r.Peek(head)
		if err != nil {
			return 0, err
		}
		f.left = max(head, head-4+int(binary.BigEndian.Uint32(h[head-4:])))
	}
	n, err := f.r.Read(b[:min(len(b), f.left)])
	f.left -= n
	return n, err
}

// Next returns the type of the message that has come and was not read, or 0.
func (f *Frames) Next() byte {
	if f.left > 0 || f.r.Buffered() == 0 {
		return 0
	}
	b, err := f.r.Peek(1)
	if err != nil {
		return 0
	}
	return b[0]
}

// Typed says that the startup is over: messages have a type from here on.
func (f *Frames) Typed() { f.typed = true }

// Waiting returns how many bytes have come and were not read.
func (f *Frames) Waiting() int { return f.r.Buffered() }

// First returns the first byte that comes. It is not read by that.
func (f *Frames) First() (byte, error) {
	b, err := f.r.Peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// Raw returns a reader of what comes, whatever it is.
func (f *Frames) Raw() io.Reader { return f.r }
