package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/receipt"
)

// TestPowerLoss shows a folder as a crash leaves it. If the machine has started
// since, uses may be forgotten, and proofs from before are refused, also those of
// a clock that is fast; if only the process had ended, nothing is.
//
// SPEC STATE-6
// R18 A33
// guard: power-lost, replay-lost
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	for name, machine := range map[string]string{"process killed": "run 1", "machine started": "run 2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, testgate.Config{Machine: "run 1"})
			h := g.Client(g.Wide(1), g.Holder(0), "refund")
			if status, body := order(t, g, h); status != 200 {
				t.Fatalf("status %d: %s", status, body)
			}
			dir := t.TempDir()
			copyDir(t, dir, g.Dir)
			after := testgate.Prepare(t, testgate.Config{
				Dir: dir, Machine: machine, Upstream: g.Upstream, Doors: []testgate.Door{{Protocol: httpgw.Protocol, Config: config}},
			})
			after.Start()
			late := after.Client(after.Wide(1), after.Holder(0), "refund")
			want := map[string]int{"run 1": 200, "run 2": 409}[machine]
			for _, at := range []time.Duration{0, 30 * time.Second} {
				after.Clock.Add(at)
				if status, body := order(t, after, late); status != want {
					t.Errorf("%s after: status %d, want %d: %s", at, status, want, body)
				}
			}
			after.Clock.Add(time.Second)
			if status, body := order(t, after, late); status != 200 {
				t.Errorf("31 s after: status %d: %s", status, body)
			}
			if boots := after.Receipts(receipt.Boot); boots[len(boots)-1].Boot.Clean {
				t.Error("the start was clean")
			}
			if err := after.Stop(); err != nil {
				t.Fatal(err)
			}
			after.Start()
			if status, body := order(t, after, &http.Client{Transport: late.Transport}); status != 200 {
				t.Errorf("after a clean end: status %d: %s", status, body)
			}
		})
	}
}
