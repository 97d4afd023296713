package receipt_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/sign"
	"github.com/writhq/writ/tlog"
)

const exportFile = "../vectors/receipt/export.json"

// An exportVector is an export and what an auditor who knows the gate, its key and
// the zone, and holds the heads, finds: a report, a fault, or that it is no export.
type exportVector struct {
	Name   string   `json:"name"`
	Export string   `json:"export"` // base64
	Heads  []headV  `json:"heads,omitempty"`
	Report *reportV `json:"report,omitempty"`
	Fault  *faultV  `json:"fault,omitempty"`
	Error  string   `json:"error,omitempty"` // export
}

type headV struct {
	Size uint64 `json:"size"`
	Root string `json:"root"`
}

type faultV struct {
	Kind     receipt.FaultKind `json:"kind"`
	Position uint64            `json:"position"`
	Count    uint64            `json:"count"`
}

type reportV struct {
	Receipts uint64 `json:"receipts"`
	Batches  uint64 `json:"batches"`
	Epochs   uint64 `json:"epochs"`
	Intents  uint64 `json:"intents"`
	Outcomes uint64 `json:"outcomes"`
	Unknown  uint64 `json:"unknown"`
	Denials  uint64 `json:"denials"`
	Open     uint64 `json:"open"`
	Unclean  uint64 `json:"unclean"`
	FirstMS  int64  `json:"first_ms"`
	LastMS   int64  `json:"last_ms"`
	Root     string `json:"root"`
}

type exportVectors struct {
	Format string         `json:"format"`
	Gate   string         `json:"gate"`
	Zone   string         `json:"zone"`
	Key    string         `json:"key"` // of the gate: signs batches, and checkpoints as the log
	Cases  []exportVector `json:"cases"`
}

// audit sets what an auditor finds in v.
func (f *exportVectors) audit(t testing.TB, v *exportVector) {
	t.Helper()
	z, err := canon.ParseDigest(f.Zone)
	if err != nil {
		t.Fatal(err)
	}
	k, err := sign.ParsePublicKey(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	log, err := receipt.LogKey(f.Gate, k)
	if err != nil {
		t.Fatal(err)
	}
	cfg := receipt.AuditConfig{Key: k, Gate: f.Gate, Zone: z}
	for _, h := range v.Heads {
		root, err := canon.ParseDigest(h.Root)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Heads = append(cfg.Heads, tlog.Head{Size: h.Size, Root: tlog.Hash(root)})
	}
	b, err := base64.StdEncoding.DecodeString(v.Export)
	if err != nil {
		t.Fatal(err)
	}
	v.Report, v.Fault, v.Error = nil, nil, ""
	r, err := receipt.AuditExport(bytes.NewReader(b), cfg, log, nil)
	var fault *receipt.Fault
	switch {
	case errors.As(err, &fault):
		v.Fault = &faultV{fault.Kind, fault.Position, fault.Count}
	case errors.Is(err, receipt.ErrExport):
		v.Error = "export"
	case err != nil:
		t.Fatalf("%s: an error of another kind: %v", v.Name, err)
	default:
		v.Report = &reportV{r.Receipts, r.Batches, r.Epochs, r.Intents, r.Outcomes, r.Unknown, r.Denials, r.Open, r.Unclean, r.FirstMS, r.LastMS, canon.Digest(r.Root).String()}
	}
}

// short returns an intent with what one must have.
func short() *receipt.Receipt {
	r := base(receipt.Intent, 1)
	r.Policy, r.Operation, r.Decision = zone, zone, receipt.Permit
	return r
}

// anecdote writes a sound log: 9 receipts in two epochs, 3 batches.
func anecdote(t testing.TB) *writer {
	w := newWriter(t)
	w.boot(true)        // 0
	a := w.add(short()) // 1
	w.add(w.outcome(a)) // 2
	w.seal(nil)         // step 3
	w.add(denial())     // 3
	b := w.add(short()) // 4
	w.seal(nil)         // step 6
	w.boot(false)       // 5
	o := w.outcome(b)   //
	o.Outcome.Class = receipt.Unknown
	w.add(o)       // 6
	w.add(short()) // 7
	w.add(last())  // 8
	w.seal(nil)    // step 11
	return w
}

func denial() *receipt.Receipt {
	r := base(receipt.Denial, 1)
	r.Decision = "quota_exceeded"
	return r
}

func last() *receipt.Receipt {
	r := base(receipt.Boot, 1)
	r.Note = receipt.NoteClose
	return r
}

// headOf returns the head of w.
func headOf(w *writer) tlog.Head { return tlog.Head{Size: w.tree.Size(), Root: w.tree.Root()} }

func exportCases(t *testing.T) exportVectors {
	f := exportVectors{Format: "exports of a gate's log", Gate: gate, Zone: zone.String(), Key: testKey(t, 1).Public().String()}
	for _, group := range [][]claim{sound(t), tampered(t), misled(t), unsound(t), malformed(t)} {
		for _, c := range group {
			v := exportVector{Name: c.name, Export: base64.StdEncoding.EncodeToString(c.export)}
			for _, h := range c.heads {
				v.Heads = append(v.Heads, headV{h.Size, canon.Digest(h.Root).String()})
			}
			f.audit(t, &v)
			if !c.holds(&v) {
				t.Errorf("%s: %+v, %+v, %q", c.name, v.Report, v.Fault, v.Error)
			}
			f.Cases = append(f.Cases, v)
		}
	}
	return f
}

// A claim is a case and what its author says of it: a fault's kind and position, or
// with a kind of "" that it is sound, or of "export" that it is none.
type claim struct {
	name     string
	kind     receipt.FaultKind
	position uint64
	export   []byte
	heads    []tlog.Head
}

func (c *claim) holds(v *exportVector) bool {
	switch c.kind {
	case "":
		return v.Report != nil
	case "export":
		return v.Error == "export"
	}
	return v.Fault != nil && v.Fault.Kind == c.kind && v.Fault.Position == c.position
}

func sound(t testing.TB) []claim {
	k := testKey(t, 1)
	w := anecdote(t)
	head := headOf(w)
	one := newWriter(t)
	one.boot(true)
	one.seal(nil)
	early := newWriter(t)
	early.boot(true)
	a := early.add(short())
	early.add(early.outcome(a))
	return []claim{
		{name: "two epochs", export: export(t, w.steps, head, k)},
		{name: "one receipt", export: export(t, one.steps, headOf(one), k)},
		{name: "heads that the auditor holds", export: export(t, w.steps, head, k), heads: []tlog.Head{head, headOf(early), {Root: tlog.EmptyRoot()}}},
		{name: "without leaf hashes", export: export(t, bare(w.steps), head, k)},
	}
}

// bare returns the steps without leaf hashes.
func bare(steps []step) []step {
	out := slices.Clone(steps)
	for i := range out {
		out[i].leaves = nil
	}
	return out
}

// tampered are sound logs after somebody was at them.
func tampered(t testing.TB) []claim {
	k, w := testKey(t, 1), anecdote(t)
	other := denial()
	other.Seq, other.TimeMS, other.Purpose = 4, start+4, "another"
	var all []claim
	add := func(name string, kind receipt.FaultKind, position uint64, change func([]step) []step) {
		all = append(all, claim{name: name, kind: kind, position: position, export: export(t, change(slices.Clone(w.steps)), headOf(w), k)})
	}
	add("a receipt changed", receipt.FaultContent, 3, func(s []step) []step { s[4].payload = encode(t, other); return s })
	add("a receipt changed, without leaf hashes", receipt.FaultContent, 3, func(s []step) []step { s = bare(s); s[4].payload = encode(t, other); return s })
	add("a receipt changed, and its leaf hash", receipt.FaultContent, 3, func(s []step) []step {
		s[4].payload = encode(t, other)
		s[6].leaves = slices.Clone(s[6].leaves)
		s[6].leaves[0] = tlog.LeafHash(s[4].payload)
		return s
	})
	add("a receipt cut short", receipt.FaultForm, 1, func(s []step) []step { s[1].payload = s[1].payload[:40]; return s })
	add("a receipt left out", receipt.FaultSequence, 1, func(s []step) []step { return slices.Delete(s, 1, 2) })
	add("a receipt twice", receipt.FaultSequence, 2, func(s []step) []step { return slices.Insert(s, 2, s[1]) })
	add("two receipts exchanged", receipt.FaultSequence, 3, func(s []step) []step { s[4], s[5] = s[5], s[4]; return s })
	add("the begin left out", receipt.FaultSequence, 0, func(s []step) []step { return s[1:] })
	add("the first epoch left out", receipt.FaultBoot, 0, func(s []step) []step { return s[7:] })
	add("a batch left out", receipt.FaultChain, 0, func(s []step) []step { return slices.Delete(s, 3, 4) })
	add("a batch twice", receipt.FaultChain, 3, func(s []step) []step { return slices.Insert(s, 4, s[3]) })
	add("a batch too early", receipt.FaultSequence, 2, func(s []step) []step { s[2], s[3] = s[3], s[2]; return s })
	add("the last batch left out", receipt.FaultTruncated, 5, func(s []step) []step { return s[:len(s)-1] })
	add("a signature changed", receipt.FaultSignature, 0, func(s []step) []step {
		s[3].block = bytes.Clone(s[3].block)
		s[3].block[len(s[3].block)-1] ^= 1
		return s
	})
	add("the end left out", receipt.FaultCheckpoint, 0, func(s []step) []step { return s[:7] })
	return all
}

// misled are sound logs that are not the one that a head was signed for.
func misled(t testing.TB) []claim {
	k, w := testKey(t, 1), anecdote(t)
	head := headOf(w)
	good := export(t, w.steps, head, k)
	half := newWriter(t)
	half.boot(true)
	half.add(short())
	half.seal(nil)
	wrong := tlog.Head{Size: 3, Root: head.Root}
	longer := tlog.Head{Size: head.Size + 1, Root: head.Root}
	return []claim{
		{name: "a held head of another log", kind: receipt.FaultCheckpoint, export: good, heads: []tlog.Head{wrong}},
		{name: "a held head of nothing with a root", kind: receipt.FaultCheckpoint, export: good, heads: []tlog.Head{{Root: head.Root}}},
		{name: "a held head of a longer log", kind: receipt.FaultTruncated, position: 9, export: good, heads: []tlog.Head{longer}},
		{name: "a shorter log with its own checkpoint", kind: receipt.FaultTruncated, position: 2, export: export(t, half.steps, headOf(half), k), heads: []tlog.Head{head}},
		{name: "checkpoint of another size", kind: receipt.FaultCheckpoint, export: export(t, w.steps, longer, k)},
		{name: "checkpoint of another root", kind: receipt.FaultCheckpoint, export: export(t, w.steps, tlog.Head{Size: head.Size, Root: tlog.Hash(zone)}, k)},
	}
}

// unsound are logs that a gate with a bug, or two minds, signed.
func unsound(t testing.TB) []claim {
	var all []claim
	add := func(name string, kind receipt.FaultKind, position uint64, do func(*writer)) {
		w := newWriter(t)
		w.boot(true)
		do(w)
		if len(w.pending) > 0 {
			w.seal(nil)
		}
		all = append(all, claim{name: name, kind: kind, position: position, export: export(t, w.steps, headOf(w), testKey(t, 1))})
	}
	spoilt := func(change func(*receipt.Batch)) func(*writer) { return func(w *writer) { w.seal(change) } }
	add("another gate's receipt", receipt.FaultOwner, 1, func(w *writer) { r := short(); r.Gate = "gate-2"; w.add(r) })
	add("another zone's receipt", receipt.FaultOwner, 1, func(w *writer) { r := short(); r.Zone = canon.Hash(nil); w.add(r) })
	add("another gate's batch", receipt.FaultOwner, 0, spoilt(func(b *receipt.Batch) { b.Gate = "gate-2" }))
	add("another key's batch", receipt.FaultSignature, 0, func(w *writer) { w.key = testKey(t, 2) })
	add("a gap", receipt.FaultSequence, 1, func(w *writer) { w.last.Seq++; w.add(short()) })
	add("an epoch that does not begin at 1", receipt.FaultSequence, 1, func(w *writer) { w.last.Epoch, w.last.Seq = 2, 1; w.add(short()) })
	add("an epoch without its begin", receipt.FaultBoot, 1, func(w *writer) { w.last.Epoch, w.last.Seq = 2, 0; w.add(short()) })
	add("an unclean end called clean", receipt.FaultBoot, 1, func(w *writer) { w.boot(true) })
	add("a begin after something else", receipt.FaultBoot, 1, func(w *writer) { w.last.Digest = zone; w.boot(false) })
	add("something after the close", receipt.FaultBoot, 2, func(w *writer) { w.add(last()); w.add(short()) })
	add("a time that goes back", receipt.FaultTime, 1, func(w *writer) { w.ms -= 5; w.add(short()) })
	add("a batch before its receipts", receipt.FaultTime, 0, spoilt(func(b *receipt.Batch) { b.TimeMS-- }))
	add("an outcome twice", receipt.FaultPairing, 3, func(w *writer) { a := w.add(short()); w.add(w.outcome(a)); w.add(w.outcome(a)) })
	add("an outcome of nothing", receipt.FaultPairing, 1, func(w *writer) { w.add(w.outcome(receipt.Ref{Epoch: 1, Seq: 1, Digest: w.last.Digest})) })
	add("an outcome of another intent", receipt.FaultPairing, 2, func(w *writer) { a := w.add(short()); a.Digest = zone; w.add(w.outcome(a)) })
	add("a batch of other sequences", receipt.FaultSequence, 0, spoilt(func(b *receipt.Batch) { b.First = 2 }))
	add("a batch of another epoch", receipt.FaultSequence, 0, spoilt(func(b *receipt.Batch) { b.Epoch = 2 }))
	add("a batch over two epochs", receipt.FaultSequence, 0, func(w *writer) { w.boot(false); w.seal(nil) })
	add("a batch after no other", receipt.FaultChain, 0, spoilt(func(b *receipt.Batch) { b.Prev = zone }))
	return all
}

// malformed are bytes that are no export.
func malformed(t testing.TB) []claim {
	k, w := testKey(t, 1), newWriter(t)
	w.boot(true)
	w.seal(nil)
	good := export(t, w.steps, headOf(w), k)
	magic, frames := unframe(t, good)
	var all []claim
	add := func(name string, b []byte) { all = append(all, claim{name: name, kind: "export", export: b}) }
	with := func(name string, change func([]frameV) []frameV) {
		add(name, reframe(magic, change(slices.Clone(frames))))
	}
	header := func(v any) []byte {
		b, err := canon.EncodeCBOR(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	add("nothing", nil)
	add("another version", append([]byte("writ-export/2\n"), good[len(magic):]...))
	add("no more than the first line", good[:len(magic)])
	add("cut short within a frame", good[:len(good)-10])
	add("without the end", good[:len(good)-5])
	add("something after the end", append(bytes.Clone(good), 0))
	add("two exports", append(bytes.Clone(good), good...))
	add("a frame that is too long", append(bytes.Clone(good[:len(magic)]), 'H', 0, 1, 0, 1))
	with("no header", func(f []frameV) []frameV { return f[1:] })
	with("header of another gate", func(f []frameV) []frameV {
		f[0].content = header(receipt.ExportHeader{Gate: "gate-2", Zone: zone})
		return f
	})
	with("header of another zone", func(f []frameV) []frameV {
		f[0].content = header(receipt.ExportHeader{Gate: gate, Zone: canon.Hash(nil)})
		return f
	})
	with("unknown field in the header", func(f []frameV) []frameV { f[0].content = header(map[int]any{1: gate, 2: zone, 3: 1}); return f })
	with("something after the header", func(f []frameV) []frameV { f[0].content = append(bytes.Clone(f[0].content), 0); return f })
	with("header twice", func(f []frameV) []frameV { return slices.Insert(f, 1, f[0]) })
	with("unknown frame", func(f []frameV) []frameV { return slices.Insert(f, 1, frameV{kind: 'X'}) })
	with("half a leaf hash", func(f []frameV) []frameV { return slices.Insert(f, 2, frameV{'L', make([]byte, 16)}) })
	with("no checkpoint", func(f []frameV) []frameV { return slices.Delete(f, len(f)-2, len(f)-1) })
	with("checkpoint twice", func(f []frameV) []frameV { return slices.Insert(f, len(f)-1, f[len(f)-2]) })
	with("a receipt after the checkpoint", func(f []frameV) []frameV { return slices.Insert(f, len(f)-1, f[1]) })
	with("an empty checkpoint", func(f []frameV) []frameV { f[len(f)-2].content = nil; return f })
	with("checkpoint in another form", func(f []frameV) []frameV {
		f[len(f)-2].content = bytes.Replace(f[len(f)-2].content, []byte("\n1\n"), []byte("\n01\n"), 1)
		return f
	})
	with("checkpoint of another log", func(f []frameV) []frameV { f[len(f)-2].content = foreign(t, headOf(w)); return f })
	add("checkpoint by another key", export(t, w.steps, headOf(w), testKey(t, 2)))
	return all
}

// foreign returns the checkpoint of h by the gate's key under another gate's name.
func foreign(t testing.TB, h tlog.Head) []byte {
	t.Helper()
	k, err := receipt.LogKey("gate-2", testKey(t, 1).Public())
	if err != nil {
		t.Fatal(err)
	}
	h.Origin = k.Name()
	c, err := tlog.SignCheckpoint(h, k, testKey(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	return c.Encode()
}

// A frameV is one frame of an export.
type frameV struct {
	kind    byte
	content []byte
}

func unframe(t testing.TB, b []byte) (magic []byte, frames []frameV) {
	t.Helper()
	magic, b, ok := bytes.Cut(b, []byte("\n"))
	if !ok {
		t.Fatal("no first line")
	}
	for len(b) > 0 {
		n := 5 + int(binary.BigEndian.Uint32(b[1:]))
		frames = append(frames, frameV{b[0], b[5:n]})
		b = b[n:]
	}
	return append(bytes.Clone(magic), '\n'), frames
}

func reframe(magic []byte, frames []frameV) []byte {
	b := bytes.Clone(magic)
	for _, f := range frames {
		b = append(binary.BigEndian.AppendUint32(append(b, f.kind), uint32(len(f.content))), f.content...)
	}
	return b
}

// TestExportVectors audits what vectors/receipt/export.json holds.
//
// SPEC RCPT-10, RCPT-11, RCPT-12
// R57
// guard: audit-owner, audit-time, audit-sequence, audit-boot-inside, audit-epoch, audit-boot, audit-boot-last, audit-pairing
// guard: audit-batch-owner, audit-batch-chain, audit-batch-count, audit-batch-place, audit-batch-time, audit-batch-root
// guard: audit-unsigned-end, audit-truncated, audit-checkpoint, batch-signature, export-complete, export-checkpoint-signature
// guard: export-checkpoint-head
func TestExportVectors(t *testing.T) {
	t.Parallel()
	f := testkit.Vectors(t, *update, exportFile, exportCases(t))
	kinds := map[receipt.FaultKind]int{}
	for _, v := range f.Cases {
		again := v
		f.audit(t, &again)
		switch {
		case v.Report != nil:
			if again.Report == nil || *again.Report != *v.Report {
				t.Errorf("%s: %+v, %+v %s", v.Name, again.Report, again.Fault, again.Error)
			}
		case v.Fault != nil:
			kinds[v.Fault.Kind]++
			if again.Fault == nil || *again.Fault != *v.Fault {
				t.Errorf("%s: %+v, %+v %s", v.Name, again.Report, again.Fault, again.Error)
			}
		default:
			kinds["export"]++
			if v.Error == "" || again.Error != v.Error {
				t.Errorf("%s: %+v, %+v %s", v.Name, again.Report, again.Fault, again.Error)
			}
		}
	}
	if len(kinds) < 12 || kinds["export"] < 20 { // all but FaultBound, which takes a long log
		t.Errorf("%v", kinds)
	}
}
