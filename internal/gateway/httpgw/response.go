package httpgw

import (
	"context"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/gateway"
)

// passed are the headers of a response that reach the holder beside those the
// policy lists. What mints or carries credentials is not among them.
var passed = map[string]bool{
	"Cache-Control": true, "Content-Language": true, "Content-Type": true, "Date": true, "Etag": true, "Expires": true,
	"Last-Modified": true, "Link": true, "Location": true, "Request-Id": true, "Retry-After": true, "Vary": true, "X-Request-Id": true,
}

// ownPrefix begins the headers that only the gate says: a holder acts on them.
const ownPrefix = "Writ-"

// pass scans and passes on a response. SPEC HTTPGW-9, HTTPGW-10.
func (p *performance) pass(resp *http.Response, c *gateway.Response) error {
	if slices.ContainsFunc(resp.Header.Values("Content-Encoding"), func(e string) bool { return e != "" && e != "identity" }) { //guard:A16 content-encoding
		return refuse(http.StatusBadGateway, "its encoding cannot be scanned")
	}
	if err := p.header(resp, c); err != nil {
		return err
	}
	limit := c.MaxBytes
	if limit == 0 {
		limit = maxResponseBytes
	}
	if len(c.Redact) > 0 {
		return p.redact(resp, c, limit)
	}
	if resp.ContentLength > limit { // what stream would find out later
		return refuse(http.StatusBadGateway, "too large")
	}
	if resp.ContentLength >= 0 {
		p.w.Header().Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	if err := p.responseBody(resp, limit); err != nil {
		return err
	}
	return p.trailers(resp)
}

// header scans all of the response's header and keeps what may pass.
func (p *performance) header(resp *http.Response, c *gateway.Response) error {
	texts := append(make([]string, 0, 32), resp.Status)
	for name, values := range resp.Header {
		for _, v := range values {
			texts = append(texts, name, v)
		}
		if strings.HasPrefix(name, ownPrefix) { //guard:A10 own-headers
			continue
		}
		if passed[name] || slices.ContainsFunc(c.Headers, func(h string) bool { return strings.EqualFold(h, name) }) {
			p.w.Header()[name] = values
		}
	}
	if err := p.scan.Text(texts...); err != nil { //guard:R2 scan-header
		return err
	}
	return nil
}

func (p *performance) trailers(resp *http.Response) error {
	for name, values := range resp.Trailer { // read to its end: the trailer is there
		if err := p.scan.Text(name, strings.Join(values, ", ")); err != nil { //guard:R2 scan-trailer
			return err
		}
	}
	return nil
}

// buffers are what responses are read into.
var buffers = sync.Pool{New: func() any { return new([holdBytes]byte) }}

// responseBody passes the body on: whole if it is known to be small, else in pieces.
func (p *performance) responseBody(resp *http.Response, limit int64) error {
	buf := buffers.Get().(*[holdBytes]byte)
	defer buffers.Put(buf)
	if resp.ContentLength < 0 || resp.ContentLength > holdBytes {
		return p.stream(resp, limit, buf[:])
	}
	b := buf[:resp.ContentLength]
	if resp.Body == http.NoBody { // to HEAD, whatever length it says
		b = nil
	}
	n, err := io.ReadFull(resp.Body, b)
	if p.received = uint64(n); err != nil {
		return err
	}
	if err := p.scan.Whole(b); err != nil { //guard:R2 scan-body
		return err
	}
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	return p.answer(resp.StatusCode, b)
}

// answer sends bytes of the body, and before the first of them the status.
func (p *performance) answer(status int, b []byte) error {
	if !p.answered {
		p.answered = true
		p.w.WriteHeader(status)
	}
	_, err := p.w.Write(b)
	return err
}

// stream passes the body on in pieces: each as it comes if there is no telling how
// many there will be.
func (p *performance) stream(resp *http.Response, limit int64, buf []byte) error {
	live := resp.ContentLength < 0
	control := http.NewResponseController(p.w)
	for end := false; !end; {
		p.conn.SetReadDeadline(time.Now().Add(maxStreamIdle))
		n, err := resp.Body.Read(buf)
		p.received += uint64(n)
		if p.received > uint64(limit) { //guard:R7 response-size-stream
			return refuse(http.StatusBadGateway, "too large")
		}
		out, serr := p.scan.Next(buf[:n])
		if serr != nil {
			return serr
		}
		if p.ctx.Err() != nil { // a target that sees us leave may end its stream properly
			return context.Cause(p.ctx)
		}
		if end = err == io.EOF; end {
			out = append(out, p.scan.Rest()...)
		} else if err != nil {
			return err
		}
		if len(out) == 0 && !end && !(live && !p.answered) {
			continue
		}
		err = p.answer(resp.StatusCode, out)
		if err == nil && live && !end && !p.ends() {
			err = control.Flush()
		}
		if err != nil {
			return err
		}
		control.SetWriteDeadline(time.Time{}) // between events there is no hurry
	}
	return nil
}

// ends reports whether the end of a chunked body is here already: what was passed
// on goes out with it.
func (p *performance) ends() bool {
	b, err := p.conn.Reader().Peek(min(p.conn.Reader().Buffered(), len(lastChunk)))
	return err == nil && string(b) == lastChunk
}

// lastChunk ends a chunk and the body, without trailers. Source: RFC 9112, section
// 7.1.
const lastChunk = "\r\n0\r\n\r\n"

// redact passes a JSON body on without the members that the policy takes out.
// What cannot be parsed is not passed on at all.
func (p *performance) redact(resp *http.Response, c *gateway.Response, limit int64) error {
	b, err := readAll(resp.Body, min(limit, maxRedactBytes))
	if err != nil {
		return err
	}
	p.received = uint64(len(b))
	if len(b) > 0 {
		t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if err != nil || t != "application/json" && !strings.HasSuffix(t, "+json") { //guard:R7 redact-json-only
			return refuse(http.StatusBadGateway, "it is not JSON, and members must be taken out")
		}
		v, err := canon.ParseJSON(b)
		if err != nil {
			return refuse(http.StatusBadGateway, "it is not JSON, and members must be taken out")
		}
		for _, path := range c.Redact {
			remove(v, strings.Split(path, "."))
		}
		b = canon.AppendJSON(nil, v)
	}
	if err := p.scan.Whole(b); err != nil { //guard:R2 scan-redacted
		return err
	}
	p.w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	return p.answer(resp.StatusCode, b)
}

// remove takes the members at the path out of v, through arrays too.
func remove(v *canon.Value, path []string) {
	for i := range v.Items {
		remove(&v.Items[i], path)
	}
	v.Members = slices.DeleteFunc(v.Members, func(m canon.Member) bool { return len(path) == 1 && m.Name == path[0] })
	for i := range v.Members {
		if len(path) > 1 && v.Members[i].Name == path[0] {
			remove(&v.Members[i].Value, path[1:])
		}
	}
}
