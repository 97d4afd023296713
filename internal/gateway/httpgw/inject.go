package httpgw

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writhq/writ/internal/gateway"
	ophttp "github.com/writhq/writ/op/http"
	"github.com/writhq/writ/secret"
)

// The ways of putting a secret into a request; see [gateway.Inject].
const (
	inHeader = "header"
	inBasic  = "basic"
	inQuery  = "query"
	inSigV4  = "sigv4"
)

// render returns the request's head with the secret in its place. The head is
// written from the operation alone; the secret goes into it as bytes. SPEC
// HTTPGW-2.
func render(req *ophttp.Request, a *gateway.Act, at time.Time) (head secret.Bytes, err error) {
	path, ok := strings.CutPrefix(req.URL, a.Target.Origin)
	if !ok || !strings.HasPrefix(path, "/") { //guard:R5 origin-of-target
		return head, fmt.Errorf("http: the operation is for another origin than the target's")
	}
	if taken(req, path, a.Target.Inject) { //guard:R15 inject-once
		return head, fmt.Errorf("http: the operation has something already where the secret goes")
	}
	_, host, _ := strings.Cut(a.Target.Origin, "://")
	err = a.Secret.Use(func(s []byte) error {
		if carried(a.Target.Inject.How) && bytes.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) { //guard:R2 secret-control-bytes
			return fmt.Errorf("http: the secret has control bytes, and cannot stand in a request")
		}
		var b bytes.Buffer
		b.Grow(1024 + len(path) + 4*len(s))
		b.WriteString(req.Method)
		b.WriteByte(' ')
		b.WriteString(path)
		if a.Target.Inject.How == inQuery {
			b.WriteString(map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")])
			b.WriteString(url.QueryEscape(a.Target.Inject.Name) + "=")
			escape(&b, s)
		}
		b.WriteString(" HTTP/1.1\r\n")
		line(&b, "Host", host)
		line(&b, "Accept-Encoding", identity)
		for _, h := range req.Header {
			line(&b, h[0], h[1])
		}
		if err := inject(&b, s, &injection{a.Target.Inject, req, at}); err != nil {
			return err
		}
		if req.HasBody {
			line(&b, "content-length", strconv.Itoa(len(req.Body)))
		}
		b.WriteString("\r\n")
		head = secret.Take(b.Bytes())
		return nil
	})
	return head, err
}

// taken reports whether the operation has a header or query member of the name
// that the secret takes: of two, some targets would read the holder's.
func taken(req *ophttp.Request, path string, in gateway.Inject) bool {
	switch in.How {
	case inHeader:
		return slices.ContainsFunc(req.Header, func(h [2]string) bool { return strings.EqualFold(h[0], in.Name) })
	case inQuery:
		_, query, _ := strings.Cut(path, "?")
		for part := range strings.SplitSeq(query, "&") {
			name, _, _ := strings.Cut(part, "=")
			if name, err := url.QueryUnescape(name); err != nil || strings.EqualFold(name, in.Name) {
				return true
			}
		}
	}
	return false
}

const identity = "identity"

func line(b *bytes.Buffer, name, value string) {
	b.WriteString(name)
	b.WriteString(": ")
	b.WriteString(value)
	b.WriteString("\r\n")
}

// carried reports whether the secret itself stands in the request's head.
func carried(how string) bool { return how != inSigV4 && how != gateway.ClientCertificate }

// injection is where a secret goes.
type injection struct {
	in  gateway.Inject
	req *ophttp.Request
	at  time.Time
}

// inject writes the headers that carry the secret or what it signs, if the target
// takes any.
func inject(b *bytes.Buffer, s []byte, i *injection) error {
	switch i.in.How {
	case inHeader:
		b.WriteString(i.in.Name + ": " + i.in.Prefix)
		b.Write(s)
		b.WriteString("\r\n")
	case inBasic:
		b.WriteString("authorization: Basic ")
		pair := append([]byte(i.in.Name+":"), s...)
		b.Write(base64.StdEncoding.AppendEncode(nil, pair))
		clear(pair)
		b.WriteString("\r\n")
	case inSigV4:
		return sigV4(b, s, i)
	}
	return nil
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

// scanner looks for the secret, for the form it was sent in, and for the parts of
// it that are secret by themselves.
func scanner(a *gateway.Act) *gateway.Scanner {
	forms := []secret.Bytes{a.Secret}
	a.Secret.Use(func(s []byte) error {
		switch a.Target.Inject.How {
		case inBasic:
			forms = append(forms, secret.Take(append([]byte(a.Target.Inject.Name+":"), s...)))
		case inSigV4:
			if k, err := parseAWS(s); err == nil {
				forms = append(forms, secret.Take([]byte(k.Secret)), secret.Take([]byte(k.Session)))
			}
		case gateway.ClientCertificate:
			for block, rest := pem.Decode(s); block != nil; block, rest = pem.Decode(rest) {
				if strings.HasSuffix(block.Type, "PRIVATE KEY") {
					forms = append(forms, secret.Take(block.Bytes))
				}
			}
		}
		return nil
	})
	defer func() {
		for _, f := range forms[1:] {
			f.Wipe()
		}
	}()
	return gateway.NewScanner(forms...)
}
