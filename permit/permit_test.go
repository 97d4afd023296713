package permit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"reflect"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
)

// TestDecide asks over chains of one to four blocks.
//
// SPEC PERMIT-2, PERMIT-3
// R3
// R4: valid proof, no authority
// R6: the same constraints at the last hop
// R7
// R9
// R40
// guard: permit-terms, permit-ruling
func TestDecide(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	for blocks := 1; blocks <= 4; blocks++ {
		v := verify(t, z, z.Credential(t, blocks))
		d := permit.Decide(z.Policy, v, refund(t, z, 2000))
		if !d.Permit || d.Denial != nil || d.Secret != testkit.SecretID || len(d.Ruling.Layers) != 1+min(blocks-1, 1) {
			t.Errorf("%d blocks: %v", blocks, d.Denial)
		}
		if want := 1 + 2*max(0, blocks-2); blocks < 4 && len(d.Debits) != want {
			t.Errorf("%d blocks: %d debits, want %d", blocks, len(d.Debits), want)
		}
		for i := 1; i < len(d.Debits); i++ {
			if bytes.Compare(d.Debits[i-1].Key[:], d.Debits[i].Key[:]) >= 0 {
				t.Errorf("%d blocks: debits are not in order", blocks)
			}
		}
		d = permit.Decide(z.Policy, v, refund(t, z, 2001))
		if d.Permit != (blocks == 1) {
			t.Errorf("%d blocks: too much for the first: %t", blocks, d.Permit)
		}
		denied(t, "too much for the policy", permit.Decide(z.Policy, v, refund(t, z, 5001)), op.NotPermitted)
		for name, change := range map[string]func(*policy.Question){
			"purpose":      func(q *policy.Question) { q.Purpose = "lookup" },
			"no purpose":   func(q *policy.Question) { q.Purpose = "" },
			"group":        func(q *policy.Question) { q.Group = "test" },
			"before":       func(q *policy.Question) { q.At = testkit.Now - 61 },
			"after":        func(q *policy.Question) { q.At = testkit.Now + 3600 },
			"level":        func(q *policy.Question) { q.Level = op.Channel },
			"target":       func(q *policy.Question) { q.Target = "bank" },
			"action":       func(q *policy.Question) { q.Action = "http:GET" },
			"no operation": func(q *policy.Question) { q.Operation = nil },
		} {
			q := refund(t, z, 1)
			change(q)
			if d := permit.Decide(z.Policy, v, q); d.Permit || d.Debits != nil || d.Secret != "" {
				t.Errorf("%d blocks: %s: permitted", blocks, name)
			}
		}
	}
}

// TestDecideTotal gives an answer to whatever it is asked.
//
// SPEC PERMIT-1, PERMIT-2
// R11
// R19: without a policy
// R45, R23: a credential and a policy of two lines or zones
// guard: permit-complete, permit-same-line
func TestDecideTotal(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	v, q := verify(t, z, z.Credential(t, 1)), refund(t, z, 1)
	for name, d := range map[string]permit.Decision{
		"no policy":         permit.Decide(nil, v, q),
		"zero policy":       permit.Decide(new(policy.Verified), v, q),
		"unverified policy": permit.Decide(policy.UnverifiedBytes(z.Envelope.Payload, z.Root.Zone()), v, q),
		"no credential":     permit.Decide(z.Policy, nil, q),
		"zero credential":   permit.Decide(z.Policy, new(credential.Verified), q),
		"no question":       permit.Decide(z.Policy, v, nil),
	} {
		denied(t, name, d, op.PolicyUnknown)
	}
	if (permit.Decision{}).Permit || (permit.Permit{}).Expires != 0 || permit.MaxLifetime > 10 {
		t.Error("a zero value says yes")
	}
	line := testkit.NewZoneWith(t, testkit.Config{Policy: func(d *policy.Document) { d.Alias = "payments/orders" }})
	denied(t, "another line", permit.Decide(line.Policy, v, q), op.CredentialInvalid)
	same := testkit.NewZoneWith(t, testkit.Config{Root: func(d *policy.RootDocument) { d.Expires++ }})
	denied(t, "another zone", permit.Decide(same.Policy, v, q), op.CredentialInvalid)
}

// TestLimitOnUnknownQuota: a block limits what the policy counts, or nothing is
// permitted; a limit of nothing permits nothing of it.
//
// SPEC PERMIT-3
// A23: what is counted names one counter of the policy
// A20: a negative amount, and a limit of a quota that is gone
// A7
// R7
func TestLimitOnUnknownQuota(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	limited := func(limits map[string]int64) *credential.Chain {
		g := z.Grant()
		g.Limits = limits
		c, err := credential.Issue(g, z.Key("iris"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	d := permit.Decide(z.Policy, verify(t, z, limited(map[string]int64{"amount-hour": 5})), refund(t, z, 1))
	denied(t, "unknown quota", d, op.QuotaExceeded)
	if d.Denial.Rule != "amount-hour" {
		t.Errorf("denied by %s", d.Denial.Rule)
	}
	d = permit.Decide(z.Policy, verify(t, z, limited(map[string]int64{"amount-day": 5, policy.UsesID: 2})), refund(t, z, 7))
	if !d.Permit || len(d.Debits) != 3 {
		t.Fatalf("known: %v", d.Denial)
	}
	for _, x := range d.Debits {
		if x.ID == "amount-day" && x.N != 7 || x.ID == policy.UsesID && (x.N != 1 || x.Limit != 2) {
			t.Errorf("%+v", x)
		}
	}
	d = permit.Decide(z.Policy, verify(t, z, limited(map[string]int64{"amount-day": 5})), order(t, z))
	if !d.Permit || len(d.Debits) != 0 {
		t.Errorf("an operation that takes nothing: %+v, %v", d.Debits, d.Denial)
	}
	negative := testkit.NewZoneWith(t, testkit.Config{Policy: func(d *policy.Document) { d.Rules = `@id("all") permit (principal, action, resource);` }})
	denied(t, "negative", permit.Decide(negative.Policy, verify(t, negative, negative.Credential(t, 1)), refund(t, negative, -5)), op.QuotaExceeded)
	if d := permit.Decide(negative.Policy, verify(t, negative, negative.Credential(t, 1)), refund(t, negative, math.MaxInt64)); !d.Permit || d.Debits[0].N != math.MaxInt64 {
		t.Errorf("the most: %v", d.Denial)
	}
}

const childEnv = "WRIT_PERMIT_DECISIONS"

// decisions returns many decisions as text.
func decisions(t testing.TB) []byte {
	z := testkit.NewZone(t)
	var b bytes.Buffer
	for blocks := 1; blocks <= 3; blocks++ {
		v := verify(t, z, z.Credential(t, blocks))
		for _, q := range []*policy.Question{refund(t, z, 1), refund(t, z, 2001), refund(t, z, 5001), order(t, z)} {
			d := permit.Decide(z.Policy, v, q)
			d.Ruling.View = nil
			text, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(text, '\n'))
			b.WriteString(q.Operation.Digest().String())
		}
	}
	return b.Bytes()
}

// TestDecideIsDeterministic decides often, here and in another process.
//
// SPEC PERMIT-2
// R12
func TestDecideIsDeterministic(t *testing.T) {
	t.Parallel()
	want := decisions(t)
	if os.Getenv(childEnv) != "" {
		os.Stdout.WriteString("decisions " + canon.Hash(want).String() + "\n")
		return
	}
	for range 90 { // of 12 decisions each
		if got := decisions(t); !bytes.Equal(got, want) {
			t.Fatalf("decided otherwise:\n%s\n%s", got, want)
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDecideIsDeterministic$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("decisions "+canon.Hash(want).String())) {
		t.Errorf("another process: %v: %s", err, out)
	}
}

// TestContext: what a receipt commits to gives the same question back.
//
// SPEC PERMIT-4
// R26
// guard: context-type, context-complete
func TestContext(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	chain := z.Credential(t, 3)
	q := refund(t, z, 5)
	q.Approvals, q.Lineage, q.Labels = []string{"finance"}, []string{"review"}, []string{"web"}
	c := permit.NewContext(chain, q)
	c.Exhausted, c.Used = "amount-day", 7
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := permit.ParseContext(b)
	if err != nil || !reflect.DeepEqual(back, c) {
		t.Fatalf("%+v: %v", back, err)
	}
	q.Actor, q.Depth = z.Holder(2).Public().ID().String(), 2 // what the chain says, not the caller
	if again := back.Question(chain, q.Operation); !reflect.DeepEqual(again, q) {
		t.Errorf("asks %+v", again)
	}
	if n := testkit.Flips(b, func(b []byte, bit int) {
		if o, err := permit.ParseContext(b); err == nil && reflect.DeepEqual(o, c) {
			t.Errorf("bit %d does not matter", bit)
		}
	}); n < 7000 {
		t.Errorf("%d bits", n)
	}
	with := func(change func(*permit.Context)) []byte {
		other := *c
		change(&other)
		b, err := other.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "another type": with(func(c *permit.Context) { c.Typ = "writ-context/2" }), "cut short": b[:len(b)-1], "something after": append(bytes.Clone(b), 0), "too large": make([]byte, permit.MaxContextBytes+1),
		"not a map": {0x80}, "empty": {0xa0},
		"no credential": with(func(c *permit.Context) { c.Credential = nil }), "level 5": with(func(c *permit.Context) { c.Level = op.Person + 1 }),
		"negative level": with(func(c *permit.Context) { c.Level = op.Bearer - 1 }),
	} {
		if _, err := permit.ParseContext(b); !errors.Is(err, permit.ErrPermit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzContext: what parses encodes back to the same bytes.
func FuzzContext(f *testing.F) {
	var v contextVectors
	testkit.ReadVectors(f, contextFile, &v)
	for _, c := range v.Cases {
		f.Add(testkit.Unhex(f, c.Context))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := permit.ParseContext(b)
		if err != nil {
			return
		}
		if again, err := c.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x encodes to %x: %v", b, again, err)
		}
	})
}

// BenchmarkDecide decides a refund over a credential of three blocks.
func BenchmarkDecide(b *testing.B) {
	z := testkit.NewZone(b)
	v, q := verify(b, z, z.Credential(b, 3)), refund(b, z, 100)
	b.ReportAllocs()
	for b.Loop() {
		if d := permit.Decide(z.Policy, v, q); !d.Permit {
			b.Fatal(d.Denial)
		}
	}
}
