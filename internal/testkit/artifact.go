package testkit

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// Plain is the sealed secret of every zone.
const Plain = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"

// Value returns a value with a salt that is always the same.
func Value(plain string) *seal.Value {
	return &seal.Value{Secret: secret.Take([]byte(plain)), Salt: bytes.Repeat([]byte{0x5a}, 32)}
}

// Statement returns sam's statement that v is version 1 of the secret under p.
func (z *Zone) Statement(t testing.TB, p *policy.Verified, v *seal.Value) *seal.Signed {
	t.Helper()
	st, err := seal.NewStatement(p, seal.Name{ID: SecretID, Version: 1, IssuedAt: Now}, v)
	if err != nil {
		t.Fatalf("statement: %v", err)
	}
	if err := st.Envelope().Sign(z.Key("sam")); err != nil {
		t.Fatal(err)
	}
	return st
}

// Sealed returns [Plain] sealed under z.Policy to z's gate, with sam's statement.
func (z *Zone) Sealed(t testing.TB) (*seal.Signed, []byte) {
	t.Helper()
	v := Value(Plain)
	st := z.Statement(t, z.Policy, v)
	blob, err := seal.Seal(z.Policy, st, z.Root.Group(Group), v)
	if err != nil {
		t.Fatalf("seal: %v", err)
	}
	return st, blob
}

// Holder returns the holder key of block i.
func (z *Zone) Holder(i int) sign.PrivateKey { return z.Key("holder" + strconv.Itoa(i)) }

// Grant returns what the usual grant says, for a test to change: valid for an
// hour, for the refund purpose, to be handed on four times, held by Holder(0).
func (z *Zone) Grant() credential.Grant {
	return credential.Grant{
		ID: bytes.Repeat([]byte{7}, 16), Zone: z.Root.Zone(), Alias: Alias, MinVersion: 1, Subject: Subject,
		Terms: credential.Terms{
			Holder: credential.NewHolderKey(z.Holder(0).Public()), NotBefore: Now - 60, Expires: Now + 3600,
			Audience: List(Group), Depth: 4, Purposes: List("refund"), Secrets: List(SecretID),
		},
	}
}

// List returns a list as [credential.Terms] have it; without entries it allows
// nothing.
func List(entries ...string) *[]string {
	if entries == nil {
		entries = []string{}
	}
	return &entries
}

// Credential returns the usual credential: the grant, issued by iris, and blocks
// that each hand it to the next holder. The first block lowers the amount to
// 20.00, the second allows five uses.
func (z *Zone) Credential(t testing.TB, blocks int) *credential.Chain {
	t.Helper()
	c, err := credential.Issue(z.Grant(), z.Key("iris"))
	if err != nil {
		t.Fatalf("issue: %v", err)
	}
	for i := 1; i < blocks; i++ {
		terms := c.Last()
		terms.Holder = credential.NewHolderKey(z.Holder(i).Public())
		switch i {
		case 1:
			l := Language()
			terms.Language, terms.Rules = &l, `@id("at-most-20") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > 2000 };`
		case 2:
			terms.Limits = map[string]int64{policy.UsesID: 5, "amount-day": 10000}
		}
		if c, err = c.Narrow(z.Holder(i-1), "hop "+strconv.Itoa(i), terms); err != nil {
			t.Fatalf("narrow: %v", err)
		}
	}
	return c
}
