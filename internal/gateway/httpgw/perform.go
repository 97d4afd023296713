package httpgw

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/op"
	ophttp "github.com/writhq/writ/op/http"
	"github.com/writhq/writ/secret"
)

// A performance is one permitted request on its way.
type performance struct {
	w        http.ResponseWriter
	asked    *ophttp.Asked
	body     []byte // as received; used only if the operation has its digest alone
	answered bool   // a status was sent to the client
	aborted  bool   // the response was stopped after that
	scan     *gateway.Scanner
	conn     *gateway.Conn
	now      func() time.Time
	receipt  canon.Digest    // id of the intent's receipt
	stall    time.Duration   // how long the client may take for the next bytes
	ctx      context.Context // of the act: ends when it is no longer allowed
	received uint64
}

// do sends what the operation says and passes the response on. SPEC HTTPGW-1.
func (p *performance) do(ctx context.Context, a *gateway.Act) (gateway.Outcome, error) {
	req, err := p.asked.Request(p.body)
	if err != nil { //guard:R5 body-of-operation
		return gateway.Outcome{Class: gateway.NotSent, Note: "body"}, err
	}
	head, err := render(req, a, p.now())
	if err != nil {
		return gateway.Outcome{Class: gateway.NotSent, Note: "render"}, err
	}
	defer head.Wipe()
	conn, err := a.Dial(ctx)
	if err != nil {
		return gateway.Outcome{Class: gateway.NotSent, Note: "dial"}, refuse(http.StatusBadGateway, "the target cannot be reached")
	}
	p.conn, p.ctx, p.receipt = conn, ctx, a.Receipt
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	p.scan = scanner(a)
	defer p.scan.Wipe()
	sent, err := send(conn, head, req.Body)
	if err != nil {
		conn.Close()
		if sent == 0 {
			return gateway.Outcome{Class: gateway.NotSent, Note: "send"}, refuse(http.StatusBadGateway, "the target closed the connection; nothing was sent")
		}
		return gateway.Outcome{Class: gateway.Unknown, Note: "send", Sent: uint64(len(req.Body))}, p.begun(op.OutcomeUnknown, "the target closed the connection")
	}
	out, err := p.receive(conn, req.Method, &a.Response)
	out.Sent, out.Received = uint64(len(req.Body)), p.received
	if err == nil {
		p.w.Header().Del("Connection")
	}
	return out, err
}

// send writes head and body, and returns how many bytes were written.
func send(conn *gateway.Conn, head secret.Bytes, body []byte) (n int, err error) {
	conn.SetWriteDeadline(time.Now().Add(maxUpstreamWait))
	err = head.Use(func(h []byte) (err error) {
		if len(body) > 0 && len(body) < 8<<10 { // one packet for the usual request
			whole := append(append(make([]byte, 0, len(h)+len(body)), h...), body...)
			defer clear(whole)
			n, err = conn.Write(whole)
			return err
		}
		if n, err = conn.Write(h); err != nil || len(body) == 0 {
			return err
		}
		m, err := conn.Write(body)
		n += m
		return err
	})
	return n, err
}

// receive reads the response and passes it on.
func (p *performance) receive(conn *gateway.Conn, method string, c *gateway.Response) (gateway.Outcome, error) {
	resp, err := readHead(conn, method)
	if err != nil {
		conn.Close()
		return gateway.Outcome{Class: gateway.Unknown, Note: "response"}, p.begun(op.OutcomeUnknown, "the target gave no proper response")
	}
	defer resp.Body.Close()
	out := gateway.Outcome{Class: gateway.OK, Status: resp.StatusCode}
	if resp.StatusCode >= 400 {
		out.Class = gateway.Failed
	}
	if err := p.pass(resp, c); err != nil {
		conn.Close()
		out.Class, out.Note = gateway.Stopped, stopNote(err)
		p.aborted = p.answered
		return out, p.begun(op.ResponseStopped, "the target was called, and its response is held back: "+out.Note)
	}
	if resp.Close || resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		conn.Close()
	} else {
		conn.Release()
	}
	return out, nil
}

// begun returns what the holder is told of an operation that was permitted, and
// may have been done: not to send it again before looking.
func (p *performance) begun(c op.Code, reason string) *op.Denial {
	return &op.Denial{Code: c, Reason: reason, Next: "look at the target before you repeat the call", Receipt: p.receipt}
}

func readHead(conn *gateway.Conn, method string) (*http.Response, error) {
	conn.SetReadDeadline(time.Now().Add(maxUpstreamWait))
	conn.Limit(maxUpstreamHeader)
	defer conn.Limit(-1)
	for range maxInterim {
		resp, err := http.ReadResponse(conn.Reader(), &http.Request{Method: method})
		if err != nil {
			return nil, fmt.Errorf("http: read response: %w", err)
		}
		if resp.StatusCode == http.StatusSwitchingProtocols { //guard:A16 upgrade
			return nil, fmt.Errorf("http: the target switches protocols")
		}
		if resp.StatusCode >= 200 {
			return resp, nil
		}
	}
	return nil, fmt.Errorf("http: too many interim responses")
}

func stopNote(err error) string {
	if gateway.IsSecretSeen(err) {
		return "secret in response"
	}
	if r, ok := err.(*refusal); ok {
		return r.detail
	}
	return "cut short"
}

// readAll reads a whole body of at most n bytes.
func readAll(r io.Reader, n int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, n+1))
	if err == nil && int64(len(b)) > n {
		err = refuse(http.StatusBadGateway, "too large")
	}
	return b, err
}
