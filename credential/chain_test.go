package credential_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/sign"
)

// ask returns what the policy and the rules of every block say of a refund.
func ask(t *testing.T, z *testkit.Zone, v *credential.Verified, amount string) policy.Ruling {
	t.Helper()
	q := &policy.Question{
		Subject: v.Grant.Subject, Actor: v.Holder().ID().String(), Depth: len(v.Delegations),
		Action: "http:POST", Target: testkit.Target,
		Operation: z.Operation(t, "POST", "/v1/refunds", `{"order":"8831","amount":`+amount+`}`),
		Purpose:   "refund", Level: op.Signed, Group: testkit.Group, Region: "eu", At: testkit.Now,
	}
	return z.Policy.Evaluate(q, v.Rules())
}

// TestThreeHops hands a credential on three times, offline, and uses it at the
// last: the whole chain is verified with root and policy alone, what each hop
// took away stays away, and a chain from which a hop is dropped is no credential.
//
// SPEC CRED-1, CRED-3
// R6
// R42: whole chain, no link to issuer or parents
func TestThreeHops(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	c, err := credential.Parse(z.Credential(t, 4).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	v := verify(t, z, c)
	if len(v.Blocks()) != 4 || v.Holder() != z.Holder(3).Public() || len(v.Rules()) != 1 {
		t.Fatalf("%d blocks, %d sets of rules", len(v.Blocks()), len(v.Rules()))
	}
	grant := verify(t, z, z.Credential(t, 1))
	if r := ask(t, z, grant, "2500"); !r.Permit {
		t.Errorf("25.00 by the grant's holder: %v", r.Denial)
	}
	if r := ask(t, z, v, "2000"); !r.Permit {
		t.Errorf("20.00 by the last: %v", r.Denial)
	}
	if r := ask(t, z, v, "2001"); r.Permit || r.Denial.Rule != "at-most-20" {
		t.Errorf("20.01 by the last: %v", r.Denial)
	}
	if d, denial := v.Debits(map[string]int64{"amount-day": 100}); denial != nil || len(d) != 2 || d[0].Limit != 10000 || d[1].Limit != 5 {
		t.Errorf("debits %+v, %v", d, denial)
	}
	w := apart(t, c)
	for i := 1; i < len(w.Blocks)-1; i++ {
		refused(t, "a hop is dropped", accepts(z, together(t, slices.Delete(slices.Clone(w.Blocks), i, i+1)...)), credential.ErrCredential)
	}
	refused(t, "the grant is dropped", accepts(z, together(t, w.Blocks[1:]...)), credential.ErrCredential)
	// The last hop by someone whose key no block names, over the right block.
	eve := hop(t, z.Credential(t, 3), z.Key("eve"), next(z, z.Credential(t, 3), 3))
	refused(t, "a stranger's hop", accepts(z, eve), credential.ErrCredential)
}

// TestBits flips every bit of a credential of three blocks.
//
// R1
func TestBits(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	b := z.Credential(t, 3).Bytes()
	if err := accepts(z, b); err != nil {
		t.Fatal(err)
	}
	n := testkit.Flips(b, func(flipped []byte, bit int) {
		if err := accepts(z, flipped); !errors.Is(err, credential.ErrCredential) {
			t.Errorf("bit %d: %v", bit, err)
		}
	})
	if n < 8*850 {
		t.Errorf("%d bits", n)
	}
	for cut := range b {
		if accepts(z, b[:cut]) == nil {
			t.Errorf("cut to %d bytes", cut)
		}
	}
}

// TestTruncated takes the last block off: what is left is a credential, of the
// holder before. The last holder's key is of no use with it.
//
// SPEC CRED-1
// R6: a hop that drops a constraint
// R44: it cannot be handed on by who does not hold it
// guard: narrow-holder
func TestTruncated(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	w := apart(t, z.Credential(t, 3))
	c, err := credential.Parse(together(t, w.Blocks[:2]...))
	if err != nil {
		t.Fatal(err)
	}
	v := verify(t, z, c)
	o := z.Operation(t, "POST", "/v1/refunds", `{"order":"8831","amount":100}`)
	use := func(k sign.PrivateKey) error {
		i := &proof.Invocation{Credential: v.Digest(), Operation: o.AskedDigest(), JTI: proof.NewJTI(),
			IssuedAt: testkit.Now, Expires: testkit.Now + 60, Audience: testkit.Domain}
		block, err := i.Sign(k)
		if err != nil {
			t.Fatal(err)
		}
		_, err = proof.VerifyInvocation(v.Holder(), block, o, testkit.Now)
		return err
	}
	if err := use(z.Holder(1)); err != nil {
		t.Errorf("its own holder: %v", err)
	}
	if err := use(z.Holder(2)); !errors.Is(err, proof.ErrProof) {
		t.Errorf("the last holder uses what he took a block off: %v", err)
	}
	leaf := &testkit.Counting{Signer: z.Holder(2)}
	n, err := c.Narrow(leaf, "me", next(z, c, 9))
	refused(t, "the last holder narrows it", err, credential.ErrCredential)
	if n != nil || leaf.N.Load() != 0 {
		t.Errorf("a block exists: signed %d times", leaf.N.Load())
	}
	refused(t, "by hand", accepts(z, hop(t, c, z.Holder(2), next(z, c, 9))), credential.ErrCredential)
}

// TestForeignBlocks reorders blocks, repeats one, and takes one from a chain with
// the very same holder keys.
//
// SPEC CRED-1
// R1: swapped for another's
// R6
// guard: block-link
func TestForeignBlocks(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	a := apart(t, z.Credential(t, 3)).Blocks
	g := z.Grant()
	g.ID = bytes.Repeat([]byte{8}, 16)
	other := issue(t, g, z.Key("iris"))
	wide := narrow(t, other, z.Holder(0), next(z, other, 1)) // without the rule of the first chain
	b := apart(t, wide).Blocks
	if err := accepts(z, wide.Bytes()); err != nil {
		t.Fatal(err)
	}
	for name, blocks := range map[string][][]byte{
		"reordered":               {a[0], a[2], a[1]},
		"repeated":                {a[0], a[1], a[1]},
		"block of another chain":  {a[0], b[1]},
		"grant of another chain":  {b[0], a[1], a[2]},
		"grant in the middle":     {a[0], b[0], a[1]},
		"two grants":              {a[0], b[0]},
		"a block as the grant":    {a[1], a[2]},
		"nothing":                 {},
		"an empty block":          {a[0], {}},
		"a block that is no CBOR": {a[0], []byte("block")},
	} {
		refused(t, name, accepts(z, together(t, blocks...)), credential.ErrCredential)
	}
	// By the right holder, of the right chain, but of another block or type.
	c, err := credential.Parse(together(t, a[0]))
	if err != nil {
		t.Fatal(err)
	}
	terms := next(z, c, 1)
	good := credential.Delegation{Typ: "writ-block/1", Prev: c.Blocks()[0], Terms: terms}
	if err := accepts(z, hopAs(t, c, z.Holder(0), &good)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*credential.Delegation){
		"prev": func(d *credential.Delegation) { d.Prev[31] ^= 1 },
		"none": func(d *credential.Delegation) { d.Prev = canon.Digest{} },
		"type": func(d *credential.Delegation) { d.Typ = "writ-block/2" },
	} {
		d := good
		change(&d)
		refused(t, name, accepts(z, hopAs(t, c, z.Holder(0), &d)), credential.ErrCredential)
	}
}

// TestBlockIDs signs the same blocks again, in other ways: limits and revocations
// still meet the same blocks.
//
// SPEC CRED-8
func TestBlockIDs(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	g := z.Grant()
	g.Limits = map[string]int64{policy.UsesID: 1}
	iris, ivo := z.Key("iris"), z.KeyP256("ivo")
	first := issue(t, g, iris, ivo)
	swapped := issue(t, g, ivo, iris)
	w := apart(t, first)
	dropped, err := credential.Parse(together(t, w.Cosigns[0])) // ivo's signature alone is enough here
	if err != nil {
		t.Fatal(err)
	}
	key := func(c *credential.Chain) canon.Digest {
		d, denial := verify(t, z, c).Debits(nil)
		if denial != nil || len(d) != 1 {
			t.Fatal(denial)
		}
		return d[0].Key
	}
	for name, c := range map[string]*credential.Chain{"issuers in another order": swapped, "another issuer": dropped, "signed again": issue(t, g, ivo)} {
		if c.Digest() == first.Digest() {
			t.Errorf("%s: the same bytes", name)
		}
		if c.Blocks()[0] != first.Blocks()[0] || key(c) != key(first) {
			t.Errorf("%s: another block to limits and revocations", name)
		}
	}
	child := narrow(t, first, z.Holder(0), next(z, first, 1))
	if key(child) != key(first) || verify(t, z, child).Blocks()[0] != first.Blocks()[0] {
		t.Error("the child counts for itself")
	}
	blocks, keys := verify(t, z, child).Revocable()
	if !slices.Equal(blocks, child.Blocks()) || !slices.Equal(keys, []sign.KeyID{z.Holder(0).Public().ID(), z.Holder(1).Public().ID()}) {
		t.Errorf("revocable: %v, %v", blocks, keys)
	}
}

// TestText writes credentials as text and reads them back, in one form.
//
// SPEC CRED-1
func TestText(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	c := z.Credential(t, 2)
	for _, s := range []string{c.Text(), c.Text() + "\n", " " + c.Text()} {
		again, err := credential.ParseText(s)
		if err != nil || !bytes.Equal(again.Bytes(), c.Bytes()) || again.Text() != c.Text() {
			t.Errorf("%.20q: %v", s, err)
		}
	}
	body := strings.TrimPrefix(c.Text(), "writ1.")
	for name, s := range map[string]string{
		"empty":        "",
		"no prefix":    body,
		"other prefix": "writ2." + body,
		"upper case":   "WRIT1." + body,
		"padded":       c.Text() + "=",
		"line break":   c.Text()[:50] + "\n" + c.Text()[50:],
		"space":        c.Text()[:50] + " " + c.Text()[50:],
		"prefix alone": "writ1.",
		"base64":       "writ1.+/" + body[2:],
	} {
		_, err := credential.ParseText(s)
		refused(t, name, err, credential.ErrCredential)
	}
}

// TestBounds offers what is too large, too many, or missing.
//
// SPEC CRED-1
// guard: limit-negative
func TestBounds(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	grant := func(change func(*credential.Grant)) error {
		g := z.Grant()
		change(&g)
		c, err := credential.Issue(g, z.Key("iris"))
		if err == nil {
			_, err = c.Verify(z.Policy, z.Root)
		}
		return err
	}
	if err := grant(func(*credential.Grant) {}); err != nil {
		t.Fatal(err)
	}
	many := make([]string, 65)
	for i := range many {
		many[i] = "g" + strings.Repeat("x", i)
	}
	limits := map[string]int64{}
	for _, n := range many[:17] {
		limits[n] = 1
	}
	for name, change := range map[string]func(*credential.Grant){
		"short id":        func(g *credential.Grant) { g.ID = g.ID[1:] },
		"no subject":      func(g *credential.Grant) { g.Subject = "" },
		"long subject":    func(g *credential.Grant) { g.Subject = op.Subject("svc/" + strings.Repeat("x", 128)) },
		"never valid":     func(g *credential.Grant) { g.Expires = g.NotBefore },
		"before 1970":     func(g *credential.Grant) { g.NotBefore = -1 },
		"negative depth":  func(g *credential.Grant) { g.Depth = -1 },
		"depth of 9":      func(g *credential.Grant) { g.Depth = 9 },
		"negative pop":    func(g *credential.Grant) { g.Pop = -1 },
		"pop of 5":        func(g *credential.Grant) { g.Pop = 5 },
		"long task":       func(g *credential.Grant) { g.Task = strings.Repeat("x", 513) },
		"many groups":     func(g *credential.Grant) { g.Audience = &many },
		"empty group":     func(g *credential.Grant) { g.Audience = testkit.List("") },
		"long purpose":    func(g *credential.Grant) { g.Purposes = testkit.List(strings.Repeat("x", 129)) },
		"many limits":     func(g *credential.Grant) { g.Limits = limits },
		"negative limit":  func(g *credential.Grant) { g.Limits = map[string]int64{policy.UsesID: -1} },
		"no holder":       func(g *credential.Grant) { g.Holder = credential.HolderKey{} },
		"small-order key": func(g *credential.Grant) { g.Holder.Bytes = make([]byte, 32) },
		"key of no kind":  func(g *credential.Grant) { g.Holder.Algorithm = -8 },
		"16 KiB":          func(g *credential.Grant) { *g = rulesOf(*g, strings.Repeat(" ", 17<<10)) },
		"rules of 4 KiB": func(g *credential.Grant) {
			*g = rulesOf(*g, strings.Repeat(" ", 4<<10)+`@id("a") forbid(principal,action,resource);`)
		},
		"rules that end":   func(g *credential.Grant) { *g = rulesOf(*g, `@id("a") permit (`) },
		"rules without id": func(g *credential.Grant) { *g = rulesOf(*g, `forbid(principal,action,resource);`) },
	} {
		refused(t, name, grant(change), credential.ErrCredential)
	}
	g := z.Grant()
	g.Depth = 8
	_, err := credential.Issue(g)
	refused(t, "no issuer", err, credential.ErrCredential)
	by := make([]sign.Signer, 10)
	for i := range by {
		by[i] = z.Key("iris")
	}
	_, err = credential.Issue(g, by...)
	refused(t, "ten issuers", err, credential.ErrCredential)
	_, err = credential.Issue(g, sign.PrivateKey{})
	refused(t, "the zero key issues", err, credential.ErrCredential)
	c := issue(t, g, z.Key("iris"))
	if len(credential.NewID()) != 16 || bytes.Equal(credential.NewID(), credential.NewID()) {
		t.Error("ids are not fresh")
	}
	for i := 1; i <= 8; i++ {
		c = narrow(t, c, z.Holder(i-1), next(z, c, i))
	}
	_, err = c.Narrow(z.Holder(8), "", next(z, c, 9))
	refused(t, "ten blocks", err, credential.ErrCredential)
	terms := next(z, z.Credential(t, 1), 1)
	_, err = z.Credential(t, 1).Narrow(z.Holder(0), strings.Repeat("x", 129), terms)
	refused(t, "long label", err, credential.ErrCredential)
	w := apart(t, c)
	for name, b := range map[string][]byte{
		"version 2":        encode(t, &wire{Version: 2, Blocks: w.Blocks, Cosigns: [][]byte{}}),
		"null cosigns":     encode(t, &wire{Version: 1, Blocks: w.Blocks}),
		"two parts":        encode(t, []any{1, w.Blocks}),
		"four parts":       encode(t, []any{1, w.Blocks, [][]byte{}, 0}),
		"something after":  append(c.Bytes(), 0),
		"ten by hand":      together(t, append(slices.Clone(w.Blocks), w.Blocks[8])...),
		"unknown in block": hopAs(t, z.Credential(t, 1), z.Holder(0), map[int]any{1: "writ-block/1", 99: 1}),
	} {
		_, err := credential.Parse(b)
		refused(t, name, err, credential.ErrCredential)
	}
}

func rulesOf(g credential.Grant, text string) credential.Grant {
	g.Terms = rules(g.Terms, text)
	return g
}

// FuzzParse: what parses encodes back to the same bytes, and no block of it is
// wider than the one before.
func FuzzParse(f *testing.F) {
	var v vectorFile
	testkit.ReadVectors(f, vectorName, &v)
	for _, c := range v.Cases {
		f.Add(testkit.Unhex(f, c.Credential))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := credential.Parse(b)
		if err != nil {
			return
		}
		w := apart(t, c)
		if !bytes.Equal(encode(t, &w), b) || !bytes.Equal(c.Bytes(), b) {
			t.Errorf("%x has another form", b)
		}
		if len(c.Blocks()) != len(w.Blocks) || len(c.Holders()) != len(w.Blocks) || len(c.Delegations) != len(w.Blocks)-1 {
			t.Errorf("%x: %d blocks of %d", b, len(c.Blocks()), len(w.Blocks))
		}
		before := c.Grant.Terms
		for _, d := range c.Delegations {
			if d.NotBefore < before.NotBefore || d.Expires > before.Expires || d.Depth >= before.Depth {
				t.Errorf("%x: a block is wider", b)
			}
			before = d.Terms
		}
		if again, err := credential.ParseText(c.Text()); err != nil || again.Digest() != c.Digest() {
			t.Errorf("%x: text: %v", b, err)
		}
	})
}
