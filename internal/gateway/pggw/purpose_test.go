package pggw_test

import (
	"testing"

	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// TestPurpose shows statements that name their purpose, in both ways that a policy
// can turn on, and a policy that has turned on neither.
//
// SPEC PGGW-12
// A15
// guard: comment-declared, purpose-once
func TestPurpose(t *testing.T) {
	t.Parallel()
	on := newWorld(t, func(d *policy.Document) {
		broad(d)
		d.Operations[1].SQL.PurposeComment = true
		d.Operations[1].SQL.Settings = append(d.Operations[1].SQL.Settings, "writ.purpose")
		d.Rules += `@id("no-lookup") forbid (principal, action == Action::"sql:update", resource) when { context.purpose == "lookup" };`
	})
	off := newWorld(t, nil)
	const read, change = "SELECT id FROM orders WHERE id = 1", "UPDATE orders SET status = 'x' WHERE id = 1"
	for _, tt := range []struct {
		sql     string
		purpose string // of its receipt; "": it is denied
		off     bool   // permitted where nothing was turned on
	}{
		{read, "refund", true},
		{read + " /*writ_purpose='lookup'*/", "lookup", false},
		{read + " /* route='a%20b', writ_purpose='lookup',traceparent='00-1' */ ; ", "lookup", false},
		{change + " /*writ_purpose='refund'*/", "refund", false},
		{change + " /*writ_purpose='lookup'*/", "", false},
		{read + " /*writ_purpose='fun'*/", "", false},
		{read + " /*writ_purpose='lookup',writ_purpose='refund'*/", "", false},
		{read + " /*writ_purpose=lookup*/", "", false},
		{read + " /*writ_purpose=''*/", "", false},
		{"SELECT '/*writ_purpose=''lookup''*/'", "refund", true},
		{"/*writ_purpose='lookup'*/ " + read, "refund", true},
		{read + " /*controller='x'*/", "refund", true},
		{"SET writ.purpose = 'lookup'", "lookup", false},
		{read, "lookup", true},
		{read + " /*writ_purpose='refund'*/", "refund", false},
		{change, "", true},
		{"RESET ALL", "refund", false},
		{read, "refund", true},
		{"SET writ.purpose = 'lookup'", "lookup", false},
		{"RESET writ.purpose", "refund", false},
		{read, "refund", true},
		{"SET writ.purpose = 'lookup'", "lookup", false},
		{"SET LOCAL writ.purpose = 'refund'", "", false},
		{"SET writ.purpose = 'fun'", "", false},
		{read, "lookup", true},
		{"DISCARD ALL", "refund", false},
		{read, "refund", true},
	} {
		for name, w := range map[string]*world{"on": on, "off": off} {
			if w.asked == nil {
				w.asked = w.client(t)
			}
			before := len(w.Receipts(receipt.Intent))
			_, err := query(t, w.asked, tt.sql)
			permitted := tt.purpose != ""
			if name == "off" {
				permitted = tt.off
			}
			if permitted != (err == nil) || !permitted && denied(err) == nil {
				t.Errorf("%s: %s: %v", name, tt.sql, err)
			}
			list := w.Receipts(receipt.Intent)
			if name == "on" && permitted && (len(list) != before+1 || list[before].Purpose != tt.purpose) {
				t.Errorf("%s: its purpose is %q, want %q", tt.sql, list[len(list)-1].Purpose, tt.purpose)
			}
		}
	}
	before := len(on.Receipts(receipt.Intent))
	if _, err := query(t, on.asked, "SET writ.purpose = 'lookup'; "+read); err != nil {
		t.Error(err)
	}
	for _, r := range on.Receipts(receipt.Intent)[before:] {
		if r.Purpose != "lookup" {
			t.Errorf("of two in one query, %s is for %s", r.Action, r.Purpose)
		}
	}
	if r := on.asked.ExecParams(t.Context(), read+" /*writ_purpose='refund'*/", nil, nil, nil, nil).Read(); r.Err != nil {
		t.Errorf("in the extended protocol: %v", r.Err)
	}
}
