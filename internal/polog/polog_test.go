package polog_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/polog"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
	"github.com/writhq/writ/zone"
)

// memory is Entries in memory. It fails the test if an index is skipped.
type memory struct {
	t    testing.TB
	mu   sync.Mutex
	all  [][]byte
	fail error
}

func (m *memory) Entries(_ context.Context, fn func(uint64, []byte) error) error {
	m.mu.Lock()
	all := append([][]byte(nil), m.all...)
	m.mu.Unlock()
	for i, b := range all {
		if err := fn(uint64(i), b); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) AppendEntry(_ context.Context, i uint64, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if i != uint64(len(m.all)) {
		m.t.Errorf("append at %d of %d", i, len(m.all))
	}
	m.all = append(m.all, append([]byte(nil), b...))
	return nil
}

type world struct {
	*testkit.Zone
	t   testing.TB
	m   *memory
	now int64
}

func newWorld(t testing.TB) *world {
	return &world{Zone: testkit.NewZone(t), t: t, m: &memory{t: t}, now: testkit.Now}
}

func (w *world) open() (*polog.Log, error) {
	return polog.Open(w.t.Context(), polog.Config{
		Entries: w.m, Pin: w.Root.Zone(), Roots: []*sign.Envelope{w.RootEnvelope}, Signer: w.Key("log"), Now: func() int64 { return w.now },
	})
}

func (w *world) mustOpen() *polog.Log {
	w.t.Helper()
	l, err := w.open()
	if err != nil {
		w.t.Fatalf("open: %v", err)
	}
	return l
}

func (w *world) alias(p *policy.Verified, by ...string) *sign.Envelope {
	var keys []sign.Signer
	for _, n := range by {
		keys = append(keys, w.Key(n))
	}
	return testkit.Envelope(w.t, zone.AliasType, zone.AliasRecord{Zone: w.Root.Zone(), Alias: testkit.Alias, Version: p.Document().Version, Policy: p.ID()}, keys...)
}

func inForce(t testing.TB, l *polog.Log) (v int64) {
	t.Helper()
	if err := l.View(func(z *zone.Zone) {
		if p, ok := z.InForce(testkit.Alias); ok {
			v = p.Document().Version
		}
	}); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestPublish shows what is taken, that it is in force at once, and after a
// restart. SPEC POLOG-1, POLOG-2.
//
// R20 R22 R25
// guard: admit-authority
func TestPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.mustOpen()
	if _, err := l.Publish(t.Context(), w.alias(w.Policy, "ana", "bo")); !errors.Is(err, zone.ErrRefused) {
		t.Errorf("alias record before its policy: %v", err)
	}
	if _, err := l.Publish(t.Context(), w.Envelope); err != nil {
		t.Fatal(err)
	}
	if inForce(t, l) != 0 {
		t.Error("publication alone put the policy in force")
	}
	if _, err := l.Publish(t.Context(), w.alias(w.Policy, "ana")); !errors.Is(err, zone.ErrRefused) {
		t.Errorf("alias record by one of two: %v", err)
	}
	if len(w.m.all) != 1 || inForce(t, l) != 0 {
		t.Errorf("refused documents left a trace: %d entries", len(w.m.all))
	}
	if _, err := l.Publish(t.Context(), w.alias(w.Policy, "ana", "bo")); err != nil {
		t.Fatal(err)
	}
	if inForce(t, l) != 1 || inForce(t, w.mustOpen()) != 1 {
		t.Error("not in force at once, or not after a restart")
	}
}

// TestWriteFails shows that a log whose write failed answers nothing more: its
// zone may be ahead of what is stored.
//
// R11 R59
// guard: publish-durable
func TestWriteFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.mustOpen()
	w.m.fail = errors.New("disk full")
	if _, err := l.Publish(t.Context(), w.Envelope); !errors.Is(err, polog.ErrFailed) {
		t.Errorf("publish: %v", err)
	}
	if err := l.View(func(*zone.Zone) { t.Error("a failed log shows its zone") }); err == nil {
		t.Error("a failed log answers")
	}
	if _, _, err := l.Fresh(); err == nil {
		t.Error("a failed log is fresh")
	}
}

// TestHead shows the signed head, its time and when it is made anew. SPEC
// POLOG-3.
//
// R30 R31
// guard: clock-behind-log
func TestHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.mustOpen()
	if _, err := l.Publish(t.Context(), w.Envelope); err != nil {
		t.Fatal(err)
	}
	at, pos, err := l.Fresh()
	if err != nil || at != w.now || pos.Size != 1 {
		t.Fatalf("fresh: %d, %+v, %v", at, pos, err)
	}
	c, err := l.Head()
	if err != nil {
		t.Fatal(err)
	}
	pl := w.Root.Document().PolicyLog
	k, err := tlog.NewKey(pl.Origin, pl.Key.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if h, err := c.Verify(k); err != nil || h.Size != 1 || h.Time != w.now {
		t.Errorf("head: %+v, %v", h, err)
	}
	w.now += 20
	if at, _, err := l.Fresh(); err != nil || at != w.now {
		t.Errorf("20 s later: %d, %v", at, err)
	}
	w.now = testkit.Now - 31
	if _, _, err := w.mustOpen().Fresh(); err == nil {
		t.Error("a clock before the newest entry is fresh")
	}
}

// TestHeadWhilePublishing asks for heads while documents are published: there is
// one each time, and it counts at least what was published before it was asked
// for. SPEC POLOG-3.
//
// R30
func TestHeadWhilePublishing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.mustOpen()
	const documents = 60
	var published atomic.Uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range documents {
			rec := zone.RevokeRecord{Zone: w.Root.Zone(), Alias: testkit.Alias, Kind: zone.RevokeBlock, ID: canon.Hash([]byte{byte(i)})}
			if _, err := l.Publish(t.Context(), testkit.Envelope(t, zone.RevokeType, rec, w.Key("ana"))); err != nil {
				t.Errorf("publish: %v", err)
			}
			published.Add(1)
		}
	})
	for published.Load() < documents && !t.Failed() {
		before := published.Load()
		c, err := l.Head()
		if err != nil || c == nil {
			t.Errorf("head: %v, %v", c, err)
			break
		}
		if n := c.HeadUnverified().Size; n < before {
			t.Errorf("a head of %d entries after %d were published", n, before)
		}
	}
	wg.Wait()
}

// leaver cancels the context of a publication while the entry is written.
type leaver struct {
	*memory
	leave func()
}

// AppendEntry implements polog.Entries.
func (l leaver) AppendEntry(ctx context.Context, i uint64, b []byte) error {
	l.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.memory.AppendEntry(ctx, i, b)
}

// TestPublisherLeaves shows clients that hang up before and while their document
// is written: the log goes on, and takes revocations. SPEC POLOG-2.
//
// R11 A31
func TestPublisherLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	leave := func() {}
	l, err := polog.Open(t.Context(), polog.Config{
		Entries: leaver{w.m, func() { leave() }}, Pin: w.Root.Zone(), Roots: []*sign.Envelope{w.RootEnvelope}, Signer: w.Key("log"), Now: func() int64 { return w.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	revoke := func(ctx context.Context, i byte) error {
		rec := zone.RevokeRecord{Zone: w.Root.Zone(), Alias: testkit.Alias, Kind: zone.RevokeBlock, ID: canon.Hash([]byte{i})}
		_, err := l.Publish(ctx, testkit.Envelope(t, zone.RevokeType, rec, w.Key("ana")))
		return err
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := revoke(gone, 1); err == nil {
		t.Error("published for one who had left before")
	}
	ctx, cancel := context.WithCancel(t.Context())
	leave = cancel
	if err := revoke(ctx, 2); err != nil {
		t.Errorf("left while it was written: %v", err)
	}
	leave = func() {}
	if err := revoke(t.Context(), 3); err != nil {
		t.Errorf("the next: %v", err)
	}
	if _, _, err := l.Fresh(); err != nil {
		t.Errorf("the log has ended: %v", err)
	}
	err = l.View(func(z *zone.Zone) {
		for i, want := range []bool{1: false, 2: true, 3: true} {
			if z.Revoked(zone.RevokeBlock, canon.Hash([]byte{byte(i)})) != want {
				t.Errorf("revocation %d: want %v", i, want)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestReplica shows that a log that signs no heads says so, and is never fresh.
func TestReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l, err := polog.Open(t.Context(), polog.Config{Entries: w.m, Pin: w.Root.Zone(), Roots: []*sign.Envelope{w.RootEnvelope}, Now: func() int64 { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := l.Head(); err == nil || c != nil {
		t.Errorf("head of a replica: %v, %v", c, err)
	}
	if at, _, err := l.Fresh(); err != nil || at != 0 {
		t.Errorf("fresh: %d, %v", at, err)
	}
}

// TestRollBack shows that a log without what this gate decided on is refused.
// SPEC POLOG-4.
//
// R29 R57 A34
// guard: log-rolled-back
func TestRollBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.mustOpen()
	for _, e := range []*sign.Envelope{w.Envelope, w.alias(w.Policy, "ana", "bo")} {
		if _, err := l.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	_, pos, err := l.Fresh()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Require(t.Context(), pos); err != nil {
		t.Errorf("its own position: %v", err)
	}
	if err := l.Require(t.Context(), polog.Position{}); err != nil {
		t.Errorf("no position: %v", err)
	}
	other := pos
	other.Root[0] ^= 1
	if err := l.Require(t.Context(), other); !errors.Is(err, polog.ErrBehind) {
		t.Errorf("another history of the same length: %v", err)
	}
	w.m.all = w.m.all[:1]
	if err := w.mustOpen().Require(t.Context(), pos); !errors.Is(err, polog.ErrBehind) {
		t.Errorf("a shorter log: %v", err)
	}
}

// TestContains shows what a head that was kept elsewhere says of a log: one that
// was rolled back, and to which the documents were published again, is another.
// SPEC POLOG-5.
//
// R29 R57 A34
// guard: head-signed
func TestContains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.mustOpen()
	publish := func(l *polog.Log, e *sign.Envelope) *tlog.Checkpoint {
		t.Helper()
		if _, err := l.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		h, err := l.Head()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	alias := w.alias(w.Policy, "ana", "bo")
	first, second := publish(l, w.Envelope), publish(l, alias)
	pl := w.Root.Document().PolicyLog
	stranger, err := tlog.NewKey(pl.Origin, w.Key("ana").Public().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	forged, err := tlog.SignCheckpoint(second.HeadUnverified(), stranger, w.Key("ana"))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []*tlog.Checkpoint{first, second} {
		if err := l.Contains(t.Context(), h); err != nil {
			t.Errorf("its own head: %v", err)
		}
	}
	if err := l.Contains(t.Context(), forged); !errors.Is(err, polog.ErrHead) {
		t.Errorf("signed by another: %v", err)
	}
	w.m.all = w.m.all[:1]
	w.now++
	l = w.mustOpen()
	if err := l.Contains(t.Context(), second); !errors.Is(err, polog.ErrHead) || l.Contains(t.Context(), first) != nil {
		t.Errorf("rolled back: %v", err)
	}
	publish(l, alias)
	if err := l.Contains(t.Context(), second); !errors.Is(err, polog.ErrHead) {
		t.Errorf("published again: %v", err)
	}
}

// TestOutOfOrder shows logs that are not one history.
//
// R25 R57 A30
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.mustOpen()
	for _, e := range []*sign.Envelope{w.Envelope, w.alias(w.Policy, "ana", "bo")} {
		if _, err := l.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		w.now += 10
	}
	good := w.m.all
	for name, all := range map[string][][]byte{
		"swapped": {good[1], good[0]}, "not an entry": {good[0], []byte("{}")}, "cut": {good[0][:len(good[0])-1]},
	} {
		w.m.all = all
		if _, err := w.open(); !errors.Is(err, zone.ErrOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
