package receipt_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/receipt"
)

const evidenceFile = "../vectors/receipt/evidence.json"

// An evidenceVector is the bytes of evidence, and whether they are what a receipt
// commits to.
type evidenceVector struct {
	Name     string        `json:"name"`
	Evidence string        `json:"evidence"`          // hexadecimal
	Zeros    int           `json:"zeros,omitempty"`   // so many bytes of zero follow
	Receipt  string        `json:"receipt,omitempty"` // hexadecimal: a payload
	Opens    []disclosureV `json:"opens,omitempty"`   // what opens each commitment
	Error    string        `json:"error,omitempty"`   // form: it is no evidence; evidence: it is another receipt's
}

type disclosureV struct {
	Field      receipt.Field `json:"field"`
	Salt       string        `json:"salt"` // hexadecimal
	Value      string        `json:"value"`
	Commitment string        `json:"commitment"`
}

// A sealedVector is evidence as a ledger keeps it, encrypted under the segment's
// key for one receipt.
type sealedVector struct {
	Name     string `json:"name"`
	Epoch    uint64 `json:"epoch"`
	Seq      uint64 `json:"seq"`
	Sealed   string `json:"sealed"`             // hexadecimal
	Evidence string `json:"evidence,omitempty"` // hexadecimal
	Error    string `json:"error,omitempty"`    // evidence: it does not open; form: what opens is no evidence
}

// A wrappedVector is a segment's key as a ledger keeps it, encrypted under the gate's
// evidence key.
type wrappedVector struct {
	Name    string `json:"name"`
	Gate    string `json:"gate"`
	Zone    string `json:"zone"`
	Segment uint64 `json:"segment"`
	Wrapped string `json:"wrapped"`         // hexadecimal
	Key     string `json:"key,omitempty"`   // hexadecimal
	Error   string `json:"error,omitempty"` // evidence: it does not open
}

type evidenceVectors struct {
	Format      string           `json:"format"`
	Cases       []evidenceVector `json:"cases"`
	SegmentKey  string           `json:"segment_key"` // hexadecimal
	Sealed      []sealedVector   `json:"sealed"`
	EvidenceKey string           `json:"evidence_key"` // hexadecimal; of the gate
	Wrapped     []wrappedVector  `json:"wrapped"`
}

// bytesOf returns evidence encoded, whatever is wrong with it.
func bytesOf(t testing.TB, e any) []byte {
	t.Helper()
	b, err := canon.EncodeCBOR(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// committing returns an intent, or with a response an outcome, that commits to e.
func committing(t testing.TB, e *receipt.Evidence) []byte {
	t.Helper()
	r := short()
	if len(e.Response) > 0 {
		w := newWriter(t)
		r = w.outcome(receipt.Ref{Epoch: 1, Seq: 1, Digest: zone})
		r.Seq = 2
	} else {
		r.Operation = canon.Digest{}
	}
	if err := e.Commit(r); err != nil {
		t.Fatal(err)
	}
	return encode(t, r)
}

func evidenceCases(t *testing.T) evidenceVectors {
	f := evidenceVectors{Format: "evidence of receipts"}
	put := func(name, failure string, evidence, payload []byte) {
		v := evidenceVector{Name: name, Evidence: hex.EncodeToString(evidence), Receipt: hex.EncodeToString(payload), Error: failure}
		if failure == "" {
			v.Opens = opens(t, evidence, payload)
		}
		f.Cases = append(f.Cases, v)
	}
	whole := sample()
	payload := committing(t, whole)
	responded := sample()
	responded.Operation, responded.Context, responded.Proof, responded.Response = nil, nil, nil, []canon.Digest{zone}
	bare := sample()
	bare.Context, bare.Proof = nil, nil
	put("all of an intent", "", bytesOf(t, whole), payload)
	put("a response", "", bytesOf(t, responded), committing(t, responded))
	put("an operation alone", "", bytesOf(t, bare), committing(t, bare))
	for _, c := range evidenceChanges() {
		e := sample()
		c.change(e)
		put(c.name, "evidence", bytesOf(t, e), payload)
	}
	put("a response of another", "evidence", bytesOf(t, &receipt.Evidence{Key: responded.Key, Response: []canon.Digest{{1}}}), committing(t, responded))
	b := bytesOf(t, whole)
	bad := func(name string, b []byte) { put(name, "form", b, nil) }
	bad("nothing", nil)
	bad("a list", []byte{0x80})
	bad("no fields", []byte{0xa0})
	bad("cut short", b[:len(b)-1])
	bad("something after", append(bytes.Clone(b), 0))
	bad("indefinite length", append(append([]byte{0xbf}, b[1:]...), 0xff))
	for _, c := range []struct {
		name   string
		change func(map[int]any)
	}{
		{"short key", func(m map[int]any) { m[1] = make([]byte, 31) }},
		{"long key", func(m map[int]any) { m[1] = make([]byte, 33) }},
		{"no key", func(m map[int]any) { delete(m, 1) }},
		{"null operation", func(m map[int]any) { m[2] = nil }},
		{"operation without type", func(m map[int]any) { m[2] = map[int]any{1: "", 2: []byte("a"), 3: []byte("f")} }},
		{"operation without asked", func(m map[int]any) { m[2] = map[int]any{1: "http/1", 2: nil, 3: []byte("f")} }},
		{"operation without found", func(m map[int]any) { m[2] = map[int]any{1: "http/1", 2: []byte("a")} }},
		{"unknown field of the operation", func(m map[int]any) { m[2] = map[int]any{1: "http/1", 2: []byte("a"), 3: []byte("f"), 4: 1} }},
		{"empty context", func(m map[int]any) { m[3] = []byte{} }},
		{"context as text", func(m map[int]any) { m[3] = "context" }},
		{"empty list of responses", func(m map[int]any) { m[5] = []any{} }},
		{"two responses", func(m map[int]any) { m[5] = []any{zone[:], zone[:]} }},
		{"a short response", func(m map[int]any) { m[5] = []any{zone[:31]} }},
		{"unknown field", func(m map[int]any) { m[6] = 1 }},
	} {
		m := map[int]any{}
		if err := canon.DecodeCBOR(b, &m); err != nil {
			t.Fatal(err)
		}
		c.change(m)
		bad(c.name, bytesOf(t, m))
	}
	f.Cases = append(f.Cases, largest(t, receipt.MaxEvidenceBytes), largest(t, receipt.MaxEvidenceBytes+1))
	f.seal(t, bytesOf(t, whole))
	f.wrap(t)
	return f
}

// largest returns evidence of n bytes, whose proof is bytes of zero.
func largest(t testing.TB, n int) evidenceVector {
	t.Helper()
	e := sample()
	e.Proof = make([]byte, n)
	e.Proof = e.Proof[:2*n-len(bytesOf(t, e))]
	b := bytesOf(t, e)
	v := evidenceVector{Name: "the most", Evidence: hex.EncodeToString(b[:n-len(e.Proof)]), Zeros: len(e.Proof)}
	if len(b) != n {
		t.Fatalf("%d bytes, want %d", len(b), n)
	}
	if n > receipt.MaxEvidenceBytes {
		v.Name, v.Error = "more than the most", "form"
	} else {
		v.Receipt = hex.EncodeToString(committing(t, e))
		v.Opens = opens(t, b, testkit.Unhex(t, v.Receipt))
	}
	return v
}

type evidenceChange struct {
	name   string
	change func(*receipt.Evidence)
}

// evidenceChanges make evidence of another receipt.
func evidenceChanges() []evidenceChange {
	return []evidenceChange{
		{"another key", func(e *receipt.Evidence) { e.Key[31] ^= 1 }},
		{"another type", func(e *receipt.Evidence) { e.Operation.Type = "sql/1" }},
		{"asked otherwise", func(e *receipt.Evidence) { e.Operation.Asked[0] ^= 1 }},
		{"found otherwise", func(e *receipt.Evidence) { e.Operation.Found[0] ^= 1 }},
		{"a byte moved from found to asked", func(e *receipt.Evidence) {
			e.Operation.Asked, e.Operation.Found = append(e.Operation.Asked, e.Operation.Found[0]), e.Operation.Found[1:]
		}},
		{"another context", func(e *receipt.Evidence) { e.Context[0] ^= 1 }},
		{"another proof", func(e *receipt.Evidence) { e.Proof[0] ^= 1 }},
		{"context and proof exchanged", func(e *receipt.Evidence) { e.Context, e.Proof = e.Proof, e.Context }},
		{"no operation", func(e *receipt.Evidence) { e.Operation = nil }},
		{"no context", func(e *receipt.Evidence) { e.Context = nil }},
		{"no proof", func(e *receipt.Evidence) { e.Proof = nil }},
		{"a response too much", func(e *receipt.Evidence) { e.Response = []canon.Digest{zone} }},
	}
}

// opens returns what opens the commitments of the receipt.
func opens(t testing.TB, evidence, payload []byte) []disclosureV {
	t.Helper()
	e, err := receipt.ParseEvidence(evidence)
	if err != nil {
		t.Fatal(err)
	}
	r, err := receipt.Parse(payload)
	if err != nil {
		t.Fatal(err)
	}
	var out []disclosureV
	for _, f := range []receipt.Field{receipt.FieldOperation, receipt.FieldResponse, receipt.FieldContext, receipt.FieldProof} {
		if d, err := e.Disclose(f); err == nil {
			if err := d.Check(r); err != nil {
				t.Fatal(err)
			}
			out = append(out, disclosureV{f, hex.EncodeToString(d.Salt), d.Value.String(), d.Commitment().String()})
		}
	}
	return out
}

// seal adds encrypted evidence.
func (f *evidenceVectors) seal(t testing.TB, evidence []byte) {
	t.Helper()
	key := []byte(strings.Repeat("segment.", 4))
	f.SegmentKey = hex.EncodeToString(key)
	e, err := receipt.ParseEvidence(evidence)
	if err != nil {
		t.Fatal(err)
	}
	s, err := receipt.NewRowKeys(key).Begin(e, 7, 258)
	if err != nil {
		t.Fatal(err)
	}
	s.Seal()
	good, err := receipt.AppendSealed(nil, []*receipt.Sealing{s})
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, failure string, epoch, seq uint64, b []byte) {
		v := sealedVector{name, epoch, seq, hex.EncodeToString(b), "", failure}
		if failure == "" {
			v.Evidence = hex.EncodeToString(evidence)
		}
		f.Sealed = append(f.Sealed, v)
	}
	flip := func(i int) []byte { b := bytes.Clone(good); b[i] ^= 1; return b }
	put("as written", "", 7, 258, good)
	put("at another sequence", "evidence", 7, 259, good)
	put("in another epoch", "evidence", 8, 258, good)
	put("first bit", "evidence", 7, 258, flip(0))
	put("last bit", "evidence", 7, 258, flip(len(good)-1))
	put("cut short", "evidence", 7, 258, good[:len(good)-1])
	put("shorter than a tag", "evidence", 7, 258, good[:15])
	put("something after", "evidence", 7, 258, append(bytes.Clone(good), 0))
	put("in the clear", "evidence", 7, 258, evidence)
	put("nothing", "evidence", 7, 258, nil)
}

// wrap adds encrypted keys, made by the primitives alone: a wrap draws its nonce.
func (f *evidenceVectors) wrap(t testing.TB) {
	t.Helper()
	evidence, key := []byte(strings.Repeat("evidence", 4)), testkit.Unhex(t, f.SegmentKey)
	f.EvidenceKey = hex.EncodeToString(evidence)
	k, err := hkdf.Expand(sha256.New, evidence, "writ-evidence-wrap/1", 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	place := sha256.Sum256(slices.Concat([]byte("writ-evidence-wrap/1\x00"), zone[:], []byte{0, 0, 0, 0, 0, 0, 1, 2}, []byte(gate)))
	good := aead.Seal([]byte("twelve bytes"), []byte("twelve bytes"), key, place[:])
	put := func(failure string, v wrappedVector, b []byte) {
		v.Wrapped, v.Error = hex.EncodeToString(b), failure
		if failure == "" {
			v.Key = f.SegmentKey
		}
		f.Wrapped = append(f.Wrapped, v)
	}
	flip := func(i int) []byte { b := bytes.Clone(good); b[i] ^= 1; return b }
	usual := wrappedVector{Name: "as written", Gate: gate, Zone: zone.String(), Segment: 258}
	put("", usual, good)
	put("evidence", wrappedVector{Name: "of another gate", Gate: "gate-2", Zone: zone.String(), Segment: 258}, good)
	put("evidence", wrappedVector{Name: "of another zone", Gate: gate, Zone: canon.Hash(nil).String(), Segment: 258}, good)
	put("evidence", wrappedVector{Name: "of another segment", Gate: gate, Zone: zone.String(), Segment: 259}, good)
	for _, c := range []struct {
		name string
		b    []byte
	}{{"a bit of the nonce", flip(0)}, {"a bit of the key", flip(12)}, {"a bit of the tag", flip(len(good) - 1)}, {"cut short", good[:len(good)-1]}, {"a nonce alone", good[:12]}, {"half a nonce", good[:6]}, {"nothing", nil}} {
		usual.Name = c.name
		put("evidence", usual, c.b)
	}
}

// TestEvidenceVectors reads what vectors/receipt/evidence.json holds.
//
// SPEC RCPT-9, LEDG-7
// A32, A37
// guard: disclosure-matches, evidence-complete, evidence-matches, evidence-authentic, segment-key-authentic
func TestEvidenceVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, evidenceFile, evidenceCases(t))
	errs := map[string]error{"form": receipt.ErrForm, "evidence": receipt.ErrEvidence}
	seen := map[string]int{}
	for _, v := range f.Cases {
		seen[v.Error]++
		b := append(testkit.Unhex(t, v.Evidence), make([]byte, v.Zeros)...)
		e, err := receipt.ParseEvidence(b)
		if err == nil && v.Error != "form" {
			var r *receipt.Receipt
			if r, err = receipt.Parse(testkit.Unhex(t, v.Receipt)); err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			err = e.Check(r)
		}
		if v.Error != "" {
			if !errors.Is(err, errs[v.Error]) {
				t.Errorf("%s: %v", v.Name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if again, err := e.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: encodes otherwise: %v", v.Name, err)
		}
		if have := opens(t, b, testkit.Unhex(t, v.Receipt)); !slices.Equal(have, v.Opens) || len(have) == 0 {
			t.Errorf("%s: opened by %v", v.Name, have)
		}
	}
	keys := receipt.NewRowKeys(testkit.Unhex(t, f.SegmentKey))
	for _, v := range f.Sealed {
		e, err := keys.Open(testkit.Unhex(t, v.Sealed), v.Epoch, v.Seq)
		if v.Error != "" {
			seen["sealed"]++
			if !errors.Is(err, errs[v.Error]) || e != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
		} else if err != nil || hex.EncodeToString(bytesOf(t, e)) != v.Evidence {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	seen["wrapped"] = f.unwrap(t)
	if seen["form"] < 18 || seen["evidence"] < 12 || seen["sealed"] < 8 || seen["wrapped"] < 8 {
		t.Errorf("%v", seen)
	}
}

// unwrap opens the encrypted keys of f, and returns how many are refused.
func (f *evidenceVectors) unwrap(t testing.TB) (refused int) {
	t.Helper()
	for _, v := range f.Wrapped {
		z, err := canon.ParseDigest(v.Zone)
		if err != nil {
			t.Fatal(err)
		}
		w, err := receipt.NewKeyWrap(testkit.Unhex(t, f.EvidenceKey), v.Gate, z)
		if err != nil {
			t.Fatal(err)
		}
		key, err := w.Unwrap(v.Segment, testkit.Unhex(t, v.Wrapped))
		if v.Error != "" {
			refused++
			if !errors.Is(err, receipt.ErrEvidence) || key != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
			continue
		}
		if err != nil || hex.EncodeToString(key) != v.Key {
			t.Errorf("%s: %v", v.Name, err)
		}
		a, b := w.Wrap(v.Segment, key), w.Wrap(v.Segment, key)
		if again, err := w.Unwrap(v.Segment, a); err != nil || !bytes.Equal(again, key) || bytes.Equal(a, b) {
			t.Errorf("%s: wrapped again: %v", v.Name, err)
		}
	}
	return refused
}
