package custody_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/custody"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/permit"
	"github.com/writhq/writ/policy"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/seal"
	"github.com/writhq/writ/secret"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/zone"
)

// world is a custody over a zone, blobs and one open intent.
type world struct {
	*testkit.Zone
	t       testing.TB
	zone    *zone.Zone
	blobs   map[canon.Digest][]byte
	intents map[receipt.Ref]*receipt.Receipt
	now     int64
	custody *custody.Custody
	sealed  canon.Digest
	reading func() // called when a blob is read; nil: nothing
}

func (w *world) View(fn func(*zone.Zone)) error { fn(w.zone); return nil }

func (w *world) OpenIntent(r receipt.Ref) (*receipt.Receipt, bool) {
	i, ok := w.intents[r]
	return i, ok
}

func (w *world) Sealed(_ context.Context, d canon.Digest) ([]byte, error) {
	if w.reading != nil {
		w.reading()
	}
	b, ok := w.blobs[d]
	if !ok {
		return nil, errors.New("no such blob")
	}
	return b, nil
}

func newWorld(t testing.TB, change func(*policy.RootDocument)) *world {
	t.Helper()
	w := &world{
		Zone: testkit.NewZoneWith(t, testkit.Config{Root: change}), t: t, now: testkit.Now,
		blobs: make(map[canon.Digest][]byte), intents: make(map[receipt.Ref]*receipt.Receipt),
	}
	var err error
	if w.zone, err = zone.New(w.Root.Zone(), []*sign.Envelope{w.RootEnvelope}, testkit.Now); err != nil {
		t.Fatal(err)
	}
	w.apply(w.Envelope)
	w.inForce(w.Policy)
	st, blob := w.Zone.Sealed(t)
	w.put(st, blob, 1, "sam")
	w.custody, err = custody.New(custody.Config{
		Gate: "gate-1", Keys: []seal.GateKey{w.Gate}, Intents: w, Laws: w, Blobs: w, Now: func() int64 { return w.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) apply(e *sign.Envelope) {
	w.t.Helper()
	b, err := (&zone.Entry{LoggedAt: testkit.Now, Envelope: e}).Encode()
	if err == nil {
		_, err = w.zone.Apply(b)
	}
	if err != nil {
		w.t.Fatalf("apply: %v", err)
	}
}

func (w *world) inForce(p *policy.Verified) {
	d := p.Document()
	w.apply(testkit.Envelope(w.t, zone.AliasType, zone.AliasRecord{Zone: w.Root.Zone(), Alias: d.Alias, Version: d.Version, Policy: p.ID()}, w.Key("ana"), w.Key("bo")))
}

// put publishes a blob as a version of the secret under the policy in force.
func (w *world) put(st *seal.Signed, blob []byte, version int64, by string) {
	w.t.Helper()
	p, _ := w.zone.InForce(testkit.Alias)
	w.sealed = canon.Hash(blob)
	w.blobs[w.sealed] = blob
	w.apply(testkit.Envelope(w.t, zone.SecretType, zone.SecretRecord{
		Zone: w.Root.Zone(), Alias: testkit.Alias, ID: testkit.SecretID, Version: version, Policy: p.ID(),
		Sealed: w.sealed, Statement: st.Envelope(), State: zone.Active,
	}, w.Key(by)))
}

func (w *world) revoke(kind zone.RevokeKind, id canon.Digest) {
	w.apply(testkit.Envelope(w.t, zone.RevokeType, zone.RevokeRecord{Zone: w.Root.Zone(), Alias: testkit.Alias, Kind: kind, ID: id, Reason: "test"}, w.Key("ana")))
}

// succeed puts a successor in force and returns it.
func (w *world) succeed() *policy.Verified {
	p, _ := w.zone.InForce(testkit.Alias)
	next := w.Successor(w.t, p, func(d *policy.Document) { d.Expires++ })
	w.apply(testkit.Envelope(w.t, policy.PayloadType, next.Document(), w.Key("ana"), w.Key("bo")))
	w.inForce(next)
	return next
}

var nonces atomic.Uint64

// permit returns a good permit, whose intent is open.
func (w *world) permit() *permit.Permit {
	p, _ := w.zone.InForce(testkit.Alias)
	n := nonces.Add(1)
	ref := receipt.Ref{Epoch: 1, Seq: n, Digest: canon.Hash(fmt.Append(nil, n))}
	w.intents[ref] = &receipt.Receipt{
		Zone: w.Root.Zone(), Policy: p.ID(), Alias: testkit.Alias, Target: testkit.Target, Blocks: []canon.Digest{{7}, {8}},
		Secret: &receipt.SecretRef{Blob: w.sealed, ID: testkit.SecretID, Version: 1},
	}
	return &permit.Permit{
		Zone: w.Root.Zone(), Policy: p.ID(), Alias: testkit.Alias, SecretID: testkit.SecretID, Version: 1, Sealed: w.sealed,
		Operation: canon.Digest{1}, Target: testkit.Target, Intent: permit.Intent{Epoch: ref.Epoch, Seq: ref.Seq, Digest: ref.Digest},
		Nonce: [16]byte{1, byte(n), byte(n >> 8), byte(n >> 16)}, Expires: w.now + permit.MaxLifetime,
	}
}

func plain(s secret.Bytes) (out string) {
	s.Use(func(b []byte) error { out = string(b); return nil }) //secret:string a test looks at its own secret
	return out
}

// TestOpen shows what a permit opens, once. SPEC CUST-1.
//
// R18 R16
// guard: permit-spent
func TestOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for range 2 { // the second time from memory
		p := w.permit()
		s, err := w.custody.Open(t.Context(), p)
		if err != nil || plain(s) != testkit.Plain {
			t.Fatalf("open: %v", err)
		}
		s.Wipe() // wipes the caller's copy alone
		if _, err := w.custody.Open(t.Context(), p); !errors.Is(err, custody.ErrPermit) {
			t.Errorf("second open with one permit: %v", err)
		}
	}
	w.custody.Forget()
	if s, err := w.custody.Open(t.Context(), w.permit()); err != nil || plain(s) != testkit.Plain {
		t.Errorf("open after Forget: %v", err)
	}
}

// TestOnePermitManyThreads shows that a permit is spent by one of many at the
// same moment.
//
// R18
func TestOnePermitManyThreads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	p := w.permit()
	var opened atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := w.custody.Open(t.Context(), p); err == nil {
				opened.Add(1)
			}
		})
	}
	wg.Wait()
	if opened.Load() != 1 {
		t.Errorf("one permit opened %d times", opened.Load())
	}
}

// TestBadPermits shows permits that differ from what happened. SPEC CUST-1,
// CUST-2.
//
// R5 R16 R18 R28 R29 R59 A3 A5
// guard: open-root-in-time, permit-zero, permit-expired, permit-intent, permit-agrees, permit-secret-agrees, open-active-version, open-revoked, open-block-revoked
func TestBadPermits(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world, p *permit.Permit){
		"empty":           func(_ *world, p *permit.Permit) { *p = permit.Permit{Expires: p.Expires} },
		"no nonce":        func(_ *world, p *permit.Permit) { p.Nonce = [16]byte{} },
		"expired":         func(w *world, p *permit.Permit) { w.now += permit.MaxLifetime },
		"for too long":    func(_ *world, p *permit.Permit) { p.Expires++ },
		"no intent":       func(w *world, p *permit.Permit) { clear(w.intents) },
		"another intent":  func(_ *world, p *permit.Permit) { p.Intent.Digest[0] ^= 1 },
		"another target":  func(_ *world, p *permit.Permit) { p.Target = "bank" },
		"another alias":   func(_ *world, p *permit.Permit) { p.Alias = "payments/other" },
		"another zone":    func(_ *world, p *permit.Permit) { p.Zone[0] ^= 1 },
		"another policy":  func(_ *world, p *permit.Permit) { p.Policy[0] ^= 1 },
		"another secret":  func(_ *world, p *permit.Permit) { p.SecretID = "other" },
		"another version": func(_ *world, p *permit.Permit) { p.Version = 2 },
		"an intent that opens none": func(w *world, _ *permit.Permit) {
			for _, r := range w.intents {
				r.Secret = nil
			}
		},
		"secret destroyed": func(w *world, _ *permit.Permit) {
			rec, _ := w.zone.Secret(testkit.Alias, testkit.SecretID)
			end := rec.Record
			end.State = zone.Destroyed
			w.apply(testkit.Envelope(w.t, zone.SecretType, end, w.Key("sam")))
		},
		"another blob":   func(_ *world, p *permit.Permit) { p.Sealed[0] ^= 1 },
		"policy revoked": func(w *world, _ *permit.Permit) { w.revoke(zone.RevokePolicy, w.Policy.ID()) },
		"gate revoked":   func(w *world, _ *permit.Permit) { w.revoke(zone.RevokeGate, canon.Hash([]byte("gate-1"))) },
		"block revoked":  func(w *world, _ *permit.Permit) { w.revoke(zone.RevokeBlock, canon.Digest{8}) },
		"grant revoked":  func(w *world, _ *permit.Permit) { w.revoke(zone.RevokeCredential, canon.Digest{7}) },
		"root expired": func(w *world, p *permit.Permit) {
			w.now += 200 * 86400
			p.Expires = w.now + permit.MaxLifetime
		},
		"policy succeeded": func(w *world, _ *permit.Permit) { w.succeed() },
		"secret renewed": func(w *world, p *permit.Permit) {
			v := testkit.Value("sk_live_another_one_of_them")
			st, err := seal.NewStatement(w.Policy, seal.Name{ID: testkit.SecretID, Version: 2, IssuedAt: testkit.Now}, v)
			if err != nil {
				w.t.Fatal(err)
			}
			if err := st.Envelope().Sign(w.Key("sam")); err != nil {
				w.t.Fatal(err)
			}
			blob, err := seal.Seal(w.Policy, st, w.Root.Group(testkit.Group), v)
			if err != nil {
				w.t.Fatal(err)
			}
			w.put(st, blob, 2, "sam")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			p := w.permit()
			change(w, p)
			if s, err := w.custody.Open(t.Context(), p); err == nil {
				t.Errorf("opened %d bytes", len(plain(s)))
			}
		})
	}
}

// TestOldBlobPutBack shows that an older blob of the same secret under the same
// policy, put in the place of the newer, does not open.
//
// R1 R29 A3
// guard: permit-blob, blob-digest
func TestOldBlobPutBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	old, oldBlob := w.sealed, w.blobs[w.sealed]
	st, again := w.Zone.Sealed(t) // the same value, sealed once more
	w.put(st, again, 1, "gate-1")
	p := w.permit()
	w.blobs[w.sealed] = oldBlob
	if _, err := w.custody.Open(t.Context(), p); !errors.Is(err, custody.ErrSecret) {
		t.Errorf("old bytes under the new digest: %v", err)
	}
	w.blobs[old], w.blobs[w.sealed] = oldBlob, again
	p = w.permit()
	p.Sealed = old
	for _, r := range w.intents {
		r.Secret = &receipt.SecretRef{Blob: old, ID: testkit.SecretID, Version: 1} // a gate that lies to its custody
	}
	if _, err := w.custody.Open(t.Context(), p); !errors.Is(err, custody.ErrPermit) {
		t.Errorf("permit for the old bytes: %v", err)
	}
}

// TestForeignRecipients shows a blob that a sealer made with tools of its own,
// under the right policy and to the right key, whose header names another group:
// it decrypts, and is not opened; nor one that was sealed to a key of nobody's as
// well. SPEC CUST-3, ZONE-8.
//
// A2
// guard: open-recipients
func TestForeignRecipients(t *testing.T) {
	t.Parallel()
	for group, want := range map[string]error{testkit.Group: nil, "staging": custody.ErrSecret} {
		w := newWorld(t, nil)
		st, _ := w.Zone.Sealed(t)
		w.put(st, w.forge(st, group), 1, "gate-1")
		if _, err := w.custody.Open(t.Context(), w.permit()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", group, err, want)
		}
	}
	for name, with := range map[string]bool{"our gate alone": false, "a key that no root lists": true} {
		w := newWorld(t, nil)
		st, _ := w.Zone.Sealed(t)
		keys := w.Root.Group(testkit.Group)
		if with {
			mallory := testkit.GateKey(t, "mallory", "prod/evil")
			keys = append(keys, mallory.Public())
		}
		blob, err := seal.Seal(w.Policy, st, keys, testkit.Value(testkit.Plain))
		if err != nil {
			t.Fatal(err)
		}
		w.put(st, blob, 1, "gate-1")
		_, err = w.custody.Open(t.Context(), w.permit())
		if with != errors.Is(err, custody.ErrSecret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReseal shows the same value under a successor, with the statement it had.
// SPEC CUST-4.
//
// R20 R44 A5
func TestReseal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	before := w.blobs[w.sealed]
	w.succeed()
	w.succeed()
	p := w.permit()
	blob, rec, err := w.custody.Reseal(t.Context(), p)
	if err != nil {
		t.Fatalf("reseal across two successions: %v", err)
	}
	if _, _, err := w.custody.Reseal(t.Context(), p); !errors.Is(err, custody.ErrPermit) {
		t.Errorf("second re-seal with one permit: %v", err)
	}
	h0, err0 := seal.ParseHeader(before)
	h1, err1 := seal.ParseHeader(blob)
	if err0 != nil || err1 != nil || h0.Statement != h1.Statement || h1.Version != 1 {
		t.Errorf("the statement changed: %v %v", err0, err1)
	}
	e, err := custody.SignRecord(rec, w.Key("gate-1"))
	if err != nil {
		t.Fatal(err)
	}
	w.apply(e)
	w.sealed = canon.Hash(blob)
	w.blobs[w.sealed] = blob
	if s, err := w.custody.Open(t.Context(), w.permit()); err != nil || plain(s) != testkit.Plain {
		t.Errorf("open after re-seal: %v", err)
	}
}

// TestKeyring shows a keyring on the disk. SPEC KEYR-1, KEYR-2.
//
// R1 A1
func TestKeyring(t *testing.T) {
	t.Parallel()
	k, err := custody.NewKeyring("gate-1", "prod/1")
	if err != nil {
		t.Fatal(err)
	}
	k.Pin = canon.Digest{7}
	pass := secret.Take([]byte("correct horse"))
	file, err := k.Wrap(pass)
	if err != nil {
		t.Fatal(err)
	}
	got, err := custody.Unwrap(file, pass)
	if err != nil || got.Pin != k.Pin || got.Sign.Public() != k.Sign.Public() || got.Log.Public() != k.Log.Public() || !got.KEM.Equal(k.KEM) || !got.Evidence.Equal(k.Evidence) {
		t.Fatalf("unwrap: %v", err)
	}
	for name, p := range map[string]string{"wrong": "correct hors", "empty": ""} {
		if _, err := custody.Unwrap(file, secret.Take([]byte(p))); !errors.Is(err, custody.ErrKeyring) {
			t.Errorf("%s passphrase: %v", name, err)
		}
	}
	for i := 0; i < len(file); i += 40 { // each costs an argon2id
		bad := append([]byte(nil), file...)
		bad[i] ^= 1
		if _, err := custody.Unwrap(bad, pass); err == nil {
			t.Errorf("a keyring with byte %d altered opens", i)
		}
	}
	clearFile, err := k.WrapInsecure()
	if err != nil || !custody.Insecure(clearFile) || custody.Insecure(file) {
		t.Errorf("insecure keyring: %v", err)
	}
}
