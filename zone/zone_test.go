package zone_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// TestAliasPutsInForce sees what it takes to decide: a published policy and a
// record by the quorum, after the policy in force. Nothing else has any effect.
//
// SPEC ZONE-4
// R22: by the wrong people, without link to the one in force; published is not in force
// R19
// R29: an older policy, offered again
// R36: a candidate that lowers the threshold, put in force by the lower one
// R35
// guard: alias-names-candidate, alias-quorum, alias-demanded-quorum, admit-authority
func TestAliasPutsInForce(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, testkit.Config{Root: func(d *policy.RootDocument) {
		d.Ceilings.MinSigners = 1
		d.Principals["cy"] = policy.Principal{Keys: []policy.RootKey{{Key: new(testkit.Zone).Key("cy").Public(), Use: []policy.Use{policy.UsePolicy}}}}
	}})
	w.no("alias of what is not published", w.alias(w.Policy, "ana", "bo"))
	w.ok("policy", w.Envelope)
	w.decides("published only", nil)
	for name, e := range map[string]*sign.Envelope{
		"by one":             w.alias(w.Policy, "ana"),
		"by two keys of one": w.alias(w.Policy, "ana", "ana2"),
		"by nobody":          w.alias(w.Policy),
		"by others":          w.alias(w.Policy, "sam", "iris"),
		"version":            w.aliasWith(w.Policy, func(r *zone.AliasRecord) { r.Version = 2 }, "ana", "bo"),
		"policy":             w.aliasWith(w.Policy, func(r *zone.AliasRecord) { r.Policy[0] ^= 1 }, "ana", "bo"),
		"no policy":          w.aliasWith(w.Policy, func(r *zone.AliasRecord) { r.Policy = canon.Digest{} }, "ana", "bo"),
		"zone":               w.aliasWith(w.Policy, func(r *zone.AliasRecord) { r.Zone[0] ^= 1 }, "ana", "bo"),
		"alias":              w.aliasWith(w.Policy, func(r *zone.AliasRecord) { r.Alias = "payments/other" }, "ana", "bo"),
	} {
		w.no(name, e)
	}
	w.ok("alias", w.alias(w.Policy, "ana", "bo"))
	w.decides("in force", w.Policy)
	w.no("again", w.alias(w.Policy, "ana", "bo"))
	w.no("the same policy again", w.Envelope)
	two, e2 := w.policy(w.Policy, func(d *policy.Document) { d.Governance.Successor.Threshold = 1 })
	w.ok("successor that lowers the threshold", e2)
	w.no("put in force by the lower threshold", w.alias(two, "ana"))
	w.ok("put in force by the one before", w.alias(two, "ana", "bo"))
	w.decides("the successor", two)
	three := testkit.Next(two)
	three.Governance.Successor = sign.Quorum{Members: []string{"ana", "cy"}, Threshold: 2}
	e3 := testkit.Envelope(t, policy.PayloadType, three, w.by("ana", "bo", "cy")...)
	p3, err := policy.Verify(e3, w.Root, two)
	if err != nil {
		t.Fatal(err)
	}
	w.ok("a successor that takes another person", e3)
	w.no("put in force without that person", w.alias(p3, "ana", "bo"))
	w.no("an older policy", w.Envelope)
	w.no("an older record", w.alias(w.Policy, "ana", "bo"))
	if _, ok := w.z.InForce("payments/other"); ok {
		t.Error("an alias that does not resolve resolves")
	}
	if got := w.z.Aliases(); !slices.Equal(got, []string{testkit.Alias}) {
		t.Errorf("aliases %v", got)
	}
}

// TestAliasGenesisQuorum: the first of a line takes the namespace's quorum too.
//
// SPEC ZONE-4
// R22
// guard: alias-demanded-quorum
func TestAliasGenesisQuorum(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, testkit.Config{
		Root:   func(d *policy.RootDocument) { d.Ceilings.MinSigners = 1 },
		Policy: func(d *policy.Document) { d.Governance.Successor = sign.Quorum{Members: []string{"ana"}, Threshold: 1} },
	})
	w.ok("policy", w.Envelope)
	w.no("by its own quorum alone", w.alias(w.Policy, "ana"))
	w.ok("by the namespace's too", w.alias(w.Policy, "ana", "bo"))
}

// TestCompetingCandidates publishes two policies for one version: the first record
// decides, and neither the other nor what follows it comes after.
//
// SPEC ZONE-4
// R49: two states of one alias without a signed merge
// guard: alias-names-candidate
func TestCompetingCandidates(t *testing.T) {
	t.Parallel()
	w := newWorld(t).inForce()
	a, ea := w.policy(w.Policy, func(d *policy.Document) { d.Expires++ })
	b, eb := w.policy(w.Policy, func(d *policy.Document) { d.Expires += 2 })
	c, ec := w.policy(b, nil)
	w.ok("one", ea)
	w.ok("another", eb)
	w.no("what follows one that is not in force", ec)
	w.ok("one in force", w.alias(a, "ana", "bo"))
	w.no("the other's record", w.alias(b, "ana", "bo"))
	w.no("the other again", eb)
	w.no("what follows the other", ec)
	w.no("its record", w.alias(c, "ana", "bo"))
	w.decides("the first", a)
	other := testkit.NewZoneWith(t, testkit.Config{Policy: func(d *policy.Document) { d.Expires += 5 }})
	w.no("a second beginning of the line", other.Envelope)
}

// TestAliasHistory reconstructs which policy was in force at any moment.
//
// SPEC ZONE-4
// R25
// R26
func TestAliasHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var want []zone.Term
	w.inForce()
	p := w.Policy
	want = append(want, zone.Term{Policy: p, From: w.now})
	for range 3 {
		w.now += 100
		p = w.succeed(p)
		want = append(want, zone.Term{Policy: p, From: w.now})
	}
	w.ok("something else", w.revoke(zone.RevokeBlock, canon.Hash([]byte("b")), "ana"))
	for _, z := range []*zone.Zone{w.z, w.replay(testkit.Now), w.replay(0)} {
		have := z.History(testkit.Alias)
		if len(have) != len(want) || len(z.History("payments/other")) != 0 {
			t.Fatalf("%d terms", len(have))
		}
		for i, x := range want {
			if have[i].Policy.ID() != x.Policy.ID() || have[i].From != x.From {
				t.Errorf("term %d is %s from %d", i, have[i].Policy.ID(), have[i].From)
			}
			for at, then := range map[int64]int{x.From: i, x.From - 1: i - 1, x.From + 50: i} {
				p, ok := z.At(testkit.Alias, at)
				if ok != (then >= 0) || ok && p.ID() != want[then].Policy.ID() {
					t.Errorf("at %d", at)
				}
			}
			if p, ok := z.Policy(x.Policy.ID()); !ok || p.ID() != x.Policy.ID() {
				t.Errorf("policy %d is not found", i)
			}
		}
	}
	if _, ok := w.z.Policy(canon.Hash(nil)); ok {
		t.Error("a policy that never was")
	}
}

// TestHistoryAltered deletes, swaps and alters entries of a log: the history that
// is left is shorter, never another, and time that goes back ends all trust.
//
// SPEC ZONE-3
// R25
// A30
// guard: entry-time
func TestHistoryAltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t).inForce()
	p := w.Policy
	for range 2 {
		p = w.succeed(p)
	}
	want := w.z.History(testkit.Alias)
	run := func(entries [][]byte) (*zone.Zone, int, error) {
		z, refused := w.begin(testkit.Now), 0
		for _, b := range entries {
			if _, err := z.Apply(b); errors.Is(err, zone.ErrRefused) {
				refused++
			} else if err != nil {
				return z, refused, err
			}
		}
		return z, refused, nil
	}
	check := func(what string, z *zone.Zone) {
		for i, x := range z.History(testkit.Alias) {
			if i >= len(want) || x.Policy.ID() != want[i].Policy.ID() {
				t.Errorf("%s: another history", what)
			}
		}
	}
	if z, refused, err := run(w.entries); err != nil || refused != 0 || len(z.History(testkit.Alias)) != 3 || z.Size() != 6 || z.LoggedAt() != w.now {
		t.Fatalf("as it is: %v", err)
	}
	for i := range w.entries {
		without := slices.Delete(slices.Clone(w.entries), i, i+1)
		z, refused, err := run(without)
		if err != nil || refused == 0 && i < len(w.entries)-2 || len(z.History(testkit.Alias)) >= 3 {
			t.Errorf("without entry %d: %d refused, %v", i, refused, err)
		}
		check("deleted", z)
		if i > 0 {
			swapped := slices.Clone(w.entries)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			z, _, err := run(swapped)
			if !errors.Is(err, zone.ErrOrder) {
				t.Errorf("swapped %d: %v", i, err)
			}
			check("swapped", z)
		}
	}
	base, _, _ := run(w.entries[:3])
	n := testkit.Flips(w.entries[3], func(b []byte, bit int) {
		z := base.Snapshot()
		z.Apply(b)
		for i, x := range z.History(testkit.Alias) {
			if x.Policy.ID() != want[i].Policy.ID() {
				t.Errorf("bit %d: another history", bit)
			}
		}
	})
	if n < 4000 {
		t.Errorf("%d bits", n)
	}
}

// TestApplyAndAdmit differ in what a refused entry leaves: Apply counts it.
//
// SPEC ZONE-3
// A30: an entry that is logged before the one before it
// guard: admit-authority, entry-time, admit-time
func TestApplyAndAdmit(t *testing.T) {
	t.Parallel()
	w := newWorld(t).inForce()
	bad := w.entry(w.alias(w.Policy, "ana", "bo"))
	size := w.z.Size()
	if e, err := w.z.Apply(bad); !errors.Is(err, zone.ErrRefused) || e == nil || w.z.Size() != size+1 {
		t.Errorf("apply: %v, size %d", err, w.z.Size())
	}
	before := w.z.Snapshot()
	w.now -= 10
	_, e := w.policy(w.Policy, nil)
	early := w.entry(e)
	if _, err := w.z.Apply(early); !errors.Is(err, zone.ErrOrder) || errors.Is(err, zone.ErrRefused) {
		t.Errorf("an earlier entry: %v", err)
	}
	if err := w.z.Admit(early); !errors.Is(err, zone.ErrOrder) {
		t.Errorf("an earlier entry, admitted: %v", err)
	}
	if _, err := w.z.Apply([]byte("{}")); !errors.Is(err, zone.ErrOrder) {
		t.Errorf("no entry: %v", err)
	}
	if err := w.z.Admit(nil); !errors.Is(err, zone.ErrRefused) {
		t.Errorf("nothing: %v", err)
	}
	if w.z.Size() != before.Size() || w.z.LoggedAt() != before.LoggedAt() {
		t.Error("they count")
	}
	w.now += 10
	for name, e := range map[string]*sign.Envelope{
		"unknown type":  {PayloadType: "application/json", Payload: []byte("{}")},
		"no type":       {Payload: []byte("{}")},
		"not a record":  {PayloadType: zone.AliasType, Payload: []byte(`{"a":1}`)},
		"not a secret":  {PayloadType: zone.SecretType, Payload: []byte(`{"a":1}`)},
		"no revocation": {PayloadType: zone.RevokeType, Payload: []byte(`[]`)},
		"not a policy":  {PayloadType: policy.PayloadType, Payload: []byte(`{}`)},
		"not a root":    {PayloadType: policy.RootType, Payload: []byte(`{}`)},
		"too large":     {PayloadType: zone.RevokeType, Payload: bytes.Repeat([]byte(" "), 65<<10)},
	} {
		w.no(name, e)
	}
}

// TestParseEntry takes one form of an entry.
//
// SPEC ZONE-1
func TestParseEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.entry(w.Envelope)
	e, err := zone.ParseEntry(good)
	if err != nil || e.LoggedAt != testkit.Now {
		t.Fatal(err)
	}
	s := string(good)
	swap := func(old, new string) []byte { return []byte(strings.Replace(s, old, new, 1)) }
	for name, b := range map[string][]byte{
		"nothing": nil, "empty": []byte("{}"), "null": []byte("null"), "no envelope": []byte(`{"logged_at":1}`), "null envelope": []byte(`{"envelope":null,"logged_at":1}`),
		"no time": swap(`"logged_at":1795000000`, `"logged_at":0`), "time before": swap(`"logged_at":1795000000`, `"logged_at":-1`),
		"other case": swap("logged_at", "Logged_at"), "unknown field": swap(`{"envelope"`, `{"a":1,"envelope"`), "twice": swap(`"logged_at":`, `"logged_at":1,"logged_at":`),
		"space": append([]byte(" "), good...), "something after": append(bytes.Clone(good), '\n'), "too large": append(bytes.Clone(good), make([]byte, zone.MaxEntryBytes)...),
		"fraction": swap(`1795000000`, `1795000000.0`),
	} {
		if _, err := zone.ParseEntry(b); !errors.Is(err, zone.ErrZone) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzEntry: what parses encodes back to the same bytes, and no entry that nobody
// signed changes anything.
func FuzzEntry(f *testing.F) {
	w := newWorld(f).inForce()
	for _, b := range w.entries {
		f.Add(b)
	}
	f.Add(w.entry(w.revoke(zone.RevokeGate, canon.Hash([]byte("gate-1")), "ana")))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := zone.ParseEntry(b)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%q encodes to %q: %v", b, again, err)
		}
		e.Envelope.Signatures = nil
		unsigned, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := w.z.Snapshot().Admit(unsigned); err == nil {
			t.Errorf("%q is admitted", unsigned)
		}
	})
}
