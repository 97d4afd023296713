package policy_test

import (
	"errors"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// TestFirstPolicy sees who may begin a line, and where.
//
// SPEC POLICY-2, POLICY-3
// R22: by the wrong people
// R35: k−1, twice, unlisted, another's key; two keys of one person count once
// A1, R45: a policy for another zone, whose root has the same names and keys
// A22: keys that are listed for something else
// guard: policy-zone, policy-demanded-quorum, policy-own-quorum, key-use, key-algorithm
func TestFirstPolicy(t *testing.T) {
	t.Parallel()
	z := testkit.NewZoneWith(t, testkit.Config{Root: func(d *policy.RootDocument) {
		d.Namespaces[0].Genesis = sign.Quorum{Members: []string{"ana", "bo", "cy"}, Threshold: 2}
		d.Principals["cy"] = policy.Principal{Keys: []policy.RootKey{{Key: new(testkit.Zone).KeyP256("cy").Public(), Use: []policy.Use{policy.UsePolicy}}}}
		d.Principals["dee"] = policy.Principal{Keys: []policy.RootKey{{Key: new(testkit.Zone).Key("dee").Public(), Use: []policy.Use{policy.UseRoot, policy.UseIssuer}}}}
	}})
	ed := testkit.NewZoneWith(t, testkit.Config{Root: func(d *policy.RootDocument) {
		d.Principals["bo"] = policy.Principal{Keys: []policy.RootKey{{Key: new(testkit.Zone).KeyP256("bo").Public(), Use: []policy.Use{policy.UsePolicy}}, d.Principals["bo"].Keys[0]}}
		d.Algorithms = []string{"ed25519"}
	}})
	ana, ana2, bo := z.Key("ana"), z.Key("ana2"), z.Key("bo")
	usual := func(*policy.Document) {}
	by := func(k ...sign.Signer) []sign.Signer { return k }
	for _, c := range []struct {
		name   string
		z      *testkit.Zone
		change func(*policy.Document)
		by     []sign.Signer
		ok     bool
	}{
		{"two", z, usual, by(ana, bo), true},
		{"her other key", z, usual, by(ana2, bo), true},
		{"more than needed", z, usual, by(ana, bo, z.KeyP256("cy")), true},
		{"one", z, usual, by(ana), false},
		{"nobody", z, usual, nil, false},
		{"one twice", z, usual, by(ana, ana), false},
		{"two keys of one person", z, usual, by(ana, ana2), false},
		{"a stranger", z, usual, by(ana, z.Key("eve")), false},
		{"an issuer", z, usual, by(ana, z.Key("iris")), false},
		{"a sealer", z, usual, by(ana, z.Key("sam")), false},
		{"a gate", z, usual, by(ana, z.Key("gate-1")), false},
		{"enough for the namespace, not for itself", z, usual, by(ana, z.KeyP256("cy")), false},
		{"enough for itself, not for the namespace", z, func(d *policy.Document) { d.Governance.Successor.Members = []string{"ana", "sam"} }, by(ana, z.Key("sam")), false},
		{"a member whose key is for roots", z, func(d *policy.Document) { d.Governance.Successor.Members = []string{"ana", "dee"} }, by(ana, bo, z.Key("dee")), false},
		{"a key of an algorithm that the root bars", ed, usual, by(ana, z.KeyP256("bo")), false},
		{"the same person with one that it allows", ed, usual, by(ana, bo), true},
		{"no namespace", z, func(d *policy.Document) { d.Alias = "dev/x" }, by(ana, bo), false},
		{"half a namespace", z, func(d *policy.Document) { d.Alias = "payments" }, by(ana, bo), false},
		{"a longer name", z, func(d *policy.Document) { d.Alias = "paymentsx/refunds" }, by(ana, bo), false},
		{"of another zone", z, func(d *policy.Document) { d.Zone[0] ^= 1 }, by(ana, bo), false},
		{"not the first", z, func(d *policy.Document) { d.Version, d.Prev[0] = 2, 1 }, by(ana, bo), false},
	} {
		d := testkit.Document(c.z.Root.Zone())
		c.change(d)
		p, err := policy.Verify(testkit.Envelope(t, policy.PayloadType, d, c.by...), c.z.Root, nil)
		if c.ok && err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.ok {
			refused(t, c.name, err, policy.ErrAuthority)
			if p != nil {
				t.Errorf("%s: a policy all the same", c.name)
			}
		}
	}
	same := testkit.NewZoneWith(t, testkit.Config{Root: func(d *policy.RootDocument) { d.Expires++ }})
	_, err := policy.Verify(same.Envelope, z.Root, nil)
	refused(t, "a zone with the same names and keys", err, policy.ErrAuthority)
	relabelled := *z.Envelope
	relabelled.PayloadType = policy.RootType
	_, err = policy.Verify(&relabelled, z.Root, nil)
	refused(t, "as a root", err, policy.ErrAuthority)
}

// TestSuccession lets a candidate neither choose its own judges nor leave the line.
//
// SPEC POLICY-3
// R22: without link to the one in force
// R29: an older version
// R36: a candidate that lowers its own threshold, or names other people
// guard: policy-link, policy-demanded-quorum, policy-own-quorum
func TestSuccession(t *testing.T) {
	t.Parallel()
	// Three people, two of whom must sign; the root asks for one at least.
	root := func(d *policy.RootDocument) {
		d.Ceilings.MinSigners = 1
		d.Principals["cy"] = policy.Principal{Keys: []policy.RootKey{{Key: new(testkit.Zone).Key("cy").Public(), Use: []policy.Use{policy.UsePolicy}}}}
	}
	z := testkit.NewZoneWith(t, testkit.Config{Root: root})
	line := testkit.NewZoneWith(t, testkit.Config{Root: root, Policy: func(d *policy.Document) { d.Alias = "payments/orders" }})
	ana, ana2, bo, cy := z.Key("ana"), z.Key("ana2"), z.Key("bo"), z.Key("cy")
	two := z.Successor(t, z.Policy, nil)
	twin := z.Twin(t, func(d *policy.Document) { d.Expires++ })
	quorum := func(n int, m ...string) func(*policy.Document) {
		return func(d *policy.Document) { d.Governance.Successor = sign.Quorum{Members: m, Threshold: n} }
	}
	for _, c := range []struct {
		name   string
		prev   *policy.Verified
		change func(*policy.Document)
		by     []sign.Signer
		ok     bool
	}{
		{"by both", z.Policy, nil, []sign.Signer{ana, bo}, true},
		{"after the second", two, nil, []sign.Signer{ana, bo}, true},
		{"by one", z.Policy, nil, []sign.Signer{ana}, false},
		{"by two keys of one", z.Policy, nil, []sign.Signer{ana, ana2}, false},
		{"lowers the threshold", z.Policy, quorum(1, "ana", "bo"), []sign.Signer{ana}, false},
		{"lowers the threshold, by both", z.Policy, quorum(1, "ana", "bo"), []sign.Signer{ana, bo}, true},
		{"names one person alone", z.Policy, quorum(1, "cy"), []sign.Signer{cy}, false},
		{"names another, without whom", z.Policy, quorum(2, "ana", "cy"), []sign.Signer{ana, bo}, false},
		{"names another, without the old", z.Policy, quorum(2, "ana", "cy"), []sign.Signer{ana, cy}, false},
		{"names another, by all", z.Policy, quorum(2, "ana", "cy"), []sign.Signer{ana, bo, cy}, true},
		{"skips a version", z.Policy, func(d *policy.Document) { d.Version = 3 }, []sign.Signer{ana, bo}, false},
		{"the same version", two, func(d *policy.Document) { d.Version = 2 }, []sign.Signer{ana, bo}, false},
		{"follows a twin", z.Policy, func(d *policy.Document) { d.Prev = twin.ID() }, []sign.Signer{ana, bo}, false},
		{"follows nothing that is known", z.Policy, func(d *policy.Document) { d.Prev[5] ^= 1 }, []sign.Signer{ana, bo}, false},
		{"follows the one before", two, func(d *policy.Document) { d.Prev = z.Policy.ID() }, []sign.Signer{ana, bo}, false},
		{"of another line", z.Policy, func(d *policy.Document) { d.Alias = "payments/orders" }, []sign.Signer{ana, bo}, false},
		{"follows another line", line.Policy, func(d *policy.Document) { d.Alias = testkit.Alias }, []sign.Signer{ana, bo}, false},
	} {
		p, err := policy.Verify(next(t, c.prev, c.change, c.by...), z.Root, c.prev)
		if c.ok && (err != nil || p.Prev() != c.prev) {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.ok {
			refused(t, c.name, err, policy.ErrAuthority)
		}
	}
	_, err := policy.Verify(z.Envelope, z.Root, z.Policy)
	refused(t, "itself again", err, policy.ErrAuthority)
	_, err = policy.Verify(z.Envelope, z.Root, two)
	refused(t, "an older one", err, policy.ErrAuthority)
}

// TestPolicyID: adding a signature changes nothing, changing a byte everything.
//
// SPEC POLICY-2
// R21
func TestPolicyID(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	e := *z.Envelope
	if err := e.Sign(z.Key("eve")); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Verify(&e, z.Root, nil)
	if err != nil || p.ID() != z.Policy.ID() || len(p.Signers()) != 2 || p.Zone() != z.Root.Zone() {
		t.Errorf("with one more signature: %v", err)
	}
	if z.Policy.ID() != canon.Hash(canon.PAE(policy.PayloadType, z.Envelope.Payload)) {
		t.Error("the id is not the digest of what is signed")
	}
	if u := policy.UnverifiedBytes(z.Envelope.Payload, z.Root.Zone()); u.ID() != z.Policy.ID() || u.Document() != nil {
		t.Error("unverified bytes have another id, or a document")
	}
}

// TestPolicyBits flips every bit of a signed policy: none is in force afterwards.
//
// R1
// R21
// SPEC POLICY-2
// guard: policy-demanded-quorum
func TestPolicyBits(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	text, err := z.Envelope.Encode()
	if err != nil {
		t.Fatal(err)
	}
	n := testkit.Flips(text, func(b []byte, bit int) {
		e, err := sign.ParseEnvelope(b)
		if err != nil {
			return
		}
		if p, err := policy.Verify(e, z.Root, nil); err == nil || p != nil {
			t.Errorf("bit %d of the envelope does not matter", bit)
		}
	})
	e := *z.Envelope
	n += testkit.Flips(z.Envelope.Payload, func(b []byte, bit int) {
		e.Payload = b
		if p, err := policy.Verify(&e, z.Root, nil); err == nil || p != nil {
			t.Errorf("bit %d of the payload does not matter", bit)
		}
	})
	if n < 30000 {
		t.Errorf("%d bits", n)
	}
}

// TestCeilings refuses policies, signed by all, that allow more than the root.
//
// SPEC POLICY-4
// R47
// guard: root-ceilings
func TestCeilings(t *testing.T) {
	t.Parallel()
	z := testkit.NewZoneWith(t, testkit.Config{Root: func(d *policy.RootDocument) {
		d.Ceilings = policy.Ceilings{MaxStalenessS: 60, MaxTTLS: 86400, MaxDepth: 4, MinSigners: 2}
	}})
	for name, change := range map[string]func(*policy.Document){
		"staleness": func(d *policy.Document) { d.Freshness.MaxStalenessS = 61 },
		"lifetime":  func(d *policy.Document) { d.Delegation.MaxTTLS = 86401 },
		"depth":     func(d *policy.Document) { d.Delegation.MaxDepth = 5 },
		"signers":   func(d *policy.Document) { d.Governance.Successor.Threshold = 1 },
	} {
		d := testkit.Document(z.Root.Zone())
		change(d)
		_, err := policy.Verify(testkit.Envelope(t, policy.PayloadType, d, z.Key("ana"), z.Key("bo")), z.Root, nil)
		refused(t, name, err, policy.ErrAuthority)
		_, err = policy.Verify(next(t, z.Policy, change, z.Key("ana"), z.Key("bo")), z.Root, z.Policy)
		refused(t, name+" in a successor", err, policy.ErrAuthority)
	}
}

// TestQuotaKeepsMeaning refuses a successor whose quota counts otherwise under the
// same id, also after a version without it.
//
// SPEC POLICY-12
// A41
// guard: quota-keeps-meaning
func TestQuotaKeepsMeaning(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	quota := func(change func(*policy.Quota)) func(*policy.Document) {
		return func(d *policy.Document) {
			q := z.Policy.Document().Quotas[0]
			change(&q)
			d.Quotas = []policy.Quota{q}
		}
	}
	gone := z.Successor(t, z.Policy, func(d *policy.Document) { d.Quotas = nil })
	for name, change := range map[string]func(*policy.Quota){
		"unit":   func(q *policy.Quota) { q.Unit = "cents" },
		"window": func(q *policy.Quota) { q.WindowS = 3600 },
		"per":    func(q *policy.Quota) { q.Per = "subject" },
		"amount": func(q *policy.Quota) { q.Amount = "" },
	} {
		for _, prev := range []*policy.Verified{z.Policy, gone} {
			_, err := policy.Verify(next(t, prev, quota(change), z.Key("ana"), z.Key("bo")), z.Root, prev)
			refused(t, name, err, policy.ErrDocument)
			if field(err) != "quotas" {
				t.Errorf("%s: names %s", name, field(err))
			}
		}
	}
	for name, change := range map[string]func(*policy.Quota){
		"limit": func(q *policy.Quota) { q.Limit = 1 }, "hard": func(q *policy.Quota) { q.Hard = false },
		"another id": func(q *policy.Quota) { q.ID, q.Unit = "amount-hour", "cents" }, "actions": func(q *policy.Quota) { q.Actions = []string{"http:POST"} },
	} {
		if _, err := policy.Verify(next(t, z.Policy, quota(change), z.Key("ana"), z.Key("bo")), z.Root, z.Policy); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestVerifyParses refuses documents that a quorum signed and that are none.
func TestVerifyParses(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	d := testkit.Document(z.Root.Zone())
	d.Rules = `@id("a") permit (principal, action, resource) when { context.nothing };`
	_, err := policy.Verify(testkit.Envelope(t, policy.PayloadType, d, z.Key("ana"), z.Key("bo")), z.Root, nil)
	refused(t, "rules", err, policy.ErrRules)
	if errors.Is(err, policy.ErrAuthority) {
		t.Error("bad rules are taken for a lack of authority")
	}
}
