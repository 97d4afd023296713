package policy_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// A mutation is a change that makes a good document bad, and the field that the
// refusal must name.
type mutation struct {
	field, name string
	change      func(*policy.Document)
}

func many[T any](n int, one func(i int) T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = one(i)
	}
	return out
}

func badLines() []mutation {
	long := strings.Repeat("a", 129)
	return []mutation{
		{"alias", "empty", func(d *policy.Document) { d.Alias = "" }},
		{"alias", "long", func(d *policy.Document) { d.Alias = long }},
		{"alias", "space", func(d *policy.Document) { d.Alias = "payments/re funds" }},
		{"alias", "look-alike", func(d *policy.Document) { d.Alias = "p\u0430yments/refunds" }},
		{"alias", "dots", func(d *policy.Document) { d.Alias = "payments/../admin" }},
		{"alias", "one dot", func(d *policy.Document) { d.Alias = "payments/./x" }},
		{"alias", "empty part", func(d *policy.Document) { d.Alias = "payments//refunds" }},
		{"alias", "slash at the end", func(d *policy.Document) { d.Alias = "payments/" }},
		{"version", "zero", func(d *policy.Document) { d.Version = 0 }},
		{"version", "negative", func(d *policy.Document) { d.Version = -1 }},
		{"prev", "missing", func(d *policy.Document) { d.Version = 2 }},
		{"prev", "of the first", func(d *policy.Document) { d.Prev[0] = 1 }},
		{"zone", "missing", func(d *policy.Document) { d.Zone = canon.Digest{} }},
		{"not_before", "negative", func(d *policy.Document) { d.NotBefore = -1 }},
		{"expires", "at once", func(d *policy.Document) { d.Expires = d.NotBefore }},
		{"expires", "before", func(d *policy.Document) { d.Expires = 1 }},
		{"language", "no cedar", func(d *policy.Document) { d.Language.Cedar = "" }},
		{"language", "another cedar", func(d *policy.Document) { d.Language.Cedar = "5" }},
		{"language", "mapper version", func(d *policy.Document) { d.Language.Mappers = map[string]int{"http": 2} }},
		{"language", "unknown mapper", func(d *policy.Document) { d.Language.Mappers = map[string]int{"http": 1, "ftp": 1} }},
		{"approvals", "unsupported", func(d *policy.Document) { d.Approvals = []policy.Approval{{ID: "a", Members: []string{"ana"}}} }},
		{"lineage", "unsupported", func(d *policy.Document) { d.Lineage = []policy.Lineage{{ID: "a", Groups: []string{"prod"}}} }},
		{"labels", "unsupported", func(d *policy.Document) { d.Labels = []policy.Label{{Add: "a"}} }},
		{"requires", "unsupported", func(d *policy.Document) { d.Requires = []string{"payments/all"} }},
		{"crit", "unsupported", func(d *policy.Document) { d.Crit = []string{"time-travel"} }},
		{"receipts", "no mode", func(d *policy.Document) { d.Receipts.Mode = "" }},
		{"receipts", "witnessed", func(d *policy.Document) { d.Receipts.Mode = "witnessed" }},
		{"receipts", "retain", func(d *policy.Document) { d.Receipts.RetainS = -1 }},
		{"freshness", "zero", func(d *policy.Document) { d.Freshness.MaxStalenessS = 0 }},
		{"freshness", "more than a week", func(d *policy.Document) { d.Freshness.MaxStalenessS = 7*86400 + 1 }},
		{"pop", "bearer by default", func(d *policy.Document) { d.Pop.Default = op.Bearer }},
		{"pop", "beyond a person", func(d *policy.Document) { d.Pop.Default = op.Person + 1 }},
		{"pop", "action beyond a person", func(d *policy.Document) { d.Pop.Actions = map[string]op.Level{"http:POST": 5} }},
		{"pop", "negative", func(d *policy.Document) { d.Pop.Actions = map[string]op.Level{"http:POST": -1} }},
		{"pop", "misspelt action", func(d *policy.Document) { d.Pop.Actions = map[string]op.Level{"http:PSOT": 3} }},
		{"purposes", "twice", func(d *policy.Document) { d.Purposes = append(d.Purposes, policy.Purpose{ID: "refund"}) }},
		{"purposes", "no id", func(d *policy.Document) { d.Purposes = append(d.Purposes, policy.Purpose{}) }},
		{"purposes", "long text", func(d *policy.Document) { d.Purposes[0].Text = strings.Repeat("x", 513) }},
		{"purposes", "too many", func(d *policy.Document) {
			d.Purposes = many(257, func(i int) policy.Purpose { return policy.Purpose{ID: fmt.Sprint("p", i)} })
		}},
	}
}

func badTargets() []mutation {
	target := func(change func(*policy.Target)) func(*policy.Document) {
		return func(d *policy.Document) {
			t := d.Targets[0]
			change(&t)
			d.Targets = []policy.Target{t}
		}
	}
	inject := func(i policy.Inject) func(*policy.Document) { return target(func(t *policy.Target) { t.Inject = i }) }
	secret := func(change func(*policy.Secret)) func(*policy.Document) {
		return func(d *policy.Document) { change(&d.Secrets[0]) }
	}
	return []mutation{
		{"targets", "twice", func(d *policy.Document) { d.Targets = append(d.Targets, d.Targets[0]) }},
		{"targets", "kind", target(func(t *policy.Target) { t.Kind = "gopher" })},
		{"targets", "path in the origin", target(func(t *policy.Target) { t.Origin += "/v1" })},
		{"targets", "user in the origin", target(func(t *policy.Target) { t.Origin = "https://eve@shop.example" })},
		{"targets", "upper case", target(func(t *policy.Target) { t.Origin = "https://Shop.example" })},
		{"targets", "another scheme", target(func(t *policy.Target) { t.Origin = "ftp://shop.example" })},
		{"targets", "cleartext", target(func(t *policy.Target) { t.Origin = "http://shop.example" })},
		{"targets", "pin", target(func(t *policy.Target) { t.Pins = []string{"sha256:00"} })},
		{"targets", "pin twice", target(func(t *policy.Target) { p := canon.Hash(nil).String(); t.Pins = []string{p, p} })},
		{"targets", "region", target(func(t *policy.Target) { t.Region = "e u" })},
		{"targets", "unknown secret", target(func(t *policy.Target) { t.Secret = "other" })},
		{"targets", "no secret", target(func(t *policy.Target) { t.Secret = "" })},
		{"targets", "secret for nothing", inject(policy.Inject{How: "none"})},
		{"targets", "inject unknown", inject(policy.Inject{How: "body", Name: "key"})},
		{"targets", "inject nothing", inject(policy.Inject{})},
		{"targets", "header without name", inject(policy.Inject{How: "header"})},
		{"targets", "header in upper case", inject(policy.Inject{How: "header", Name: "Authorization"})},
		{"targets", "header with a line break", inject(policy.Inject{How: "header", Name: "a\r\nb"})},
		{"targets", "host", inject(policy.Inject{How: "header", Name: "host"})},
		{"targets", "framing", inject(policy.Inject{How: "header", Name: "transfer-encoding"})},
		{"targets", "prefix with a line break", inject(policy.Inject{How: "header", Name: "authorization", Prefix: "x\r\nhost: y"})},
		{"targets", "prefix beyond ASCII", inject(policy.Inject{How: "header", Name: "authorization", Prefix: "B\u0435arer "})},
		{"targets", "prefix of a query", inject(policy.Inject{How: "query", Name: "key", Prefix: "x"})},
		{"targets", "basic with a colon", inject(policy.Inject{How: "basic", Name: "a:b"})},
		{"secrets", "twice", func(d *policy.Document) { d.Secrets = append(d.Secrets, d.Secrets[0]) }},
		{"secrets", "no kind", secret(func(s *policy.Secret) { s.Kind = "" })},
		{"secrets", "no group", secret(func(s *policy.Secret) { s.Recipients.Group = "" })},
		{"secrets", "t of 2", secret(func(s *policy.Secret) { s.Recipients.T = 2 })},
		{"secrets", "t of 0", secret(func(s *policy.Secret) { s.Recipients.T = 0 })},
		{"secrets", "no sealers", secret(func(s *policy.Secret) { s.Sealers = sign.Quorum{Members: []string{}} })},
		{"secrets", "sealer twice", secret(func(s *policy.Secret) { s.Sealers.Members = []string{"sam", "sam"} })},
	}
}

func badAuthority() []mutation {
	quota := func(change func(*policy.Quota)) func(*policy.Document) {
		return func(d *policy.Document) { change(&d.Quotas[0]) }
	}
	operation := func(i int, change func(*policy.Operation)) func(*policy.Document) {
		return func(d *policy.Document) { change(&d.Operations[i]) }
	}
	response := func(r policy.Response) func(*policy.Document) {
		return operation(0, func(o *policy.Operation) { o.Response = &r })
	}
	statements := func(r policy.Response) func(*policy.Document) {
		return func(d *policy.Document) {
			d.Language.Mappers = map[string]int{"http": 1, "sql": 1}
			d.Operations = append(d.Operations, policy.Operation{
				Declaration: op.Declaration{Type: "sql", Targets: []string{testkit.Target}, Actions: []string{"sql:connect"}}, Response: &r,
			})
		}
	}
	issuers := func(i ...policy.Issuer) func(*policy.Document) {
		return func(d *policy.Document) { d.Delegation.Issuers = append([]policy.Issuer{}, i...) }
	}
	return []mutation{
		{"operations", "none", func(d *policy.Document) { d.Operations = []policy.Operation{} }},
		{"operations", "type", operation(0, func(o *policy.Operation) { o.Type = "sql" })},
		{"operations", "type not among mappers", func(d *policy.Document) { d.Language.Mappers = map[string]int{} }},
		{"operations", "unknown target", operation(0, func(o *policy.Operation) { o.Targets = []string{"other"} })},
		{"operations", "unknown method", operation(0, func(o *policy.Operation) { o.Actions = []string{"http:TRACE"} })},
		{"operations", "action twice", operation(1, func(o *policy.Operation) { o.Actions = []string{"http:POST", "http:GET"}; o.Body = nil })},
		{"operations", "member type", operation(1, func(o *policy.Operation) { o.Body.Members[1].Type = "float" })},
		{"operations", "response size", response(policy.Response{MaxBytes: -1})},
		{"operations", "response header", response(policy.Response{Headers: []string{"X-Upper"}})},
		{"operations", "response header that frames", response(policy.Response{Headers: []string{"transfer-encoding"}})},
		{"operations", "response header twice", response(policy.Response{Headers: []string{"x-a", "x-a"}})},
		{"operations", "redact", response(policy.Response{Redact: []string{"card..number"}})},
		{"operations", "rows of HTTP", response(policy.Response{MaxRows: 1})},
		{"operations", "seconds of HTTP", response(policy.Response{MaxSeconds: 1})},
		{"operations", "rows", statements(policy.Response{MaxRows: -1})},
		{"operations", "seconds", statements(policy.Response{MaxSeconds: -1})},
		{"operations", "headers of SQL", statements(policy.Response{Headers: []string{"x-a"}})},
		{"operations", "paths of SQL", statements(policy.Response{Redact: []string{"a"}})},
		{"quotas", "twice", func(d *policy.Document) { d.Quotas = append(d.Quotas, d.Quotas[0]) }},
		{"quotas", "per", quota(func(q *policy.Quota) { q.Per = "planet" })},
		{"quotas", "limit", quota(func(q *policy.Quota) { q.Limit = -1 })},
		{"quotas", "window", quota(func(q *policy.Quota) { q.WindowS = -1 })},
		{"quotas", "unit", quota(func(q *policy.Quota) { q.Unit = "" })},
		{"quotas", "uses", quota(func(q *policy.Quota) { q.ID = "uses" })},
		{"quotas", "amount that is not declared", quota(func(q *policy.Quota) { q.Amount = "body.cents"; q.Actions = []string{"http:POST"} })},
		{"quotas", "amount of text", quota(func(q *policy.Quota) { q.Amount = "body.order" })},
		{"quotas", "amount that may be absent", operation(1, func(o *policy.Operation) { o.Body.Members[1].Required = false })},
		{"quotas", "amount nobody has", quota(func(q *policy.Quota) { q.Amount = "query.n" })},
		{"quotas", "amount of an action without", quota(func(q *policy.Quota) { q.Actions = []string{"http:GET"} })},
		{"quotas", "misspelt action", quota(func(q *policy.Quota) { q.Actions = []string{"http:POST", "http:PUTT"} })},
		{"quotas", "action twice", quota(func(q *policy.Quota) { q.Actions = []string{"http:POST", "http:POST"} })},
		{"delegation", "nobody", issuers()},
		{"delegation", "no subjects", issuers(policy.Issuer{Principal: "iris", Subjects: []string{}})},
		{"delegation", "empty pattern", issuers(policy.Issuer{Principal: "iris", Subjects: []string{""}})},
		{"delegation", "star in the middle", issuers(policy.Issuer{Principal: "iris", Subjects: []string{"svc/*/x"}})},
		{"delegation", "issuer twice", issuers(policy.Issuer{Principal: "iris", Subjects: []string{"*"}}, policy.Issuer{Principal: "iris", Subjects: []string{"*"}})},
		{"delegation", "threshold of 0", func(d *policy.Document) { d.Delegation.Threshold = 0 }},
		{"delegation", "threshold of 3", func(d *policy.Document) { d.Delegation.Threshold = 3 }},
		{"delegation", "depth", func(d *policy.Document) { d.Delegation.MaxDepth = 9 }},
		{"delegation", "negative depth", func(d *policy.Document) { d.Delegation.MaxDepth = -1 }},
		{"delegation", "lifetime", func(d *policy.Document) { d.Delegation.MaxTTLS = 0 }},
		{"governance", "nobody", func(d *policy.Document) { d.Governance.Successor = sign.Quorum{Members: []string{}} }},
		{"governance", "one person twice", func(d *policy.Document) { d.Governance.Successor.Members = []string{"ana", "ana"} }},
		{"governance", "more than there are", func(d *policy.Document) { d.Governance.Successor.Threshold = 3 }},
		{"governance", "negative delay", func(d *policy.Document) { d.Governance.DelayS = -1 }},
		{"governance", "delay", func(d *policy.Document) { d.Governance.DelayS = 60 }},
		{"governance", "override", func(d *policy.Document) {
			d.Governance.Override = &policy.Override{Quorum: sign.Quorum{Members: []string{"ana"}, Threshold: 1}, MaxS: 60}
		}},
		{"rules", "none", func(d *policy.Document) { d.Rules = "" }},
		{"rules", "not Cedar", func(d *policy.Document) { d.Rules = "allow all;" }},
		{"rules", "a field that does not exist", func(d *policy.Document) {
			d.Rules = `@id("a") permit (principal, action, resource) when { context.body.amount > 1 };`
		}},
	}
}

func mutations() []mutation {
	return append(append(badLines(), badTargets()...), badAuthority()...)
}

// mutated returns the usual document, changed.
func mutated(m mutation) *policy.Document {
	d := testkit.Document(canon.Hash([]byte("zone")))
	m.change(d)
	return d
}

// TestParseNamesField refuses each bad document, and says which field is bad.
//
// SPEC POLICY-1
// A40: a version of a mapper that this gate has not
// A7: a quota whose amount may be absent or is no integer
// guard: zone-named, mapper-version, unsupported-feature, inject-printable, inject-header-name, inject-cleartext
// guard: response-framing, response-rows, response-sql, quota-amount-required, quota-action-declared, pop-action-declared, subject-pattern
func TestParseNamesField(t *testing.T) {
	t.Parallel()
	good := encode(t, testkit.Document(canon.Hash([]byte("zone"))))
	if _, err := policy.Parse(good); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range mutations() {
		_, err := policy.Parse(encode(t, mutated(m)))
		refused(t, m.field+": "+m.name, err, policy.ErrDocument)
		if got := field(err); got != m.field {
			t.Errorf("%s: %s: the refusal names %q: %v", m.field, m.name, got, err)
		}
		n++
	}
	if n < 100 {
		t.Errorf("%d documents", n)
	}
}

// TestParseOneForm refuses what says the same in another form.
//
// SPEC POLICY-1
// R21
func TestParseOneForm(t *testing.T) {
	t.Parallel()
	good := encode(t, testkit.Document(canon.Hash([]byte("zone"))))
	for name, b := range map[string][]byte{
		"empty": nil, "null": []byte("null"), "array": []byte("[]"),
		"cut short": good[:len(good)-1], "something after": append(bytes.Clone(good), ' '), "space": append([]byte{' '}, good...),
		"space inside": swap(t, good, `"alias":`, `"alias": `), "unknown field": swap(t, good, `"alias":`, `"alais":"","alias":`),
		"name twice": swap(t, good, `"alias":`, `"alias":"x","alias":`), "other case": swap(t, good, `"rules":`, `"Rules":`),
		"long s": swap(t, good, `"rules":`, `"ruleſ":`), "another order": swap(t, good, `{"alias":"payments/refunds",`, `{`),
		"escape": swap(t, good, `"payments/refunds"`, `"payments\u002frefunds"`), "null list": swap(t, good, `"purposes":[`, `"requires":null,"purposes":[`),
		"empty list": swap(t, good, `"purposes":[`, `"approvals":[],"purposes":[`), "fraction": swap(t, good, `"version":1`, `"version":1.0`),
		"unknown field inside": swap(t, good, `"pop":{`, `"pop":{"a":1,`), "too large": append(bytes.Clone(good), make([]byte, policy.MaxPolicyBytes)...),
		"text for a number": swap(t, good, `"version":1`, `"version":"1"`), "beyond 2^53": swap(t, good, `"version":1`, `"version":9007199254740993`),
	} {
		_, err := policy.Parse(b)
		refused(t, name, err, policy.ErrDocument)
		if field(err) != "form" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestParseInjects takes every way to put a secret in.
func TestParseInjects(t *testing.T) {
	t.Parallel()
	for _, i := range []policy.Inject{
		{How: "none"}, {How: "header", Name: "x-api-key"}, {How: "query", Name: "key"}, {How: "basic", Name: "svc"},
		{How: "header", Name: "authorization", Prefix: "Bearer "}, {How: "sigv4", Name: "eu-central-1/s3"}, {How: "client_certificate"},
	} {
		d := testkit.Document(canon.Hash([]byte("zone")))
		d.Targets[0].Inject = i
		if i.How == "none" {
			d.Targets[0].Secret = ""
		}
		if _, err := policy.Parse(encode(t, d)); err != nil {
			t.Errorf("%+v: %v", i, err)
		}
	}
	if errors.Is(policy.ErrUnsupported, policy.ErrDocument) {
		t.Error("one error for two things")
	}
}

// FuzzPolicy: what parses encodes back to the same bytes.
func FuzzPolicy(f *testing.F) {
	f.Add(encode(f, testkit.Document(canon.Hash([]byte("zone")))))
	for _, m := range mutations() {
		f.Add(encode(f, mutated(m)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := policy.Parse(b)
		if err != nil {
			if !errors.Is(err, policy.ErrPolicy) {
				t.Errorf("%q: %v", b, err)
			}
			return
		}
		if again := encode(t, d); !bytes.Equal(again, b) {
			t.Errorf("%q encodes to %q", b, again)
		}
	})
}
