package testkit_test

import (
	"testing"

	"github.com/writhq/writ/internal/testkit"
)

// TestWorld sees that the world holds together and is the same twice.
func TestWorld(t *testing.T) {
	t.Parallel()
	a, b := testkit.NewZone(t), testkit.NewZone(t)
	if a.Root.Zone() != b.Root.Zone() || a.Policy.ID() != b.Policy.ID() {
		t.Error("two zones of one seed differ")
	}
	if c, d := a.Credential(t, 3), b.Credential(t, 3); c.Digest() != d.Digest() {
		t.Error("two credentials of one seed differ")
	}
	if a.Operation(t, "POST", "/v1/refunds", `{"order":"8831","amount":100}`) == nil {
		t.Error("no operation")
	}
	if next := a.Successor(t, a.Policy, nil); next.Document().Version != 2 {
		t.Error("the successor is not version 2")
	}
	other := testkit.NewZoneWith(t, testkit.Config{Seed: "other "})
	if other.Root.Zone() == a.Root.Zone() {
		t.Error("another seed gives the same zone")
	}
	st, blob := a.Sealed(t)
	if st == nil || len(blob) == 0 {
		t.Error("nothing is sealed")
	}
}
