package proof_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/proof"
)

// kept returns the evidence of a usual signed request, and its base.
func kept(t testing.TB) (evidence, base []byte) {
	t.Helper()
	k := world.Key("holder")
	m := signedPost(t, k)
	_, base, err := proof.VerifyHTTP(m, k.Public(), nil, testkit.Now)
	if err != nil {
		t.Fatal(err)
	}
	if evidence, err = proof.Evidence(m, base); err != nil {
		t.Fatal(err)
	}
	return evidence, base
}

// TestSignedEvidence shows what an auditor reads of a proof, and what no holder's
// signature makes of it: bases that the holder did sign, in another form.
//
// SPEC PROOF-12
// R5 A12 A32
// guard: signed-type, signed-signature, signed-tag, signed-kept-body, base-one-form
func TestSignedEvidence(t *testing.T) {
	t.Parallel()
	k := world.Key("holder")
	b, base := kept(t)
	m, v, err := proof.VerifySigned(b, k.Public())
	if err != nil {
		t.Fatal(err)
	}
	want := signedPost(t, k)
	if m.Method != want.Method || m.TargetURI != want.TargetURI || !bytes.Equal(m.Body, want.Body) || !m.HasBody || v.Purpose != usual().Purpose || v.Credential.IsZero() {
		t.Errorf("%+v, %+v", m, v)
	}
	if _, _, err := proof.VerifySigned(b, world.Key("other").Public()); !errors.Is(err, proof.ErrProof) {
		t.Errorf("by another: %v", err)
	}
	signed := func(base string, body []byte) []byte {
		sig, err := k.Sign([]byte(base))
		if err != nil {
			t.Fatal(err)
		}
		b, err := canon.EncodeCBOR(&proof.Signed{Typ: "writ-signed-http/1", Base: []byte(base), Signature: sig, Body: body})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, _, err := proof.VerifySigned(signed(string(base), want.Body), k.Public()); err != nil {
		t.Fatalf("made here: %v", err)
	}
	swap := func(old, with string) []byte {
		s := strings.Replace(string(base), old, with, 1)
		if s == string(base) {
			t.Fatalf("no %q in the base", old)
		}
		return signed(s, want.Body)
	}
	other, err := canon.EncodeCBOR(&proof.Signed{Typ: "writ-signed-http/2", Base: base, Signature: nil})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("proof"), "another type": other, "too long": make([]byte, 513<<10),
		"another tag": swap(`tag="writ-invoke-1"`, `tag="writ-invoke-2"`), "another key": swap(k.Public().ID().String(), world.Key("other").Public().ID().String()),
		"another body": signed(string(base), []byte("{}")), "white space in a field": swap(`"content-type": `, `"content-type":  `),
		"no method": swap("\"@method\": POST\n", ""), "a line more": swap("\"@method\"", "\"x\": y\n\"@method\""), "no parameters": signed("x", nil), "no line": signed(`"@signature-params": ()`, nil),
		"empty method": swap(`"@method": POST`, `"@method": `),
	} {
		if _, _, err := proof.VerifySigned(b, k.Public()); !errors.Is(err, proof.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range b {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[i] ^= 1 << bit
			if _, _, err := proof.VerifySigned(c, k.Public()); err == nil {
				t.Fatalf("bit %d of byte %d: accepted", bit, i)
			}
		}
	}
}

// TestEvidenceKeepsBodies shows how long a body may be to be kept.
//
// SPEC PROOF-12
func TestEvidenceKeepsBodies(t *testing.T) {
	t.Parallel()
	k := world.Key("holder")
	for n, want := range map[int]int{256 << 10: 256 << 10, 256<<10 + 1: 0} {
		m := post()
		m.Body = bytes.Repeat([]byte("1"), n)
		if err := proof.SignHTTP(m, usual(), k, nil); err != nil {
			t.Fatal(err)
		}
		_, base, err := proof.VerifyHTTP(m, k.Public(), nil, testkit.Now)
		if err != nil {
			t.Fatal(err)
		}
		b, err := proof.Evidence(m, base)
		if err != nil {
			t.Fatal(err)
		}
		if m, _, err := proof.VerifySigned(b, k.Public()); err != nil || len(m.Body) != want || !m.HasBody {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := proof.Evidence(post(), nil); !errors.Is(err, proof.ErrProof) {
		t.Errorf("without a signature: %v", err)
	}
}

// FuzzSigned: no evidence is a holder's but what the holder signed.
func FuzzSigned(f *testing.F) {
	b, base := kept(f)
	f.Add(b)
	k := world.Key("holder").Public()
	f.Fuzz(func(t *testing.T, b []byte) {
		var s proof.Signed
		if _, _, err := proof.VerifySigned(b, k); err == nil && (canon.DecodeCBOR(b, &s) != nil || !bytes.Equal(s.Base, base)) {
			t.Error("another base is accepted")
		}
	})
}
