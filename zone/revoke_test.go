package zone_test

import (
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// twoNamespaces adds dev/, where eve revokes.
func twoNamespaces(d *policy.RootDocument) {
	d.Principals["eve"] = policy.Principal{Keys: []policy.RootKey{{Key: new(testkit.Zone).Key("eve").Public(), Use: []policy.Use{policy.UseRevoke}}}}
	d.Namespaces = append(d.Namespaces, policy.Namespace{Prefix: "dev/", Genesis: d.Namespaces[0].Genesis, Revoke: sign.Quorum{Members: []string{"eve"}, Threshold: 1}})
}

// TestRevokers sees who revokes: one signature of the namespace, and no one else.
//
// SPEC ZONE-6
// R44
// A31
// A1, R45: of another zone
// guard: revoke-authority, revoke-zone, revoke-own-namespace
func TestRevokers(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, testkit.Config{Root: twoNamespaces}).inForce()
	id := w.Policy.ID()
	with := func(change func(*zone.RevokeRecord), by ...string) *sign.Envelope {
		rec := zone.RevokeRecord{Zone: w.Root.Zone(), Alias: testkit.Alias, Kind: zone.RevokePolicy, ID: id}
		change(&rec)
		return testkit.Envelope(t, zone.RevokeType, rec, w.by(by...)...)
	}
	for name, e := range map[string]*sign.Envelope{
		"by nobody":        w.revoke(zone.RevokePolicy, id),
		"by a sealer":      w.revoke(zone.RevokePolicy, id, "sam"),
		"by a stranger":    w.revoke(zone.RevokePolicy, id, "mal"),
		"by another's":     w.revoke(zone.RevokePolicy, id, "eve"),
		"unknown kind":     with(func(r *zone.RevokeRecord) { r.Kind = "everything" }, "ana"),
		"no kind":          with(func(r *zone.RevokeRecord) { r.Kind = "" }, "ana"),
		"no id":            with(func(r *zone.RevokeRecord) { r.ID = canon.Digest{} }, "ana"),
		"another zone":     with(func(r *zone.RevokeRecord) { r.Zone[0] ^= 1 }, "ana"),
		"no namespace":     with(func(r *zone.RevokeRecord) { r.Alias = "prod/x" }, "ana"),
		"no alias":         with(func(r *zone.RevokeRecord) { r.Alias = "" }, "ana"),
		"long reason":      with(func(r *zone.RevokeRecord) { r.Reason = strings.Repeat("x", 513) }, "ana"),
		"not a credential": with(func(r *zone.RevokeRecord) { r.Kind, r.Credential = zone.RevokeBlock, "writ1.x" }, "ana"),
	} {
		w.no(name, e)
	}
	w.ok("by eve for her namespace", with(func(r *zone.RevokeRecord) { r.Alias = "dev/x" }, "eve"))
	if w.z.Revoked(zone.RevokePolicy, id) {
		t.Error("another namespace's policy is revoked")
	}
	w.ok("by bo", w.revoke(zone.RevokePolicy, id, "bo"))
	w.no("again", w.revoke(zone.RevokePolicy, id, "ana"))
	if !w.z.Revoked(zone.RevokePolicy, id) || w.z.Revoked(zone.RevokeBlock, id) || w.z.Revoked(zone.RevokePolicy, canon.Hash(nil)) {
		t.Error("revoked")
	}
	w.decides("a revoked policy is in force still; who decides asks", w.Policy)
	two := w.succeed(w.Policy)
	if w.z.Revoked(zone.RevokePolicy, two.ID()) || !w.replay(0).Revoked(zone.RevokePolicy, id) {
		t.Error("after the successor")
	}
}

// TestRevokedPolicyNeverDecides revokes policies before they are in force.
//
// SPEC ZONE-6
// R28
// R35: revoked signatures
// guard: alias-revoked, candidate-revoked, key-revoked
func TestRevokedPolicyNeverDecides(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, testkit.Config{Root: twoNamespaces}).inForce()
	p, e := w.policy(w.Policy, nil)
	w.ok("candidate", e)
	w.ok("veto", w.revoke(zone.RevokePolicy, p.ID(), "ana"))
	w.no("alias of a revoked policy", w.alias(p, "ana", "bo"))
	w.no("published again", e)
	r, er := w.policy(w.Policy, func(d *policy.Document) { d.Expires += 9 })
	w.ok("veto beforehand", w.revoke(zone.RevokePolicy, r.ID(), "ana"))
	w.no("published after its veto", er)
	q, eq := w.policy(w.Policy, func(d *policy.Document) { d.Expires++ })
	w.ok("veto by another namespace", w.revokeWith(zone.RevokeRecord{Kind: zone.RevokePolicy, ID: q.ID(), Alias: "dev/x"}, w.by("eve")...))
	w.ok("another candidate", eq)
	alias := w.alias(q, "ana", "bo")
	w.ok("revoke bo's key", w.revoke(zone.RevokeKey, canon.Digest(w.Key("bo").Public().ID()), "ana"))
	w.no("a candidate of before", alias)
	w.no("published again, by the revoked key", eq)
	w.no("revoked by the revoked key", w.revoke(zone.RevokeBlock, canon.Hash(nil), "bo"))
	w.decides("the policy of before", w.Policy)
	w.ok("the root still changes", w.root(func(d *policy.RootDocument) {
		bo := d.Principals["bo"]
		bo.Keys = append(bo.Keys, policy.RootKey{Key: w.Key("bo2").Public(), Use: []policy.Use{policy.UsePolicy}})
		d.Principals["bo"] = bo
	}))
	w.no("the revoked key under the new root", eq)
	ok := *eq
	ok.Signatures = nil
	for _, k := range w.by("ana", "bo2") {
		if err := ok.Sign(k); err != nil {
			t.Fatal(err)
		}
	}
	w.ok("bo's new key", &ok)
	w.ok("its alias", w.alias(q, "ana", "bo2"))
}

// TestCredentialRevoked revokes each part of a chain: every descendant ends, and
// nothing else.
//
// SPEC ZONE-7
// R43
// guard: ancestor-block-revoked, ancestor-key-revoked, issuer-key-revoked, revoke-own-namespace
func TestCredentialRevoked(t *testing.T) {
	t.Parallel()
	setup := newWorldWith(t, testkit.Config{Root: twoNamespaces})
	long := setup.Credential(t, 4)
	blocks := long.Blocks()
	key := func(i int) canon.Digest { return canon.Digest(setup.Holder(i).Public().ID()) }
	issuer := func(name string) canon.Digest { return canon.Digest(setup.Key(name).Public().ID()) }
	for name, c := range map[string]struct {
		kind  zone.RevokeKind
		id    canon.Digest
		first int // shortest chain that ends; 9: none
	}{
		"grant as a credential": {zone.RevokeCredential, blocks[0], 1},
		"grant as a block":      {zone.RevokeBlock, blocks[0], 1},
		"second block":          {zone.RevokeBlock, blocks[1], 2},
		"last block":            {zone.RevokeBlock, blocks[3], 4},
		"first holder":          {zone.RevokeKey, key(0), 1},
		"third holder":          {zone.RevokeKey, key(2), 3},
		"issuer":                {zone.RevokeKey, issuer("iris"), 1},
		"another key":           {zone.RevokeKey, issuer("ana"), 9},
		"another issuer":        {zone.RevokeKey, canon.Digest(setup.KeyP256("ivo").Public().ID()), 9},
		"a block as a key":      {zone.RevokeKey, blocks[0], 9},
		"a key as a block":      {zone.RevokeBlock, key(0), 9},
	} {
		w := newWorldWith(t, testkit.Config{Root: twoNamespaces}).inForce()
		for n := 1; n <= 4; n++ {
			if w.z.CredentialRevoked(w.verified(w.Credential(t, n))) {
				t.Errorf("%s: %d blocks: revoked before", name, n)
			}
		}
		w.ok("by another namespace", w.revokeWith(zone.RevokeRecord{Kind: zone.RevokeBlock, ID: blocks[0], Alias: "dev/x"}, w.by("eve")...))
		w.ok(name, w.revoke(c.kind, c.id, "ana"))
		for n := 1; n <= 4; n++ {
			if got := w.z.CredentialRevoked(w.verified(w.Credential(t, n))); got != (n >= c.first) {
				t.Errorf("%s: a chain of %d blocks: revoked %t", name, n, got)
			}
		}
	}
}

// TestHolderRevokesSubtree: whoever handed a credential on takes it back, and
// nobody else's.
//
// SPEC ZONE-6
// A31: an ancestor's holder key revokes its own subtree
// R44
// guard: revoke-own-subtree, revoke-authority
func TestHolderRevokesSubtree(t *testing.T) {
	t.Parallel()
	w := newWorld(t).inForce()
	c := w.Credential(t, 4)
	revoke := func(block, by int, change func(*zone.RevokeRecord)) *sign.Envelope {
		rec := zone.RevokeRecord{Kind: zone.RevokeBlock, ID: c.Blocks()[block], Credential: c.Text()}
		if change != nil {
			change(&rec)
		}
		return w.revokeWith(rec, w.Holder(by))
	}
	for name, e := range map[string]*sign.Envelope{
		"the grant by its holder":      revoke(0, 0, nil),
		"its own block":                revoke(2, 2, nil),
		"an ancestor's":                revoke(1, 2, nil),
		"by a stranger":                w.revokeWith(zone.RevokeRecord{Kind: zone.RevokeBlock, ID: c.Blocks()[2], Credential: c.Text()}, w.Key("eve")),
		"by nobody":                    w.revokeWith(zone.RevokeRecord{Kind: zone.RevokeBlock, ID: c.Blocks()[2], Credential: c.Text()}),
		"a block that is not in it":    revoke(2, 0, func(r *zone.RevokeRecord) { r.ID[0] ^= 1 }),
		"as a key":                     revoke(2, 0, func(r *zone.RevokeRecord) { r.Kind = zone.RevokeKey }),
		"as a credential":              revoke(2, 0, func(r *zone.RevokeRecord) { r.Kind = zone.RevokeCredential }),
		"a policy":                     revoke(2, 0, func(r *zone.RevokeRecord) { r.Kind, r.ID = zone.RevokePolicy, w.Policy.ID() }),
		"for another alias":            revoke(2, 0, func(r *zone.RevokeRecord) { r.Alias = "payments/orders" }),
		"with a chain that is cut":     revoke(3, 0, func(r *zone.RevokeRecord) { r.Credential = w.Credential(t, 2).Text() }),
		"with a chain that is no text": revoke(2, 0, func(r *zone.RevokeRecord) { r.Credential += "A" }),
	} {
		w.no(name, e)
	}
	// A sibling: another second block of the same grant, whose holder is someone else.
	terms := w.Credential(t, 1).Last()
	terms.Holder = credential.NewHolderKey(w.Key("eve").Public())
	sibling, err := w.Credential(t, 1).Narrow(w.Holder(0), "sibling", terms)
	if err != nil {
		t.Fatal(err)
	}
	w.no("a sibling's subtree", w.revokeWith(zone.RevokeRecord{Kind: zone.RevokeBlock, ID: c.Blocks()[2], Credential: sibling.Text()}, w.Key("eve")))
	w.ok("its child", revoke(2, 1, nil))
	for n := 1; n <= 4; n++ {
		if got := w.z.CredentialRevoked(w.verified(w.Credential(t, n))); got != (n >= 3) {
			t.Errorf("%d blocks: revoked %t", n, got)
		}
	}
	if w.z.CredentialRevoked(w.verified(sibling)) {
		t.Error("the sibling ends too")
	}
	w.ok("its grandchild, by the first", revoke(3, 0, nil))
}
