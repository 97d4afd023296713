package sqlparser

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// A Pool is the processes that parse for a gate. They are started when they are
// needed. Close it when it is no longer used.
type Pool struct {
	command func() *exec.Cmd
	idle    chan *process // nil where there is room for one that is not started
}

// New returns a pool of at most n processes, each started by command.
func New(n int, command func() *exec.Cmd) *Pool {
	p := &Pool{command: command, idle: make(chan *process, n)}
	for range n {
		p.idle <- nil
	}
	return p
}

// Close ends the processes that are not at work. A pool is not used after it.
func (p *Pool) Close() {
	for range cap(p.idle) {
		if c := <-p.idle; c != nil {
			c.end()
		}
	}
}

// Parse returns the tree of a text, in the bytes of a ParseResult of pg_query. Errors
// wrap [ErrParser].
func (p *Pool) Parse(text string) (tree []byte, err error) {
	answers, err := p.ask(askParse, []byte(text), 1)
	if err != nil {
		return nil, err
	}
	return answers[0], nil
}

// Render returns a text of the tree, and the tree of that text. Errors wrap
// [ErrParser].
func (p *Pool) Render(tree []byte) (text string, again []byte, err error) {
	answers, err := p.ask(askRender, tree, 2)
	if err != nil {
		return "", nil, err
	}
	return string(answers[0]), answers[1], nil
}

// ask puts a question to a process, and returns its n answers. A process that
// fails is ended, and the next question finds a new one.
func (p *Pool) ask(kind byte, b []byte, n int) (answers [][]byte, err error) {
	c := <-p.idle
	defer func() { p.idle <- c }()
	if c == nil {
		if c, err = start(p.command()); err != nil {
			return nil, err
		}
	}
	answers, refused, err := c.ask(kind, b, n)
	if c.uses++; err != nil || c.uses >= maxUses {
		c.end()
		c = nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnded, err)
	}
	if refused != "" {
		return nil, fmt.Errorf("%w: %s", ErrParser, refused)
	}
	return answers, nil
}

type process struct {
	cmd  *exec.Cmd
	in   *bufio.Writer
	stop io.Closer
	out  *bufio.Reader
	uses int
}

func start(cmd *exec.Cmd) (*process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("%w: start: %w", ErrParser, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%w: start: %w", ErrParser, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: start: %w", ErrParser, err)
	}
	return &process{cmd: cmd, in: bufio.NewWriter(in), stop: in, out: bufio.NewReader(out)}, nil
}

func (c *process) end() {
	c.stop.Close()
	c.cmd.Process.Kill()
	c.cmd.Wait() // it was killed: there is nothing to learn from its error
}

// ask returns n answers, or why there are none. One that takes too long is ended.
func (c *process) ask(kind byte, b []byte, n int) (answers [][]byte, refused string, err error) {
	timer := time.AfterFunc(maxAnswer, func() { c.cmd.Process.Kill() })
	defer timer.Stop()
	if err := writeFrame(c.in, kind, b); err != nil {
		return nil, "", err
	}
	if err := c.in.Flush(); err != nil {
		return nil, "", fmt.Errorf("write: %w", err)
	}
	for range n {
		kind, b, err := readFrame(c.out)
		if err != nil {
			return nil, "", err
		}
		if kind == answerError {
			return nil, string(b), nil
		}
		if kind != answerOK {
			return nil, "", fmt.Errorf("unknown answer")
		}
		answers = append(answers, b)
	}
	return answers, "", nil
}
