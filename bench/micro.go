package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// machine measures what the machine can do, to judge absolutes by.
func machine(b *testing.B, f figures) {
	k, err := sign.Generate(sign.Ed25519)
	must(b, err)
	msg := make([]byte, 200)
	sig, err := k.Sign(msg)
	must(b, err)
	pub := k.Public()
	f["machine.ed25519_verify_us"] = perOp(func() { must(b, pub.Verify(msg, sig)) })
	file, err := os.Create(tempFile(b))
	must(b, err)
	defer file.Close()
	block := make([]byte, 4096)
	f["machine.fdatasync_us"] = perOp(func() {
		_, err := file.Write(block)
		must(b, err)
		must(b, unix.Fdatasync(int(file.Fd())))
	})
}

// rules20 returns 20 rules, of which one permits the refund.
func rules20(limit int) string {
	var s strings.Builder
	s.WriteString(testkit.Rules)
	for i := range 17 {
		fmt.Fprintf(&s, "@id(\"r%d\") forbid (principal, action == Action::\"http:POST\", resource) when { resource.path == \"/v1/other%d\" && context.body.amount > %d };\n", i, i, limit)
	}
	return s.String()
}

// bigPolicy makes the usual policy one of 20 rules, over bodies of 2 KB.
func bigPolicy(d *policy.Document) {
	d.Rules = rules20(1000)
	m := &d.Operations[1].Body.Members
	for i := range 6 {
		*m = append(*m, op.Member{Path: fmt.Sprintf("note%d", i), Type: "string"})
	}
	d.Quotas = nil
	d.Pop = policy.Pop{Default: op.Channel}
}

// bigBody returns 2 KB of JSON that bigPolicy permits.
func bigBody() string {
	var s strings.Builder
	s.WriteString(`{"order":"8831","amount":1500`)
	for i := range 6 {
		fmt.Fprintf(&s, `,"note%d":"%s"`, i, strings.Repeat("x", 320))
	}
	s.WriteString("}")
	return s.String()
}

// threeBlocks returns a credential of three blocks with rules in two of them and
// a limit on uses.
func threeBlocks(b *testing.B, z *testkit.Zone, uses int64) *credential.Chain {
	return chainOf(b, z, uses, func(i int) string {
		return fmt.Sprintf(`@id("b%d") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > %d };`, i, 4000-i*1000)
	})
}

// chainOf is [threeBlocks] with other rules in block i.
func chainOf(b *testing.B, z *testkit.Zone, uses int64, rules func(i int) string) *credential.Chain {
	g := z.Grant()
	g.ID, g.Purposes = credential.NewID(), nil
	c, err := credential.Issue(g, z.Key("iris"))
	must(b, err)
	for i := 1; i < 3; i++ {
		t := c.Last()
		t.Holder = credential.NewHolderKey(z.Holder(i).Public())
		l := z.Policy.Document().Language
		t.Language = &l
		t.Rules = rules(i)
		if i == 2 {
			t.Limits = map[string]int64{policy.UsesID: uses}
		}
		c, err = c.Narrow(z.Holder(i-1), "", t)
		must(b, err)
	}
	return c
}

// crypto measures verifying a credential and opening a secret.
func crypto(b *testing.B, f figures) {
	z := testkit.NewZoneWith(b, testkit.Config{Policy: bigPolicy})
	raw := threeBlocks(b, z, 1e12).Bytes()
	f["verify.cold_us"] = perOp(func() {
		c, err := credential.Parse(raw)
		must(b, err)
		_, err = c.Verify(z.Policy, z.Root)
		must(b, err)
	})
	g := testgate.New(b, testgate.Config{Policy: bigPolicy})
	defer g.Stop()
	kept := threeBlocks(b, g.Zone, 1e12).Bytes()
	f["verify.warm_us"] = perOp(func() {
		_, err := g.Server.Hall().Session(kept)
		must(b, err)
	})
	st, blob := z.Sealed(b)
	f["unseal.cold_us"] = perOp(func() {
		v, err := seal.Open(z.Gate, z.Policy, st, blob)
		must(b, err)
		v.Secret.Wipe()
	})
}

// evaluate measures the decision, alone and among 100,000 policies.
func evaluate(b *testing.B, f figures) {
	z := testkit.NewZoneWith(b, testkit.Config{Policy: bigPolicy})
	c, err := threeBlocks(b, z, 1e12).Verify(z.Policy, z.Root)
	must(b, err)
	o := z.Operation(b, "POST", "/v1/refunds", bigBody())
	q := &policy.Question{
		Subject: testkit.Subject, Actor: "a", Depth: 2, Action: "http:POST", Target: testkit.Target, Operation: o,
		Purpose: "refund", Level: op.Signed, Group: testkit.Group, At: testkit.Now,
	}
	f["evaluate.warm_us"] = perOp(func() {
		if r := z.Policy.Evaluate(q, c.Rules()); !r.Permit {
			b.Fatalf("denied: %v", r.Denial)
		}
	})
	f["decide.warm_us"] = perOp(func() {
		if d := permit.Decide(z.Policy, c, q); !d.Permit {
			b.Fatalf("denied: %v", d.Denial)
		}
	})
	alone, among := newStore(b, 1), newStore(b, 100_000)
	var ratios []float64
	for range 5 {
		ratios = append(ratios, slower(func() { among.decide(b, q) }, func() { alone.decide(b, q) }))
	}
	f["evaluate.scale_100k"] = median(ratios)
}

// store is a zone with many lines of policies, and a credential for one.
type store struct {
	zone *zone.Zone
	c    *credential.Verified
}

func newStore(b *testing.B, lines int) *store {
	z := testkit.NewZoneWith(b, testkit.Config{Policy: bigPolicy})
	s := &store{}
	var err error
	s.zone, err = zone.New(z.Root.Zone(), []*sign.Envelope{z.RootEnvelope}, testkit.Now)
	must(b, err)
	for i := range lines {
		d := *z.Policy.Document()
		if i > 0 { // others of the zone, small: what is looked at is how many they are
			d.Alias = fmt.Sprintf("payments/other-%d", i)
			d.Rules = `@id("r") permit (principal, action, resource);`
		}
		e := testkit.Envelope(b, policy.PayloadType, &d, z.Key("ana"), z.Key("bo"))
		a := testkit.Envelope(b, zone.AliasType, zone.AliasRecord{Zone: z.Root.Zone(), Alias: d.Alias, Version: 1, Policy: e.Digest()}, z.Key("ana"), z.Key("bo"))
		for _, env := range []*sign.Envelope{e, a} {
			entry, err := (&zone.Entry{LoggedAt: testkit.Now, Envelope: env}).Encode()
			must(b, err)
			_, err = s.zone.Apply(entry)
			must(b, err)
		}
	}
	p, _ := s.zone.InForce(testkit.Alias)
	s.c, err = threeBlocks(b, z, 1e12).Verify(p, s.zone.Root())
	must(b, err)
	return s
}

func (s *store) decide(b *testing.B, q *policy.Question) {
	p, ok := s.zone.InForce(testkit.Alias)
	if !ok || s.zone.CredentialRevoked(s.c) {
		b.Fatal("no policy")
	}
	if d := permit.Decide(p, s.c, q); !d.Permit {
		b.Fatalf("denied: %v", d.Denial)
	}
}
