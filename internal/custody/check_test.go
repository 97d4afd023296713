package custody_test

import (
	"errors"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/zone"
)

// TestCheckAsksTheLaw shows permits for acts that open nothing, which the policy log
// has overtaken. SPEC CUST-2.
//
// R27 R28 A3 A5
// guard: open-root-in-time, open-revoked
func TestCheckAsksTheLaw(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world, p *permit.Permit){
		"policy succeeded": func(w *world, _ *permit.Permit) { w.succeed() },
		"policy revoked":   func(w *world, _ *permit.Permit) { w.revoke(zone.RevokePolicy, w.Policy.ID()) },
		"gate revoked":     func(w *world, _ *permit.Permit) { w.revoke(zone.RevokeGate, canon.Hash([]byte("gate-1"))) },
		"root expired": func(w *world, p *permit.Permit) {
			w.now += 200 * 86400
			p.Expires = w.now + permit.MaxLifetime
		},
		"": func(*world, *permit.Permit) {},
	} {
		w := newWorld(t, nil)
		p := w.permit()
		change(w, p)
		if err := w.custody.Check(p); (err == nil) != (name == "") || err != nil && !errors.Is(err, custody.ErrPermit) {
			t.Errorf("%q: %v", name, err)
		}
		if err := w.custody.Check(p); !errors.Is(err, custody.ErrPermit) {
			t.Errorf("%q, once more: %v", name, err)
		}
	}
}

// TestForgottenWhileOpening shows that what was opened across a change of the log
// is not kept.
//
// R28 R29
func TestForgottenWhileOpening(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	read := 0
	w.reading = func() {
		if read++; read == 1 {
			w.custody.Forget()
		}
	}
	for range 3 {
		s, err := w.custody.Open(t.Context(), w.permit())
		if err != nil || plain(s) != testkit.Plain {
			t.Fatalf("open: %v", err)
		}
	}
	if read != 2 { // the second was kept
		t.Errorf("read %d times, want 2", read)
	}
}
