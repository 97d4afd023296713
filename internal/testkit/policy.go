package testkit

import (
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/http"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

// Rules are those of the usual policy: orders may be read, refunds up to 50.00
// be made for the purpose refund.
const Rules = `@id("read-orders")
permit (principal, action == Action::"http:GET", resource)
when { resource.path like "/v1/orders/*" };
@id("refund-small") @control("psp-7.2")
permit (principal, action == Action::"http:POST", resource)
when { resource.path == "/v1/refunds" && context.purpose == "refund" && context.body.amount <= 5000 };
@id("no-negative")
forbid (principal, action == Action::"http:POST", resource)
when { context.body.amount < 0 };
`

// Language is the language of Rules.
func Language() policy.Language {
	return policy.Language{Cedar: "4", Mappers: map[string]int{"http": 1}}
}

// Document returns the first policy of the usual line, for a zone.
func Document(zone canon.Digest) *policy.Document {
	return &policy.Document{
		Alias: Alias, Version: 1, Zone: zone, NotBefore: Now - 86400, Expires: Now + 90*86400,
		Language: Language(), Rules: Rules,
		Operations: []policy.Operation{
			{Declaration: op.Declaration{Type: "http", Targets: []string{Target}, Actions: []string{"http:GET"}}},
			{Declaration: op.Declaration{
				Type: "http", Targets: []string{Target}, Actions: []string{"http:POST"}, Headers: []string{"x-reason"},
				Body: &op.Body{Types: []string{"application/json"}, Members: []op.Member{
					{Path: "order", Type: "string", Required: true},
					{Path: "amount", Type: "int", Required: true},
				}},
			}},
		},
		Targets: []policy.Target{{
			ID: Target, Kind: "http", Origin: Origin, Region: "eu", Secret: SecretID,
			Inject: policy.Inject{How: "header", Name: "authorization", Prefix: "Bearer "},
		}},
		Secrets: []policy.Secret{{
			ID: SecretID, Kind: Kind, Sealers: sign.Quorum{Members: []string{"sam", "sue"}, Threshold: 1},
			Recipients: policy.Recipients{Group: Group, T: 1},
		}},
		Purposes: []policy.Purpose{
			{ID: "refund", Text: "Return money for a customer's request"},
			{ID: "lookup", Text: "Answer a customer"},
		},
		Quotas: []policy.Quota{
			{ID: "amount-day", Per: "alias", WindowS: 86400, Limit: 500000, Unit: "minor", Amount: "body.amount", Hard: true},
		},
		Pop: policy.Pop{Default: op.Channel, Actions: map[string]op.Level{"http:POST": op.Signed}},
		Delegation: policy.Delegation{
			Issuers: []policy.Issuer{
				{Principal: "iris", Subjects: []string{"svc/*", "person/ana"}},
				{Principal: "ivo", Subjects: []string{"svc/*"}},
			},
			Threshold: 1, MaxDepth: 4, MaxTTLS: 86400,
		},
		Receipts:   policy.Receipts{Mode: "durable"},
		Freshness:  policy.Freshness{MaxStalenessS: 60},
		Governance: policy.Governance{Successor: sign.Quorum{Members: []string{"ana", "bo"}, Threshold: 2}},
	}
}

// Next returns the document that follows p, before any change.
func Next(p *policy.Verified) *policy.Document {
	d := *p.Document()
	d.Version++
	d.Prev = p.ID()
	return &d
}

// Successor returns the policy that follows p, changed and signed by ana and bo.
func (z *Zone) Successor(t testing.TB, p *policy.Verified, change func(*policy.Document)) *policy.Verified {
	t.Helper()
	d := Next(p)
	if change != nil {
		change(d)
	}
	next, err := policy.Verify(Envelope(t, policy.PayloadType, d, z.Key("ana"), z.Key("bo")), z.Root, p)
	if err != nil {
		t.Fatalf("successor: %v", err)
	}
	return next
}

// Twin returns a policy of z's line with the version of z.Policy, changed and
// signed by the same quorum.
func (z *Zone) Twin(t testing.TB, change func(*policy.Document)) *policy.Verified {
	t.Helper()
	d := *z.Policy.Document()
	change(&d)
	twin, err := policy.Verify(Envelope(t, policy.PayloadType, &d, z.Key("ana"), z.Key("bo")), z.Root, nil)
	if err != nil {
		t.Fatalf("twin: %v", err)
	}
	return twin
}

// Operation returns the operation of an HTTP request to the target; body is JSON,
// or "" for none.
func (z *Zone) Operation(t testing.TB, method, path, body string) *op.Operation {
	t.Helper()
	decl, ok := z.Policy.Document().Operation("http:"+method, Target)
	if !ok {
		t.Fatalf("the policy declares no %s", method)
	}
	w := http.Wire{Method: method, Target: Target, Origin: Origin, RawPath: path}
	if body != "" {
		w.Header = [][2]string{{"content-type", "application/json"}}
		w.Body, w.HasBody = []byte(body), true
	}
	o, err := http.NewOperation(w, &decl.Declaration, [http.SaltBytes]byte{1})
	if err != nil {
		t.Fatalf("operation: %v", err)
	}
	return o
}
