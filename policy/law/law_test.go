package law_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy/law"
)

// TestLongStringsDeny shows rules no value that is long or of no type: what a
// mapper does not bound is bounded here.
//
// SPEC POLICY-10
// A18
// guard: rule-string-bound, rule-set-bound
func TestLongStringsDeny(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]any{
		"text": strings.Repeat("a", 4097), "in a set": []string{"", strings.Repeat("a", 4097)}, "in a record": map[string]any{"a": map[string]any{"b": strings.Repeat("a", 4097)}},
		"a set of 2049": make([]string, 2049), "a number of no type": 1, "nothing": nil, "a fraction": 1.5, "five digits": op.Decimal("1.00001"), "no decimal": op.Decimal("1"), "a list": []any{"a"},
	} {
		if law.CheckValue(x) == nil {
			t.Errorf("%s: rules see it", name)
		}
	}
	for name, x := range map[string]any{
		"text": strings.Repeat("a", 4096), "set": make([]string, 2048), "record": map[string]any{"a": map[string]any{}}, "bool": true, "integer": int64(1), "decimal": op.Decimal("-1.0001"),
	} {
		if err := law.CheckValue(x); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestZeroLaw: what is none permits nothing and fits nothing.
//
// R11
func TestZeroLaw(t *testing.T) {
	t.Parallel()
	r, err := law.Parse(`@id("a") permit (principal, action, resource);`)
	if err != nil {
		t.Fatal(err)
	}
	q, view := &law.Question{Operation: &op.Operation{Type: "http/1"}, Target: "shop"}, &op.View{}
	for name, l := range map[string]*law.Law{"nil": nil, "zero": {}} {
		if _, err := l.Evaluate(q, view, nil); !errors.Is(err, law.ErrRules) {
			t.Errorf("%s: %v", name, err)
		}
		if err := l.Check(r); !errors.Is(err, law.ErrRules) {
			t.Errorf("%s: check: %v", name, err)
		}
	}
	l, err := law.Compile(`@id("a") permit (principal, action, resource);`, []law.Declared{{Type: "http", Actions: []string{"http:GET"}}}, []law.Target{{ID: "shop"}})
	if err != nil {
		t.Fatal(err)
	}
	q.Target = "bank"
	if _, err := l.Evaluate(q, view, nil); err == nil {
		t.Error("a target that is none")
	}
	if err := l.Check(nil); !errors.Is(err, law.ErrRules) {
		t.Errorf("no rules: %v", err)
	}
}

// TestReads puts each way in which a rule can name a member of the context: it sees
// what the operation has, though what no rule names is left out.
func TestReads(t *testing.T) {
	t.Parallel()
	declared := []law.Declared{{Type: "http", Actions: []string{"http:GET"}, Shape: op.Shape{Context: []op.Field{
		{Name: "a", Type: op.Text}, {Name: "b", Type: op.Set}, {Name: "c", Type: op.Record, Fields: []op.Field{{Name: "d", Type: op.Int}}},
	}}}}
	view := &op.View{Context: map[string]any{"a": "x", "b": []string{"y"}, "c": map[string]any{"d": int64(7)}, "unnamed": strings.Repeat("z", 4096)}}
	q := &law.Question{Operation: &op.Operation{Type: "http/1"}, Action: "http:GET", Target: "shop"}
	block := func(when string) *law.Rules {
		r, err := law.ParseBlock(`@id("b") forbid (principal, action, resource) when { ` + when + ` };`)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	l, err := law.Compile(`@id("p") permit (principal, action, resource);`, declared, []law.Target{{ID: "shop"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{`context has a`, `context has a && context.a == "x"`, `context has b && context.b.contains("y")`, `context has c && context.c has d && context.c.d == 7`, `context == context`} {
		layers, err := l.Evaluate(q, view, []*law.Rules{block("false"), block(when)})
		if err != nil || len(layers) != 3 || !layers[0].Permit || !layers[1].Permit || layers[2].Permit || layers[2].Denial.Code != op.Forbidden {
			t.Errorf("%s: %+v, %v", when, layers, err)
		}
	}
	view.Context["unnamed"] = strings.Repeat("z", 4097)
	if _, err := l.Evaluate(q, view, nil); err == nil {
		t.Error("a long text that no rule names")
	}
}
