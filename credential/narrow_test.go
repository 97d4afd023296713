package credential_test

import (
	"testing"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
)

// TestWider makes blocks that are wider than their parent in each dimension: by
// the tool, which signs nothing, and by hand, with the right holder's signature.
//
// SPEC CRED-2
// R40: validity, depth, pop, audience, purposes, secrets
// R6: a hop that drops a constraint
// R44: denied before the new thing exists
// A20
// guard: narrow-validity, narrow-depth, narrow-pop, narrow-audience, narrow-purposes, narrow-secrets, block-narrower
func TestWider(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	g := z.Grant()
	g.Pop = op.Channel
	g.Audience, g.Purposes, g.Secrets = testkit.List("prod", "edge"), testkit.List("refund", "lookup"), testkit.List("shop-key", "other-key")
	grant := issue(t, g, z.Key("iris"))
	terms := next(z, grant, 1)
	terms.NotBefore, terms.Expires, terms.Depth, terms.Pop = terms.NotBefore+10, terms.Expires-10, 2, op.Signed
	terms.Audience, terms.Purposes, terms.Secrets = testkit.List("prod"), testkit.List("refund"), testkit.List("shop-key")
	parent := narrow(t, grant, z.Holder(0), terms)
	// A child that is silent inherits; its own child is held to its grandparent's lists.
	silent := narrow(t, parent, z.Holder(1), next(z, parent, 2))
	for name, change := range map[string]func(*credential.Terms){
		"begins earlier":                   func(t *credential.Terms) { t.NotBefore-- },
		"ends later":                       func(t *credential.Terms) { t.Expires++ },
		"as deep as its parent":            func(t *credential.Terms) { t.Depth++ },
		"deeper than its parent":           func(t *credential.Terms) { t.Depth += 2 },
		"less proof":                       func(t *credential.Terms) { t.Pop = op.Channel },
		"no proof":                         func(t *credential.Terms) { t.Pop = op.Bearer },
		"another group":                    func(t *credential.Terms) { t.Audience = testkit.List("prod", "dev") },
		"a group its parent gave up":       func(t *credential.Terms) { t.Audience = testkit.List("edge") },
		"another purpose":                  func(t *credential.Terms) { t.Purposes = testkit.List("refund", "audit") },
		"a purpose its parent gave up":     func(t *credential.Terms) { t.Purposes = testkit.List("lookup") },
		"another secret":                   func(t *credential.Terms) { t.Secrets = testkit.List("shop-key", "dev-key") },
		"a secret that its parent gave up": func(t *credential.Terms) { t.Secrets = testkit.List("other-key") },
	} {
		for who, c := range map[string]*credential.Chain{"parent": parent, "silent": silent} {
			by := &testkit.Counting{Signer: z.Holder(len(c.Delegations))}
			terms := next(z, c, 5)
			good := hop(t, c, by, terms)
			if err := accepts(z, good); err != nil {
				t.Fatalf("%s: the control: %v", who, err)
			}
			change(&terms)
			by.N.Store(0)
			n, err := c.Narrow(by, "", terms)
			refused(t, who+": "+name, err, credential.ErrWider)
			if n != nil || by.N.Load() != 0 {
				t.Errorf("%s: %s: signed %d times", who, name, by.N.Load())
			}
			refused(t, who+": "+name+", by hand", accepts(z, hop(t, c, by, terms)), credential.ErrWider)
		}
	}
}

// TestAbsentAndEmpty sees what lists mean: absent inherits, empty allows nothing,
// and what counts is the intersection over all blocks.
//
// SPEC CRED-6
// A20
// R40
// guard: block-audience, block-purpose, block-secret, block-pop
func TestAbsentAndEmpty(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	admits := func(grant, block credential.Terms, u credential.Use) op.Code {
		g := z.Grant()
		g.Audience, g.Purposes, g.Secrets, g.Pop = grant.Audience, grant.Purposes, grant.Secrets, grant.Pop
		c := issue(t, g, z.Key("iris"))
		terms := next(z, c, 1)
		terms.Audience, terms.Purposes, terms.Secrets, terms.Pop = block.Audience, block.Purposes, block.Secrets, max(block.Pop, grant.Pop)
		if d := verify(t, z, narrow(t, c, z.Holder(0), terms)).Admit(u); d != nil {
			return d.Code
		}
		return ""
	}
	use := credential.Use{At: testkit.Now, Group: "prod", Purpose: "refund", Secret: "shop-key", Level: op.Signed}
	list, none, absent := testkit.List, testkit.List(), (*[]string)(nil)
	for _, c := range []struct {
		name         string
		grant, block *[]string
		ok           bool
	}{
		{"absent in both", absent, absent, true},
		{"inherited", list("prod", "refund", "shop-key"), absent, true},
		{"first in the block", absent, list("prod", "refund", "shop-key"), true},
		{"in both", list("prod", "refund", "shop-key", "x"), list("prod", "refund", "shop-key"), true},
		{"another", list("x"), absent, false},
		{"narrowed away", list("prod", "refund", "shop-key", "x"), list("x"), false},
		{"empty grant", none, absent, false},
		{"empty in both", none, none, false},
		{"empty block", list("prod", "refund", "shop-key"), none, false},
		{"empty block under nothing", absent, none, false},
	} {
		want := func(code op.Code) op.Code {
			if c.ok {
				return ""
			}
			return code
		}
		if got := admits(credential.Terms{Audience: c.grant}, credential.Terms{Audience: c.block}, use); got != want(op.CredentialInvalid) {
			t.Errorf("audience %s: %q", c.name, got)
		}
		if got := admits(credential.Terms{Purposes: c.grant}, credential.Terms{Purposes: c.block}, use); got != want(op.PurposeInvalid) {
			t.Errorf("purposes %s: %q", c.name, got)
		}
		if got := admits(credential.Terms{Secrets: c.grant}, credential.Terms{Secrets: c.block}, use); got != want(op.NotPermitted) {
			t.Errorf("secrets %s: %q", c.name, got)
		}
	}
	for _, c := range []struct {
		grant, block, level op.Level
		ok                  bool
	}{{0, 0, 0, true}, {2, 0, 2, true}, {2, 0, 1, false}, {2, 3, 2, false}, {2, 3, 3, true}, {0, 4, 3, false}} {
		u := use
		u.Level = c.level
		if got := admits(credential.Terms{Pop: c.grant}, credential.Terms{Pop: c.block}, u); (got == "") != c.ok || got != "" && got != op.ProofInsufficient {
			t.Errorf("pop %d then %d, proven %d: %q", c.grant, c.block, c.level, got)
		}
	}
	u := use
	u.Secret = ""
	if got := admits(credential.Terms{Secrets: none}, credential.Terms{}, u); got != "" {
		t.Errorf("an operation that opens no secret: %q", got)
	}
}

// TestAdmitTime uses a credential before, in and after the validity of each block.
//
// SPEC CRED-6
// R40: validity
// guard: block-validity
func TestAdmitTime(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	c := z.Credential(t, 1)
	terms := next(z, c, 1)
	terms.NotBefore, terms.Expires = testkit.Now, testkit.Now+60
	v := verify(t, z, narrow(t, c, z.Holder(0), terms))
	grant := verify(t, z, c)
	for at, want := range map[int64][2]bool{ // grant, block
		testkit.Now - 61:   {false, false},
		testkit.Now - 60:   {true, false},
		testkit.Now - 1:    {true, false},
		testkit.Now:        {true, true},
		testkit.Now + 59:   {true, true},
		testkit.Now + 60:   {true, false},
		testkit.Now + 3599: {true, false},
		testkit.Now + 3600: {false, false},
		0:                  {false, false},
		1 << 62:            {false, false},
		-1 << 63:           {false, false},
	} {
		u := credential.Use{At: at, Group: "prod", Purpose: "refund", Secret: "shop-key", Level: op.Signed}
		for i, v := range []*credential.Verified{grant, v} {
			d := v.Admit(u)
			if (d == nil) != want[i] || d != nil && d.Code != op.CredentialInvalid {
				t.Errorf("at %d, %d blocks: %v", at-testkit.Now, i+1, d)
			}
		}
	}
}
