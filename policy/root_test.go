package policy_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

type rootMutation struct {
	field, name string
	change      func(*policy.RootDocument)
}

func rootMutations() []rootMutation {
	none := sign.Quorum{Members: []string{}}
	gate := func(change func(*policy.Gate)) func(*policy.RootDocument) {
		return func(d *policy.RootDocument) { change(&d.Gates[0]) }
	}
	kem := func(change func(*policy.KEMKey)) func(*policy.RootDocument) {
		return gate(func(g *policy.Gate) {
			k := g.KEMKeys[0]
			change(&k)
			g.KEMKeys = []policy.KEMKey{k}
		})
	}
	prefix := func(p string) func(*policy.RootDocument) {
		return func(d *policy.RootDocument) { d.Namespaces[0].Prefix = p }
	}
	return []rootMutation{
		{"version", "zero", func(d *policy.RootDocument) { d.Version = 0 }},
		{"version", "second without prev", func(d *policy.RootDocument) { d.Version = 2 }},
		{"version", "first with prev", func(d *policy.RootDocument) { d.Prev[0] = 1 }},
		{"version", "too many", func(d *policy.RootDocument) { d.Version, d.Prev[0] = 1025, 1 }},
		{"expires", "zero", func(d *policy.RootDocument) { d.Expires = 0 }},
		{"root", "nobody", func(d *policy.RootDocument) { d.Root = none }},
		{"root", "more than there are", func(d *policy.RootDocument) { d.Root.Threshold = 3 }},
		{"root", "one twice", func(d *policy.RootDocument) { d.Root.Members = []string{"ana", "ana"} }},
		{"principals", "a name with a space", func(d *policy.RootDocument) { d.Principals["a b"] = d.Principals["sam"] }},
		{"principals", "one key of two", func(d *policy.RootDocument) { d.Principals["eve"] = d.Principals["sam"] }},
		{"principals", "one key twice", func(d *policy.RootDocument) {
			p := d.Principals["sam"]
			p.Keys = append(p.Keys, p.Keys[0])
			d.Principals["sam"] = p
		}},
		{"principals", "unknown use", func(d *policy.RootDocument) { d.Principals["sam"].Keys[0].Use[0] = "all" }},
		{"namespaces", "no slash", prefix("payments")},
		{"namespaces", "everything", prefix("/")},
		{"namespaces", "empty", prefix("")},
		{"namespaces", "dots", prefix("../")},
		{"namespaces", "twice", func(d *policy.RootDocument) { d.Namespaces = append(d.Namespaces, d.Namespaces[0]) }},
		{"namespaces", "begun by nobody", func(d *policy.RootDocument) { d.Namespaces[0].Genesis = none }},
		{"namespaces", "revoked by nobody", func(d *policy.RootDocument) { d.Namespaces[0].Revoke = none }},
		{"policy_log", "no origin", func(d *policy.RootDocument) { d.PolicyLog.Origin = "" }},
		{"policy_log", "p256", func(d *policy.RootDocument) { d.PolicyLog.Key = new(testkit.Zone).KeyP256("log").Public() }},
		{"gates", "twice", func(d *policy.RootDocument) { d.Gates = append(d.Gates, d.Gates[0]) }},
		{"gates", "no group", gate(func(g *policy.Gate) { g.Group = "" })},
		{"gates", "no domain", gate(func(g *policy.Gate) { g.Domain = "" })},
		{"gates", "kem", kem(func(k *policy.KEMKey) { k.KEM = "x25519" })},
		{"gates", "kem key cut short", kem(func(k *policy.KEMKey) { k.Public = k.Public[:1215] })},
		{"gates", "kem key without id", kem(func(k *policy.KEMKey) { k.ID = "" })},
		{"gates", "two keys under one id", func(d *policy.RootDocument) {
			g := d.Gates[0]
			k := g.KEMKeys[0]
			k.Public = bytes.Clone(k.Public)
			k.Public[0] ^= 1
			g.ID, g.KEMKeys = "gate-2", []policy.KEMKey{k}
			d.Gates = append(d.Gates, g)
		}},
		{"ceilings", "staleness", func(d *policy.RootDocument) { d.Ceilings.MaxStalenessS = 0 }},
		{"ceilings", "lifetime", func(d *policy.RootDocument) { d.Ceilings.MaxTTLS = 0 }},
		{"ceilings", "depth", func(d *policy.RootDocument) { d.Ceilings.MaxDepth = -1 }},
		{"ceilings", "signers", func(d *policy.RootDocument) { d.Ceilings.MinSigners = 0 }},
		{"algorithms", "none", func(d *policy.RootDocument) { d.Algorithms = []string{} }},
		{"algorithms", "twice", func(d *policy.RootDocument) { d.Algorithms = []string{"ed25519", "ed25519"} }},
	}
}

// rootOf returns the usual root document, changed.
func rootOf(t testing.TB, change func(*policy.RootDocument)) *policy.RootDocument {
	t.Helper()
	d, err := policy.ParseRoot(testkit.NewZone(t).RootEnvelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(d)
	}
	return d
}

// TestParseRootNamesField refuses each bad root, and says which field is bad.
//
// SPEC ROOT-1
// R35: one key of two people would count twice
// A2: two keys to seal to under one id
// guard: key-has-one-owner, namespace-prefix, kem-key-once
func TestParseRootNamesField(t *testing.T) {
	t.Parallel()
	n := 0
	for _, m := range rootMutations() {
		_, err := policy.ParseRoot(encode(t, rootOf(t, m.change)))
		refused(t, m.field+": "+m.name, err, policy.ErrDocument)
		if got := field(err); got != m.field {
			t.Errorf("%s: %s: the refusal names %q: %v", m.field, m.name, got, err)
		}
		n++
	}
	good := encode(t, rootOf(t, nil))
	for name, b := range map[string][]byte{
		"empty": nil, "null": []byte("null"), "cut short": good[:len(good)-1], "something after": append(bytes.Clone(good), '\n'),
		"unknown field": swap(t, good, `{"algorithms"`, `{"a":1,"algorithms"`), "name twice": swap(t, good, `{"algorithms"`, `{"algorithms":[],"algorithms"`),
		"other case": swap(t, good, `"gates"`, `"Gates"`), "too large": []byte(`{"algorithms":["` + strings.Repeat("a", policy.MaxPolicyBytes) + `"]}`),
		"no key": swap(t, good, testkit.NewZone(t).Key("sam").Public().String(), ""),
	} {
		_, err := policy.ParseRoot(b)
		refused(t, name, err, policy.ErrDocument)
		n++
	}
	if n < 40 {
		t.Errorf("%d roots", n)
	}
}

// chain is a line of roots that may be continued badly.
type chain struct {
	t   *testing.T
	z   *testkit.Zone
	all []*sign.Envelope
}

func newChain(t *testing.T) *chain {
	z := testkit.NewZone(t)
	return &chain{t, z, []*sign.Envelope{z.RootEnvelope}}
}

// after returns the chain with one more root, changed and signed.
func (c *chain) after(change func(*policy.RootDocument), by ...sign.Signer) *chain {
	c.t.Helper()
	last := c.all[len(c.all)-1]
	d, err := policy.ParseRoot(last.Payload)
	if err != nil {
		c.t.Fatal(err)
	}
	d.Version++
	d.Prev = last.Digest()
	if change != nil {
		change(d)
	}
	e := testkit.Envelope(c.t, policy.RootType, d, by...)
	return &chain{c.t, c.z, append(append([]*sign.Envelope{}, c.all...), e)}
}

func (c *chain) verify() (*policy.Root, error) {
	return policy.VerifyRoots(c.z.Root.Zone(), c.all, testkit.Now)
}

// TestRootChain sees that a chain of roots begins at the pin, that each takes the
// quorum before it and its own, and that it ends in one that is valid.
//
// SPEC ROOT-1, ROOT-2, ROOT-3
// R22
// R35
// R36: a root that lowers its own threshold
// R47: an expired root
// A1: a root with the same names and other keys
// guard: root-pin, root-own-quorum, root-link, root-prev-quorum, root-expired, key-use
func TestRootChain(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	ana, ana2, bo := c.z.Key("ana"), c.z.Key("ana2"), c.z.Key("bo")
	two := c.after(nil, ana, bo)
	r, err := two.after(nil, ana2, bo).verify()
	if err != nil || r.Document().Version != 3 || r.Zone() != c.z.Root.Zone() || r.ID() == r.Zone() {
		t.Fatalf("three roots: %v", err)
	}
	quorum := func(n int, m ...string) func(*policy.RootDocument) {
		return func(d *policy.RootDocument) { d.Root = sign.Quorum{Members: m, Threshold: n} }
	}
	newKeys := func(d *policy.RootDocument) {
		d.Principals["ana"] = policy.Principal{Keys: []policy.RootKey{{Key: c.z.Key("eve").Public(), Use: []policy.Use{policy.UseRoot}}}}
		d.Principals["bo"] = policy.Principal{Keys: []policy.RootKey{{Key: c.z.Key("eve2").Public(), Use: []policy.Use{policy.UseRoot}}}}
	}
	for name, bad := range map[string]*chain{
		"nothing":                         {t, c.z, nil},
		"by one":                          c.after(nil, ana),
		"by two keys of one":              c.after(nil, ana, ana2),
		"by nobody":                       c.after(nil),
		"lowers the threshold":            c.after(quorum(1, "ana", "bo"), ana),
		"names another alone":             c.after(quorum(1, "sam"), c.z.Key("sam")),
		"a sealer, whose key is for that": c.after(quorum(2, "ana", "sam"), ana, bo, c.z.Key("sam")),
		"other keys under the same names": c.after(newKeys, c.z.Key("eve"), c.z.Key("eve2")),
		"other keys, by the old alone":    c.after(newKeys, ana, bo),
		"skips a version":                 c.after(func(d *policy.RootDocument) { d.Version++ }, ana, bo),
		"the same version":                c.after(func(d *policy.RootDocument) { d.Version--; d.Prev = canon.Digest{} }, ana, bo),
		"another predecessor":             c.after(func(d *policy.RootDocument) { d.Prev[0] ^= 1 }, ana, bo),
		"expired":                         c.after(func(d *policy.RootDocument) { d.Expires = testkit.Now }, ana, bo),
		"reordered":                       {t, c.z, []*sign.Envelope{two.all[1], two.all[0]}},
		"without its genesis":             {t, c.z, two.all[1:]},
		"one twice":                       {t, c.z, append(two.all, two.all[1])},
		"too long":                        {t, c.z, many(1025, func(int) *sign.Envelope { return c.all[0] })},
		"another zone's":                  {t, c.z, []*sign.Envelope{testkit.NewZoneWith(t, testkit.Config{Seed: "eve"}).RootEnvelope}},
		"a genesis that is a second":      {t, c.z, []*sign.Envelope{two.all[1], two.all[1]}},
		"a policy in place of a root":     {t, c.z, []*sign.Envelope{c.all[0], c.z.Envelope}},
	} {
		r, err := bad.verify()
		if r != nil {
			t.Errorf("%s: a root all the same", name)
		}
		refused(t, name, err, policy.ErrPolicy)
	}
	unpinned, err := policy.VerifyRoots(canon.Digest{}, c.all, testkit.Now)
	if unpinned != nil || !errors.Is(err, policy.ErrAuthority) {
		t.Errorf("without a pin: %v", err)
	}
	second := testkit.Envelope(t, policy.RootType, rootOf(t, func(d *policy.RootDocument) { d.Version, d.Prev[0] = 2, 1 }), ana, bo)
	if r, err := policy.VerifyRoots(second.Digest(), []*sign.Envelope{second}, testkit.Now); r != nil || err == nil {
		t.Error("a chain that begins at version 2")
	}
	forged := testkit.Envelope(t, policy.RootType, rootOf(t, nil))
	if r, err := policy.VerifyRoots(forged.Digest(), []*sign.Envelope{forged}, testkit.Now); r != nil || err == nil {
		t.Error("a genesis that nobody signed")
	}
	if _, err := (*policy.Root)(nil).Next(c.all[0]); !errors.Is(err, policy.ErrAuthority) {
		t.Errorf("after nothing: %v", err)
	}
}

// TestRootsInTheMiddleMayExpire: a chain may have stood still longer than a root
// of it was valid.
//
// SPEC ROOT-3
// A30
func TestRootsInTheMiddleMayExpire(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	late := c.z.Root.Document().Expires + 1
	three := c.after(nil, c.z.Key("ana"), c.z.Key("bo")).after(func(d *policy.RootDocument) { d.Expires = late + 1 }, c.z.Key("ana"), c.z.Key("bo"))
	if _, err := policy.VerifyRoots(c.z.Root.Zone(), three.all, late); err != nil {
		t.Error(err)
	}
	_, err := policy.VerifyRoots(c.z.Root.Zone(), c.all, late)
	refused(t, "the first alone", err, policy.ErrAuthority)
	r, err := policy.VerifyRoots(c.z.Root.Zone(), c.all, 0)
	if err != nil || r.CheckTime(late-2) != nil || r.CheckTime(late-1) == nil {
		t.Errorf("asked for no time: %v", err)
	}
}

// TestRevokedKeys: what a revoked key signs does not count, but for roots, which
// change by roots alone.
//
// SPEC ROOT-5
// R35
// R28
// guard: key-revoked
func TestRevokedKeys(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	without := z.Root.Without(z.Key("bo").Public().ID()).Without(z.Key("iris").Public().ID())
	_, err := policy.Verify(z.Envelope, without, nil)
	refused(t, "a policy by a revoked key", err, policy.ErrAuthority)
	if len(without.Keys(policy.UseIssuer)("iris")) != 0 || len(without.Keys(policy.UseIssuer)("ivo")) != 1 {
		t.Error("the issuers' keys")
	}
	if without.HasUse(z.Key("bo").Public().ID(), policy.UseRevoke) || !without.HasUse(z.Key("ana").Public().ID(), policy.UseRevoke) {
		t.Error("the revokers' keys")
	}
	c := &chain{t, z, []*sign.Envelope{z.RootEnvelope}}
	e := c.after(nil, z.Key("ana"), z.Key("bo")).all[1]
	next, err := without.Next(e)
	if err != nil {
		t.Fatalf("a root by the old quorum: %v", err)
	}
	if len(next.Keys(policy.UsePolicy)("bo")) != 0 {
		t.Error("the next root brings a revoked key back")
	}
	if _, err := policy.Verify(z.Envelope, z.Root, nil); err != nil {
		t.Errorf("the root that it was made from changed: %v", err)
	}
}

// TestRecipients: a group's keys come from the root, each once.
//
// SPEC ROOT-4
// A2
func TestRecipients(t *testing.T) {
	t.Parallel()
	second := testkit.GateKey(t, "second", "prod/2026-11/2")
	z := testkit.NewZoneWith(t, testkit.Config{Root: func(d *policy.RootDocument) {
		g := d.Gates[0]
		other := g
		other.ID, other.KEMKeys = "gate-2", []policy.KEMKey{g.KEMKeys[0], second.Public()}
		test := g
		test.ID, test.Group, test.KEMKeys = "gate-3", "test", []policy.KEMKey{testkit.GateKey(t, "third", "test/1").Public()}
		d.Gates = append(d.Gates, other, test)
	}})
	var ids []string
	for _, k := range z.Root.Group(testkit.Group) {
		ids = append(ids, k.ID)
	}
	if strings.Join(ids, " ") != "prod/2026-11/1 prod/2026-11/2" || len(z.Root.Group("nobody")) != 0 {
		t.Errorf("recipients %v", ids)
	}
	if g, ok := z.Root.Gate("gate-3"); !ok || g.Group != "test" {
		t.Error("gate-3")
	}
	if _, ok := z.Root.Gate("gate-9"); ok {
		t.Error("a gate that is not there")
	}
	if z.Root.Owner(z.Key("ana2").Public().ID()) != "ana" || z.Root.Owner(z.Key("eve").Public().ID()) != "" || z.Root.HasUse(z.Key("eve").Public().ID(), policy.UsePolicy) {
		t.Error("owners of keys")
	}
	if ns, ok := z.Root.Namespace("payments/a/b"); !ok || ns.Prefix != "payments/" {
		t.Error("namespace")
	}
}

// FuzzRoot: what parses encodes back to the same bytes.
func FuzzRoot(f *testing.F) {
	good, err := policy.ParseRoot(testkit.NewZone(f).RootEnvelope.Payload)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encode(f, good))
	for _, m := range rootMutations() {
		d := *good
		if m.field != "principals" && m.field != "gates" && m.field != "namespaces" { // those change what is shared
			m.change(&d)
		}
		f.Add(encode(f, &d))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := policy.ParseRoot(b)
		if err != nil {
			return
		}
		if again := encode(t, d); !bytes.Equal(again, b) {
			t.Errorf("%q encodes to %q", b, again)
		}
	})
}
