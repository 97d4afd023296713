package policy_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

const (
	documentFile = "../vectors/policy/document.json"
	verifyFile   = "../vectors/policy/verify.json"
	evaluateFile = "../vectors/policy/evaluate.json"
	rulesFile    = "../vectors/policy/rules.json"
	rootFile     = "../vectors/root/root.json"
)

// A documentVector says what becomes of a document: its id, or the field for which
// it is refused ("form": it is not in its one form).
type documentVector struct {
	Name    string `json:"name"`
	Payload string `json:"payload"`
	ID      string `json:"id,omitempty"`
	Field   string `json:"field,omitempty"`
}

type documentVectors struct {
	Format string           `json:"format"`
	Cases  []documentVector `json:"cases"`
}

func documentCases(t *testing.T) documentVectors {
	f := documentVectors{Format: "policies, before any signature"}
	good := encode(t, testkit.Document(canon.Hash([]byte("zone"))))
	f.Cases = append(f.Cases, documentVector{"usual", string(good), canon.Hash(canon.PAE(policy.PayloadType, good)).String(), ""})
	for _, m := range mutations() {
		b := encode(t, mutated(m))
		if len(b) < 8<<10 {
			f.Cases = append(f.Cases, documentVector{Name: m.field + ": " + m.name, Payload: string(b), Field: m.field})
		}
	}
	for _, c := range [][3]string{
		{"unknown field", `{"alias"`, `{"a":1,"alias"`}, {"name twice", `{"alias":`, `{"alias":"x","alias":`}, {"other case", `"rules":`, `"Rules":`},
		{"space", `"alias":`, `"alias": `}, {"fraction", `"version":1`, `"version":1.0`}, {"escape", `payments/refunds`, `payments\u002frefunds`},
		{"empty list", `"purposes":[`, `"approvals":[],"purposes":[`},
	} {
		f.Cases = append(f.Cases, documentVector{Name: c[0], Payload: string(swap(t, good, c[1], c[2])), Field: "form"})
	}
	return f
}

// TestDocumentVectors parses what vectors/policy/document.json holds.
//
// SPEC POLICY-1, POLICY-2
func TestDocumentVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, documentFile, documentCases(t))
	refusals := 0
	for _, v := range f.Cases {
		_, err := policy.Parse([]byte(v.Payload))
		if v.Field == "" {
			if id := policy.UnverifiedBytes([]byte(v.Payload), canon.Digest{}).ID(); err != nil || id.String() != v.ID {
				t.Errorf("%s: %v, id %s", v.Name, err, id)
			}
			continue
		}
		refusals++
		if err == nil || field(err) != v.Field {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	if refusals < 90 {
		t.Errorf("%d refusals", refusals)
	}
}

// A verifyVector says whether a signed policy has authority under the root, after
// the policies before it.
type verifyVector struct {
	Name     string   `json:"name"`
	Before   []string `json:"before,omitempty"` // envelopes, from the first of the line
	Envelope string   `json:"envelope"`
	ID       string   `json:"id,omitempty"` // "": refused
	Signers  []string `json:"signers,omitempty"`
}

type verifyVectors struct {
	Format string         `json:"format"`
	Zone   string         `json:"zone"`
	Root   string         `json:"root"` // envelope
	Cases  []verifyVector `json:"cases"`
}

func verifyCases(t *testing.T) verifyVectors {
	z := testkit.NewZone(t)
	f := verifyVectors{Format: "signed policies", Zone: z.Root.Zone().String(), Root: testkit.EnvelopeText(t, z.RootEnvelope)}
	first := []string{testkit.EnvelopeText(t, z.Envelope)}
	ana, ana2, bo := z.Key("ana"), z.Key("ana2"), z.Key("bo")
	add := func(name string, ok bool, before []string, e *sign.Envelope) {
		v := verifyVector{Name: name, Before: before, Envelope: testkit.EnvelopeText(t, e)}
		if ok {
			v.ID, v.Signers = e.Digest().String(), []string{"ana", "bo"}
		}
		f.Cases = append(f.Cases, v)
	}
	begin := func(change func(*policy.Document), by ...sign.Signer) *sign.Envelope {
		d := testkit.Document(z.Root.Zone())
		if change != nil {
			change(d)
		}
		return testkit.Envelope(t, policy.PayloadType, d, by...)
	}
	add("first", true, nil, begin(nil, ana, bo))
	add("first, by another key", true, nil, begin(nil, bo, ana2))
	add("by one", false, nil, begin(nil, ana))
	add("by two keys of one", false, nil, begin(nil, ana, ana2))
	add("by one and an issuer", false, nil, begin(nil, ana, z.Key("iris")))
	add("of another zone", false, nil, begin(func(d *policy.Document) { d.Zone[0] ^= 1 }, ana, bo))
	add("outside every namespace", false, nil, begin(func(d *policy.Document) { d.Alias = "dev/x" }, ana, bo))
	add("beyond a ceiling", false, nil, begin(func(d *policy.Document) { d.Freshness.MaxStalenessS = 61 }, ana, bo))
	add("fewer signers than the root asks for", false, nil, begin(func(d *policy.Document) { d.Governance.Successor.Threshold = 1 }, ana, bo))
	add("second", true, first, next(t, z.Policy, nil, ana, bo))
	add("second, without the first", false, nil, next(t, z.Policy, nil, ana, bo))
	add("second, by one", false, first, next(t, z.Policy, nil, ana))
	add("first again", false, first, z.Envelope)
	add("of another line", false, first, next(t, z.Policy, func(d *policy.Document) { d.Alias = "payments/orders" }, ana, bo))
	add("after another", false, first, next(t, z.Policy, func(d *policy.Document) { d.Prev[0] ^= 1 }, ana, bo))
	add("skips a version", false, first, next(t, z.Policy, func(d *policy.Document) { d.Version++ }, ana, bo))
	add("a quota of another unit", false, first, next(t, z.Policy, func(d *policy.Document) {
		d.Quotas = append([]policy.Quota{}, d.Quotas...)
		d.Quotas[0].Unit = "cents"
	}, ana, bo))
	relabelled := *z.Envelope
	relabelled.PayloadType = policy.RootType
	add("of another type", false, nil, &relabelled)
	return f
}

// TestVerifyVectors verifies what vectors/policy/verify.json holds.
//
// SPEC POLICY-2, POLICY-3, POLICY-4
func TestVerifyVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, verifyFile, verifyCases(t))
	r := testkit.VerifyRoot(t, f.Root)
	if r.Zone().String() != f.Zone {
		t.Fatalf("zone %s", r.Zone())
	}
	refusals := 0
	for _, v := range f.Cases {
		var prev *policy.Verified
		for _, b := range v.Before {
			var err error
			if prev, err = policy.Verify(testkit.EnvelopeOf(t, b), r, prev); err != nil {
				t.Fatalf("%s: before: %v", v.Name, err)
			}
		}
		p, err := policy.Verify(testkit.EnvelopeOf(t, v.Envelope), r, prev)
		if v.ID == "" {
			refusals++
			refused(t, v.Name, err, policy.ErrPolicy)
		} else if err != nil || p.ID().String() != v.ID || strings.Join(p.Signers(), " ") != strings.Join(v.Signers, " ") {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	if refusals < 12 {
		t.Errorf("%d refusals", refusals)
	}
}

// An evaluateVector is a question with its answer.
type evaluateVector struct {
	Name     string     `json:"name"`
	Blocks   []string   `json:"blocks,omitempty"` // rules of credential blocks
	Question questionV  `json:"question"`
	Decision string     `json:"decision"`           // permit, or a code
	Rule     string     `json:"rule,omitempty"`     // of a denial
	Rules    [][]string `json:"rules,omitempty"`    // that decided, by layer
	Controls [][]string `json:"controls,omitempty"` // likewise
}

type questionV struct {
	Subject op.Subject `json:"subject"`
	Actor   string     `json:"actor"`
	Depth   int        `json:"depth"`
	Action  string     `json:"action"`
	Target  string     `json:"target"`
	Type    string     `json:"type"`
	Asked   string     `json:"asked"` // hexadecimal
	Found   string     `json:"found"`
	Purpose string     `json:"purpose"`
	Level   op.Level   `json:"level"`
	Group   string     `json:"group"`
	Region  string     `json:"region"`
	At      int64      `json:"at"`
}

type evaluateVectors struct {
	Format string           `json:"format"`
	Zone   string           `json:"zone"`
	Root   string           `json:"root"`   // envelope
	Policy string           `json:"policy"` // envelope
	Schema string           `json:"schema"` // that follows from it
	Cases  []evaluateVector `json:"cases"`
}

func evaluateZone(t testing.TB) *testkit.Zone {
	return zoneOfRules(t, testkit.Rules+`@id("residency") @control("gdpr-44") forbid (principal, action, resource) when { context.gate.region != context.target.region };
@id("break-glass") @tier("override") permit (principal, action, resource);
@id("overflow") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount == 13 && context.pop * 9223372036854775807 > 0 };
`)
}

func evaluateCases(t *testing.T) evaluateVectors {
	z := evaluateZone(t)
	schema, err := z.Policy.Document().Schema()
	if err != nil {
		t.Fatal(err)
	}
	f := evaluateVectors{Format: "decisions", Zone: z.Root.Zone().String(), Root: testkit.EnvelopeText(t, z.RootEnvelope), Policy: testkit.EnvelopeText(t, z.Envelope), Schema: schema}
	add := func(name string, q *policy.Question, change func(*policy.Question), blocks ...string) {
		if change != nil {
			change(q)
		}
		v := evaluateVector{Name: name, Blocks: blocks, Question: questionV{
			q.Subject, q.Actor, q.Depth, q.Action, q.Target, q.Operation.Type, hex.EncodeToString(q.Operation.Asked), hex.EncodeToString(q.Operation.Found),
			q.Purpose, q.Level, q.Group, q.Region, q.At,
		}}
		ask(t, z.Policy, &v)
		f.Cases = append(f.Cases, v)
	}
	const small = `@id("small") forbid (principal, action == Action::"http:POST", resource) when { context.body.amount > 2000 };`
	add("read", order(t, z), nil)
	add("refund", refund(t, z, 5000), nil)
	add("too much", refund(t, z, 5001), nil)
	add("negative", refund(t, z, -1), nil)
	add("refund for another purpose", refund(t, z, 1), func(q *policy.Question) { q.Purpose = "lookup" })
	add("unlisted purpose", refund(t, z, 1), func(q *policy.Question) { q.Purpose = "fun" })
	add("no purpose", refund(t, z, 1), func(q *policy.Question) { q.Purpose = "" })
	add("weak proof", refund(t, z, 1), func(q *policy.Question) { q.Level = op.Channel })
	add("another region", order(t, z), func(q *policy.Question) { q.Region = "us" })
	add("undeclared action", order(t, z), func(q *policy.Question) { q.Action = "http:DELETE" })
	add("undeclared target", order(t, z), func(q *policy.Question) { q.Target = "bank" })
	add("another path", order(t, z), func(q *policy.Question) { q.Operation = z.Operation(t, "GET", "/v1/customers/1", "") })
	add("a document of another action", order(t, z), func(q *policy.Question) { q.Operation = refund(t, z, 1).Operation })
	add("a document of another type", order(t, z), func(q *policy.Question) { o := *q.Operation; o.Type = "http/2"; q.Operation = &o })
	add("expired", order(t, z), func(q *policy.Question) { q.At = z.Policy.Document().Expires })
	add("not yet valid", order(t, z), func(q *policy.Question) { q.At = z.Policy.Document().NotBefore - 1 })
	add("a rule errs", refund(t, z, 13), nil)
	add("within the block", refund(t, z, 2000), nil, small)
	add("beyond the block", refund(t, z, 2001), nil, small)
	add("a child's permit", refund(t, z, 2001), nil, small, `@id("all") permit (principal, action, resource);`)
	add("a block that permits something else", refund(t, z, 1), nil, `@id("reads") permit (principal, action == Action::"http:GET", resource);`)
	add("an inert permit in a block", order(t, z), nil, `@id("inert") @tier("override") permit (principal, action, resource);`)
	add("a block that errs", order(t, z), nil, `@id("errs") forbid (principal, action, resource) when { context.time.unix * 9223372036854775807 > 0 };`)
	return f
}

// ask sets the answer of v.
func ask(t testing.TB, p *policy.Verified, v *evaluateVector) {
	t.Helper()
	q := &v.Question
	var blocks []*policy.Rules
	for _, text := range v.Blocks {
		r := block(t, text)
		if err := p.CheckRules(r); err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		blocks = append(blocks, r)
	}
	r := p.Evaluate(&policy.Question{
		Subject: q.Subject, Actor: q.Actor, Depth: q.Depth, Action: q.Action, Target: q.Target, Purpose: q.Purpose, Level: q.Level, Group: q.Group, Region: q.Region, At: q.At,
		Operation: &op.Operation{Type: q.Type, Asked: testkit.Unhex(t, q.Asked), Found: testkit.Unhex(t, q.Found)},
	}, blocks)
	v.Decision, v.Rule, v.Rules, v.Controls = "permit", "", nil, nil
	if !r.Permit {
		v.Decision, v.Rule = string(r.Denial.Code), r.Denial.Rule
	}
	for _, l := range r.Layers {
		v.Rules, v.Controls = append(v.Rules, append([]string{}, l.Rules...)), append(v.Controls, append([]string{}, l.Controls...))
	}
}

// TestEvaluateVectors decides what vectors/policy/evaluate.json asks.
//
// SPEC POLICY-8, POLICY-9, POLICY-10
// R12
// R26: the answers were written by another process
func TestEvaluateVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, evaluateFile, evaluateCases(t))
	r, p := testkit.VerifyPolicy(t, f.Root, f.Policy)
	if r.Zone().String() != f.Zone {
		t.Fatalf("zone %s", r.Zone())
	}
	codes := make(map[string]int)
	for _, v := range f.Cases {
		again := v
		ask(t, p, &again)
		if string(encode(t, again)) != string(encode(t, v)) {
			t.Errorf("%s: %s by %v, want %s by %v", v.Name, again.Decision, again.Rules, v.Decision, v.Rules)
		}
		codes[v.Decision]++
	}
	if codes["permit"] < 3 || len(codes) < 8 {
		t.Errorf("decisions %v", codes)
	}
}

// A rulesVector says whether rules parse, and whether they fit the usual policy.
type rulesVector struct {
	Name  string `json:"name"`
	Rules string `json:"rules"`
	Error string `json:"error,omitempty"` // form: does not parse; schema: does not fit
}

type rulesVectors struct {
	Format string        `json:"format"`
	Schema string        `json:"schema"`
	Cases  []rulesVector `json:"cases"`
}

func rulesCases(t *testing.T) rulesVectors {
	schema, err := testkit.NewZone(t).Policy.Document().Schema()
	if err != nil {
		t.Fatal(err)
	}
	forbid := func(when string) string {
		return `@id("a") forbid (principal, action, resource) when { ` + when + ` };`
	}
	return rulesVectors{"rules of credential blocks", schema, []rulesVector{
		{"everything", `@id("a") ` + anything, ""},
		{"guarded", forbid(`context has body && context.body has amount && context.body.amount > 2000`), ""},
		{"guarded, short", forbid(`context has body.amount && context.body.amount > 2000`), ""},
		{"text beyond ASCII", forbid(`resource.path == "/ä"`), ""},
		{"none", "", "form"},
		{"no id", anything, "form"},
		{"id twice", `@id("a") ` + anything + `@id("a") ` + anything, "form"},
		{"look-alike", `@id("a") permit (principal, аction, resource);`, "form"},
		{"comment beyond ASCII", "// ä\n" + `@id("a") ` + anything, "form"},
		{"no-break space", "@id(\"a\")\u00a0" + anything, "form"},
		{"template", `@id("a") permit (principal == ?principal, action, resource);`, "form"},
		{"unknown function", forbid(`unknown(5)`), "form"},
		{"optional without a test", forbid(`context.body.amount > 2000`), "schema"},
		{"type", forbid(`context has body.amount && context.body.amount > "2000"`), "schema"},
		{"a test of a member that is not there", forbid(`context has body.cents && context.body.cents > 2000`), "schema"},
		{"the same, long", forbid(`context has body && context.body has cents && context.body.cents > 2000`), "schema"},
		{"behind false", forbid(`false && context.body.cents > 2000`), "schema"},
		{"a test of an expression", forbid(`{a: context}.a has body`), "schema"},
		{"unknown type", forbid(`resource is Sql`), "schema"},
		{"tags", forbid(`resource.hasTag("a")`), "schema"},
		{"unknown action", `@id("a") forbid (principal, action == Action::"http:PUT", resource);`, "schema"},
		{"inert", `@id("a") @tier("override") permit (principal, action, resource) when { context has nothing };`, "schema"},
	}}
}

// TestRulesVectors checks what vectors/policy/rules.json holds.
//
// SPEC POLICY-5, POLICY-6, POLICY-7
// A21
func TestRulesVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, rulesFile, rulesCases(t))
	z := testkit.NewZone(t)
	for _, v := range f.Cases {
		r, err := policy.ParseBlockRules(v.Rules)
		if (err != nil) != (v.Error == "form") {
			t.Errorf("%s: parse: %v", v.Name, err)
		}
		if err != nil {
			continue
		}
		if err := z.Policy.CheckRules(r); (err != nil) != (v.Error == "schema") {
			t.Errorf("%s: check: %v", v.Name, err)
		}
	}
}

// A rootVector says what becomes of a chain of roots at a time.
type rootVector struct {
	Name    string   `json:"name"`
	Pin     string   `json:"pin"`
	Roots   []string `json:"roots"` // envelopes
	At      int64    `json:"at"`
	Version int64    `json:"version,omitempty"` // of the newest; 0: refused
	Field   string   `json:"field,omitempty"`   // for which its document is refused
}

type rootVectors struct {
	Format string       `json:"format"`
	Cases  []rootVector `json:"cases"`
}

func rootCases(t *testing.T) rootVectors {
	f := rootVectors{Format: "chains of roots"}
	c := newChain(t)
	ana, ana2, bo := c.z.Key("ana"), c.z.Key("ana2"), c.z.Key("bo")
	add := func(name string, version, at int64, c *chain) {
		v := rootVector{Name: name, Pin: c.z.Root.Zone().String(), At: at, Version: version, Roots: []string{}}
		for _, e := range c.all {
			v.Roots = append(v.Roots, testkit.EnvelopeText(t, e))
		}
		f.Cases = append(f.Cases, v)
	}
	two := c.after(nil, ana, bo)
	one := func(d *policy.RootDocument) { d.Root.Threshold = 1 }
	add("genesis", 1, testkit.Now, c)
	add("two", 2, testkit.Now, two)
	add("two, by another key", 2, testkit.Now, c.after(nil, ana2, bo))
	add("expired", 0, c.z.Root.Document().Expires, c)
	add("a last second", 1, c.z.Root.Document().Expires-1, c)
	add("without its genesis", 0, testkit.Now, &chain{t, c.z, two.all[1:]})
	add("by one", 0, testkit.Now, c.after(nil, ana))
	add("by two keys of one", 0, testkit.Now, c.after(nil, ana, ana2))
	add("lowers its threshold", 0, testkit.Now, c.after(one, ana))
	add("lowers its threshold, by the old one", 2, testkit.Now, c.after(one, ana, bo))
	add("skips a version", 0, testkit.Now, c.after(func(d *policy.RootDocument) { d.Version++ }, ana, bo))
	add("follows another", 0, testkit.Now, c.after(func(d *policy.RootDocument) { d.Prev[0] ^= 1 }, ana, bo))
	add("a policy", 0, testkit.Now, &chain{t, c.z, []*sign.Envelope{c.z.RootEnvelope, c.z.Envelope}})
	other := *c.z.RootEnvelope
	other.Signatures = nil
	add("a genesis that nobody signed", 0, testkit.Now, &chain{t, c.z, []*sign.Envelope{&other}})
	for _, m := range rootMutations() {
		if m.name == "two keys under one id" || m.field == "gates" && m.name != "no group" {
			continue // large, and like the others
		}
		e := testkit.Envelope(t, policy.RootType, rootOf(t, m.change), ana, bo)
		f.Cases = append(f.Cases, rootVector{Name: m.field + ": " + m.name, Pin: e.Digest().String(), Roots: []string{testkit.EnvelopeText(t, e)}, At: testkit.Now, Field: m.field})
	}
	return f
}

// TestRootVectors verifies what vectors/root/root.json holds.
//
// SPEC ROOT-1, ROOT-2, ROOT-3
func TestRootVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, rootFile, rootCases(t))
	refusals := 0
	for _, v := range f.Cases {
		pin, err := canon.ParseDigest(v.Pin)
		if err != nil {
			t.Fatal(err)
		}
		var all []*sign.Envelope
		for _, s := range v.Roots {
			all = append(all, testkit.EnvelopeOf(t, s))
		}
		r, err := policy.VerifyRoots(pin, all, v.At)
		if v.Version > 0 {
			if err != nil || r.Document().Version != v.Version || r.Zone() != pin {
				t.Errorf("%s: %v", v.Name, err)
			}
			continue
		}
		refusals++
		if !errors.Is(err, policy.ErrPolicy) || v.Field != "" && field(err) != v.Field {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	if refusals < 25 {
		t.Errorf("%d refusals", refusals)
	}
}
