package zone_test

import (
	"errors"
	"testing"

	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// TestRootByLog rotates the root through the log.
//
// SPEC ZONE-2
// R22
// guard: root-follows
func TestRootByLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t).inForce()
	rotate := w.root(func(d *policy.RootDocument) {
		d.Principals["cy"] = policy.Principal{Keys: []policy.RootKey{{Key: w.Key("cy").Public(), Use: []policy.Use{policy.UsePolicy, policy.UseRoot}}}}
	})
	alone := *rotate
	alone.Signatures = rotate.Signatures[:1]
	w.no("by one", &alone)
	w.no("the genesis again", w.RootEnvelope)
	w.no("expired when logged", w.root(func(d *policy.RootDocument) { d.Expires = w.now }))
	w.no("skips one", w.root(func(d *policy.RootDocument) { d.Version++ }))
	_, e := w.policy(w.Policy, nil)
	w.ok("candidate", e)
	before := w.now
	w.ok("rotate", rotate)
	if w.z.Root().Document().Version != 2 || w.z.Root().Zone() != w.Root.Zone() || len(w.z.Roots()) != 2 {
		t.Error("the root is not in force")
	}
	if w.z.RootAt(before).ID() != w.Root.ID() || w.z.RootAt(w.now).ID() != rotate.Digest() || w.z.RootAt(0).ID() != w.Root.ID() {
		t.Error("the root of a past moment")
	}
	w.no("the same again", rotate)
	p, _ := w.policy(w.Policy, nil)
	w.no("a candidate that another root judged", w.alias(p, "ana", "bo"))
	w.ok("published again", e)
	w.ok("its alias", w.alias(p, "ana", "bo"))
	if z := w.replay(testkit.Now); z.Root().ID() != rotate.Digest() {
		t.Error("another reader has another root")
	}
}

// TestExpiredRootReplays: the log of a zone whose genesis has expired opens, since
// it holds a newer root; one that holds none opens too, and then nothing is in
// force.
//
// SPEC ZONE-2
// A30: what was logged is judged by the time of the log, not the reader's
// R47
// R27
// guard: root-in-force, root-at-entry
func TestExpiredRootReplays(t *testing.T) {
	t.Parallel()
	w := newWorld(t).inForce()
	ends := w.Root.Document().Expires
	for at, ok := range map[int64]bool{0: true, ends - 1: true, ends: false, ends + 1<<30: false} {
		z := w.replay(at)
		if _, in := z.InForce(testkit.Alias); in != ok || (z.CheckRoot(0) == nil) != ok || len(z.Aliases()) > 0 != ok {
			t.Errorf("read at %d: in force: %t", at, in)
		}
		if len(z.History(testkit.Alias)) != 1 {
			t.Errorf("read at %d: no history", at)
		}
	}
	if err := w.z.CheckRoot(ends); !errors.Is(err, policy.ErrAuthority) || w.z.CheckRoot(ends-1) != nil {
		t.Errorf("asked at the end: %v", err)
	}
	p, e := w.policy(w.Policy, nil)
	w.ok("candidate in time", e)
	w.now = ends - 1
	w.no("a root that is late", w.root(func(d *policy.RootDocument) { d.Expires = ends - 1 }))
	w.now = ends
	w.no("alias under an expired root", w.alias(p, "ana", "bo"))
	w.no("policy under an expired root", e)
	w.ok("a revocation, which only takes away", w.revoke(zone.RevokeGate, w.Root.ID(), "ana"))
	w.decides("a log that knows the root has expired", nil)
	w.ok("the next root, late", w.root(func(d *policy.RootDocument) { d.Expires = ends + 1000 }))
	w.decides("once there is a new root", w.Policy)
	if z := w.replay(ends + 999); z.CheckRoot(0) != nil {
		t.Error("a log whose genesis has expired does not open")
	} else if p, ok := z.InForce(testkit.Alias); !ok || p.ID() != w.Policy.ID() {
		t.Error("nothing is in force")
	}
	if _, err := zone.New(w.Root.ID(), []*sign.Envelope{testkit.NewZoneWith(t, testkit.Config{Seed: "x"}).RootEnvelope}, 0); !errors.Is(err, policy.ErrAuthority) {
		t.Errorf("another genesis: %v", err)
	}
}
