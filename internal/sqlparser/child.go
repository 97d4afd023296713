// Package sqlparser runs PostgreSQL's own grammar, which is C, in processes of its
// own: some texts overflow its stack, and a crash there must be a denial and not
// the end of a gate. The processes hold no secret and know nothing but the text.
//
// A [Pool] is safe for concurrent use.
package sqlparser

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/pganalyze/pg_query_go/v6/parser"
)

// ErrParser is wrapped by every error of this package.
var ErrParser = errors.New("sql parser")

// ErrEnded is wrapped by the error for a text over which the process of the grammar
// ended.
var ErrEnded = fmt.Errorf("%w: it ended over this statement", ErrParser)

// Command is the name of the hidden command that runs [Serve].
const Command = "sql-parser"

// What is asked and answered: a byte, the length of what follows as four bytes,
// and that. A rendered text is answered in two of them.
const (
	askParse    = 'p' // a text
	askRender   = 'r' // a tree
	answerOK    = 'o' // a tree, or a text
	answerError = 'e' // why not
)

// stacked says in the environment that the stack is as large as it must be.
const stacked = "WRIT_SQL_STACK"

// Serve answers on out what it is asked on in, until in ends. It starts the
// program again first, to get the stack that deep statements take.
func Serve(in io.Reader, out io.Writer) error {
	if os.Getenv(stacked) == "" {
		return restart()
	}
	r, w := bufio.NewReader(in), bufio.NewWriter(out)
	for {
		kind, b, err := readFrame(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := answer(w, kind, b); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("%w: write: %w", ErrParser, err)
		}
	}
}

// restart replaces this process by itself with a larger stack: C's threads take
// their size from the limit at the start of a program.
func restart() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_STACK, &l); err != nil {
		return fmt.Errorf("%w: stack: %w", ErrParser, err)
	}
	l.Cur = min(stackBytes, l.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_STACK, &l); err != nil {
		return fmt.Errorf("%w: stack: %w", ErrParser, err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrParser, err)
	}
	return fmt.Errorf("%w: %w", ErrParser, syscall.Exec(self, os.Args, append(os.Environ(), stacked+"=1")))
}

func answer(w *bufio.Writer, kind byte, b []byte) error {
	switch kind {
	case askParse:
		if err := shallow(string(b)); err != nil {
			return reply(w, nil, err)
		}
		tree, err := parser.ParseToProtobuf(string(b))
		return reply(w, tree, err)
	case askRender:
		text, err := parser.DeparseFromProtobuf(b)
		if err != nil {
			return reply(w, nil, err)
		}
		tree, err := parser.ParseToProtobuf(text)
		if err != nil {
			return reply(w, nil, err)
		}
		if err := reply(w, []byte(text), nil); err != nil {
			return err
		}
		return reply(w, tree, nil)
	}
	return fmt.Errorf("%w: unknown question", ErrParser)
}

// shallow returns an error for a long text that the grammar does not take, or whose tree
// is too deep. To encode a tree as it is wanted takes time by the square of its depth;
// as JSON it does not.
func shallow(text string) error {
	if len(text) <= maxQuick {
		return nil
	}
	tree, err := parser.ParseToJSON(text)
	if err != nil {
		return err
	}
	depth := 0
	for i := 0; i < len(tree); i++ {
		switch tree[i] {
		case '"':
			for i++; i < len(tree) && tree[i] != '"'; i++ {
				if tree[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth > maxDepth { //guard:R11 parser-depth
			return errDeep
		}
	}
	return nil
}

var errDeep = errors.New("it is nested too deep")

func reply(w *bufio.Writer, b []byte, err error) error {
	if err != nil {
		return writeFrame(w, answerError, []byte(err.Error()))
	}
	return writeFrame(w, answerOK, b)
}

func readFrame(r *bufio.Reader) (kind byte, b []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("%w: read: %w", ErrParser, err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame { //guard:R11 parser-frame
		return 0, nil, fmt.Errorf("%w: frame of %d bytes", ErrParser, n)
	}
	b = make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, fmt.Errorf("%w: read: %w", ErrParser, err)
	}
	return head[0], b, nil
}

func writeFrame(w *bufio.Writer, kind byte, b []byte) error {
	var head [5]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(b)))
	w.Write(head[:]) // a bufio.Writer's error sticks
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("%w: write: %w", ErrParser, err)
	}
	return nil
}
