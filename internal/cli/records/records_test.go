package records

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/api"
	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/cli/shell"
	"github.com/writhq/writ/internal/control"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
)

// newWorld returns a gate that decided two uses, and a shell that reaches its
// control API over a socket.
func newWorld(t testing.TB) (*testgate.Gate, *shell.Shell) {
	t.Helper()
	g := testgate.New(t, testgate.Config{
		Upstream: testgate.NewUpstream(t, nil),
		Doors: []testgate.Door{{Protocol: httpgw.Protocol, Config: func(addr string) json.RawMessage {
			return json.RawMessage(`{"origin":"https://` + addr + `"}`)
		}}},
	})
	c := g.Client(g.Credential(t, 1), g.Holder(0), "refund")
	for _, path := range []string{"/v1/orders/1", "/v1/customers"} {
		resp, err := c.Get("https://" + g.Addrs[0] + "/t/shop" + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	a, err := control.New(control.Config{
		Now: g.Clock.Now, Log: slog.New(slog.DiscardHandler), Build: "test", Metrics: &control.Metrics{},
		Unseal: func(context.Context, secret.Bytes) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := g.Server
	a.Open(control.Authority{Publisher: s, Log: s.PolicyLog(), Ledger: s.Ledger(), Gate: s.Member(), Backup: s.Backup, Reach: s.Reach, Held: s.Held, Confirm: s.Confirm})
	socket := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: a.Local()}
	go h.Serve(l)
	t.Cleanup(func() { h.Close() })
	env := map[string]string{"WRIT_SERVER": socket, "WRIT_ROOT": g.Root.Zone().String(), "WRIT_CONFIG": t.TempDir()}
	sh := &shell.Shell{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, Now: g.Clock.Now, Getenv: func(k string) string { return env[k] }, JSON: true}
	if err := sh.Load(); err != nil {
		t.Fatal(err)
	}
	return g, sh
}

// An audit of what the server hands out: each part of it altered is noticed.
//
// R58: with the pinned root alone
// guard: evidence-of-verified-receipts
func TestReplayNoticesEachPart(t *testing.T) {
	t.Parallel()
	g, sh := newWorld(t)
	good := t.TempDir()
	if err := fetch(t.Context(), sh, good); err != nil {
		t.Fatal(err)
	}
	evidence, err := os.ReadFile(filepath.Join(good, partEvidence))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(evidence, []byte("\n")), []byte("\n"))
	decisions := withEvidence(t, lines)
	if len(decisions) != 2 {
		t.Fatalf("%d receipts with evidence", len(decisions))
	}
	audited := func(change func(dir string)) (*replay, error) {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(dir)
		}
		r := &replay{pin: g.Root.Zone(), dir: dir}
		return r, r.run()
	}
	edit := func(part string, fn func([]byte) []byte) func(string) {
		return func(dir string) {
			name := filepath.Join(dir, part)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, fn(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := audited(nil)
	if err != nil || r.Decisions != 2 || r.Recomputed != 2 || r.HolderSigned != 2 || r.Missing != 0 || len(r.Differ) > 0 {
		t.Fatalf("as it is: %+v, %v", r, err)
	}
	r, err = audited(edit(partEvidence, func(b []byte) []byte { return append(bytes.Clone(b), b...) }))
	if err != nil || r.Recomputed != 2 {
		t.Errorf("evidence twice: %d recomputed, %v", r.Recomputed, err)
	}
	r, err = audited(edit(partEvidence, func([]byte) []byte { return nil }))
	if err != nil || r.Missing != 2 {
		t.Errorf("evidence left out: %d missing, %v", r.Missing, err)
	}
	r, err = audited(edit(partEvidence, func([]byte) []byte { return swapped(t, lines, decisions) }))
	if err != nil || len(r.Differ) == 0 {
		t.Errorf("evidence of another receipt: %v, %v", r.Differ, err)
	}
	for part, fn := range map[string]func([]byte) []byte{
		partExport:  func(b []byte) []byte { return b[:len(b)-1] },
		partEntries: func(b []byte) []byte { return b[:bytes.IndexByte(b, '\n')+1] },
		partHead:    func(b []byte) []byte { return bytes.Replace(b, []byte("\n3\n"), []byte("\n2\n"), 1) },
		partRoots:   func([]byte) []byte { return []byte("[]") },
	} {
		if _, err := audited(edit(part, fn)); err == nil {
			t.Errorf("%s altered: not noticed", part)
		}
	}
}

// withEvidence returns the numbers of the lines that have evidence.
func withEvidence(t *testing.T, lines [][]byte) (at []int) {
	t.Helper()
	for i, l := range lines {
		var item api.ReceiptItem
		if err := json.Unmarshal(l, &item); err != nil {
			t.Fatal(err)
		}
		if item.Evidence != nil {
			at = append(at, i)
		}
	}
	return at
}

// swapped returns the lines with the evidence of the first two that have some
// changed over.
func swapped(t *testing.T, lines [][]byte, at []int) []byte {
	t.Helper()
	var a, b api.ReceiptItem
	if json.Unmarshal(lines[at[0]], &a) != nil || json.Unmarshal(lines[at[1]], &b) != nil {
		t.Fatal("lines do not parse")
	}
	a.Evidence, b.Evidence = b.Evidence, a.Evidence
	var out bytes.Buffer
	for _, x := range []api.ReceiptItem{a, b} {
		if err := json.NewEncoder(&out).Encode(x); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// A bundle that is packed and unpacked is the same, and nothing else is unpacked.
func TestBundle(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	for _, p := range parts {
		if err := os.WriteFile(filepath.Join(from, p), []byte(p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "b.tar")
	if err := pack(from, file); err != nil {
		t.Fatal(err)
	}
	if err := unpack(file, to); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if b, err := os.ReadFile(filepath.Join(to, p)); err != nil || string(b) != p {
			t.Errorf("%s: %q, %v", p, b, err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][]byte{
		"another name": bytes.Replace(b, []byte(partRoots), []byte("../../x.js"), 1), "cut": b[:600], "nothing": nil,
	} {
		if err := os.WriteFile(file, change, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unpack(file, t.TempDir()); err == nil {
			t.Errorf("%s: unpacked", name)
		}
	}
}

// rootsOf returns the roots as a file of them gives them to a command.
func rootsOf(t *testing.T, z *testkit.Zone, chain ...*sign.Envelope) *shell.Roots {
	t.Helper()
	b, err := json.Marshal(chain)
	name := filepath.Join(t.TempDir(), "roots.json")
	if err == nil {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"WRIT_ROOT": z.Root.Zone().String(), "WRIT_ROOT_FILE": name, "WRIT_CONFIG": t.TempDir()}
	sh := &shell.Shell{Now: func() time.Time { return time.Unix(testkit.Now, 0) }, Getenv: func(k string) string { return env[k] }}
	if err := sh.Load(); err != nil {
		t.Fatal(err)
	}
	roots, err := sh.Roots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

// What is past is verified after the end of the root, and under the root of its
// time where a later one lists the gate no more; what is present is not. SPEC
// ROOT-3.
//
// R58 R26
func TestPastRoots(t *testing.T) {
	t.Parallel()
	g, sh := newWorld(t)
	c, err := sh.Client()
	if err != nil {
		t.Fatal(err)
	}
	item, err := c.Receipt(t.Context(), "1.2", false)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := fetch(t.Context(), sh, dir); err != nil {
		t.Fatal(err)
	}
	d := *g.Root.Document()
	d.Version, d.Prev, d.Gates = 2, g.Root.ID(), slices.Clone(d.Gates)
	d.Gates[0].ID = "gate-2"
	next := testkit.Envelope(t, policy.RootType, &d, g.Key("ana"), g.Key("bo"))
	roots := rootsOf(t, g.Zone, g.RootEnvelope, next)
	if _, ok := roots.InForce().Gate("gate-1"); ok || roots.InForce().Document().Version != 2 {
		t.Fatal("the root that follows lists the gate still")
	}
	if _, err := verifySigned(roots, item.Signed); err != nil {
		t.Errorf("a gate of the root before: %v", err)
	}
	if _, err := verifySigned(rootsOf(t, g.Zone, g.RootEnvelope), item.Signed); err != nil {
		t.Errorf("the genesis alone: %v", err)
	}
	g.Clock.Add(10 * 365 * 24 * time.Hour)
	if _, err := sh.RootDocument(t.Context()); err == nil {
		t.Error("the root has not expired")
	}
	late, err := sh.Roots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifySigned(late, item.Signed); err != nil {
		t.Errorf("after the root's end: %v", err)
	}
	r := &replay{pin: g.Root.Zone(), dir: dir}
	if err := r.run(); err != nil || r.Recomputed+r.Counted+r.GateWord != r.Decisions || r.Decisions != 2 {
		t.Errorf("audit after the root's end: %+v, %v", r, err)
	}
}

// A receipt is shown only as the gate's of the pinned root, and with the evidence
// that it commits to.
//
// guard: receipt-gate-in-root, shown-evidence-committed
func TestShownReceipts(t *testing.T) {
	t.Parallel()
	g, sh := newWorld(t)
	c, err := sh.Client()
	if err != nil {
		t.Fatal(err)
	}
	var items []api.ReceiptItem
	page, err := c.Receipts(t.Context(), "", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range page.Receipts {
		if item.Evidence != nil {
			items = append(items, item)
		}
	}
	r, err := verifySigned(rootsOf(t, g.Zone, g.RootEnvelope), items[0].Signed)
	if err != nil {
		t.Fatal(err)
	}
	// the same gate, with the same key, in another zone
	other := testkit.NewZoneWith(t, testkit.Config{Root: func(d *policy.RootDocument) { d.Expires += 86400 }})
	if _, err := verifySigned(rootsOf(t, other, other.RootEnvelope), items[0].Signed); err == nil {
		t.Error("a receipt of another zone was accepted")
	}
	text := describe(r, receiptID(t, r).String())
	if err := addEvidence(&text, r, &items[0]); err != nil || !strings.Contains(text.Operation, "/v1/orders/1") {
		t.Errorf("its own evidence: %q, %v", text.Operation, err)
	}
	if err := addEvidence(&text, r, &items[1]); err == nil {
		t.Error("the evidence of another receipt was shown")
	}
}

func receiptID(t *testing.T, r *receipt.Receipt) canon.Digest {
	t.Helper()
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return receipt.ID(b)
}

// A date is shown in one way.
func TestDate(t *testing.T) {
	t.Parallel()
	if s := shell.Date(time.Date(2026, 11, 24, 9, 5, 0, 0, time.UTC).Unix()); s != "2026-11-24 09:05 UTC" {
		t.Error(s)
	}
}
