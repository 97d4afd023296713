package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
	"github.com/writhq/writ/zone"
)

// ErrNotControl is wrapped by the error for a server that answers and is not a
// control API: a gate, perhaps.
var ErrNotControl = fmt.Errorf("%w: not a control API", ErrAPI)

// problemType begins the type of every [Problem].
const problemType = "urn:writ:control:"

// ClientConfig says where a control API is. Server is required.
type ClientConfig struct {
	Server string           // path of a Unix socket, or https://host:port
	Roots  *x509.CertPool   // for https; nil: the system's
	Reader *tls.Certificate // for https: whose key the root lists for reading; nil: writes and public reads only
}

// A Client speaks with the control API of one server. It trusts nothing that the
// server says but what is signed: see [Client.Zone]. It is safe for concurrent
// use.
type Client struct {
	base string
	http *http.Client
}

// NewClient returns a Client. It connects with the first request.
func NewClient(c ClientConfig) (*Client, error) {
	if strings.HasPrefix(c.Server, "https://") {
		t := &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS13}
		if c.Reader != nil {
			t.Certificates = []tls.Certificate{*c.Reader}
		}
		return &Client{strings.TrimSuffix(c.Server, "/"), client(&http.Transport{TLSClientConfig: t})}, nil
	}
	if c.Server == "" || strings.Contains(c.Server, "://") {
		return nil, fmt.Errorf("%w: server: want the path of a Unix socket, or https://host:port", ErrAPI)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.Server)
	}
	return &Client{"http://writ", client(&http.Transport{DialContext: dial})}, nil
}

func client(t *http.Transport) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// do sends one request and returns the answer's body, or the [*Problem] that the
// server answered with.
func (c *Client) do(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAPI, err)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL of our own making
		}
		return nil, fmt.Errorf("%w: reach server: %w", ErrAPI, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblemBytes))
	var p Problem
	if err != nil || json.Unmarshal(b, &p) != nil || p.Code == "" || !strings.HasPrefix(p.Type, problemType) {
		return nil, fmt.Errorf("%w: what listens there answered with status %d", ErrNotControl, resp.StatusCode)
	}
	return nil, &p
}

// get asks for JSON and decodes it into v.
func (c *Client) get(ctx context.Context, path string, v any) error {
	return c.call(ctx, func(ctx context.Context) (io.ReadCloser, error) { return c.do(ctx, http.MethodGet, path, nil) }, v)
}

// post sends a body and decodes the JSON of the answer into v.
func (c *Client) post(ctx context.Context, path string, body []byte, v any) error {
	return c.call(ctx, func(ctx context.Context) (io.ReadCloser, error) { return c.do(ctx, http.MethodPost, path, body) }, v)
}

func (c *Client) call(ctx context.Context, send func(context.Context) (io.ReadCloser, error), v any) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	r, err := send(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxAnswerBytes+1))
	if err != nil {
		return fmt.Errorf("%w: read answer: %w", ErrAPI, err)
	}
	if len(b) > maxAnswerBytes {
		return fmt.Errorf("%w: answer of more than %d bytes", ErrAPI, maxAnswerBytes)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: read answer: not the JSON that was asked for", ErrAPI)
	}
	return nil
}

// stream sends one request and copies the answer to w.
func (c *Client) stream(ctx context.Context, path string, w io.Writer) (int64, error) {
	r, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	n, err := io.Copy(w, r)
	if err != nil {
		return n, fmt.Errorf("%w: read answer: %w", ErrAPI, err)
	}
	return n, nil
}

// Status returns what the server says of itself.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var s Status
	return &s, c.get(ctx, "/v1/status", &s)
}

// Unseal gives the passphrase of the keyring, and returns the state that the server
// is in then; it takes the Unix socket.
func (c *Client) Unseal(ctx context.Context, passphrase secret.Bytes) (string, error) {
	var answer struct{ State string }
	err := passphrase.Use(func(b []byte) error { return c.post(ctx, "/v1/unseal", b, &answer) })
	return answer.State, err
}

// Confirm says that a folder that was restored has caught up; it takes the Unix
// socket. With a head, a note, the server's policy log must contain what it was
// signed for; nil for none.
func (c *Client) Confirm(ctx context.Context, head []byte) (*Confirmed, error) {
	var out Confirmed
	return &out, c.post(ctx, "/v1/restored", head, &out)
}

// Publish hands in a signed document for the policy log.
func (c *Client) Publish(ctx context.Context, e *sign.Envelope) (*Published, error) {
	b, err := e.Encode()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAPI, err)
	}
	var p Published
	return &p, c.post(ctx, "/v1/log", b, &p)
}

// PutSecret hands in sealed bytes with the record that names them.
func (c *Client) PutSecret(ctx context.Context, u SecretUpload) (*Published, error) {
	b, err := canon.EncodeJSON(&u)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAPI, err)
	}
	var p Published
	return &p, c.post(ctx, "/v1/secrets", b, &p)
}

// Roots returns the chain of roots as the server has it. Nothing of it is
// verified: see [policy.VerifyRoots].
func (c *Client) Roots(ctx context.Context) ([]*sign.Envelope, error) {
	var chain []*sign.Envelope
	return chain, c.get(ctx, "/v1/root", &chain)
}

// Sessions returns the sessions that are open, the oldest first.
func (c *Client) Sessions(ctx context.Context) ([]SessionInfo, error) {
	var out []SessionInfo
	return out, c.get(ctx, "/v1/sessions", &out)
}

// EndSession ends a session; it takes the Unix socket.
func (c *Client) EndSession(ctx context.Context, id canon.Digest) error {
	var out Ended
	return c.call(ctx, func(ctx context.Context) (io.ReadCloser, error) {
		return c.do(ctx, http.MethodDelete, "/v1/sessions/"+id.String(), nil)
	}, &out)
}

// Secrets returns the current version of each secret.
func (c *Client) Secrets(ctx context.Context) ([]SecretInfo, error) {
	var out []SecretInfo
	return out, c.get(ctx, "/v1/secrets", &out)
}

// CheckSecrets says of each active secret whether the gate could open it; it takes
// the Unix socket.
func (c *Client) CheckSecrets(ctx context.Context) ([]SecretCheck, error) {
	var out []SecretCheck
	return out, c.get(ctx, "/v1/secrets/check", &out)
}

// Policies returns the policies in force.
func (c *Client) Policies(ctx context.Context) ([]PolicyInfo, error) {
	var out []PolicyInfo
	return out, c.get(ctx, "/v1/policies", &out)
}

// Receipt returns one receipt by its id ("sha256:…") or place ("1.42"), with its
// evidence if that is asked for.
func (c *Client) Receipt(ctx context.Context, ref string, evidence bool) (*ReceiptItem, error) {
	var r ReceiptItem
	return &r, c.get(ctx, "/v1/receipts/"+url.PathEscape(ref)+flag("?", evidence), &r)
}

// Receipts returns a page of receipts after a place, "" for the beginning.
func (c *Client) Receipts(ctx context.Context, after string, evidence bool) (*ReceiptPage, error) {
	var p ReceiptPage
	return &p, c.get(ctx, "/v1/receipts?after="+url.QueryEscape(after)+flag("&", evidence), &p)
}

func flag(sep string, evidence bool) string {
	if evidence {
		return sep + "evidence=1"
	}
	return ""
}

// Export writes the ledger's export, for [receipt.AuditExport].
func (c *Client) Export(ctx context.Context, w io.Writer) (int64, error) {
	return c.stream(ctx, "/v1/export", w)
}

// Backup writes a consistent copy of the data folder as a tar; it takes the Unix
// socket.
func (c *Client) Backup(ctx context.Context, w io.Writer) (int64, error) {
	return c.stream(ctx, "/v1/backup", w)
}

// Head returns the signed head of the policy log. It is not verified yet.
func (c *Client) Head(ctx context.Context) (*tlog.Checkpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	var b bytes.Buffer
	if _, err := c.stream(ctx, "/v1/log/head", &b); err != nil {
		return nil, err
	}
	head, err := tlog.ParseCheckpoint(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAPI, err)
	}
	return head, nil
}

// Entries calls fn with the entries of the policy log, in order. They are not
// verified: see [Client.Zone].
func (c *Client) Entries(ctx context.Context, fn func(entry []byte) error) error {
	r, err := c.do(ctx, http.MethodGet, "/v1/log/entries", nil)
	if err != nil {
		return err
	}
	defer r.Close()
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxEntryLine)
	for s.Scan() {
		if err := fn(s.Bytes()); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%w: read entries: %w", ErrAPI, err)
	}
	return nil
}

// Zone returns the state of the zone, replayed here from the pinned root: the
// server can hold entries back, but can invent none. at is in Unix seconds: the
// root must not have expired then. Errors wrap [ErrAPI], [ErrZone] or
// [policy.ErrPolicy]. SPEC CTRL-11.
func (c *Client) Zone(ctx context.Context, pin canon.Digest, at int64) (*zone.Zone, error) {
	chain, err := c.Roots(ctx)
	if err != nil {
		return nil, err
	}
	head, err := c.Head(ctx)
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	err = c.Entries(ctx, func(b []byte) error {
		entries = append(entries, bytes.Clone(b))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return Replay(History{Roots: chain, Head: head, Entries: entries}, pin, at)
}
