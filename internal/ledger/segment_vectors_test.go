package ledger_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/writhq/writ/canon"
	"github.com/writhq/writ/internal/ledger"
	"github.com/writhq/writ/internal/testkit"
	"github.com/writhq/writ/receipt"
	"github.com/writhq/writ/tlog"
)

var update = flag.Bool("update", false, "write vectors/ledger from the cases in this package")

const segmentFile = "../../vectors/ledger/segment.json"

// A segmentVector is the log files of a folder and what a start makes of them.
type segmentVector struct {
	Name       string   `json:"name"`
	Segments   []string `json:"segments"`             // hexadecimal; the first is number 1
	Checkpoint string   `json:"checkpoint,omitempty"` // the folder's own
	Start      *startV  `json:"start,omitempty"`
	Error      string   `json:"error,omitempty"` // corrupt, or foreign
}

// A startV is what a start keeps and finds.
type startV struct {
	Receipts uint64 `json:"receipts"`           // that are kept
	Last     string `json:"last,omitempty"`     // id of the newest of them
	Clean    bool   `json:"clean"`              // the epoch before was closed
	Dropped  uint64 `json:"dropped,omitempty"`  // bytes cut off
	Unknown  uint64 `json:"unknown,omitempty"`  // outcomes that it writes
	Unsigned uint64 `json:"unsigned,omitempty"` // kept receipts that it signs
}

type segmentVectors struct {
	Format string          `json:"format"`
	Gate   string          `json:"gate"`
	Zone   string          `json:"zone"`
	Key    string          `json:"key"` // of the gate
	Cases  []segmentVector `json:"cases"`
}

// A frameV is a frame of a log file, after the table of LEDG-2 and not by the code
// that it tests.
type frameV struct {
	typ, kind           byte
	epoch, seq          uint64
	ms                  int64
	intentEpoch, intent uint64
	synced              uint64
	payload             []byte
}

func (f frameV) encode() []byte {
	be := binary.BigEndian
	b := append([]byte{'W', 'r', f.typ, f.kind}, be.AppendUint32(nil, uint32(len(f.payload)))...)
	b = append(b, 0, 0, 0, 0) // the checksum
	b = be.AppendUint32(b, 0) // no evidence
	for _, n := range []uint64{f.epoch, f.seq, uint64(f.ms), 0, f.intentEpoch, f.intent, f.synced} {
		b = be.AppendUint64(b, n)
	}
	return resum(append(b, f.payload...))
}

// resum sets the checksum of the frame that b begins with.
func resum(b []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	end := min(len(b), 72+int(binary.BigEndian.Uint32(b[4:])))
	c := crc32.Update(crc32.Update(0, table, b[:8]), table, b[12:end])
	binary.BigEndian.PutUint32(b[8:], c)
	return b
}

// A scribe writes log files by hand.
type scribe struct {
	t      testing.TB
	files  [][]frameV
	ref    receipt.Ref // newest receipt
	ms     int64
	places []receipt.Ref // of receipts that no batch covers
	leaves []tlog.Hash   // likewise
	prev   canon.Digest
	tree   tlog.Tree
}

const scribeMS = int64(1_760_000_000_000)

func newScribe(t testing.TB) *scribe {
	s := &scribe{t: t, ms: scribeMS}
	s.segment(nil)
	return s
}

// segment begins a file; change may spoil its header.
func (s *scribe) segment(change func(map[int]any)) {
	s.t.Helper()
	h := map[int]any{1: "writ-wal/1", 2: "gate-1", 3: zone[:], 4: len(s.files) + 1}
	if change != nil {
		change(h)
	}
	b, err := canon.EncodeCBOR(h)
	if err != nil {
		s.t.Fatal(err)
	}
	s.files = append(s.files, []frameV{{typ: 1, payload: b}})
}

// put adds a frame to the newest file: all that is before it is on the disk.
func (s *scribe) put(f frameV) {
	last := &s.files[len(s.files)-1]
	for _, have := range *last {
		f.synced += uint64(72 + len(have.payload))
	}
	*last = append(*last, f)
}

// A spoiling changes a receipt before it is encoded, and its frame afterwards.
type spoiling struct {
	receipt func(*receipt.Receipt)
	frame   func(*frameV)
}

// add writes a receipt, in its place but for what is spoilt.
func (s *scribe) add(r *receipt.Receipt, spoilt spoiling) receipt.Ref {
	s.t.Helper()
	s.ms++
	r.Typ, r.Gate, r.Zone, r.Mode = receipt.Type, "gate-1", zone, receipt.Durable
	r.Epoch, r.Seq, r.TimeMS = s.ref.Epoch, s.ref.Seq+1, s.ms
	f := frameV{typ: 2, kind: map[receipt.Kind]byte{receipt.Intent: 1, receipt.Outcome: 2}[r.Kind]}
	if r.Kind == receipt.Boot {
		f.kind = 3
		if r.Boot != nil {
			f.kind, r.Epoch, r.Seq = 0, s.ref.Epoch+1, 1
		}
	}
	if r.Intent != nil {
		f.intentEpoch, f.intent = r.Intent.Epoch, r.Intent.Seq
	}
	if spoilt.receipt != nil {
		spoilt.receipt(r)
	}
	b, err := r.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	f.epoch, f.seq, f.ms, f.payload = r.Epoch, r.Seq, r.TimeMS, b
	if spoilt.frame != nil {
		spoilt.frame(&f)
	}
	s.put(f)
	s.ref = r.Ref(f.payload)
	s.places, s.leaves = append(s.places, s.ref), append(s.leaves, tlog.LeafHash(f.payload))
	return s.ref
}

func (s *scribe) boot() {
	s.t.Helper()
	b := &receipt.BootState{Clean: true}
	if last := s.ref; last.Epoch > 0 {
		b.Clean, b.Last = false, &last
	}
	s.add(&receipt.Receipt{Kind: receipt.Boot, Note: receipt.NoteOpen, Boot: b}, spoiling{})
}

func (s *scribe) intent() receipt.Ref {
	s.t.Helper()
	return s.spoilt(spoiling{})
}

// spoilt writes an intent with something wrong.
func (s *scribe) spoilt(what spoiling) receipt.Ref {
	s.t.Helper()
	return s.add(&receipt.Receipt{Kind: receipt.Intent, Policy: zone, Operation: zone, Decision: receipt.Permit}, what)
}

func (s *scribe) outcome(of receipt.Ref) {
	s.t.Helper()
	s.add(&receipt.Receipt{Kind: receipt.Outcome, Intent: &of, Outcome: &receipt.Result{Class: receipt.OK}}, spoiling{})
}

func (s *scribe) close() {
	s.t.Helper()
	s.add(&receipt.Receipt{Kind: receipt.Boot, Note: receipt.NoteClose}, spoiling{})
}

// seal signs what is unsigned; change may spoil the batch.
func (s *scribe) seal(change func(*receipt.Batch)) {
	s.t.Helper()
	tree, err := tlog.BatchOf(s.leaves)
	if err != nil {
		s.t.Fatal(err)
	}
	b := receipt.Batch{Gate: "gate-1", Epoch: s.places[0].Epoch, First: s.places[0].Seq, Count: uint64(len(s.leaves)), Root: tree.Root(), Prev: s.prev, TimeMS: s.ms}
	if change != nil {
		change(&b)
	}
	block, id, err := b.Sign(testKey(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	s.put(frameV{typ: 3, epoch: b.Epoch, seq: b.First, payload: block})
	for _, h := range s.leaves {
		s.tree.Append(h)
	}
	s.prev, s.places, s.leaves = id, nil, nil
}

// encode returns the files.
func (s *scribe) encode() (files [][]byte) {
	for _, frames := range s.files {
		var b []byte
		for _, f := range frames {
			b = append(b, f.encode()...)
		}
		files = append(files, b)
	}
	return files
}

// checkpoint returns the signed head of what is signed.
func (s *scribe) checkpoint() string {
	s.t.Helper()
	k, err := receipt.LogKey("gate-1", testKey(s.t).Public())
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := tlog.SignCheckpoint(tlog.Head{Origin: k.Name(), Size: s.tree.Size(), Root: s.tree.Root()}, k, testKey(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(c.Encode())
}

// folder writes log files, and a checkpoint if there is one, and returns a ledger's
// configuration for it. Nothing in it waits for the disk.
func folder(t testing.TB, files [][]byte, checkpoint string) ledger.Config {
	t.Helper()
	cfg := testConfig(t, t.TempDir())
	cfg.Now = func() time.Time { return time.UnixMilli(scribeMS + 1_000_000) }
	cfg.Faults = func(c ledger.Call) error {
		if c.Op == "sync" || c.Op == "syncdir" {
			return nil
		}
		return c.Run(c.Size)
	}
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(cfg.Dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, b := range files {
		put(fmt.Sprintf("%08d.wal", i+1), b)
	}
	if checkpoint != "" {
		put("checkpoint", []byte(checkpoint))
	}
	return cfg
}

// start sets what a start makes of v.
func (v *segmentVector) start(t testing.TB) {
	t.Helper()
	var files [][]byte
	for _, s := range v.Segments {
		files = append(files, testkit.Unhex(t, s))
	}
	l, err := ledger.Open(t.Context(), folder(t, files, v.Checkpoint))
	v.Start, v.Error = nil, ""
	switch {
	case errors.Is(err, ledger.ErrCorrupt):
		v.Error = "corrupt"
	case errors.Is(err, ledger.ErrForeign):
		v.Error = "foreign"
	case err != nil:
		t.Fatalf("%s: an error of another kind: %v", v.Name, err)
	default:
		defer l.Close()
		v.Start = started(t, l, files)
	}
}

// started returns what l found when it was opened on the files.
func started(t testing.TB, l *ledger.Ledger, files [][]byte) *startV {
	t.Helper()
	s, signed := new(startV), uint64(0)
	for _, b := range files {
		for _, f := range cut(b) {
			if f[2] != batchFrame {
				continue
			}
			if b, _, err := receipt.ParseBatchUnverified(f[72:]); err == nil {
				signed += b.Count
			}
		}
	}
	for _, r := range all(t, l) {
		b, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Epoch < l.Epoch():
			s.Receipts++
			s.Last = receipt.ID(b).String()
		case r.Boot != nil:
			s.Clean, s.Dropped = r.Boot.Clean, r.Boot.Dropped
		case r.Outcome != nil && r.Outcome.Class == receipt.Unknown:
			s.Unknown++
		}
	}
	s.Unsigned = s.Receipts - signed
	mustAudit(t, l)
	return s
}

// written returns a log of two epochs in one file: 8 receipts, the newest of which
// no batch covers.
func written(t testing.TB) *scribe {
	s := newScribe(t)
	s.boot()
	a := s.intent()
	s.outcome(a)
	s.seal(nil)
	s.boot()
	s.intent()
	s.seal(nil)
	s.intent()
	s.outcome(s.intent())
	return s
}

func segmentCases(t testing.TB) segmentVectors {
	f := segmentVectors{Format: "log files of a ledger", Gate: "gate-1", Zone: zone.String(), Key: testKey(t).Public().String()}
	add := func(want, name, checkpoint string, files ...[]byte) {
		v := segmentVector{Name: name, Checkpoint: checkpoint}
		for _, b := range files {
			v.Segments = append(v.Segments, hex.EncodeToString(b))
		}
		v.start(t)
		if v.Error != want {
			t.Errorf("%s: %q, want %q", name, v.Error, want)
		}
		f.Cases = append(f.Cases, v)
	}
	f.sound(t, add)
	f.torn(t, add)
	f.damaged(t, add)
	f.misfit(t, add)
	return f
}

type adder func(want, name, checkpoint string, files ...[]byte)

func (f *segmentVectors) sound(t testing.TB, add adder) {
	empty := newScribe(t)
	add("", "a header alone", "", empty.encode()...)
	s := written(t)
	add("", "two epochs, the end unsigned", "", s.encode()...)
	s.seal(nil)
	add("", "two epochs, all signed", s.checkpoint(), s.encode()...)
	closed := newScribe(t)
	closed.boot()
	closed.close()
	closed.seal(nil)
	add("", "closed", closed.checkpoint(), closed.encode()...)
	two := newScribe(t)
	two.boot()
	two.intent()
	two.segment(nil)
	two.seal(nil)
	two.intent()
	add("", "two files, a batch over both", two.checkpoint(), two.encode()...)
	one := newScribe(t)
	one.boot()
	one.seal(nil)
	shorter := one.checkpoint()
	add("", "a checkpoint of its beginning", shorter, s.encode()...)
	add("", "a checkpoint that is torn", shorter[:len(shorter)/2], s.encode()...)
}

// torn are files that a crash can have left.
func (f *segmentVectors) torn(t testing.TB, add adder) {
	s := written(t)
	b := s.encode()[0]
	frames := cut(b)
	last := len(frames[len(frames)-1])
	add("", "the last payload cut short", "", b[:len(b)-1])
	add("", "the last header cut short", "", b[:len(b)-last+71])
	add("", "one byte of the last frame", "", b[:len(b)-last+1])
	add("", "zeros at the end", "", append(bytes.Clone(b), make([]byte, 100)...))
	add("", "something else at the end", "", append(bytes.Clone(b), "Wr and then something that is no frame, but longer than one's header of 72 bytes"...))
	flipped := bytes.Clone(b)
	flipped[len(b)-1] ^= 1
	add("", "a bit of the last frame", "", flipped)
	long := append(bytes.Clone(b), frameV{typ: 2, synced: uint64(len(b)), payload: make([]byte, 80)}.encode()...)
	long[len(b)+5] = 0xff // above 64 KiB
	add("", "a frame that is too long at the end", "", long)
	unknown := append(bytes.Clone(b), frameV{typ: 4}.encode()...)
	add("", "a frame of another type at the end", "", unknown)
	s.segment(nil)
	both := s.encode()
	add("", "an empty second file", "", both[0], nil)
	add("", "a second file cut short in its header", "", both[0], both[1][:50])
}

// damaged are files that no crash leaves.
func (f *segmentVectors) damaged(t testing.TB, add adder) {
	s := written(t)
	b := s.encode()[0]
	frames := cut(b)
	flip := func(i int) []byte { c := bytes.Clone(b); c[i] ^= 1; return c }
	second := len(frames[0]) + len(frames[1])
	add("corrupt", "a bit of the first payload", "", flip(len(frames[0])+72))
	add("corrupt", "a bit of a header", "", flip(second+30))
	add("corrupt", "a bit of a checksum", "", flip(second+8))
	add("corrupt", "a byte left out", "", append(bytes.Clone(b[:second]), b[second+1:]...))
	add("corrupt", "zeros in the middle", "", append(append(bytes.Clone(b[:second]), make([]byte, 200)...), b[second+200:]...))
	add("corrupt", "no header", "", bytes.Join(frames[1:], nil))
	add("corrupt", "header twice", "", append(bytes.Clone(frames[0]), b...))
	add("corrupt", "a frame left out", "", bytes.Join(append([][]byte{frames[0], frames[1]}, frames[3:]...), nil))
	add("corrupt", "a frame twice", "", bytes.Join(append([][]byte{frames[0], frames[1], frames[1]}, frames[2:]...), nil))
	add("corrupt", "two frames exchanged", "", bytes.Join(append([][]byte{frames[0], frames[2], frames[1]}, frames[3:]...), nil))
	add("corrupt", "a batch left out", "", bytes.Join(append(append([][]byte{}, frames[:4]...), frames[5:]...), nil))
	add("corrupt", "a batch twice", "", bytes.Join(append(append([][]byte{}, frames[:5]...), frames[4:]...), nil))
	s.segment(nil)
	s.intent()
	both := s.encode()
	add("corrupt", "the first of two files cut short", "", both[0][:len(both[0])-1], both[1])
	add("corrupt", "the first of two files empty", "", nil, both[1])
	add("corrupt", "two files exchanged", "", both[1], both[0])
	whole := written(t)
	whole.seal(nil)
	checkpoint := whole.checkpoint()
	add("corrupt", "shorter than its checkpoint", checkpoint, whole.encode()[0][:second])
	other := written(t)
	other.intent()
	other.seal(nil)
	late := newScribe(t)
	late.ms++
	late.boot()
	late.intent()
	late.seal(nil)
	add("corrupt", "another log than its checkpoint's", late.checkpoint(), other.encode()...)
}

// misfit are frames that are whole and are not what a gate writes.
func (f *segmentVectors) misfit(t testing.TB, add adder) {
	header := func(want, name string, change func(map[int]any)) {
		s := &scribe{t: t, ms: scribeMS}
		s.segment(change)
		s.boot()
		add(want, name, "", s.encode()...)
	}
	header("foreign", "another gate's file", func(m map[int]any) { m[2] = "gate-2" })
	header("foreign", "another zone's file", func(m map[int]any) { m[3] = make([]byte, 32) })
	header("corrupt", "another file's number", func(m map[int]any) { m[4] = 2 })
	header("corrupt", "another version", func(m map[int]any) { m[1] = "writ-wal/2" })
	header("corrupt", "unknown field in the header", func(m map[int]any) { m[5] = 1 })
	with := func(name string, do func(*scribe)) {
		s := newScribe(t)
		s.boot()
		do(s)
		add("corrupt", name, "", s.encode()...)
	}
	inside := func(name string, change func(*receipt.Receipt)) {
		with(name, func(s *scribe) { s.spoilt(spoiling{receipt: change}) })
	}
	outside := func(name string, change func(*frameV)) {
		with(name, func(s *scribe) { s.spoilt(spoiling{frame: change}) })
	}
	inside("a gap in the sequence", func(r *receipt.Receipt) { r.Seq++ })
	inside("a sequence again", func(r *receipt.Receipt) { r.Seq-- })
	inside("a time that goes back", func(r *receipt.Receipt) { r.TimeMS -= 5 })
	inside("unsigned: another gate's receipt", func(r *receipt.Receipt) { r.Gate = "gate-2" })
	inside("unsigned: another zone's receipt", func(r *receipt.Receipt) { r.Zone = canon.Hash(nil) })
	outside("unsigned: a frame of another kind", func(f *frameV) { f.kind = 0 })
	outside("unsigned: a frame of another time", func(f *frameV) { f.ms++ })
	outside("unsigned: a frame of an outcome", func(f *frameV) { f.kind, f.intentEpoch, f.intent = 2, 1, 1 })
	outside("unsigned: a frame with an intent", func(f *frameV) { f.intentEpoch, f.intent = 1, 1 })
	outside("unsigned: another sequence inside", func(f *frameV) { f.payload = bytes.Replace(f.payload, []byte{5, 2, 6}, []byte{5, 3, 6}, 1) })
	outside("unsigned: no receipt inside", func(f *frameV) { f.payload = []byte("receipt") })
	outside("unsigned: something after the receipt", func(f *frameV) { f.payload = append(f.payload, 0) })
	with("an epoch that does not begin at 1", func(s *scribe) { s.ref.Epoch, s.ref.Seq = 2, 1; s.intent() })
	with("an epoch that goes back", func(s *scribe) { s.boot(); s.ref.Epoch, s.ref.Seq = 1, 1; s.intent() })
	batch := func(name string, change func(*receipt.Batch)) {
		with(name, func(s *scribe) { s.intent(); s.seal(change) })
	}
	batch("a batch over other receipts", func(b *receipt.Batch) { b.Root = tlog.EmptyRoot() })
	batch("a batch over more than there are", func(b *receipt.Batch) { b.Count++ })
	batch("a batch of other sequences", func(b *receipt.Batch) { b.First++ })
	batch("a batch of another epoch", func(b *receipt.Batch) { b.Epoch++ })
	batch("a batch after no other", func(b *receipt.Batch) { b.Prev = zone })
	with("a batch in another's frame", func(s *scribe) { s.seal(nil); f := s.files[0]; f[len(f)-1].epoch++ })
	with("a batch over two epochs", func(s *scribe) { s.boot(); s.seal(nil) })
	with("a batch that is none", func(s *scribe) { s.put(frameV{typ: 3, epoch: 1, seq: 1, payload: []byte("batch")}) })
	with("a batch over nothing", func(s *scribe) { s.seal(nil); f := s.files[0][len(s.files[0])-1]; s.put(f) })
}

// TestSegmentVectors opens what vectors/ledger/segment.json holds.
//
// SPEC LEDG-1, LEDG-2, LEDG-4, LEDG-5
// R57
// A34
// guard: folder-owner, log-sequence, log-batch-root, torn-or-damaged, frame-checksum
// guard: shorter-than-checkpoint, folder-checkpoint, unsigned-fits
func TestSegmentVectors(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, v := range testkit.Vectors(t, *update, segmentFile, segmentCases(t)).Cases {
		seen[v.Error]++
		again := v
		again.start(t)
		if again.Error != v.Error || (v.Start == nil) != (again.Start == nil) || v.Start != nil && *again.Start != *v.Start {
			t.Errorf("%s: %+v %q, want %+v %q", v.Name, again.Start, again.Error, v.Start, v.Error)
		}
	}
	if seen[""] < 15 || seen["corrupt"] < 35 || seen["foreign"] < 2 {
		t.Errorf("%v", seen)
	}
}

// A frame that says of its receipt what that does not: a start, which reads frames
// alone where a batch covers them, is not where it shows, but no reader gets it.
//
// SPEC LEDG-2
// R57
// guard: frame-fits
func TestFrameFits(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*frameV){
		"kind":   func(f *frameV) { f.kind = 0 },
		"time":   func(f *frameV) { f.ms++ },
		"intent": func(f *frameV) { f.intent = 1 },
	} {
		s := newScribe(t)
		s.boot()
		s.spoilt(spoiling{frame: change})
		s.ms++ // no batch before its receipts
		s.seal(nil)
		l := openLedger(t, folder(t, s.encode(), ""))
		n := 0
		err := l.Replay(t.Context(), func(*receipt.Receipt) error { n++; return nil })
		if !errors.Is(err, ledger.ErrCorrupt) || n != 1 {
			t.Errorf("%s: %v after %d receipts", name, err, n)
		}
	}
}
