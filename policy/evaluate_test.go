package policy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

// TestPolicyDecides asks the usual policy what it permits and what not: the same
// holder, with valid proof, at the same gate.
//
// SPEC POLICY-8, POLICY-9
// R3
// R4: a fresh identity without authority for the operation
// R7
// R9
// R10: the regulatory rule that a decision serves is named
// guard: operation-declared, policy-purpose, policy-pop, view-declared, view-agrees
func TestPolicyDecides(t *testing.T) {
	t.Parallel()
	z := zoneOfRules(t, testkit.Rules+`@id("residency") @control("gdpr-44") forbid (principal, action, resource) when { context.gate.region != context.target.region };
@id("hours") @control("sox-1") forbid (principal, action, resource) when { context.time.hour >= 22 };`)
	permitted(t, "read", z.Policy.Evaluate(order(t, z), nil), "read-orders")
	permitted(t, "refund", z.Policy.Evaluate(refund(t, z, 5000), nil), "refund-small")
	r := z.Policy.Evaluate(refund(t, z, 5000), nil)
	if fmt.Sprint(r.Layers[0].Controls) != "[psp-7.2]" {
		t.Errorf("controls %v", r.Layers[0].Controls)
	}
	get := func(path string) *op.Operation { return z.Operation(t, "GET", path, "") }
	for _, c := range []struct {
		name string
		ask  func() *policy.Question
		code op.Code
	}{
		{"too much", func() *policy.Question { return refund(t, z, 5001) }, op.NotPermitted},
		{"negative", func() *policy.Question { return refund(t, z, -1) }, op.Forbidden},
		{"another path", func() *policy.Question { q := order(t, z); q.Operation = get("/v1/customers/1"); return q }, op.NotPermitted},
		{"read of what may be written", func() *policy.Question { q := order(t, z); q.Operation = get("/v1/refunds"); return q }, op.NotPermitted},
		{"a write as a read", func() *policy.Question { q := refund(t, z, 1); q.Action = "http:GET"; return q }, op.NotDeclared},
		{"a read as a write", func() *policy.Question { q := order(t, z); q.Action, q.Purpose = "http:POST", "refund"; return q }, op.NotDeclared},
		{"undeclared action", func() *policy.Question { q := order(t, z); q.Action = "http:DELETE"; return q }, op.NotDeclared},
		{"no action", func() *policy.Question { q := order(t, z); q.Action = ""; return q }, op.NotDeclared},
		{"undeclared target", func() *policy.Question { q := order(t, z); q.Target = "bank"; return q }, op.NotDeclared},
		{"no purpose", func() *policy.Question { q := refund(t, z, 1); q.Purpose = ""; return q }, op.PurposeInvalid},
		{"unlisted purpose", func() *policy.Question { q := refund(t, z, 1); q.Purpose = "fun"; return q }, op.PurposeInvalid},
		{"purpose in other case", func() *policy.Question { q := refund(t, z, 1); q.Purpose = "Refund"; return q }, op.PurposeInvalid},
		{"another listed purpose", func() *policy.Question { q := refund(t, z, 1); q.Purpose = "lookup"; return q }, op.NotPermitted},
		{"weaker proof", func() *policy.Question { q := refund(t, z, 1); q.Level = op.Channel; return q }, op.ProofInsufficient},
		{"weaker proof by default", func() *policy.Question { q := order(t, z); q.Level = op.Presentation; return q }, op.ProofInsufficient},
		{"a bearer", func() *policy.Question { q := order(t, z); q.Level = op.Bearer; return q }, op.ProofInsufficient},
		{"another region", func() *policy.Question { q := order(t, z); q.Region = "us"; return q }, op.Forbidden},
		{"at night", func() *policy.Question { q := order(t, z); q.At = testkit.Now + 11*3600; return q }, op.Forbidden},
		{"no operation", func() *policy.Question { q := order(t, z); q.Operation = nil; return q }, op.OperationInvalid},
		{"no question", func() *policy.Question { return nil }, op.OperationInvalid},
		{"another type", func() *policy.Question {
			q := order(t, z)
			o := *q.Operation
			o.Type = "http/2"
			q.Operation = &o
			return q
		}, op.NotDeclared},
		{"no document", func() *policy.Question { q := order(t, z); q.Operation = &op.Operation{Type: "http/1"}; return q }, op.NotDeclared},
	} {
		denied(t, c.name, z.Policy.Evaluate(c.ask(), nil), c.code)
	}
	q := order(t, z)
	q.Region = "us"
	if d := z.Policy.Evaluate(q, nil).Denial; d.Rule != "residency" || d.Control != "gdpr-44" {
		t.Errorf("denied by %q for %q", d.Rule, d.Control)
	}
	z = zoneOfRules(t, testkit.Rules+`@id("b") @control("a-1") forbid (principal, action, resource);
@id("a") @control("b-1") forbid (principal, action, resource);`)
	if d := z.Policy.Evaluate(order(t, z), nil).Denial; d.Rule != "a" || d.Control != "b-1" {
		t.Errorf("of two, denied by %q for %q: the control is not the rule's", d.Rule, d.Control)
	}
}

// TestDocumentDecides sees that the document decides what is done, and not what
// the gateway says of it: two actions under one declaration, two targets.
//
// SPEC POLICY-8
// guard: view-agrees
func TestDocumentDecides(t *testing.T) {
	t.Parallel()
	z := zoneWith(t, func(d *policy.Document) {
		d.Rules = `@id("heads") permit (principal, action == Action::"http:HEAD", resource);
@id("shop") permit (principal, action == Action::"http:GET", resource in Target::"bank");`
		other := d.Targets[0]
		other.ID, other.Origin = "bank", "https://bank.example"
		d.Targets = append(d.Targets, other)
		d.Operations[0].Actions = []string{"http:GET", "http:HEAD"}
		d.Operations[0].Targets = []string{testkit.Target, "bank"}
	})
	q := question(z, z.Operation(t, "HEAD", "/v1/orders/1", ""), "HEAD", "lookup")
	permitted(t, "as it is", z.Policy.Evaluate(q, nil), "heads")
	q.Operation = z.Operation(t, "GET", "/v1/orders/1", "")
	denied(t, "another action", z.Policy.Evaluate(q, nil), op.OperationInvalid)
	q.Action, q.Target = "http:GET", "bank"
	denied(t, "another target", z.Policy.Evaluate(q, nil), op.OperationInvalid)
}

// TestPolicyValidity asks at the edges of the time that a policy is valid.
//
// SPEC POLICY-8
// R27
// guard: policy-validity
func TestPolicyValidity(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	d := z.Policy.Document()
	for at, ok := range map[int64]bool{d.NotBefore: true, d.Expires - 1: true, d.NotBefore - 1: false, d.Expires: false, 0: false, -1: false, 1 << 60: false} {
		q := order(t, z)
		q.At = at
		if r := z.Policy.Evaluate(q, nil); ok {
			permitted(t, fmt.Sprint(at), r)
		} else {
			denied(t, fmt.Sprint(at), r, op.PolicyExpired)
		}
	}
}

// TestNothingPermitsNothing asks policies that are none.
//
// SPEC POLICY-9
// R19
// R11: the zero value of whatever decides says no
// guard: zero-policy-denies, nil-rules-deny
func TestNothingPermitsNothing(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	q := order(t, z)
	denied(t, "nil", (*policy.Verified)(nil).Evaluate(q, nil), op.PolicyUnknown)
	denied(t, "zero", new(policy.Verified).Evaluate(q, nil), op.PolicyUnknown)
	denied(t, "not verified", policy.UnverifiedBytes(z.Envelope.Payload, z.Root.Zone()).Evaluate(q, nil), op.PolicyUnknown)
	denied(t, "zero rules", z.Policy.Evaluate(q, []*policy.Rules{{}}), op.NotPermitted)
	denied(t, "nil rules", z.Policy.Evaluate(q, []*policy.Rules{nil}), op.NotPermitted)
	if (policy.Ruling{}).Permit || (policy.Layer{}).Permit {
		t.Error("a zero value says yes")
	}
	only := zoneOfRules(t, `@id("a") forbid (principal, action, resource) when { context.pop < 0 };`)
	denied(t, "a policy of forbids alone", only.Policy.Evaluate(order(t, only), nil), op.NotPermitted)
}

// TestBlocksOnlyNarrow ANDs the policy and each block: a block's permits give
// nothing that the policy does not, and a parent's forbid binds its children.
//
// SPEC POLICY-9
// R40
// R6: over three blocks
// A20: a block without permits is open, a policy is not
// guard: every-layer-permits, override-inert
func TestBlocksOnlyNarrow(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	small := block(t, `@id("small") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > 2000 };`)
	all := block(t, `@id("all") `+anything)
	reads := block(t, `@id("reads") permit (principal, action == Action::"http:GET", resource);`)
	inert := block(t, `@id("inert") @tier("override") `+anything)
	for _, c := range []struct {
		name   string
		q      *policy.Question
		blocks []*policy.Rules
		code   op.Code
	}{
		{"small", refund(t, z, 2000), []*policy.Rules{small}, ""},
		{"too large for the block", refund(t, z, 2001), []*policy.Rules{small}, op.Forbidden},
		{"a child lifts nothing", refund(t, z, 2001), []*policy.Rules{small, all}, op.Forbidden},
		{"nor its order", refund(t, z, 2001), []*policy.Rules{all, small}, op.Forbidden},
		{"nor three", refund(t, z, 2001), []*policy.Rules{all, small, all}, op.Forbidden},
		{"a block's permit is not the policy's", refund(t, z, 5001), []*policy.Rules{all}, op.NotPermitted},
		{"a block permits some", order(t, z), []*policy.Rules{reads}, ""},
		{"and not the rest", refund(t, z, 1), []*policy.Rules{reads}, op.NotPermitted},
		{"a forbid of another action", order(t, z), []*policy.Rules{small}, ""},
		{"override in a block", order(t, z), []*policy.Rules{inert}, op.NotPermitted},
	} {
		r := z.Policy.Evaluate(c.q, c.blocks)
		if c.code == "" {
			permitted(t, c.name, r)
		} else {
			denied(t, c.name, r, c.code)
		}
		if len(r.Layers) != len(c.blocks)+1 {
			t.Errorf("%s: %d layers", c.name, len(r.Layers))
		}
	}
	override := zoneOfRules(t, testkit.Rules+`@id("break-glass") @tier("override") `+anything)
	denied(t, "override in the policy", override.Policy.Evaluate(refund(t, override, 5001), nil), op.NotPermitted)
}

// TestErrorsDeny makes rules that cannot be evaluated: Cedar would skip them, and
// a skipped forbid permits.
//
// SPEC POLICY-10
// R11
// guard: rule-error-denies
func TestErrorsDeny(t *testing.T) {
	t.Parallel()
	const most = "9223372036854775807"
	for name, when := range map[string]string{
		"addition":       `context.body.amount + ` + most + ` > 0`,
		"subtraction":    `-` + most + ` - context.body.amount > 0`,
		"multiplication": `context.body.amount * ` + most + ` > 0`,
		"negation":       `-(context.body.amount * -4611686018427387904 ) > 0 || -(-` + most + ` - 1) > 0`,
		"decimal":        `decimal(context.body.order) == decimal("1.0")`,
		"address":        `ip(context.body.order).isLoopback()`,
		"other entity":   `Target::"other".region == "eu"`,
	} {
		for _, effect := range []string{"forbid", "permit"} {
			rule := `@id("errs") ` + effect + ` (principal, action == Action::"http:POST", resource) when { ` + when + ` };`
			z := zoneOfRules(t, testkit.Rules)
			if err := z.Policy.CheckRules(block(t, rule)); err != nil {
				continue // refused before it can err: as good
			}
			errs := zoneOfRules(t, testkit.Rules+rule)
			r := errs.Policy.Evaluate(refund(t, errs, 2), nil)
			denied(t, name, r, op.RuleError)
			if r.Denial != nil && r.Denial.Rule != "errs" {
				t.Errorf("%s: rule %s", name, r.Denial.Rule)
			}
			denied(t, name+" in a block", z.Policy.Evaluate(refund(t, z, 2), []*policy.Rules{block(t, rule)}), op.RuleError)
			permitted(t, name+" for another action", errs.Policy.Evaluate(order(t, errs), nil))
		}
	}
}

// TestLongPath shows rules a long path, which is bounded before it gets here.
//
// SPEC POLICY-10
// A18
func TestLongPath(t *testing.T) {
	t.Parallel()
	z := zoneOfRules(t, testkit.Rules+`@id("slow") forbid (principal, action, resource) when { resource.path like "*a*a*a*a*a*a*a*a*b" };`)
	permitted(t, "a long path", z.Policy.Evaluate(question(z, z.Operation(t, "GET", "/v1/orders/"+strings.Repeat("a", 1000), ""), "GET", "lookup"), nil))
}

// TestFreeTextDecidesNothing changes what is free text in a request: the salt, and
// a member that no rule reads.
//
// R9: two operations that differ only in free text
func TestFreeTextDecidesNothing(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	want := answer(t, z.Policy.Evaluate(refund(t, z, 5000), nil), nil)
	for _, order := range []string{"", "8832", "please permit this", `@id(\"x\") permit`, strings.Repeat("x", 4096)} {
		o := z.Operation(t, "POST", "/v1/refunds", `{"order":"`+order+`","amount":5000}`)
		if got := answer(t, z.Policy.Evaluate(question(z, o, "POST", "refund"), nil), nil); got != want {
			t.Errorf("%.20q: %s", order, got)
		}
	}
}

// answer returns all of a decision as text.
func answer(t testing.TB, r policy.Ruling, o *op.Operation) string {
	t.Helper()
	r.View = nil // shown by its digest
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if o != nil {
		b = append(b, o.Digest().String()...)
	}
	return string(b)
}

// decisions returns a function that makes many decisions of many kinds, one a
// line.
func decisions(t testing.TB) func() []byte {
	z, blocks, q := busy(t)
	blocks = append(blocks, block(t, `@id("e") forbid (principal, action == Action::"http:GET", resource) when { context.pop * 9223372036854775807 > 0 };
@id("f") forbid (principal, action == Action::"http:GET", resource) when { context.time.unix * 9223372036854775807 > 0 };`))
	questions := []*policy.Question{q, refund(t, z, 1), refund(t, z, 3500), refund(t, z, 4500), refund(t, z, 5001), refund(t, z, -1), order(t, z), nil}
	return func() []byte { return decide(t, z, questions, blocks) }
}

func decide(t testing.TB, z *testkit.Zone, questions []*policy.Question, blocks []*policy.Rules) []byte {
	var b bytes.Buffer
	for _, q := range questions {
		r := z.Policy.Evaluate(q, blocks)
		var o *op.Operation
		if q != nil {
			o = q.Operation
		}
		fmt.Fprintf(&b, "%s %s\n", answer(t, r, o), z.Policy.ID())
		if r.Permit {
			debits, d := z.Policy.Debits(q, r.View, policy.Scope{Root: []byte("root"), Subject: q.Subject})
			fmt.Fprintf(&b, "%+v %v\n", debits, d)
		}
	}
	return b.Bytes()
}

const childEnv = "WRIT_POLICY_DECISIONS"

// TestDecisionIsDeterministic decides 1,000 times here, from several goroutines,
// and in a second process.
//
// SPEC POLICY-9
// R12
func TestDecisionIsDeterministic(t *testing.T) {
	t.Parallel()
	want := decisions(t)()
	if os.Getenv(childEnv) != "" {
		fmt.Printf("decisions %s\n", canon.Hash(want))
		return
	}
	if n := bytes.Count(want, []byte("\n")); n < 9 {
		t.Fatalf("%d decisions", n)
	}
	var wg sync.WaitGroup
	for range 4 {
		again := decisions(t)
		wg.Go(func() {
			for range 250 {
				if got := again(); !bytes.Equal(got, want) {
					t.Errorf("decided otherwise:\n%s\n%s", got, want)
					return
				}
			}
		})
	}
	wg.Wait()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDecisionIsDeterministic$")
	cmd.Env = append(os.Environ(), childEnv+"=1", "GODEBUG=randautoseed=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("decisions "+canon.Hash(want).String())) {
		t.Errorf("another process: %v: %s", err, out)
	}
}
