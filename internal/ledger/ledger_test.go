package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
)

func mustAppend(t testing.TB, l *ledger.Ledger, e ledger.Entry) ledger.Ref {
	t.Helper()
	ref, err := l.Append(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// audited exports l, audits the export against heads, and returns the report.
func audited(t testing.TB, l *ledger.Ledger, heads ...tlog.Head) (*receipt.Report, error) {
	t.Helper()
	var b bytes.Buffer
	if err := l.Export(t.Context(), &b); err != nil {
		return nil, err
	}
	pub := testKey(t).Public()
	k, err := receipt.LogKey("gate-1", pub)
	if err != nil {
		t.Fatal(err)
	}
	return receipt.AuditExport(&b, receipt.AuditConfig{Key: pub, Gate: "gate-1", Zone: zone, Heads: heads}, k, nil)
}

func mustAudit(t testing.TB, l *ledger.Ledger, heads ...tlog.Head) *receipt.Report {
	t.Helper()
	r, err := audited(t, l, heads...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// all returns the receipts of l.
func all(t testing.TB, l *ledger.Ledger) []*receipt.Receipt {
	t.Helper()
	var rs []*receipt.Receipt
	if err := l.Replay(t.Context(), func(r *receipt.Receipt) error { rs = append(rs, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return rs
}

// The whole life of a few receipts, over a restart.
// R56 R57
// SPEC LEDG-1, LEDG-2, LEDG-3, LEDG-5, LEDG-6, LEDG-8, LEDG-9
func TestLife(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, filepath.Join(t.TempDir(), "a", "ledger"))
	l := openLedger(t, cfg)
	ev := evidence()
	a := mustAppend(t, l, intent(receipt.Durable, ev))
	b := mustAppend(t, l, intent(receipt.Buffered, nil))
	if r, ok := l.OpenIntent(a); !ok || r.Action != "http:POST" {
		t.Error("intent is not open")
	}
	mustAppend(t, l, outcome(receipt.Durable, l, a))
	if _, ok := l.OpenIntent(a); ok {
		t.Error("a finished intent is open")
	}
	for seq := uint64(1); seq <= 4; seq++ {
		s, err := l.Signed(t.Context(), 1, seq)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := s.Verify(cfg.Signer.Public()); err != nil || r.Seq != seq {
			t.Fatal(err)
		}
	}
	head, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := verified(t, head)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), intent(receipt.Durable, nil)); !errors.Is(err, ledger.ErrClosed) {
		t.Error(err)
	}

	l = openLedger(t, cfg)
	if l.Epoch() != 2 || l.Len() != 7 {
		t.Errorf("epoch %d, %d receipts", l.Epoch(), l.Len())
	}
	rs := all(t, l)
	last := rs[len(rs)-1]
	if last.Kind != receipt.Outcome || last.Outcome.Class != receipt.Unknown || *last.Intent != b || last.Alias != "payments/refunds" {
		t.Errorf("%+v", last)
	}
	if boot := rs[5]; boot.Kind != receipt.Boot || !boot.Boot.Clean || boot.Boot.Last.Seq != 5 {
		t.Errorf("%+v", boot)
	}
	for _, at := range []ledger.Ref{a, b, {Epoch: 1, Seq: 5}, {Epoch: 2, Seq: 2}} { // read from the files
		s, err := l.Signed(t.Context(), at.Epoch, at.Seq)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := s.Verify(cfg.Signer.Public()); err != nil || r.Seq != at.Seq || r.Epoch != at.Epoch {
			t.Fatal(err)
		}
	}
	got, err := l.Evidence(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Check(rs[1]); err != nil {
		t.Error(err)
	}
	if r := mustAudit(t, l, h); r.Receipts != 7 || r.Unknown != 1 || r.Open != 0 || r.Unclean != 0 {
		t.Errorf("%+v", r)
	}
}

func verified(t testing.TB, c *tlog.Checkpoint) tlog.Head {
	t.Helper()
	k, err := receipt.LogKey("gate-1", testKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.Verify(k)
	if err != nil || h.Time == 0 {
		t.Fatal(err, h)
	}
	return h
}

// The tiles that a head needs prove every receipt, and each head the one before,
// also after the tiles were damaged.
// R57
// SPEC LEDG-9
func TestTilesProveReceipts(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	l := openLedger(t, cfg)
	var heads []tlog.Head
	grow := func(n int) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range n / 8 {
					mustAppend(t, l, intent(receipt.Buffered, nil))
				}
			})
		}
		wg.Wait()
		c, err := l.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, verified(t, c))
	}
	check := func() {
		t.Helper()
		h := heads[len(heads)-1]
		i := uint64(0)
		for _, r := range all(t, l)[:h.Size] {
			p, err := tlog.Inclusion(h.Size, i, l.Tile)
			if err != nil {
				t.Fatal(err)
			}
			payload, err := r.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckInclusion(tlog.Leaf{Index: i, Hash: tlog.LeafHash(payload)}, p, h.Size, h.Root); err != nil {
				t.Fatal(err)
			}
			i++
		}
		for _, older := range heads {
			p, err := tlog.Consistency(h.Size, older.Size, l.Tile)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckConsistency(older, h, p); err != nil {
				t.Error(err)
			}
		}
	}
	grow(24)
	grow(240)
	grow(520)
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	level := filepath.Join(cfg.Dir, "tree.0")
	b, err := os.ReadFile(level)
	if err != nil || len(b) < 700*32 {
		t.Fatal(err, len(b))
	}
	b[9000] ^= 1
	if err := os.WriteFile(level, b[:20_001], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(cfg.Dir, "tree.1")); err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, cfg)
	grow(8)
	check()
	mustAudit(t, l, heads...)
	if _, err := l.Tile(tlog.Tile{Level: 0, N: 99, Width: 1}); !errors.Is(err, ledger.ErrUnknown) {
		t.Error("a tile that does not exist")
	}
}

// R59 R56
// A33
// guard: mode-kept, boot-own, outcome-once, open-intent-digest
// SPEC LEDG-3, LEDG-6
func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	l := openLedger(t, testConfig(t, t.TempDir()))
	entry := func(m receipt.Mode, r *receipt.Receipt) ledger.Entry {
		return ledger.Entry{Mode: m, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) { return r, nil, nil }}
	}
	a := mustAppend(t, l, intent(receipt.Durable, nil))
	forged := a
	forged.Digest = zone
	if _, ok := l.OpenIntent(forged); ok {
		t.Error("an intent by its place alone")
	}
	boot := &receipt.Receipt{Kind: receipt.Boot, Note: receipt.NoteClose}
	admin := &receipt.Receipt{Kind: receipt.Admin, Note: "test"}
	for what, e := range map[string]ledger.Entry{
		"witnessed without witness": entry(receipt.Witnessed, admin),
		"no mode":                   entry("", admin),
		"nothing to build":          {Mode: receipt.Durable},
		"nothing built":             entry(receipt.Durable, nil),
		"a boot receipt":            entry(receipt.Durable, boot),
		"not a receipt":             entry(receipt.Durable, &receipt.Receipt{Kind: receipt.Admin}),
		"outcome of nothing":        entry(receipt.Durable, &receipt.Receipt{Kind: receipt.Outcome, Outcome: &receipt.Result{Class: receipt.OK}}),
		"outcome of another":        outcome(receipt.Durable, l, forged),
	} {
		if _, err := l.Append(t.Context(), e); !errors.Is(err, ledger.ErrEntry) {
			t.Errorf("%s: %v", what, err)
		}
	}
	mine := errors.New("mine")
	_, err := l.Append(t.Context(), ledger.Entry{Mode: receipt.Durable, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
		return nil, nil, mine
	}})
	if !errors.Is(err, mine) {
		t.Error(err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = l.Append(t.Context(), ledger.Entry{Mode: receipt.Durable, Build: func(uint64, uint64, time.Time) (*receipt.Receipt, *receipt.Evidence, error) {
			panic("in Build")
		}})
	}()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Append(ended, intent(receipt.Durable, nil)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	mustAppend(t, l, outcome(receipt.Durable, l, a))
	if _, err := l.Append(t.Context(), outcome(receipt.Durable, l, a)); !errors.Is(err, ledger.ErrNoIntent) {
		t.Errorf("a second outcome: %v", err)
	}
	if ref := mustAppend(t, l, intent(receipt.Durable, nil)); ref.Seq != 4 {
		t.Errorf("refused entries took sequences: %d", ref.Seq)
	}
	mustAudit(t, l)
}

// R57
// A1
// guard: folder-lock, folder-owner
// SPEC LEDG-1
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	l := openLedger(t, cfg)
	if _, err := ledger.Open(t.Context(), cfg); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error("a second Close", err)
	}
	other := cfg
	other.Gate = "gate-2"
	if _, err := ledger.Open(t.Context(), other); !errors.Is(err, ledger.ErrForeign) {
		t.Errorf("another gate's folder: %v", err)
	}
	other = cfg
	other.Zone = canon.Hash(nil)
	if _, err := ledger.Open(t.Context(), other); !errors.Is(err, ledger.ErrForeign) {
		t.Errorf("another zone's folder: %v", err)
	}
	p256, err := sign.Generate(sign.P256)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*ledger.Config){
		"dir": func(c *ledger.Config) { c.Dir = "" }, "gate": func(c *ledger.Config) { c.Gate = "" },
		"space": func(c *ledger.Config) { c.Gate = "a b" }, "zone": func(c *ledger.Config) { c.Zone = canon.Digest{} },
		"clock": func(c *ledger.Config) { c.Now = nil }, "signer": func(c *ledger.Config) { c.Signer = nil },
		"p256": func(c *ledger.Config) { c.Signer = p256 }, "evidence": func(c *ledger.Config) { c.Evidence = secret.Bytes{} },
	} {
		c := cfg
		change(&c)
		if _, err := ledger.Open(t.Context(), c); !errors.Is(err, ledger.ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
	}
	err = filepath.WalkDir(cfg.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if want := fs.FileMode(0o600); d.IsDir() && info.Mode().Perm() != 0o700 && p != cfg.Dir || !d.IsDir() && info.Mode().Perm() != want {
			t.Errorf("%s: mode %v", p, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Times never decrease, whatever the clock does; the floor survives.
// A34 A30
// SPEC LEDG-3
func TestTimeFloor(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.UnixMilli(1_760_000_000_000)
	set := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	cfg := testConfig(t, t.TempDir())
	cfg.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	l := openLedger(t, cfg)
	set(time.Hour)
	mustAppend(t, l, intent(receipt.Durable, nil))
	floor := l.Floor()
	set(-2 * time.Hour)
	mustAppend(t, l, intent(receipt.Durable, nil))
	if l.Floor() != floor || !floor.Equal(time.UnixMilli(1_760_003_600_000)) {
		t.Errorf("%v, then %v", floor, l.Floor())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, cfg)
	if l.Floor().Before(floor) {
		t.Error("the floor sank over a restart")
	}
	mustAudit(t, l)
}

// Segments are closed at their size, and everything is found across them.
// SPEC LEDG-1
func TestRotation(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	cfg.Segment = 8 << 10
	l := openLedger(t, cfg)
	ev := evidence()
	var refs []ledger.Ref
	for range 60 {
		ref := mustAppend(t, l, intent(receipt.Buffered, ev))
		refs = append(refs, ref)
		mustAppend(t, l, outcome(receipt.Buffered, l, ref))
	}
	wals, err := filepath.Glob(filepath.Join(cfg.Dir, "*.wal"))
	if err != nil || len(wals) < 5 {
		t.Fatalf("%d segments", len(wals))
	}
	for range 2 {
		r := mustAudit(t, l)
		if r.Outcomes != 60 {
			t.Errorf("%+v", r)
		}
		for _, ref := range refs {
			if _, err := l.Evidence(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			s, err := l.Signed(t.Context(), ref.Epoch, ref.Seq)
			if err != nil {
				t.Fatal(err)
			}
			if s.ID() != ref.Digest {
				t.Error("another receipt")
			}
		}
		var some []uint64
		err := l.Receipts(t.Context(), ledger.Ref{Epoch: 1, Seq: 50}, ledger.Ref{Epoch: 1, Seq: 53}, func(f ledger.Ref, _ *receipt.Receipt) error {
			some = append(some, f.Seq)
			return nil
		})
		if err != nil || !slices.Equal(some, []uint64{50, 51, 52, 53}) {
			t.Errorf("%v, %v", some, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openLedger(t, cfg)
	}
	if err := os.Remove(wals[1]); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(t.Context(), cfg); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("a segment is missing: %v", err)
	}
}

// Nothing is recorded after an error, and no fsync is tried again.
// R59 R11
// guard: write-error, sync-error, append-waits
// SPEC LEDG-3
func TestFailedStaysFailed(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"write", "sync"} {
		for _, mode := range []receipt.Mode{receipt.Buffered, receipt.Durable} {
			t.Run(fmt.Sprint(op, " ", mode), func(t *testing.T) {
				t.Parallel()
				cfg := testConfig(t, t.TempDir())
				var mu sync.Mutex
				armed, failed := false, 0
				cfg.Faults = func(c ledger.Call) error {
					mu.Lock()
					defer mu.Unlock()
					if armed && c.Op == op && filepath.Ext(c.Path) == ".wal" {
						failed++
						return errors.New("fault")
					}
					return c.Run(c.Size)
				}
				l := openLedger(t, cfg)
				mu.Lock()
				armed = true
				mu.Unlock()
				ref, err := l.Append(t.Context(), intent(mode, nil))
				if mode == receipt.Buffered && op == "sync" && err == nil {
					_, err = l.Signed(t.Context(), ref.Epoch, ref.Seq) // the fsync comes later
				}
				if !errors.Is(err, ledger.ErrFailed) {
					t.Fatalf("recorded: %v", err)
				}
				mu.Lock()
				armed = false
				mu.Unlock()
				if _, err := l.Append(t.Context(), intent(mode, nil)); !errors.Is(err, ledger.ErrFailed) || l.Healthy() {
					t.Error("healthy again")
				}
				if _, err := l.Head(t.Context()); !errors.Is(err, ledger.ErrFailed) {
					t.Error("a head of a failed ledger")
				}
				if err := l.Close(); !errors.Is(err, ledger.ErrFailed) || failed != 1 {
					t.Errorf("%v; %d failures", err, failed)
				}
			})
		}
	}
}

// No signed receipt leaves before the disk has it.
// A33
// guard: leaves-after-fsync
// SPEC LEDG-8
func TestSignedWaitsForDisk(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	var mu sync.Mutex
	hold := false
	free := make(chan struct{})
	cfg.Faults = func(c ledger.Call) error {
		mu.Lock()
		wait := hold && c.Op == "sync"
		mu.Unlock()
		if wait {
			<-free
		}
		return c.Run(c.Size)
	}
	l := openLedger(t, cfg)
	if _, err := l.Signed(t.Context(), 1, 1); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	hold = true
	mu.Unlock()
	ref := mustAppend(t, l, intent(receipt.Buffered, nil)) // the kernel has it
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Signed(ended, ref.Epoch, ref.Seq); !errors.Is(err, context.Canceled) {
		t.Errorf("left before the disk has it: %v", err)
	}
	if _, err := l.Signed(t.Context(), 1, 99); !errors.Is(err, ledger.ErrUnknown) {
		t.Error("a receipt that does not exist")
	}
	close(free)
	if _, err := l.Signed(t.Context(), ref.Epoch, ref.Seq); err != nil {
		t.Error(err)
	}
}

// Many at once: sequences without gap, each intent with its outcome.
// R56
// SPEC LEDG-3
func TestConcurrent(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	cfg.Segment = 64 << 10
	l := openLedger(t, cfg)
	ev := evidence()
	var wg sync.WaitGroup
	for i := range 16 {
		mode := receipt.Buffered
		if i%2 == 0 {
			mode = receipt.Durable
		}
		wg.Go(func() {
			for range 40 {
				ref, err := l.Append(t.Context(), intent(mode, ev))
				if err == nil {
					_, err = l.Append(t.Context(), outcome(mode, l, ref))
				}
				if err == nil {
					_, err = l.Signed(t.Context(), ref.Epoch, ref.Seq)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r := mustAudit(t, l); r.Intents != 640 || r.Outcomes != 640 || r.Open != 0 {
		t.Errorf("%+v", r)
	}
}
