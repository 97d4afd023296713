package zone_test

import (
	"slices"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// statement returns the statement of a version by the signers, under p.
func (w *world) statement(p *policy.Verified, version int64, by ...string) *sign.Envelope {
	w.t.Helper()
	st, err := seal.NewStatement(p, seal.Name{ID: testkit.SecretID, Version: version, IssuedAt: testkit.Now}, testkit.Value(testkit.Plain))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, k := range w.by(by...) {
		if err := st.Envelope().Sign(k); err != nil {
			w.t.Fatal(err)
		}
	}
	return st.Envelope()
}

// record returns the usual record of a version under p, changed.
func (w *world) record(p *policy.Verified, version int64, change func(*zone.SecretRecord), by ...string) *sign.Envelope {
	w.t.Helper()
	rec := zone.SecretRecord{
		Zone: w.Root.Zone(), Alias: testkit.Alias, ID: testkit.SecretID, Version: version, Policy: p.ID(),
		Sealed: canon.Hash([]byte(p.ID().String())), Statement: w.statement(w.Policy, version, "sam"), State: zone.Active,
	}
	if change != nil {
		change(&rec)
	}
	return testkit.Envelope(w.t, zone.SecretType, rec, w.by(by...)...)
}

func state(s zone.State) func(*zone.SecretRecord) {
	return func(r *zone.SecretRecord) { r.State = s }
}

func (w *world) secret(what string, version int64, s zone.State) {
	w.t.Helper()
	have, ok := w.z.Secret(testkit.Alias, testkit.SecretID)
	if !ok || have.Record.Version != version || have.Record.State != s {
		w.t.Errorf("%s: %+v", what, have)
	}
}

// TestSecretVersions sees who may put a secret, and that versions only grow.
//
// SPEC ZONE-5
// R29: an older value of a secret
// R44: put without the sealers
// A4: another line's policy, another's statement, the same version again
// A1: of another zone
// guard: secret-zone, secret-under-policy-in-force, record-statement, record-statement-identity, secret-by-sealers, secret-begins-active, reseal-statement
func TestSecretVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.no("without policy in force", w.record(w.Policy, 1, nil, "sam"))
	w.inForce()
	orders, e := w.policy(nil, func(d *policy.Document) { d.Alias = "payments/orders" })
	w.ok("another line", e)
	w.ok("its alias", w.alias(orders, "ana", "bo"))
	other := func(change func(*zone.SecretRecord)) *sign.Envelope { return w.record(w.Policy, 1, change, "sam") }
	for name, e := range map[string]*sign.Envelope{
		"by nobody":                      w.record(w.Policy, 1, nil),
		"by a policy signer":             w.record(w.Policy, 1, nil, "ana", "bo"),
		"by a gate":                      w.record(w.Policy, 1, nil, "gate-1"),
		"zone":                           other(func(r *zone.SecretRecord) { r.Zone[0] ^= 1 }),
		"not listed":                     other(func(r *zone.SecretRecord) { r.ID = "other" }),
		"policy":                         other(func(r *zone.SecretRecord) { r.Policy[0] ^= 1 }),
		"alias":                          other(func(r *zone.SecretRecord) { r.Alias = "payments/orders" }),
		"another line's policy":          other(func(r *zone.SecretRecord) { r.Alias, r.Policy = "payments/orders", orders.ID() }),
		"a statement that nobody made":   other(func(r *zone.SecretRecord) { r.Statement = w.statement(w.Policy, 1) }),
		"a statement by a stranger":      other(func(r *zone.SecretRecord) { r.Statement = w.statement(w.Policy, 1, "eve") }),
		"a statement of another line":    other(func(r *zone.SecretRecord) { r.Statement = w.statement(orders, 1, "sam") }),
		"a statement of another version": other(func(r *zone.SecretRecord) { r.Statement = w.statement(w.Policy, 2, "sam") }),
		"no state":                       w.record(w.Policy, 1, state(""), "sam"),
		"unknown state":                  w.record(w.Policy, 1, state("paused"), "sam"),
		"retired before it began":        w.record(w.Policy, 1, state(zone.Retired), "sam"),
		"destroyed before it began":      w.record(w.Policy, 1, state(zone.Destroyed), "sam"),
		"version 0":                      w.record(w.Policy, 1, func(r *zone.SecretRecord) { r.Version = 0 }, "sam"),
	} {
		w.no(name, e)
	}
	w.ok("put", w.record(w.Policy, 1, nil, "sue"))
	w.secret("put", 1, zone.Active)
	w.no("another value of the version", w.record(w.Policy, 1, func(r *zone.SecretRecord) { r.Statement = w.statement(w.Policy, 1, "sue"); r.Sealed[0] ^= 1 }, "sam"))
	w.ok("rotate", w.record(w.Policy, 3, nil, "sam"))
	w.no("an older version", w.record(w.Policy, 1, nil, "sam"))
	w.no("one in between", w.record(w.Policy, 2, nil, "sam"))
	w.no("the end of an older one", w.record(w.Policy, 1, state(zone.Destroyed), "sam"))
	w.no("the end of one to come", w.record(w.Policy, 4, state(zone.Retired), "sam"))
	w.secret("rotated", 3, zone.Active)
	if got := w.z.Secrets(); len(got) != 1 || got[0].Version != 3 {
		t.Errorf("secrets %v", got)
	}
	two := w.succeed(w.Policy)
	w.no("sealed under the policy before", w.record(w.Policy, 4, nil, "sam"))
	w.ok("sealed under the one in force", w.record(two, 4, nil, "sam"))
}

// TestSecretEnds: what is retired is not active again, and what is destroyed does
// not come back, as any version, by anyone.
//
// SPEC ZONE-5
// R29
// guard: secret-retired, secret-destroyed, reseal-statement
func TestSecretEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t).inForce()
	w.ok("put", w.record(w.Policy, 1, nil, "sam"))
	w.no("retired by a gate", w.record(w.Policy, 1, state(zone.Retired), "gate-1"))
	w.ok("retire", w.record(w.Policy, 1, state(zone.Retired), "sam"))
	w.no("active again, by a gate", w.record(w.Policy, 1, nil, "gate-1"))
	w.no("active again, by its sealer", w.record(w.Policy, 1, nil, "sam"))
	w.ok("a new version", w.record(w.Policy, 2, nil, "sam"))
	w.ok("destroy", w.record(w.Policy, 2, state(zone.Destroyed), "sam"))
	for name, e := range map[string]*sign.Envelope{
		"again, by a gate": w.record(w.Policy, 2, nil, "gate-1"), "again": w.record(w.Policy, 2, nil, "sam"), "only retired": w.record(w.Policy, 2, state(zone.Retired), "sam"),
		"with another statement": w.record(w.Policy, 2, func(r *zone.SecretRecord) { r.State = zone.Destroyed }, "sam"),
		"as a new version":       w.record(w.Policy, 3, nil, "sam"), "the version before": w.record(w.Policy, 1, nil, "sam"),
	} {
		w.no(name, e)
	}
	w.secret("destroyed", 2, zone.Destroyed)
	if z := w.replay(0); len(z.Secrets()) != 1 || z.Secrets()[0].State != zone.Destroyed {
		t.Error("another reader has it")
	}
}

// TestReseal lets one gate of the group seal the same value under the policy in
// force, and nothing else.
//
// SPEC ZONE-5
// R44: re-sealed by who has no authority for that
// R28: by a revoked gate
// A5
// A2: by a gate of another group
// guard: reseal-statement, reseal-by-gate, reseal-group, reseal-gate-revoked
func TestReseal(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, testkit.Config{Root: func(d *policy.RootDocument) {
		two, test, sam := d.Gates[0], d.Gates[0], d.Gates[0]
		two.ID, two.SignKey = "gate-2", new(testkit.Zone).Key("gate-2").Public()
		test.ID, test.Group, test.SignKey, test.KEMKeys = "gate-3", "test", new(testkit.Zone).Key("gate-3").Public(), []policy.KEMKey{}
		sam.ID, sam.SignKey = "gate-4", new(testkit.Zone).Key("gate-4").Public()
		d.Gates = append(d.Gates, two, test, sam)
	}}).inForce()
	w.ok("put", w.record(w.Policy, 1, nil, "sam"))
	two := w.succeed(w.Policy)
	w.no("retired with another statement", w.record(two, 1, func(r *zone.SecretRecord) { r.State, r.Statement = zone.Retired, w.statement(two, 1, "sam") }, "sam"))
	w.no("under the policy before", w.record(w.Policy, 1, nil, "gate-1"))
	w.no("by nobody", w.record(two, 1, nil))
	w.no("by a sealer", w.record(two, 1, nil, "sam"))
	w.no("by a gate of another group", w.record(two, 1, nil, "gate-3"))
	w.no("with a new value of the same version", w.record(two, 1, func(r *zone.SecretRecord) { r.Statement = w.statement(two, 1, "sam") }, "gate-1"))
	w.no("as a new version", w.record(two, 2, nil, "gate-1"))
	w.ok("revoke a gate", w.revoke(zone.RevokeGate, canon.Hash([]byte("gate-2")), "ana"))
	w.no("by a revoked gate", w.record(two, 1, nil, "gate-2"))
	w.ok("revoke a gate's key", w.revoke(zone.RevokeKey, canon.Digest(w.Key("gate-4").Public().ID()), "ana"))
	w.no("by a revoked key", w.record(two, 1, nil, "gate-4"))
	w.ok("by a gate of the group", w.record(two, 1, nil, "gate-1"))
	s, _ := w.z.Secret(testkit.Alias, testkit.SecretID)
	if s.Record.Policy != two.ID() || s.Record.Version != 1 {
		t.Errorf("re-sealed: %+v", s.Record)
	}
	w.ok("and once more", w.record(two, 1, func(r *zone.SecretRecord) { r.Sealed[0] ^= 1 }, "gate-1"))
	if !slices.ContainsFunc(w.z.Secrets(), func(r zone.SecretRecord) bool { return r.ID == testkit.SecretID }) {
		t.Error("it is not listed")
	}
}
