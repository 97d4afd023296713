package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gate"
	"github.com/writhq/writ/internal/gateway"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/state"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
)

// idle is a handler that takes no connections.
type idle struct{}

func (idle) Serve(ctx context.Context, _ net.Listener) error {
	<-ctx.Done()
	return nil
}

// newHall returns a running gate and its hall.
func newHall(t *testing.T) (*testgate.Gate, *gateway.Hall) {
	t.Helper()
	return newHallWith(t, testgate.Config{})
}

func newHallWith(t *testing.T, c testgate.Config) (*testgate.Gate, *gateway.Hall) {
	t.Helper()
	halls := make(chan *gateway.Hall, 1)
	door := testgate.Door{
		Protocol: gateway.Protocol{Name: "http", New: func(_ json.RawMessage, h *gateway.Hall) (gateway.Handler, error) {
			halls <- h
			return idle{}, nil
		}},
		Config: func(string) json.RawMessage { return nil },
	}
	c.Upstream, c.Doors = testgate.NewUpstream(t, nil), []testgate.Door{door}
	g := testgate.New(t, c)
	return g, <-halls
}

// ask is a request to read an order, proven afresh.
func ask(t *testing.T, g *testgate.Gate) *gateway.Request {
	t.Helper()
	o := g.Operation(t, "GET", "/v1/orders/1", "")
	return &gateway.Request{Action: "http:GET", Target: testkit.Target, Operation: o, Proof: gateway.Proof{
		Level: op.Signed, Purpose: "refund", Replay: canon.Hash(credential.NewID()), ReplayEnd: testkit.Now + 90, Evidence: []byte("signed"),
	}}
}

// TestUseEnds shows that an act is called once for a permit, leaves an outcome
// however it ends, and no secret behind.
//
// SPEC HALL-1, HALL-2, HALL-3
// R2 R13 R16
// guard: use-decided, act-wiped, panic-recorded
func TestUseEnds(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	for name, tt := range map[string]struct {
		act   func() (gateway.Outcome, error)
		class receipt.Class
		fails bool
	}{
		"well":      {func() (gateway.Outcome, error) { return gateway.Outcome{Class: gateway.OK}, nil }, gateway.OK, false},
		"badly":     {func() (gateway.Outcome, error) { return gateway.Outcome{Class: gateway.Failed}, failed }, gateway.Failed, true},
		"in panic":  {func() (gateway.Outcome, error) { panic("at the disco") }, gateway.Unknown, true},
		"not begun": {func() (gateway.Outcome, error) { return gateway.Outcome{Class: gateway.NotSent}, failed }, gateway.NotSent, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, h := newHall(t)
			s, err := h.Session(g.Wide(1).Bytes())
			if err != nil {
				t.Fatal(err)
			}
			var kept secret.Bytes
			called := 0
			r := ask(t, g)
			err = s.Use(t.Context(), r, func(_ context.Context, a *gateway.Act) (gateway.Outcome, error) {
				called++
				kept = a.Secret
				a.Secret.Use(func(b []byte) error {
					if string(b) != testkit.Plain {
						t.Error("not the secret")
					}
					return nil
				})
				return tt.act()
			})
			if (err != nil) != tt.fails || called != 1 {
				t.Errorf("%v, called %d times", err, called)
			}
			kept.Use(func(b []byte) error {
				if len(b) > 0 {
					t.Error("the secret is still there")
				}
				return nil
			})
			if out := g.Receipts(receipt.Outcome); len(out) != 1 || out[0].Outcome.Class != tt.class {
				t.Errorf("%d outcomes", len(out))
			}
			if tt.class == gateway.NotSent {
				return // its proof may be used again
			}
			err = s.Use(t.Context(), r, func(context.Context, *gateway.Act) (gateway.Outcome, error) {
				called++
				return gateway.Outcome{}, nil
			})
			if d, ok := errors.AsType[*op.Denial](err); !ok || d.Code != op.Replayed || called != 1 {
				t.Errorf("the same once more: %v, called %d times", err, called)
			}
			if strings.Contains(string(g.Logged.Bytes()), "disco") {
				t.Error("the log holds what the panic said")
			}
		})
	}
}

// faulty is custody that panics, if it is asked.
type faulty struct {
	gateway.Opener
	asked *atomic.Int64
}

func (o faulty) Open(context.Context, *permit.Permit) (secret.Bytes, error) {
	o.asked.Add(1)
	panic("opened: " + testkit.Plain)
}

// cracked is a ledger that panics when it is written to.
type cracked struct{ *ledger.Ledger }

func (cracked) Append(context.Context, ledger.Entry) (ledger.Ref, error) {
	panic("appended: " + testkit.Plain)
}

// TestPanicBeforeAct shows a panic in the decision and one in custody: the act is
// not performed, an intent that is recorded has its outcome, and the log has
// nothing of what was said.
//
// SPEC HALL-2
// R2 R11
// guard: panic-recorded, decision-panic
func TestPanicBeforeAct(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	g, h := newHallWith(t, testgate.Config{Opener: func(o gateway.Opener) gateway.Opener { return faulty{o, &asked} }})
	use := func(h *gateway.Hall) error {
		s, err := h.Session(g.Wide(1).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		return s.Use(t.Context(), ask(t, g), func(context.Context, *gateway.Act) (gateway.Outcome, error) {
			t.Error("performed")
			return gateway.Outcome{Class: gateway.OK}, nil
		})
	}
	if err := use(h); err == nil || asked.Load() != 1 || h.Panics() != 1 {
		t.Errorf("custody panics: %v, asked %d times, %d panics", err, asked.Load(), h.Panics())
	}
	if out := g.Receipts(receipt.Outcome); len(out) != 1 || out[0].Outcome.Class != gateway.NotSent {
		t.Errorf("%d outcomes; want one not_sent", len(out))
	}
	laws, marks := g.Server.PolicyLog(), state.New()
	broken, err := gate.New(gate.Config{ID: "gate-1", Group: testkit.Group, Laws: laws, Ledger: cracked{g.Server.Ledger()}, State: marks, Marks: marks, Held: func() string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	h, err = gateway.New(gateway.Config{
		Gate: broken, Custody: faulty{nil, &asked}, Laws: laws, Domain: testkit.Domain, Now: g.Clock.Now, Log: slog.New(slog.NewJSONHandler(g.Logged, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := use(h); !errors.Is(err, gate.ErrPanic) || asked.Load() != 1 || h.Panics() != 1 {
		t.Errorf("the decision panics: %v, asked %d times, %d panics", err, asked.Load(), h.Panics())
	}
	if log := string(g.Logged.Bytes()); strings.Count(log, `"ERROR"`) != 2 || strings.Contains(log, testkit.Plain) {
		t.Errorf("logged: %s", log)
	}
}

// TestActExpires shows an act that its credential does not outlive.
//
// SPEC HALL-3, GATE-7
// R27
// guard: act-expires
func TestActExpires(t *testing.T) {
	t.Parallel()
	g, h := newHall(t)
	c := g.Wide(1)
	terms := c.Last()
	terms.Expires, terms.Holder = testkit.Now+1, credential.NewHolderKey(g.Holder(1).Public())
	c, err := c.Narrow(g.Holder(0), "", terms)
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Session(c.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Use(t.Context(), ask(t, g), func(ctx context.Context, _ *gateway.Act) (gateway.Outcome, error) {
		select {
		case <-ctx.Done():
			return gateway.Outcome{Class: gateway.Stopped}, context.Cause(ctx)
		case <-time.After(20 * time.Second):
			t.Error("the act goes on")
			return gateway.Outcome{Class: gateway.OK}, nil
		}
	})
	if !errors.Is(err, gateway.ErrGateway) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("ended by %v", err)
	}
}

// TestSessions shows credentials that begin no session, and channels that prove
// nothing.
//
// SPEC HALL-6, HALL-8
// R18
// guard: channel-key
func TestSessions(t *testing.T) {
	t.Parallel()
	g, h := newHall(t)
	c := g.Wide(1)
	for name, b := range map[string][]byte{
		"empty": nil, "cut short": c.Bytes()[:100], "too large": bytes.Repeat([]byte{0}, credential.MaxBytes+1),
	} {
		if _, err := h.Session(b); err == nil {
			t.Errorf("%s: a session", name)
		}
	}
	if n := g.Server.Tallied()[op.CredentialInvalid]; n != 3 {
		t.Errorf("%d refusals tallied", n)
	}
	if _, ok, err := h.SessionByDigest(c.Digest()); ok || err != nil {
		t.Errorf("an unknown credential: %v, %v", ok, err)
	}
	s, err := h.Session(c.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := h.SessionByDigest(c.Digest()); !ok || err != nil {
		t.Errorf("a known credential: %v, %v", ok, err)
	}
	for name, spki := range map[string][]byte{"none": nil, "empty": {}, "another": []byte("key")} {
		_, err := s.ProveChannel(spki, &proof.Invocation{Audience: testkit.Domain})
		if d, ok := errors.AsType[*op.Denial](err); !ok || d.Code != op.ProofRequired {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConnectionBound shows that a connection too many is closed at once, in all
// and of one address, and that a place is given back once.
//
// SPEC HALL-9
// R11
// guard: connection-bound, address-bound
func TestConnectionBound(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string][2]int{"in all": {2, 9}, "of one address": {9, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, h := newHall(t)
			gateway.SetPlaces(h, bound[0], bound[1])
			accepted, dial := accepting(t, h)
			refused := func(what string) {
				t.Helper()
				c := dial("127.0.0.1")
				c.SetReadDeadline(time.Now().Add(10 * time.Second))
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("%s: %v", what, err)
				}
			}
			dial("127.0.0.1")
			first := <-accepted
			dial("127.0.0.1")
			second := <-accepted
			refused("a connection too many")
			first.Close()
			first.Close()
			dial("127.0.0.1")
			third := <-accepted
			refused("a place that was given back twice")
			if bound[0] > bound[1] {
				dial("127.0.0.2")
				(<-accepted).Close()
			}
			second.Close()
			third.Close()
		})
	}
}

// accepting returns what a listener of h accepts, and a way to reach it from an
// address.
func accepting(t *testing.T, h *gateway.Hall) (<-chan net.Conn, func(from string) net.Conn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := h.Listener(inner)
	t.Cleanup(func() { l.Close() })
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	return accepted, func(from string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
}
