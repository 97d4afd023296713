// Package pgwire speaks PostgreSQL's protocol where a gateway and what stands at its
// other ends do it alike: messages read one at a time, a server logged into,
// requests to cancel.
package pgwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Frames reads messages from a connection. What has come of the next one can be looked
// at, and stays where it is until all of it has come, so that a read that is ended by a
// deadline goes on with the next. It holds a large buffer only while there is something
// in it: most connections wait. SPEC PGGW-1. Source: PostgreSQL, "Message Formats".
type Frames struct {
	r        io.Reader
	max      int           // bytes of a message's body; 0 is any number
	small    []byte        // what it waits with; may be empty
	lent     *[buffer]byte // nil: it has none
	buf      []byte        // what it reads into: small, lent, or one of a larger message
	from, to int           // of buf, what has come and was not taken
	used     int           // of lent, what was written to
}

// buffers are for what comes and goes while something does. They are wiped: what one
// connection has read is no other's.
var buffers = sync.Pool{New: func() any { return new([buffer]byte) }}

// NewFrames returns a reader of the messages of r.
func NewFrames(r io.Reader) *Frames {
	small := make([]byte, idleBuffer)
	return &Frames{r: r, small: small, buf: small}
}

// Next returns the type of the message that has come and was not read, or 0.
func (f *Frames) Next() byte {
	if f.from == f.to {
		return 0
	}
	return f.buf[f.from]
}

// Waiting returns how many bytes have come and were not read.
func (f *Frames) Waiting() int { return f.to - f.from }

// First returns the first byte that comes. It is not read by that.
func (f *Frames) First() (byte, error) {
	b, err := f.peek(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// Raw returns a reader of what comes, whatever it is. f is not used after it.
func (f *Frames) Raw() io.Reader {
	if f.from == f.to {
		return f.r
	}
	return io.MultiReader(bytes.NewReader(bytes.Clone(f.buf[f.from:f.to])), f.r)
}

// message returns the type and the body of the next message, which are the reader's
// until the next call of any method.
func (f *Frames) message() (kind byte, body []byte, err error) {
	const head = 5
	h, err := f.peek(head)
	if err != nil {
		return 0, nil, err
	}
	kind = h[0]
	n := int(binary.BigEndian.Uint32(h[1:])) - 4
	if n < 0 || f.max > 0 && n > f.max { //guard:R11 message-bound
		return 0, nil, fmt.Errorf("%w: a message of %d bytes", ErrWire, n)
	}
	b, err := f.peek(head + n)
	if err != nil {
		return 0, nil, err
	}
	f.from += head + n
	return kind, b[head:], nil
}

// peek returns the next n bytes, when they have come.
func (f *Frames) peek(n int) ([]byte, error) {
	if f.from == f.to {
		f.rest()
	}
	for f.to-f.from < n {
		if f.to == len(f.buf) || f.from > 0 && f.from+n > len(f.buf) {
			f.room(n)
		}
		k, err := f.r.Read(f.buf[f.to:])
		f.to += k
		f.used = max(f.used, f.to)
		if errors.Is(err, io.EOF) && f.to > f.from {
			err = io.ErrUnexpectedEOF
		}
		if err != nil && f.to-f.from < n {
			return nil, err
		}
	}
	return f.buf[f.from : f.from+n : f.from+n], nil
}

// room makes room for more of a message of n bytes. It grows with what has come, not
// with what a message says that it is.
func (f *Frames) room(n int) {
	had, used, have := f.lent, f.used, f.to-f.from
	into := f.buf
	if size := min(n, max(2*have, buffer)); size > len(f.buf) {
		if f.lent = nil; size <= buffer {
			f.lent = buffers.Get().(*[buffer]byte)
			into = f.lent[:]
		} else {
			into = make([]byte, size)
		}
	}
	copy(into, f.buf[f.from:f.to])
	f.buf, f.from, f.to = into, 0, have
	if had != f.lent {
		giveBack(had, used)
		f.used = have
	}
}

// rest gives back what the reader does not wait with. Nothing has come that was not
// taken.
func (f *Frames) rest() {
	giveBack(f.lent, f.used)
	f.lent, f.buf, f.from, f.to, f.used = nil, f.small, 0, 0, 0
}

// giveBack gives back a buffer of which used bytes were written to.
func giveBack(b *[buffer]byte, used int) {
	if b != nil {
		clear(b[:min(used, buffer)])
		buffers.Put(b)
	}
}
