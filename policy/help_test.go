package policy_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
)

var update = flag.Bool("update", false, "write vectors/policy and vectors/root from the cases in this package")

// question returns the usual question about an operation: a holder with a proof
// of level 3, at a gate of the usual group.
func question(z *testkit.Zone, o *op.Operation, method, purpose string) *policy.Question {
	return &policy.Question{
		Subject: testkit.Subject, Actor: z.Holder(0).Public().ID().String(), Action: "http:" + method, Target: testkit.Target,
		Operation: o, Purpose: purpose, Level: op.Signed, Group: testkit.Group, Region: "eu", At: testkit.Now,
	}
}

// refund asks for a refund of the amount.
func refund(t testing.TB, z *testkit.Zone, amount int64) *policy.Question {
	t.Helper()
	o := z.Operation(t, "POST", "/v1/refunds", fmt.Sprintf(`{"order":"8831","amount":%d}`, amount))
	return question(z, o, "POST", "refund")
}

// order asks to read an order.
func order(t testing.TB, z *testkit.Zone) *policy.Question {
	t.Helper()
	return question(z, z.Operation(t, "GET", "/v1/orders/8831", ""), "GET", "lookup")
}

// denied fails the test unless r denies with the code.
func denied(t testing.TB, what string, r policy.Ruling, code op.Code) {
	t.Helper()
	if r.Permit || r.Denial == nil || r.Denial.Code != code {
		t.Errorf("%s: permit %t, %v", what, r.Permit, r.Denial)
	}
}

// permitted fails the test unless r permits by the rules of its first layer.
func permitted(t testing.TB, what string, r policy.Ruling, rules ...string) {
	t.Helper()
	if !r.Permit || r.Denial != nil {
		t.Errorf("%s: %v", what, r.Denial)
		return
	}
	if rules != nil && fmt.Sprint(r.Layers[0].Rules) != fmt.Sprint(rules) {
		t.Errorf("%s: decided by %v, want %v", what, r.Layers[0].Rules, rules)
	}
}

// block returns the rules of a credential block.
func block(t testing.TB, text string) *policy.Rules {
	t.Helper()
	r, err := policy.ParseBlockRules(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// zoneWith returns the usual zone with a changed policy.
func zoneWith(t testing.TB, change func(*policy.Document)) *testkit.Zone {
	t.Helper()
	return testkit.NewZoneWith(t, testkit.Config{Policy: change})
}

// zoneOfRules returns the usual zone with other rules.
func zoneOfRules(t testing.TB, rules string) *testkit.Zone {
	t.Helper()
	return zoneWith(t, func(d *policy.Document) { d.Rules = rules })
}

// encode returns v in JCS.
func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := canon.EncodeJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refused fails the test unless err wraps want and is of this package.
func refused(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || !errors.Is(err, policy.ErrPolicy) {
		t.Errorf("%s: %v", what, err)
	}
}

// field returns the field that err names, or "form".
func field(err error) string {
	if f, ok := errors.AsType[*policy.FieldError](err); ok {
		return f.Field
	}
	return "form"
}

// swap returns b with the first old replaced; it must be there.
func swap(t testing.TB, b []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%s is not there", old)
	}
	return []byte(strings.Replace(string(b), old, new, 1))
}

// next returns the envelope of the successor of p, changed and signed.
func next(t testing.TB, p *policy.Verified, change func(*policy.Document), by ...sign.Signer) *sign.Envelope {
	t.Helper()
	d := testkit.Next(p)
	if change != nil {
		change(d)
	}
	return testkit.Envelope(t, policy.PayloadType, d, by...)
}
