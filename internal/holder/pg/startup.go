package pg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
)

// Codes of the first message of a connection. Source: PostgreSQL, "Message Formats".
const (
	codeCancel  = 80877102
	codeTLS     = 80877103
	codeGSS     = 80877104
	majorOf     = 16 // bits that the major version is shifted by
	cancelBytes = 16 // of a request to cancel; newer ones have longer keys
)

// errEnd is the error for a connection that is over, and that was told why if anybody
// can tell it.
var errEnd = errors.New("end")

// A hello is what a client begins with.
type hello struct {
	raw    []byte // the whole message
	cancel bool
}

// startup returns a client's startup message, or its request to cancel. Encryption is
// declined: a local socket has none. Nothing after the message is read.
func startup(c net.Conn) (*hello, error) {
	for range maxRounds {
		head := make([]byte, 8)
		if _, err := io.ReadFull(c, head); err != nil {
			return nil, errEnd
		}
		n, code := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
		if n < 8 || n > maxStartupBytes { //guard:R11 relay-startup-size
			return nil, errEnd // it may be no client of PostgreSQL, so nothing can be said
		}
		raw := append(head, make([]byte, n-8)...)
		if _, err := io.ReadFull(c, raw[8:]); err != nil {
			return nil, errEnd
		}
		switch {
		case code == codeTLS && n == 8, code == codeGSS && n == 8:
			if _, err := c.Write([]byte{'N'}); err != nil {
				return nil, errEnd
			}
		case code == codeCancel && n >= cancelBytes:
			return &hello{raw, true}, nil
		case code>>majorOf == 3 && raw[n-1] == 0:
			return &hello{raw, false}, nil
		default:
			return nil, errEnd
		}
	}
	return nil, errEnd
}

// withPurpose returns the startup message with the purpose among its options, unless
// they name one. SPEC HPG-3.
func (h *hello) withPurpose(purpose string) []byte {
	if purpose == "" {
		return h.raw
	}
	out := bytes.NewBuffer(append([]byte{0, 0, 0, 0}, h.raw[4:8]...))
	parts := strings.Split(string(h.raw[8:]), "\x00")
	named := false
	for i := 0; i+1 < len(parts) && parts[i] != ""; i += 2 {
		k, v := parts[i], parts[i+1]
		if k == "options" {
			if named = true; !strings.Contains(v, optionName) {
				v += " " + option(purpose)
			}
		}
		out.WriteString(k + "\x00" + v + "\x00")
	}
	if !named {
		out.WriteString("options\x00" + option(purpose) + "\x00")
	}
	out.WriteByte(0)
	b := out.Bytes()
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

// optionName begins how a client says its purpose.
const optionName = "writ.purpose="

func option(purpose string) string { return "-c " + optionName + purpose }

// A message is one of the gate's.
type message struct {
	raw  []byte
	kind byte
	code uint32 // of an authentication message
}

// receive returns the gate's next message.
func receive(g io.Reader) (*message, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(g, head); err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrRelay, errClosed, err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > maxAnswerBytes { //guard:R11 relay-answer-size
		return nil, fmt.Errorf("%w: %w: a message of %d bytes", ErrRelay, errNoGate, n)
	}
	m := &message{raw: append(head, make([]byte, n-4)...), kind: head[0]}
	if _, err := io.ReadFull(g, m.raw[5:]); err != nil {
		return nil, fmt.Errorf("%w: %w: %w", ErrRelay, errClosed, err)
	}
	if m.kind == 'R' && n >= 8 {
		m.code = binary.BigEndian.Uint32(m.raw[5:])
	}
	return m, nil
}
