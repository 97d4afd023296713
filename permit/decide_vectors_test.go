package permit_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
)

const decideFile = "../vectors/permit/decide.json"

// A decideVector is a question as a receipt commits to it, and the answer under a
// policy of the file.
type decideVector struct {
	Name     string  `json:"name"`
	Policy   string  `json:"policy"`
	Verified *lawV   `json:"verified_under,omitempty"` // what the credential was verified under, if that is something else
	Context  string  `json:"context"`                  // hexadecimal
	Type     string  `json:"operation_type"`
	Asked    string  `json:"asked"` // hexadecimal
	Found    string  `json:"found"` // hexadecimal
	Answer   answerV `json:"answer"`
}

// A lawV is what stands above a credential, in envelopes.
type lawV struct {
	Root   string `json:"root"`
	Policy string `json:"policy"`
}

type answerV struct {
	Decision string     `json:"decision"`           // permit, or a code
	Rule     string     `json:"rule,omitempty"`     // of a denial
	Control  string     `json:"control,omitempty"`  // likewise
	Rules    [][]string `json:"rules,omitempty"`    // that decided: of the policy, then of each block with rules
	Controls [][]string `json:"controls,omitempty"` // likewise
	Secret   string     `json:"secret,omitempty"`
	Debits   []debitV   `json:"debits,omitempty"`
}

type debitV struct {
	Key   string `json:"key"`
	ID    string `json:"id"`
	N     int64  `json:"n,string"`
	Limit int64  `json:"limit,string"`
	Until int64  `json:"until,omitempty"`
	Hard  bool   `json:"hard,omitempty"`
}

type decideVectors struct {
	Format   string            `json:"format"`
	Root     string            `json:"root"`     // envelope
	Policies map[string]string `json:"policies"` // envelopes by the names that cases give them
	Cases    []decideVector    `json:"cases"`
}

// decide answers v, which is of f.
func (f *decideVectors) decide(t testing.TB, v *decideVector) answerV {
	t.Helper()
	root, p := testkit.VerifyPolicy(t, f.Root, f.Policies[v.Policy])
	under := p
	if v.Verified != nil {
		root, under = testkit.VerifyPolicy(t, v.Verified.Root, v.Verified.Policy)
	}
	c, err := permit.ParseContext(testkit.Unhex(t, v.Context))
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	chain, err := credential.Parse(c.Credential)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	verified, err := chain.Verify(under, root)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	o := &op.Operation{Type: v.Type, Asked: testkit.Unhex(t, v.Asked), Found: testkit.Unhex(t, v.Found)}
	return answerOf(permit.Decide(p, verified, c.Question(chain, o)))
}

func answerOf(d permit.Decision) answerV {
	a := answerV{Decision: "permit", Secret: d.Secret}
	if !d.Permit {
		a.Decision, a.Rule, a.Control = string(d.Denial.Code), d.Denial.Rule, d.Denial.Control
	}
	for _, l := range d.Ruling.Layers {
		a.Rules, a.Controls = append(a.Rules, append([]string{}, l.Rules...)), append(a.Controls, append([]string{}, l.Controls...))
	}
	for _, x := range d.Debits {
		a.Debits = append(a.Debits, debitV{x.Key.String(), x.ID, x.N, x.Limit, x.Until, x.Hard})
	}
	return a
}

// A ground is a policy to ask questions under.
type ground struct {
	*testkit.Zone
	name string
}

// under returns the usual zone with a changed policy, which gets the name.
func under(t testing.TB, name string, change func(*policy.Document)) ground {
	t.Helper()
	return ground{testkit.NewZoneWith(t, testkit.Config{Policy: change}), name}
}

// law returns what stands above g's credentials.
func (g ground) law(t testing.TB) *lawV {
	t.Helper()
	return &lawV{testkit.EnvelopeText(t, g.RootEnvelope), testkit.EnvelopeText(t, g.Envelope)}
}

// grant returns a credential of the usual grant, changed, and of the blocks that
// each of the others makes.
func (g ground) grant(t testing.TB, change func(*credential.Grant), blocks ...func(*credential.Terms)) *credential.Chain {
	t.Helper()
	grant := g.Grant()
	if change != nil {
		change(&grant)
	}
	c, err := credential.Issue(grant, g.Key("iris"))
	if err != nil {
		t.Fatal(err)
	}
	for i, narrow := range blocks {
		terms := c.Last()
		terms.Holder = credential.NewHolderKey(g.Holder(i + 1).Public())
		narrow(&terms)
		if c, err = c.Narrow(g.Holder(i), "", terms); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// ruled sets the rules of a block.
func ruled(text string) func(*credential.Terms) {
	return func(t *credential.Terms) {
		l := testkit.Language()
		t.Language, t.Rules = &l, text
	}
}

// An inquiry is a case before it is written down.
type inquiry struct {
	name, want string // a decision and, of a denial by a rule, a space and its id
	ground     ground
	chain      *credential.Chain
	question   *policy.Question
	verified   *lawV
}

func (n inquiry) vector(t testing.TB, f *decideVectors) decideVector {
	t.Helper()
	c, err := permit.NewContext(n.chain, n.question).Encode()
	if err != nil {
		t.Fatal(err)
	}
	o := n.question.Operation
	v := decideVector{
		Name: n.name, Policy: n.ground.name, Verified: n.verified, Context: hex.EncodeToString(c),
		Type: o.Type, Asked: hex.EncodeToString(o.Asked), Found: hex.EncodeToString(o.Found),
	}
	f.Policies[v.Policy] = testkit.EnvelopeText(t, n.ground.Envelope)
	v.Answer = f.decide(t, &v)
	if got := strings.TrimSpace(v.Answer.Decision + " " + v.Answer.Rule); got != n.want {
		t.Errorf("%s: %s, want %s", n.name, got, n.want)
	}
	return v
}

func decideCases(t *testing.T) decideVectors {
	g := under(t, "usual", nil)
	f := decideVectors{Format: "decisions", Root: testkit.EnvelopeText(t, g.RootEnvelope), Policies: map[string]string{}}
	for _, group := range [][]inquiry{permits(t, g), terms(t, g), fields(t, g), rules(t, g), counters(t, g), lines(t, g)} {
		for _, n := range group {
			f.Cases = append(f.Cases, n.vector(t, &f))
		}
	}
	return f
}

// changed returns q after the change.
func changed(q *policy.Question, change func(*policy.Question)) *policy.Question {
	change(q)
	return q
}

func permits(t testing.TB, g ground) []inquiry {
	one := g.grant(t, nil)
	free := under(t, "no secret", func(d *policy.Document) { d.Targets[0].Secret, d.Targets[0].Inject = "", policy.Inject{How: "none"} })
	return []inquiry{
		{name: "refund", want: "permit", ground: g, chain: one, question: refund(t, g.Zone, 5000)},
		{name: "read", want: "permit", ground: g, chain: one, question: order(t, g.Zone)},
		{name: "two blocks", want: "permit", ground: g, chain: g.Credential(t, 2), question: refund(t, g.Zone, 2000)},
		{name: "three blocks", want: "permit", ground: g, chain: g.Credential(t, 3), question: refund(t, g.Zone, 2000)},
		{name: "four blocks", want: "permit", ground: g, chain: g.Credential(t, 4), question: refund(t, g.Zone, 2000)},
		{name: "first second", want: "permit", ground: g, chain: one, question: changed(order(t, g.Zone), func(q *policy.Question) { q.At -= 60 })},
		{name: "last second", want: "permit", ground: g, chain: one, question: changed(order(t, g.Zone), func(q *policy.Question) { q.At += 3599 })},
		{name: "no secret", want: "permit", ground: free, chain: free.grant(t, nil), question: order(t, free.Zone)},
	}
}

// terms are questions that the credential's blocks do not admit.
func terms(t testing.TB, g ground) []inquiry {
	var all []inquiry
	add := func(name, want string, c *credential.Chain, change func(*policy.Question)) {
		all = append(all, inquiry{name: name, want: want, ground: g, chain: c, question: changed(order(t, g.Zone), change)})
	}
	same := func(*policy.Question) {}
	at := func(s int64) func(*policy.Question) { return func(q *policy.Question) { q.At += s } }
	one := g.grant(t, nil)
	add("expired", "credential_invalid", one, at(3600))
	add("not yet valid", "credential_invalid", one, at(-61))
	add("a block expired", "credential_invalid", g.grant(t, nil, func(t *credential.Terms) { t.Expires -= 3000 }), at(600))
	add("a block not yet valid", "credential_invalid", g.grant(t, nil, func(t *credential.Terms) { t.NotBefore += 120 }), same)
	add("another group", "credential_invalid", one, func(q *policy.Question) { q.Group = "dev" })
	add("no group", "credential_invalid", g.grant(t, func(g *credential.Grant) { g.Audience = testkit.List() }), same)
	add("a group that a block gave up", "credential_invalid", g.grant(t, func(g *credential.Grant) { g.Audience = testkit.List("prod", "dev") },
		func(t *credential.Terms) { t.Audience = testkit.List("dev") }), same)
	add("purpose not of the credential", "purpose_invalid", one, func(q *policy.Question) { q.Purpose = "lookup" })
	add("no purpose", "purpose_invalid", one, func(q *policy.Question) { q.Purpose = "" })
	add("a purpose that a block gave up", "purpose_invalid", g.grant(t, nil, func(t *credential.Terms) { t.Purposes = testkit.List() }), same)
	add("another secret", "not_permitted", g.grant(t, func(g *credential.Grant) { g.Secrets = testkit.List("other") }), same)
	add("weaker proof than the grant takes", "pop_insufficient", g.grant(t, func(g *credential.Grant) { g.Pop = op.Person }), same)
	add("weaker proof than a block takes", "pop_insufficient", g.grant(t, nil, func(t *credential.Terms) { t.Pop = op.Person }), same)
	add("expired, for another purpose", "credential_invalid", one, func(q *policy.Question) { q.At, q.Purpose = q.At+3600, "lookup" })
	add("another target, expired", "not_declared", one, func(q *policy.Question) { q.At, q.Target = q.At+3600, "bank" })
	add("another action, expired", "credential_invalid", one, func(q *policy.Question) { q.At, q.Action = q.At+3600, "http:PUT" })
	return all
}

// fields are questions that the policy does not declare, or whose operation is not
// what they say.
func fields(t testing.TB, g ground) []inquiry {
	var all []inquiry
	open := g.grant(t, func(g *credential.Grant) { g.Purposes = nil })
	add := func(name, want string, q *policy.Question, change func(*policy.Question)) {
		all = append(all, inquiry{name: name, want: want, ground: g, chain: open, question: changed(q, change)})
	}
	add("another target", "not_declared", order(t, g.Zone), func(q *policy.Question) { q.Target = "bank" })
	add("another action", "not_declared", order(t, g.Zone), func(q *policy.Question) { q.Action = "http:DELETE" })
	add("purpose not of the policy", "purpose_invalid", order(t, g.Zone), func(q *policy.Question) { q.Purpose = "fun" })
	add("no purpose where there are some", "purpose_invalid", order(t, g.Zone), func(q *policy.Question) { q.Purpose = "" })
	add("weaker proof than the action takes", "pop_insufficient", refund(t, g.Zone, 1), func(q *policy.Question) { q.Level = op.Channel })
	add("weaker proof than any takes", "pop_insufficient", order(t, g.Zone), func(q *policy.Question) { q.Level = op.Presentation })
	operation := func(name, want string, change func(*op.Operation)) {
		add(name, want, refund(t, g.Zone, 12345), func(q *policy.Question) {
			o := &op.Operation{Type: q.Operation.Type, Asked: bytes.Clone(q.Operation.Asked), Found: bytes.Clone(q.Operation.Found)}
			change(o)
			q.Operation = o
		})
	}
	swap := func(old, new string) func(*op.Operation) {
		return func(o *op.Operation) {
			b := bytes.Replace(o.Asked, []byte(old), []byte(new), 1)
			if bytes.Equal(b, o.Asked) {
				t.Fatalf("%s is not there", old)
			}
			o.Asked = b
		}
	}
	operation("operation of another action", "not_declared", func(o *op.Operation) { *o = *order(t, g.Zone).Operation })
	operation("operation of another type", "not_declared", func(o *op.Operation) { o.Type = "release/1" })
	operation("operation on another target", "not_declared", swap("\x64shop", "\x64shap"))
	operation("operation cut short", "not_declared", func(o *op.Operation) { o.Asked = o.Asked[:len(o.Asked)-1] })
	operation("nothing asked", "not_declared", func(o *op.Operation) { o.Asked = nil })
	operation("nothing found", "not_declared", func(o *op.Operation) { o.Found = nil })
	operation("a member that is not declared", "not_declared", swap(`"amount"`, `"amounT"`))
	operation("text for a number", "not_declared", swap(`12345`, `"123"`))
	operation("a number in another form", "not_declared", swap(`12345`, `123.0`))
	big := refund(t, g.Zone, math.MaxInt64)
	big.Operation = &op.Operation{Type: big.Operation.Type, Asked: bytes.Replace(big.Operation.Asked, []byte("775807"), []byte("775808"), 1), Found: big.Operation.Found}
	add("a number beyond 64 bits", "not_declared", big, func(*policy.Question) {})
	both := under(t, "two targets", func(d *policy.Document) {
		d.Operations[0].Actions, d.Operations[0].Targets = []string{"http:GET", "http:HEAD"}, []string{testkit.Target, "bank"}
		d.Targets = append(d.Targets, d.Targets[0])
		d.Targets[1].ID = "bank"
	})
	all = append(all,
		inquiry{name: "operation of another action that is declared", want: "operation_invalid", ground: both, chain: both.grant(t, nil),
			question: changed(order(t, both.Zone), func(q *policy.Question) { q.Action = "http:HEAD" })},
		inquiry{name: "operation on another target that is declared", want: "operation_invalid", ground: both, chain: both.grant(t, nil),
			question: changed(order(t, both.Zone), func(q *policy.Question) { q.Target = "bank" })})
	d := g.Policy.Document()
	for _, c := range []struct {
		name string
		at   int64
	}{{"policy expired", d.Expires}, {"policy not yet valid", d.NotBefore - 1}} {
		wide := g.grant(t, func(g *credential.Grant) { g.NotBefore, g.Expires = c.at-60, c.at+60 })
		all = append(all, inquiry{name: c.name, want: "policy_expired", ground: g, chain: wide, question: changed(refund(t, g.Zone, 1), func(q *policy.Question) { q.At = c.at })})
	}
	return all
}

// rules are questions that rules answer: of the policy, and of blocks.
func rules(t testing.TB, g ground) []inquiry {
	strict := under(t, "strict", func(d *policy.Document) { d.Rules = strictRules })
	var all []inquiry
	add := func(on ground, name, want string, a func(*inquiry)) {
		n := inquiry{name: name, want: want, ground: on, chain: on.grant(t, nil), question: order(t, on.Zone)}
		a(&n)
		all = append(all, n)
	}
	amount := func(n int64) func(*inquiry) {
		return func(q *inquiry) { q.question = refund(t, q.ground.Zone, n) }
	}
	add(g, "too much", "not_permitted", amount(5001))
	add(g, "another path", "not_permitted", func(n *inquiry) { n.question.Operation = g.Operation(t, "GET", "/v1/customers/1", "") })
	add(g, "negative", "forbidden no-negative", amount(-1))
	add(strict, "all hold", "permit", amount(1))
	add(strict, "another region", "forbidden residency", func(n *inquiry) { n.question.Region = "us" })
	add(strict, "two rules forbid", "forbidden night", func(n *inquiry) {
		midnight := testkit.Now - testkit.Now%86400
		n.chain = strict.grant(t, func(g *credential.Grant) { g.NotBefore, g.Expires = midnight, midnight+86400 })
		n.question.Region, n.question.At = "us", midnight
	})
	add(strict, "a label", "forbidden untainted", func(n *inquiry) { n.question.Labels = []string{"web"} })
	add(strict, "another label", "permit", func(n *inquiry) { n.question.Labels = []string{"shop"} })
	add(strict, "an approval is missing", "not_permitted", amount(1001))
	add(strict, "another approval", "not_permitted", func(n *inquiry) { amount(1001)(n); n.question.Approvals = []string{"ops"} })
	add(strict, "approved", "permit", func(n *inquiry) { amount(1001)(n); n.question.Approvals = []string{"finance"} })
	add(strict, "lineage is missing", "not_permitted", amount(4001))
	add(strict, "with lineage", "permit", func(n *inquiry) { amount(4001)(n); n.question.Lineage = []string{"review"} })
	add(strict, "another subject", "not_permitted", func(n *inquiry) {
		n.chain = strict.grant(t, func(g *credential.Grant) { g.Subject = "svc/other" })
	})
	add(strict, "handed on too far", "forbidden near", func(n *inquiry) {
		same := func(*credential.Terms) {}
		n.chain = strict.grant(t, nil, same, same, same)
	})
	add(strict, "a rule errs", "rule_error overflow", amount(math.MaxInt64))
	add(strict, "two rules err", "rule_error overflow", amount(math.MinInt64))
	add(strict, "only an inert rule permits", "not_permitted", func(n *inquiry) {
		n.question.Operation = strict.Operation(t, "GET", "/v1/customers/1", "")
	})
	block := func(name, want string, n int64, texts ...string) {
		add(g, name, want, func(q *inquiry) {
			var blocks []func(*credential.Terms)
			for _, text := range texts {
				blocks = append(blocks, ruled(text))
			}
			q.chain, q.question = g.grant(t, nil, blocks...), refund(t, g.Zone, n)
		})
	}
	const small, all2 = `@id("small") @control("c-1") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > 2000 };`, `@id("all") permit (principal, action, resource);`
	block("within a block", "permit", 2000, small)
	block("beyond a block", "forbidden small", 2001, small)
	block("a child's permit does not widen", "forbidden small", 2001, small, all2)
	block("a child narrows", "forbidden less", 101, small, `@id("less") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > 100 };`)
	block("policy and block forbid", "forbidden no-negative", -1, `@id("none") forbid (principal, action, resource);`)
	block("a block permits something else", "not_permitted", 1, `@id("reads") permit (principal, action == Action::"http:GET", resource);`)
	block("a block's permit is not the policy's", "not_permitted", 5001, all2)
	block("a block errs", "rule_error errs", 2, `@id("errs") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount * 9223372036854775807 > 0 };`)
	block("an inert permit in a block", "not_permitted", 1, `@id("inert") @tier("override") permit (principal, action, resource);`)
	return all
}

// strictRules ask for all that a context has. Of two that err the first in the text
// is named; of two that forbid, the first by name.
const strictRules = `@id("orders")
permit (principal == Subject::"svc/refunds", action == Action::"http:GET", resource)
when { resource.path like "/v1/orders/*" };
@id("refunds") @control("psp-7.2")
permit (principal == Subject::"svc/refunds", action == Action::"http:POST", resource)
when { context.body.amount <= 1000 || context.approvals.contains("finance") || context.lineage.contains("review") && context.body.amount > 4000 };
@id("residency") @control("gdpr-44")
forbid (principal, action, resource)
unless { context.gate.region == context.target.region };
@id("night") @control("ops-1")
forbid (principal, action, resource)
when { context.time.hour < 6 };
@id("untainted")
forbid (principal, action, resource)
when { context.labels.contains("web") };
@id("near")
forbid (principal, action, resource)
when { context.actor.depth > 2 };
@id("overflow")
forbid (principal, action == Action::"http:POST", resource)
when { context.body.amount + context.body.amount < 0 };
@id("difference")
forbid (principal, action == Action::"http:POST", resource)
when { context.body.amount - 1 < -1 };
@id("break-glass") @tier("override")
permit (principal, action, resource);
`

// counters are questions about what a use takes, and of what.
func counters(t testing.TB, g ground) []inquiry {
	all := `@id("all") permit (principal, action, resource);`
	wide := under(t, "anything", func(d *policy.Document) { d.Rules = all })
	every := under(t, "quotas per everything", func(d *policy.Document) {
		d.Rules = all
		d.Quotas = nil
		for _, per := range []string{"alias", "secret", "root", "block", "subject", "actor"} {
			d.Quotas = append(d.Quotas, policy.Quota{ID: "per-" + per, Per: per, WindowS: 3600, Limit: 10, Unit: "uses"})
		}
		d.Quotas = append(d.Quotas, policy.Quota{ID: "for-ever", Per: "alias", Limit: 1, Unit: "minor", Amount: "body.amount", Hard: true},
			policy.Quota{ID: "reads", Per: "alias", WindowS: 60, Limit: 0, Unit: "uses", Actions: []string{"http:GET"}})
	})
	limits := func(l map[string]int64) func(*credential.Terms) {
		return func(t *credential.Terms) { t.Limits = l }
	}
	limited := func(on ground, l map[string]int64) *credential.Chain {
		return on.grant(t, func(g *credential.Grant) { g.Limits = l })
	}
	ask := func(on ground, name, want string, c *credential.Chain, q *policy.Question) inquiry {
		return inquiry{name: name, want: want, ground: on, chain: c, question: q}
	}
	return []inquiry{
		ask(wide, "the most", "permit", wide.grant(t, nil), refund(t, wide.Zone, math.MaxInt64)),
		ask(wide, "nothing of it", "permit", wide.grant(t, nil), refund(t, wide.Zone, 0)),
		ask(wide, "less than nothing", "quota_exceeded amount-day", wide.grant(t, nil), refund(t, wide.Zone, -1)),
		ask(wide, "the least", "quota_exceeded amount-day", wide.grant(t, nil), refund(t, wide.Zone, math.MinInt64)),
		ask(every, "quotas per everything", "permit", every.grant(t, nil), refund(t, every.Zone, 7)),
		ask(every, "the same for another holder", "permit", every.grant(t, nil, func(*credential.Terms) {}), refund(t, every.Zone, 7)),
		ask(every, "the end of a window", "permit", every.grant(t, nil), changed(order(t, every.Zone), func(q *policy.Question) { q.At += 3599 - q.At%3600 })),
		ask(every, "the begin of the next", "permit", every.grant(t, nil), changed(order(t, every.Zone), func(q *policy.Question) { q.At += 3600 - q.At%3600 })),
		ask(g, "limits of one block", "permit", limited(g, map[string]int64{policy.UsesID: 2, "amount-day": 5}), refund(t, g.Zone, 7)),
		ask(g, "limits of three", "permit", g.grant(t, func(g *credential.Grant) { g.Limits = map[string]int64{policy.UsesID: 9} },
			limits(map[string]int64{"amount-day": 100}), limits(map[string]int64{policy.UsesID: 1, "amount-day": 0})), refund(t, g.Zone, 7)),
		ask(g, "a limit that the act takes nothing of", "permit", limited(g, map[string]int64{"amount-day": 5}), order(t, g.Zone)),
		ask(g, "a limit on what nobody counts", "quota_exceeded amount-hour", limited(g, map[string]int64{"amount-hour": 5}), refund(t, g.Zone, 1)),
		ask(g, "the same, on a read", "quota_exceeded amount-hour", limited(g, map[string]int64{"amount-hour": 5}), order(t, g.Zone)),
		ask(g, "the same in a block", "quota_exceeded amount-hour", g.grant(t, nil, limits(map[string]int64{policy.UsesID: 1, "amount-hour": 5})), refund(t, g.Zone, 1)),
		ask(g, "a limit on what nobody counts, forbidden", "forbidden no-negative", limited(g, map[string]int64{"amount-hour": 5}), refund(t, g.Zone, -1)),
	}
}

// lines are questions under a policy that the credential was not verified under.
func lines(t testing.TB, g ground) []inquiry {
	usual := g.law(t)
	twin := under(t, "a twin", func(d *policy.Document) { d.Expires++ })
	line := under(t, "another line", func(d *policy.Document) { d.Alias = "payments/orders" })
	far := ground{testkit.NewZoneWith(t, testkit.Config{Root: func(d *policy.RootDocument) { d.Expires++ }}), "another zone's"}
	return []inquiry{
		{name: "another policy of the line", want: "permit", ground: twin, chain: g.grant(t, nil), question: refund(t, g.Zone, 1), verified: usual},
		{name: "another line", want: "credential_invalid", ground: line, chain: g.grant(t, nil), question: refund(t, g.Zone, 1), verified: usual},
		{name: "another zone", want: "credential_invalid", ground: g, chain: far.grant(t, nil), question: refund(t, far.Zone, 1), verified: far.law(t)},
		{name: "another line and target", want: "credential_invalid", ground: line, chain: g.grant(t, nil), verified: usual,
			question: changed(refund(t, g.Zone, 1), func(q *policy.Question) { q.Target = "bank" })},
	}
}

// TestDecideVectors decides what vectors/permit/decide.json asks.
//
// SPEC PERMIT-2, PERMIT-3
// R26: the answers were written by another process
// A20, A23
// guard: permit-same-line, permit-terms, permit-ruling
func TestDecideVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, decideFile, decideCases(t))
	codes, names := make(map[string]int), make(map[string]bool)
	for _, v := range f.Cases {
		if names[v.Name] {
			t.Errorf("%s: name stands twice", v.Name)
		}
		names[v.Name] = true
		codes[v.Answer.Decision]++
		have, want := fmt.Sprintf("%+v", f.decide(t, &v)), fmt.Sprintf("%+v", v.Answer)
		if have != want {
			t.Errorf("%s:\n have %s\n want %s", v.Name, have, want)
		}
	}
	if len(codes) < 10 || len(f.Cases)-codes["permit"] < 50 {
		t.Errorf("%d cases: %v", len(f.Cases), codes)
	}
}
