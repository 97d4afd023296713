package httpgw_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// connections is how many clients call at once.
const connections = 16

// manyRules makes the work real: 20 rules, level 2, receipts buffered.
func manyRules(d *policy.Document) {
	var b strings.Builder
	b.WriteString(testkit.Rules)
	for i := range 17 {
		fmt.Fprintf(&b, `@id("no-%d") forbid (principal, action, resource) when { resource.path like "/v1/private-%d/*" && context.purpose != "refund" };`+"\n", i, i)
	}
	d.Rules, d.Receipts.Mode = b.String(), "buffered"
	d.Pop = policy.Pop{Default: op.Channel}
	d.Quotas = nil
}

// threeBlocks returns a chain of three blocks with rules and a limit of uses.
func threeBlocks(b *testing.B, g *testgate.Gate) *credential.Chain {
	c := g.Wide(1)
	for i := 1; i < 3; i++ {
		terms := c.Last()
		l := testkit.Language()
		terms.Holder, terms.Language = credential.NewHolderKey(g.Holder(i).Public()), &l
		terms.Rules = fmt.Sprintf(`@id("block-%d") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > %d };`, i, 3000-i)
		terms.Limits = map[string]int64{policy.UsesID: 1 << 40}
		var err error
		if c, err = c.Narrow(g.Holder(i-1), "", terms); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

// reverseProxy returns the address of the library's proxy to u, which injects the
// key and does nothing else.
func reverseProxy(b *testing.B, u *testgate.Upstream) (origin string, cfg *tls.Config) {
	to, err := url.Parse(u.Origin)
	if err != nil {
		b.Fatal(err)
	}
	cert := testgate.Certificate(b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Header.Set("Authorization", "Bearer "+testkit.Plain)
		},
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 64},
	}
	s := &http.Server{Handler: p, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, ErrorLog: log.New(io.Discard, "", 0)}
	go s.ServeTLS(l, "", "")
	b.Cleanup(func() { s.Close() })
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return "https://" + l.Addr().String(), &tls.Config{RootCAs: pool}
}

// A side is one of those that are compared.
type side struct {
	name   string
	client *http.Client
	url    string
}

// once makes one call.
func (s side) once(b *testing.B, q call) {
	var in io.Reader
	if q.body != "" {
		in = strings.NewReader(q.body)
	}
	r, err := http.NewRequest(q.method, s.url+q.url, in)
	if err != nil {
		b.Error(err)
		return
	}
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(r)
	if err != nil {
		b.Error(err)
		return
	}
	defer resp.Body.Close()
	if out, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 {
		b.Errorf("%s: status %d: %v: %s", s.name, resp.StatusCode, err, out)
	}
}

// rate returns how many calls a second the side answers, over 16 connections.
func (s side) rate(b *testing.B, q call, d time.Duration) float64 {
	ctx, cancel := context.WithTimeout(b.Context(), d)
	defer cancel()
	var n atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				s.once(b, q)
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(start).Seconds()
}

// sides returns what is compared, for a GET that is answered with 200 bytes, or a
// POST of 2 KB.
func sides(b *testing.B) (list []side) {
	answer := strings.Repeat("x", 200)
	up := testgate.NewUpstream(b, nil)
	up.Forget()
	up.Handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, answer)
	})
	g := testgate.New(b, testgate.Config{Upstream: up, Doors: []testgate.Door{door}, Policy: manyRules})
	chain := threeBlocks(b, g)
	proxy, cfg := reverseProxy(b, up)
	list = append(list, side{"proxy", &http.Client{Transport: &http.Transport{TLSClientConfig: cfg, MaxIdleConnsPerHost: 64}}, proxy})
	for _, channel := range []bool{true, false} {
		c := g.Call(testgate.Caller{Credential: chain, Key: g.Holder(2), Purpose: "refund", Channel: channel})
		list = append(list, side{map[bool]string{true: "level2", false: "level3"}[channel], c, "https://" + g.Addrs[0] + "/t/shop"})
	}
	return list
}

var calls = []call{
	{"GET", "/v1/orders/1", ""}, {"POST", "/v1/refunds", `{"order":"` + strings.Repeat("1", 2000) + `","amount":100}`},
}

// BenchmarkAgainstReverseProxy compares the gate with the library's proxy, in
// alternating pairs. The client and the target are in this process too, so the
// ratios are nearer to 1 than those of the gate alone.
func BenchmarkAgainstReverseProxy(b *testing.B) {
	list := sides(b)
	for _, q := range calls {
		b.Run(q.method, func(b *testing.B) {
			rates := make(map[string][]float64)
			for range b.N {
				for _, s := range list {
					rates[s.name] = append(rates[s.name], s.rate(b, q, 500*time.Millisecond))
				}
			}
			median := func(name string) float64 {
				slices.Sort(rates[name])
				return rates[name][len(rates[name])/2]
			}
			for _, s := range list {
				b.ReportMetric(median(s.name), s.name+"/s")
				b.ReportMetric(median(s.name)/median("proxy"), s.name+"_ratio")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkSide is one side alone, for profiles.
func BenchmarkSide(b *testing.B) {
	list := sides(b)
	for _, q := range calls {
		for _, s := range list {
			b.Run(q.method+"/"+s.name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(connections / 2)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						s.once(b, q)
					}
				})
			})
		}
	}
}
