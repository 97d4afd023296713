package receipt_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/op"
	"github.com/writhq/writ/receipt"
)

// fill sets v to something random: about a third of what can be absent is, and
// numbers and lengths have all sizes. A kind of field that it does not know fails
// the test.
func fill(t *testing.T, rnd *rand.Rand, v reflect.Value) {
	absent := rnd.IntN(3) == 0
	switch v.Kind() {
	case reflect.String:
		if !absent {
			v.SetString(strings.Repeat("é", []int{1, 5, 11, 12, 127, 128, 300}[rnd.IntN(7)]))
		}
	case reflect.Uint64, reflect.Int64, reflect.Int:
		if n := rnd.Uint64() >> rnd.IntN(64); v.CanUint() && !absent {
			v.SetUint(n)
		} else if !absent {
			v.SetInt(int64(n >> 1))
		}
	case reflect.Uint8:
		v.SetUint(uint64(rnd.IntN(256)))
	case reflect.Bool:
		v.SetBool(absent)
	case reflect.Array:
		for i := 0; i < v.Len() && !absent; i++ {
			fill(t, rnd, v.Index(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Slice && absent { // an inner list may be empty, not nil
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), []int{0, 1, 2, 23, 24, 256}[rnd.IntN(6)], 256))
		for i := range v.Len() {
			fill(t, rnd, v.Index(i))
		}
	case reflect.Pointer:
		if !absent {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, rnd, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, rnd, v.Field(i))
		}
	default:
		t.Fatalf("%v: no such kind is encoded", v.Type())
	}
}

// What AppendTo writes is what canon's encoder writes, whichever fields there
// are; a field that only one of the two knows shows here.
// SPEC RCPT-1, RCPT-9
func TestAppendToIsCanonical(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	same, small := 0, 0
	for range 3_000 {
		r := new(receipt.Receipt)
		if rnd.IntN(2) == 0 {
			fill(t, rnd, reflect.ValueOf(r).Elem())
		} else {
			for n := rnd.IntN(12); n > 0; n-- {
				fill(t, rnd, reflect.ValueOf(r).Elem().Field(rnd.IntN(reflect.TypeFor[receipt.Receipt]().NumField())))
			}
		}
		valid(r, rnd)
		want, err := canon.EncodeCBOR(r)
		if err != nil {
			t.Fatal(err)
		}
		have, err := r.AppendTo([]byte("before"))
		if err != nil {
			if string(have) != "before" {
				t.Fatal("an error changed what was there")
			}
			continue // of forbidden values there are enough
		}
		if !bytes.Equal(have, append([]byte("before"), want...)) {
			t.Fatalf("differs:\n%x\n%x", have, want)
		}
		if same++; want[0] < 0xb8 {
			small++
		}
	}
	if same < 400 || small < 100 || same-small < 20 {
		t.Errorf("compared %d receipts, %d with less than 24 fields", same, small)
	}
}

// valid makes of a random receipt one that may be written, more often than not.
func valid(r *receipt.Receipt, rnd *rand.Rand) {
	r.Typ, r.Gate, r.Epoch, r.Seq, r.TimeMS, r.Zone = receipt.Type, "g", 1+r.Epoch>>1, 1+r.Seq>>1, 1+r.TimeMS>>1, zone
	r.Mode = []receipt.Mode{receipt.Buffered, receipt.Durable, receipt.Witnessed}[rnd.IntN(3)]
	r.Level = op.Level(rnd.IntN(int(op.Person) + 1))
	r.Kind = []receipt.Kind{receipt.Intent, receipt.Outcome, receipt.Denial, receipt.Approval, receipt.Admin, receipt.Tally, receipt.Boot}[rnd.IntN(7)]
	if (r.Kind == receipt.Tally) != (r.Count > 0) {
		r.Count = 1 - min(r.Count, 1)
	}
	switch r.Kind {
	case receipt.Intent:
		r.Decision, r.Policy, r.Operation = receipt.Permit, zone, zone
	case receipt.Admin:
		r.Note = "note"
	case receipt.Denial:
		r.Decision = "denied"
	}
	if r.Kind != receipt.Outcome {
		r.Outcome, r.Intent = nil, nil
	} else {
		if r.Outcome == nil {
			r.Outcome = new(receipt.Result)
		}
		r.Outcome.Class = receipt.OK
		r.Intent = &receipt.Ref{Epoch: 1 + rnd.Uint64()>>1>>rnd.IntN(60), Seq: 7, Digest: zone}
	}
	if r.Kind != receipt.Boot {
		r.Boot = nil
	} else if r.Note = receipt.NoteClose; r.Boot != nil {
		r.Note, r.Boot.Dropped = receipt.NoteOpen, 0
		if r.Boot.Last == nil {
			r.Boot.Clean = true
		} else {
			r.Boot.Last = &receipt.Ref{Epoch: 1, Seq: 300, Digest: zone}
		}
	}
	if r.PolicyLog != nil {
		r.PolicyLog.Size, r.PolicyLog.Root = 1+r.PolicyLog.Size>>1, zone
	}
	if r.Secret != nil {
		r.Secret.Blob, r.Secret.ID = zone, "s"
	}
	if r.Idem != nil {
		r.Idem.Scope, r.Idem.End = zone, 1+r.Idem.End>>1
	}
	for i := range r.Debits {
		r.Debits[i].Key = zone
	}
	for _, l := range [][]canon.Digest{r.Blocks, r.Lineage, r.Approvals} {
		for i := range l {
			l[i] = zone
		}
	}
	for _, l := range append([][]string{r.Labels, r.Controls}, r.Rules...) {
		for i := range l {
			l[i] = fmt.Sprint("t", i)
		}
	}
	for i := range r.Rules {
		if r.Rules[i] == nil {
			r.Rules[i] = []string{}
		}
	}
}

// SPEC RCPT-9
func TestEvidenceAppendToIsCanonical(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	same := 0
	for range 2_000 {
		e := new(receipt.Evidence)
		fill(t, rnd, reflect.ValueOf(e).Elem())
		want, err := canon.EncodeCBOR(e)
		if err != nil {
			t.Fatal(err)
		}
		have, err := e.AppendTo(nil)
		if err != nil {
			continue
		}
		if same++; !bytes.Equal(have, want) {
			t.Fatalf("differs:\n%x\n%x", have, want)
		}
	}
	if same < 500 {
		t.Errorf("compared %d", same)
	}
}

// The salts are those of HKDF, which the specification names.
// SPEC RCPT-9
func TestSaltsAreHKDF(t *testing.T) {
	t.Parallel()
	e := sample()
	for _, f := range []receipt.Field{receipt.FieldOperation, receipt.FieldContext, receipt.FieldProof} {
		d, err := e.Disclose(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hkdf.Expand(sha256.New, e.Key[:], "writ-rs/1"+string([]byte{byte(f)}), 16)
		if err != nil || !bytes.Equal(d.Salt, want) {
			t.Errorf("field %d: %x, want %x", f, d.Salt, want)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	e, r := sample(), base(receipt.Intent, 1)
	b.ReportAllocs()
	for range b.N {
		if err := e.Commit(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	r := full(1)
	b.ReportAllocs()
	for range b.N {
		if _, err := r.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvidenceEncode(b *testing.B) {
	e := sample()
	b.ReportAllocs()
	for range b.N {
		if _, err := e.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
