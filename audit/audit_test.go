package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/receipt"
)

// A decision is one recorded decision, as an honest gate records it.
type decision struct {
	t     testing.TB
	z     *testkit.Zone
	chain *credential.Chain
	q     *policy.Question
	r     *receipt.Receipt
	ev    *receipt.Evidence
	c     *permit.Context
}

func refund(t testing.TB, z *testkit.Zone, amount int64) *policy.Question {
	t.Helper()
	return &policy.Question{
		Subject: testkit.Subject, Action: "http:POST", Target: testkit.Target, Purpose: "refund", Level: op.Signed, Group: testkit.Group, Region: "eu", At: testkit.Now,
		Operation: z.Operation(t, "POST", "/v1/refunds", fmt.Sprintf(`{"order":"8831","amount":%d}`, amount)),
	}
}

// record decides q and records it.
func record(t testing.TB, z *testkit.Zone, blocks int, q *policy.Question) *decision {
	t.Helper()
	chain := z.Credential(t, blocks)
	q.Actor, q.Depth = chain.Holder().ID().String(), blocks-1
	x := &decision{t: t, z: z, chain: chain, q: q, c: permit.NewContext(chain, q)}
	v, err := chain.Verify(z.Policy, z.Root)
	if err != nil {
		t.Fatal(err)
	}
	d := permit.Decide(z.Policy, v, q)
	x.r = &receipt.Receipt{
		Kind: receipt.Intent, Decision: receipt.Permit, Root: receipt.RootID(chain.Grant.ID), Blocks: chain.Blocks(), Action: q.Action, Purpose: q.Purpose,
		Level: q.Level, Target: q.Target, Subject: chain.Grant.Subject, Alias: chain.Grant.Alias, Policy: z.Policy.ID(), TimeMS: q.At * 1000,
	}
	if !d.Permit {
		x.r.Kind, x.r.Decision = receipt.Denial, string(d.Denial.Code)
	}
	for _, l := range d.Ruling.Layers {
		x.r.Rules = append(x.r.Rules, append([]string{}, l.Rules...))
	}
	for _, y := range d.Debits {
		x.r.Debits = append(x.r.Debits, receipt.Debit{Key: y.Key, ID: y.ID, Amount: uint64(y.N), End: y.Until})
	}
	x.ev = receipt.NewEvidence()
	x.ev.SetOperation(q.Operation)
	x.ev.Proof = x.signed(nil)
	return x.commit()
}

// signed returns the proof of level 3 for x's operation, as a gate keeps it; change
// may alter the request before it is signed.
func (x *decision) signed(change func(*proof.Message, *proof.Invocation)) []byte {
	x.t.Helper()
	a, err := http.Parse(x.q.Operation.Asked)
	if err != nil {
		x.t.Fatal(err)
	}
	digest := x.chain.Digest()
	m := &proof.Message{Method: a.Method, TargetURI: "https://gate.example/t/" + x.q.Target + a.Path}
	m.Fields = append(m.Fields, [2]string{proof.FieldCredentialRef, proof.ByteSequence(digest[:])})
	if a.Body != nil {
		m.Body, m.HasBody = a.Body.JSON, true
		m.Fields = append(m.Fields, [2]string{proof.FieldContentType, a.Body.Type})
	}
	v := &proof.Invocation{
		Purpose: x.q.Purpose, JTI: bytes.Repeat([]byte{5}, 16), IssuedAt: x.q.At, Expires: x.q.At + 60, Audience: testkit.Domain,
	}
	if change != nil {
		change(m, v)
	}
	k := x.z.Holder(len(x.chain.Delegations))
	if err := proof.SignHTTP(m, v, k, nil); err != nil {
		x.t.Fatal(err)
	}
	_, base, err := proof.VerifyHTTP(m, k.Public(), nil, v.IssuedAt)
	if err != nil {
		x.t.Fatal(err)
	}
	b, err := proof.Evidence(m, base)
	if err != nil {
		x.t.Fatal(err)
	}
	return b
}

// commit makes the receipt commit to the context and evidence as they are.
func (x *decision) commit() *decision {
	x.t.Helper()
	var err error
	if x.ev.Context, err = x.c.Encode(); err != nil {
		x.t.Fatal(err)
	}
	if err := x.ev.Commit(x.r); err != nil {
		x.t.Fatal(err)
	}
	return x
}

func (x *decision) replay() (audit.Result, error) {
	return audit.Replay(x.r, x.ev, x.z.Policy, x.z.Root)
}

// equal fails the test unless the decision comes out as recorded, at the grade.
func (x *decision) equal(what string, g audit.Grade) {
	x.t.Helper()
	if res, err := x.replay(); err != nil || res.Grade != g {
		x.t.Errorf("%s: grade %d: %v", what, res.Grade, err)
	}
}

// TestHolderSigned shows receipts of level 3 whose proof is none, another's, or for
// something else: the gate cannot say that the holder asked.
//
// SPEC AUDIT-5, PROOF-12
// R58 A9 A32
// guard: holder-signature, signed-claims, signed-operation, signed-type
func TestHolderSigned(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	other := testkit.NewZoneWith(t, testkit.Config{Seed: "other"})
	edit := func(change func(*proof.Signed)) func(*decision) []byte {
		return func(x *decision) []byte {
			var s proof.Signed
			if err := canon.DecodeCBOR(x.ev.Proof, &s); err != nil {
				t.Fatal(err)
			}
			change(&s)
			b, err := canon.EncodeCBOR(&s)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	again := func(change func(*proof.Message, *proof.Invocation)) func(*decision) []byte {
		return func(x *decision) []byte { return x.signed(change) }
	}
	for name, forge := range map[string]func(*decision) []byte{
		"none":               func(*decision) []byte { return nil },
		"no document":        func(*decision) []byte { return []byte("proof") },
		"another type":       edit(func(s *proof.Signed) { s.Typ = "writ-signed-http/2" }),
		"a bit of the base":  edit(func(s *proof.Signed) { s.Base[20] ^= 1 }),
		"another signature":  edit(func(s *proof.Signed) { s.Signature[3] ^= 1 }),
		"another body":       edit(func(s *proof.Signed) { s.Body = []byte(`{"order":"8831","amount":2}`) }),
		"no signature":       edit(func(s *proof.Signed) { s.Signature = nil }),
		"another method":     again(func(m *proof.Message, _ *proof.Invocation) { m.Method = "PUT" }),
		"another path":       again(func(m *proof.Message, _ *proof.Invocation) { m.TargetURI += "/2" }),
		"another target":     again(func(m *proof.Message, _ *proof.Invocation) { m.TargetURI = "https://gate.example/t/bank/v1/refunds" }),
		"another route":      again(func(m *proof.Message, _ *proof.Invocation) { m.TargetURI = "https://gate.example/r/shop" }),
		"no path":            again(func(m *proof.Message, _ *proof.Invocation) { m.TargetURI = "https://gate.example" }),
		"another amount":     again(func(m *proof.Message, _ *proof.Invocation) { m.Body = []byte(`{"order":"8831","amount":9}`) }),
		"another purpose":    again(func(_ *proof.Message, v *proof.Invocation) { v.Purpose = "fun" }),
		"another time":       again(func(_ *proof.Message, v *proof.Invocation) { v.IssuedAt, v.Expires = v.IssuedAt-200, v.Expires-200 }),
		"another policy":     again(func(_ *proof.Message, v *proof.Invocation) { d := canon.Hash(nil); v.Policy = &d }),
		"lineage":            again(func(_ *proof.Message, v *proof.Invocation) { v.Lineage = []canon.Digest{canon.Hash(nil)} }),
		"another credential": again(func(m *proof.Message, _ *proof.Invocation) { m.Fields[0][1] = proof.ByteSequence(make([]byte, 32)) }),
		"another's": func(x *decision) []byte {
			y := *x
			y.z = other
			return y.signed(nil)
		},
	} {
		x := record(t, z, 2, refund(t, z, 1))
		x.ev.Proof, x.r.Proof = forge(x), canon.Digest{}
		x.commit()
		if res, err := x.replay(); !errors.Is(err, audit.ErrDiffers) || res.HolderSigned {
			t.Errorf("%s: holder signed %t, %v", name, res.HolderSigned, err)
		}
	}
	x := record(t, z, 2, refund(t, z, 1))
	x.ev.Proof = edit(func(s *proof.Signed) { s.Body = nil })(x) // as if it had been too long
	x.commit()
	if res, err := x.replay(); err != nil || res.HolderSigned {
		t.Errorf("a body that was not kept: holder signed %t, %v", res.HolderSigned, err)
	}
}

// TestReplay recomputes permits and denials, from one block to three.
//
// SPEC AUDIT-1, AUDIT-2
// R26
// R58: with the policy, the receipt and its evidence alone
func TestReplay(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	n := 0
	for blocks := 1; blocks <= 3; blocks++ {
		for _, amount := range []int64{1, 2001, 5001, -1} {
			x := record(t, z, blocks, refund(t, z, amount))
			x.equal(fmt.Sprint(blocks, amount), audit.Recomputed)
			n++
			res, _ := x.replay()
			if !res.HolderSigned || res.Decision.Permit != (x.r.Decision == receipt.Permit) {
				t.Errorf("%d blocks, %d: %+v", blocks, amount, res)
			}
		}
	}
	for name, change := range map[string]func(*policy.Question){
		"expired credential": func(q *policy.Question) { q.At += 3600 }, "purpose": func(q *policy.Question) { q.Purpose = "fun" },
		"group": func(q *policy.Question) { q.Group = "test" }, "level": func(q *policy.Question) { q.Level = op.Channel }, "target": func(q *policy.Question) { q.Target = "bank" },
		"expired policy": func(q *policy.Question) { q.At = z.Policy.Document().Expires },
	} {
		q := refund(t, z, 1)
		change(q)
		x := record(t, z, 2, q)
		if x.r.Kind != receipt.Denial {
			t.Errorf("%s: permitted", name)
		}
		x.equal(name, audit.Recomputed)
		n++
	}
	channel := refund(t, z, 1)
	channel.Action, channel.Operation, channel.Level = "http:GET", z.Operation(t, "GET", "/v1/orders/1", ""), op.Channel
	x := record(t, z, 1, channel)
	if res, err := x.replay(); err != nil || res.HolderSigned {
		t.Errorf("level 2: holder signed %t, %v", res.HolderSigned, err)
	}
	if n < 18 {
		t.Errorf("%d decisions", n)
	}
}

// TestReplayDiffers tampers with what a gate records: each lie is found, though the
// receipt commits to it.
//
// SPEC AUDIT-2, AUDIT-3
// R26
// R58
// guard: replay-permit, replay-denial, replay-quota, receipt-shows-question
func TestReplayDiffers(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	n := 0
	for name, c := range map[string]struct {
		amount int64
		lie    func(*decision)
	}{
		"a denial as a permit":     {5001, func(x *decision) { x.r.Kind, x.r.Decision = receipt.Intent, receipt.Permit }},
		"a permit as a denial":     {1, func(x *decision) { x.r.Kind, x.r.Decision = receipt.Denial, string(op.NotPermitted) }},
		"another code":             {5001, func(x *decision) { x.r.Decision = string(op.Forbidden) }},
		"another rule":             {1, func(x *decision) { x.r.Rules[0][0] = "read-orders" }},
		"no rule":                  {1, func(x *decision) { x.r.Rules[0] = []string{} }},
		"another rule in a denial": {-1, func(x *decision) { x.r.Rules[0][0] = "refund-small" }},
		"a layer less":             {1, func(x *decision) { x.r.Rules = x.r.Rules[:1] }},
		"a layer less in a denial": {5001, func(x *decision) { x.r.Rules = x.r.Rules[:1] }},
		"amount":                   {1, func(x *decision) { x.r.Debits[0].Amount++ }},
		"counter":                  {1, func(x *decision) { x.r.Debits[0].Key[0] ^= 1 }},
		"name of a counter":        {1, func(x *decision) { x.r.Debits[0].ID = "other" }},
		"a debit less":             {1, func(x *decision) { x.r.Debits = x.r.Debits[1:] }},
		"debits in another order":  {1, func(x *decision) { d := x.r.Debits; d[0], d[1] = d[1], d[0] }},
		"purpose in the context":   {1, func(x *decision) { x.c.Purpose = "lookup" }},
		"purpose in the receipt":   {1, func(x *decision) { x.r.Purpose = "lookup" }},
		"purpose in both":          {1, func(x *decision) { x.c.Purpose, x.r.Purpose = "lookup", "lookup" }},
		"action":                   {1, func(x *decision) { x.r.Action = "http:GET" }},
		"target":                   {1, func(x *decision) { x.r.Target = "bank" }},
		"level":                    {1, func(x *decision) { x.r.Level = op.Person }},
		"subject":                  {1, func(x *decision) { x.r.Subject = "person/ana" }},
		"alias":                    {1, func(x *decision) { x.r.Alias = "payments/orders" }},
		"root":                     {1, func(x *decision) { x.r.Root[0] ^= 1 }},
		"a block less":             {1, func(x *decision) { x.r.Blocks = x.r.Blocks[:2] }},
		"time of the receipt":      {1, func(x *decision) { x.r.TimeMS += 61_000 }},
		"receipt before decision":  {1, func(x *decision) { x.r.TimeMS -= 61_000 }},
		"time in the context":      {1, func(x *decision) { x.c.At += 100 }},
		"group":                    {1, func(x *decision) { x.c.Group = "test" }},
		"an older time in both":    {1, func(x *decision) { x.c.At -= 1000; x.r.TimeMS -= 1000_000 }},
		"a weaker credential":      {2001, func(x *decision) { x.r.Kind, x.r.Decision = receipt.Intent, receipt.Permit }},
		"another operation": {1, func(x *decision) {
			x.ev.SetOperation(z.Operation(t, "POST", "/v1/refunds", `{"order":"8831","amount":4000}`))
		}},
		"no room, though there was":    {1, func(x *decision) { quota(x, "amount-day", 100) }},
		"no room in what is not taken": {1, func(x *decision) { quota(x, "other", 500000) }},
		"no room for what is denied":   {5001, func(x *decision) { quota(x, "amount-day", 500000) }},
		"a quota without its counter":  {1, func(x *decision) { quota(x, "", 0) }},
	} {
		x := record(t, z, 3, refund(t, z, c.amount))
		x.equal(name, audit.Recomputed)
		c.lie(x)
		if _, err := x.commit().replay(); !errors.Is(err, audit.ErrDiffers) || !errors.Is(err, audit.ErrAudit) {
			t.Errorf("%s: %v", name, err)
		}
		n++
	}
	if n < 30 {
		t.Errorf("%d lies", n)
	}
}

// quota turns a decision into a denial by the counter.
func quota(x *decision, id string, used int64) {
	x.r.Kind, x.r.Decision, x.r.Debits = receipt.Denial, string(op.QuotaExceeded), nil
	x.c.Exhausted, x.c.Used = id, used
}

// TestReplayQuota recomputes denials by quota: from the counter that had no room,
// or from the operation alone.
//
// SPEC AUDIT-1
// R26
func TestReplayQuota(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	for used, counted := range map[int64]bool{499_900: true, 500_000: true, 1 << 62: true, 499_899: false, 0: false} {
		x := record(t, z, 1, refund(t, z, 101))
		quota(x, "amount-day", used)
		res, err := x.commit().replay()
		if (err == nil) != counted || res.Grade != audit.Counted {
			t.Errorf("used %d: grade %d, %v", used, res.Grade, err)
		}
	}
	unknown := testkit.NewZoneWith(t, testkit.Config{Policy: func(d *policy.Document) { d.Quotas = nil }})
	x := record(t, unknown, 3, refund(t, unknown, 1)) // its block limits a quota that there is not
	if x.r.Decision != string(op.QuotaExceeded) {
		t.Errorf("decided %s", x.r.Decision)
	}
	x.equal("by the operation alone", audit.Recomputed)
}

// TestReplayEvidence refuses evidence, policies and receipts that are not those of
// the decision.
//
// SPEC AUDIT-3
// R58
// R23
// guard: evidence-committed, replay-policy
func TestReplayEvidence(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	for name, tamper := range map[string]func(*decision){
		"context":      func(x *decision) { x.ev.Context[len(x.ev.Context)-1] ^= 1 },
		"operation":    func(x *decision) { x.ev.Operation.Asked[5] ^= 1 },
		"facts":        func(x *decision) { x.ev.Operation.Found[5] ^= 1 },
		"proof":        func(x *decision) { x.ev.Proof[0] ^= 1 },
		"key":          func(x *decision) { x.ev.Key[0] ^= 1 },
		"no context":   func(x *decision) { x.ev.Context = nil },
		"no operation": func(x *decision) { x.ev.Operation = nil },
		"commitment":   func(x *decision) { x.r.Context[0] ^= 1 },
		"another's":    func(x *decision) { x.ev = record(x.t, x.z, 3, refund(x.t, x.z, 2)).ev },
	} {
		x := record(t, z, 3, refund(t, z, 1))
		tamper(x)
		if _, err := x.replay(); !errors.Is(err, receipt.ErrEvidence) || !errors.Is(err, audit.ErrAudit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	x := record(t, z, 1, refund(t, z, 1))
	next := z.Successor(t, z.Policy, nil)
	for name, p := range map[string]*policy.Verified{
		"successor": next, "none": nil, "zero": new(policy.Verified),
		"twin": z.Twin(t, func(d *policy.Document) { d.Expires++ }),
	} {
		if _, err := audit.Replay(x.r, x.ev, p, z.Root); !errors.Is(err, audit.ErrAudit) {
			t.Errorf("under %s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"no receipt":  second(audit.Replay(nil, x.ev, z.Policy, z.Root)),
		"no evidence": second(audit.Replay(x.r, nil, z.Policy, z.Root)),
		"no root":     second(audit.Replay(x.r, x.ev, z.Policy, nil)),
		"an outcome":  second(audit.Replay(&receipt.Receipt{Kind: receipt.Outcome}, x.ev, z.Policy, z.Root)),
	} {
		if !errors.Is(err, audit.ErrAudit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	garbled := record(t, z, 1, refund(t, z, 1))
	garbled.c.Credential = garbled.c.Credential[1:]
	if _, err := garbled.commit().replay(); !errors.Is(err, audit.ErrAudit) {
		t.Errorf("a credential that is none: %v", err)
	}
	garbled = record(t, z, 1, refund(t, z, 1))
	garbled.c.Typ = "writ-context/2"
	if _, err := garbled.commit().replay(); !errors.Is(err, permit.ErrPermit) {
		t.Errorf("a context of another type: %v", err)
	}
}

func second(_ audit.Result, err error) error { return err }

// TestGateWord marks what cannot be recomputed as the gate's word.
//
// SPEC AUDIT-1
// guard: permit-recomputable
// A32: the verifier says what hangs on the gate
func TestGateWord(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	for _, code := range []op.Code{op.Replayed, op.Revoked, op.PolicyStale, op.IdemDone, op.StateUnavailable, op.SecretUnavailable, op.TargetRefused, op.PolicyChanged} {
		x := record(t, z, 1, refund(t, z, 1))
		x.r.Kind, x.r.Decision = receipt.Denial, string(code)
		x.commit().equal(string(code), audit.GateWord)
	}
	x := record(t, z, 1, refund(t, z, 1))
	x.r.Kind, x.r.Decision = receipt.Denial, string(op.OperationInvalid)
	x.r.Operation, x.ev.Operation = canon.Digest{}, nil
	x.commit().equal("an operation that could not be mapped", audit.GateWord)
	x = record(t, z, 1, refund(t, z, 1))
	x.r.Context, x.ev.Context = canon.Digest{}, nil
	if _, err := x.replay(); !errors.Is(err, audit.ErrDiffers) {
		t.Errorf("a permit on the gate's word: %v", err)
	}
}
