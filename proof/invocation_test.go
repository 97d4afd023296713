package proof_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/proof"
	"github.com/writhq/writ/sign"
)

const invocationType = "application/writ-invoke+cbor"

var operation = &op.Operation{Type: "http/1", Asked: []byte("asked"), Found: []byte("found")}

// invoke returns the usual invocation of operation, changed, by the key.
func invoke(t testing.TB, k sign.Signer, change func(*proof.Invocation)) []byte {
	t.Helper()
	v := usual()
	v.Credential, v.Operation = canon.Hash(chain), operation.AskedDigest()
	if change != nil {
		change(v)
	}
	b, err := v.Sign(k)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestInvocation signs an invocation, and flips every bit of it.
//
// SPEC PROOF-2, PROOF-3
// R1
func TestInvocation(t *testing.T) {
	t.Parallel()
	for _, k := range []sign.PrivateKey{world.Key("holder"), world.KeyP256("holder")} {
		b := invoke(t, k, nil)
		v, err := proof.VerifyInvocation(k.Public(), b, operation, testkit.Now)
		if err != nil {
			t.Fatal(err)
		}
		want := usual()
		want.Typ, want.Credential, want.Operation = "writ-invoke/1", canon.Hash(chain), operation.AskedDigest()
		if !reflect.DeepEqual(v, want) {
			t.Errorf("%+v, want %+v", v, want)
		}
		n := testkit.Flips(b, func(flipped []byte, bit int) {
			if v, err := proof.VerifyInvocation(k.Public(), flipped, operation, testkit.Now); err == nil || v != nil || !errors.Is(err, proof.ErrProof) {
				t.Errorf("%s: bit %d does not matter: %v", k.Public().Algorithm(), bit, err)
			}
		})
		if n < 8*300 {
			t.Errorf("%d bits", n)
		}
		for cut := range b {
			if _, err := proof.VerifyInvocation(k.Public(), b[:cut], operation, testkit.Now); err == nil {
				t.Errorf("cut to %d bytes", cut)
			}
		}
		if _, err := proof.VerifyInvocation(world.Key("other").Public(), b, operation, testkit.Now); !errors.Is(err, proof.ErrProof) {
			t.Errorf("under another key: %v", err)
		}
	}
}

// TestInvocationOperation takes a proof for another operation, and proofs of
// other kinds by the same key, for an invocation of this one.
//
// SPEC PROOF-2
// A12
// guard: invocation-operation
func TestInvocationOperation(t *testing.T) {
	t.Parallel()
	k := world.Key("holder")
	good := invoke(t, k, nil)
	for name, o := range map[string]*op.Operation{
		"asked":  {Type: "http/1", Asked: []byte("Asked"), Found: []byte("found")},
		"type":   {Type: "http/2", Asked: []byte("asked"), Found: []byte("found")},
		"shift":  {Type: "http/1a", Asked: []byte("sked"), Found: []byte("found")},
		"empty":  {},
		"nobody": {Type: "http/1"},
	} {
		v, err := proof.VerifyInvocation(k.Public(), good, o, testkit.Now)
		refused(t, name, v, err)
	}
	if _, err := proof.VerifyInvocation(k.Public(), good, &op.Operation{Type: "http/1", Asked: []byte("asked"), Found: []byte("other")}, testkit.Now); err != nil {
		t.Errorf("the holder cannot know what is found: %v", err)
	}
	b := invoke(t, k, func(v *proof.Invocation) { v.Operation = canon.Digest{} })
	v, err := proof.VerifyInvocation(k.Public(), b, operation, testkit.Now)
	refused(t, "without an operation", v, err)
	payload, err := sign.PayloadUnverified(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"application/writ-present+cbor", "application/writ-block+cbor", "application/writ-sealer+cbor", ""} {
		b, err := sign.Sign1(k, typ, payload)
		if err != nil {
			t.Fatal(err)
		}
		v, err := proof.VerifyInvocation(k.Public(), b, operation, testkit.Now)
		refused(t, "a block of type "+typ, v, err)
	}
	var fields map[int]any
	if err := canon.DecodeCBOR(payload, &fields); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[int]any){
		"type":      func(m map[int]any) { m[1] = "writ-present/1" },
		"operation": func(m map[int]any) { delete(m, 3) },
		"unknown":   func(m map[int]any) { m[99] = 1 },
		"text":      func(m map[int]any) { m[7] = "now" },
	} {
		m := map[int]any{}
		for k, v := range fields {
			m[k] = v
		}
		change(m)
		p, err := canon.EncodeCBOR(m)
		if err != nil {
			t.Fatal(err)
		}
		b, err := sign.Sign1(k, invocationType, p)
		if err != nil {
			t.Fatal(err)
		}
		v, err := proof.VerifyInvocation(k.Public(), b, operation, testkit.Now)
		refused(t, name, v, err)
	}
}

// TestInvocationBounds signs what is missing or too long.
//
// SPEC PROOF-3
func TestInvocationBounds(t *testing.T) {
	t.Parallel()
	k := world.Key("holder")
	long := strings.Repeat("x", 129)
	for name, change := range map[string]func(*proof.Invocation){
		"no jti":        func(v *proof.Invocation) { v.JTI = nil },
		"short jti":     func(v *proof.Invocation) { v.JTI = v.JTI[:15] },
		"long jti":      func(v *proof.Invocation) { v.JTI = bytes.Repeat([]byte{1}, 17) },
		"no audience":   func(v *proof.Invocation) { v.Audience = "" },
		"long audience": func(v *proof.Invocation) { v.Audience = long },
		"long purpose":  func(v *proof.Invocation) { v.Purpose = long },
		"long key":      func(v *proof.Invocation) { v.Idem = long },
		"17 receipts":   func(v *proof.Invocation) { v.Lineage = make([]canon.Digest, 17) },
		"4 KiB":         func(v *proof.Invocation) { v.Idem = strings.Repeat("x", 4<<10) },
	} {
		_, err := proof.VerifyInvocation(k.Public(), invoke(t, k, change), operation, testkit.Now)
		refused(t, name, nil, err)
	}
	if len(proof.NewJTI()) != 16 || bytes.Equal(proof.NewJTI(), proof.NewJTI()) {
		t.Error("ids are not fresh")
	}
}

// TestInvocationTime signs proofs that would live longer than a replay id is
// kept: in the past, in the future, and so far off that sums overflow. Whenever
// a proof is accepted, its replay id is still kept.
//
// SPEC PROOF-3, PROOF-4
// A14
// guard: proof-lifetime, proof-time
func TestInvocationTime(t *testing.T) {
	t.Parallel()
	k := world.Key("holder")
	const now = testkit.Now
	accepted := 0
	for _, c := range []struct {
		issued, expires int64
		ok              bool
	}{
		{now, now + 60, true},
		{now, now + 1, true},
		{now + 30, now + 90, true},
		{now - 89, now - 29, true},
		{now, now + 61, false},
		{now, now, false},
		{now, now - 1, false},
		{now + 31, now + 60, false},
		{now - 90, now - 30, false},
		{now - 3600, now + 1, false},
		{0, now + 60, false},
		{-60, 0, false},
		{-1, now + 1_000_000, false},
		{math.MinInt64 + 30, now + 1_000_000, false},
		{math.MinInt64 + 30, math.MaxInt64 - 30, false},
		{math.MinInt64, now + 60, false},
		{now, math.MaxInt64, false},
		{math.MaxInt64 - 60, math.MaxInt64, false},
	} {
		b := invoke(t, k, func(v *proof.Invocation) { v.IssuedAt, v.Expires = c.issued, c.expires })
		for _, late := range []int64{0, 1, 29, 30, 60, 89, 90, 91, 1000, 1_000_000} {
			v, err := proof.VerifyInvocation(k.Public(), b, operation, now+late)
			if err == nil {
				accepted++
				if v.ReplayUntil() <= now+late {
					t.Errorf("%d to %d is accepted at %d, but remembered until %d only", c.issued-now, c.expires-now, late, v.ReplayUntil()-now)
				}
			} else if !errors.Is(err, proof.ErrTime) {
				t.Errorf("%d to %d at %d: %v", c.issued, c.expires, late, err)
			}
			if late == 0 && (err == nil) != c.ok || late > 120 && err == nil {
				t.Errorf("%d to %d at %d: %v", c.issued-now, c.expires-now, late, err)
			}
		}
	}
	if accepted < 10 {
		t.Errorf("accepted %d times", accepted)
	}
}

// TestReplayID sees that a proof has one id per replay domain, holder and jti,
// whatever else it says.
//
// SPEC PROOF-4
func TestReplayID(t *testing.T) {
	t.Parallel()
	k := world.Key("holder").Public()
	v := usual()
	id := v.ReplayID(k)
	same := usual()
	same.Purpose, same.IssuedAt, same.Idem = "lookup", 1, ""
	if same.ReplayID(k) != id {
		t.Error("the id depends on more than domain, holder and jti")
	}
	domain, other := usual(), usual()
	domain.Audience, other.JTI = "prod/2", bytes.Repeat([]byte{7}, 16)
	shifted := usual()
	shifted.Audience, shifted.JTI = "prod/10", append([]byte("123456789abcdef"), 0)
	ids := map[canon.Digest]bool{id: true, domain.ReplayID(k): true, other.ReplayID(k): true, shifted.ReplayID(k): true, v.ReplayID(world.Key("x").Public()): true}
	if len(ids) != 5 {
		t.Errorf("%d ids", len(ids))
	}
}

// TestLevels sees that the levels of proof are those of the specification, in
// order, and that the weakest is the zero value.
//
// SPEC PROOF-1
func TestLevels(t *testing.T) {
	t.Parallel()
	for i, l := range []op.Level{op.Bearer, op.Presentation, op.Channel, op.Signed, op.Person} {
		if int(l) != i {
			t.Errorf("level %d is %d", i, l)
		}
	}
}

// FuzzInvocation: no block is an invocation but those that the holder signed, and
// what parses has one form.
func FuzzInvocation(f *testing.F) {
	k := world.Key("holder")
	good := invoke(f, k, nil)
	f.Add(good)
	f.Add(invoke(f, k, func(v *proof.Invocation) { v.Lineage, v.Policy, v.Purpose, v.Idem = nil, nil, "", "" }))
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := proof.VerifyInvocation(k.Public(), b, operation, testkit.Now)
		if err != nil {
			if v != nil || !errors.Is(err, proof.ErrProof) {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		again, err := v.Sign(k) // Ed25519: the same signature
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x is signed again as %x", b, again)
		}
	})
}
