package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/tlog"
)

var errFault = errors.New("fault")

// A way is how a call goes wrong.
type way string

const (
	failed    way = "failed"               // nothing of it happened
	persisted way = "failed but persisted" // all of it happened
	short     way = "short"                // half of a write happened
	powerCut  way = "power cut"            // as failed, and what was not synced is gone
)

// A saboteur lets the n-th change of a folder go wrong, and with a power cut all
// later ones too. It syncs nothing for real, and remembers what was synced.
type saboteur struct {
	mu       sync.Mutex
	dir      string
	n, calls int
	way      way
	fired    bool
	written  map[string]int64
	synced   map[string]int64
	named    map[string]bool // the name is on the disk
	op       string          // of the call that went wrong
}

func newSaboteur(dir string, n int, w way) *saboteur {
	return &saboteur{dir: dir, n: n, way: w, written: map[string]int64{}, synced: map[string]int64{}, named: map[string]bool{}}
}

func (s *saboteur) call(c ledger.Call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.calls == s.n || s.fired && s.way == powerCut {
		if !s.fired {
			s.fired, s.op = true, c.Op+" "+filepath.Ext(c.Path)
		}
		if err := s.spoil(c); err != nil {
			return err
		}
		return errFault
	}
	return s.perform(c)
}

// spoil does what the call still does although it goes wrong.
func (s *saboteur) spoil(c ledger.Call) error {
	switch s.way {
	case persisted:
		return s.perform(c)
	case short:
		if c.Op == "write" {
			return c.Run(c.Size / 2)
		}
	}
	return nil
}

func (s *saboteur) perform(c ledger.Call) error {
	switch c.Op {
	case "sync":
		s.synced[c.Path] = s.written[c.Path]
		return nil
	case "syncdir":
		for name := range s.written {
			s.named[name] = true
		}
		return nil
	case "write":
		s.written[c.Path] += int64(c.Size)
	case "create":
		if filepath.Ext(c.Path) != ".tmp" {
			s.written[c.Path] += 0
		}
	}
	return c.Run(c.Size)
}

// cut takes away what the disk does not have.
func (s *saboteur) cut(t *testing.T) {
	t.Helper()
	for name := range s.written {
		if filepath.Ext(name) == ".tmp" {
			continue
		}
		p := filepath.Join(s.dir, name)
		var err error
		if !s.named[name] {
			err = os.Remove(p)
		} else {
			err = os.Truncate(p, s.synced[name])
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// A promise is what a ledger told its caller.
type promise struct {
	ref     ledger.Ref
	durable bool // the disk has it, not only the kernel
}

// use lives through all that a ledger does, until something goes wrong: append in
// each mode, evidence, batches, heads, rotation, close, open again.
func use(t *testing.T, cfg ledger.Config) (told []promise, heads []tlog.Head) {
	t.Helper()
	cfg.Segment = 6 << 10
	ctx := context.Background()
	ev := evidence()
	for range 2 {
		l, err := ledger.Open(ctx, cfg)
		if err != nil {
			return told, heads
		}
		for i := range 6 {
			mode := receipt.Durable
			if i%2 == 1 {
				mode = receipt.Buffered
			}
			ref, err := l.Append(ctx, intent(mode, ev))
			if err != nil {
				break
			}
			told = append(told, promise{ref, mode == receipt.Durable})
			if i%3 == 0 {
				continue // stays open
			}
			if ref, err = l.Append(ctx, outcome(mode, l, ref)); err != nil {
				break
			}
			told = append(told, promise{ref, mode == receipt.Durable})
			if i == 4 {
				if s, err := l.Signed(ctx, ref.Epoch, ref.Seq); err == nil {
					told = append(told, promise{ledger.Ref{Epoch: ref.Epoch, Seq: ref.Seq, Digest: s.ID()}, true})
				}
				if c, err := l.Head(ctx); err == nil {
					heads = append(heads, verified(t, c))
				}
			}
		}
		if l.Close() != nil {
			return told, heads
		}
	}
	return told, heads
}

// sabotage lets call n go wrong and checks what is left. It returns how many
// calls there were, and what went wrong.
func sabotage(t *testing.T, n int, w way) (calls int, op string) {
	dir := filepath.Join(t.TempDir(), fmt.Sprintf("%s-%d", w, n))
	s := newSaboteur(dir, n, w)
	cfg := testConfig(t, dir)
	cfg.Faults = s.call
	told, heads := use(t, cfg)
	if w == powerCut && s.fired {
		s.cut(t)
	}
	cfg.Faults = func(c ledger.Call) error {
		if c.Op == "sync" || c.Op == "syncdir" {
			return nil
		}
		return c.Run(c.Size)
	}
	l, err := ledger.Open(context.Background(), cfg)
	if err != nil {
		t.Errorf("%s at call %d, %s: does not open: %v", w, n, s.op, err)
		return s.calls, s.op
	}
	defer l.Close()
	have := make(map[ledger.Ref]bool)
	if err := l.Receipts(context.Background(), ledger.Ref{}, ledger.Ref{}, func(f ledger.Ref, _ *receipt.Receipt) error { have[f] = true; return nil }); err != nil {
		t.Errorf("%s at call %d, %s: %v", w, n, s.op, err)
	}
	for _, p := range told {
		if !have[p.ref] && (p.durable || w != powerCut) {
			t.Errorf("%s at call %d, %s: epoch %d, sequence %d is lost", w, n, s.op, p.ref.Epoch, p.ref.Seq)
		}
	}
	if r, err := audited(t, l, heads...); err != nil || r.Open != 0 {
		t.Errorf("%s at call %d, %s: audit: %v, %+v", w, n, s.op, err, r)
	}
	return s.calls, s.op
}

// Every change that the ledger makes in its folder × every way that it can go
// wrong: no receipt that anyone was told of is lost, the log opens, and audits.
// R59 R57
// A33 A36
// SPEC LEDG-3, LEDG-4, LEDG-5
func TestEveryFault(t *testing.T) {
	t.Parallel()
	total, _ := sabotage(t, -1, failed)
	if total < 80 {
		t.Fatalf("only %d calls", total)
	}
	var mu sync.Mutex
	ops := map[string]int{}
	for _, w := range []way{failed, persisted, short, powerCut} {
		t.Run(string(w), func(t *testing.T) {
			work := make(chan int)
			var wg sync.WaitGroup
			for range 12 {
				wg.Go(func() {
					for n := range work {
						_, op := sabotage(t, n, w)
						mu.Lock()
						ops[op]++
						mu.Unlock()
					}
				})
			}
			for n := 1; n <= total+5; n++ {
				work <- n
			}
			close(work)
			wg.Wait()
		})
	}
	for _, op := range []string{"write .wal", "write .evd", "write .key", "sync .wal", "sync .evd", "create .wal", "create .tmp", "rename ", "syncdir .", "write .0", "mkdir ."} {
		if ops[op] < 2 {
			t.Errorf("%q never went wrong; of %v", op, ops)
		}
	}
}

// A truncation at the start, and the removal of a file without header, can go
// wrong too.
// A33
// SPEC LEDG-4
func TestEveryFaultOfRecovery(t *testing.T) {
	t.Parallel()
	for _, w := range []way{failed, persisted, short} {
		for n := 1; n < 40; n++ {
			dir := filepath.Join(t.TempDir(), "l")
			cfg := testConfig(t, dir)
			first := newSaboteur(dir, 10_000, failed)
			cfg.Faults = first.call
			told, _ := use(t, cfg)
			half := []byte("Wr\x02\x01")
			last, err := filepath.Glob(filepath.Join(dir, "*.wal"))
			if err != nil || len(last) == 0 {
				t.Fatal(err)
			}
			next := last[len(last)-1]
			if n%2 == 0 {
				next = filepath.Join(dir, fmt.Sprintf("%08d.wal", len(last)+1)) // a segment that was begun
			}
			f, err := os.OpenFile(next, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(half); err != nil {
				t.Fatal(err)
			}
			f.Close()
			s := newSaboteur(dir, n/2, w)
			cfg.Faults = s.call
			if l, err := ledger.Open(context.Background(), cfg); err == nil {
				l.Close()
			}
			cfg.Faults = first.call
			l, err := ledger.Open(context.Background(), cfg)
			if err != nil {
				t.Fatalf("%s at call %d, %s: %v", w, n, s.op, err)
			}
			if l.Len() < uint64(len(told)) {
				t.Errorf("%s at call %d: receipts are lost", w, n)
			}
			if _, err := audited(t, l); err != nil {
				t.Errorf("%s at call %d, %s: %v", w, n, s.op, err)
			}
			l.Close()
		}
	}
}

// An idle ledger does nothing: no change, no tick.
// SPEC LEDG-8
func TestIdle(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	var mu sync.Mutex
	calls := 0
	cfg.Faults = func(c ledger.Call) error { mu.Lock(); calls++; mu.Unlock(); return c.Run(c.Size) }
	var ticks int
	cfg.Now = func() time.Time { mu.Lock(); ticks++; mu.Unlock(); return time.Now() }
	l := openLedger(t, cfg)
	if _, err := l.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	before, beforeTicks := calls, ticks
	mu.Unlock()
	timer := time.NewTimer(60 * time.Millisecond) // twelve times the delay of a seal
	<-timer.C
	mu.Lock()
	defer mu.Unlock()
	if calls != before || ticks != beforeTicks {
		t.Errorf("%d changes, %d looks at the clock", calls-before, ticks-beforeTicks)
	}
}
