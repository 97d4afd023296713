package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/zone"
)

func (r *run) configuration() {
	g := r.gate(testgate.Config{})
	if len(r.d.Bad) < 3 {
		r.Fatalf("only %d bad configurations", len(r.d.Bad))
	}
	for _, bad := range append(r.d.Bad, json.RawMessage(`{"no_such_field":1}`), json.RawMessage(`nonsense`)) {
		h, err := r.d.Protocol.New(bad, nil)
		if err == nil || h != nil {
			r.Errorf("configuration %s was taken", bad)
		}
	}
	r.mustPermit(r.client(g, g.Wide(1)))
}

func (r *run) permitted() {
	g := r.gate(testgate.Config{})
	k := r.client(g, g.Wide(2))
	for range 3 {
		r.mustPermit(k)
	}
	if n := g.reached(); n != 3 {
		r.Errorf("%d operations upstream, want 3", n)
	}
	if n := g.up.Connections(); n != 1 {
		r.Errorf("%d upstream connections for one credential, want 1", n)
	}
	intents, outcomes := g.receipts(receipt.Intent), g.receipts(receipt.Outcome)
	if len(intents) != 3 || len(outcomes) != 3 {
		r.Fatalf("%d intents and %d outcomes, want 3 of each", len(intents), len(outcomes))
	}
	for _, o := range outcomes {
		if o.Outcome.Class != receipt.OK {
			r.Errorf("outcome %q", o.Outcome.Class)
		}
	}
}

func (r *run) denied() {
	g := r.gate(testgate.Config{})
	k := r.client(g, g.Wide(1))
	a := k.Denied()
	if a.OK || a.Code == "" || a.Failed {
		r.Errorf("denied operation: %+v; want a denial in the protocol's own words", a)
	}
	if n := g.up.Connections(); n != g.sessions(1) || g.reached() != 0 {
		r.Errorf("%d connections upstream after a denial, and %d operations", n, g.reached())
	}
	d := g.receipts(receipt.Denial)
	if len(d) != 1 || d[0].Decision != a.Code || len(g.receipts(receipt.Intent)) != 0 {
		r.Errorf("want one denial with the code %q in the ledger, have %d", a.Code, len(d))
	}
	r.mustPermit(k) // the conversation goes on
}

func (r *run) logDown() {
	var down atomic.Bool
	g := r.gate(testgate.Config{Faults: func(c ledger.Call) error {
		if down.Load() && c.Op == "write" {
			return errors.New("disk full")
		}
		return c.Run(c.Size)
	}})
	k := r.client(g, g.Wide(1))
	r.mustPermit(k)
	down.Store(true)
	for range 3 {
		if a := k.Permitted(); a.OK || !a.Failed {
			r.Errorf("with the log down: %+v", a)
		}
		if a := k.Denied(); a.OK || a.Code != "" {
			r.Errorf("a denial that is not recorded was given as one: %+v", a)
		}
	}
	if n := g.reached(); n != 1 {
		r.Errorf("%d operations upstream; want the first only", n)
	}
}

func (r *run) flips() {
	g := r.gate(testgate.Config{})
	k := r.client(g, g.Wide(1))
	r.mustPermit(k)
	g.Succeed(func(d *policy.Document) {
		d.Rules = `@id("nothing") forbid (principal, action, resource);` + "\n" + `@id("p") permit (principal, action, resource);`
	})
	if a := k.Permitted(); a.OK || a.Code != "forbidden" {
		r.Errorf("after a successor forbade it: %+v", a)
	}
	if n := g.reached(); n != 1 {
		r.Errorf("%d operations upstream, want 1", n)
	}
}

func (r *run) revoked() {
	g := r.gate(testgate.Config{})
	c := g.Wide(3)
	k := r.client(g, c)
	r.mustPermit(k)
	g.Revoke(zone.RevokeBlock, c.Blocks()[1])
	if a := k.Permitted(); a.OK || a.Failed && a.Code == "" && g.reached() != 1 {
		r.Errorf("after an ancestor was revoked: %+v", a)
	}
	if n := g.reached(); n != 1 {
		r.Errorf("%d operations upstream, want 1", n)
	}
}

// tracing notes when custody is asked.
type tracing struct {
	gateway.Opener
	note func(string)
	err  error
}

func (o tracing) Open(ctx context.Context, p *permit.Permit) (secret.Bytes, error) {
	o.note("open")
	if o.err != nil {
		return secret.Bytes{}, o.err
	}
	return o.Opener.Open(ctx, p)
}

func (r *run) order() {
	var mu sync.Mutex
	var events []string
	note := func(e string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}
	g := r.gate(testgate.Config{
		Faults: func(c ledger.Call) error {
			err := c.Run(c.Size)
			if c.Op == "sync" || c.Op == "write" {
				note(c.Op)
			}
			return err
		},
		Opener: func(o gateway.Opener) gateway.Opener { return tracing{Opener: o, note: note} },
	})
	k := r.client(g, g.Wide(1))
	mu.Lock()
	events = nil
	mu.Unlock()
	r.mustPermit(k)
	mu.Lock()
	defer mu.Unlock()
	at := slices.Index(events, "open")
	if at < 0 || !slices.Contains(events[:at], "write") || !slices.Contains(events[:at], "sync") {
		r.Errorf("events %v: want write and sync before open (the policy's mode is durable)", events)
	}
}

func (r *run) custodyDown() {
	g := r.gate(testgate.Config{Opener: func(o gateway.Opener) gateway.Opener {
		return tracing{o, func(string) {}, errors.New("no")}
	}})
	if a := r.client(g, g.Wide(1)).Permitted(); a.OK {
		r.Errorf("permitted without a secret: %+v", a)
	}
	if n := g.up.Connections(); n != 0 {
		r.Errorf("%d connections upstream", n)
	}
	out := g.Receipts(receipt.Outcome)
	if len(out) != 1 || out[0].Outcome.Class != receipt.NotSent {
		r.Errorf("want one outcome not_sent, have %d outcomes", len(out))
	}
}

// fault is a way for an act to go wrong. Each is shown the secret where the product
// could be made to say it.
type fault struct {
	name      string
	config    testgate.Config
	behaviour Behaviour
	host      string // what the target is known by; "": its address
	silent    bool   // nothing is logged
	unmade    bool   // no connection comes about
}

var faults = []fault{
	{name: "none", silent: true},
	{name: "custody down", unmade: true, config: testgate.Config{Opener: func(o gateway.Opener) gateway.Opener {
		return tracing{o, func(string) {}, errors.New("custody is down")}
	}}},
	{name: "target error", silent: true, behaviour: Refuses},
	{name: "target that says what it was told", silent: true, behaviour: Reflects},
	{name: "target that hangs up", silent: true, behaviour: HangsUp},
	{name: "target unreachable", unmade: true, silent: true, host: "shop.example", config: testgate.Config{Resolve: func(context.Context, string) ([]net.IP, error) {
		return nil, errors.New("no such host")
	}}},
	{name: "panic in the act", unmade: true, host: "shop.example", config: testgate.Config{Resolve: func(context.Context, string) ([]net.IP, error) {
		panic("resolve, with the secret " + testkit.Plain)
	}}},
}

func (r *run) secrets() {
	var lines int
	for _, f := range faults {
		up := r.d.Upstream(r)
		up.Behave(f.behaviour)
		g := r.before(up, f.host, f.config)
		k := r.client(g, g.Wide(1))
		before := bytes.Count(g.Logged.Bytes(), []byte("\n"))
		var got []byte
		for range 2 {
			a := k.Permitted()
			if well := f.name == "none"; a.OK != well {
				r.Errorf("%s: %+v", f.name, a)
			}
			got = append(append(got, a.Text...), k.Denied().Text...)
		}
		n := bytes.Count(g.Logged.Bytes(), []byte("\n"))
		if lines += n; !f.silent && n == before {
			r.Errorf("%s: nothing was logged", f.name)
		}
		out := g.receipts(receipt.Outcome)
		if f.unmade { // the operation that fails may be that of connecting
			out = g.Receipts(receipt.Outcome)
		}
		if len(out) != 2 && !(f.unmade && len(out) == 2*g.sessions(2)) {
			r.Errorf("%s: %d outcomes, want 2", f.name, len(out))
		}
		r.nowhere(f.name, map[string][]byte{"answers": got, "log": g.Logged.Bytes(), "records": records(r, g.Gate)})
	}
	if lines < len(faults) {
		r.Errorf("only %d lines were logged", lines)
	}
}

// nowhere fails if the secret is in one of the places, or there is nothing in it.
func (r *run) nowhere(name string, places map[string][]byte) {
	r.Helper()
	for place, data := range places {
		if len(data) == 0 {
			r.Errorf("%s: no %s to search", name, place)
		}
		for _, f := range forms(testkit.Plain) {
			if strings.Contains(string(data), f) {
				r.Errorf("%s: the secret is in the %s", name, place)
			}
		}
	}
}

// records returns the receipts of the gate.
func records(r *run, g *testgate.Gate) (all []byte) {
	r.Helper()
	for _, rec := range g.Receipts() {
		b, err := rec.Encode()
		if err != nil {
			r.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

func (r *run) cutOff() {
	g := r.gate(testgate.Config{})
	c := g.Wide(1)
	k := r.client(g, c)
	r.mustPermit(k)
	k.Close()
	before := r.least(g)
	n := len(r.d.Wire(r, g.Gate, c, g.Holder(0)))
	if n < 100 {
		r.Fatalf("an operation of %d bytes", n)
	}
	var at atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for end := int(at.Add(1)) - 1; end < n; end = int(at.Add(1)) - 1 {
				r.cut(g, c, end)
			}
		})
	}
	wg.Wait()
	r.settles(g, before)
	r.mustPermit(r.client(g, c))
	for line := range strings.Lines(string(g.Logged.Bytes())) {
		if strings.Contains(line, "panic") {
			r.Errorf("logged: %s", line)
		}
	}
}

// cut sends the first bytes of an operation and goes away.
func (r *run) cut(g *world, c *credential.Chain, end int) {
	wire := r.d.Wire(r, g.Gate, c, g.Holder(0))
	conn := r.d.Dial(r, g.Gate)
	defer conn.Close()
	if _, err := conn.Write(wire[:min(end, len(wire))]); err != nil {
		r.Errorf("write %d bytes: %v", end, err)
	}
}

// least returns how many goroutines the gate has while nobody is connected.
func (r *run) least(g *world) int {
	n := g.Goroutines()
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); { // those of the last client go away
		n = min(n, g.Goroutines())
	}
	if n == 0 {
		r.Fatal("no goroutine of the gate is seen")
	}
	return n
}

// settles waits until no more than n goroutines of the gate are left.
func (r *run) settles(g *world, n int) {
	deadline := time.Now().Add(20 * time.Second)
	for g.Goroutines() > n {
		if time.Now().After(deadline) {
			r.Errorf("%d goroutines of the gate are left, and there were %d before", g.Goroutines(), n)
			return
		}
		runtime.Gosched()
	}
}

// junk is a connection that says nothing of use.
type junk struct {
	dial func() (net.Conn, error)
	send func(net.Conn) error
}

func (r *run) junk() {
	if r.d.Quick.New != nil {
		r.d.Protocol = r.d.Quick
	}
	g := r.gate(testgate.Config{})
	if len(r.d.Junk) < 3 {
		r.Fatalf("only %d kinds of junk", len(r.d.Junk))
	}
	dial := func() (net.Conn, error) { return r.d.Dial(r, g.Gate), nil }
	kinds := map[string]junk{
		"silence below the protocol": {dial, func(net.Conn) error { return nil }},
		"silence from the first byte on": {
			func() (net.Conn, error) { return new(net.Dialer).DialContext(r.Context(), "tcp", g.Addrs[0]) },
			func(net.Conn) error { return nil },
		},
	}
	for name, send := range r.d.Junk {
		kinds[name] = junk{dial, send}
	}
	var wg sync.WaitGroup
	for name, j := range kinds {
		wg.Go(func() {
			conn, err := j.dial()
			if err != nil {
				r.Errorf("%s: %v", name, err)
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(40 * time.Second))
			if err := j.send(conn); err != nil {
				return // the gateway closed it while it was sent
			}
			_, err = io.Copy(io.Discard, conn)
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				r.Errorf("%s: the gateway still listens after 40 s", name)
			}
		})
	}
	wg.Wait()
	if n := g.up.Connections(); n != 0 {
		r.Errorf("%d connections upstream", n)
	}
	r.mustPermit(r.client(g, g.Wide(1)))
}

func (r *run) drain() {
	g := r.gate(testgate.Config{})
	k := r.client(g, g.Wide(1))
	r.mustPermit(k)
	reached, release := g.up.Hold()
	answer := make(chan Answer, 1)
	go func() { answer <- k.Permitted() }()
	<-reached
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop() }()
	select {
	case err := <-stopped:
		r.Errorf("the gate stopped (%v) with an operation under way", err)
	case <-time.After(50 * time.Millisecond): // it must not have ended; it cannot show that it never would
	}
	release()
	if a := <-answer; !a.OK {
		r.Errorf("the operation under way was not let to end: %+v", a)
	}
	if err := <-stopped; err != nil {
		r.Errorf("stop: %v", err)
	}
}

func (r *run) oneCredential() {
	g := r.gate(testgate.Config{})
	a, b := r.client(g, g.Wide(1)), r.client(g, g.Wide(1))
	for range 2 {
		r.mustPermit(a)
		r.mustPermit(b)
	}
	seen := g.up.Operations()
	if len(seen) != 4 || seen[0] == seen[1] || seen[0] != seen[2] || seen[1] != seen[3] {
		r.Errorf("upstream connections were shared, or not kept: %d operations", len(seen))
	}
}

// lostResponse has a target read a whole request and hang up, on a new connection
// and on a kept one: nobody knows what became of it, so it is not sent again.
func (r *run) lostResponse() {
	for _, kept := range []bool{false, true} {
		g := r.gate(testgate.Config{})
		k, before := r.client(g, g.Wide(1)), 0
		if kept {
			r.mustPermit(k)
			before = 1
		}
		g.up.Behave(HangsUp)
		a := k.Permitted()
		if a.OK {
			r.Errorf("kept %v: a lost response was taken for one: %+v", kept, a)
		}
		if n := g.reached() - before; n != 1 || g.up.Connections() != 1 {
			r.Errorf("kept %v: %d requests over %d connections, want 1 over 1", kept, n, g.up.Connections())
		}
		out := g.receipts(receipt.Outcome)
		if len(out) != before+1 || out[before].Outcome.Class != receipt.Unknown {
			r.Errorf("kept %v: want %d outcomes, the last unknown; have %d", kept, before+1, len(out))
		}
	}
}

// unusedEnd shows that the target sees a kept connection close when the policy log
// changes: whatever was published, it does not outlive that. A session outlives
// what another credential lost.
func (r *run) unusedEnd() {
	const others = "a revocation of another credential"
	for name, change := range map[string]func(*testgate.Gate){
		others:                        func(g *testgate.Gate) { g.Revoke(zone.RevokeCredential, g.Wide(1).Blocks()[0]) },
		"a successor":                 func(g *testgate.Gate) { g.Succeed(func(d *policy.Document) { d.Expires-- }) },
		"a new version of the secret": func(g *testgate.Gate) { g.PutSecret(2, "another-secret-value") },
	} {
		g := r.gate(testgate.Config{})
		k := r.client(g, g.Wide(1))
		r.mustPermit(k)
		if n := g.up.Open(); n != 1 {
			r.Errorf("%s: %d connections are kept before, want 1", name, n)
		}
		change(g.Gate)
		if name == others && g.connect != "" {
			r.mustPermit(k)
			if n := g.up.Connections(); n != 1 {
				r.Errorf("%s: %d connections; the session did not go on", name, n)
			}
			continue
		}
		deadline := time.Now().Add(10 * time.Second) // before they would end by themselves
		for g.up.Open() > 0 && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		if n := g.up.Open(); n != 0 {
			r.Errorf("%s: %d unused connections are open still", name, n)
		}
	}
}
