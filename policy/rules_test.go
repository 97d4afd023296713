package policy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	"pgregory.net/rapid"

	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
)

const anything = `permit (principal, action, resource);`

// TestParseRules refuses rules that people could misread, or that cannot be told
// apart in a receipt.
//
// SPEC POLICY-5, POLICY-6
// A18: look-alike letters in what people sign
// guard: rule-id, comment-ascii, block-rules-bound
func TestParseRules(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"one":                       `@id("a") ` + anything,
		"two":                       `@id("a") ` + anything + ` @id("b") ` + anything,
		"text beyond ASCII":         `@id("a") permit (principal, action, resource) when { resource.path == "/ä" };`,
		"comment":                   "// plain\n" + `@id("a") ` + anything + " // at the end",
		"comment marks in a string": `@id("a") permit (principal, action, resource) when { resource.path == "//ä" };`,
		"quote in a string":         `@id("a") permit (principal, action, resource) when { resource.path == "\"ä" };`,
		"annotations":               `@id("a") @control("psp-7.2") @tier("override") ` + anything,
	} {
		if _, err := policy.ParseRules(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := map[string]string{
		"none": "", "blanks": " \n", "only a comment": "// nothing", "no id": anything, "empty id": `@id("") ` + anything,
		"id without value": `@id ` + anything, "id with a space": `@id("a b") ` + anything, "long id": `@id("` + strings.Repeat("a", 129) + `") ` + anything,
		"id beyond ASCII": `@id("ä") ` + anything, "id twice": `@id("a") ` + anything + `@id("a") ` + anything, "id twice in one": `@id("a") @id("b") ` + anything,
		"second without id": `@id("a") ` + anything + anything, "not Cedar": "permit everything", "cut short": `@id("a") permit (principal`,
		"Cyrillic a":      `@id("a") permit (principal, аction, resource);`,
		"Cyrillic in has": `@id("a") forbid (principal, action, resource) when { context has bоdy };`,
		"no-break space":  "@id(\"a\")\u00a0" + anything, "byte order mark": "\ufeff@id(\"a\") " + anything, "bidi in a comment": "// \u202e\n" + `@id("a") ` + anything,
		"comment beyond ASCII at the end": `@id("a") ` + anything + " // ä", "NUL": "@id(\"a\") permit (principal,\x00 action, resource);",
		"escape": "@id(\"a\") \x1b[2K" + anything, "after an escaped quote": `@id("a") permit (principal, action, resource) when { resource.path == "\\" ä };`,
		"template": `@id("a") permit (principal == ?principal, action, resource);`,
	}
	bad["too many"] = strings.Join(many(513, func(i int) string { return fmt.Sprintf(`@id("r%d") %s`, i, anything) }), "\n")
	for name, text := range bad {
		_, err := policy.ParseRules(text)
		refused(t, name, err, policy.ErrRules)
		_, err = policy.ParseBlockRules(text)
		refused(t, name+", in a block", err, policy.ErrRules)
	}
	_, err := policy.ParseBlockRules(`@id("a") permit (principal, action, resource) when { resource.path == "` + strings.Repeat("a", policy.MaxBlockRulesBytes) + `" };`)
	refused(t, "5 KiB in a block", err, policy.ErrRules)
}

// body returns a change of the POST's members.
func body(members ...op.Member) func(*policy.Document) {
	return func(d *policy.Document) {
		o := d.Operations[1]
		b := *o.Body
		b.Members = members
		o.Body = &b
		d.Operations = []policy.Operation{d.Operations[0], o}
		d.Quotas, d.Rules = nil, `@id("all") `+anything
	}
}

func member(path, typ string, required bool) op.Member {
	return op.Member{Path: path, Type: typ, Required: required}
}

// TestBlockForbidNeverSilent renames, retypes and removes the member that a
// block's forbid is guarded by: the block no longer fits, so nothing is permitted,
// where the forbid alone would have gone silent.
//
// SPEC POLICY-7
// A21: in every form of the test, in a successor and in a policy of its own
// guard: rules-typecheck, rule-attribute-exists
func TestBlockForbidNeverSilent(t *testing.T) {
	t.Parallel()
	head := `@id("small") forbid (principal, action, resource) when { `
	post := `@id("small") forbid (principal, action == Action::"http:POST", resource) when { `
	guarded := map[string]string{
		"long form":       head + `context has body && context.body has amount && context.body.amount > 2000 };`,
		"short form":      head + `context has body.amount && context.body.amount > 2000 };`,
		"scoped":          post + `context.body has amount && context.body.amount > 2000 };`,
		"by index":        head + `context has body && context["body"] has "amount" && context["body"]["amount"] > 2000 };`,
		"if":              head + `if context has body.amount then context.body.amount > 2000 else false };`,
		"negated":         head + `!(!(context has body.amount) || context.body.amount <= 2000) };`,
		"unless":          `@id("small") forbid (principal, action, resource) unless { !(context has body.amount) || context.body.amount <= 2000 };`,
		"second when":     head + `context has body.amount } when { context has body.amount && context.body.amount > 2000 };`,
		"behind false":    head + `context has body.amount && (resource.path == "/never" || context.body.amount > 2000) };`,
		"by resource":     `@id("small") forbid (principal, action, resource is Http) when { context has body.amount && context.body.amount > 2000 };`,
		"in the target":   `@id("small") forbid (principal, action, resource is Http in Target::"shop") when { context has body.amount && context.body.amount > 2000 };`,
		"without a test":  post + `context.body.amount > 2000 };`,
		"several actions": `@id("small") forbid (principal, action in [Action::"http:POST", Action::"http:GET"], resource) when { context has body.amount && context.body.amount > 2000 };`,
	}
	z := zoneWith(t, body(member("order", "string", true), member("amount", "int", true)))
	for change, members := range map[string][]op.Member{
		"renamed":   {member("order", "string", true), member("cents", "int", true)},
		"removed":   {member("order", "string", true)},
		"moved":     {member("order", "string", true), member("money.amount", "int", true)},
		"invisible": {member("order", "string", true), member("amount", "any", true)},
	} {
		after := z.Successor(t, z.Policy, body(members...))
		for name, text := range guarded {
			rules := block(t, text)
			if err := z.Policy.CheckRules(rules); err != nil {
				t.Errorf("%s: before: %v", name, err)
			}
			refused(t, change+", "+name, after.CheckRules(rules), policy.ErrRules)
			d := testkit.Next(z.Policy)
			body(members...)(d)
			d.Rules += text
			_, err := policy.Parse(encode(t, d))
			refused(t, change+", "+name+", in the policy", err, policy.ErrRules)
		}
		if err := after.CheckRules(block(t, `@id("a") forbid (principal, action, resource) when { context has body && context.body has order };`)); err != nil {
			t.Errorf("%s: what is still there: %v", change, err)
		}
	}
	retyped := z.Successor(t, z.Policy, body(member("order", "string", true), member("amount", "string", true)))
	for name, text := range guarded {
		refused(t, "retyped, "+name, retyped.CheckRules(block(t, text)), policy.ErrRules)
	}
}

// TestRulesFitSchema type-checks strictly, also what no value can reach.
//
// SPEC POLICY-7
// guard: rules-typecheck, rule-attribute-exists, rule-entity-exists
func TestRulesFitSchema(t *testing.T) {
	t.Parallel()
	z := testkit.NewZone(t)
	check := func(when string) error {
		return z.Policy.CheckRules(block(t, `@id("a") forbid (principal, action == Action::"http:POST", resource) when { `+when+` };`))
	}
	for _, ok := range []string{
		`context.body.amount > 5 && context.body.order like "8*"`, `context.headers has x_reason && context.headers.x_reason == "a"`,
		`resource has content_type && resource.content_type == "application/json"`, `resource in Target::"shop"`, `Target::"shop".region == "eu"`,
		`context.labels.contains("web")`, `context.time.hour > 7 && context.time.weekday <= 5 && context.time.unix > 0`, `principal == Subject::"svc/a"`,
		`context.actor.depth > 1 || context.gate.region != context.target.region`, `context.pop >= 3 && context.purpose == "refund"`, `context has body`,
		`context.approvals.containsAll(["a"]) && context.lineage.isEmpty()`, `action == Action::"http:POST"`, `resource is Http && Target::"shop" has region`,
	} {
		if err := check(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{
		`context.body.amount > "5"`, `context.body.amount == "5"`, `context.body.order > 5`, `context.headers.x_reason == "a"`, `context.headers.other == "a"`,
		`resource.content_type == "a"`, `resource.nothing == "a"`, `principal.name == "a"`, `principal has name`, `action has name`, `context has nothing`,
		`context.time has minute`, `Target::"shop" has owner`, `resource has "path2"`, `{a: context.body}.a has amount`, `(if true then context.body else context.body) has amount`,
		`(if true then context.body else context.body).amount > 5`, `false && context.body.cents > 5`, `true || context.body.cents > 5`, `resource.hasTag("a")`,
		`resource.hasTag("a") && resource.getTag("a") == "b"`, `context.body.amount`, `5`, `principal == Person::"ana"`, `action == Action::"http:PUT"`, `context.labels.contains(1)`,
		`context.labels == []`, `resource is Kv`, `resource is Kv in Target::"shop"`, `ip("10.0.0.1")`, `decimal("1.00000") == decimal("1.0")`, `context.body.amount.lessThan(decimal("1.0"))`,
		`context has body && context.body has amount && context.body.cents > 1`, `context["nothing"] has a`, `unknown(5)`,
	} {
		if bad == `unknown(5)` {
			if _, err := policy.ParseBlockRules(`@id("a") forbid (principal, action, resource) when { ` + bad + ` };`); err == nil {
				t.Error("an unknown function parses")
			}
			continue
		}
		refused(t, bad, check(bad), policy.ErrRules)
	}
	for name, rule := range map[string]string{
		"unknown action":    `@id("a") forbid (principal, action == Action::"http:PUT", resource);`,
		"no action":         `@id("a") forbid (principal, action in [], resource);`,
		"unknown principal": `@id("a") forbid (principal == Person::"ana", action, resource);`,
		"unknown resource":  `@id("a") forbid (principal, action, resource is Kv);`,
		"of no action":      `@id("a") forbid (principal, action, resource is Target) when { resource has region };`,
		"inert":             `@id("a") @tier("override") permit (principal, action, resource) when { context has nothing };`,
	} {
		refused(t, name, z.Policy.CheckRules(block(t, rule)), policy.ErrRules)
	}
	refused(t, "no policy", (*policy.Verified)(nil).CheckRules(block(t, `@id("a") `+anything)), policy.ErrRules)
	refused(t, "zero policy", new(policy.Verified).CheckRules(block(t, `@id("a") `+anything)), policy.ErrRules)
}

// linear decides the usual way of Cedar, over all the rules.
func linear(t testing.TB, text string, req cedar.Request, e cedar.EntityMap) (cedar.Decision, []string, []string) {
	t.Helper()
	list, err := cedar.NewPolicyListFromBytes("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	set := cedar.NewPolicySet()
	for _, p := range list {
		if p.Annotations()["tier"] != "override" {
			set.Add(cedar.PolicyID(p.Annotations()["id"]), p)
		}
	}
	d, diag := cedar.Authorize(set, e, req)
	reasons, errs := map[string]bool{}, map[string]bool{}
	for _, r := range diag.Reasons {
		reasons[string(r.PolicyID)] = true
	}
	for _, r := range diag.Errors {
		errs[string(r.PolicyID)] = true
	}
	return d, slices.Sorted(maps.Keys(reasons)), slices.Sorted(maps.Keys(errs))
}

// cedarRequest is the question as this test writes it out by hand, with all of the
// context.
func cedarRequest(q *policy.Question, amount int64) (cedar.Request, cedar.EntityMap) {
	str := func(m map[string]string) cedar.Record {
		r := cedar.RecordMap{}
		for k, v := range m {
			r[cedar.String(k)] = cedar.String(v)
		}
		return cedar.NewRecord(r)
	}
	target := cedar.NewEntityUID("Target", testkit.Target)
	rid := cedar.NewEntityUID("Http", "operation")
	context := cedar.RecordMap{
		"purpose": cedar.String(q.Purpose), "pop": cedar.Long(q.Level), "query": str(nil), "headers": str(nil),
		"actor":  cedar.NewRecord(cedar.RecordMap{"key": cedar.String(q.Actor), "depth": cedar.Long(q.Depth)}),
		"gate":   str(map[string]string{"group": q.Group, "region": q.Region}),
		"target": str(map[string]string{"id": q.Target, "region": "eu"}),
		"time":   cedar.NewRecord(cedar.RecordMap{"unix": cedar.Long(q.At), "hour": cedar.Long(11), "weekday": cedar.Long(3)}), // 2026-11-18T11:06:40Z
		"labels": cedar.NewSet(), "lineage": cedar.NewSet(), "approvals": cedar.NewSet(),
	}
	attrs := cedar.RecordMap{"method": cedar.String("GET"), "origin": cedar.String(testkit.Origin), "path": cedar.String("/v1/orders/8831"), "depth": cedar.Long(3)}
	if q.Action == "http:POST" {
		attrs["method"], attrs["path"], attrs["depth"] = cedar.String("POST"), cedar.String("/v1/refunds"), cedar.Long(2)
		context["body"] = cedar.NewRecord(cedar.RecordMap{"order": cedar.String("8831"), "amount": cedar.Long(amount)})
	}
	return cedar.Request{
			Principal: cedar.NewEntityUID("Subject", cedar.String(q.Subject)), Action: cedar.NewEntityUID("Action", cedar.String(q.Action)),
			Resource: rid, Context: cedar.NewRecord(context),
		}, cedar.EntityMap{
			target: {UID: target, Attributes: str(map[string]string{"region": "eu"})},
			rid:    {UID: rid, Parents: cedar.NewEntityUIDSet(target), Attributes: cedar.NewRecord(attrs)},
		}
}

// TestIndexAgreesWithCedar compares the evaluation that looks only at the rules of
// the action, and builds only the context that they read, with Cedar's own over
// everything, for generated sets of rules.
//
// SPEC POLICY-9
func TestIndexAgreesWithCedar(t *testing.T) {
	t.Parallel()
	scopes := []string{`action`, `action == Action::"http:GET"`, `action == Action::"http:POST"`, `action in Action::"http:POST"`,
		`action in [Action::"http:GET", Action::"http:POST"]`, `action in [Action::"http:POST", Action::"http:POST"]`}
	conditions := []string{`true`, `false`, `resource.path == "/v1/refunds"`, `context has body && context.body.amount > 100`,
		`context.pop * 9223372036854775807 > 0`, `context.time.hour == 11 && context.time.weekday == 3`, `context.purpose == "refund"`,
		`context.labels.contains("x")`, `context.gate.region == context.target.region`, `resource in Target::"shop"`, `context == context`,
		`context.actor.depth == 0`, `Target::"other".region == "eu"`, `context has approvals && context.lineage.isEmpty()`, `principal == Subject::"svc/refunds"`,
		`context.time.unix == 1795000000`, `resource has content_length`}
	z := testkit.NewZone(t)
	orders, refunds := order(t, z), refund(t, z, 200)
	rapid.Check(t, func(rt *rapid.T) {
		var b strings.Builder
		for i := range rapid.IntRange(1, 12).Draw(rt, "rules") {
			tier := rapid.SampledFrom([]string{"", "", "", `@tier("override") `}).Draw(rt, "tier")
			effect := rapid.SampledFrom([]string{"permit", "forbid"}).Draw(rt, "effect")
			scope, when := rapid.SampledFrom(scopes).Draw(rt, "scope"), rapid.SampledFrom(conditions).Draw(rt, "when")
			if strings.Contains(when, "content_length") {
				when += ` && resource.content_length > 20`
			}
			fmt.Fprintf(&b, "@id(\"r%d\") %s%s (principal, %s, resource) when { %s };\n", i, tier, effect, scope, when)
		}
		rules, err := policy.ParseRules(b.String())
		if err != nil {
			rt.Fatal(err)
		}
		for _, q := range []*policy.Question{orders, refunds} {
			req, entities := cedarRequest(q, 200)
			if q.Action == "http:POST" {
				rec, _ := entities[req.Resource]
				m := rec.Attributes.Map()
				m["content_type"], m["content_length"] = cedar.String("application/json"), cedar.Long(len(`{"order":"8831","amount":200}`))
				rec.Attributes = cedar.NewRecord(m)
				entities[req.Resource] = rec
			}
			decision, reasons, errs := linear(t, b.String(), req, entities)
			l := z.Policy.Evaluate(q, []*policy.Rules{rules}).Layers[1]
			switch {
			case len(errs) > 0:
				if l.Permit || l.Denial.Code != op.RuleError || !slices.Contains(errs, l.Denial.Rule) {
					rt.Fatalf("%s\nerrors %v, decided %+v", b.String(), errs, l)
				}
			case l.Permit != (decision == cedar.Allow) || !slices.Equal(l.Rules, reasons):
				rt.Fatalf("%s\nCedar: %t by %v; here: %t by %v", b.String(), decision == cedar.Allow, reasons, l.Permit, l.Rules)
			}
		}
	})
}
