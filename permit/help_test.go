package permit_test

import (
	"fmt"
	"testing"

	"github.com/writhq/writ/credential"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
)

func verify(t testing.TB, z *testkit.Zone, c *credential.Chain) *credential.Verified {
	t.Helper()
	v, err := c.Verify(z.Policy, z.Root)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// refund returns the usual holder's question about a refund.
func refund(t testing.TB, z *testkit.Zone, amount int64) *policy.Question {
	t.Helper()
	o := z.Operation(t, "POST", "/v1/refunds", fmt.Sprintf(`{"order":"8831","amount":%d}`, amount))
	return &policy.Question{
		Subject: testkit.Subject, Actor: z.Holder(0).Public().ID().String(), Action: "http:POST", Target: testkit.Target, Operation: o,
		Purpose: "refund", Level: op.Signed, Group: testkit.Group, Region: "eu", At: testkit.Now,
	}
}

// order returns the usual holder's question about reading an order.
func order(t testing.TB, z *testkit.Zone) *policy.Question {
	t.Helper()
	q := refund(t, z, 1)
	q.Action, q.Operation = "http:GET", z.Operation(t, "GET", "/v1/orders/8831", "")
	return q
}

func denied(t testing.TB, what string, d permit.Decision, code op.Code) {
	t.Helper()
	if d.Permit || d.Denial == nil || d.Denial.Code != code || d.Secret != "" || d.Debits != nil {
		t.Errorf("%s: permit %t, %v", what, d.Permit, d.Denial)
	}
}
