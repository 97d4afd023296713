package custody_test

import (
	"errors"
	"testing"

	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/zone"
)

// TestReach shows what custody says of a secret without a permit: whether it would
// open, and nothing else. SPEC CUST-5.
//
// R1
// guard: reach-digest
func TestReach(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*world)
		want   error // nil: it opens
	}{
		"as it is":              {func(*world) {}, nil},
		"sealed under an older": {func(w *world) { w.succeed() }, nil},
		"bytes missing":         {func(w *world) { delete(w.blobs, w.sealed) }, custody.ErrSecret},
		"a bit of them changed": {func(w *world) {
			b := w.blobs[w.sealed]
			b[len(b)-1] ^= 1 // of the text, which is not decrypted
		}, custody.ErrSecret},
		"another key":           {func(w *world) { w.open(testkit.GateKey(t, "second", w.Gate.ID()), "gate-1") }, custody.ErrSecret},
		"no gate of the root's": {func(w *world) { w.open(w.Gate, "gate-9") }, custody.ErrElsewhere},
		"destroyed": {func(w *world) {
			s, _ := w.zone.Secret(testkit.Alias, testkit.SecretID)
			r := s.Record
			r.State = zone.Destroyed
			w.apply(testkit.Envelope(t, zone.SecretType, r, w.Key("sam")))
		}, custody.ErrSecret},
	} {
		w := newWorld(t, nil)
		c.change(w)
		if err := w.custody.Reach(t.Context(), testkit.Alias, testkit.SecretID); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t, nil)
	if err := w.custody.Reach(t.Context(), testkit.Alias, "nope"); !errors.Is(err, custody.ErrSecret) {
		t.Errorf("a secret that is not there: %v", err)
	}
	if err := w.custody.Reach(t.Context(), "payments/none", testkit.SecretID); !errors.Is(err, custody.ErrSecret) {
		t.Errorf("an alias that is not there: %v", err)
	}
}

// open replaces w's custody by one with another key or id.
func (w *world) open(k seal.GateKey, gate string) {
	var err error
	w.custody, err = custody.New(custody.Config{Gate: gate, Keys: []seal.GateKey{k}, Intents: w, Laws: w, Blobs: w, Now: func() int64 { return w.now }})
	if err != nil {
		w.t.Fatal(err)
	}
}
