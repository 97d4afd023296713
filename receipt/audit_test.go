package receipt_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
)

// A step is a receipt or a batch of a log under test.
type step struct {
	payload []byte
	block   []byte
	leaves  []tlog.Hash
}

// A writer makes a log, and can make a bad one.
type writer struct {
	t       testing.TB
	key     sign.Signer
	steps   []step
	pending [][]byte
	first   receipt.Ref // of pending
	last    receipt.Ref
	prev    canon.Digest
	ms      int64
	tree    tlog.Tree
}

func newWriter(t testing.TB) *writer { return &writer{t: t, key: testKey(t, 1), ms: start} }

// add appends a receipt, as it is but for its place.
func (w *writer) add(r *receipt.Receipt) receipt.Ref {
	w.t.Helper()
	w.ms++
	r.Epoch, r.Seq, r.TimeMS = w.last.Epoch, w.last.Seq+1, w.ms
	return w.put(r)
}

func (w *writer) put(r *receipt.Receipt) receipt.Ref {
	w.t.Helper()
	b := encode(w.t, r)
	w.steps = append(w.steps, step{payload: b})
	w.last = r.Ref(b)
	if len(w.pending) == 0 {
		w.first = w.last
	}
	w.pending = append(w.pending, b)
	w.tree.Append(tlog.LeafHash(b))
	return w.last
}

// boot begins an epoch.
func (w *writer) boot(clean bool) {
	r := base(receipt.Boot, 1)
	r.Note, r.Boot = receipt.NoteOpen, &receipt.BootState{Clean: clean}
	if last := w.last; last.Epoch > 0 {
		r.Boot.Last = &last
	}
	w.ms++
	r.Epoch, r.TimeMS = w.last.Epoch+1, w.ms
	w.put(r)
}

// seal signs what is pending; change may spoil the batch.
func (w *writer) seal(change func(*receipt.Batch)) {
	w.t.Helper()
	b := receipt.Batch{Gate: gate, Epoch: w.first.Epoch, First: w.first.Seq, Prev: w.prev, TimeMS: w.ms}
	if change != nil {
		change(&b)
	}
	all, id := signedBatch(w.t, w.key, b, w.pending)
	var leaves []tlog.Hash
	for _, p := range w.pending {
		leaves = append(leaves, tlog.LeafHash(p))
	}
	w.steps = append(w.steps, step{block: all[0].Batch, leaves: leaves})
	w.prev, w.pending = id, nil
}

func (w *writer) outcome(of receipt.Ref) *receipt.Receipt {
	r := base(receipt.Outcome, 1)
	r.Intent, r.Outcome = &of, &receipt.Result{Class: receipt.OK}
	return r
}

// story writes a sound log of two epochs: 14 receipts, 5 batches.
func story(t testing.TB) *writer {
	w := newWriter(t)
	w.boot(true)                      // 0
	a := w.add(full(1))               // 1
	b := w.add(full(1))               // 2
	w.seal(nil)                       //
	w.add(w.outcome(b))               // 3
	w.add(w.outcome(a))               // 4
	c := w.add(full(1))               // 5
	w.seal(nil)                       //
	w.boot(false)                     // 6
	unknown := w.outcome(c)           //
	unknown.Outcome.Class = "unknown" //
	w.add(unknown)                    // 7
	d := base(receipt.Denial, 1)      //
	d.Decision = "quota_exceeded"     //
	w.add(d)                          // 8
	w.seal(nil)                       //
	w.add(full(1))                    // 9
	end := base(receipt.Boot, 1)      //
	end.Note = receipt.NoteClose      //
	w.add(end)                        // 10
	w.seal(nil)
	w.boot(true) // 11
	w.add(full(1))
	w.add(full(1)) // 13
	w.seal(nil)
	return w
}

func auditor(t testing.TB, heads ...tlog.Head) *receipt.Auditor {
	t.Helper()
	a, err := receipt.NewAuditor(receipt.AuditConfig{Key: testKey(t, 1).Public(), Gate: gate, Zone: zone, Heads: heads})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func audit(a *receipt.Auditor, steps []step) (*receipt.Report, error) {
	for _, s := range steps {
		var err error
		if s.block != nil {
			err = a.Batch(s.block, s.leaves)
		} else {
			_, err = a.Receipt(s.payload)
		}
		if err != nil {
			return nil, err
		}
	}
	return a.Finish()
}

// R56 R57
// A33
// SPEC RCPT-10
func TestAuditSound(t *testing.T) {
	t.Parallel()
	w := story(t)
	head := tlog.Head{Size: w.tree.Size(), Root: w.tree.Root()}
	r, err := audit(auditor(t, head, tlog.Head{Root: tlog.EmptyRoot()}), w.steps)
	if err != nil {
		t.Fatal(err)
	}
	want := receipt.Report{
		Receipts: 14, Batches: 5, Epochs: 3, Intents: 6, Outcomes: 3, Unknown: 1, Denials: 1, Open: 3, Unclean: 1,
		FirstMS: start + 1, LastMS: start + 14, Root: w.tree.Root(),
	}
	if *r != want {
		t.Errorf("\n%+v\n%+v", *r, want)
	}
}

// What an operator may do to a log, and where it is found.
// R57 R56
// A30 A33
// guard: audit-owner, audit-time, audit-sequence, audit-boot-inside, audit-epoch, audit-boot, audit-boot-last
// guard: audit-pairing, audit-batch-owner, audit-batch-chain, audit-batch-count, audit-batch-place
// guard: audit-batch-time, audit-batch-root, audit-unsigned-end, audit-truncated, audit-checkpoint
// guard: batch-signature
// SPEC RCPT-10, RCPT-11
func TestAuditFindsFaults(t *testing.T) {
	t.Parallel()
	sound := story(t)
	head := tlog.Head{Size: sound.tree.Size(), Root: sound.tree.Root()}
	steps := func(f func([]step) []step) func(*testing.T) []step {
		return func(*testing.T) []step { return f(slices.Clone(sound.steps)) }
	}
	made := func(f func(w *writer)) func(*testing.T) []step {
		return func(t *testing.T) []step { w := newWriter(t); w.boot(true); f(w); return w.steps }
	}
	changed := full(3)
	changed.Purpose = "other"
	other := encode(t, changed)
	cases := []struct {
		name     string
		steps    func(*testing.T) []step
		kind     receipt.FaultKind
		position uint64
	}{
		{"modified", steps(func(s []step) []step { s[2].payload = other; return s }), receipt.FaultContent, 2},
		{"modified form", steps(func(s []step) []step { s[2].payload = other[:50]; return s }), receipt.FaultForm, 2},
		{"deleted", steps(func(s []step) []step { return slices.Delete(s, 2, 3) }), receipt.FaultSequence, 2},
		{"inserted", steps(func(s []step) []step { return slices.Insert(s, 2, s[1]) }), receipt.FaultSequence, 2},
		{"reordered", steps(func(s []step) []step { s[4], s[5] = s[5], s[4]; return s }), receipt.FaultSequence, 3},
		{"batch deleted", steps(func(s []step) []step { return slices.Delete(s, 3, 4) }), receipt.FaultChain, 0},
		{"batch twice", steps(func(s []step) []step { return slices.Insert(s, 4, s[3]) }), receipt.FaultChain, 3},
		{"epoch deleted", steps(func(s []step) []step { return slices.Delete(s, 8, 12) }), receipt.FaultSequence, 6},
		{"end cut off", steps(func(s []step) []step { return s[:8] }), receipt.FaultTruncated, 6},
		{"batch cut off", steps(func(s []step) []step { return s[:len(s)-1] }), receipt.FaultTruncated, 11},
		{"batch early", steps(func(s []step) []step { s[2], s[3] = s[3], s[2]; return s }), receipt.FaultSequence, 2},
		{"signature", steps(func(s []step) []step {
			s[3].block = slices.Clone(s[3].block)
			s[3].block[len(s[3].block)-1] ^= 1
			return s
		}), receipt.FaultSignature, 0},
		{"other history", made(func(w *writer) {
			for range 13 {
				w.add(full(1))
			}
			w.seal(nil)
		}), receipt.FaultCheckpoint, 0},
		{"outcome twice", made(func(w *writer) { a := w.add(full(1)); w.add(w.outcome(a)); w.add(w.outcome(a)) }), receipt.FaultPairing, 3},
		{"outcome of nothing", made(func(w *writer) { a := w.add(full(1)); a.Seq++; w.add(w.outcome(a)) }), receipt.FaultPairing, 2},
		{"outcome of another", made(func(w *writer) { a := w.add(full(1)); a.Digest = zone; w.add(w.outcome(a)) }), receipt.FaultPairing, 2},
		{"gap", made(func(w *writer) { w.last.Seq++; w.add(full(1)) }), receipt.FaultSequence, 1},
		{"time goes back", made(func(w *writer) { w.ms -= 5; w.add(full(1)) }), receipt.FaultTime, 1},
		{"gate", made(func(w *writer) { r := full(1); r.Gate = "gate-2"; w.add(r) }), receipt.FaultOwner, 1},
		{"zone", made(func(w *writer) { r := full(1); r.Zone = canon.Hash(nil); w.add(r) }), receipt.FaultOwner, 1},
		{"boot again", made(func(w *writer) {
			r := base(receipt.Boot, 1)
			r.Note = receipt.NoteOpen
			r.Boot = &receipt.BootState{Clean: true}
			w.add(r)
		}), receipt.FaultBoot, 1},
		{"after the close", made(func(w *writer) {
			r := base(receipt.Boot, 1)
			r.Note = receipt.NoteClose
			w.add(r)
			w.add(full(1))
		}), receipt.FaultBoot, 2},
		{"epoch without boot", made(func(w *writer) { w.last.Epoch, w.last.Seq = 2, 0; w.add(full(1)) }), receipt.FaultBoot, 1},
		{"epoch not from one", made(func(w *writer) { w.last.Epoch, w.last.Seq = 2, 1; w.add(full(1)) }), receipt.FaultSequence, 1},
		{"boot of another log", made(func(w *writer) { w.last.Digest = zone; w.boot(false) }), receipt.FaultBoot, 1},
		{"unclean called clean", made(func(w *writer) { w.boot(true) }), receipt.FaultBoot, 1},
		{"batch of another gate", made(func(w *writer) { w.seal(func(b *receipt.Batch) { b.Gate = "gate-2" }) }), receipt.FaultOwner, 0},
		{"batch elsewhere", made(func(w *writer) { w.seal(func(b *receipt.Batch) { b.First = 2 }) }), receipt.FaultSequence, 0},
		{"batch of another epoch", made(func(w *writer) { w.seal(func(b *receipt.Batch) { b.Epoch = 2 }) }), receipt.FaultSequence, 0},
		{"batch over two epochs", made(func(w *writer) { w.boot(false); w.seal(nil) }), receipt.FaultSequence, 0},
		{"batch before its receipts", made(func(w *writer) { w.seal(func(b *receipt.Batch) { b.TimeMS-- }) }), receipt.FaultTime, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := auditor(t, head)
			_, err := audit(a, c.steps(t))
			var f *receipt.Fault
			if !errors.As(err, &f) || !errors.Is(err, receipt.ErrVerify) {
				t.Fatalf("accepted (%v)", err)
			}
			if f.Kind != c.kind || f.Position != c.position {
				t.Errorf("%v; want %s at %d", f, c.kind, c.position)
			}
			if _, again := a.Finish(); !errors.Is(again, f) {
				t.Error("the fault is forgotten")
			}
		})
	}
}

// guard: auditor-settings
// R58
// SPEC RCPT-10
func TestAuditorNeedsSettings(t *testing.T) {
	t.Parallel()
	if _, err := receipt.NewAuditor(receipt.AuditConfig{Gate: gate, Zone: zone}); !errors.Is(err, receipt.ErrVerify) {
		t.Error("without a key")
	}
	if _, err := receipt.NewAuditor(receipt.AuditConfig{Key: testKey(t, 1).Public(), Gate: gate}); !errors.Is(err, receipt.ErrVerify) {
		t.Error("without a zone")
	}
}

func logKey(t testing.TB) tlog.Key {
	t.Helper()
	k, err := receipt.LogKey(gate, testKey(t, 1).Public())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// export writes a log with the checkpoint of head.
func export(t testing.TB, steps []step, h tlog.Head, k sign.Signer) []byte {
	t.Helper()
	var b bytes.Buffer
	x, err := receipt.NewExportWriter(&b, receipt.ExportHeader{Gate: gate, Zone: zone})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if s.block != nil {
			err = x.Batch(s.block, s.leaves)
		} else {
			err = x.Receipt(s.payload)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h.Origin = logKey(t).Name()
	c, err := tlog.SignCheckpoint(h, logKey(t), k)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.End(c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// R57 R58
// guard: export-complete, export-checkpoint-signature, export-checkpoint-head
// SPEC RCPT-12
func TestExport(t *testing.T) {
	t.Parallel()
	w := story(t)
	k := testKey(t, 1)
	cfg := receipt.AuditConfig{Key: k.Public(), Gate: gate, Zone: zone}
	good := export(t, w.steps, tlog.Head{Size: w.tree.Size(), Root: w.tree.Root()}, k)
	n := 0
	r, err := receipt.AuditExport(bytes.NewReader(good), cfg, logKey(t), func(*receipt.Receipt) error { n++; return nil })
	if err != nil || r.Receipts != 14 || n != 14 {
		t.Fatalf("%+v, %d, %v", r, n, err)
	}
	if _, err := receipt.AuditExport(bytes.NewReader(good), cfg, logKey(t), func(*receipt.Receipt) error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Error("visit's error is lost")
	}
	end := w.steps[:len(w.steps)-4]
	for what, b := range map[string][]byte{
		"another signer": export(t, w.steps, tlog.Head{Size: w.tree.Size(), Root: w.tree.Root()}, testKey(t, 2)),
		"another size":   export(t, w.steps, tlog.Head{Size: 13, Root: w.tree.Root()}, k),
		"another root":   export(t, w.steps, tlog.Head{Size: 14, Root: zone14()}, k),
		"end cut off":    export(t, end, tlog.Head{Size: w.tree.Size(), Root: w.tree.Root()}, k),
		"trailing":       append(bytes.Clone(good), 0),
		"two logs":       append(bytes.Clone(good), good...),
	} {
		if _, err := receipt.AuditExport(bytes.NewReader(b), cfg, logKey(t), nil); !errors.Is(err, receipt.ErrReceipt) {
			t.Errorf("%s: accepted (%v)", what, err)
		}
	}
	for i := 0; i < len(good); i += 5 { // cut anywhere
		if _, err := receipt.AuditExport(bytes.NewReader(good[:i]), cfg, logKey(t), nil); !errors.Is(err, receipt.ErrExport) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	tried := 0
	for bit := 0; bit < 8*len(good); bit += 31 { // every byte, several bits
		m := bytes.Clone(good)
		m[bit/8] ^= 1 << (bit % 8)
		if _, err := receipt.AuditExport(bytes.NewReader(m), cfg, logKey(t), nil); err == nil && !inLeaves(good, bit/8) {
			t.Errorf("bit %d: accepted", bit)
		}
		tried++
	}
	if tried < 1_500 {
		t.Errorf("only %d bits", tried)
	}
}

func zone14() tlog.Hash { return tlog.Hash(zone) }

// inLeaves reports whether byte at is in a frame of leaf hashes, which are only
// a help to find a fault.
func inLeaves(b []byte, at int) bool {
	for i := len("writ-export/1\n"); i < len(b); {
		n := 5 + int(b[i+1])<<24 + int(b[i+2])<<16 + int(b[i+3])<<8 + int(b[i+4])
		if at >= i && at < i+n {
			return b[i] == 'L'
		}
		i += n
	}
	return false
}

// An export that is read ends; a panic or a hang is a fault.
func FuzzAuditExport(f *testing.F) {
	var v exportVectors
	testkit.ReadVectors(f, exportFile, &v)
	for _, c := range v.Cases {
		b, err := base64.StdEncoding.DecodeString(c.Export)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	cfg := receipt.AuditConfig{Key: testKey(f, 1).Public(), Gate: gate, Zone: zone}
	k := logKey(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := receipt.AuditExport(bytes.NewReader(b), cfg, k, nil); err == nil && r.Receipts == 0 {
			t.Error("an empty log verifies")
		}
	})
}

func bigLog(b *testing.B, n int) *writer {
	w := newWriter(b)
	w.boot(true)
	for i := 1; i < n; i += 2 {
		w.add(w.outcome(w.add(full(1))))
		if i%300 > 297 {
			w.seal(nil)
		}
	}
	w.seal(nil)
	return w
}

// BenchmarkAudit100k audits 100,000 receipts: batch signatures, order, pairing,
// tree, checkpoint.
func BenchmarkAudit100k(b *testing.B) {
	w := bigLog(b, 100_000)
	head := tlog.Head{Size: w.tree.Size(), Root: w.tree.Root()}
	b.ResetTimer()
	for b.Loop() {
		r, err := audit(auditor(b, head), w.steps)
		if err != nil || r.Receipts < 100_000 {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/100k")
	b.ReportMetric(float64(len(w.steps[1].payload)), "B/receipt")
}

func BenchmarkReceiptEncode(b *testing.B) {
	r := full(1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleFault() {
	fmt.Println((&receipt.Fault{Kind: receipt.FaultContent, Position: 41, Count: 1}).Error())
	// Output: audit log: receipt 41: content
}
