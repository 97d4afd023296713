// Package testgate is a whole gate for tests: the zone of testkit, a server with
// real sockets in a folder of the test's own, a clock that the test moves, and an
// upstream that remembers what reached it.
package testgate

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// Config says how a gate differs from the usual one. Its zero value is the usual
// one, without doors.
type Config struct {
	Dir      string // "": one of the test's own
	Upstream *Upstream
	Policy   func(*policy.Document)
	Root     func(*policy.RootDocument)
	Doors    []Door
	Faults   func(ledger.Call) error
	Opener   func(gateway.Opener) gateway.Opener
	NoSecret bool   // none is sealed
	Machine  string // see [server.Config]
	Resolve  func(ctx context.Context, host string) ([]net.IP, error)
}

// A Door is a protocol to open, with the configuration for its address.
type Door struct {
	Protocol gateway.Protocol
	Config   func(addr string) json.RawMessage
}

// A Gate is a running gate.
type Gate struct {
	*testkit.Zone
	Server   *server.Server
	Dir      string
	Clock    *Clock
	Upstream *Upstream
	Logged   *Buffer // what the gate logged
	Addrs    []string
	Law      *policy.Verified // in force
	Unpin    bool             // Keyring leaves the pin out

	t      testing.TB
	c      Config
	cert   tls.Certificate
	cancel context.CancelFunc
	done   chan error
}

// A Clock is a clock that tests move. It is safe for concurrent use.
type Clock struct{ ns atomic.Int64 }

// Now returns the time.
func (c *Clock) Now() time.Time { return time.Unix(0, c.ns.Load()) }

// Add moves the clock.
func (c *Clock) Add(d time.Duration) { c.ns.Add(int64(d)) }

// A Buffer is a buffer that is safe for concurrent use.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// Bytes returns a copy of what was written.
func (b *Buffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}

// New returns a running gate with the policy in force and the secret sealed. It
// ends with the test.
func New(t testing.TB, c Config) *Gate {
	t.Helper()
	g := Prepare(t, c)
	g.Start()
	g.Publish(g.Envelope)
	g.PutInForce(g.Policy)
	if !c.NoSecret {
		g.PutSecret(1, testkit.Plain)
	}
	return g
}

// Prepare returns a gate that is not started.
func Prepare(t testing.TB, c Config) *Gate {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	g := &Gate{Dir: c.Dir, Clock: &Clock{}, Upstream: c.Upstream, Logged: &Buffer{}, t: t, c: c}
	g.Clock.ns.Store(testkit.Now * int64(time.Second))
	g.Zone = testkit.NewZoneWith(t, testkit.Config{Root: c.Root, Policy: func(d *policy.Document) {
		if c.Upstream != nil {
			d.Targets[0].Origin, d.Targets[0].Pins, d.Targets[0].Private = c.Upstream.Origin, []string{c.Upstream.Pin}, true
		}
		if c.Policy != nil {
			c.Policy(d)
		}
	}})
	g.cert = Certificate(t)
	return g
}

// Keyring returns the gate's keys, pinned to its zone.
func (g *Gate) Keyring() *custody.Keyring {
	seed := testkit.GateSeed(g.Seed + "gate")
	pin := g.Root.Zone()
	if g.Unpin {
		pin = canon.Digest{}
	}
	return &custody.Keyring{
		Pin: pin, Gate: "gate-1", KEMID: g.Zone.Gate.ID(), KEM: secret.Take(seed[:]), Sign: g.Key("gate-1"), Log: g.Key("log"),
		Evidence: secret.Take(bytes.Repeat([]byte{9}, 32)),
	}
}

// label marks the goroutines of a gate, which hand it on to those that they start.
const label = "testgate"

// labelled calls fn such that every goroutine that comes of it is g's.
func (g *Gate) labelled(fn func(context.Context)) {
	pprof.Do(context.WithoutCancel(g.t.Context()), pprof.Labels(label, g.Dir), fn)
}

// Goroutines returns how many goroutines of the gate there are; of the test, its
// clients and other gates there are none among them.
func (g *Gate) Goroutines() int {
	g.t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		g.t.Fatal(err)
	}
	sum, n := 0, 0
	for line := range strings.Lines(b.String()) { // "N @ addresses", then its labels
		if at, _, ok := strings.Cut(line, " @ "); ok {
			fmt.Sscan(at, &n)
		} else if strings.HasPrefix(line, "# labels:") && strings.Contains(line, strconv.Quote(g.Dir)) {
			sum += n
		}
	}
	return sum
}

// Open opens the server on the gate's folder.
func (g *Gate) Open() (s *server.Server, err error) {
	g.labelled(func(ctx context.Context) { s, err = g.open(ctx) })
	return s, err
}

func (g *Gate) open(ctx context.Context) (*server.Server, error) {
	return server.Open(ctx, server.Config{
		Dir: g.Dir, Keyring: g.Keyring(), Roots: []*sign.Envelope{g.RootEnvelope}, Now: g.Clock.Now,
		Log: slog.New(slog.NewJSONHandler(g.Logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
		TLS: &tls.Config{Certificates: []tls.Certificate{g.cert}}, Build: "test",
		Resolve: g.c.Resolve, Faults: g.c.Faults, Opener: g.c.Opener, Machine: g.c.Machine,
	})
}

// Start opens the server and its doors.
func (g *Gate) Start() {
	g.t.Helper()
	s, err := g.Open()
	if err != nil {
		g.t.Fatalf("open: %v", err)
	}
	g.Server, g.Addrs = s, nil
	var doors []server.Listener
	for _, d := range g.c.Doors {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			g.t.Fatal(err)
		}
		g.Addrs = append(g.Addrs, l.Addr().String())
		doors = append(doors, server.Listener{Protocol: d.Protocol, Config: d.Config(l.Addr().String()), Net: l})
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(g.t.Context()))
	g.cancel, g.done = cancel, make(chan error, 1)
	g.labelled(func(context.Context) {
		go func() { g.done <- s.Serve(ctx, doors) }()
	})
	g.t.Cleanup(func() { g.Stop() })
}

// Stop lets what is under way end and returns what Serve returned. A second call
// does nothing.
func (g *Gate) Stop() error {
	if g.cancel == nil {
		return nil
	}
	g.cancel()
	g.cancel = nil
	return <-g.done
}

// Publish publishes a signed document that must be accepted.
func (g *Gate) Publish(e *sign.Envelope) {
	g.t.Helper()
	if _, err := g.Server.Publish(g.t.Context(), e); err != nil {
		g.t.Fatalf("publish %s: %v", e.PayloadType, err)
	}
}

// PutInForce publishes the alias record for p.
func (g *Gate) PutInForce(p *policy.Verified) {
	g.t.Helper()
	g.Publish(g.Alias(p))
	g.Law = p
}

// Alias returns the signed alias record for p.
func (g *Gate) Alias(p *policy.Verified) *sign.Envelope {
	d := p.Document()
	return testkit.Envelope(g.t, zone.AliasType, zone.AliasRecord{Zone: g.Root.Zone(), Alias: d.Alias, Version: d.Version, Policy: p.ID()},
		g.Key("ana"), g.Key("bo"))
}

// Succeed puts a changed successor in force.
func (g *Gate) Succeed(change func(*policy.Document)) {
	g.t.Helper()
	d := testkit.Next(g.Law)
	change(d)
	e := testkit.Envelope(g.t, policy.PayloadType, d, g.Key("ana"), g.Key("bo"))
	p, err := policy.Verify(e, g.Root, g.Law)
	if err != nil {
		g.t.Fatalf("successor: %v", err)
	}
	g.Publish(e)
	g.PutInForce(p)
}

// PutSecret seals the value as a version of the secret and publishes it.
func (g *Gate) PutSecret(version int64, plain string) {
	g.t.Helper()
	v := testkit.Value(plain)
	st, err := seal.NewStatement(g.Law, seal.Name{ID: testkit.SecretID, Version: version, IssuedAt: testkit.Now}, v)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := st.Envelope().Sign(g.Key("sam")); err != nil {
		g.t.Fatal(err)
	}
	blob, err := seal.Seal(g.Law, st, g.Root.Group(testkit.Group), v)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.Server.PutSealed(g.t.Context(), blob); err != nil {
		g.t.Fatal(err)
	}
	g.Publish(testkit.Envelope(g.t, zone.SecretType, zone.SecretRecord{
		Zone: g.Root.Zone(), Alias: testkit.Alias, ID: testkit.SecretID, Version: version, Policy: g.Law.ID(),
		Sealed: canon.Hash(blob), Statement: st.Envelope(), State: zone.Active,
	}, g.Key("sam")))
}

// Revoke publishes a revocation by ana.
func (g *Gate) Revoke(kind zone.RevokeKind, id canon.Digest) {
	g.t.Helper()
	g.Publish(testkit.Envelope(g.t, zone.RevokeType, zone.RevokeRecord{
		Zone: g.Root.Zone(), Alias: testkit.Alias, Kind: kind, ID: id, Reason: "test",
	}, g.Key("ana")))
}

// Wide returns the usual credential without limits and for all purposes: n
// blocks, the last held by Holder(n-1).
func (g *Gate) Wide(n int) *credential.Chain {
	g.t.Helper()
	grant := g.Grant()
	grant.ID, grant.Purposes = credential.NewID(), nil
	c, err := credential.Issue(grant, g.Key("iris"))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 1; i < n; i++ {
		terms := c.Last()
		terms.Holder = credential.NewHolderKey(g.Holder(i).Public())
		if c, err = c.Narrow(g.Holder(i-1), "", terms); err != nil {
			g.t.Fatal(err)
		}
	}
	return c
}

// Receipts returns the gate's receipts of the kinds, all if none is named.
func (g *Gate) Receipts(kinds ...receipt.Kind) []*receipt.Receipt {
	g.t.Helper()
	var out []*receipt.Receipt
	err := g.Server.Ledger().Receipts(g.t.Context(), ledger.Ref{}, ledger.Ref{}, func(_ ledger.Ref, r *receipt.Receipt) error {
		if len(kinds) == 0 || slices.Contains(kinds, r.Kind) {
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		g.t.Fatalf("receipts: %v", err)
	}
	return out
}
