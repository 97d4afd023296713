package policy_test

import (
	"errors"
	"math"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/sql"
	"github.com/writhq/writ/policy"
)

// debits returns what the usual holder takes, by quota.
func debits(t testing.TB, p *policy.Verified, q *policy.Question, s policy.Scope) map[string]policy.Debit {
	t.Helper()
	r := p.Evaluate(q, nil)
	if !r.Permit {
		t.Fatal(r.Denial)
	}
	list, d := p.Debits(q, r.View, s)
	if d != nil {
		t.Fatal(d)
	}
	out := make(map[string]policy.Debit)
	for _, x := range list {
		out[x.ID] = x
	}
	if len(out) != len(list) {
		t.Errorf("%d debits of %d quotas", len(list), len(out))
	}
	return out
}

func usual() policy.Scope {
	return policy.Scope{Root: []byte("0123456789abcdef"), Block: canon.Hash([]byte("block")), Subject: testkit.Subject, Actor: "key", Secret: testkit.SecretID}
}

// counting returns a zone with a quota per everything, and others.
func counting(t testing.TB) *testkit.Zone {
	return zoneWith(t, func(d *policy.Document) {
		for _, per := range []string{"alias", "secret", "root", "block", "subject", "actor"} {
			d.Quotas = append(d.Quotas, policy.Quota{ID: "ops-" + per, Per: per, WindowS: 3600, Limit: 10, Unit: "ops"})
		}
		d.Quotas = append(d.Quotas, policy.Quota{ID: "reads", Per: "alias", Limit: 3, Unit: "ops", Actions: []string{"http:GET"}},
			policy.Quota{ID: "zero", Per: "alias", Limit: 0, Unit: "ops"})
	})
}

// TestQuotaCounts sees which quotas an operation takes from, and how much.
//
// SPEC POLICY-11
// R7
func TestQuotaCounts(t *testing.T) {
	t.Parallel()
	z := counting(t)
	post := debits(t, z.Policy, refund(t, z, 700), usual())
	if len(post) != 8 || post["amount-day"].N != 700 || post["amount-day"].Limit != 500000 || !post["amount-day"].Hard || post["ops-alias"].N != 1 || post["zero"].N != 1 {
		t.Errorf("POST takes %+v", post)
	}
	if d := post["amount-day"]; d.Until != testkit.Now-testkit.Now%86400+86400 {
		t.Errorf("until %d", d.Until)
	}
	if d := post["zero"]; d.Until != 0 || d.Limit != 0 {
		t.Errorf("for ever: %+v", d)
	}
	get := debits(t, z.Policy, order(t, z), usual())
	if _, ok := get["amount-day"]; ok || len(get) != 8 || get["reads"].N != 1 {
		t.Errorf("GET takes %+v", get)
	}
	if debits(t, z.Policy, refund(t, z, 0), usual())["amount-day"].N != 0 {
		t.Error("nothing costs something")
	}
}

// TestNegativeAmountRefused refills no quota, whatever the rules let through.
//
// SPEC POLICY-11
// A7
// guard: amount-negative, amount-integer
func TestNegativeAmountRefused(t *testing.T) {
	t.Parallel()
	z := zoneOfRules(t, `@id("all") `+anything)
	for _, amount := range []int64{-1, math.MinInt64} {
		q := refund(t, z, amount)
		r := z.Policy.Evaluate(q, nil)
		permitted(t, "by the rules", r)
		if out, d := z.Policy.Debits(q, r.View, usual()); d == nil || d.Code != op.QuotaExceeded || d.Rule != "amount-day" || out != nil {
			t.Errorf("%d: %+v, %v", amount, out, d)
		}
	}
	q := refund(t, z, math.MaxInt64)
	if r := z.Policy.Evaluate(q, nil); debits(t, z.Policy, q, usual())["amount-day"].N != math.MaxInt64 {
		t.Errorf("the most: %v", r.Denial)
	}
	for name, context := range map[string]map[string]any{
		"absent": {}, "no body": nil, "text": {"body": map[string]any{"amount": "1"}}, "decimal": {"body": map[string]any{"amount": op.Decimal("1.0")}},
		"record": {"body": map[string]any{"amount": map[string]any{}}}, "a body that is none": {"body": int64(5)}, "at the top": {"body.amount": int64(5)},
	} {
		if out, d := z.Policy.Debits(q, &op.View{Action: "http:POST", Target: testkit.Target, Context: context}, usual()); d == nil || out != nil {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

// TestCounterKeys sees what shares a counter: the windows are fixed, each scope is
// its own, and a successor does not refill.
//
// SPEC POLICY-11
// R7
// A41: a counter outlives its policy's version
func TestCounterKeys(t *testing.T) {
	t.Parallel()
	z := counting(t)
	next := z.Successor(t, z.Policy, func(d *policy.Document) { d.Quotas[1].Limit = 5 })
	first := debits(t, z.Policy, order(t, z), usual())
	for id, d := range debits(t, next, order(t, z), usual()) {
		if d.Key != first[id].Key {
			t.Errorf("%s: a successor refills", id)
		}
	}
	seen := make(map[canon.Digest]string)
	for id, d := range first {
		if seen[d.Key] != "" {
			t.Errorf("%s and %s share a counter", id, seen[d.Key])
		}
		seen[d.Key] = id
	}
	for per, change := range map[string]func(*policy.Scope){
		"secret":  func(s *policy.Scope) { s.Secret = "other" },
		"root":    func(s *policy.Scope) { s.Root = []byte("fedcba9876543210") },
		"block":   func(s *policy.Scope) { s.Block[0] ^= 1 },
		"subject": func(s *policy.Scope) { s.Subject = "svc/other" },
		"actor":   func(s *policy.Scope) { s.Actor = "other" },
	} {
		s := usual()
		change(&s)
		for id, d := range debits(t, z.Policy, order(t, z), s) {
			if same := d.Key == first[id].Key; same == (id == "ops-"+per) {
				t.Errorf("another %s: %s: the same counter: %t", per, id, same)
			}
		}
	}
	q := order(t, z)
	for at, same := range map[int64]bool{testkit.Now - testkit.Now%3600: true, testkit.Now - testkit.Now%3600 - 1: false, testkit.Now - testkit.Now%3600 + 3599: true, testkit.Now - testkit.Now%3600 + 3600: false} {
		q.At = at
		d := debits(t, z.Policy, q, usual())
		if (d["ops-alias"].Key == first["ops-alias"].Key) != same || d["zero"].Key != first["zero"].Key {
			t.Errorf("at %d: another window: %t", at, !same)
		}
	}
	if policy.CounterKey("a", "b", "c", 1) == policy.CounterKey("ab", "", "c", 1) || policy.CounterKey("a", "b", "c", 1) == policy.CounterKey("a", "bc", "", 1) {
		t.Error("keys run into each other")
	}
}

// TestStatementAmounts counts what signed statements of SQL say that they move. A
// statement whose amount is not bound would move any.
//
// SPEC POLICY-11
// R7/sql, A7
// guard: quota-amount-required
func TestStatementAmounts(t *testing.T) {
	t.Parallel()
	change := func(d *policy.Document) {
		d.Language.Mappers["sql"] = 1
		least := int64(-5)
		d.Operations = append(d.Operations, policy.Operation{Declaration: op.Declaration{Type: "sql", Targets: []string{testkit.Target}, Actions: []string{"sql:update", "sql:transaction"}, SQL: &op.SQL{
			Relations: []op.SQLRelation{{Name: "public.orders", Update: []string{"total"}}},
			Statements: []op.SQLStatement{
				{ID: "refund", Text: "UPDATE public.orders SET total = $1", Values: []op.SQLValue{{Name: "total", Kind: "int", Min: &least}}},
				{ID: "nothing", Text: "UPDATE public.orders SET total = 0", Fixed: []op.SQLFixed{{Name: "total", Is: 0}}},
			},
		}}})
		d.Rules += `@id("sql") permit (principal, action == Action::"sql:update", resource) when { context has statement && context has values && context.values has total && context.values.total <= 700 && ["refund", "nothing"].contains(context.statement) };`
		d.Quotas = append(d.Quotas, policy.Quota{ID: "moved", Per: "alias", Limit: 1000, Unit: "cents", Amount: "values.total", Actions: []string{"sql:update"}})
	}
	z := zoneWith(t, change)
	ask := func(text string, params ...*string) *policy.Question {
		s := sql.Statement{Kinds: []string{"update"}, Relations: []sql.Relation{{Schema: "public", Name: "orders", Mode: sql.Update}},
			Updates: []sql.Column{{Schema: "public", Table: "orders", Name: "total"}}, Limit: sql.NoLimit}
		o, err := sql.NewOperation(&sql.Asked{Target: testkit.Target, Text: text, Params: params}, &sql.Found{Facts: op.Facts{Salt: make([]byte, 16)}, Statement: s, Text: text})
		if err != nil {
			t.Fatal(err)
		}
		q := question(z, o, "", "refund")
		q.Action = "sql:update"
		return q
	}
	amount := func(s string) *string { return &s }
	if got := debits(t, z.Policy, ask("UPDATE public.orders SET total = $1", amount("700")), usual())["moved"].N; got != 700 {
		t.Errorf("700 takes %d", got)
	}
	if d, ok := debits(t, z.Policy, ask("UPDATE public.orders SET total = 0"), usual())["moved"]; !ok || d.N != 0 {
		t.Errorf("nothing takes %+v", d)
	}
	denied(t, "701", z.Policy.Evaluate(ask("UPDATE public.orders SET total = $1", amount("701")), nil), op.NotPermitted)
	denied(t, "another text", z.Policy.Evaluate(ask("UPDATE public.orders SET total = 7"), nil), op.NotDeclared)
	q := ask("UPDATE public.orders SET total = $1", amount("-5"))
	if _, d := z.Policy.Debits(q, z.Policy.Evaluate(q, nil).View, usual()); d == nil || d.Code != op.QuotaExceeded {
		t.Errorf("-5: %v", d)
	}
	for name, f := range map[string]func(*policy.Document){
		"each action":                func(d *policy.Document) { d.Quotas[len(d.Quotas)-1].Amount = "values.other" },
		"a statement without amount": func(d *policy.Document) { d.Operations[len(d.Operations)-1].SQL.Statements[1].Fixed = nil },
		"an amount that may be NULL": func(d *policy.Document) { d.Operations[len(d.Operations)-1].SQL.Statements[0].Values[0].Null = true },
		"no statements":              func(d *policy.Document) { d.Operations[len(d.Operations)-1].SQL.Statements = nil },
		"an amount that is a text": func(d *policy.Document) {
			v := &d.Operations[len(d.Operations)-1].SQL.Statements[0].Values[0]
			v.Kind, v.Min = "text", nil
		},
	} {
		d := testkit.Document(canon.Hash([]byte("zone")))
		change(d)
		d.Rules = testkit.Rules
		f(d)
		if _, err := policy.Parse(encode(t, d)); !errors.Is(err, policy.ErrDocument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := testkit.Document(canon.Hash([]byte("zone")))
	change(d)
	if _, err := policy.Parse(encode(t, d)); err != nil {
		t.Error(err)
	}
}
