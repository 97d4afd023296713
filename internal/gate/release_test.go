package gate_test

import (
	"slices"
	"testing"

	"github.com/writhq/writ/internal/gate"
	"github.com/writhq/writ/internal/state"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/op/release"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

// releasing makes the policy allow a release, and refuse what is ungoverned to
// POST.
func releasing(d *policy.Document) {
	d.Operations = append(d.Operations, policy.Operation{Declaration: op.Declaration{
		Type: "release", Targets: []string{testkit.Target}, Actions: []string{release.Action},
	}})
	d.Language.Mappers = map[string]int{"http": 1, "release": 1}
	d.Rules += `@id("release") permit (principal, action == Action::"release:secret", resource);
@id("known-elsewhere") forbid (principal, action == Action::"http:POST", resource) when { context.labels.contains("ungoverned") };`
}

func (w *world) release() *gate.Request {
	r := w.request(w.Credential(w.t, 1))
	o, err := release.NewOperation(testkit.Target, [16]byte{1})
	if err != nil {
		w.t.Fatal(err)
	}
	r.Operation, r.Action = o, release.Action
	return r
}

// TestUseWhileReleasing shows a use that was decided before a release and comes to
// be recorded after it: it is not done without the label.
//
// R61
// guard: use-after-release
func TestUseWhileReleasing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, releasing)
	first := w.refund(w.Credential(t, 1), "100")
	w.between = func() { // after the decision, before the record
		w.between = nil
		w.mustPermit(w.release())
	}
	w.mustDeny(first, op.StateUnavailable)
	w.mustDeny(w.refund(w.Credential(t, 1), "100"), op.Forbidden)
}

// TestRelease shows a secret in the clear: denied by default, signed for, and
// marked from then on. SPEC RELEASE-2, RELEASE-3, RELEASE-4.
//
// R61
// guard: release-signed, release-marked
func TestRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.mustDeny(w.release(), op.NotDeclared)

	w = newWorld(t, releasing)
	unsigned := w.release()
	unsigned.Level = op.Channel
	w.mustDeny(unsigned, op.ProofInsufficient)
	w.mustPermit(w.refund(w.Credential(t, 1), "100"))

	p := w.mustPermit(w.release())
	if _, err := w.gate.Finish(t.Context(), p, gate.Outcome{Class: receipt.OK}); err != nil {
		t.Fatal(err)
	}
	w.mustPermit(w.request(w.Credential(t, 1)))
	w.mustDeny(w.refund(w.Credential(t, 1), "100"), op.Forbidden)
	restored := state.New()
	for _, r := range w.seen[2:] {
		restored.Restore(r, testkit.Now)
		if r.Kind == receipt.Intent && r.OpType == "http/1" && r.Seq < 3 {
			continue
		}
		if (r.Kind == receipt.Intent || r.Kind == receipt.Outcome) && r.Seq > 2 && !slices.Contains(r.Labels, gate.Ungoverned) {
			t.Errorf("receipt %d (%s) is not marked", r.Seq, r.Kind)
		}
	}
	if !restored.Released(state.ReleasedKey(testkit.Alias, receipt.SecretRef{ID: testkit.SecretID, Version: 1})) {
		t.Error("a restart forgets that the secret is known elsewhere")
	}
}
