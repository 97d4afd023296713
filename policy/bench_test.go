package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
)

// busy returns a zone whose policy has 20 rules, the rules of three blocks, and
// a POST of 2 KB of JSON.
func busy(t testing.TB) (*testkit.Zone, []*policy.Rules, *policy.Question) {
	t.Helper()
	var b strings.Builder
	b.WriteString(testkit.Rules)
	for i := range 17 {
		fmt.Fprintf(&b, "@id(\"not-%d\") forbid (principal, action, resource) when { resource.path == \"/v1/closed/%d\" && context.time.hour > %d };\n", i, i, i)
	}
	z := zoneOfRules(t, b.String())
	blocks := []*policy.Rules{
		block(t, `@id("at-most-40") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > 4000 };`),
		block(t, `@id("at-most-30") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > 3000 };`),
		block(t, `@id("office-hours") forbid (principal, action, resource) when { context.time.weekday > 7 };`),
	}
	o := z.Operation(t, "POST", "/v1/refunds", `{"amount":100,"order":"`+strings.Repeat("8831", 500)+`"}`)
	return z, blocks, question(z, o, "POST", "refund")
}

// BenchmarkEvaluateWarm decides a POST of 2 KB under 20 rules and three blocks.
func BenchmarkEvaluateWarm(b *testing.B) {
	z, blocks, q := busy(b)
	b.ReportAllocs()
	for b.Loop() {
		if r := z.Policy.Evaluate(q, blocks); !r.Permit {
			b.Fatal(r.Denial)
		}
	}
}

// BenchmarkCheckRules type-checks the rules of one block.
func BenchmarkCheckRules(b *testing.B) {
	z, blocks, _ := busy(b)
	for b.Loop() {
		if err := z.Policy.CheckRules(blocks[0]); err != nil {
			b.Fatal(err)
		}
	}
}
