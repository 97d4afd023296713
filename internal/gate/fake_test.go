package gate_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gate"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/polog"
	"github.com/writhq/writ/internal/state"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// world is a gate over fakes that keep the order of what happened.
type world struct {
	*testkit.Zone
	t       testing.TB
	zone    *zone.Zone
	gate    *gate.Gate
	state   *state.State
	mu      sync.Mutex
	events  []string            // guarded by mu
	seen    []*receipt.Receipt  // guarded by mu
	proofs  []*receipt.Evidence // guarded by mu
	fail    error               // of Append
	law     error               // of Fresh and View
	fresh   int64               // what Fresh says
	between func()              // called once after the next reservation
	trap    func(step string)   // called at the beginning of Fresh, View, Reserve and Append
	hang    bool                // Append returns when its context ends
	floor   int64               // what Floor says
	held    string              // what Held says
}

func newWorld(t testing.TB, change func(*policy.Document)) *world {
	t.Helper()
	return newWorldWith(t, testkit.Config{Policy: change})
}

func newWorldWith(t testing.TB, c testkit.Config) *world {
	t.Helper()
	w := &world{Zone: testkit.NewZoneWith(t, c), t: t, state: state.New(), fresh: testkit.Now, floor: testkit.Now}
	var err error
	if w.zone, err = zone.New(w.Root.Zone(), []*sign.Envelope{w.RootEnvelope}, testkit.Now); err != nil {
		t.Fatal(err)
	}
	w.apply(w.Envelope)
	w.apply(w.alias(w.Policy))
	_, blob := w.Sealed(t)
	st, _ := w.Sealed(t)
	w.apply(testkit.Envelope(t, zone.SecretType, zone.SecretRecord{
		Zone: w.Root.Zone(), Alias: testkit.Alias, ID: testkit.SecretID, Version: 1, Policy: w.Policy.ID(),
		Sealed: canon.Hash(blob), Statement: st.Envelope(), State: zone.Active,
	}, w.Key("sam")))
	w.gate, err = gate.New(gate.Config{ID: "gate-1", Group: testkit.Group, Region: "eu", Laws: w, Ledger: w, State: w, Marks: w, Held: func() string { return w.held }})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) apply(e *sign.Envelope) {
	w.t.Helper()
	b, err := (&zone.Entry{LoggedAt: testkit.Now, Envelope: e}).Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.zone.Apply(b); err != nil {
		w.t.Fatalf("apply: %v", err)
	}
}

func (w *world) alias(p *policy.Verified) *sign.Envelope {
	d := p.Document()
	return testkit.Envelope(w.t, zone.AliasType, zone.AliasRecord{Zone: w.Root.Zone(), Alias: d.Alias, Version: d.Version, Policy: p.ID()}, w.Key("ana"), w.Key("bo"))
}

func (w *world) revoke(kind zone.RevokeKind, id canon.Digest) {
	w.apply(testkit.Envelope(w.t, zone.RevokeType, zone.RevokeRecord{Zone: w.Root.Zone(), Alias: testkit.Alias, Kind: kind, ID: id, Reason: "test"}, w.Key("ana")))
}

func (w *world) note(e string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// View and Fresh implement gate.Laws.
func (w *world) View(fn func(*zone.Zone)) error {
	w.step("view")
	if w.law == nil {
		fn(w.zone)
	}
	return w.law
}

func (w *world) step(name string) {
	if w.trap != nil {
		w.trap(name)
	}
}

func (w *world) Fresh() (int64, polog.Position, error) {
	w.step("fresh")
	return w.fresh, polog.Position{Size: w.zone.Size(), Root: canon.Digest{1}}, w.law
}

// Append and Floor implement gate.Ledger. Append checks that what it is given is
// a receipt that the real ledger takes.
func (w *world) Append(ctx context.Context, e ledger.Entry) (ledger.Ref, error) {
	w.step("append")
	if w.hang {
		<-ctx.Done()
		return ledger.Ref{}, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return ledger.Ref{}, w.fail
	}
	seq := uint64(len(w.seen) + 1)
	r, ev, err := e.Build(1, seq, time.Unix(testkit.Now, 0))
	if err != nil {
		return ledger.Ref{}, err
	}
	c := *r
	c.Typ, c.Gate, c.Epoch, c.Seq, c.TimeMS, c.Zone, c.Mode = receipt.Type, "gate-1", 1, seq, testkit.Now*1000, w.Root.Zone(), e.Mode
	b, err := c.Encode()
	if err != nil {
		w.t.Errorf("append: %v", err)
		return ledger.Ref{}, err
	}
	if ev != nil {
		if err := ev.Check(&c); err != nil {
			w.t.Errorf("append: %v", err)
		}
	}
	w.events = append(w.events, "record "+string(c.Kind))
	w.seen, w.proofs = append(w.seen, &c), append(w.proofs, ev)
	return c.Ref(b), nil
}

func (w *world) Floor() time.Time { return time.Unix(w.floor, 0) }

// Reserve, Release and Done implement gate.State.
func (w *world) Reserve(r *state.Reservation) *state.Refusal {
	w.step("reserve")
	w.note("reserve")
	ref := w.state.Reserve(r)
	if w.between != nil {
		w.between()
	}
	return ref
}

func (w *world) Release(r *state.Reservation) {
	w.note("release")
	w.state.Release(r)
}

func (w *world) Done(r *state.Reservation) { w.state.Done(r) }

func (w *world) Released(k canon.Digest) bool { return w.state.Released(k) }

func (w *world) MarkReleased(k canon.Digest) { w.state.MarkReleased(k) }

func (w *world) take() (events []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	events, w.events = w.events, nil
	return events
}

// request asks to read an order; each has a replay id of its own.
func (w *world) request(chain *credential.Chain) *gate.Request {
	o := w.Operation(w.t, "GET", "/v1/orders/1", "")
	jti := credential.NewID()
	return &gate.Request{
		At: time.Unix(testkit.Now, 0), Chain: chain, Operation: o, Action: "http:GET", Target: testkit.Target, Purpose: "refund",
		Level: op.Signed, Replay: canon.Hash(jti), ReplayEnd: testkit.Now + 90, Proof: []byte("signed by the holder"),
	}
}

func (w *world) refund(chain *credential.Chain, amount string) *gate.Request {
	r := w.request(chain)
	r.Operation, r.Action = w.Operation(w.t, "POST", "/v1/refunds", `{"order":"1","amount":`+amount+`}`), "http:POST"
	return r
}

func (w *world) decide(r *gate.Request) (*gate.Permitted, *op.Denial) {
	w.t.Helper()
	p, err := w.gate.Decide(w.t.Context(), r)
	if d, ok := errors.AsType[*op.Denial](err); ok {
		if p != nil {
			w.t.Error("a denial with a permit")
		}
		return nil, d
	}
	if err != nil {
		w.t.Fatalf("decide: %v", err)
	}
	return p, nil
}

func (w *world) mustPermit(r *gate.Request) *gate.Permitted {
	w.t.Helper()
	p, d := w.decide(r)
	if d != nil {
		w.t.Fatalf("denied: %s: %s", d.Code, d.Reason)
	}
	return p
}

func (w *world) mustDeny(r *gate.Request, want op.Code) *op.Denial {
	w.t.Helper()
	_, d := w.decide(r)
	if d == nil {
		w.t.Fatalf("permitted; want %s", want)
	}
	if d.Code != want {
		w.t.Errorf("denied: %s: %s; want %s", d.Code, d.Reason, want)
	}
	if d.Receipt.IsZero() || d.Next == "" {
		w.t.Error("the denial has no receipt, or says nothing of what to do")
	}
	return d
}
