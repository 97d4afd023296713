package httpgw

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ/internal/gateway"
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
	ctx      context.Context // of the act: ends when it is no longer allowed
	received uint64
}

// do sends what the operation says and passes the response on. SPEC HTTPGW-1,
// HTTPGW-2, HTTPGW-3.
func (p *performance) do(ctx context.Context, a *gateway.Act) (gateway.Outcome, error) {
	req, err := p.asked.Request(p.body)
	if err != nil { //guard:R5 body-of-operation
		return gateway.Outcome{Class: gateway.NotSent, Note: "body"}, err
	}
	head, err := render(req, a)
	if err != nil {
		return gateway.Outcome{Class: gateway.NotSent, Note: "render"}, err
	}
	defer head.Wipe()
	conn, err := a.Dial(ctx)
	if err != nil {
		return gateway.Outcome{Class: gateway.NotSent, Note: "dial"}, refuse(http.StatusBadGateway, "the target cannot be reached")
	}
	p.conn, p.ctx = conn, ctx
	stop := context.AfterFunc(ctx, conn.Abort)
	defer stop()
	p.scan = scanner(a)
	defer p.scan.Wipe()
	sent, err := send(conn, head, req.Body)
	if err != nil {
		conn.Close()
		class := gateway.Unknown
		if sent == 0 {
			class = gateway.NotSent
		}
		return gateway.Outcome{Class: class, Note: "send", Sent: uint64(len(req.Body))}, refuse(http.StatusBadGateway, "the target closed the connection")
	}
	out, err := p.receive(conn, req.Method, &a.Response)
	out.Sent, out.Received = uint64(len(req.Body)), p.received
	if err == nil {
		p.w.Header().Del("Connection")
	}
	return out, err
}

// render returns the request's head with the secret in its place. The head is
// written from the operation alone; the secret goes into it as bytes.
func render(req *ophttp.Request, a *gateway.Act) (head secret.Bytes, err error) {
	u, err := url.Parse(a.Target.Origin)
	if err != nil {
		return head, fmt.Errorf("http: origin: %w", err)
	}
	path, ok := strings.CutPrefix(req.URL, a.Target.Origin)
	if !ok { //guard:R5 origin-of-target
		return head, fmt.Errorf("http: the operation is for another origin than the target's")
	}
	err = a.Secret.Use(func(s []byte) error {
		if bytes.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) { //guard:R2 secret-control-bytes
			return fmt.Errorf("http: the secret has control bytes, and cannot stand in a request")
		}
		var b bytes.Buffer
		b.Grow(1024 + len(path) + 2*len(s))
		b.WriteString(req.Method + " " + path)
		if a.Target.Inject.How == "query" {
			b.WriteString(map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")])
			b.WriteString(url.QueryEscape(a.Target.Inject.Name) + "=")
			escape(&b, s)
		}
		b.WriteString(" HTTP/1.1\r\nHost: " + u.Host + "\r\nAccept-Encoding: identity\r\n")
		for _, h := range req.Header {
			b.WriteString(h[0] + ": " + h[1] + "\r\n")
		}
		inject(&b, s, a)
		if req.HasBody {
			b.WriteString("content-length: " + strconv.Itoa(len(req.Body)) + "\r\n")
		}
		b.WriteString("\r\n")
		head = secret.Take(b.Bytes())
		return nil
	})
	return head, err
}

// inject writes the header that carries the secret, if the target takes one.
func inject(b *bytes.Buffer, s []byte, a *gateway.Act) {
	in := a.Target.Inject
	switch in.How {
	case "header":
		b.WriteString(in.Name + ": " + in.Prefix)
		b.Write(s)
		b.WriteString("\r\n")
	case "basic":
		b.WriteString("authorization: Basic ")
		pair := append([]byte(in.Name+":"), s...)
		b.Write(base64.StdEncoding.AppendEncode(nil, pair))
		clear(pair)
		b.WriteString("\r\n")
	}
}

// escape writes s percent-encoded, byte by byte. Source: RFC 3986, section 2.1.
func escape(b *bytes.Buffer, s []byte) {
	const hexDigits = "0123456789ABCDEF"
	for _, c := range s {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
}

// scanner looks for the secret and for the form it was sent in.
func scanner(a *gateway.Act) *gateway.Scanner {
	forms := []secret.Bytes{a.Secret}
	if a.Target.Inject.How == "basic" {
		a.Secret.Use(func(s []byte) error {
			forms = append(forms, secret.Take(append([]byte(a.Target.Inject.Name+":"), s...)))
			return nil
		})
		defer forms[1].Wipe()
	}
	return gateway.NewScanner(forms...)
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
		return gateway.Outcome{Class: gateway.Unknown, Note: "response"}, refuse(http.StatusBadGateway, "the target gave no proper response; the operation may have been done")
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
		return out, refuse(http.StatusBadGateway, "the response was stopped: "+out.Note)
	}
	if resp.Close || resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 {
		conn.Close()
	} else {
		conn.Release()
	}
	return out, nil
}

func readHead(conn *gateway.Conn, method string) (*http.Response, error) {
	conn.SetReadDeadline(time.Now().Add(maxUpstreamWait))
	conn.Limit(maxUpstreamHeader)
	defer conn.Limit(-1)
	for range maxInterim {
		resp, err := http.ReadResponse(conn.Reader, &http.Request{Method: method})
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
