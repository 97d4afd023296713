package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/gateway/httpgw"
	"github.com/writhq/writ/internal/polog"
	"github.com/writhq/writ/internal/server"
	"github.com/writhq/writ/internal/testgate"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/zone"
)

// putBack restores the backup into a folder of its own and returns the gate on it,
// which is not started. Its clock is two seconds later.
func putBack(t *testing.T, g *testgate.Gate, tar []byte, door func(string) json.RawMessage) *testgate.Gate {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := server.Restore(bytes.NewReader(tar), dir); err != nil {
		t.Fatal(err)
	}
	after := testgate.Prepare(t, testgate.Config{
		Dir: dir, Upstream: g.Upstream, Doors: []testgate.Door{{Protocol: httpgw.Protocol, Config: door}},
	})
	after.Clock.Add(2 * time.Second)
	return after
}

// backUp stops g and returns a backup of its folder; then g runs again.
func backUp(t *testing.T, g *testgate.Gate) []byte {
	t.Helper()
	ring, err := g.Keyring().WrapInsecure()
	if err == nil {
		err = os.WriteFile(filepath.Join(g.Dir, "keyring"), ring, 0o600)
	}
	if err = errors.Join(err, g.Stop()); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := server.BackupFolder(t.Context(), g.Dir, &b); err != nil {
		t.Fatal(err)
	}
	g.Start()
	return b.Bytes()
}

// A folder that is put back denies everything, through restarts too, until someone
// confirms that it has caught up; and that is on record. The revocation that came
// after the backup was published again by then. SPEC CTRL-21.
//
// R29: the gate saw the revocation, and is put back to before it
// R50: an older snapshot of the state
// A34: the whole folder, all of one age
// guard: gate-held
func TestRestoredDenies(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	revoked := g.Wide(1)
	tar := backUp(t, g)
	g.Revoke(zone.RevokeCredential, revoked.Blocks()[0])
	if status, body := order(t, g, g.Client(revoked, g.Holder(0), "refund")); status != 403 {
		t.Fatalf("revoked: status %d: %s", status, body)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	calls := len(g.Upstream.Seen())

	after := putBack(t, g, tar, config)
	other := after.Wide(1)
	for range 2 {
		after.Start()
		for _, c := range []struct {
			name string
			h    func() (int, string)
		}{
			{"revoked since", func() (int, string) { return order(t, after, after.Client(revoked, after.Holder(0), "refund")) }},
			{"another", func() (int, string) { return order(t, after, after.Client(other, after.Holder(0), "refund")) }},
		} {
			if status, body := c.h(); status != 503 || !strings.Contains(body, string(op.StateUnavailable)) || !strings.Contains(body, "restored from a backup") {
				t.Errorf("%s: status %d: %s", c.name, status, body)
			}
		}
		if after.Server.Held() == "" {
			t.Error("not held")
		}
		if err := after.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	after.Start()
	after.Revoke(zone.RevokeCredential, revoked.Blocks()[0])
	if was, err := after.Server.Confirm(t.Context(), nil); !was || err != nil || after.Server.Held() != "" {
		t.Fatalf("confirm: %v, %v", was, err)
	}
	if n := len(after.Upstream.Seen()); n != calls {
		t.Errorf("the target saw %d calls before that", n-calls)
	}
	if status, body := order(t, after, after.Client(revoked, after.Holder(0), "refund")); status != 403 || !strings.Contains(body, string(op.Revoked)) {
		t.Errorf("revoked again: status %d: %s", status, body)
	}
	h := after.Client(other, after.Holder(0), "refund")
	if status, body := order(t, after, h); status != 200 {
		t.Errorf("another: status %d: %s", status, body)
	}
	onRecord(t, after)
	if was, err := after.Server.Confirm(t.Context(), nil); was || err != nil {
		t.Errorf("confirm again: %v, %v", was, err)
	}
}

// A proof that was used after the backup is not taken again. SPEC CTRL-21.
//
// R18 A34
// guard: restored-proofs
func TestRestoredProofs(t *testing.T) {
	t.Parallel()
	var origin json.RawMessage // that of the start after the backup: signatures cover it
	fixed := false
	door := func(addr string) json.RawMessage {
		if !fixed {
			origin = config(addr)
		}
		return origin
	}
	g := testgate.New(t, testgate.Config{Upstream: testgate.NewUpstream(t, nil), Doors: []testgate.Door{{Protocol: httpgw.Protocol, Config: door}}})
	tar := backUp(t, g)
	fixed = true
	used := record(t, g, g.Client(g.Wide(1), g.Holder(0), "refund"))
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	after := putBack(t, g, tar, door)
	after.Start()
	if _, err := after.Server.Confirm(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if status, code := play(t, after, used); status != 409 || code != op.Replayed {
		t.Errorf("a proof that was used: status %d, %s", status, code)
	}
}

// onRecord fails unless one receipt says that the folder was confirmed.
func onRecord(t *testing.T, g *testgate.Gate) {
	t.Helper()
	r := g.Receipts(receipt.Admin)
	if len(r) != 1 || !strings.Contains(r[0].Note, "restored") || r[0].PolicyLog == nil || r[0].Mode != receipt.Durable {
		t.Errorf("%d receipts: %+v", len(r), r)
	}
}

// With a head that was seen elsewhere a folder is confirmed only if its policy log
// contains it; and without a record it is not confirmed. SPEC CTRL-21, POLOG-5.
//
// R29 A34
// guard: confirm-head
func TestConfirmHead(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	seen, err := g.Server.PolicyLog().Head()
	if err != nil {
		t.Fatal(err)
	}
	tar := backUp(t, g)
	g.Revoke(zone.RevokeBlock, canon.Hash([]byte("x")))
	later, err := g.Server.PolicyLog().Head()
	if err != nil {
		t.Fatal(err)
	}
	after := putBack(t, g, tar, config)
	after.Start()
	if was, err := after.Server.Confirm(t.Context(), later); was || !errors.Is(err, polog.ErrHead) || after.Server.Held() == "" {
		t.Errorf("a head from after the backup: %v, %v", was, err)
	}
	if was, err := after.Server.Confirm(t.Context(), seen); !was || err != nil || after.Server.Held() != "" {
		t.Errorf("a head from before it: %v, %v", was, err)
	}
	onRecord(t, after)
}

// A backup of a gate that runs starts too, and is held. SPEC CTRL-15, CTRL-21.
func TestRestoredWhileItRan(t *testing.T) {
	t.Parallel()
	g := newGate(t, testgate.Config{})
	order(t, g, g.Client(g.Wide(1), g.Holder(0), "refund"))
	ring, err := g.Keyring().WrapInsecure()
	if err == nil {
		err = os.WriteFile(filepath.Join(g.Dir, "keyring"), ring, 0o600)
	}
	var b bytes.Buffer
	if err == nil {
		err = g.Server.Backup(t.Context(), &b)
	}
	if err != nil {
		t.Fatal(err)
	}
	after := putBack(t, g, b.Bytes(), config)
	after.Start()
	h := after.Client(after.Wide(1), after.Holder(0), "refund")
	if status, body := order(t, after, h); status != 503 {
		t.Errorf("status %d: %s", status, body)
	}
	if was, err := after.Server.Confirm(t.Context(), nil); !was || err != nil {
		t.Fatalf("confirm: %v, %v", was, err)
	}
	after.Clock.Add(31 * time.Second) // until then proofs from before may have been used
	if status, body := order(t, after, h); status != 200 {
		t.Errorf("status %d: %s", status, body)
	}
}
