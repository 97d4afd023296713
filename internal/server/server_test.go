package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/audit"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/polog"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/zone"
)

func config(addr string) json.RawMessage {
	return json.RawMessage(`{"origin":"https://` + addr + `"}`)
}

func newGate(t *testing.T, c testgate.Config) *testgate.Gate {
	t.Helper()
	c.Doors = []testgate.Door{{Protocol: httpgw.Protocol, Config: config}}
	if c.Upstream == nil {
		c.Upstream = testgate.NewUpstream(t, nil)
	}
	return testgate.New(t, c)
}

// order reads an order as h and returns status and body.
func order(t *testing.T, g *testgate.Gate, h *http.Client) (int, string) {
	t.Helper()
	resp, err := h.Get("https://" + g.Addrs[0] + "/t/shop/v1/orders/1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// copyDir copies the files of a folder.
func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// TestRestart shows what a restart must not forget: limits, used proofs, the
// policy in force.
//
// R18 R29 A33 A36
func TestRestart(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	c := g.Credential(t, 3) // five uses
	for range 3 {
		if status, body := order(t, g, g.Client(c, g.Holder(2), "refund")); status != 200 {
			t.Fatalf("status %d: %s", status, body)
		}
	}
	for restarts := range 3 {
		if err := g.Stop(); err != nil {
			t.Fatalf("stop: %v", err)
		}
		g.Start()
		status, body := order(t, g, g.Client(c, g.Holder(2), "refund"))
		if want := map[bool]int{true: 200, false: 429}[restarts < 2]; status != want {
			t.Errorf("after restart %d: status %d, want %d: %s", restarts+1, status, want, body)
		}
	}
	if n := len(g.Upstream.Seen()); n != 5 {
		t.Errorf("%d uses of a limit of 5 over restarts", n)
	}
}

// TestReplayAfterRestart shows the same bytes before and after a restart.
//
// R18
func TestReplayAfterRestart(t *testing.T) {
	t.Parallel()
	var origin json.RawMessage // that of the first start, whichever port a later one gets: signatures cover it
	g := testgate.New(t, testgate.Config{Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{{
		Protocol: httpgw.Protocol, Config: func(addr string) json.RawMessage {
			if origin == nil {
				origin = config(addr)
			}
			return origin
		},
	}}})
	h := g.Client(g.Wide(1), g.Holder(0), "refund")
	first := record(t, g, h)
	if status, code := play(t, g, first); status != 409 || code != op.Replayed {
		t.Errorf("replayed at once: status %d, %s", status, code)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	g.Start()
	if status, code := play(t, g, first); status != 409 || code != op.Replayed {
		t.Errorf("replayed after a restart: status %d, %s", status, code)
	}
	if n := len(g.Upstream.Seen()); n != 1 {
		t.Errorf("%d requests upstream", n)
	}
}

// TestReseal shows that a succession seals the secret again at once, as a
// receipted act, and that the next call works. SPEC GATE-6.
//
// R20 R26 R56 A5
func TestReseal(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	h := g.Client(g.Wide(1), g.Holder(0), "refund")
	if status, body := order(t, g, h); status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	g.Succeed(func(d *policy.Document) { d.Quotas[0].Limit++ })
	g.Succeed(func(d *policy.Document) { d.Quotas[0].Limit++ })
	var rec zone.SecretRecord
	if err := g.Server.View(func(z *zone.Zone) {
		if s, ok := z.Secret(testkit.Alias, testkit.SecretID); ok {
			rec = s.Record
		}
	}); err != nil {
		t.Fatal(err)
	}
	if rec.Policy != g.Law.ID() || rec.Version != 1 {
		t.Errorf("the secret is not under the policy in force")
	}
	reseals := 0
	for _, r := range g.Receipts(receipt.Intent) {
		if r.Action == "writ:reseal" {
			reseals++
		}
	}
	if reseals != 2 || len(g.Receipts(receipt.Outcome)) != 3 {
		t.Errorf("%d re-seals with receipts, %d outcomes", reseals, len(g.Receipts(receipt.Outcome)))
	}
	if status, body := order(t, g, h); status != 200 {
		t.Errorf("after two successions: status %d: %s", status, body)
	}
}

// TestRestoredFolders shows folders that a backup brought back in part: each is
// refused until the newest is there.
//
// R29 R57 A34
func TestRestoredFolders(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	h := g.Client(g.Wide(1), g.Holder(0), "refund")
	order(t, g, h)
	stop := func() {
		t.Helper()
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	old, newest := t.TempDir(), t.TempDir()
	copyDir(t, filepath.Join(old, "x"), g.Dir)
	g.Start()
	g.Succeed(func(d *policy.Document) {
		d.Rules = `@id("no") forbid (principal, action, resource);` + `@id("p") permit (principal, action, resource);`
	})
	order(t, g, g.Client(g.Wide(1), g.Holder(0), "refund"))
	stop()
	copyDir(t, filepath.Join(newest, "x"), g.Dir)

	copyDir(t, g.Dir, filepath.Join(newest, "x"))
	for _, f := range []string{"writ.db", "writ.db-wal", "writ.db-shm"} {
		os.Remove(filepath.Join(g.Dir, f))
	}
	b, err := os.ReadFile(filepath.Join(old, "x", "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.Dir, "writ.db"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := g.Open(); !errors.Is(err, polog.ErrBehind) {
		t.Errorf("an old policy log with new receipts: %v", err)
		s.Close()
	}
	copyDir(t, g.Dir, filepath.Join(newest, "x"))
	g.Start()
	if status, _ := order(t, g, g.Client(g.Wide(1), g.Holder(0), "refund")); status != 403 {
		t.Errorf("the newest folder: status %d, want the successor's denial", status)
	}
}

// TestForeignFolder shows keys without pin, with another pin, and a root that
// does not know the gate.
//
// A1
// guard: gate-in-root
func TestForeignFolder(t *testing.T) {
	t.Parallel()
	g := testgate.Prepare(t, testgate.Config{Root: func(d *policy.RootDocument) {
		d.Gates[0].SignKey = testkit.NewZone(t).Key("another gate").Public()
	}})
	if s, err := g.Open(); err == nil {
		t.Error("a root that lists other keys for this gate was taken")
		s.Close()
	}
	g = testgate.Prepare(t, testgate.Config{})
	g.Unpin = true
	if s, err := g.Open(); err == nil {
		t.Error("keys without a pin started")
		s.Close()
	}
}

// TestAuditFromOutside walks from an executed operation to the root with public
// keys alone, and recomputes every decision.
//
// R26 R58 A32
func TestAuditFromOutside(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	c := g.Wide(2)
	h := g.Client(c, g.Holder(1), "refund")
	order(t, g, h)
	for _, body := range []string{`{"order":"1","amount":100}`, `{"order":"1","amount":9999}`} {
		resp, err := h.Post("https://"+g.Addrs[0]+"/t/shop/v1/refunds", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	var export bytes.Buffer
	if err := g.Server.Ledger().Export(t.Context(), &export); err != nil {
		t.Fatal(err)
	}
	member, _ := g.Root.Gate("gate-1")
	key, err := receipt.LogKey("gate-1", member.SignKey)
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	_, err = receipt.AuditExport(&export, receipt.AuditConfig{Gate: "gate-1", Zone: g.Root.Zone(), Key: member.SignKey}, key, func(r *receipt.Receipt) error {
		all++
		return nil
	})
	if err != nil || all < 6 {
		t.Fatalf("audit of %d receipts: %v", all, err)
	}
	// The policy log, replayed by the auditor from the pinned root.
	z, err := zone.New(g.Root.Zone(), envelopes(g), testkit.Now)
	if err != nil {
		t.Fatal(err)
	}
	err = g.Server.PolicyLog().Entry(t.Context(), func(_ uint64, b []byte) error {
		_, err := z.Apply(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	replayed := 0
	err = g.Server.Ledger().Receipts(t.Context(), ledger.Ref{}, ledger.Ref{}, func(ref ledger.Ref, r *receipt.Receipt) error {
		if r.OpType != "http/1" {
			return nil
		}
		ev, err := g.Server.Ledger().Evidence(t.Context(), ref)
		if err != nil {
			return err
		}
		p, ok := z.Policy(r.Policy)
		if !ok {
			t.Errorf("receipt %d names a policy that the log has not", ref.Seq)
			return nil
		}
		res, err := audit.Replay(r, ev, p, z.RootAt(r.At().Unix()))
		if err != nil || res.Grade != audit.Recomputed || !res.HolderSigned {
			t.Errorf("receipt %d: %+v, %v", ref.Seq, res.Grade, err)
		}
		replayed++
		return nil
	})
	if err != nil || replayed != 3 {
		t.Errorf("%d decisions recomputed: %v", replayed, err)
	}
}

// TestTallies shows that strangers fill a counter, not the ledger.
//
// R56
func TestTallies(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	stranger := g.Client(g.Wide(1), g.Key("stranger"), "refund")
	for range 50 {
		order(t, g, stranger)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	g.Start()
	tallies := g.Receipts(receipt.Tally)
	var sum uint64
	for _, r := range tallies {
		sum += r.Count
	}
	if sum != 50 || len(tallies) > 10 || len(g.Receipts(receipt.Denial)) != 0 {
		t.Errorf("%d refusals in %d tallies and %d denials", sum, len(tallies), len(g.Receipts(receipt.Denial)))
	}
}

// TestEveryKindOnce counts the receipts of each kind of event.
//
// R56
func TestEveryKindOnce(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	h := g.Client(g.Wide(1), g.Holder(0), "refund")
	order(t, g, h)
	resp, err := h.Get("https://" + g.Addrs[0] + "/t/shop/v1/customers")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	seen := make(map[canon.Digest]bool)
	counts := make(map[receipt.Kind]int)
	for _, r := range g.Receipts() {
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(testkit.Plain)) {
			t.Error("a receipt holds the secret")
		}
		if seen[receipt.ID(b)] {
			t.Error("a receipt stands twice")
		}
		seen[receipt.ID(b)] = true
		counts[r.Kind]++
	}
	for kind, want := range map[receipt.Kind]int{receipt.Boot: 1, receipt.Intent: 1, receipt.Outcome: 1, receipt.Denial: 1} {
		if counts[kind] != want {
			t.Errorf("%d receipts of kind %s, want %d", counts[kind], kind, want)
		}
	}
}

// TestClockSetBack shows that no expired authority comes back with the clock.
//
// R31
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	h := g.Client(g.Wide(1), g.Holder(0), "refund")
	g.Clock.Add(2 * time.Hour)
	if status, _ := order(t, g, h); status != 401 {
		t.Fatalf("an expired credential: status %d", status)
	}
	g.Clock.Add(-2 * time.Hour)
	if status, body := order(t, g, h); status != 503 {
		t.Errorf("after the clock was set back: status %d: %s", status, body)
	}
}
