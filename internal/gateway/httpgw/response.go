package httpgw

import (
	"context"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/gateway"
)

// passed are the headers of a response that reach the holder beside those the
// policy lists. What mints or carries credentials is not among them.
var passed = []string{
	"cache-control", "content-language", "content-type", "date", "etag", "expires", "last-modified", "link",
	"location", "request-id", "retry-after", "vary", "x-request-id",
}

// pass scans and passes on a response: at once as it comes if it is a stream,
// otherwise too, but with its first bytes held until they are scanned.
func (p *performance) pass(resp *http.Response, c *gateway.Response) error {
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" { //guard:A16 content-encoding
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
	if err := p.stream(resp, limit); err != nil {
		return err
	}
	return p.trailers(resp)
}

// header scans all of the response's header and keeps what may pass.
func (p *performance) header(resp *http.Response, c *gateway.Response) error {
	for name, values := range resp.Header {
		for _, v := range values {
			if err := p.scan.Text(name + ": " + v); err != nil { //guard:R2 scan-header
				return err
			}
		}
		if n := strings.ToLower(name); slices.Contains(passed, n) || slices.Contains(c.Headers, n) {
			p.w.Header()[name] = values
		}
	}
	return p.scan.Text(resp.Status)
}

func (p *performance) trailers(resp *http.Response) error {
	for name, values := range resp.Trailer { // read to its end: the trailer is there
		if err := p.scan.Text(name + ": " + strings.Join(values, ", ")); err != nil { //guard:R2 scan-trailer
			return err
		}
	}
	return nil
}

// stream passes the body on in pieces.
func (p *performance) stream(resp *http.Response, limit int64) error {
	live := resp.ContentLength < 0
	buf := make([]byte, 32<<10)
	var held []byte
	flush := func(end bool) error {
		if !p.answered && !end && !live && len(held) < maxHoldBytes {
			return nil
		}
		if !p.answered {
			p.answered = true
			p.w.WriteHeader(resp.StatusCode)
		}
		if _, err := p.w.Write(held); err != nil {
			return err
		}
		held = held[:0]
		if live {
			return http.NewResponseController(p.w).Flush()
		}
		return nil
	}
	for {
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
		held = append(held, out...)
		if p.ctx.Err() != nil { // a target that sees us leave may end its stream properly
			return context.Cause(p.ctx)
		}
		if err == io.EOF {
			held = append(held, p.scan.Rest()...)
			return flush(true)
		}
		if err != nil {
			return err
		}
		if err := flush(false); err != nil {
			return err
		}
	}
}

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
	if _, err := p.scan.Next(b); err != nil {
		return err
	}
	p.w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	p.answered = true
	p.w.WriteHeader(resp.StatusCode)
	_, err = p.w.Write(b)
	return err
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
