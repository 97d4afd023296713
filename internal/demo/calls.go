package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/sign"
)

// A holder is who has a credential and the key to it. All that it receives is
// kept, to be searched for the real key.
type holder struct {
	chain *credential.Chain
	key   sign.Signer
	w     *world
	wire  *recorder
}

// recorder keeps every response byte, and the last request for replaying it.
type recorder struct {
	base http.RoundTripper
	mu   sync.Mutex
	got  bytes.Buffer  // guarded by mu
	last *http.Request // guarded by mu
	body []byte        // guarded by mu
}

// RoundTrip implements [http.RoundTripper].
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.mu.Lock()
	r.last, r.body = req.Clone(context.WithoutCancel(req.Context())), body
	r.mu.Unlock()
	resp, err := r.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	dump, err := httputil.DumpResponse(resp, true)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.got.Write(dump)
	r.mu.Unlock()
	return resp, nil
}

func (w *world) newRecorder() *recorder {
	return &recorder{base: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS13}}}
}

// A call is one request with what is expected of it.
type call struct {
	what    string
	method  string
	path    string
	body    string
	purpose string
	want    string // "" for permitted, or the code of the denial
}

// An answer is what the gate said.
type answer struct {
	status  int
	code    string
	detail  string
	rule    string
	receipt string
}

// do makes the call as h.
func (h *holder) do(ctx context.Context, c call) (answer, error) {
	t := &api.Transport{Credential: h.chain, Key: h.key, Audience: domain, Purpose: c.purpose, Base: h.wire}
	req, err := http.NewRequestWithContext(ctx, c.method, h.w.origin+"/t/"+target+c.path, strings.NewReader(c.body))
	if err != nil {
		return answer{}, err
	}
	if c.body != "" {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Body = nil
	}
	return read((&http.Client{Transport: t}).Do(req))
}

// again sends the last request once more, byte for byte: what someone who
// listened could do.
func (h *holder) again(ctx context.Context) (answer, error) {
	h.wire.mu.Lock()
	req, body := h.wire.last.Clone(ctx), h.wire.body
	h.wire.mu.Unlock()
	if body != nil {
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return read(h.wire.RoundTrip(req))
}

func read(resp *http.Response, err error) (answer, error) {
	if err != nil {
		return answer{}, fmt.Errorf("call the gate: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	a := answer{status: resp.StatusCode}
	if resp.Header.Get("Content-Type") != "application/problem+json" {
		return a, nil
	}
	var p struct{ Code, Detail, Rule, Receipt string }
	if err := json.Unmarshal(b, &p); err != nil {
		return answer{}, fmt.Errorf("read problem: %w", err)
	}
	a.code, a.detail, a.rule, a.receipt = p.Code, p.Detail, p.Rule, p.Receipt
	return a, nil
}
