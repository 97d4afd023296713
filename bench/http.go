package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// bench is what the load generator is told.
type loadConfig struct {
	URL        string
	Level      int    // 0: plain, for the reverse proxy
	Credential []byte `json:",omitempty"`
	Key        []byte `json:",omitempty"` // PKCS #8
	Seconds    float64
	Conns      int
	Post       bool
	Body       string
	Begin      time.Time // when the world's clock stood at testkit.Now
}

// overHTTP compares the gate with Go's own reverse proxy that only puts the
// header in, over TLS on both sides, with the load in another process.
func overHTTP(b *testing.B, f figures) {
	server.Tune() // as writ server does; the reverse proxy, which is in this process, gains as well
	for _, mode := range []string{"buffered", "durable"} {
		suffix := map[string]string{"buffered": "", "durable": "_durable"}[mode]
		h := newHTTPBench(b, mode)
		if mode == "buffered" {
			f["machine.tls_get_us"] = 1e6 / h.rate(b, h.proxy, loadConfig{Conns: 1, Seconds: 1})
		}
		var two, three, post2, post3 []float64
		for range 5 {
			plain := h.rate(b, h.proxy, loadConfig{})
			two = append(two, h.rate(b, h.gate, loadConfig{Level: 2})/plain)
			three = append(three, h.rate(b, h.gate, loadConfig{Level: 3})/plain)
			plainPost := h.rate(b, h.proxy, loadConfig{Post: true})
			post2 = append(post2, h.rate(b, h.gate, loadConfig{Level: 2, Post: true})/plainPost)
			post3 = append(post3, h.rate(b, h.gate, loadConfig{Level: 3, Post: true})/plainPost)
		}
		// The work is both: what counts is the lesser.
		f["http.level2_get"+suffix], f["http.level2_post"+suffix] = median(two), median(post2)
		f["http.level3_get"+suffix], f["http.level3_post"+suffix] = median(three), median(post3)
		f["http.level2_vs_reverseproxy"+suffix] = (median(two) + median(post2)) / 2
		f["http.level3_vs_reverseproxy"+suffix] = (median(three) + median(post3)) / 2
		h.g.Stop()
	}
}

type httpBench struct {
	g           *testgate.Gate
	gate, proxy string
	chain       *credential.Chain
	key         sign.PrivateKey
	self        string
	begin       time.Time // when the world's clock, which is at testkit.Now then, began to run
}

// tick makes the world's clock run.
func tick(ctx context.Context, c *testgate.Clock) {
	last := time.Now()
	for ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
		now := time.Now()
		c.Add(now.Sub(last))
		last = now
	}
}

func newHTTPBench(b *testing.B, mode string) *httpBench {
	up := quickUpstream(b)
	g := testgate.Prepare(b, testgate.Config{
		Upstream: &testgate.Upstream{Origin: up.origin, Pin: up.pin},
		Policy: func(d *policy.Document) {
			bigPolicy(d)
			d.Receipts.Mode = mode
		},
		Doors: []testgate.Door{{Protocol: httpgw.Protocol, Config: func(addr string) json.RawMessage {
			return json.RawMessage(`{"origin":"https://` + addr + `"}`)
		}}},
	})
	begin := time.Now()
	g.Start()
	go tick(b.Context(), g.Clock)
	g.Publish(g.Envelope)
	g.PutInForce(g.Zone.Policy)
	g.PutSecret(1, testkit.Plain)
	h := &httpBench{g: g, gate: "https://" + g.Addrs[0] + "/t/shop", key: g.Holder(2), begin: begin}
	h.chain = threeBlocks(b, g.Zone, 1e12)
	h.proxy = reverseProxy(b, up)
	self, err := os.Executable()
	must(b, err)
	h.self = self
	return h
}

// upstream is as light as HTTPS gets, so that what is compared weighs.
type upstream struct {
	origin, pin string
	roots       *x509.CertPool
}

func quickUpstream(b *testing.B) upstream {
	cert := testgate.Certificate(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	answer := []byte(strings.Repeat("x", 200))
	s := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if r.Header.Get("Authorization") != "Bearer "+testkit.Plain {
				w.WriteHeader(401)
				return
			}
			w.Header().Set("Content-Type", "text/plain")
			w.Write(answer)
		}),
	}
	go s.ServeTLS(l, "", "")
	b.Cleanup(func() { s.Close() })
	u := upstream{origin: "https://" + l.Addr().String(), pin: canon.Hash(cert.Leaf.RawSubjectPublicKeyInfo).String(), roots: x509.NewCertPool()}
	u.roots.AddCert(cert.Leaf)
	return u
}

// buffers is a [httputil.BufferPool].
type buffers struct{ sync.Pool }

func (p *buffers) Get() []byte  { return *p.Pool.Get().(*[]byte) }
func (p *buffers) Put(b []byte) { p.Pool.Put(&b) }

func ptr[T any](v T) *T { return &v }

func reverseProxy(b *testing.B, up upstream) string {
	to, err := url.Parse(up.origin)
	must(b, err)
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Set("Authorization", "Bearer "+testkit.Plain)
		},
		Transport:  &http.Transport{TLSClientConfig: &tls.Config{RootCAs: up.roots}, MaxIdleConnsPerHost: 64},
		BufferPool: &buffers{sync.Pool{New: func() any { return ptr(make([]byte, 32<<10)) }}},
	}
	cert := testgate.Certificate(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	s := &http.Server{Handler: p, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}}
	go s.ServeTLS(l, "", "")
	b.Cleanup(func() { s.Close() })
	return "https://" + l.Addr().String()
}

// rate runs the load generator and returns requests a second.
func (h *httpBench) rate(b *testing.B, url string, c loadConfig) float64 {
	b.Helper()
	c.URL, c.Begin = url, h.begin
	if c.Conns == 0 {
		c.Conns, c.Seconds = 16, 2
	}
	if c.Post {
		c.Body = bigBody()
	}
	if c.Level > 0 {
		c.Credential = h.chain.Bytes()
		k, err := h.key.Marshal()
		must(b, err)
		must(b, k.Use(func(p []byte) error {
			c.Key = append([]byte(nil), p...)
			return nil
		}))
	}
	in, err := json.Marshal(c)
	must(b, err)
	cmd := exec.CommandContext(b.Context(), h.self, "load")
	cmd.Stdin = strings.NewReader(string(in))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	must(b, err)
	var r float64
	_, err = fmt.Sscan(string(out), &r)
	must(b, err)
	return r
}

// load is the other process: it reads its configuration from standard input, and
// prints requests a second.
func load(args []string) error {
	if err := flag.CommandLine.Parse(args); err != nil {
		return err
	}
	var c loadConfig
	if err := json.NewDecoder(os.Stdin).Decode(&c); err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := c.once(client); err != nil { // connections are made before the clock runs
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.Seconds*float64(time.Second)))
	defer cancel()
	var n, bad atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range c.Conns {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := c.once(client); err != nil {
					bad.Add(1)
					fmt.Fprintln(os.Stderr, err)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	if bad.Load() > 0 {
		return errors.New("requests failed")
	}
	fmt.Println(float64(n.Load()) / time.Since(start).Seconds())
	return nil
}

func (c *loadConfig) client() (*http.Client, error) {
	t := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64, DisableCompression: true}
	if c.Level == 0 {
		return &http.Client{Transport: t}, nil
	}
	chain, err := credential.Parse(c.Credential)
	if err != nil {
		return nil, err
	}
	key, err := sign.ParsePrivateKey(secret.Take(c.Key))
	if err != nil {
		return nil, err
	}
	if c.Level == 2 {
		cert, err := api.ClientCertificate(key)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{cert}
	}
	a := &api.Transport{Channel: c.Level == 2, Credential: chain, Key: key, Audience: testkit.Domain, Purpose: "refund", Base: t, Now: c.now}
	return &http.Client{Transport: a}, nil
}

func (c *loadConfig) now() time.Time {
	return time.Unix(testkit.Now, 0).Add(time.Since(c.Begin))
}

func (c *loadConfig) once(client *http.Client) error {
	var resp *http.Response
	var err error
	if c.Post {
		resp, err = client.Post(c.URL+"/v1/refunds", "application/json", strings.NewReader(c.Body))
	} else {
		resp, err = client.Get(c.URL + "/v1/orders/1")
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("status %d: %.200s", resp.StatusCode, b)
	}
	return err
}
