package state_test

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/state"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
)

const now = 1_795_000_000

func key(s string) canon.Digest { return canon.Hash([]byte(s)) }

func debit(id string, n, limit int64) policy.Debit {
	return policy.Debit{Key: key(id), ID: id, N: n, Limit: limit}
}

func code(r *state.Refusal) op.Code {
	if r == nil {
		return ""
	}
	return r.Denial.Code
}

// TestAllOrNothing shows that a reservation that is refused takes nothing.
// SPEC STATE-1.
//
// R7 R18
// guard: quota-room, replay-used
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	s := state.New()
	full := &state.Reservation{At: now, Replay: key("p1"), ReplayEnd: now + 90, Debits: []policy.Debit{debit("a", 3, 10), debit("b", 6, 5)}}
	ref := s.Reserve(full)
	if code(ref) != op.QuotaExceeded || ref.Debit.ID != "b" {
		t.Fatalf("refusal: %+v", ref)
	}
	if s.Used(key("a")) != 0 {
		t.Error("a refused reservation took from another counter")
	}
	full.Debits[1].N = 5
	if ref := s.Reserve(full); ref != nil {
		t.Errorf("its proof was taken by the refusal: %v", ref.Denial)
	}
	if got := code(s.Reserve(full)); got != op.Replayed {
		t.Errorf("the same proof again: %q", got)
	}
}

// TestAmounts shows amounts that would refill a counter or pass its end.
//
// A7
// guard: debit-checked
func TestAmounts(t *testing.T) {
	t.Parallel()
	s := state.New()
	for _, n := range []int64{-1, math.MinInt64} {
		if got := code(s.Reserve(&state.Reservation{At: now, Debits: []policy.Debit{debit("a", n, 10)}})); got != op.QuotaExceeded {
			t.Errorf("amount %d: %q", n, got)
		}
	}
	twice := []policy.Debit{debit("a", math.MaxInt64, math.MaxInt64), debit("a", math.MaxInt64, math.MaxInt64)}
	if got := code(s.Reserve(&state.Reservation{At: now, Debits: twice})); got != op.QuotaExceeded {
		t.Errorf("a sum that overflows: %q", got)
	}
	both := []policy.Debit{debit("b", 3, 5), debit("b", 3, 5)}
	if got := code(s.Reserve(&state.Reservation{At: now, Debits: both})); got != op.QuotaExceeded {
		t.Errorf("one counter debited twice: %q", got)
	}
}

// TestReplayMemory shows how long a proof is remembered. SPEC STATE-2.
//
// R18 A14
// guard: replay-end
func TestReplayMemory(t *testing.T) {
	t.Parallel()
	s := state.New()
	r := func(at int64) *state.Reservation {
		return &state.Reservation{At: at, Replay: key("p"), ReplayEnd: now + 90}
	}
	if ref := s.Reserve(r(now)); ref != nil {
		t.Fatal(ref.Denial)
	}
	for _, at := range []int64{now, now + 1, now + 89, now + 90, now + 1000} {
		if got := code(s.Reserve(r(at))); got != op.Replayed {
			t.Errorf("%d s later: %q", at-now, got)
		}
	}
}

// TestClockSetBack sets the clock back by less than the gate refuses: a proof that
// was forgotten is not taken, and a window's counter does not begin again. SPEC
// STATE-2, STATE-3.
//
// R18 R7 A14 A34
// guard: replay-end
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	used := func(at int64) *state.Reservation {
		return &state.Reservation{
			At: at, Replay: key("p"), ReplayEnd: now + 90, Idem: key("i"), IdemEnd: now + 90,
			Debits: []policy.Debit{{Key: key("q"), ID: "q", N: 1, Limit: 1, Until: now + 90}},
		}
	}
	receipts := []*receipt.Receipt{{
		Kind: receipt.Intent, Replay: key("p"), ReplayEnd: now + 90, Debits: state.ReceiptDebits(used(now).Debits),
		Idem: &receipt.IdempotencyHold{Scope: key("i"), End: now + 90},
	}}
	live, restored := state.New(), state.New()
	if ref := live.Reserve(used(now)); ref != nil {
		t.Fatal(ref.Denial)
	}
	for _, at := range []int64{now + 91, now + 120} { // it is forgotten, and a sweep comes by
		if ref := live.Reserve(&state.Reservation{At: at}); ref != nil {
			t.Fatal(ref.Denial)
		}
	}
	for _, r := range receipts {
		restored.Restore(r, now+110)
	}
	for name, s := range map[string]*state.State{"live": live, "restored": restored} {
		again := used(now + 89)
		if got := code(s.Reserve(again)); got != op.Replayed {
			t.Errorf("%s: the proof again: %q", name, got)
		}
		again.Replay = canon.Digest{}
		if got := code(s.Reserve(again)); got != op.IdemInProgress && got != op.IdemDone {
			t.Errorf("%s: the idempotency key again: %q", name, got)
		}
		again.Idem = canon.Digest{}
		if got := code(s.Reserve(again)); got != op.QuotaExceeded {
			t.Errorf("%s: the counter again: %q", name, got)
		}
	}
}

// TestExactlyN shows N uses of a limit of N under concurrency. SPEC STATE-3.
//
// R7
func TestExactlyN(t *testing.T) {
	t.Parallel()
	s := state.New()
	var yes atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 200 {
				if s.Reserve(&state.Reservation{At: now, Debits: []policy.Debit{debit("n", 1, 1000)}}) == nil {
					yes.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if yes.Load() != 1000 || s.Used(key("n")) != 1000 {
		t.Errorf("%d uses of 1000", yes.Load())
	}
}

// TestRestore shows that the state follows from the receipts: whatever is
// reserved, finished and released, replaying gives the same. SPEC STATE-4,
// STATE-5.
//
// R29 A34
func TestRestore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		live, restored := state.New(), state.New()
		var receipts []*receipt.Receipt
		ids := []string{"a", "b", "c"}
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			res := &state.Reservation{At: now + int64(i), Replay: canon.Hash([]byte{byte(i)}), ReplayEnd: now + 1000}
			for _, id := range ids {
				if rapid.Bool().Draw(t, id) {
					res.Debits = append(res.Debits, debit(id, rapid.Int64Range(0, 5).Draw(t, "n"), 20))
				}
			}
			if live.Reserve(res) != nil {
				continue
			}
			receipts = append(receipts, &receipt.Receipt{Kind: receipt.Intent, Replay: res.Replay, ReplayEnd: res.ReplayEnd, Debits: state.ReceiptDebits(res.Debits)})
			out := &receipt.Receipt{Kind: receipt.Outcome, Outcome: &receipt.Result{Class: receipt.OK}}
			if rapid.Bool().Draw(t, "not sent") {
				live.Release(res)
				out.Outcome.Class, out.Debits = receipt.NotSent, state.ReceiptDebits(res.Debits)
			}
			receipts = append(receipts, out)
		}
		for _, r := range receipts {
			restored.Restore(r, now+40)
		}
		for _, id := range ids {
			if live.Used(key(id)) != restored.Used(key(id)) {
				t.Errorf("counter %s: %d live, %d restored", id, live.Used(key(id)), restored.Used(key(id)))
			}
		}
		for _, r := range receipts {
			if r.Kind == receipt.Intent && code(restored.Reserve(&state.Reservation{At: now + 40, Replay: r.Replay, ReplayEnd: r.ReplayEnd})) != op.Replayed {
				t.Error("a used proof is forgotten by a restart")
			}
		}
	})
}

// TestForget shows that what can no longer matter is forgotten.
func TestForget(t *testing.T) {
	t.Parallel()
	s := state.New()
	d := debit("day", 5, 5)
	d.Until = now + 100
	if ref := s.Reserve(&state.Reservation{At: now, Debits: []policy.Debit{d}}); ref != nil {
		t.Fatal(ref.Denial)
	}
	s.Reserve(&state.Reservation{At: now + 200})
	if s.Used(key("day")) != 0 {
		t.Error("a counter outlives its window")
	}
}
