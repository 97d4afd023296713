package credential_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// TestIssuers sees who may issue a grant, and for whom.
//
// SPEC CRED-4
// A22: an issuer for subjects of others; a key that is not for issuing
// guard: issuer-subjects
func TestIssuers(t *testing.T) {
	t.Parallel()
	z := testkit.NewZoneWith(t, testkit.Config{Policy: func(d *policy.Document) {
		d.Delegation.Issuers = append(d.Delegation.Issuers, policy.Issuer{Principal: "ana", Subjects: []string{"*"}})
	}})
	iris, ivo := z.Key("iris"), z.KeyP256("ivo")
	for _, c := range []struct {
		name    string
		subject op.Subject
		by      []sign.Signer
		ok      bool
	}{
		{"iris", "svc/refunds", []sign.Signer{iris}, true},
		{"ivo", "svc/refunds", []sign.Signer{ivo}, true},
		{"both", "svc/refunds", []sign.Signer{iris, ivo}, true},
		{"the pattern's own prefix", "svc/", []sign.Signer{ivo}, true},
		{"exact", "person/ana", []sign.Signer{iris}, true},
		{"longer than exact", "person/anabel", []sign.Signer{iris}, false},
		{"another's subject", "person/ana", []sign.Signer{ivo}, false},
		{"no pattern", "admin", []sign.Signer{iris}, false},
		{"prefix in the middle", "x/svc/refunds", []sign.Signer{ivo}, false},
		{"upper case", "SVC/refunds", []sign.Signer{ivo}, false},
		{"a stranger", "svc/refunds", []sign.Signer{z.Key("eve")}, false},
		{"iris and a stranger", "svc/refunds", []sign.Signer{iris, z.Key("eve")}, false},
		{"a key for policies", "svc/refunds", []sign.Signer{z.Key("ana")}, false},
		{"a sealer", "svc/refunds", []sign.Signer{z.Key("sam")}, false},
		{"the holder", "svc/refunds", []sign.Signer{z.Holder(0)}, false},
		{"another zone's iris", "svc/refunds", []sign.Signer{testkit.NewZoneWith(t, testkit.Config{Seed: "x"}).Key("iris")}, false},
	} {
		g := z.Grant()
		g.Subject = c.subject
		_, err := issue(t, g, c.by...).Verify(z.Policy, z.Root)
		if c.ok && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.ok {
			refused(t, c.name, err, credential.ErrIssuer)
		}
	}
}

// TestIssuerThreshold takes two issuers: one of them twice is one, and a
// signature over another grant is none.
//
// SPEC CRED-4
// R35
// guard: grant-threshold
func TestIssuerThreshold(t *testing.T) {
	t.Parallel()
	z := testkit.NewZoneWith(t, testkit.Config{Policy: func(d *policy.Document) { d.Delegation.Threshold = 2 }})
	iris, ivo := z.Key("iris"), z.KeyP256("ivo")
	both := issue(t, z.Grant(), iris, ivo)
	verify(t, z, both)
	verify(t, z, narrow(t, both, z.Holder(0), next(z, both, 1)))
	for name, by := range map[string][]sign.Signer{
		"one": {iris}, "the other": {ivo}, "one twice": {iris, iris}, "the other twice, signed anew": {ivo, ivo},
		"a stranger": {iris, z.Key("eve")}, "a policy signer": {iris, z.Key("ana")},
	} {
		_, err := issue(t, z.Grant(), by...).Verify(z.Policy, z.Root)
		refused(t, name, err, credential.ErrIssuer)
	}
	wider := z.Grant()
	wider.Purposes = nil
	w, other := apart(t, both), apart(t, issue(t, wider, ivo, iris))
	w.Cosigns[0] = other.Blocks[0]
	refused(t, "a signature over another grant", accepts(z, encode(t, &w)), credential.ErrIssuer)
	w.Cosigns = nil
	refused(t, "stripped", accepts(z, encode(t, &wire{Version: 1, Blocks: w.Blocks, Cosigns: [][]byte{}})), credential.ErrIssuer)
	w.Cosigns = make([][]byte, 9)
	for i := range w.Cosigns {
		w.Cosigns[i] = w.Blocks[0]
	}
	refused(t, "nine cosignatures", accepts(z, encode(t, &w)), credential.ErrCredential)
}

// TestGrantNamesPolicy sees that a grant is for one zone, one alias from a version
// on, or one policy.
//
// SPEC CRED-3
// A1: a root with the same names, and even the same keys
// R45
// R23: a policy of another line
// guard: grant-zone, grant-version, grant-pinned
func TestGrantNamesPolicy(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	other := testkit.NewZoneWith(t, testkit.Config{Root: func(d *policy.RootDocument) { d.Expires++ }})
	line := testkit.NewZoneWith(t, testkit.Config{Policy: func(d *policy.Document) { d.Alias = "payments/orders" }})
	two := z.Successor(t, z.Policy, nil)
	pin, pinTwo := z.Policy.ID(), two.ID()
	usual := func(*credential.Grant) {}
	for _, c := range []struct {
		name   string
		change func(*credential.Grant)
		p      *policy.Verified
		r      *policy.Root
		ok     bool
	}{
		{"usual", usual, z.Policy, z.Root, true},
		{"successor", usual, two, z.Root, true},
		{"another zone", usual, other.Policy, other.Root, false},
		{"root of another zone", usual, z.Policy, other.Root, false},
		{"policy of another zone", usual, other.Policy, z.Root, false},
		{"grant of another zone", func(g *credential.Grant) { g.Zone = other.Root.Zone() }, z.Policy, z.Root, false},
		{"no zone", func(g *credential.Grant) { g.Zone = canon.Digest{} }, z.Policy, z.Root, false},
		{"another line", usual, line.Policy, line.Root, false},
		{"another alias", func(g *credential.Grant) { g.Alias = "dev/x" }, z.Policy, z.Root, false},
		{"too old a version", func(g *credential.Grant) { g.MinVersion = 2 }, z.Policy, z.Root, false},
		{"new enough", func(g *credential.Grant) { g.MinVersion = 2 }, two, z.Root, true},
		{"pinned", func(g *credential.Grant) { g.Pinned = &pin }, z.Policy, z.Root, true},
		{"pinned, succeeded", func(g *credential.Grant) { g.Pinned = &pin }, two, z.Root, false},
		{"pinned ahead", func(g *credential.Grant) { g.Pinned = &pinTwo }, z.Policy, z.Root, false},
		{"no policy", usual, nil, z.Root, false},
		{"zero policy", usual, &policy.Verified{}, z.Root, false},
		{"unverified policy", usual, policy.UnverifiedBytes(z.Envelope.Payload, z.Root.Zone()), z.Root, false},
	} {
		g := z.Grant()
		c.change(&g)
		_, err := issue(t, g, z.Key("iris")).Verify(c.p, c.r)
		if c.ok && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.ok {
			refused(t, c.name, err, credential.ErrCredential)
		}
	}
}

// TestCeilings asks for more than policy or root allow: depth, lifetime, and keys
// of an algorithm that the root no longer lists.
//
// SPEC CRED-9
// R40: depth, time
// R63: an algorithm that is not allowed any more
// guard: grant-depth, grant-ttl, holder-algorithm
func TestCeilings(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	d := *z.Root.Document()
	d.Version, d.Prev = 2, z.Root.ID()
	d.Ceilings.MaxDepth, d.Ceilings.MaxTTLS, d.Algorithms = 2, 3660, []string{"ed25519"}
	e := testkit.Envelope(t, policy.RootType, &d, z.Key("ana"), z.Key("bo"))
	strict, err := policy.VerifyRoots(z.Root.Zone(), []*sign.Envelope{z.RootEnvelope, e}, testkit.Now)
	if err != nil {
		t.Fatal(err)
	}
	p256 := credential.NewHolderKey(z.KeyP256("holder").Public())
	for _, c := range []struct {
		name       string
		change     func(*credential.Grant)
		ok, strict bool
	}{
		{"usual", func(g *credential.Grant) { g.Depth = 2 }, true, true},
		{"depth 4", func(g *credential.Grant) { g.Depth = 4 }, true, false},
		{"depth 5", func(g *credential.Grant) { g.Depth = 5 }, false, false},
		{"a day", func(g *credential.Grant) { g.Depth, g.Expires = 2, g.NotBefore+86400 }, true, false},
		{"a second more", func(g *credential.Grant) { g.Depth, g.Expires = 2, g.NotBefore+86401 }, false, false},
		{"for ever", func(g *credential.Grant) { g.Depth, g.NotBefore, g.Expires = 2, 0, 1<<63-1 }, false, false},
		{"P-256 holder", func(g *credential.Grant) { g.Depth, g.Holder = 2, p256 }, true, false},
	} {
		g := z.Grant()
		c.change(&g)
		chain := issue(t, g, z.Key("iris"))
		for r, want := range map[*policy.Root]bool{z.Root: c.ok, strict: c.strict} {
			if _, err := chain.Verify(z.Policy, r); want && err != nil {
				t.Errorf("%s: %v", c.name, err)
			} else if !want {
				refused(t, c.name, err, credential.ErrCredential)
			}
		}
	}
	// An issuer's key of that algorithm does not count either.
	g := z.Grant()
	g.Depth = 2
	_, err = issue(t, g, z.KeyP256("ivo")).Verify(z.Policy, strict)
	refused(t, "P-256 issuer", err, credential.ErrIssuer)
	// Nor the key of a later holder.
	c := issue(t, g, z.Key("iris"))
	terms := next(z, c, 1)
	terms.Holder = p256
	_, err = narrow(t, c, z.Holder(0), terms).Verify(z.Policy, strict)
	refused(t, "P-256 delegate", err, credential.ErrCredential)
}

// TestBlockRules gives blocks rules in another language, or for other operations,
// than the policy's: they would go silent, so they deny.
//
// SPEC CRED-5
// guard: block-language, block-language-version, block-typecheck
func TestBlockRules(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	const good = `@id("a") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > 2000 };`
	c := z.Credential(t, 1)
	for _, x := range []struct {
		name   string
		change func(*credential.Terms)
		parses bool
		ok     bool
	}{
		{"good", func(*credential.Terms) {}, true, true},
		{"no language", func(t *credential.Terms) { t.Language = nil }, false, false},
		{"no rules", func(t *credential.Terms) { t.Rules = "" }, false, false},
		{"other Cedar", func(t *credential.Terms) { t.Language.Cedar = "5" }, true, false},
		{"other mapper version", func(t *credential.Terms) { t.Language.Mappers = map[string]int{"http": 2} }, true, false},
		{"no mappers", func(t *credential.Terms) { t.Language.Mappers = nil }, true, false},
		{"more mappers", func(t *credential.Terms) { t.Language.Mappers = map[string]int{"http": 1, "sql": 1} }, true, false},
		{"a member that does not exist", func(t *credential.Terms) { t.Rules = strings.Replace(t.Rules, "amount", "total", 1) }, true, false},
		{"a member of another type", func(t *credential.Terms) { t.Rules = strings.Replace(t.Rules, "2000", `"2000"`, 1) }, true, false},
		{"an action that does not exist", func(t *credential.Terms) { t.Rules = strings.Replace(t.Rules, "POST", "PUT", 1) }, true, false},
		{"look-alike letters", func(t *credential.Terms) { t.Rules = strings.Replace(t.Rules, "amount", "аmount", 1) }, true, false},
		{"no syntax", func(t *credential.Terms) { t.Rules = "forbid" }, true, false},
	} {
		terms := rules(next(z, c, 1), good)
		x.change(&terms)
		b := hop(t, c, z.Holder(0), terms)
		if _, err := credential.Parse(b); (err == nil) != x.parses {
			t.Errorf("%s: parse: %v", x.name, err)
		}
		if err := accepts(z, b); x.ok && err != nil {
			t.Errorf("%s: %v", x.name, err)
		} else if !x.ok {
			refused(t, x.name, err, credential.ErrCredential)
		}
	}
	// A successor without the member.
	child := narrow(t, c, z.Holder(0), rules(next(z, c, 1), good))
	verify(t, z, child)
	two := z.Successor(t, z.Policy, func(d *policy.Document) {
		d.Rules = strings.ReplaceAll(d.Rules, "amount", "cents")
		d.Operations = slices.Clone(d.Operations)
		body := *d.Operations[1].Body
		body.Members = []op.Member{{Path: "order", Type: "string", Required: true}, {Path: "cents", Type: "int", Required: true}}
		d.Operations[1].Body = &body
		d.Quotas = nil
	})
	_, err := child.Verify(two, z.Root)
	refused(t, "a forbid after a succession", err, credential.ErrCredential)
	if _, err := c.Verify(two, z.Root); err != nil {
		t.Errorf("a block without rules after a succession: %v", err)
	}
}

// TestRulesOnlyNarrow gives blocks permits and forbids: the answer is yes only if
// the policy and every block say so.
//
// SPEC CRED-5
// R40: rules
// R6
func TestRulesOnlyNarrow(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	c := z.Credential(t, 1)
	for _, x := range []struct {
		name, rules string
		upTo        int // the largest amount that passes, of 100, 2000, 5000
	}{
		{"permits everything", `@id("all") permit (principal, action, resource);`, 5000},
		{"permits less", `@id("less") permit (principal, action == Action::"http:POST", resource) when { context.body.amount <= 100 };`, 100},
		{"permits other things", `@id("get") permit (principal, action == Action::"http:GET", resource);`, 0},
		{"forbids some", `@id("f") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > 2000 };`, 2000},
		{"forbids all", `@id("f") forbid (principal, action, resource);`, 0},
	} {
		child := narrow(t, c, z.Holder(0), rules(next(z, c, 1), x.rules))
		child = narrow(t, child, z.Holder(1), next(z, child, 2)) // a silent block on top
		v := verify(t, z, child)
		for amount, n := range map[string]int{"100": 100, "2000": 2000, "5000": 5000, "5001": 5001} {
			if r := ask(t, z, v, amount); r.Permit != (n <= x.upTo) {
				t.Errorf("%s: %s: permitted %v", x.name, amount, r.Permit)
			}
		}
	}
}

// TestDebits takes a use from the limits of every block, and denies where a limit
// counts what the policy does not.
//
// SPEC CRED-7
// R40: limits
// R6
// guard: limit-known
func TestDebits(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	g := z.Grant()
	g.Limits = map[string]int64{policy.UsesID: 100, "amount-day": 50000}
	grant := issue(t, g, z.Key("iris"))
	child := func(id byte, limits map[string]int64) *credential.Chain {
		terms := next(z, grant, 1)
		terms.Limits, terms.Task = limits, string('a'+rune(id))
		return narrow(t, grant, z.Holder(0), terms)
	}
	one := child(1, map[string]int64{policy.UsesID: 5})
	two := child(2, map[string]int64{policy.UsesID: 1000})
	amounts := map[string]int64{"amount-day": 700, "other": 1}
	debits := func(c *credential.Chain) []policy.Debit {
		d, denial := verify(t, z, c).Debits(amounts)
		if denial != nil {
			t.Fatal(denial)
		}
		return d
	}
	a, b := debits(one), debits(two)
	if len(a) != 3 || a[0].ID != "amount-day" || a[0].N != 700 || a[0].Limit != 50000 || a[1].N != 1 || a[1].Limit != 100 || a[2].N != 1 || a[2].Limit != 5 {
		t.Errorf("debits %+v", a)
	}
	if len(b) != 3 || a[0].Key != b[0].Key || a[1].Key != b[1].Key {
		t.Error("two children do not share their parent's counters")
	}
	if a[2].Key == b[2].Key || b[2].Limit != 1000 {
		t.Error("a block does not count for itself")
	}
	keys := map[canon.Digest]bool{}
	for _, d := range append(a, b[2]) {
		keys[d.Key] = true
		if d.Until == 0 {
			t.Error("a counter is kept for ever")
		}
	}
	if len(keys) != 4 {
		t.Errorf("%d counters", len(keys))
	}
	v := verify(t, z, child(3, map[string]int64{"refunds-week": 5}))
	if d, denial := v.Debits(maps.Clone(amounts)); denial == nil || denial.Code != op.QuotaExceeded || denial.Rule != "refunds-week" || d != nil {
		t.Errorf("a limit that nothing counts: %v, %v", d, denial)
	}
	if d, denial := verify(t, z, grant).Debits(nil); denial == nil || d != nil {
		t.Error("a limit on a quota that did not count this use")
	}
}
