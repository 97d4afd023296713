package gate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/gate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/zone"
)

// TestOrder shows the order of one decision: allowed, denied, and with the log
// down. SPEC GATE-1, GATE-2.
//
// R11 R13 R16 R59 A36
// guard: reserve-before-permit, record-before-permit
func TestOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.Credential(t, 1)
	p := w.mustPermit(w.request(c))
	if got := w.take(); !slices.Equal(got, []string{"reserve", "record intent"}) {
		t.Errorf("allowed: %v", got)
	}
	if p.Permit.Intent.Seq != 1 || p.Permit.Sealed.IsZero() || p.Permit.Expires != testkit.Now+10 {
		t.Errorf("permit: %+v", p.Permit)
	}
	bad := w.request(c)
	bad.Operation = w.Operation(t, "GET", "/v1/customers", "")
	w.mustDeny(bad, op.NotPermitted)
	if got := w.take(); !slices.Equal(got, []string{"record denial"}) {
		t.Errorf("denied: %v", got)
	}
	again := w.request(c)
	w.mustPermit(again)
	w.mustDeny(again, op.Replayed)
	w.take()
	w.fail = errors.New("disk full")
	for _, r := range []*gate.Request{w.request(c), bad} {
		if p, err := w.gate.Decide(t.Context(), r); err == nil || p != nil {
			t.Errorf("log down: %v, %v", p, err)
		} else if _, ok := errors.AsType[*op.Denial](err); ok {
			t.Error("log down: a denial that is not recorded was given as one")
		}
	}
	if got := w.take(); !slices.Equal(got, []string{"reserve", "release"}) {
		t.Errorf("log down: %v", got)
	}
}

// TestResolve shows every way in which there is no policy to decide by, or it
// must not decide. SPEC GATE-3.
//
// R4 R6 R11 R19 R27 R28 R30 R31 R43 A22
// guard: gate-held, root-in-time, clock-set-back, policy-fresh, policy-signed-for, alias-resolves, policy-revoked, gate-revoked, chain-verified, credential-revoked, secret-active, ancestor-block-revoked, ancestor-key-revoked
func TestResolve(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(w *world, r *gate.Request)
		want   op.Code
	}{
		"folder restored":     {func(w *world, _ *gate.Request) { w.held = "restored" }, op.StateUnavailable},
		"log does not answer": {func(w *world, _ *gate.Request) { w.law = errors.New("down") }, op.PolicyStale},
		"root expired": {func(w *world, r *gate.Request) {
			r.At = r.At.Add(200 * 24 * time.Hour)
			w.fresh = r.At.Unix()
		}, op.PolicyExpired},
		"stale":          {func(w *world, _ *gate.Request) { w.fresh = testkit.Now - 61 }, op.PolicyStale},
		"clock set back": {func(w *world, _ *gate.Request) { w.floor = testkit.Now + 31 }, op.StateUnavailable},
		"signed for another policy": {func(_ *world, r *gate.Request) {
			r.Policy = &canon.Digest{1}
		}, op.PolicyChanged},
		"policy revoked": {func(w *world, _ *gate.Request) { w.revoke(zone.RevokePolicy, w.Policy.ID()) }, op.Revoked},
		"gate revoked":   {func(w *world, _ *gate.Request) { w.revoke(zone.RevokeGate, canon.Hash([]byte("gate-1"))) }, op.Revoked},
		"grant revoked":  {func(w *world, r *gate.Request) { w.revoke(zone.RevokeCredential, r.Chain.Blocks()[0]) }, op.Revoked},
		"block revoked":  {func(w *world, r *gate.Request) { w.revoke(zone.RevokeBlock, r.Chain.Blocks()[1]) }, op.Revoked},
		"key revoked": {func(w *world, r *gate.Request) {
			w.revoke(zone.RevokeKey, canon.Digest(r.Chain.Holders()[1].ID()))
		}, op.Revoked},
		"issuer not of the policy": {func(w *world, r *gate.Request) {
			other := testkit.NewZoneWith(w.t, testkit.Config{Seed: "other"})
			g := w.Grant()
			r.Chain = issue(w.t, g, other.Key("iris"))
		}, op.CredentialInvalid},
		"alias without policy": {func(w *world, r *gate.Request) {
			g := w.Grant()
			g.Alias = "payments/other"
			r.Chain = issue(w.t, g, w.Key("iris"))
		}, op.PolicyUnknown},
		"secret destroyed": {func(w *world, _ *gate.Request) { w.destroy() }, op.SecretUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			r := w.request(w.Credential(t, 2))
			w.mustPermit(r)
			r = w.request(r.Chain)
			tt.change(w, r)
			w.mustDeny(r, tt.want)
		})
	}
}

// TestAncestorRevoked shows that a descendant ends with its ancestor.
//
// R43 R28
// guard: ancestor-block-revoked, ancestor-key-revoked
func TestAncestorRevoked(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		w := newWorld(t, nil)
		c := w.Credential(t, 3)
		w.mustPermit(w.request(c))
		w.revoke(zone.RevokeBlock, c.Blocks()[i])
		w.mustDeny(w.request(c), op.Revoked)
		w = newWorld(t, nil)
		w.mustPermit(w.request(c))
		w.revoke(zone.RevokeKey, canon.Digest(c.Holders()[i].ID()))
		w.mustDeny(w.request(c), op.Revoked)
	}
}

// TestSuccession shows that the next use is decided by the successor, with the
// same credential. SPEC GATE-3.
//
// R20 R29 A5
// guard: sealed-under-policy-in-force, reseal-rests
func TestSuccession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.Credential(t, 1)
	w.mustPermit(w.refund(c, "4000"))
	next := w.Successor(t, w.Policy, func(d *policy.Document) {
		d.Rules = `@id("refund-less") permit (principal, action == Action::"http:POST", resource) when { context.body.amount <= 3000 && context.body.amount > 0 };`
	})
	w.apply(testkit.Envelope(t, policy.PayloadType, next.Document(), w.Key("ana"), w.Key("bo")))
	w.mustPermit(w.refund(c, "4000")) // publication alone gives no authority
	w.apply(w.alias(next))
	w.mustDeny(w.refund(c, "4000"), op.NotPermitted)
	w.mustDeny(w.refund(c, "2000"), op.SecretUnavailable) // the secret is still under version 1, and nothing here seals it again

	broken, err := gate.New(gate.Config{
		ID: "gate-1", Group: testkit.Group, Laws: w, Ledger: w, State: w, Marks: w, Held: func() string { return w.held }, Resealer: &gate.Resealer{Custodian: noCustodian{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.gate = broken
	w.take()
	for range 3 {
		w.mustDeny(w.refund(c, "2000"), op.SecretUnavailable)
	}
	tried := []string{"record intent", "record outcome", "record denial"}
	rested := []string{"record denial", "record denial"}
	if got := w.take(); !slices.Equal(got, append(tried, rested...)) {
		t.Errorf("three uses of what cannot be sealed again: %v", got)
	}
	later := w.refund(c, "2000")
	later.At = later.At.Add(10 * time.Second)
	w.mustDeny(later, op.SecretUnavailable)
	if got := w.take(); !slices.Equal(got, tried) {
		t.Errorf("later: %v", got)
	}
}

// TestBarred shows a root that bars a version of a mapper: that of the policy, and
// another.
//
// SPEC ROOT-6
// A40
// guard: mapper-barred
func TestBarred(t *testing.T) {
	t.Parallel()
	for barred, want := range map[string]op.Code{"http/1": op.PolicyExpired, "http/2": "", "sql/1": ""} {
		w := newWorldWith(t, testkit.Config{Root: func(d *policy.RootDocument) { d.Barred = []string{barred} }})
		_, d := w.decide(w.request(w.Credential(t, 1)))
		if d == nil && want != "" || d != nil && d.Code != want {
			t.Errorf("%s: %v", barred, d)
		}
	}
}

// TestHolds shows what ends an act that was permitted.
//
// SPEC GATE-7
// R20 R27 R28 A13
// guard: act-holds
func TestHolds(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world, c *credential.Chain) (at int64){
		"policy revoked": func(w *world, _ *credential.Chain) int64 { w.revoke(zone.RevokePolicy, w.Policy.ID()); return 0 },
		"gate revoked": func(w *world, _ *credential.Chain) int64 {
			w.revoke(zone.RevokeGate, canon.Hash([]byte("gate-1")))
			return 0
		},
		"block revoked": func(w *world, c *credential.Chain) int64 { w.revoke(zone.RevokeBlock, c.Blocks()[0]); return 0 },
		"key revoked": func(w *world, c *credential.Chain) int64 {
			w.revoke(zone.RevokeKey, canon.Digest(c.Holder().ID()))
			return 0
		},
		"succeeded": func(w *world, _ *credential.Chain) int64 {
			next := w.Successor(t, w.Policy, func(d *policy.Document) {})
			w.apply(testkit.Envelope(t, policy.PayloadType, next.Document(), w.Key("ana"), w.Key("bo")))
			w.apply(w.alias(next))
			return 0
		},
		"root expired":        func(w *world, _ *credential.Chain) int64 { return w.Root.Document().Expires - testkit.Now },
		"log does not answer": func(w *world, _ *credential.Chain) int64 { w.law = errors.New("down"); return 0 },
	} {
		w := newWorld(t, nil)
		c := w.Credential(t, 2)
		p := w.mustPermit(w.request(c))
		if !w.gate.Holds(p, time.Unix(testkit.Now, 0)) {
			t.Errorf("%s: does not hold before", name)
		}
		if at := change(w, c); w.gate.Holds(p, time.Unix(testkit.Now+at, 0)) {
			t.Errorf("%s: holds", name)
		}
	}
}

// TestUntil shows that a permit says when the first of credential, policy and
// root expires.
//
// SPEC GATE-7
// R27
func TestUntil(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.Credential(t, 2)
	p := w.mustPermit(w.request(c))
	if want := c.Last().Expires; p.Until.Unix() != want || want > w.Policy.Document().Expires {
		t.Errorf("until %d, want %d", p.Until.Unix(), want)
	}
	terms := c.Last()
	terms.Expires, terms.Holder = testkit.Now+5, credential.NewHolderKey(w.Holder(2).Public())
	narrow, err := c.Narrow(w.Holder(1), "", terms)
	if err != nil {
		t.Fatal(err)
	}
	if p := w.mustPermit(w.request(narrow)); p.Until.Unix() != testkit.Now+5 {
		t.Errorf("narrowed: until %d", p.Until.Unix()-testkit.Now)
	}
}

// TestExactlyN shows that a limit of N is taken N times under concurrency, over
// many gates' worth of goroutines.
//
// R7 R18
func TestExactlyN(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.Credential(t, 3) // five uses
	var yes, no atomic.Int64
	var wg sync.WaitGroup
	requests := make([]*gate.Request, 40)
	for i := range requests {
		requests[i] = w.request(c)
	}
	for _, r := range requests {
		wg.Go(func() {
			p, err := w.gate.Decide(t.Context(), r)
			d, _ := errors.AsType[*op.Denial](err)
			switch {
			case err == nil && p != nil:
				yes.Add(1)
			case d != nil && d.Code == op.QuotaExceeded:
				no.Add(1)
			default:
				t.Errorf("decide: %v", err)
			}
		})
	}
	wg.Wait()
	if yes.Load() != 5 || no.Load() != 35 {
		t.Errorf("%d permitted and %d denied of a limit of 5", yes.Load(), no.Load())
	}
}

// TestFinish shows what becomes of a reservation. SPEC GATE-4, GATE-5.
//
// R56 A33 A36
func TestFinish(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		class receipt.Class
		freed bool
	}{{receipt.OK, false}, {receipt.Failed, false}, {receipt.Unknown, false}, {receipt.Stopped, false}, {receipt.NotSent, true}} {
		w := newWorld(t, nil)
		c := w.Credential(t, 3)
		for range 5 {
			p := w.mustPermit(w.request(c))
			if _, err := w.gate.Finish(t.Context(), p, gate.Outcome{Class: tt.class}); err != nil {
				t.Fatal(err)
			}
		}
		_, d := w.decide(w.request(c))
		if freed := d == nil; freed != tt.freed {
			t.Errorf("%s: given back: %v, want %v", tt.class, freed, tt.freed)
		}
		last := w.seen[len(w.seen)-2]
		if last.Kind != receipt.Outcome || last.Intent == nil || last.Intent.Seq != last.Seq-1 {
			t.Errorf("%s: the outcome does not name its intent", tt.class)
		}
	}
}

// TestHardQuotasAreDurable shows that what must survive a power loss does, also
// where the policy asks for less.
//
// A33
func TestHardQuotasAreDurable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *policy.Document) { d.Receipts.Mode = "buffered" })
	c := w.Credential(t, 1)
	w.mustPermit(w.request(c))
	w.mustPermit(w.refund(c, "100")) // counts amount-day, which is hard
	idem := w.request(c)
	idem.Idem = "order-1"
	w.mustPermit(idem)
	for i, want := range []receipt.Mode{receipt.Buffered, receipt.Durable, receipt.Durable} {
		if got := w.seen[i].Mode; got != want {
			t.Errorf("intent %d is %s, want %s", i, got, want)
		}
	}
}

// TestIdempotency shows that a key is for one operation, once, within one block.
//
// A29 R18
// guard: idem-conflict
func TestIdempotency(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.Credential(t, 1)
	first := w.refund(c, "100")
	first.Idem = "k"
	p := w.mustPermit(first)
	same, other, sibling := w.refund(c, "100"), w.refund(c, "200"), w.refund(w.Credential(t, 2), "200")
	same.Idem, other.Idem, sibling.Idem = "k", "k", "k"
	w.mustDeny(same, op.IdemInProgress)
	w.mustDeny(other, op.IdemConflict)
	w.mustPermit(sibling) // another block has keys of its own
	if _, err := w.gate.Finish(t.Context(), p, gate.Outcome{Class: receipt.OK}); err != nil {
		t.Fatal(err)
	}
	same = w.refund(c, "100")
	same.Idem = "k"
	w.mustDeny(same, op.IdemDone)
}

// TestDenialsAreComplete shows what the receipt of a denial says.
//
// R14 R56
func TestDenialsAreComplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.Credential(t, 2)
	d := w.mustDeny(w.refund(c, "2500"), op.Forbidden)
	r := w.seen[len(w.seen)-1]
	if d.Rule != "at-most-20" || r.Decision != "forbidden" || r.Policy != w.Policy.ID() || r.Version != 1 || r.Alias != testkit.Alias {
		t.Errorf("receipt: %+v", r)
	}
	if r.Operation.IsZero() || r.Context.IsZero() || r.Proof.IsZero() || len(r.Rules) != 2 || r.Rules[1][0] != "at-most-20" || r.PolicyLog == nil {
		t.Errorf("receipt: %+v", r)
	}
	if !slices.Equal(r.Blocks, c.Blocks()) || r.Level != op.Signed || r.Purpose != "refund" {
		t.Errorf("receipt: %+v", r)
	}
}

// TestIssuerDropped shows a credential that was verified, and used, before a root
// without its issuer: what the gate keeps does not outlive the root.
//
// A22 R22
func TestIssuerDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.Credential(t, 2)
	w.mustPermit(w.request(c))
	root := func(change func(*policy.RootDocument)) {
		d, err := policy.ParseRoot(w.zone.Roots()[len(w.zone.Roots())-1].Payload)
		if err != nil {
			t.Fatal(err)
		}
		d.Version, d.Prev = d.Version+1, w.zone.Root().ID()
		change(d)
		w.apply(testkit.Envelope(t, policy.RootType, d, w.Key("ana"), w.Key("bo")))
	}
	root(func(d *policy.RootDocument) { d.Expires-- })
	w.mustPermit(w.request(c)) // another root alone changes nothing
	root(func(d *policy.RootDocument) { delete(d.Principals, "iris") })
	w.mustDeny(w.request(c), op.CredentialInvalid)
}

// TestPanicIsNo shows a panic at every step of a decision: no permit, no denial that
// nobody recorded, nothing of the value in the error, and a gate that goes on.
//
// R11
// guard: decision-panic
func TestPanicIsNo(t *testing.T) {
	t.Parallel()
	steps := map[string]int{}
	w := newWorld(t, nil)
	w.trap = func(step string) { steps[step]++ }
	w.mustPermit(w.request(w.Credential(t, 1)))
	if len(steps) != 4 {
		t.Fatalf("a decision has the steps %v", steps)
	}
	for step := range steps {
		w := newWorld(t, nil)
		c := w.Credential(t, 1)
		w.trap = func(at string) {
			if at == step {
				panic("the value was " + testkit.Plain)
			}
		}
		r := w.request(c)
		p, err := w.gate.Decide(t.Context(), r)
		if _, denied := errors.AsType[*op.Denial](err); p != nil || !errors.Is(err, gate.ErrPanic) || denied {
			t.Errorf("%s: %v, %v", step, p, err)
		} else if strings.Contains(err.Error(), testkit.Plain) {
			t.Errorf("%s: the error holds what the panic said: %v", step, err)
		}
		if len(w.seen) != 0 {
			t.Errorf("%s: %d receipts", step, len(w.seen))
		}
		w.trap = nil
		if step == "append" {
			w.mustDeny(r, op.Replayed) // what was reserved stays so
		}
		w.mustPermit(w.request(c))
	}
}

// TestHangIsNo shows a ledger that does not answer: when whoever asked stops
// waiting, there is no permit and no denial, and what was reserved is given back.
//
// R11 R59
// guard: record-before-permit
func TestHangIsNo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.Credential(t, 1)
	bad := w.request(c)
	bad.Operation = w.Operation(t, "GET", "/v1/customers", "")
	for _, r := range []*gate.Request{w.request(c), bad} {
		w.hang = true
		ctx, cancel := context.WithCancel(t.Context())
		w.trap = func(step string) {
			if step == "append" {
				cancel()
			}
		}
		p, err := w.gate.Decide(ctx, r)
		if _, denied := errors.AsType[*op.Denial](err); p != nil || !errors.Is(err, context.Canceled) || denied {
			t.Errorf("%v, %v", p, err)
		}
		w.hang, w.trap = false, nil
	}
	if got := w.take(); !slices.Equal(got, []string{"reserve", "release"}) {
		t.Errorf("happened: %v", got)
	}
	w.mustPermit(w.request(c))
}

// A gate whose folder was restored seals nothing again, and goes on once it is
// confirmed. SPEC CTRL-21, GATE-3.
//
// R50
// guard: reseal-held
func TestHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	held := func() string { return w.held }
	g, err := gate.New(gate.Config{
		ID: "gate-1", Group: testkit.Group, Laws: w, Ledger: w, State: w, Marks: w, Held: held, Resealer: &gate.Resealer{Custodian: noCustodian{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.held = "restored"
	if _, err := g.Reseal(t.Context(), testkit.Alias, testkit.SecretID, time.Unix(testkit.Now, 0)); !errors.Is(err, gate.ErrGate) || len(w.take()) > 0 {
		t.Errorf("held: %v", err)
	}
	c := w.Credential(t, 1)
	w.mustDeny(w.request(c), op.StateUnavailable)
	w.held = ""
	if _, err := g.Reseal(t.Context(), testkit.Alias, testkit.SecretID, time.Unix(testkit.Now, 0)); err != nil {
		t.Errorf("not held: %v", err)
	}
	w.mustPermit(w.request(c))
	if _, err := gate.New(gate.Config{ID: "gate-1", Group: testkit.Group, Laws: w, Ledger: w, State: w, Marks: w}); !errors.Is(err, gate.ErrGate) {
		t.Errorf("a gate that cannot be held: %v", err)
	}
}
