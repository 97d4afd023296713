package pggw

import (
	"bufio"
	"encoding/binary"
	"io"
)

// frames reads from a connection no further than to the end of a message at a
// time: what follows can be looked at, and stays below TLS's reach. SPEC PGGW-1.
// Source: PostgreSQL, "Message Formats".
type frames struct {
	r     *bufio.Reader
	typed bool // messages begin with a byte that says what they are: after the startup
	left  int  // bytes of the message that were not read
}

func newFrames(r io.Reader) *frames { return &frames{r: bufio.NewReaderSize(r, frameBuffer)} }

// Read reads of one message.
func (f *frames) Read(b []byte) (int, error) {
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

// next returns the type of the message that has come and was not read, or 0.
func (f *frames) next() byte {
	if f.left > 0 || f.r.Buffered() == 0 {
		return 0
	}
	b, err := f.r.Peek(1)
	if err != nil {
		return 0
	}
	return b[0]
}
